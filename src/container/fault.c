#include "container/fault.h"

#ifdef SHOAL_FAULTS
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "container/inside.h"

int fault_stage(const struct container *c, const char *name, shoal_error_t *err)
{
    enum { LATE_MS = 5000 };
    const char *fault = getenv("SHOAL_FAULT");
    struct pollfd child = {.fd = c->pid_fd, .events = POLLIN};
    if (fault != NULL && strstr(fault, ",late") != NULL && strcmp(name, "link") == 0)
        (void)poll(&child, 1, LATE_MS);
    if (fault == NULL || strncmp(fault, "stage:", 6) != 0 || strcmp(fault + 6, name) != 0)
        return 0;
    return shoal_fail(err, -EIO, "injected");
}

int32_t fault_child_step(struct container *c, uint32_t count)
{
    const char *fault = getenv("SHOAL_FAULT");
    if (fault == NULL || strncmp(fault, "step:", 5) != 0)
        return -1;
    unsigned long step = strtoul(fault + 5, NULL, 10);
    if (step < count)
        return (int32_t)step;
    container_warn(c, "the plan has %u steps", count);
    return -1;
}
#endif
