#include "base/rlimit.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "base/base.h"

static const char *const names[] = {
    [RLIMIT_AS] = "as",           [RLIMIT_CORE] = "core",         [RLIMIT_CPU] = "cpu",
    [RLIMIT_DATA] = "data",       [RLIMIT_FSIZE] = "fsize",       [RLIMIT_LOCKS] = "locks",
    [RLIMIT_MEMLOCK] = "memlock", [RLIMIT_MSGQUEUE] = "msgqueue", [RLIMIT_NICE] = "nice",
    [RLIMIT_NOFILE] = "nofile",   [RLIMIT_NPROC] = "nproc",       [RLIMIT_RSS] = "rss",
    [RLIMIT_RTPRIO] = "rtprio",   [RLIMIT_RTTIME] = "rttime",     [RLIMIT_SIGPENDING] = "sigpending",
    [RLIMIT_STACK] = "stack",
};

int rlimit_parse(const char *name, int *out_resource)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *out_resource = (int)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *rlimit_name(int resource)
{
    return resource >= 0 && (size_t)resource < COUNT(names) ? names[resource] : NULL;
}
