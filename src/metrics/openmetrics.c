#include "metrics/openmetrics.h"

#include <math.h>
#include <string.h>

enum source { SOURCE_CONTAINER, SOURCE_GROUP, SOURCE_FLEET, SOURCE_LIMIT, SOURCE_SELF };
enum value {
    VALUE_COUNT,   /* an uint64_t as it is; SHOAL_ABSENT: no line */
    VALUE_USEC,    /* an uint64_t of microseconds, written as seconds */
    VALUE_SHARES,  /* an uint64_t, a weight of the kernel's, written as Docker's shares */
    VALUE_PERCENT, /* a double, written as a ratio; NaN: no line */
    VALUE_ONE,     /* 1: the labels are what is said */
    VALUE_STATE,   /* 1, with the container's state as a label */
    VALUE_ID       /* 1, with the container's id as a label */
};

/* One line of a family for each container, or for the fleet. */
struct point {
    size_t offset;      /* in struct snapshot_row, or in struct snapshot */
    const char *labels; /* beyond those of whom it is about; NULL none */
};

struct family {
    const char *name, *type, *unit, *help; /* unit NULL: none */
    enum source source;
    enum value value;
    size_t count;
    struct point points[12];
};

/* The formatter takes these braces for a block. */
/* clang-format off */
#define ROW(member) offsetof(struct snapshot_row, member)
#define SAMPLE(member) ROW(sample.member)
#define SELF(member) offsetof(struct snapshot, self.member)
#define FLEET(member) offsetof(struct snapshot, fleet.member)
#define LIMIT(member) offsetof(struct snapshot_limit, member)

#define CONTAINER(name, type, unit, value, help, offset) \
    {name, type, unit, help, SOURCE_CONTAINER, value, 1, {{offset, NULL}}}
#define GROUP(name, type, unit, value, help, offset) \
    {name, type, unit, help, SOURCE_GROUP, value, 1, {{offset, NULL}}}
#define PRESSURE(name, help, offset) CONTAINER(name, "counter", "seconds", VALUE_USEC, help, offset)

