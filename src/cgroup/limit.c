/* Limits: from what the file says to what the kernel takes, written and read back. Nothing here knows whose limits they are. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cgroup/inside.h"

enum { CPU_PERIOD_USEC = 100000 };

static const struct limit_row {
    enum cgroup_controller controller;
    struct limit_file file;
} rows[SHOAL_LIMIT_COUNT] = {
    /* Late: see cgroup_let_go(). */
    [SHOAL_LIMIT_MEMORY] = {CGROUP_MEMORY, {"memory.max", "max", LIMIT_PAGES, .late = true}},
    [SHOAL_LIMIT_MEMORY_SWAP] = {CGROUP_MEMORY, {"memory.swap.max", "max", LIMIT_PAGES, .may_lack = true}},
    [SHOAL_LIMIT_MEMORY_RESERVATION] = {CGROUP_MEMORY, {"memory.low", "0", LIMIT_PAGES}},
    [SHOAL_LIMIT_MEMORY_HIGH] = {CGROUP_MEMORY, {"memory.high", "max", LIMIT_PAGES}},
    [SHOAL_LIMIT_OOM_GROUP] = {CGROUP_MEMORY, {"memory.oom.group", "0", LIMIT_AS_WRITTEN}},
    [SHOAL_LIMIT_CPUS] = {CGROUP_CPU, {"cpu.max", "max 100000", LIMIT_AS_WRITTEN}},
    [SHOAL_LIMIT_CPU_QUOTA] = {CGROUP_CPU, {"cpu.max", "max 100000", LIMIT_AS_WRITTEN}},
    [SHOAL_LIMIT_CPU_PERIOD] = {CGROUP_CPU, {"cpu.max", "max 100000", LIMIT_AS_WRITTEN}},
    [SHOAL_LIMIT_CPU_BURST] = {CGROUP_CPU, {"cpu.max.burst", "0", LIMIT_AS_WRITTEN}},
    [SHOAL_LIMIT_CPU_SHARES] = {CGROUP_CPU, {"cpu.weight", "100", LIMIT_AS_WRITTEN}},
    [SHOAL_LIMIT_CPU_WEIGHT] = {CGROUP_CPU, {"cpu.weight", "100", LIMIT_AS_WRITTEN}},
    [SHOAL_LIMIT_CPU_IDLE] = {CGROUP_CPU, {"cpu.idle", "0", LIMIT_AS_WRITTEN}},
    [SHOAL_LIMIT_CPUSET] = {CGROUP_CPUSET, {"cpuset.cpus", "", LIMIT_LIST}},
    [SHOAL_LIMIT_CPUSET_MEMS] = {CGROUP_CPUSET, {"cpuset.mems", "", LIMIT_LIST}},
    [SHOAL_LIMIT_PIDS] = {CGROUP_PIDS, {"pids.max", "max", LIMIT_AS_WRITTEN}},
    [SHOAL_LIMIT_IO_WEIGHT] = {CGROUP_IO_WEIGHT, {"io.weight", "default 100", LIMIT_AS_WRITTEN}},
};
static const struct limit_file bfq_weight = {"io.bfq.weight", "default 100", LIMIT_AS_WRITTEN};

enum cgroup_controller cgroup_limit_controller(shoal_limit_kind_t kind)
{
    return rows[kind].controller;
}

/* ---- made ---- */

struct cgroup_limits *cgroup_limits_ref(struct cgroup_limits *limits)
{
    if (limits != NULL)
        limits->references++;
    return limits;
}

void cgroup_limits_unref(struct cgroup_limits *limits)
{
    if (limits == NULL || --limits->references > 0)
        return;
    limits_free_lines(limits);
    for (size_t i = 0; i < limits->count; i++) {
        free(limits->settings[i].value);
        free(limits->settings[i].name);
    }
    free(limits);
}

void limit_add(struct limit_making *making, const struct limit_file *file, const char *subject, char *value)
{
    if (value == NULL) {
        making->failed = true;
        return;
    }
    struct limit_setting *setting = &making->limits->settings[making->limits->count++];
    *setting = (struct limit_setting){.file = *file, .value = value};
    (void)snprintf(setting->subject, sizeof setting->subject, "%s", subject);
}

