/* Limits: from what the file says to what the kernel takes, written and read back. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cgroup/inside.h"

enum { CPU_PERIOD_USEC = 100000 };

/* How a value may differ when it is read back. */
enum rounding { AS_WRITTEN, PAGES, CPU_LIST };

static const struct limit {
    enum cgroup_controller controller;
    const char *file;
    enum rounding rounding;
    bool may_lack; /* a kernel without swap has no such file, and nothing to limit */
} limits[SHOAL_LIMIT_COUNT] = {
    [SHOAL_LIMIT_MEMORY] = {CGROUP_MEMORY, "memory.max", PAGES, false},
    [SHOAL_LIMIT_MEMORY_SWAP] = {CGROUP_MEMORY, "memory.swap.max", PAGES, true},
    [SHOAL_LIMIT_MEMORY_RESERVATION] = {CGROUP_MEMORY, "memory.low", PAGES, false},
    [SHOAL_LIMIT_CPUS] = {CGROUP_CPU, "cpu.max", AS_WRITTEN, false},
    [SHOAL_LIMIT_CPU_SHARES] = {CGROUP_CPU, "cpu.weight", AS_WRITTEN, false},
    [SHOAL_LIMIT_CPUSET] = {CGROUP_CPUSET, "cpuset.cpus", CPU_LIST, false},
    [SHOAL_LIMIT_PIDS] = {CGROUP_PIDS, "pids.max", AS_WRITTEN, false},
};

enum cgroup_controller cgroup_limit_controller(shoal_limit_kind_t kind)
{
    return limits[kind].controller;
}

/* Docker's shares 2..262144 onto weights 1..10000, linearly, as the OCI runtimes did it first (Kubernetes KEP-2254). */
static int64_t shares_to_weight(int64_t shares)
{
    int64_t bounded = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
    return 1 + (bounded - 2) * 9999 / 262142;
}

static void put_number(char *out, size_t room, int64_t value)
{
    if (value < 0)
        (void)snprintf(out, room, "max");
    else
        (void)snprintf(out, room, "%" PRId64, value);
}

static void format_limit(shoal_limit_kind_t kind, const shoal_service_t *service, char *out, size_t room)
{
    const shoal_limit_t *limit = &service->limits[kind];
    switch (kind) {
    case SHOAL_LIMIT_MEMORY:
    case SHOAL_LIMIT_MEMORY_RESERVATION:
    case SHOAL_LIMIT_PIDS:
        put_number(out, room, limit->value);
        break;
    case SHOAL_LIMIT_MEMORY_SWAP: /* Compose counts memory and swap together, the kernel swap alone */
        put_number(out, room, limit->value < 0 ? -1 : limit->value - service->limits[SHOAL_LIMIT_MEMORY].value);
        break;
    case SHOAL_LIMIT_CPUS:
        (void)snprintf(out, room, "%" PRId64 " %d", limit->value * (CPU_PERIOD_USEC / 1000), CPU_PERIOD_USEC);
        break;
    case SHOAL_LIMIT_CPU_SHARES:
        put_number(out, room, shares_to_weight(limit->value));
        break;
    case SHOAL_LIMIT_CPUSET:
        (void)snprintf(out, room, "%s", limit->text);
        break;
    case SHOAL_LIMIT_COUNT:
        break;
    }
}

static bool is_same(enum rounding rounding, const char *wanted, const char *got)
{
    switch (rounding) {
    case AS_WRITTEN:
        return strcmp(wanted, got) == 0;
    case PAGES: {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        uint64_t a = cgroup_parse_number(wanted), b = cgroup_parse_number(got);
        return a == b || (a != SHOAL_ABSENT && b != SHOAL_ABSENT && a / page == b / page);
    }
    case CPU_LIST:
        return cgroup_same_list(wanted, got);
    }
    return false;
}

