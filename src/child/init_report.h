/* What shoal-init says on its status descriptor when it could not execute the command: one struct child_report with a
 * step that no plan has. Shared by the program and by those who read it. */
#ifndef CHILD_INIT_REPORT_H
#define CHILD_INIT_REPORT_H

#include <stdint.h>

#define INIT_REPORT_STEP (UINT32_MAX - 1) /* "exec by init" */

struct init_report {
    uint32_t step; /* INIT_REPORT_STEP */
    int32_t code;  /* -errno */
};

#endif