/* Docker's shares 2..262144 onto weights 1..10000, linearly, as the OCI runtimes did it first (Kubernetes KEP-2254). */
static int64_t shares_to_weight(int64_t shares)
{
    int64_t bounded = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
    return 1 + (bounded - 2) * 9999 / 262142;
}

/* Docker's 10..1000, which bfq takes as they are, onto 1..10000, linearly, as the OCI runtimes do it. */
uint64_t limit_io_weight(uint64_t weight)
{
    return 1 + (weight - 10) * 9999 / 990;
}

static char *number(int64_t value)
{
    return value < 0 ? base_format("max") : base_format("%" PRId64, value);
}

static char *format_cpu_max(const shoal_limit_t *items)
{
    const shoal_limit_t *cpus = &items[SHOAL_LIMIT_CPUS], *quota = &items[SHOAL_LIMIT_CPU_QUOTA];
    if (cpus->set)
        return base_format("%" PRId64 " %d", cpus->value * (CPU_PERIOD_USEC / 1000), CPU_PERIOD_USEC);
    int64_t period = items[SHOAL_LIMIT_CPU_PERIOD].set ? items[SHOAL_LIMIT_CPU_PERIOD].value : CPU_PERIOD_USEC;
    if (!quota->set || quota->value < 0)
        return base_format("max %" PRId64, period);
    return base_format("%" PRId64 " %" PRId64, quota->value, period);
}

/* NULL: out of memory. */
static char *format_item(shoal_limit_kind_t kind, const shoal_limit_t *items)
{
    const shoal_limit_t *limit = &items[kind];
    switch (kind) {
    case SHOAL_LIMIT_MEMORY:
    case SHOAL_LIMIT_MEMORY_RESERVATION:
    case SHOAL_LIMIT_MEMORY_HIGH:
    case SHOAL_LIMIT_OOM_GROUP:
    case SHOAL_LIMIT_CPU_BURST:
    case SHOAL_LIMIT_CPU_WEIGHT:
    case SHOAL_LIMIT_CPU_IDLE:
    case SHOAL_LIMIT_PIDS:
        return number(limit->value);
    case SHOAL_LIMIT_MEMORY_SWAP: /* Compose counts memory and swap together, the kernel swap alone */
        return number(limit->value < 0 ? -1 : limit->value - items[SHOAL_LIMIT_MEMORY].value);
    case SHOAL_LIMIT_CPUS:
    case SHOAL_LIMIT_CPU_QUOTA:
    case SHOAL_LIMIT_CPU_PERIOD:
        return format_cpu_max(items);
    case SHOAL_LIMIT_CPU_SHARES:
        return number(shares_to_weight(limit->value));
    case SHOAL_LIMIT_CPUSET:
    case SHOAL_LIMIT_CPUSET_MEMS:
        return base_format("%s", limit->text);
    case SHOAL_LIMIT_IO_WEIGHT:
        return base_format("default %" PRIu64, limit_io_weight((uint64_t)limit->value));
    case SHOAL_LIMIT_COUNT:
        break;
    }
    return NULL;
}

static void add_items(struct limit_making *making, const shoal_limit_t *items,
                      const struct cgroup_limit_defaults *defaults)
{
    bool cpu_max = false;
    for (int i = 0; i < SHOAL_LIMIT_COUNT; i++) {
        if (!items[i].set || !making->root->has[rows[i].controller])
            continue; /* a controller that is not there was refused, or its lack accepted, before */
        bool is_cpu_max = i == SHOAL_LIMIT_CPUS || i == SHOAL_LIMIT_CPU_QUOTA || i == SHOAL_LIMIT_CPU_PERIOD;
        if (is_cpu_max && cpu_max)
            continue; /* one line for all three */
        cpu_max |= is_cpu_max;
        if (i == SHOAL_LIMIT_IO_WEIGHT && making->root->has_bfq_weight)
            limit_add(making, &bfq_weight, "", base_format("default %" PRId64, items[i].value));
        if (i == SHOAL_LIMIT_IO_WEIGHT && !making->root->has_io_weight)
            continue;
        limit_add(making, &rows[i].file, "", format_item((shoal_limit_kind_t)i, items));
    }
    if (defaults == NULL)
        return;
    if (!items[SHOAL_LIMIT_PIDS].set && making->root->has[CGROUP_PIDS])
        limit_add(making, &rows[SHOAL_LIMIT_PIDS].file, "", number(defaults->pids));
    if (!items[SHOAL_LIMIT_OOM_GROUP].set && making->root->has[CGROUP_MEMORY] && defaults->oom_group)
        limit_add(making, &rows[SHOAL_LIMIT_OOM_GROUP].file, "", number(1));
}

