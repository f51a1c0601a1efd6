/* Names of signals, capabilities and resource limits. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/base.h"
#include "compose/values.h"

int value_signal(const char *text, int *out)
{
    int64_t number;
    if (text[0] >= '0' && text[0] <= '9') {
        if (value_integer(text, &number) < 0 || number < 1 || number > 64)
            return -EINVAL;
        *out = (int)number;
        return 0;
    }
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    bool from_min = strncasecmp(name, "RTMIN", 5) == 0;
    if (from_min || strncasecmp(name, "RTMAX", 5) == 0) {
        /* RTMIN is 34 as C libraries count it: they keep 32 and 33 for their threads. signal(7) */
        int base = from_min ? 34 : 64;
        if (name[5] == '\0') {
            *out = base;
            return 0;
        }
        if (name[5] != (from_min ? '+' : '-') || name[6] < '0' || name[6] > '9' ||
            value_decimal(name + 6, 0, &number) < 0 || number > 30)
            return -EINVAL;
        *out = from_min ? base + (int)number : base - (int)number;
        return 0;
    }
    static const struct {
        const char *name;
        int number;
    } aliases[] = {{"IOT", SIGABRT}, {"CLD", SIGCHLD}, {"POLL", SIGIO}};
    for (size_t i = 0; i < COUNT(aliases); i++) {
        if (strcasecmp(name, aliases[i].name) == 0) {
            *out = aliases[i].number;
            return 0;
        }
    }
    for (int i = 1; i < 32; i++) {
        const char *known = sigabbrev_np(i);
        if (known != NULL && strcasecmp(name, known) == 0) {
            *out = i;
            return 0;
        }
    }
    return -EINVAL;
}

int value_capability(const char *text, unsigned *out)
{
    /* include/uapi/linux/capability.h; the number is the place in the list */
    static const char *const names[] = {"CHOWN",
                                        "DAC_OVERRIDE",
                                        "DAC_READ_SEARCH",
                                        "FOWNER",
                                        "FSETID",
                                        "KILL",
                                        "SETGID",
                                        "SETUID",
                                        "SETPCAP",
                                        "LINUX_IMMUTABLE",
                                        "NET_BIND_SERVICE",
                                        "NET_BROADCAST",
                                        "NET_ADMIN",
                                        "NET_RAW",
                                        "IPC_LOCK",
                                        "IPC_OWNER",
                                        "SYS_MODULE",
                                        "SYS_RAWIO",
                                        "SYS_CHROOT",
                                        "SYS_PTRACE",
                                        "SYS_PACCT",
                                        "SYS_ADMIN",
                                        "SYS_BOOT",
                                        "SYS_NICE",
                                        "SYS_RESOURCE",
                                        "SYS_TIME",
                                        "SYS_TTY_CONFIG",
                                        "MKNOD",
                                        "LEASE",
                                        "AUDIT_WRITE",
                                        "AUDIT_CONTROL",
                                        "SETFCAP",
                                        "MAC_OVERRIDE",
                                        "MAC_ADMIN",
                                        "SYSLOG",
                                        "WAKE_ALARM",
                                        "BLOCK_SUSPEND",
                                        "AUDIT_READ",
                                        "PERFMON",
                                        "BPF",
                                        "CHECKPOINT_RESTORE"};
    const char *name = strncasecmp(text, "CAP_", 4) == 0 ? text + 4 : text;
    for (unsigned i = 0; i < COUNT(names); i++) {
        if (strcasecmp(name, names[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    return -EINVAL;
}

int value_ulimit(const char *name, int *out_resource)
{
    static const struct {
        const char *name;
        int resource;
    } limits[] = {{"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
                  {"data", RLIMIT_DATA},         {"fsize", RLIMIT_FSIZE},
                  {"locks", RLIMIT_LOCKS},       {"memlock", RLIMIT_MEMLOCK},
                  {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
                  {"nofile", RLIMIT_NOFILE},     {"nproc", RLIMIT_NPROC},
                  {"rss", RLIMIT_RSS},           {"rtprio", RLIMIT_RTPRIO},
                  {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
                  {"stack", RLIMIT_STACK}};
    for (size_t i = 0; i < COUNT(limits); i++) {
        if (strcmp(name, limits[i].name) == 0) {
            *out_resource = limits[i].resource;
            return 0;
        }
    }
    return -EINVAL;
}
