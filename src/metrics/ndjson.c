#include <arpa/inet.h>
#include <signal.h>
#include <string.h>

#include "metrics/ndjson.h"

static void begin(struct json *json, uint64_t time_usec, const char *type)
{
    char time[32];
    base_format_time(time_usec, time);
    json_open(json, NULL, '{');
    json_string(json, "time", time);
    json_string(json, "type", type);
}

static void end(struct json *json)
{
    json_close(json, '}');
    text_add(json->out, "\n", 1);
}

static void put_counter(struct json *json, const char *key, uint64_t value)
{
    if (value != SHOAL_ABSENT)
        json_uint(json, key, value);
}

/* An object that is left out when nothing came into it. */
struct mark {
    size_t at, after;
    bool comma;
};

static struct mark open_object(struct json *json, const char *key)
{
    struct mark mark = {.at = json->out->count, .comma = json->comma};
    json_open(json, key, '{');
    mark.after = json->out->count;
    return mark;
}

static void close_object(struct json *json, struct mark mark)
{
    if (json->out->count != mark.after) {
        json_close(json, '}');
        return;
    }
    json->out->count = mark.at; /* the next addition writes over it; end() always makes one */
    json->comma = mark.comma;
}

/* Samples: one table for each object, in the order in which its members are written. */

struct counter {
    const char *key;
    size_t offset; /* of an uint64_t in shoal_sample_t, or in shoal_fleet_sample_t */
};

/* The formatter takes these braces for a block. */
/* clang-format off */
#define SAMPLE(object, name) {#name, offsetof(shoal_sample_t, object.name)}
#define FLEET(name) {#name, offsetof(shoal_fleet_sample_t, name)}
/* clang-format on */

static const struct counter cpu_counters[] = {
    SAMPLE(cpu, usage_usec), SAMPLE(cpu, user_usec),    SAMPLE(cpu, system_usec),
    SAMPLE(cpu, nr_periods), SAMPLE(cpu, nr_throttled), SAMPLE(cpu, throttled_usec),
};
static const struct counter memory_counters[] = {
    SAMPLE(memory, current), SAMPLE(memory, peak), SAMPLE(memory, max),
    SAMPLE(memory, anon),    SAMPLE(memory, file), SAMPLE(memory, inactive_file),
};
static const struct counter memory_event_counters[] = {
    SAMPLE(memory.events, low), SAMPLE(memory.events, high),     SAMPLE(memory.events, max),
    SAMPLE(memory.events, oom), SAMPLE(memory.events, oom_kill), SAMPLE(memory.events, oom_group_kill),
};
static const struct counter pids_counters[] = {SAMPLE(pids, current), SAMPLE(pids, max), SAMPLE(pids, refused)};
static const struct counter io_counters[] = {
    SAMPLE(io, rbytes),
    SAMPLE(io, wbytes),
    SAMPLE(io, rios),
    SAMPLE(io, wios),
};
static const struct counter disk_counters[] = {
    SAMPLE(disk, current),
    SAMPLE(disk, max),
    SAMPLE(disk, inodes),
    SAMPLE(disk, inodes_max),
};
static const struct counter net_counters[] = {
    SAMPLE(net, rx_bytes), SAMPLE(net, rx_packets), SAMPLE(net, rx_dropped),
    SAMPLE(net, tx_bytes), SAMPLE(net, tx_packets), SAMPLE(net, tx_dropped),
};

static const struct pressure {
    const char *key;
    size_t offset; /* of a shoal_pressure_line_t in shoal_sample_t */
} pressures[] = {SAMPLE(pressure, cpu), SAMPLE(pressure, memory), SAMPLE(pressure, io)};

static const struct counter fleet_counters[] = {
    FLEET(running), FLEET(starting), FLEET(backoff), FLEET(exited),
    FLEET(starts),  FLEET(deaths),   FLEET(parked),  FLEET(paused),
};
#define POOL(member)                                                                                                   \
    {                                                                                                                  \
#member, offsetof(shoal_fleet_sample_t, pool.member)                                                           \
    }
