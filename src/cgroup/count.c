/* Counters. Every file is opened, read into the stack and closed. */
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
    {"nr_throttled", offsetof(shoal_sample_t, cpu.nr_throttled)},
    {"throttled_usec", offsetof(shoal_sample_t, cpu.throttled_usec)},
};
static const struct key memory_keys[] = {
    {"anon", offsetof(shoal_sample_t, memory.anon)},
    {"file", offsetof(shoal_sample_t, memory.file)},
};
static const struct key memory_event_keys[] = {
    {"high", offsetof(shoal_sample_t, memory.events.high)},
    {"max", offsetof(shoal_sample_t, memory.events.max)},
    {"oom", offsetof(shoal_sample_t, memory.events.oom)},
    {"oom_kill", offsetof(shoal_sample_t, memory.events.oom_kill)},
};
static const struct {
    const char *file;
    size_t offset;
} pressures[] = {
    {"cpu.pressure", offsetof(shoal_sample_t, pressure.cpu)},
    {"memory.pressure", offsetof(shoal_sample_t, pressure.memory)},
    {"io.pressure", offsetof(shoal_sample_t, pressure.io)},
};

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

void cgroup_read_sample(const struct cgroup *cgroup, shoal_sample_t *out)
{
    const bool *has = cgroup->root->has;
    read_keys(cgroup, "cpu.stat", cpu_keys, COUNT(cpu_keys), out); /* usage is there without the controller */
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
    }
    if (has[CGROUP_IO])
        read_io(cgroup, out);
    for (size_t i = 0; i < COUNT(pressures); i++) {
        char text[CGROUP_TEXT];
        if (read_text(cgroup, pressures[i].file, text))
            cgroup_parse_pressure(text, (shoal_pressure_line_t *)(void *)((char *)out + pressures[i].offset));
    }
}

void cgroup_read_totals(const struct cgroup *cgroup, struct cgroup_totals *out)
{
    char text[CGROUP_TEXT];
    *out = (struct cgroup_totals){SHOAL_ABSENT, SHOAL_ABSENT, SHOAL_ABSENT, SHOAL_ABSENT};
    if (read_text(cgroup, "cpu.stat", text))
        out->usage_usec = cgroup_parse_key(text, "usage_usec");
    if (cgroup->root->has[CGROUP_MEMORY]) {
        read_number(cgroup, "memory.peak", &out->peak_bytes);
        if (read_text(cgroup, "memory.events", text))
            out->oom_kills = cgroup_parse_key(text, "oom_kill");
    }
    if (cgroup->root->has[CGROUP_PIDS] && read_text(cgroup, "pids.events", text))
        out->pids_refused = cgroup_parse_key(text, "max");
}
