/* The kernel killed for memory: which limit was hit is read at once, whom it chose a worker reads in the kernel's log. The OOM
 * event is published when both are known, and a DIE waits for that. */
#include <string.h>

#include "container/inside.h"
#include "kernel/kmsg.h"
#include "kernel/process.h"

/* The lines of one kill follow each other closely; the next kill in the same sandbox comes after its next start. */
enum { VICTIMS = 512, WAIT_MS = 20, BURST_USEC = 20000, TRIES = 2 };

struct oom_reader {
    struct sandbox_kit *kit;
    int fd; /* owned; the worker's while one is under way */
    uv_work_t work;
    bool working;
    struct container *waiting;           /* linked by next_oom */
    struct kmsg_victim victims[VICTIMS]; /* the newest, oldest first */
    size_t count;                        /* of them */
    struct kmsg_victim read[VICTIMS];    /* the worker's */
    size_t read_count;
};

void oom_open(struct sandbox_kit *kit)
{
    int fd = kmsg_open(NULL);
    if (fd < 0)
        return; /* no log to be had: the victim stays unnamed */
    kit->oom = calloc(1, sizeof *kit->oom);
    if (kit->oom == NULL) {
        (void)close(fd);
        return;
    }
    kit->oom->kit = kit;
    kit->oom->fd = fd;
}

void oom_close(struct sandbox_kit *kit)
{
    if (kit->oom == NULL)
        return;
    base_close_fd(&kit->oom->fd);
    free(kit->oom);
    kit->oom = NULL;
}

/* The process that is the command: the first one, or the init's child. 0: it has ended, and what else the init has for children
 * ends with it. */
static pid_t find_command(const struct container *c)
{
    if (c->pid == 0 || exit_find_command_signal(c) != 0)
        return 0;
    return c->service->init ? process_first_child(c->pid) : c->pid;
}

static void publish(struct container *c, const struct kmsg_victim *victim)
{
    struct oom *oom = c->oom;
    if (victim != NULL) {
        memcpy(oom->comm, victim->comm, sizeof oom->comm);
        oom->about.victim_pid = victim->pid;
        oom->about.victim_comm = oom->comm;
    }
    pid_t command = find_command(c);
    oom->about.partial = !oom->all && command != 0 && command != oom->about.victim_pid;
    oom->pending = false;
    shoal_event_t event = {.count = oom->kills, .oom = &oom->about};
    container_publish(c, SHOAL_EVENT_OOM, &event);
    exit_go_on(c);
}

static bool is_ours(const struct container *c, const struct kmsg_victim *victim)
{
    return victim->uid >= c->first_id && victim->uid - c->first_id < CONTAINER_IDS;
}

/* The first of the newest burst: of a group that is killed as a whole, the one that was chosen. */
static const struct kmsg_victim *find_victim(const struct oom_reader *reader, const struct container *c)
{
    const struct kmsg_victim *found = NULL;
    for (size_t i = reader->count; i > 0; i--) {
        const struct kmsg_victim *victim = &reader->victims[i - 1];
        if (!is_ours(c, victim))
            continue;
        if (found != NULL && found->time_usec - victim->time_usec > BURST_USEC)
            break;
        found = victim;
    }
    return found;
}

static void forget_victims(struct oom_reader *reader, const struct container *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < reader->count; i++)
        if (!is_ours(c, &reader->victims[i]))
            reader->victims[kept++] = reader->victims[i];
    reader->count = kept;
}

static void add_victims(struct oom_reader *reader)
{
    size_t over = reader->count + reader->read_count > VICTIMS ? reader->count + reader->read_count - VICTIMS : 0;
    memmove(reader->victims, reader->victims + over, (reader->count - over) * sizeof *reader->victims);
    reader->count -= over;
    memcpy(reader->victims + reader->count, reader->read, reader->read_count * sizeof *reader->read);
    reader->count += reader->read_count;
}

static void read_log(uv_work_t *work) /* on a worker thread */
{
    struct oom_reader *reader = CONTAINER_OF(work, struct oom_reader, work);
    reader->read_count = kmsg_read_victims(reader->fd, WAIT_MS, reader->read, VICTIMS);
}

static void start_reading(struct oom_reader *reader);

static void on_log_read(uv_work_t *work, int status)
{
    (void)status;
    struct oom_reader *reader = CONTAINER_OF(work, struct oom_reader, work);
    reader->working = false;
    add_victims(reader);
    struct container *waiting = reader->waiting;
    reader->waiting = NULL;
    while (waiting != NULL) {
        struct container *c = waiting;
        waiting = c->next_oom;
        const struct kmsg_victim *victim = find_victim(reader, c);
        if (victim == NULL && ++c->oom->tries < TRIES) {
            c->next_oom = reader->waiting;
            reader->waiting = c;
            continue;
        }
        struct kmsg_victim copy = victim != NULL ? *victim : (struct kmsg_victim){0};
        forget_victims(reader, c);
        publish(c, victim != NULL ? &copy : NULL);
    }
    if (reader->waiting != NULL)
        start_reading(reader);
}

static void start_reading(struct oom_reader *reader)
{
    if (reader->working)
        return;
    reader->working = true;
    (void)uv_queue_work(reader->kit->loop, &reader->work, read_log, on_log_read); /* fails without a function alone */
}

static const char *const level_names[] = {
    [CGROUP_LEVEL_OWN] = "own",
    [CGROUP_LEVEL_GROUP] = "group",
    [CGROUP_LEVEL_PROJECT] = "project",
    [CGROUP_LEVEL_HOST] = "host",
};

void oom_seen(struct container *c, uint64_t kills)
{
    if (c->oom == NULL)
        c->oom = calloc(1, sizeof *c->oom);
    struct oom *oom = c->oom;
    if (oom == NULL || kills <= oom->kills || kills == SHOAL_ABSENT)
        return;
    struct cgroup_oom found;
    cgroup_find_oom(c->cgroup, &found);
    memcpy(oom->cgroup, found.path, sizeof oom->cgroup);
    oom->about = (struct shoal_oom){
        .level = level_names[found.level],
        .cgroup = oom->cgroup,
        .limit_bytes = found.limit_bytes,
        .peak_bytes = found.peak_bytes,
    };
    oom->all |= found.all;
    oom->kills = kills;
    oom->seen_usec = base_monotonic_usec();
    if (oom->pending)
        return; /* one event for both kills */
    oom->tries = 0;
    oom->pending = true;
    struct oom_reader *reader = c->kit->oom;
    if (reader == NULL) {
        publish(c, NULL);
        return;
    }
    c->next_oom = reader->waiting;
    reader->waiting = c;
    start_reading(reader);
}