static const struct counter pool_counters[] = {POOL(ready), POOL(lent),   POOL(made),   POOL(reused),
                                               POOL(hits),  POOL(misses), POOL(failed), POOL(usage_usec)};

#define GOVERNOR(member)                                                                                               \
    {                                                                                                                  \
#member, offsetof(shoal_fleet_sample_t, governor.member)                                                       \
    }
static const struct counter governor_counters[] = {GOVERNOR(waiting_ordinary), GOVERNOR(waiting_crashed),
                                                   GOVERNOR(slow_ordinary), GOVERNOR(slow_crashed), GOVERNOR(slowed)};

static void put_counters(struct json *json, const void *record, const struct counter *counters, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)record + counters[i].offset, sizeof value);
        put_counter(json, counters[i].key, value);
    }
}

static void put_object(struct json *json, const char *key, const void *record, const struct counter *counters,
                       size_t count)
{
    struct mark mark = open_object(json, key);
    put_counters(json, record, counters, count);
    close_object(json, mark);
}

static void put_pressure(struct json *json, const shoal_sample_t *sample)
{
    struct mark all = open_object(json, "pressure");
    for (size_t i = 0; i < COUNT(pressures); i++) {
        shoal_pressure_line_t line;
        memcpy(&line, (const char *)sample + pressures[i].offset, sizeof line);
        struct mark one = open_object(json, pressures[i].key);
        if (line.some_total != SHOAL_ABSENT) { /* the averages are there when the totals are */
            json_double(json, "some_avg10", line.some_avg10);
            json_uint(json, "some_total", line.some_total);
        }
        if (line.full_total != SHOAL_ABSENT) {
            json_double(json, "full_avg10", line.full_avg10);
            json_uint(json, "full_total", line.full_total);
        }
        close_object(json, one);
    }
    close_object(json, all);
}

/* Events */

/* "SIGKILL"; real-time signals have no names of their own: "SIGRTMIN+3". */
static void put_signal(struct json *json, int number)
{
    if (number <= 0)
        return;
    char name[24];
    const char *word = sigabbrev_np(number);
    if (word != NULL)
        (void)snprintf(name, sizeof name, "SIG%s", word);
    else if (number >= SIGRTMIN && number <= SIGRTMAX)
        (void)snprintf(name, sizeof name, number > SIGRTMIN ? "SIGRTMIN+%d" : "SIGRTMIN", number - SIGRTMIN);
    else
        (void)snprintf(name, sizeof name, "SIG%d", number);
    json_string(json, "signal", name);
}

static void put_start(struct json *json, const shoal_event_t *event)
{
    put_counter(json, "took_usec", event->took_usec);
    if (event->attempt > 0)
        json_uint(json, "attempt", event->attempt);
}

static void put_end(struct json *json, const shoal_event_t *event)
{
    json_int(json, "exitCode", event->exit_code);
    put_signal(json, event->signal);
    json_string(json, "cause", shoal_cause_name(event->cause));
}

static void put_oom_members(struct json *json, const shoal_oom_t *oom)
{
    json_string(json, "level", oom->level);
    if (oom->cgroup[0] != '\0')
        json_string(json, "cgroup", oom->cgroup);
    put_counter(json, "limit", oom->limit_bytes);
    put_counter(json, "peak", oom->peak_bytes);
    if (oom->victim_comm == NULL)
        return;
    json_open(json, "victim", '{');
    json_int(json, "pid", oom->victim_pid);
    json_string(json, "comm", oom->victim_comm);
    json_close(json, '}');
}