static const struct family families[] = {
    CONTAINER("container_last_seen", "gauge", NULL, VALUE_USEC, "When it was last counted, since the epoch.", ROW(seen_usec)),
    CONTAINER("container_start_time_seconds", "gauge", "seconds", VALUE_USEC, "When it was started last, since the epoch.", ROW(start_usec)),
    CONTAINER("shoal_container_state", "gauge", NULL, VALUE_STATE, "1 for the state that it is in.", 0),
    CONTAINER("shoal_container_id_info", "gauge", NULL, VALUE_ID, "Its id.", 0),
    CONTAINER("shoal_container_restarts", "counter", NULL, VALUE_COUNT, "Starts beyond the first.", ROW(restarts)),
    CONTAINER("container_cpu_usage_seconds", "counter", "seconds", VALUE_USEC, "CPU time used.", SAMPLE(cpu.usage_usec)),
    CONTAINER("container_cpu_user_seconds", "counter", "seconds", VALUE_USEC, "CPU time used outside the kernel.", SAMPLE(cpu.user_usec)),
    CONTAINER("container_cpu_system_seconds", "counter", "seconds", VALUE_USEC, "CPU time used inside the kernel.", SAMPLE(cpu.system_usec)),
    CONTAINER("container_cpu_cfs_periods", "counter", NULL, VALUE_COUNT, "Periods in which cpu.max was looked at.", SAMPLE(cpu.nr_periods)),
    CONTAINER("container_cpu_cfs_throttled_periods", "counter", NULL, VALUE_COUNT, "Periods in which cpu.max stopped it.", SAMPLE(cpu.nr_throttled)),
    CONTAINER("container_cpu_cfs_throttled_seconds", "counter", "seconds", VALUE_USEC, "Time for which cpu.max stopped it.", SAMPLE(cpu.throttled_usec)),
    CONTAINER("container_memory_usage_bytes", "gauge", "bytes", VALUE_COUNT, "Memory in use, page cache included.", SAMPLE(memory.current)),
    CONTAINER("container_memory_working_set_bytes", "gauge", "bytes", VALUE_COUNT, "Memory in use without page cache that was not used of late.", ROW(working_set_bytes)),
    CONTAINER("container_memory_rss", "gauge", NULL, VALUE_COUNT, "Anonymous memory, in bytes.", SAMPLE(memory.anon)),
    CONTAINER("container_memory_cache", "gauge", NULL, VALUE_COUNT, "Page cache, in bytes.", SAMPLE(memory.file)),
    CONTAINER("container_memory_max_usage_bytes", "gauge", "bytes", VALUE_COUNT, "The most memory that its last run had in use.", SAMPLE(memory.peak)),
    CONTAINER("container_spec_cpu_period", "gauge", NULL, VALUE_COUNT, "The period of cpu.max, in microseconds.", SAMPLE(spec.cpu_period)),
    CONTAINER("container_spec_cpu_quota", "gauge", NULL, VALUE_COUNT, "The quota of cpu.max in each period, in microseconds; absent when there is none.", SAMPLE(spec.cpu_quota)),
    CONTAINER("container_spec_cpu_shares", "gauge", NULL, VALUE_SHARES, "cpu.weight as shares of Docker; absent when none is set.", SAMPLE(spec.cpu_weight)),
    CONTAINER("shoal_container_cpu_burst_seconds", "gauge", "seconds", VALUE_USEC, "cpu.max.burst; absent when none is set.", SAMPLE(spec.cpu_burst)),
    CONTAINER("container_spec_memory_limit_bytes", "gauge", "bytes", VALUE_COUNT, "memory.max; absent when there is no limit.", SAMPLE(memory.max)),
    CONTAINER("container_spec_memory_reservation_limit_bytes", "gauge", "bytes", VALUE_COUNT, "memory.low; absent when none is set.", SAMPLE(spec.memory_low)),
    CONTAINER("container_spec_memory_swap_limit_bytes", "gauge", "bytes", VALUE_COUNT, "memory.swap.max, swap alone; absent when there is no limit.", SAMPLE(spec.memory_swap)),
    CONTAINER("shoal_container_memory_high_bytes", "gauge", "bytes", VALUE_COUNT, "memory.high; absent when there is none.", SAMPLE(spec.memory_high)),
    CONTAINER("container_oom_events", "counter", NULL, VALUE_COUNT, "Processes that the kernel killed for lack of memory.", SAMPLE(memory.events.oom_kill)),
    {"shoal_container_memory_events", "counter", NULL, "memory.events of the kernel.", SOURCE_CONTAINER, VALUE_COUNT, 6, {
        {SAMPLE(memory.events.low), "event=\"low\""}, {SAMPLE(memory.events.high), "event=\"high\""},
        {SAMPLE(memory.events.max), "event=\"max\""}, {SAMPLE(memory.events.oom), "event=\"oom\""},
        {SAMPLE(memory.events.oom_kill), "event=\"oom_kill\""}, {SAMPLE(memory.events.oom_group_kill), "event=\"oom_group_kill\""}}},
    CONTAINER("container_threads", "gauge", NULL, VALUE_COUNT, "Tasks in it.", SAMPLE(pids.current)),
    CONTAINER("container_threads_max", "gauge", NULL, VALUE_COUNT, "pids.max; absent when there is no limit.", SAMPLE(pids.max)),
    CONTAINER("shoal_container_pids_refused", "counter", NULL, VALUE_COUNT, "Tasks that pids.max refused it.", SAMPLE(pids.refused)),
    CONTAINER("container_fs_reads_bytes", "counter", "bytes", VALUE_COUNT, "Bytes read from block devices.", SAMPLE(io.rbytes)),
    CONTAINER("container_fs_writes_bytes", "counter", "bytes", VALUE_COUNT, "Bytes written to block devices.", SAMPLE(io.wbytes)),
    CONTAINER("container_fs_reads", "counter", NULL, VALUE_COUNT, "Reads from block devices.", SAMPLE(io.rios)),
    CONTAINER("container_fs_writes", "counter", NULL, VALUE_COUNT, "Writes to block devices.", SAMPLE(io.wios)),
    CONTAINER("container_fs_usage_bytes", "gauge", "bytes", VALUE_COUNT, "Bytes that its writable layer holds, where that has a limit.", SAMPLE(disk.current)),
    CONTAINER("container_fs_limit_bytes", "gauge", "bytes", VALUE_COUNT, "Bytes that its writable layer may hold.", SAMPLE(disk.max)),
    CONTAINER("shoal_container_fs_inodes_limit", "gauge", NULL, VALUE_COUNT, "Inodes that its writable layer may hold.", SAMPLE(disk.inodes_max)),
    CONTAINER("container_fs_inodes_free", "gauge", NULL, VALUE_COUNT, "Inodes that are left of them.", ROW(free_inodes)),
    CONTAINER("container_network_receive_bytes", "counter", "bytes", VALUE_COUNT, "Bytes received.", SAMPLE(net.rx_bytes)),
    CONTAINER("container_network_receive_packets", "counter", NULL, VALUE_COUNT, "Packets received.", SAMPLE(net.rx_packets)),
    CONTAINER("container_network_receive_packets_dropped", "counter", NULL, VALUE_COUNT, "Packets dropped on their way in.", SAMPLE(net.rx_dropped)),
    CONTAINER("container_network_transmit_bytes", "counter", "bytes", VALUE_COUNT, "Bytes sent.", SAMPLE(net.tx_bytes)),
    CONTAINER("container_network_transmit_packets", "counter", NULL, VALUE_COUNT, "Packets sent.", SAMPLE(net.tx_packets)),
    CONTAINER("container_network_transmit_packets_dropped", "counter", NULL, VALUE_COUNT, "Packets dropped on their way out.", SAMPLE(net.tx_dropped)),
    PRESSURE("container_pressure_cpu_waiting_seconds", "Time for which some task waited for a CPU.", SAMPLE(pressure.cpu.some_total)),
    PRESSURE("container_pressure_cpu_stalled_seconds", "Time for which every task waited for a CPU.", SAMPLE(pressure.cpu.full_total)),
    PRESSURE("container_pressure_memory_waiting_seconds", "Time for which some task waited for memory.", SAMPLE(pressure.memory.some_total)),
    PRESSURE("container_pressure_memory_stalled_seconds", "Time for which every task waited for memory.", SAMPLE(pressure.memory.full_total)),
    PRESSURE("container_pressure_io_waiting_seconds", "Time for which some task waited for a disk.", SAMPLE(pressure.io.some_total)),
    PRESSURE("container_pressure_io_stalled_seconds", "Time for which every task waited for a disk.", SAMPLE(pressure.io.full_total)),
    {"shoal_container_pressure_ratio", "gauge", "ratio", "Share of the last 10 s for which tasks waited, as the kernel averages it.",
        SOURCE_CONTAINER, VALUE_PERCENT, 6, {
        {SAMPLE(pressure.cpu.some_avg10), "resource=\"cpu\",kind=\"some\""}, {SAMPLE(pressure.cpu.full_avg10), "resource=\"cpu\",kind=\"full\""},
        {SAMPLE(pressure.memory.some_avg10), "resource=\"memory\",kind=\"some\""}, {SAMPLE(pressure.memory.full_avg10), "resource=\"memory\",kind=\"full\""},
        {SAMPLE(pressure.io.some_avg10), "resource=\"io\",kind=\"some\""}, {SAMPLE(pressure.io.full_avg10), "resource=\"io\",kind=\"full\""}}},
    GROUP("shoal_group_cpu_usage_seconds", "counter", "seconds", VALUE_USEC, "CPU time used in a group; group / is the project.", SAMPLE(cpu.usage_usec)),
    GROUP("shoal_group_cpu_throttled_seconds", "counter", "seconds", VALUE_USEC, "Time for which its own cpu.max stopped it.", SAMPLE(cpu.throttled_usec)),
    GROUP("shoal_group_memory_usage_bytes", "gauge", "bytes", VALUE_COUNT, "Memory in use, page cache included.", SAMPLE(memory.current)),
    GROUP("shoal_group_memory_working_set_bytes", "gauge", "bytes", VALUE_COUNT, "Memory in use without page cache that was not used of late.", ROW(working_set_bytes)),
    GROUP("shoal_group_memory_limit_bytes", "gauge", "bytes", VALUE_COUNT, "Its own memory.max; absent when there is no limit.", SAMPLE(memory.max)),
    GROUP("shoal_group_oom_events", "counter", NULL, VALUE_COUNT, "Processes that the kernel killed in it for lack of memory.", SAMPLE(memory.events.oom_kill)),
    GROUP("shoal_group_network_receive_bytes", "counter", "bytes", VALUE_COUNT, "Bytes received by its containers, those that have ended too.", SAMPLE(net.rx_bytes)),
    GROUP("shoal_group_network_receive_packets", "counter", NULL, VALUE_COUNT, "Packets received.", SAMPLE(net.rx_packets)),
    GROUP("shoal_group_network_receive_packets_dropped", "counter", NULL, VALUE_COUNT, "Packets dropped on their way in.", SAMPLE(net.rx_dropped)),
    GROUP("shoal_group_network_transmit_bytes", "counter", "bytes", VALUE_COUNT, "Bytes sent.", SAMPLE(net.tx_bytes)),
    GROUP("shoal_group_network_transmit_packets", "counter", NULL, VALUE_COUNT, "Packets sent.", SAMPLE(net.tx_packets)),
    GROUP("shoal_group_network_transmit_packets_dropped", "counter", NULL, VALUE_COUNT, "Packets dropped on their way out.", SAMPLE(net.tx_dropped)),
    GROUP("shoal_group_tasks", "gauge", NULL, VALUE_COUNT, "Tasks.", SAMPLE(pids.current)),
    GROUP("shoal_group_tasks_limit", "gauge", NULL, VALUE_COUNT, "Its own pids.max; absent when there is no limit.", SAMPLE(pids.max)),
    {"shoal_group_pressure_waiting_seconds", "counter", "seconds", "Time for which some task in it waited.", SOURCE_GROUP, VALUE_USEC, 3, {
        {SAMPLE(pressure.cpu.some_total), "resource=\"cpu\""}, {SAMPLE(pressure.memory.some_total), "resource=\"memory\""},
        {SAMPLE(pressure.io.some_total), "resource=\"io\""}}},
    {"shoal_fleet_containers", "gauge", NULL, "Containers of the fleet by state.", SOURCE_FLEET, VALUE_COUNT, 5, {
        {FLEET(running), "state=\"running\""}, {FLEET(paused), "state=\"paused\""}, {FLEET(starting), "state=\"starting\""},
        {FLEET(backoff), "state=\"backoff\""}, {FLEET(exited), "state=\"exited\""}}},
    {"shoal_pool_namespaces", "gauge", NULL, "Network namespaces made ahead: ready, and lent to containers.", SOURCE_FLEET, VALUE_COUNT, 2, {
        {FLEET(pool.ready), "state=\"ready\""}, {FLEET(pool.lent), "state=\"lent\""}}},
    {"shoal_pool_made", "counter", NULL, "Network namespaces that were made ahead.", SOURCE_FLEET, VALUE_COUNT, 1, {{FLEET(pool.made), NULL}}},
    {"shoal_pool_reused", "counter", NULL, "Starts in a namespace that had served before.", SOURCE_FLEET, VALUE_COUNT, 1, {{FLEET(pool.reused), NULL}}},
    {"shoal_pool_starts", "counter", NULL, "Starts that found a namespace ready, and that found none.", SOURCE_FLEET, VALUE_COUNT, 2, {
        {FLEET(pool.hits), "found=\"hit\""}, {FLEET(pool.misses), "found=\"miss\""}}},
    {"shoal_pool_failures", "counter", NULL, "Namespaces that could not be made, or not be cleaned to serve again.", SOURCE_FLEET, VALUE_COUNT, 1, {{FLEET(pool.failed), NULL}}},
    {"shoal_pool_cpu_seconds", "counter", "seconds", "CPU time of the thread that makes and cleans namespaces.", SOURCE_FLEET, VALUE_USEC, 1, {{FLEET(pool.usage_usec), NULL}}},
    {"shoal_governor_waiting", "gauge", NULL, "Starts that wait for their turn.", SOURCE_FLEET, VALUE_COUNT, 2, {
        {FLEET(governor.waiting_ordinary), "starts=\"ordinary\""}, {FLEET(governor.waiting_crashed), "starts=\"crashed\""}}},
    {"shoal_governor_slow", "gauge", NULL, "1 while such starts are slowed down.", SOURCE_FLEET, VALUE_COUNT, 2, {
        {FLEET(governor.slow_ordinary), "starts=\"ordinary\""}, {FLEET(governor.slow_crashed), "starts=\"crashed\""}}},
    {"shoal_governor_throttles", "counter", NULL, "How often starts were slowed down.", SOURCE_FLEET, VALUE_COUNT, 1, {{FLEET(governor.slowed), NULL}}},
    {"shoal_host_limit", "gauge", NULL, "Limits of the host, by their names in the kernel; memory in bytes.", SOURCE_LIMIT, VALUE_COUNT, 1, {{LIMIT(limit), NULL}}},
    {"shoal_host_limit_used", "gauge", NULL, "How much of it is in use on the host, or by this fleet where the kernel counts no more.", SOURCE_LIMIT, VALUE_COUNT, 1, {{LIMIT(used), NULL}}},
    {"shoal_host_limit_needed", "gauge", NULL, "What the whole fleet needs of it.", SOURCE_LIMIT, VALUE_COUNT, 1, {{LIMIT(needed), NULL}}},
    {"shoal_fleet_starts", "counter", NULL, "Starts that worked.", SOURCE_FLEET, VALUE_COUNT, 1, {{FLEET(starts), NULL}}},
    {"shoal_fleet_deaths", "counter", NULL, "Ends of containers.", SOURCE_FLEET, VALUE_COUNT, 1, {{FLEET(deaths), NULL}}},
    {"process_resident_memory_bytes", "gauge", "bytes", "Resident memory of shoal itself.", SOURCE_SELF, VALUE_COUNT, 1, {{SELF(rss_bytes), NULL}}},
    {"process_cpu_seconds", "counter", "seconds", "CPU time of shoal itself.", SOURCE_SELF, VALUE_USEC, 1, {{SELF(usage_usec), NULL}}},
    {"process_open_fds", "gauge", NULL, "Open descriptors of shoal itself.", SOURCE_SELF, VALUE_COUNT, 1, {{SELF(fds), NULL}}},
    {"shoal_loop_lag_seconds", "gauge", "seconds", "How long the loop kept events waiting since the last exposition.", SOURCE_SELF, VALUE_USEC, 3, {
        {SELF(lag.p50_usec), "statistic=\"p50\""}, {SELF(lag.p99_usec), "statistic=\"p99\""}, {SELF(lag.max_usec), "statistic=\"max\""}}},
    {"shoal_stdout_dropped", "counter", NULL, "Records or expositions that a slow reader of stdout missed.", SOURCE_SELF, VALUE_COUNT, 1, {{SELF(losses.stdout_dropped), NULL}}},
    {"shoal_log_dropped_bytes", "counter", "bytes", "Output of containers that a slow reader of stderr missed.", SOURCE_SELF, VALUE_COUNT, 1, {{SELF(losses.log_dropped), NULL}}},
    {"shoal_build_info", "gauge", NULL, "The version of shoal.", SOURCE_SELF, VALUE_ONE, 1, {{0, "version=\"" SHOAL_VERSION "\""}}},
};
/* clang-format on */

