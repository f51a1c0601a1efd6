#include "base/fault.h"

#ifdef SHOAL_FAULTS
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int fault_point(const char *name, shoal_error_t *err)
{
    const char *fault = getenv("SHOAL_FAULT");
    if (fault == NULL || strncmp(fault, "point:", 6) != 0 || strcmp(fault + 6, name) != 0)
        return 0;
    return shoal_fail(err, -EIO, "injected");
}
#endif