/* The lines as an array: an end without a newline is one, too. */
static void put_output(struct json *json, const char *bytes, size_t count)
{
    if (count == 0)
        return;
    json_open(json, "output", '[');
    while (count > 0) {
        const char *newline = memchr(bytes, '\n', count);
        size_t length = newline != NULL ? (size_t)(newline - bytes) : count;
        json_bytes(json, NULL, bytes, length);
        length += newline != NULL;
        bytes += length;
        count -= length;
    }
    json_close(json, ']');
}

/* What stood behind a die's first members. The counters are those of the container's last sample. */
static void put_death(struct json *json, const shoal_death_t *death)
{
    const shoal_sample_t *sample = death->sample;
    json_string(json, "by", death->by);
    json_string(json, "why", death->why);
    if (death->oom != NULL) {
        json_open(json, "oom", '{');
        put_oom_members(json, death->oom);
        json_close(json, '}');
    }
    put_object(json, "io", sample, io_counters, COUNT(io_counters));
    put_object(json, "net", sample, net_counters, COUNT(net_counters));
    if (sample->cpu.nr_periods != SHOAL_ABSENT && sample->cpu.nr_periods > 0)
        json_double(json, "throttled_share", (double)sample->cpu.nr_throttled / (double)sample->cpu.nr_periods);
    put_pressure(json, sample);
    put_counter(json, "pids_refused", sample->pids.refused);
    put_output(json, death->output, death->output_count);
}

static void put_die(struct json *json, const shoal_event_t *event)
{
    put_end(json, event);
    json_string(json, "restart", event->restart);
    json_string(json, "restart_reason", event->restart_reason);
    if (event->delay_usec > 0)
        json_uint(json, "delay_usec", event->delay_usec);
    if (event->cause == SHOAL_CAUSE_FAILED) {
        json_string(json, "error", event->error); /* it never ran: there is nothing that it used */
        return;
    }
    put_counter(json, "wall_usec", event->wall_usec);
    put_counter(json, "usage_usec", event->usage_usec);
    put_counter(json, "peak", event->peak_bytes);
    if (event->death != NULL)
        put_death(json, event->death);
}

static void put_oom(struct json *json, const shoal_event_t *event)
{
    put_counter(json, "count", event->count);
    if (event->oom == NULL)
        return;
    json_bool(json, "partial", event->oom->partial != 0);
    put_oom_members(json, event->oom);
}

static void put_limit(struct json *json, const shoal_event_t *event)
{
    json_string(json, "limit", event->limit);
    json_string(json, "counter", event->counter);
    put_counter(json, "count", event->count);
}

static void put_kill(struct json *json, const shoal_event_t *event)
{
    put_signal(json, event->signal);
}

static void put_backoff(struct json *json, const shoal_event_t *event)
{
    put_counter(json, "delay_usec", event->delay_usec);
    json_uint(json, "attempt", event->attempt);
}

static void put_network(struct json *json, const shoal_event_t *event)
{
    char dotted[INET_ADDRSTRLEN];
    struct in_addr address = {.s_addr = htonl(event->address)};
    json_string(json, "network", event->network);
    if (event->address != 0)
        json_string(json, "address", inet_ntop(AF_INET, &address, dotted, sizeof dotted));
}

static void put_throttle(struct json *json, const shoal_event_t *event)
{
    json_string(json, "state", event->throttle.slow ? "slow" : "open");
    json_string(json, "starts", event->throttle.starts);
    json_string(json, "reason", event->throttle.reason);
    if (event->throttle.limit >= 0) {
        json_double(json, "pressure", event->throttle.pressure);
        json_double(json, "limit", event->throttle.limit);
    }
    json_double(json, "rate", event->throttle.rate);
    json_uint(json, "waiting", event->throttle.waiting);
}

static void put_pool(struct json *json, const shoal_event_t *event)
{
    json_string(json, "state", event->error != NULL ? "failing" : "open");
    json_string(json, "error", event->error);
    if (event->delay_usec > 0)
        json_uint(json, "delay_usec", event->delay_usec);
}

