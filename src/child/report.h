/* What a child says on its channel: when a step fails, the parent's plan, or shoal-init, which could not execute the command. */
#ifndef CHILD_REPORT_H
#define CHILD_REPORT_H

#include <stdint.h>

struct child_report {
    uint32_t step; /* index into the plan, or one of those below */
    int32_t code;  /* negative errno */
};

#define REPORT_STEP_TABLE UINT32_MAX              /* before the first step: the descriptor table */
#define REPORT_STEP_ARRIVAL (UINT32_MAX - 2)      /* before the first step: the parent's first message */
#define REPORT_STEP_EXEC_BY_INIT (UINT32_MAX - 1) /* shoal-init could not execute the command */

#define CHILD_HELD 'H' /* the one byte that a child says when it waits for its start */

/* shoal-init's second argument: letters of these. */
#define INIT_HOLD 'h'
#define INIT_REAP 'r'

/* The name that shoal-init takes when a signal has ended the command, with the signal's number behind it: the parent reads it
 * before it reaps. An exit status alone would not tell an end by signal 9 from exit(137). */
#define REPORT_COMM_SIGNAL "shoal-init/"

#endif
