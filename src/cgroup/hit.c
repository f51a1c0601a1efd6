/* Limits that are hit: told at once, then at most once a second for each directory, with all that has come together meanwhile. A
 * task that lives at its memory.high hits it thousands of times a second. Memory's are read from memory.events.local, where the
 * limit is the directory's own and not that of one below it. Source: cgroup-v2.rst */
#include <fcntl.h>

#include "cgroup/inside.h"

enum { QUIET_USEC = 1000000, SLICE_USEC = 1000 };

static const struct {
    enum cgroup_event event;
    const char *limit, *counter; /* what was hit, what counts that */
} kinds[HIT_COUNT] = {
    [HIT_LOW] = {CGROUP_EVENT_MEMORY_LOW, "memory.low", "low"},
    [HIT_HIGH] = {CGROUP_EVENT_MEMORY_HIGH, "memory.high", "high"},
    [HIT_MAX] = {CGROUP_EVENT_MEMORY_MAX, "memory.max", "max"},
    [HIT_OOM] = {CGROUP_EVENT_MEMORY_OOM, "memory.max", "oom"},
    [HIT_PIDS] = {CGROUP_EVENT_PIDS_MAX, "pids.max", "max"},
};

const char *cgroup_event_limit(enum cgroup_event event, const char **out_counter)
{
    for (size_t i = 0; i < HIT_COUNT; i++)
        if (kinds[i].event == event) {
            *out_counter = kinds[i].counter;
            return kinds[i].limit;
        }
    return NULL;
}

void hits_forget(struct cgroup_root *root, struct hits *hits)
{
    if (hits->link == NULL)
        return;
    *hits->link = hits->next;
    if (hits->next != NULL)
        hits->next->link = hits->link;
    else
        root->hits_end = hits->link;
    hits->link = NULL;
}

static void on_due(uv_timer_t *timer);

static void set_timer(struct cgroup_root *root)
{
    if (root->hits == NULL || root->closing)
        return;
    uint64_t now = base_monotonic_usec();
    uint64_t wait_usec = root->hits->due_usec > now ? root->hits->due_usec - now : 0;
    (void)uv_timer_start(&root->hits_timer, on_due, wait_usec / 1000 + 1, 0);
}

static void keep_quiet(struct cgroup_root *root, struct hits *hits)
{
    hits_forget(root, hits);
    hits->due_usec = base_monotonic_usec() + QUIET_USEC;
    hits->next = NULL;
    hits->link = root->hits_end;
    *root->hits_end = hits;
    root->hits_end = &hits->next;
    if (root->hits == hits)
        set_timer(root);
}

static bool read_local(const struct hits *hits, char text[CGROUP_TEXT])
{
    static const char file[] = "memory.events.local"; /* since Linux 5.2 */
    if (hits->cgroup != NULL)
        return cgroup_read(hits->cgroup, file, text, CGROUP_TEXT) >= 0;
    AUTO_FD fd = open(hits->level->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && cgroup_file_read(fd, file, text, CGROUP_TEXT) >= 0;
}

/* The kernel found memory.max hit and nobody to kill: that is no OOM kill's beginning, but a sandbox that hangs. */
static bool killed_nobody(const struct cgroup *cgroup)
{
    char text[CGROUP_TEXT];
    if (cgroup == NULL) /* of a group: its containers tell who was killed */
        return false;
    if (cgroup->killed_usec != 0 && base_monotonic_usec() - cgroup->killed_usec < 2 * QUIET_USEC)
        return false;
    return cgroup_read(cgroup, "memory.events", text, sizeof text) >= 0 &&
           cgroup_parse_key(text, "oom_kill") == cgroup->oom_kills;
}

static void tell(struct cgroup_root *root, const struct hits *hits, size_t kind)
{
    const struct cgroup *cgroup = hits->cgroup;
    if (cgroup == NULL && root->group_cb != NULL)
        root->group_cb(root->group_data, hits->level->group, kinds[kind].event, hits->told[kind]);
    else if (cgroup != NULL && cgroup->cb != NULL)
        cgroup->cb(cgroup->data, kinds[kind].event, hits->told[kind]);
}

void hits_look(struct cgroup_root *root, struct hits *hits, bool settled)
{
    if (hits->link != NULL && !settled)
        return;
    char text[CGROUP_TEXT];
    bool there = root->has[CGROUP_MEMORY] && read_local(hits, text), grown = false;
    for (size_t kind = 0; kind < HIT_COUNT; kind++) {
        uint64_t count = kind != HIT_PIDS       ? there ? cgroup_parse_key(text, kinds[kind].counter) : SHOAL_ABSENT
                         : hits->cgroup != NULL ? hits->cgroup->pids_refused
                                                : SHOAL_ABSENT;
        if (count == SHOAL_ABSENT || count <= hits->told[kind])
            continue;
        grown = true;
        if (kind == HIT_OOM && !settled)
            continue; /* its kill is on the way, as a rule */
        hits->told[kind] = count;
        if (kind != HIT_OOM || killed_nobody(hits->cgroup))
            tell(root, hits, kind);
    }
    if (grown && (hits->cgroup == NULL || hits->cgroup->cb != NULL))
        keep_quiet(root, hits);
}

static void on_due(uv_timer_t *timer)
{
    struct cgroup_root *root = timer->data;
    uint64_t now = base_monotonic_usec(), until = now + SLICE_USEC;
    while (root->hits != NULL && root->hits->due_usec <= now && base_monotonic_usec() < until) {
        struct hits *hits = root->hits;
        hits_forget(root, hits);
        hits_look(root, hits, true);
    }
    set_timer(root);
}

void cgroup_tell_hits(struct cgroup *cgroup)
{
    hits_look(cgroup->root, &cgroup->hits, true);
}

void hits_open(struct cgroup_root *root)
{
    root->hits_end = &root->hits;
    (void)uv_timer_init(root->loop, &root->hits_timer);
    root->hits_timer.data = root;
    uv_unref((uv_handle_t *)&root->hits_timer); /* it keeps no loop going */
}
