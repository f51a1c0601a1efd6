/* Limits of a directory that is in use, changed in place. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "cgroup/inside.h"

static const struct limit_setting *find(const struct cgroup_limits *limits, const struct limit_setting *like)
{
    for (size_t i = 0; limits != NULL && i < limits->count; i++)
        if (strcmp(limits->settings[i].file.name, like->file.name) == 0 &&
            strcmp(limits->settings[i].subject, like->subject) == 0)
            return &limits->settings[i];
    return NULL;
}

static bool differs(const struct cgroup_limits *from, const struct cgroup_limits *to, const char *file)
{
    const struct limit_setting like = {.file.name = file};
    const struct limit_setting *a = find(from, &like), *b = find(to, &like);
    return (a == NULL) != (b == NULL) || (a != NULL && b != NULL && strcmp(a->value, b->value) != 0);
}

static void put_change(struct cgroup_change *out, size_t *count, const struct limit_setting *about, const char *from,
                       const char *to)
{
    if (out != NULL) {
        struct cgroup_change *change = &out[*count];
        (void)snprintf(change->name, sizeof change->name, "%s%s%s", about->file.name,
                       about->subject[0] != '\0' ? " " : "", about->subject);
        change->from = from;
        change->to = to;
    }
    ++*count;
}

size_t cgroup_limits_compare(const struct cgroup_limits *from, const struct cgroup_limits *to,
                             struct cgroup_change *out)
{
    size_t count = 0;
    for (size_t i = 0; from != NULL && i < from->count; i++) {
        const struct limit_setting *old = &from->settings[i], *new = find(to, old);
        const char *value = new != NULL ? new->value : old->file.initial;
        if (strcmp(old->value, value) != 0)
            put_change(out, &count, old, old->value, value);
    }
    for (size_t i = 0; to != NULL && i < to->count; i++) {
        const struct limit_setting *new = &to->settings[i];
        if (find(from, new) == NULL && strcmp(new->value, new->file.initial) != 0)
            put_change(out, &count, new, new->file.initial, new->value);
    }
    return count;
}

/* Below what is in use the kernel would first reclaim and then kill until it fits. What can be reclaimed may go; nobody is
 * killed for a new number in a file. */
static int make_room(int dir_fd, const char *wanted, shoal_error_t *err)
{
    enum { ATTEMPTS = 4 };
    uint64_t most = cgroup_parse_number(wanted), used = 0;
    char text[CGROUP_TEXT];
    for (int i = 0; most != SHOAL_ABSENT && i < ATTEMPTS; i++) {
        ssize_t count = cgroup_file_read(dir_fd, "memory.current", text, sizeof text);
        if (count < 0)
            return shoal_fail(err, (int)count, "memory.current: read");
        used = cgroup_parse_number(text);
        if (used <= most)
            return 0;
        (void)snprintf(text, sizeof text, "%" PRIu64, used - most);
        (void)cgroup_file_write(dir_fd, "memory.reclaim", text, NULL); /* since Linux 5.19; EAGAIN: not all of it */
    }
    if (most == SHOAL_ABSENT)
        return 0;
    return shoal_refuse(err, -EBUSY,
                        "memory.max: write '%s': Device or resource busy (%" PRIu64
                        " bytes are in use and cannot be reclaimed)",
                        wanted, used);
}

static int set(int dir_fd, const struct limit_setting *setting, const char *value, shoal_error_t *err)
{
    int code = strcmp(setting->file.name, "memory.max") == 0 ? make_room(dir_fd, value, err) : 0;
    return code < 0 ? code : limit_write(dir_fd, setting, value, err);
}

/* First what goes away, then what comes: an idle cgroup takes no weight, a burst is never more than its quota. */
static int apply(const struct cgroup_limits *from, const struct cgroup_limits *to, int dir_fd, bool late,
                 shoal_error_t *err)
{
    int code = 0;
    bool quota_changes = differs(from, to, "cpu.max");
    for (size_t i = 0; from != NULL && i < from->count && code == 0; i++) {
        const struct limit_setting *old = &from->settings[i];
        bool goes = find(to, old) == NULL || (quota_changes && strcmp(old->file.name, "cpu.max.burst") == 0);
        if (goes && (late || !old->file.late))
            code = set(dir_fd, old, old->file.initial, err);
    }
    for (size_t i = 0; to != NULL && i < to->count && code == 0; i++) {
        const struct limit_setting *new = &to->settings[i], *old = find(from, new);
        bool comes = old == NULL || strcmp(old->value, new->value) != 0 ||
                     (quota_changes && strcmp(new->file.name, "cpu.max.burst") == 0);
        if (comes && (late || !new->file.late))
            code = set(dir_fd, new, new->value, err);
    }
    return code;
}

int cgroup_limits_change(const struct cgroup_limits *from, const struct cgroup_limits *to, int dir_fd,
                         shoal_error_t *err)
{
    int code = apply(from, to, dir_fd, true, err);
    shoal_error_t again;
    if (code < 0 && apply(to, from, dir_fd, true, &again) < 0)
        (void)shoal_within(err, "not put back as it was (%s)", again.text);
    return code;
}

int cgroup_let_go(struct cgroup *cgroup, struct cgroup_limits *limits, shoal_error_t *err)
{
    int code = 0;
    if (cgroup->limits != limits)
        code = apply(cgroup->limits, limits, cgroup->dir_fd, false, err);
    if (code == 0)
        code = limits_write_late(limits, cgroup->dir_fd, err);
    cgroup_set_limits(cgroup, limits);
    cgroup->let_go = true;
    return code;
}

void cgroup_set_limits(struct cgroup *cgroup, struct cgroup_limits *limits)
{
    struct cgroup_limits *old = cgroup->limits;
    cgroup->limits = cgroup_limits_ref(limits);
    cgroup_limits_unref(old);
}

struct cgroup_limits *cgroup_get_limits(const struct cgroup *cgroup)
{
    return cgroup->limits;
}

uint64_t cgroup_serial(const struct cgroup *cgroup)
{
    return cgroup->let_go ? cgroup->serial : 0;
}

int cgroup_open(const struct cgroup *cgroup)
{
    return openat(cgroup->root->dir_fd, cgroup->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}
