#include "metrics/snapshot.h"

#include <math.h>
#include <string.h>

enum {
    BUCKETS = 1024,
    REMOVED_MAX = 4096 /* rows that wait for somebody to ask; beyond it a destroyed container is forgotten at once */
};

enum field_kind {
    FIELD_COUNTER, /* adds up over the runs */
    FIELD_GAUGE,   /* of a container that runs */
    FIELD_LASTING  /* of the last run, also when it is over */
};

/* The formatter takes these braces for a block. */
/* clang-format off */
#define FIELD(kind, name) {FIELD_##kind, offsetof(shoal_sample_t, name)}
/* clang-format on */
#define PRESSURE(resource) FIELD(COUNTER, pressure.resource.some_total), FIELD(COUNTER, pressure.resource.full_total)

static const struct field {
    enum field_kind kind;
    size_t offset; /* of an uint64_t in shoal_sample_t */
} fields[] = {
    FIELD(COUNTER, cpu.usage_usec),
    FIELD(COUNTER, cpu.user_usec),
    FIELD(COUNTER, cpu.system_usec),
    FIELD(COUNTER, cpu.nr_periods),
    FIELD(COUNTER, cpu.nr_throttled),
    FIELD(COUNTER, cpu.throttled_usec),
    FIELD(GAUGE, memory.current),
    FIELD(LASTING, memory.peak),
    FIELD(GAUGE, memory.max),
    FIELD(GAUGE, memory.anon),
    FIELD(GAUGE, memory.file),
    FIELD(GAUGE, memory.inactive_file),
    FIELD(COUNTER, memory.events.low),
    FIELD(COUNTER, memory.events.high),
    FIELD(COUNTER, memory.events.max),
    FIELD(COUNTER, memory.events.oom),
    FIELD(COUNTER, memory.events.oom_kill),
    FIELD(COUNTER, memory.events.oom_group_kill),
    FIELD(GAUGE, pids.current),
    FIELD(GAUGE, pids.max),
    FIELD(COUNTER, pids.refused),
    FIELD(COUNTER, io.rbytes),
    FIELD(COUNTER, io.wbytes),
    FIELD(COUNTER, io.rios),
    FIELD(COUNTER, io.wios),
    FIELD(LASTING, disk.current),
    FIELD(LASTING, disk.max),
    FIELD(LASTING, disk.inodes),
    FIELD(GAUGE, disk.inodes_max), /* a reload may take it away */
    FIELD(COUNTER, net.rx_bytes),
    FIELD(COUNTER, net.rx_packets),
    FIELD(COUNTER, net.rx_dropped),
    FIELD(COUNTER, net.tx_bytes),
    FIELD(COUNTER, net.tx_packets),
    FIELD(COUNTER, net.tx_dropped),
    FIELD(GAUGE, spec.memory_low),
    FIELD(GAUGE, spec.memory_high),
    FIELD(GAUGE, spec.memory_swap),
    FIELD(GAUGE, spec.cpu_quota),
    FIELD(GAUGE, spec.cpu_period),
    FIELD(GAUGE, spec.cpu_burst),
    FIELD(GAUGE, spec.cpu_weight),
    PRESSURE(cpu),
    PRESSURE(memory),
    PRESSURE(io),
};
enum { FIELDS = COUNT(fields) };

struct entry {
    struct entry *next;
    struct identity *who; /* shared */
    char *key;            /* owned: project, a slash, name */
    bool removed;
    uint64_t round; /* the last snapshot with a row of it */
    char state[12];
    uint64_t seen_usec, start_usec, restarts, ooms;
    uint64_t before[FIELDS]; /* counters of the runs that are over; SHOAL_ABSENT none */
    uint64_t run[FIELDS];    /* of the last one, as last seen */
    double avg10[3][2];      /* cpu, memory, io; some, full */
};

struct tally {
    struct entry *buckets[BUCKETS];
    size_t removed;
    uint64_t round; /* grows by one for each snapshot */
};

/* Identities */

static void add_label(struct text *out, const char *name, const char *value)
{
    if (value == NULL)
        return;
    if (out->count > 0)
        text_add(out, ",", 1);
    text_add_string(out, name);
    text_add(out, "=\"", 2);
    for (const char *at = value; *at != '\0'; at++) {
        if (*at == '\\' || *at == '"')
            text_add(out, "\\", 1);
        if (*at == '\n')
            text_add(out, "\\n", 2);
        else
            text_add(out, at, 1);
    }
    text_add(out, "\"", 1);
}

