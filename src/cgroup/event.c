/* What the kernel tells: one inotify descriptor for all containers. An event is a hint to read the file again, and reading
 * twice is harmless. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>

#include "cgroup/inside.h"

static const char *const files[WATCH_COUNT] = {
    [WATCH_CGROUP] = "cgroup.events",
    [WATCH_MEMORY] = "memory.events",
    [WATCH_PIDS] = "pids.events",
};

static struct cgroup **bucket_of(struct cgroup_root *root, enum watched_file file, int watch)
{
    return &root->buckets[file][(unsigned)watch % WATCH_BUCKETS];
}

/* Whether key of the file has grown beyond *seen, which follows. */
static bool has_grown(const struct cgroup *cgroup, enum watched_file file, const char *key, uint64_t *seen)
{
    char text[CGROUP_TEXT];
    if (cgroup_read(cgroup, files[file], text, sizeof text) < 0)
        return false;
    uint64_t value = cgroup_parse_key(text, key);
    if (value == SHOAL_ABSENT || value <= *seen)
        return false;
    *seen = value;
    return true;
}

/* While a task of a frozen cgroup is being killed or a new one arrives, "frozen" is 0 for a moment: it is thawed only when
 * nobody wants it frozen any more. */
static bool is_frozen(const struct cgroup *cgroup, const char *events)
{
    char text[CGROUP_TEXT];
    if (cgroup_parse_key(events, "frozen") == 1)
        return true;
    return cgroup->frozen && cgroup_read(cgroup, "cgroup.freeze", text, sizeof text) >= 0 &&
           cgroup_parse_number(text) == 1;
}

static void look_at_events(struct cgroup *cgroup)
{
    char text[CGROUP_TEXT];
    if (cgroup_read(cgroup, files[WATCH_CGROUP], text, sizeof text) < 0)
        return;
    bool frozen = is_frozen(cgroup, text);
    if (cgroup->cb != NULL && frozen != cgroup->frozen) {
        cgroup->frozen = frozen;
        cgroup->cb(cgroup->data, frozen ? CGROUP_EVENT_FROZEN : CGROUP_EVENT_THAWED, 0);
    }
    if (!cgroup->empty && cgroup_parse_key(text, "populated") == 0) {
        cgroup->empty = true;
        cgroup_on_empty(cgroup); /* last: it may free the cgroup */
    }
}

/* Last, each: the callback may remove the cgroup. */
static void look_at(struct cgroup *cgroup, enum watched_file file)
{
    switch (file) {
    case WATCH_CGROUP:
        look_at_events(cgroup);
        break;
    case WATCH_MEMORY:
        hits_look(cgroup->root, &cgroup->hits, false);
        if (has_grown(cgroup, file, "oom_kill", &cgroup->oom_kills)) {
            cgroup->killed_usec = base_monotonic_usec();
            if (cgroup->cb != NULL)
                cgroup->cb(cgroup->data, CGROUP_EVENT_OOM_KILL, cgroup->oom_kills);
        }
        break;
    case WATCH_PIDS:
        if (has_grown(cgroup, file, "max", &cgroup->pids_refused))
            hits_look(cgroup->root, &cgroup->hits, false);
        break;
    case WATCH_COUNT:
        break;
    }
}

static bool has_watch(const struct cgroup_root *root, const struct cgroup *wanted, enum watched_file file)
{
    for (const struct cgroup *at = root->cgroups; at != NULL; at = at->next)
        if (at == wanted)
            return at->watches[file] >= 0;
    return false;
}

/* The queue overflowed: nothing is known of what was lost, so everything is read again. */
static void look_at_all(struct cgroup_root *root)
{
    for (struct cgroup *at = root->cgroups; at != NULL; at = root->scan_next) {
        root->scan_next = at->next;
        for (int file = WATCH_COUNT - 1; file >= 0; file--) /* memory before the end that it explains */
            if (has_watch(root, at, (enum watched_file)file))
                look_at(at, (enum watched_file)file);
    }
}