const char *openmetrics_content_type(enum openmetrics_dialect dialect)
{
    return dialect == OPENMETRICS_1_0 ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                      : "text/plain; version=0.0.4; charset=utf-8";
}

static void put_uint(struct text *out, uint64_t value)
{
    char digits[20]; /* 2^64 has twenty */
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    text_add(out, digits + at, sizeof digits - at);
}

/* A millionth is the smallest part that we have; printf would take the point from the host program's locale. */
static void put_millionths(struct text *out, uint64_t value)
{
    put_uint(out, value / 1000000);
    char part[7] = {'.'};
    uint64_t rest = value % 1000000;
    for (size_t i = 6; i > 0; i--, rest /= 10)
        part[i] = (char)('0' + rest % 10);
    size_t count = sizeof part;
    while (count > 1 && part[count - 1] == '0')
        count--;
    if (count > 1)
        text_add(out, part, count);
}

/* Returns false where there is nothing to say. */
static bool read_value(const struct family *family, const void *record, size_t offset, uint64_t *out)
{
    double percent;
    switch (family->value) {
    case VALUE_COUNT:
    case VALUE_USEC:
        memcpy(out, (const char *)record + offset, sizeof *out);
        return *out != SHOAL_ABSENT;
    case VALUE_SHARES:
        memcpy(out, (const char *)record + offset, sizeof *out);
        if (*out == SHOAL_ABSENT || *out == 0) /* an idle cgroup has no weight */
            return false;
        *out = 2 + (*out - 1) * 262142 / 9999; /* as cAdvisor: Kubernetes KEP-2254, turned round */
        return true;
    case VALUE_PERCENT:
        memcpy(&percent, (const char *)record + offset, sizeof percent);
        if (!(percent >= 0 && percent <= 1e6)) /* NaN too */
            return false;
        *out = (uint64_t)llround(percent * 10000); /* in millionths of 1 */
        return true;
    case VALUE_ONE:
    case VALUE_STATE:
    case VALUE_ID:
        *out = 1;
        return true;
    }
    return false;
}