static struct identity *identity_new(const char *project, const char *group, const char *service, const char *name,
                                     const char *id)
{
    struct identity *who = calloc(1, sizeof *who);
    struct text labels = {0};
    add_label(&labels, "project", project);
    add_label(&labels, "group", group);
    add_label(&labels, "service", service);
    add_label(&labels, "name", name);
    char *text = text_take(&labels), *own_id = base_format("%s", id != NULL ? id : "");
    if (who == NULL || text == NULL || own_id == NULL) {
        free(who);
        free(text);
        free(own_id);
        return NULL;
    }
    *who = (struct identity){.references = 1, .id = own_id, .labels = text};
    return who;
}

static void identity_drop(struct identity *who)
{
    if (--who->references > 0)
        return;
    free(who->id);
    free(who->labels);
    free(who);
}

/* Snapshots */

struct snapshot *snapshot_share(struct snapshot *snapshot)
{
    snapshot->references++;
    return snapshot;
}

static void free_limits(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->limit_count; i++)
        free(snapshot->limits[i].labels);
    free(snapshot->limits);
    snapshot->limits = NULL;
    snapshot->limit_count = 0;
}

void snapshot_drop(struct snapshot *snapshot)
{
    if (snapshot == NULL || --snapshot->references > 0)
        return;
    for (size_t i = 0; i < snapshot->count; i++)
        identity_drop(snapshot->rows[i].who);
    for (size_t i = 0; i < snapshot->group_count; i++)
        identity_drop(snapshot->groups[i].who);
    free_limits(snapshot);
    free(snapshot->rows);
    free(snapshot->groups);
    free(snapshot->fleet_labels);
    free(snapshot);
}

void snapshot_set_fleet(struct snapshot *snapshot, const shoal_fleet_sample_t *fleet)
{
    struct text labels = {0};
    add_label(&labels, "project", fleet->project);
    free(snapshot->fleet_labels);
    snapshot->fleet_labels = text_take(&labels);
    snapshot->failed |= snapshot->fleet_labels == NULL;
    snapshot->fleet = *fleet;
    snapshot->fleet.project = NULL;
}

void snapshot_copy_fleet(struct snapshot *snapshot, const struct snapshot *from)
{
    free(snapshot->fleet_labels);
    snapshot->fleet_labels = from->fleet_labels != NULL ? base_format("%s", from->fleet_labels) : NULL;
    snapshot->fleet = from->fleet;
}

static void make_limits(struct snapshot *snapshot, size_t count)
{
    free_limits(snapshot);
    snapshot->limits = calloc(count + 1, sizeof *snapshot->limits);
    snapshot->failed |= snapshot->limits == NULL;
}

static void add_limit(struct snapshot *snapshot, char *labels, uint64_t used, uint64_t limit, uint64_t needed)
{
    snapshot->failed |= labels == NULL;
    if (labels != NULL)
        snapshot->limits[snapshot->limit_count++] = (struct snapshot_limit){labels, used, limit, needed};
}

/* What the host has not is left out. */
void snapshot_set_host(struct snapshot *snapshot, const shoal_host_sample_t *host)
{
    make_limits(snapshot, host->resource_count);
    for (size_t i = 0; snapshot->limits != NULL && i < host->resource_count; i++) {
        const shoal_resource_t *resource = &host->resources[i];
        if (resource->limit == SHOAL_ABSENT)
            continue;
        struct text labels = {0};
        add_label(&labels, "project", host->project);
        add_label(&labels, "network", resource->network);
        add_label(&labels, "resource", resource->name);
        add_limit(snapshot, text_take(&labels), resource->used, resource->limit, resource->needed);
    }
}

void snapshot_copy_host(struct snapshot *snapshot, const struct snapshot *from)
{
    make_limits(snapshot, from->limit_count);
    for (size_t i = 0; snapshot->limits != NULL && i < from->limit_count; i++) {
        const struct snapshot_limit *limit = &from->limits[i];
        add_limit(snapshot, base_format("%s", limit->labels), limit->used, limit->limit, limit->needed);
    }
}

static struct snapshot_row *grow(struct snapshot *snapshot, struct snapshot_row **rows, size_t *count, size_t *room)
{
    if (*count == *room) {
        size_t wanted = *room > 0 ? 2 * *room : 64;
        struct snapshot_row *grown = reallocarray(*rows, wanted, sizeof *grown);
        if (grown == NULL) {
            snapshot->failed = true;
            return NULL;
        }
        *rows = grown;
        *room = wanted;
    }
    return &(*rows)[(*count)++];
}

static struct snapshot_row *add_row(struct snapshot *snapshot)
{
    return grow(snapshot, &snapshot->rows, &snapshot->count, &snapshot->room);
}

static void put_free_inodes(struct snapshot_row *row)
{
    uint64_t used = row->sample.disk.inodes, limit = row->sample.disk.inodes_max;
    bool known = used != SHOAL_ABSENT && limit != SHOAL_ABSENT;
    row->free_inodes = !known ? SHOAL_ABSENT : limit > used ? limit - used : 0;
}