static void put_pressure_event(struct json *json, const shoal_event_t *event)
{
    json_string(json, "resource", event->resource);
    if (event->stall != NULL) {
        json_string(json, "scope", event->stall->scope);
        json_string(json, "share", event->stall->share);
        json_uint(json, "stall_usec", event->stall->stall_usec);
        json_uint(json, "within_usec", event->stall->window_usec);
        json_string(json, "do", event->stall->action);
        return;
    }
    json_double(json, "some", event->some_percent);
    json_open(json, "culprits", '[');
    for (size_t i = 0; i < event->culprit_count; i++) {
        const shoal_culprit_t *culprit = &event->culprits[i];
        json_open(json, NULL, '{');
        json_string(json, "service", culprit->service);
        json_string(json, "container", culprit->container);
        json_double(json, "share", culprit->share);
        json_string(json, "basis", culprit->basis);
        json_string(json, "limit", culprit->limit);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_update(struct json *json, const shoal_event_t *event)
{
    json_open(json, "changes", '{');
    for (size_t i = 0; i < event->change_count; i++) {
        json_open(json, event->changes[i].name, '{');
        json_string(json, "from", event->changes[i].from);
        json_string(json, "to", event->changes[i].to);
        json_close(json, '}');
    }
    json_close(json, '}');
}

/* What a kind says beyond whom it is about. */
static void (*const event_members[SHOAL_EVENT_COUNT])(struct json *json, const shoal_event_t *event) = {
    [SHOAL_EVENT_START] = put_start,
    [SHOAL_EVENT_DIE] = put_die,
    [SHOAL_EVENT_OOM] = put_oom,
    [SHOAL_EVENT_KILL] = put_kill,
    [SHOAL_EVENT_STOP] = put_end,
    [SHOAL_EVENT_BACKOFF] = put_backoff,
    [SHOAL_EVENT_UPDATE] = put_update,
    [SHOAL_EVENT_LIMIT] = put_limit,
    [SHOAL_EVENT_NETWORK_CONNECT] = put_network,
    [SHOAL_EVENT_NETWORK_DISCONNECT] = put_network,
    [SHOAL_EVENT_THROTTLE] = put_throttle,
    [SHOAL_EVENT_POOL] = put_pool,
    [SHOAL_EVENT_PRESSURE] = put_pressure_event,
};

void ndjson_event(struct text *out, const shoal_event_t *event)
{
    struct json json = {.out = out};
    begin(&json, event->time_usec, "event");
    json_uint(&json, "seq", event->seq);
    json_string(&json, "event", shoal_event_name(event->kind));
    json_string(&json, "project", event->project);
    json_string(&json, "group", event->group);
    json_string(&json, "service", event->service);
    json_string(&json, "container", event->container);
    json_string(&json, "id", event->id);
    if (event->pid > 0)
        json_int(&json, "pid", event->pid);
    if ((size_t)event->kind < COUNT(event_members) && event_members[event->kind] != NULL)
        event_members[event->kind](&json, event);
    end(&json);
}

void ndjson_gap(struct text *out, uint64_t time_usec, uint64_t from_seq, uint64_t to_seq)
{
    struct json json = {.out = out};
    begin(&json, time_usec, "gap");
    json_uint(&json, "from", from_seq);
    json_uint(&json, "to", to_seq);
    end(&json);
}

static void put_memory(struct json *json, const shoal_sample_t *sample)
{
    struct mark mark = open_object(json, "memory");
    put_counters(json, sample, memory_counters, COUNT(memory_counters));
    put_object(json, "events", sample, memory_event_counters, COUNT(memory_event_counters));
    close_object(json, mark);
}

/* {"memory.max":"67108864",...}, in the words of an update's changes. */
static void put_limits(struct json *json, const shoal_sample_t *sample)
{
    struct mark mark = open_object(json, "limits");
    for (size_t i = 0; i < sample->limit_count; i++)
        json_string(json, sample->limits[i].name, sample->limits[i].value);
    close_object(json, mark);
}

/* A group's own sample is one without a container. */
void ndjson_sample(struct text *out, const shoal_sample_t *sample)
{
    struct json json = {.out = out};
    begin(&json, sample->time_usec, sample->container != NULL ? "container" : "group");
    json_string(&json, "project", sample->project);
    json_string(&json, "group", sample->group);
    json_string(&json, "service", sample->service);
    json_string(&json, "container", sample->container);
    json_string(&json, "id", sample->id);
    json_string(&json, "state", sample->state);
    if (sample->frozen)
        json_uint(&json, "frozen", 1);
    put_object(&json, "cpu", sample, cpu_counters, COUNT(cpu_counters));
    put_memory(&json, sample);
    put_object(&json, "pids", sample, pids_counters, COUNT(pids_counters));
    put_object(&json, "io", sample, io_counters, COUNT(io_counters));
    put_object(&json, "disk", sample, disk_counters, COUNT(disk_counters));
    put_object(&json, "net", sample, net_counters, COUNT(net_counters));
    put_limits(&json, sample);
    put_pressure(&json, sample);
    end(&json);
}

static void put_resource(struct json *json, const shoal_resource_t *resource)
{
    struct mark mark = open_object(json, resource->name);
    put_counter(json, "used", resource->used);
    put_counter(json, "limit", resource->limit);
    put_counter(json, "needed", resource->needed);
    close_object(json, mark);
}

/* {"limits":{NAME:{used,limit,needed},...},"networks":{NETWORK:{NAME:{...},...},...}}; what the host has not is left out. */
void ndjson_host(struct text *out, const shoal_host_sample_t *host)
{
    struct json json = {.out = out};
    begin(&json, host->time_usec, "host");
    json_string(&json, "project", host->project);
    size_t i = 0;
    json_open(&json, "limits", '{');
    for (; i < host->resource_count && host->resources[i].network == NULL; i++)
        if (host->resources[i].limit != SHOAL_ABSENT)
            put_resource(&json, &host->resources[i]);
    json_close(&json, '}');
    struct mark networks = open_object(&json, "networks");
    while (i < host->resource_count) {
        const char *network = host->resources[i].network;
        json_open(&json, network, '{');
        for (; i < host->resource_count && host->resources[i].network == network; i++)
            put_resource(&json, &host->resources[i]);
        json_close(&json, '}');
    }
    close_object(&json, networks);
    end(&json);
}

void ndjson_fleet(struct text *out, const shoal_fleet_sample_t *fleet)
{
    struct json json = {.out = out};
    begin(&json, fleet->time_usec, "fleet");
    json_string(&json, "project", fleet->project);
    put_counters(&json, fleet, fleet_counters, COUNT(fleet_counters));
    put_object(&json, "pool", fleet, pool_counters, COUNT(pool_counters));
    put_object(&json, "governor", fleet, governor_counters, COUNT(governor_counters));
    end(&json);
}

void ndjson_supervisor(struct text *out, const struct self_sample *self)
{
    struct json json = {.out = out};
    begin(&json, self->time_usec, "supervisor");
    put_counter(&json, "rss", self->rss_bytes);
    put_counter(&json, "fds", self->fds);
    struct mark cpu = open_object(&json, "cpu");
    put_counter(&json, "usage_usec", self->usage_usec);
    put_counter(&json, "user_usec", self->user_usec);
    put_counter(&json, "system_usec", self->system_usec);
    close_object(&json, cpu);
    struct mark lag = open_object(&json, "loop_lag_usec");
    put_counter(&json, "p50", self->lag.p50_usec);
    put_counter(&json, "p99", self->lag.p99_usec);
    put_counter(&json, "max", self->lag.max_usec);
    close_object(&json, lag);
    json_uint(&json, "stdout_dropped", self->losses.stdout_dropped);
    json_uint(&json, "log_dropped", self->losses.log_dropped);
    end(&json);
}