static void put_name(struct text *out, const struct family *family, bool with_total)
{
    text_add_string(out, family->name);
    if (with_total && strcmp(family->type, "counter") == 0)
        text_add_string(out, "_total");
}

static void put_head(struct text *out, const struct family *family, enum openmetrics_dialect dialect)
{
    bool with_total = dialect == OPENMETRICS_TEXT_0;
    text_add_string(out, "# TYPE ");
    put_name(out, family, with_total);
    text_add_format(out, " %s\n", family->type);
    if (family->unit != NULL && dialect == OPENMETRICS_1_0)
        text_add_format(out, "# UNIT %s %s\n", family->name, family->unit);
    text_add_string(out, "# HELP ");
    put_name(out, family, with_total);
    text_add_format(out, " %s\n", family->help); /* our own words: nothing in them to escape */
}

static void put_labels(struct text *out, const struct family *family, const struct point *point,
                       const struct snapshot_row *row, const char *own)
{
    const char *parts[5] = {own, point->labels};
    size_t count = 2;
    if (family->value == VALUE_STATE) {
        parts[count++] = "state=\"";
        parts[count++] = row->state;
        parts[count++] = "\"";
    } else if (family->value == VALUE_ID) {
        parts[count++] = "id=\"";
        parts[count++] = row->who->id;
        parts[count++] = "\"";
    }
    char before = '{';
    for (size_t i = 0; i < count; i++) {
        if (parts[i] == NULL)
            continue;
        if (i < 3) { /* what follows the third is still the same label */
            text_add(out, &before, 1);
            before = ',';
        }
        text_add_string(out, parts[i]);
    }
    if (before == ',')
        text_add(out, "}", 1);
}