static void put_working_set(struct snapshot_row *row)
{
    uint64_t current = row->sample.memory.current, inactive = row->sample.memory.inactive_file;
    bool known = current != SHOAL_ABSENT && inactive != SHOAL_ABSENT;
    row->working_set_bytes = !known ? SHOAL_ABSENT : current > inactive ? current - inactive : 0;
}

void snapshot_add_group(struct snapshot *snapshot, const shoal_sample_t *sample)
{
    struct identity *who = identity_new(sample->project, sample->group, NULL, NULL, NULL);
    struct snapshot_row *row = who != NULL
                                   ? grow(snapshot, &snapshot->groups, &snapshot->group_count, &snapshot->group_room)
                                   : NULL;
    if (row == NULL) {
        snapshot->failed = true;
        if (who != NULL)
            identity_drop(who);
        return;
    }
    *row = (struct snapshot_row){.who = who, .sample = *sample};
    row->sample.project = row->sample.group = NULL; /* valid during the call only, and so are the limits */
    row->sample.limit_count = 0;
    row->sample.limits = NULL;
    put_working_set(row);
}

/* The tally */

static uint64_t *field_of(shoal_sample_t *sample, size_t i)
{
    return (uint64_t *)(void *)((char *)sample + fields[i].offset);
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a == SHOAL_ABSENT ? b : b == SHOAL_ABSENT ? a : a + b;
}

static bool is_running(const char *state)
{
    return strcmp(state, "running") == 0 || strcmp(state, "stopping") == 0 || strcmp(state, "paused") == 0;
}

static void copy_state(char out[12], const char *state)
{
    (void)snprintf(out, 12, "%s", state);
}

struct tally *tally_new(void)
{
    return calloc(1, sizeof(struct tally));
}

struct snapshot *tally_begin(struct tally *tally)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return NULL;
    snapshot->references = 1;
    tally->round++;
    return snapshot;
}

static void free_entry(struct entry *entry)
{
    identity_drop(entry->who);
    free(entry->key);
    free(entry);
}

void tally_free(struct tally *tally)
{
    for (size_t i = 0; tally != NULL && i < BUCKETS; i++)
        while (tally->buckets[i] != NULL) {
            struct entry *entry = tally->buckets[i];
            tally->buckets[i] = entry->next;
            free_entry(entry);
        }
    free(tally);
}

/* The run is over, or a new one begins: either way its counters belong to the past. */
static void end_run(struct entry *entry)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (fields[i].kind == FIELD_COUNTER)
            entry->before[i] = sum(entry->before[i], entry->run[i]);
        if (fields[i].kind != FIELD_LASTING)
            entry->run[i] = SHOAL_ABSENT;
    }
}

/* Find it or make it. A name that was destroyed and comes back goes on where it was: one series cannot stand twice in an
 * exposition. */
static struct entry *get_entry(struct tally *tally, const char *project, const char *group, const char *service,
                               const char *name, const char *id)
{
    AUTO_FREE char *key = base_format("%s/%s", project != NULL ? project : "", name);
    if (key == NULL)
        return NULL;
    struct entry **bucket = &tally->buckets[base_hash(key, strlen(key)) % BUCKETS], *entry = *bucket;
    while (entry != NULL && strcmp(entry->key, key) != 0)
        entry = entry->next;
    if (entry != NULL && (id == NULL || strcmp(entry->who->id, id) == 0))
        return entry;
    struct identity *who = identity_new(project, group, service, name, id);
    if (who == NULL)
        return NULL;
    if (entry != NULL) {
        identity_drop(entry->who);
        entry->who = who;
        tally->removed -= entry->removed;
        entry->removed = false;
        end_run(entry);
        return entry;
    }
    entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        identity_drop(who);
        return NULL;
    }
    *entry = (struct entry){.next = *bucket, .who = who, .key = key, .start_usec = SHOAL_ABSENT};
    key = NULL; /* the entry's now */
    memset(entry->before, 0xff, sizeof entry->before);
    memset(entry->run, 0xff, sizeof entry->run);
    copy_state(entry->state, "created");
    *bucket = entry;
    return entry;
}

static void forget(struct tally *tally, struct entry *entry)
{
    struct entry **at = &tally->buckets[base_hash(entry->key, strlen(entry->key)) % BUCKETS];
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    free_entry(entry);
}

static void mark_removed(struct tally *tally, struct entry *entry)
{
    if (entry->removed)
        return;
    if (tally->removed >= REMOVED_MAX) {
        forget(tally, entry);
        return;
    }
    entry->removed = true;
    tally->removed++;
    copy_state(entry->state, "removed");
}