static int write_and_check(int dir_fd, const char *file, enum rounding rounding, const char *value, shoal_error_t *err)
{
    int code = cgroup_file_write(dir_fd, file, value, err);
    if (code < 0)
        return code;
    char got[CGROUP_TEXT];
    ssize_t count = cgroup_file_read(dir_fd, file, got, sizeof got);
    if (count < 0)
        return shoal_fail(err, (int)count, "%s: read back", file);
    got[strcspn(got, "\n")] = '\0';
    if (!is_same(rounding, value, got))
        return shoal_refuse(err, -EINVAL, "%s: wrote '%s', the kernel made '%s' of it", file, value, got);
    return 0;
}

static int write_io(int dir_fd, const shoal_io_limit_t *limit, shoal_error_t *err)
{
    struct stat about;
    if (stat(limit->path, &about) < 0)
        return shoal_fail(err, -errno, "io.max: %s", limit->path);
    if (!S_ISBLK(about.st_mode))
        return shoal_refuse(err, -ENOTBLK, "io.max: %s is no block device", limit->path);
    unsigned major = major(about.st_rdev), minor = minor(about.st_rdev);
    char path[64];
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/partition", major, minor);
    if (access(path, F_OK) == 0)
        return shoal_refuse(err, -EINVAL, "io.max: %s is a partition; the kernel limits whole disks", limit->path);
    const struct {
        const char *name;
        uint64_t value;
    } rates[] = {{"rbps", limit->rbps}, {"wbps", limit->wbps}, {"riops", limit->riops}, {"wiops", limit->wiops}};
    char line[200], got[CGROUP_TEXT];
    int at = snprintf(line, sizeof line, "%u:%u", major, minor);
    for (size_t i = 0; i < COUNT(rates); i++)
        if (rates[i].value > 0)
            at += snprintf(line + at, sizeof line - (size_t)at, " %s=%" PRIu64, rates[i].name, rates[i].value);
    int code = cgroup_file_write(dir_fd, "io.max", line, err);
    if (code < 0)
        return code;
    ssize_t count = cgroup_file_read(dir_fd, "io.max", got, sizeof got);
    if (count < 0)
        return shoal_fail(err, (int)count, "io.max: read back");
    for (size_t i = 0; i < COUNT(rates); i++) {
        char part[64];
        (void)snprintf(part, sizeof part, " %s=%" PRIu64, rates[i].name, rates[i].value);
        if (rates[i].value > 0 && strstr(got, part) == NULL)
            return shoal_refuse(err, -EINVAL, "io.max: wrote '%s', the kernel made '%s' of it", line, got);
    }
    return 0;
}

int cgroup_write_limits(const struct cgroup_root *root, int dir_fd, const shoal_service_t *service,
                        int64_t default_pids, shoal_error_t *err)
{
    char value[256];
    int code = 0;
    for (int i = 0; i < SHOAL_LIMIT_COUNT && code == 0; i++) {
        const struct limit *limit = &limits[i];
        if (!service->limits[i].set || !root->has[limit->controller])
            continue; /* a controller that is not there was refused, or its lack accepted, before */
        format_limit((shoal_limit_kind_t)i, service, value, sizeof value);
        code = write_and_check(dir_fd, limit->file, limit->rounding, value, err);
        if (code == -ENOENT && limit->may_lack)
            code = 0;
    }
    for (size_t i = 0; i < service->io_limit_count && root->has[CGROUP_IO] && code == 0; i++)
        code = write_io(dir_fd, &service->io_limits[i], err);
    if (code == 0 && !service->limits[SHOAL_LIMIT_PIDS].set && root->has[CGROUP_PIDS]) {
        put_number(value, sizeof value, default_pids);
        code = write_and_check(dir_fd, "pids.max", AS_WRITTEN, value, err);
    }
    if (code == 0 && root->has[CGROUP_MEMORY])
        code = write_and_check(dir_fd, "memory.oom.group", AS_WRITTEN, "1", err);
    return code;
}
