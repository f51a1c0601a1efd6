/* Counters. Every file is opened, read into the stack and closed. */
#include <string.h>

#include "cgroup/inside.h"

static bool read_text(const struct cgroup *cgroup, const char *file, char text[CGROUP_TEXT])
{
    return cgroup_read(cgroup, file, text, CGROUP_TEXT) >= 0;
}

static void read_number(const struct cgroup *cgroup, const char *file, uint64_t *out)
{
    char text[CGROUP_TEXT];
    *out = read_text(cgroup, file, text) ? cgroup_parse_number(text) : SHOAL_ABSENT;
}

struct key {
    const char *name;
    size_t offset;
};

static void read_keys(const struct cgroup *cgroup, const char *file, const struct key *keys, size_t count,
                      shoal_sample_t *out)
{
    char text[CGROUP_TEXT];
    bool there = read_text(cgroup, file, text);
    for (size_t i = 0; i < count; i++) {
        uint64_t value = there ? cgroup_parse_key(text, keys[i].name) : SHOAL_ABSENT;
        *(uint64_t *)(void *)((char *)out + keys[i].offset) = value;
    }
}

static const struct key cpu_keys[] = {
    {"usage_usec", offsetof(shoal_sample_t, cpu.usage_usec)},
    {"user_usec", offsetof(shoal_sample_t, cpu.user_usec)},
    {"system_usec", offsetof(shoal_sample_t, cpu.system_usec)},
    {"nr_periods", offsetof(shoal_sample_t, cpu.nr_periods)},
    {"nr_throttled", offsetof(shoal_sample_t, cpu.nr_throttled)},
    {"throttled_usec", offsetof(shoal_sample_t, cpu.throttled_usec)},
};
static const struct key memory_keys[] = {
    {"anon", offsetof(shoal_sample_t, memory.anon)},
    {"file", offsetof(shoal_sample_t, memory.file)},
    {"inactive_file", offsetof(shoal_sample_t, memory.inactive_file)},
};
static const struct key memory_event_keys[] = {
    {"low", offsetof(shoal_sample_t, memory.events.low)},
    {"high", offsetof(shoal_sample_t, memory.events.high)},
    {"max", offsetof(shoal_sample_t, memory.events.max)},
    {"oom", offsetof(shoal_sample_t, memory.events.oom)},
    {"oom_kill", offsetof(shoal_sample_t, memory.events.oom_kill)},
    {"oom_group_kill", offsetof(shoal_sample_t, memory.events.oom_group_kill)}, /* since Linux 5.17 */
};
static const char *const pressure_files[PRESSURE_FILES] = {"cpu.pressure", "memory.pressure", "io.pressure"};

static bool has_changed(uint64_t *last, uint64_t now)
{
    bool changed = now == SHOAL_ABSENT || now != *last;
    *last = now;
    return changed;
}

void cgroup_root_begin_round(struct cgroup_root *root)
{
    char text[CGROUP_TEXT];
    bool there = cgroup_file_read(root->dir_fd, "cpu.stat", text, sizeof text) >= 0;
    root->cpu_rests = !has_changed(&root->usage_usec, there ? cgroup_parse_key(text, "usage_usec") : SHOAL_ABSENT);
    for (size_t i = 0; i < PRESSURE_FILES; i++) {
        shoal_pressure_line_t line = {.some_total = SHOAL_ABSENT};
        if (cgroup_file_read(root->dir_fd, pressure_files[i], text, sizeof text) >= 0)
            cgroup_parse_pressure(text, &line);
        root->pressure_rests[i] = !has_changed(&root->stalled_usec[i], line.some_total);
    }
}

/* Every stall of a container is one of its project, and its averages stay 0 without one. */
static bool pressure_rests(const struct cgroup *cgroup, size_t i)
{
    const shoal_pressure_line_t *last = &cgroup->last.pressure[i];
    return cgroup->has_last && cgroup->root->pressure_rests[i] && last->some_avg10 == 0 && last->full_avg10 == 0;
}

static void read_cpu(struct cgroup *cgroup, shoal_sample_t *out)
{
    if (cgroup->has_last && cgroup->root->cpu_rests)
        memcpy(&out->cpu, cgroup->last.cpu, sizeof out->cpu);
    else
        read_keys(cgroup, "cpu.stat", cpu_keys, COUNT(cpu_keys), out); /* usage is there without the controller */
    memcpy(cgroup->last.cpu, &out->cpu, sizeof out->cpu);
}

static void read_pressure(struct cgroup *cgroup, shoal_sample_t *out)
{
    shoal_pressure_line_t *const lines[PRESSURE_FILES] = {&out->pressure.cpu, &out->pressure.memory, &out->pressure.io};
    for (size_t i = 0; i < PRESSURE_FILES; i++) {
        char text[CGROUP_TEXT];
        if (pressure_rests(cgroup, i))
            *lines[i] = cgroup->last.pressure[i];
        else if (read_text(cgroup, pressure_files[i], text))
            cgroup_parse_pressure(text, lines[i]);
        cgroup->last.pressure[i] = *lines[i];
    }
}

static void read_io(const struct cgroup *cgroup, shoal_sample_t *out)
{
    char text[CGROUP_TEXT];
    if (!read_text(cgroup, "io.stat", text))
        return;
    uint64_t sums[4];
    cgroup_parse_io(text, sums);
    out->io.rbytes = sums[0];
    out->io.wbytes = sums[1];
    out->io.rios = sums[2];
    out->io.wios = sums[3];
}

void cgroup_read_sample(struct cgroup *cgroup, shoal_sample_t *out)
{
    const bool *has = cgroup->root->has;
    read_cpu(cgroup, out);
    if (has[CGROUP_MEMORY]) {
        read_number(cgroup, "memory.current", &out->memory.current);
        read_number(cgroup, "memory.peak", &out->memory.peak); /* since Linux 5.19 */
        read_number(cgroup, "memory.max", &out->memory.max);
        read_keys(cgroup, "memory.stat", memory_keys, COUNT(memory_keys), out);
        read_keys(cgroup, "memory.events", memory_event_keys, COUNT(memory_event_keys), out);
    }
    if (has[CGROUP_PIDS]) {
        read_number(cgroup, "pids.current", &out->pids.current);
        read_number(cgroup, "pids.max", &out->pids.max);
        out->pids.refused = cgroup->pids_refused;
    }
    if (has[CGROUP_IO])
        read_io(cgroup, out);
    read_pressure(cgroup, out);
    cgroup_tell_limits(cgroup, out);
    cgroup->has_last = true;
}

void cgroup_read_last_sample(struct cgroup *cgroup, shoal_sample_t *out)
{
    char text[CGROUP_TEXT];
    cgroup->has_last = false;
    cgroup_read_sample(cgroup, out);
    uint64_t refused = cgroup->root->has[CGROUP_PIDS] && read_text(cgroup, "pids.events", text)
                           ? cgroup_parse_key(text, "max")
                           : SHOAL_ABSENT;
    if (refused != SHOAL_ABSENT)
        out->pids.refused = cgroup->pids_refused = refused; /* its notice may still be on the way */
}

uint64_t cgroup_read_usage_usec(const struct cgroup *cgroup)
{
    char text[CGROUP_TEXT];
    return read_text(cgroup, "cpu.stat", text) ? cgroup_parse_key(text, "usage_usec") : SHOAL_ABSENT;
}