void tally_event(struct tally *tally, const shoal_event_t *event)
{
    if (event->container == NULL)
        return;
    struct entry *entry = get_entry(tally, event->project, event->group, event->service, event->container, event->id);
    if (entry == NULL)
        return; /* out of memory: the next event or sample makes it */
    entry->seen_usec = event->time_usec;
    if (event->kind == SHOAL_EVENT_START) {
        end_run(entry);
        entry->restarts += event->attempt > 0 || entry->start_usec != SHOAL_ABSENT;
        entry->start_usec = event->time_usec;
        copy_state(entry->state, "running");
    } else if (event->kind == SHOAL_EVENT_DIE) {
        copy_state(entry->state, "exited");
    } else if (event->kind == SHOAL_EVENT_PAUSE) {
        copy_state(entry->state, "paused");
    } else if (event->kind == SHOAL_EVENT_UNPAUSE) {
        copy_state(entry->state, "running");
    } else if (event->kind == SHOAL_EVENT_BACKOFF) {
        copy_state(entry->state, "backoff");
    } else if (event->kind == SHOAL_EVENT_OOM) {
        entry->ooms++;
    } else if (event->kind == SHOAL_EVENT_DESTROY) {
        mark_removed(tally, entry);
    }
}

static void put_row(const struct tally *tally, struct entry *entry, struct snapshot *into)
{
    if (entry->round == tally->round)
        return; /* two rows were two lines of one series */
    struct snapshot_row *row = add_row(into);
    if (row == NULL)
        return;
    entry->round = tally->round;
    *row = (struct snapshot_row){
        .who = entry->who,
        .seen_usec = entry->seen_usec,
        .start_usec = entry->start_usec,
        .restarts = entry->restarts,
        .ooms = entry->ooms,
    };
    row->who->references++;
    copy_state(row->state, entry->state);
    bool running = is_running(entry->state);
    for (size_t i = 0; i < FIELDS; i++) {
        uint64_t value = entry->run[i];
        if (fields[i].kind == FIELD_COUNTER)
            value = sum(entry->before[i], value);
        else if (fields[i].kind == FIELD_GAUGE && !running)
            value = SHOAL_ABSENT;
        *field_of(&row->sample, i) = value;
    }
    put_working_set(row);
    put_free_inodes(row);
    shoal_pressure_line_t *lines[3] = {&row->sample.pressure.cpu, &row->sample.pressure.memory,
                                       &row->sample.pressure.io};
    for (size_t i = 0; i < COUNT(lines); i++) {
        lines[i]->some_avg10 = running && lines[i]->some_total != SHOAL_ABSENT ? entry->avg10[i][0] : NAN;
        lines[i]->full_avg10 = running && lines[i]->full_total != SHOAL_ABSENT ? entry->avg10[i][1] : NAN;
    }
}

void tally_sample(struct tally *tally, const shoal_sample_t *sample, struct snapshot *into)
{
    struct entry *entry = get_entry(tally, sample->project, sample->group, sample->service, sample->container,
                                    sample->id);
    if (entry == NULL) {
        if (into != NULL)
            into->failed = true;
        return;
    }
    entry->seen_usec = sample->time_usec;
    copy_state(entry->state, sample->state);
    if (is_running(sample->state) || sample->final) { /* before its START the counters are of the start, not of a run */
        for (size_t i = 0; i < FIELDS; i++) {
            uint64_t value;
            memcpy(&value, (const char *)sample + fields[i].offset, sizeof value);
            if (value != SHOAL_ABSENT || fields[i].kind == FIELD_GAUGE)
                entry->run[i] = value; /* a counter that cannot be read any more stays where it was */
        }
        const shoal_pressure_line_t *lines[3] = {&sample->pressure.cpu, &sample->pressure.memory, &sample->pressure.io};
        for (size_t i = 0; i < COUNT(lines); i++) {
            entry->avg10[i][0] = lines[i]->some_avg10;
            entry->avg10[i][1] = lines[i]->full_avg10;
        }
    }
    if (into != NULL)
        put_row(tally, entry, into);
}

void tally_take_removed(struct tally *tally, struct snapshot *into)
{
    for (size_t i = 0; i < BUCKETS && tally->removed > 0; i++)
        for (struct entry *entry = tally->buckets[i], *next; entry != NULL; entry = next) {
            next = entry->next;
            if (!entry->removed || entry->round == tally->round)
                continue; /* destroyed behind its row: the last word follows in the next snapshot */
            put_row(tally, entry, into);
            tally->removed--;
            forget(tally, entry);
        }
}

void tally_take_all(struct tally *tally, struct snapshot *into)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry *entry = tally->buckets[i]; entry != NULL; entry = entry->next)
            put_row(tally, entry, into);
}
