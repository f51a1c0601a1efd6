/* Who ran out of memory: the cgroup itself, or one above it. memory.events.local counts "oom" where the limit is that was hit,
 * and "oom_kill" where the victim was. Source: cgroup-v2.rst */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>

#include "cgroup/inside.h"

/* The kernel counts the limit's hit and, right behind it, the kill; the notices of both come within a turn of the loop. */
enum { RECENT_USEC = 1000000 };

static uint64_t read_level(const char *path, const char *file, const char *key)
{
    char text[CGROUP_TEXT];
    AUTO_FD fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || cgroup_file_read(fd, file, text, sizeof text) < 0)
        return SHOAL_ABSENT;
    return key != NULL ? cgroup_parse_key(text, key) : cgroup_parse_number(text);
}

static uint64_t read_ooms(const char *path)
{
    return read_level(path, "memory.events.local", "oom");
}

static char *path_of(const struct cgroup *cgroup)
{
    return base_format("%s/%s", cgroup->root->path, cgroup->name);
}

/* One directory up; false at the mount point, which has no limit. */
static bool go_up(const struct cgroup_root *root, char *path)
{
    char *slash = strrchr(path, '/');
    if (slash == NULL || (size_t)(slash - path) <= root->mount_length)
        return false;
    *slash = '\0';
    return true;
}

static struct level *find_level(const struct cgroup_root *root, const char *path)
{
    for (struct level *at = root->levels; at != NULL; at = at->next)
        if (strcmp(at->path, path) == 0)
            return at;
    return NULL;
}

static void add_level(struct cgroup_root *root, const char *path)
{
    size_t count = strlen(path) + 1;
    struct level *level = calloc(1, sizeof *level + count);
    if (level == NULL)
        return; /* an OOM there would be taken for the host's */
    memcpy(level->path, path, count);
    level->ooms = read_ooms(path);
    size_t project = strlen(root->path);
    if (strncmp(path, root->path, project) == 0)
        level->group = path[project] == '/' ? level->path + project + 1 : path[project] == '\0' ? "/" : NULL;
    level->hits.level = level;
    AUTO_FREE char *file = base_format("%s/memory.events.local", path);
    level->watch = file != NULL ? inotify_add_watch(root->inotify_fd, file, IN_MODIFY) : -1;
    root->watch_count += level->watch >= 0;
    level->next = root->levels;
    root->levels = level;
}

void cgroup_add_levels(const struct cgroup *cgroup)
{
    struct cgroup_root *root = cgroup->root;
    AUTO_FREE char *path = root->has[CGROUP_MEMORY] ? path_of(cgroup) : NULL;
    while (path != NULL && go_up(root, path) && find_level(root, path) == NULL)
        add_level(root, path);
}

static void look_at_level(struct cgroup_root *root, struct level *level)
{
    if (level->group != NULL)
        hits_look(root, &level->hits, false);
    uint64_t ooms = read_ooms(level->path);
    if (ooms == SHOAL_ABSENT || ooms <= level->ooms)
        return;
    level->ooms = ooms;
    level->grown_usec = base_monotonic_usec();
}

void cgroup_look_at_levels(struct cgroup_root *root, int watch)
{
    for (struct level *at = root->levels; at != NULL; at = at->next)
        if (watch < 0 || at->watch == watch)
            look_at_level(root, at);
}

void cgroup_watch_groups(struct cgroup_root *root, cgroup_group_event_cb cb, void *data)
{
    root->group_cb = cb;
    root->group_data = data;
}

void cgroup_tell_group_hits(struct cgroup_root *root)
{
    for (struct level *at = root->levels; at != NULL; at = at->next)
        if (at->group != NULL)
            hits_look(root, &at->hits, true);
}

void cgroup_free_levels(struct cgroup_root *root)
{
    for (struct level *at = root->levels, *next; at != NULL; at = next) {
        next = at->next;
        free(at);
    }
    root->levels = NULL;
}

static bool was_hit(const struct level *level)
{
    return level->grown_usec > 0 && base_monotonic_usec() - level->grown_usec < RECENT_USEC;
}

static void describe(const struct cgroup_root *root, enum cgroup_level level, const char *path, struct cgroup_oom *out)
{
    out->level = level;
    const char *shown = path + root->mount_length;
    size_t count = strlen(shown);
    (void)snprintf(out->path, sizeof out->path, "%s",
                   count < sizeof out->path ? shown : shown + count - sizeof out->path + 1);
    out->limit_bytes = read_level(path, "memory.max", NULL);
    out->peak_bytes = read_level(path, "memory.peak", NULL);
}

static bool grow(uint64_t *seen, uint64_t value)
{
    if (value == SHOAL_ABSENT || value <= *seen)
        return false;
    *seen = value;
    return true;
}

void cgroup_find_oom(struct cgroup *cgroup, struct cgroup_oom *out)
{
    struct cgroup_root *root = cgroup->root;
    *out = (struct cgroup_oom){.level = CGROUP_LEVEL_HOST, .limit_bytes = SHOAL_ABSENT, .peak_bytes = SHOAL_ABSENT};
    AUTO_FREE char *path = path_of(cgroup);
    if (path == NULL)
        return;
    char text[CGROUP_TEXT];
    if (cgroup_read(cgroup, "memory.events", text, sizeof text) < 0) /* not .local: limits below it are its own, too */
        return;
    uint64_t ooms = cgroup_parse_key(text, "oom"), group_kills = cgroup_parse_key(text, "oom_group_kill");
    out->all = grow(&cgroup->group_kills, group_kills);
    if (grow(&cgroup->ooms, ooms)) {
        describe(root, CGROUP_LEVEL_OWN, path, out);
        return;
    }
    size_t project = strlen(root->path);
    while (go_up(root, path)) {
        struct level *level = find_level(root, path);
        if (level == NULL)
            continue;
        look_at_level(root, level);
        if (!was_hit(level))
            continue;
        size_t count = strlen(path);
        describe(root,
                 count > project    ? CGROUP_LEVEL_GROUP
                 : count == project ? CGROUP_LEVEL_PROJECT
                                    : CGROUP_LEVEL_HOST,
                 path, out);
        return;
    }
}
