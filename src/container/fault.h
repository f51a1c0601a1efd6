/* Fault injection for tests: `make EXTRA=-DSHOAL_FAULTS` builds a program that fails where the environment says.
 *   SHOAL_FAULT=stage:NAME   the launch stage of that name fails with EIO
 *   SHOAL_FAULT=step:N       the child's step N fails with EIO; a warning tells how many there are when N is beyond the last
 *   SHOAL_FAULT=step:N,late  and the parent sends nothing before the child has ended
 *   SHOAL_FAULT=point:NAME   see base/fault.h
 * In every other build these are constants. */
#ifndef CONTAINER_FAULT_H
#define CONTAINER_FAULT_H

#include <stdint.h>

#include "shoal/error.h"

struct container;

#ifdef SHOAL_FAULTS
int fault_stage(const struct container *c, const char *name, shoal_error_t *err);
int32_t fault_child_step(struct container *c, uint32_t count);
#else
static inline int fault_stage(const struct container *c, const char *name, shoal_error_t *err)
{
    (void)c;
    (void)name;
    (void)err;
    return 0;
}
static inline int32_t fault_child_step(struct container *c, uint32_t count)
{
    (void)c;
    (void)count;
    return -1;
}
#endif

#endif