static void on_event(struct cgroup_root *root, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW) {
        cgroup_look_at_levels(root, -1);
        look_at_all(root);
        return;
    }
    for (int file = 0; file < WATCH_COUNT; file++)
        for (struct cgroup *at = *bucket_of(root, (enum watched_file)file, event->wd); at != NULL;
             at = at->next_watched[file])
            if (at->watches[file] == event->wd) {
                look_at(at, (enum watched_file)file);
                return;
            }
    cgroup_look_at_levels(root, event->wd); /* or a watch that is gone: what was queued before its removal */
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct cgroup_root *root = poll->data;
    /* Each event is a file to read: no more of them in one turn of the loop than take a millisecond or so. */
    _Alignas(struct inotify_event) char buffer[64 * sizeof(struct inotify_event)];
    _Static_assert(sizeof buffer >= sizeof(struct inotify_event) + NAME_MAX + 1, "room for any one event");
    ssize_t count = read(root->inotify_fd, buffer, sizeof buffer);
    for (ssize_t at = 0; at < count;) {
        const struct inotify_event *event = (const struct inotify_event *)(const void *)(buffer + at);
        at += (ssize_t)(sizeof *event + event->len);
        on_event(root, event);
    }
}

int cgroup_watch_open(struct cgroup_root *root, shoal_error_t *err)
{
    root->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (root->inotify_fd < 0)
        return shoal_fail(err, -errno, "inotify_init (sysctl fs.inotify.max_user_instances)");
    int code = uv_poll_init(root->loop, &root->poll, root->inotify_fd);
    if (code < 0)
        return shoal_fail(err, code, "watch inotify");
    root->poll.data = root;
    (void)uv_poll_start(&root->poll, UV_READABLE, on_readable);
    uv_unref((uv_handle_t *)&root->poll); /* listening alone keeps no loop going */
    hits_open(root);
    return 0;
}

static bool is_there(const struct cgroup_root *root, enum watched_file file)
{
    return file == WATCH_CGROUP || (file == WATCH_MEMORY && root->has[CGROUP_MEMORY]) ||
           (file == WATCH_PIDS && root->has[CGROUP_PIDS]);
}

int cgroup_watch(struct cgroup *cgroup, shoal_error_t *err)
{
    struct cgroup_root *root = cgroup->root;
    for (int i = 0; i < WATCH_COUNT; i++) {
        enum watched_file file = (enum watched_file)i;
        if (!is_there(root, file))
            continue;
        AUTO_FREE char *path = base_format("%s/%s/%s", root->path, cgroup->name, files[file]);
        if (path == NULL)
            return shoal_fail(err, -ENOMEM, "%s", files[file]);
        int watch = inotify_add_watch(root->inotify_fd, path, IN_MODIFY);
        if (watch < 0)
            return shoal_fail(err, -errno, "%s: watch (sysctl fs.inotify.max_user_watches)", files[file]);
        struct cgroup **bucket = bucket_of(root, file, watch);
        cgroup->watches[file] = watch;
        root->watch_count++;
        cgroup->next_watched[file] = *bucket;
        *bucket = cgroup;
    }
    return 0;
}

void cgroup_unwatch(struct cgroup *cgroup, bool keep_empty)
{
    for (int file = keep_empty ? WATCH_MEMORY : WATCH_CGROUP; file < WATCH_COUNT; file++) {
        if (cgroup->watches[file] < 0)
            continue;
        struct cgroup **at = bucket_of(cgroup->root, (enum watched_file)file, cgroup->watches[file]);
        while (*at != cgroup)
            at = &(*at)->next_watched[file];
        *at = cgroup->next_watched[file];
        (void)inotify_rm_watch(cgroup->root->inotify_fd, cgroup->watches[file]); /* EINVAL: the kernel was first */
        cgroup->watches[file] = -1;
        cgroup->root->watch_count--;
    }
}
