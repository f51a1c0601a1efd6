/* Fault injection for tests: `make EXTRA=-DSHOAL_FAULTS` builds a program in which SHOAL_FAULT=point:NAME makes the place of
 * that name fail with EIO. In every other build it is a constant. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "shoal/error.h"

#ifdef SHOAL_FAULTS
int fault_point(const char *name, shoal_error_t *err);
#else
static inline int fault_point(const char *name, shoal_error_t *err)
{
    (void)name;
    (void)err;
    return 0;
}
#endif

#endif