int cgroup_limits_new(struct cgroup_limits **out, const struct cgroup_root *root, const shoal_limits_t *limits,
                      const struct cgroup_limit_defaults *defaults, struct cgroup_culprit *out_culprit,
                      shoal_error_t *err)
{
    enum { OF_DEVICE = 3, OF_NAMED = 2 }; /* settings at most */
    size_t most = SHOAL_LIMIT_COUNT + 1 + OF_DEVICE * limits->device_count + OF_NAMED * limits->named_count;
    struct limit_making making = {.root = root};
    making.limits = calloc(1, sizeof *making.limits + most * sizeof *making.limits->settings);
    if (making.limits == NULL)
        return shoal_fail(err, -ENOMEM, "limits");
    making.limits->references = 1;
    add_items(&making, limits->items, defaults);
    struct cgroup_culprit culprit = {0};
    int code = limits_add_devices(&making, limits, &culprit, err);
    if (code == 0)
        code = limits_add_named(&making, limits, &culprit, err);
    if (code == 0 && (making.failed || !limits_make_lines(making.limits)))
        code = shoal_fail(err, -ENOMEM, "limits");
    if (code == 0)
        *out = making.limits;
    else
        cgroup_limits_unref(making.limits);
    if (code < 0 && out_culprit != NULL && culprit.at != NULL)
        *out_culprit = culprit;
    return code;
}

/* ---- written ---- */

static bool is_same(enum limit_rounding rounding, const char *wanted, const char *got)
{
    switch (rounding) {
    case LIMIT_AS_WRITTEN:
        return strcmp(wanted, got) == 0;
    case LIMIT_PAGES: {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        uint64_t a = cgroup_parse_number(wanted), b = cgroup_parse_number(got);
        return a == b || (a != SHOAL_ABSENT && b != SHOAL_ABSENT && a / page == b / page);
    }
    case LIMIT_LIST:
        return cgroup_same_list(wanted, got);
    }
    return false;
}

int limit_write(int dir_fd, const struct limit_setting *setting, const char *value, shoal_error_t *err)
{
    const struct limit_file *file = &setting->file;
    char line[LIMIT_SUBJECT + 320], got[CGROUP_TEXT];
    (void)snprintf(line, sizeof line, "%s%s%s", setting->subject, setting->subject[0] != '\0' ? " " : "", value);
    int code = cgroup_file_write(dir_fd, file->name, line[0] != '\0' ? line : "\n", err);
    if (code == -ENOENT && file->may_lack)
        return 0;
    if (code < 0)
        return code;
    ssize_t count = cgroup_file_read(dir_fd, file->name, got, sizeof got);
    if (count < 0)
        return shoal_fail(err, (int)count, "%s: read back", file->name);
    const char *made = cgroup_parse_line(got, setting->subject);
    if (!is_same(file->rounding, value, made) && !(made[0] == '\0' && strcmp(value, file->initial) == 0))
        return shoal_refuse(err, -EINVAL, "%s: wrote '%s', the kernel made '%s' of it", file->name, line, made);
    return 0;
}

static int write_all(const struct cgroup_limits *limits, int dir_fd, bool early, bool late, shoal_error_t *err)
{
    int code = 0;
    for (size_t i = 0; limits != NULL && i < limits->count && code == 0; i++) {
        const struct limit_setting *setting = &limits->settings[i];
        if (setting->file.late ? late : early)
            code = limit_write(dir_fd, setting, setting->value, err);
    }
    return code;
}

int cgroup_limits_write(const struct cgroup_limits *limits, int dir_fd, shoal_error_t *err)
{
    return write_all(limits, dir_fd, true, true, err);
}

int limits_write_early(const struct cgroup_limits *limits, int dir_fd, shoal_error_t *err)
{
    return write_all(limits, dir_fd, true, false, err);
}

int limits_write_late(const struct cgroup_limits *limits, int dir_fd, shoal_error_t *err)
{
    return write_all(limits, dir_fd, false, true, err);
}