/* All points of one row. The head comes with the first line: a family that nobody has a value for is not there at all. */
static void put_row(struct text *out, const struct family *family, const struct snapshot *snapshot, size_t index,
                    enum openmetrics_dialect dialect, bool *headed)
{
    const struct snapshot_row *row = family->source == SOURCE_CONTAINER ? &snapshot->rows[index]
                                     : family->source == SOURCE_GROUP   ? &snapshot->groups[index]
                                                                        : NULL;
    const struct snapshot_limit *limit = family->source == SOURCE_LIMIT ? &snapshot->limits[index] : NULL;
    const void *record = row != NULL ? (const void *)row : limit != NULL ? (const void *)limit : snapshot;
    const char *own = row != NULL                      ? row->who->labels
                      : limit != NULL                  ? limit->labels
                      : family->source == SOURCE_FLEET ? snapshot->fleet_labels
                                                       : NULL;
    for (size_t i = 0; i < family->count; i++) {
        uint64_t value;
        if (!read_value(family, record, family->points[i].offset, &value))
            continue;
        if (!*headed)
            put_head(out, family, dialect);
        *headed = true;
        put_name(out, family, true);
        put_labels(out, family, &family->points[i], row, own);
        text_add(out, " ", 1);
        if (family->value == VALUE_USEC || family->value == VALUE_PERCENT)
            put_millionths(out, value);
        else
            put_uint(out, value);
        text_add(out, "\n", 1);
    }
}

static size_t count_rows(const struct snapshot *snapshot, enum source source)
{
    return source == SOURCE_CONTAINER ? snapshot->count
           : source == SOURCE_GROUP   ? snapshot->group_count
           : source == SOURCE_LIMIT   ? snapshot->limit_count
           : source == SOURCE_FLEET   ? snapshot->fleet_labels != NULL
                                      : 1;
}

bool openmetrics_render(const struct snapshot *snapshot, enum openmetrics_dialect dialect,
                        struct openmetrics_cursor *cursor, size_t most, struct text *out)
{
    size_t begin = out->count;
    while (cursor->family < COUNT(families)) {
        const struct family *family = &families[cursor->family];
        size_t rows = count_rows(snapshot, family->source);
        while (cursor->row < rows) {
            if (out->failed || out->count - begin >= most)
                return true;
            put_row(out, family, snapshot, cursor->row++, dialect, &cursor->headed);
        }
        cursor->family++;
        cursor->row = 0;
        cursor->headed = false;
    }
    if (!cursor->ended && dialect == OPENMETRICS_1_0)
        text_add_string(out, "# EOF\n");
    cursor->ended = true;
    return false;
}
