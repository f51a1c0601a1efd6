/* Limits changed while the fleet runs: a new spec is held against the one that runs, and what differs goes to the containers.
 * Writing a limit may make the kernel reclaim memory, so a worker thread does it, for some containers at a time. */
#include <errno.h>
#include <string.h>

#include "cgroup/cgroup.h"
#include "supervisor/fleet.h"
#include "supervisor/inside.h"

enum { BATCH = 16, DIFFERENCES_TOLD = 10 };

struct item {
    size_t member;
    char id[CONTAINER_ID_TEXT];      /* another container may have the member's place by then */
    uint64_t serial;                 /* of the cgroup that dir_fd is */
    int dir_fd;                      /* -1: its limits stay, or it does not run */
    struct cgroup_limits *from, *to; /* references; NULL with dir_fd -1 */
    char *disk_dir;                  /* owned; NULL: the bounds of its writable layer stay */
    struct image_disk disk_from, disk_to;
    int result;
    shoal_error_t error;
};

struct reload {
    shoal_supervisor_t *boss;
    struct group_changes *groups; /* owned, until they are made: they go first */
    size_t next;                  /* member */
    struct item items[BATCH];
    size_t count;
    uv_work_t work;
    shoal_reload_t outcome;
    shoal_reload_cb cb;
    void *data;
};

/* ---- what differs ---- */

struct comparison {
    shoal_supervisor_t *boss;
    size_t count;
};

static void tell_difference(void *data, const shoal_position_t *at, const char *where, const char *key,
                            const char *what)
{
    struct comparison *comparison = data;
    if (comparison->count++ >= DIFFERENCES_TOLD)
        return;
    char place[300] = "";
    if (at->line > 0)
        (void)snprintf(place, sizeof place, "%s:%d:%d: ", at->file, at->line, at->column);
    supervisor_message(comparison->boss, SHOAL_ERROR, "%s%s%s: %s", place, where, key, what);
}

static const shoal_fixed_t *find_fixed(const shoal_fixed_t *list, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].key, key) == 0)
            return &list[i];
    return NULL;
}

static void compare_keys(struct comparison *comparison, const char *where, const shoal_fixed_t *old, size_t old_count,
                         const shoal_fixed_t *new, size_t new_count)
{
    static const char changed[] = "is not what runs; a reload changes limits alone";
    for (size_t i = 0; i < new_count; i++) {
        const shoal_fixed_t *before = find_fixed(old, old_count, new[i].key);
        if (before == NULL || before->says != new[i].says)
            tell_difference(comparison, &new[i].at, where, new[i].key, changed);
    }
    for (size_t i = 0; i < old_count; i++)
        if (find_fixed(new, new_count, old[i].key) == NULL)
            tell_difference(comparison, &old[i].at, where, old[i].key,
                            "is gone, but the fleet runs with it; a reload changes limits alone");
}

/* Index of a service by name; first where it should be. */
static size_t find_service(const shoal_spec_t *spec, const char *name, size_t like)
{
    if (like < spec->service_count && strcmp(spec->services[like].name, name) == 0)
        return like;
    size_t i = 0;
    while (i < spec->service_count && strcmp(spec->services[i].name, name) != 0)
        i++;
    return i;
}

/* A writable layer has bounds from its first moment on, or never. */
static void compare_disks(struct comparison *comparison, const char *where, shoal_disk_via_t via,
                          const shoal_service_t *before, const shoal_service_t *after)
{
    const shoal_disk_t *old = &before->disk, *new = &after->disk;
    if (old->set != new->set)
        tell_difference(comparison, new->set ? &new->at : &old->at, where, new->set ? new->key : old->key,
                        new->set ? "is new; a reload can change it, not begin with it"
                                 : "is gone, but the fleet runs with it");
    else if (via == SHOAL_DISK_LOOP && (old->bytes != new->bytes || old->inodes != new->inodes))
        tell_difference(comparison, &new->at, where, new->key,
                        "is not what runs; it is carried out by a loop, which keeps its size");
}

/* order: for each service that runs its index in the new spec. */
static int compare(shoal_supervisor_t *s, const shoal_spec_t *new, size_t *order, shoal_error_t *err)
{
    struct comparison comparison = {.boss = s};
    const shoal_spec_t *old = s->spec;
    if (strcmp(old->project, new->project) != 0) {
        const shoal_position_t nowhere = {0};
        tell_difference(&comparison, &nowhere, "", "name", "another project's; a reload changes limits alone");
    }
    compare_keys(&comparison, "", old->fixed, old->fixed_count, new->fixed, new->fixed_count);
    for (size_t i = 0; i < old->service_count; i++) {
        const shoal_service_t *before = &old->services[i];
        order[i] = find_service(new, before->name, i);
        char where[160];
        (void)snprintf(where, sizeof where, "services.%.120s.", before->name);
        if (order[i] == new->service_count) {
            tell_difference(&comparison, &before->at, "services.", before->name,
                            "is gone, but runs; a reload changes limits alone");
            continue;
        }
        const shoal_service_t *after = &new->services[order[i]];
        compare_disks(&comparison, where, s->groups[i].disk.via, before, after);
        compare_keys(&comparison, where, before->fixed, before->fixed_count, after->fixed, after->fixed_count);
    }
    for (size_t i = 0; i < new->service_count; i++)
        if (find_service(old, new->services[i].name, i) == old->service_count)
            tell_difference(&comparison, &new->services[i].at, "services.", new->services[i].name,
                            "is new; a reload changes limits alone");
    groups_compare(s, new, tell_difference, &comparison);
    if (comparison.count == 0)
        return 0;
    return shoal_refuse(err, -ENOTSUP, "%zu key%s cannot be changed while the fleet runs; nothing was changed",
                        comparison.count, comparison.count == 1 ? "" : "s");
}

/* ---- container by container ---- */

static void next_batch(struct reload *reload);

static void finish(struct reload *reload)
{
    shoal_supervisor_t *s = reload->boss;
    s->reload = NULL;
    if (reload->cb != NULL)
        reload->cb(s, reload->data, &reload->outcome);
    free(reload);
    fleet_schedule(s); /* somebody may wait to close */
}

struct number {
    char text[24];
};

static struct number number_of(uint64_t limit)
{
    struct number out = {"max"};
    if (limit > 0)
        (void)snprintf(out.text, sizeof out.text, "%llu", (unsigned long long)limit);
    return out;
}

static void tell_update(const struct item *item, struct container *c)
{
    enum { DISK_CHANGES = 2 };
    const struct image_disk *from = &item->disk_from, *to = &item->disk_to; /* the same where they stay */
    struct number bytes[] = {number_of(from->bytes), number_of(to->bytes)};
    struct number inodes[] = {number_of(from->inodes), number_of(to->inodes)};
    size_t count = item->to != NULL ? cgroup_limits_compare(item->from, item->to, NULL) : 0;
    struct cgroup_change *changes = calloc(count + 1, sizeof *changes);
    shoal_change_t *told = calloc(count + DISK_CHANGES, sizeof *told);
    if (changes != NULL && told != NULL) {
        if (item->to != NULL)
            (void)cgroup_limits_compare(item->from, item->to, changes);
        for (size_t i = 0; i < count; i++)
            told[i] = (shoal_change_t){changes[i].name, changes[i].from, changes[i].to};
        if (from->bytes != to->bytes)
            told[count++] = (shoal_change_t){"disk.max", bytes[0].text, bytes[1].text};
        if (from->inodes != to->inodes)
            told[count++] = (shoal_change_t){"disk.inodes_max", inodes[0].text, inodes[1].text};
        container_tell_update(c, told, count);
    }
    free(changes);
    free(told);
}

static void end_item(struct reload *reload, struct item *item)
{
    shoal_supervisor_t *s = reload->boss;
    struct container *c = s->members[item->member].container;
    if (c != NULL && strcmp(container_id(c), item->id) != 0)
        c = NULL;
    struct cgroup *cgroup = c != NULL && item->to != NULL ? container_cgroup_in_use(c) : NULL;
    if (cgroup != NULL && cgroup_serial(cgroup) != item->serial)
        cgroup = NULL; /* it has ended: the next start gets the new ones */
    if (cgroup != NULL || (c != NULL && item->disk_dir != NULL)) {
        if (item->result == 0) {
            if (cgroup != NULL)
                cgroup_set_limits(cgroup, item->to);
            if (item->disk_dir != NULL)
                container_set_disk(c, &item->disk_to);
            reload->outcome.changed++;
            tell_update(item, c);
        } else {
            reload->outcome.failed++;
            supervisor_message(s, SHOAL_ERROR, "%s: update: %s; it keeps the limits that it had", container_name(c),
                               item->error.text);
        }
    }
    base_close_fd(&item->dir_fd);
    cgroup_limits_unref(item->from);
    cgroup_limits_unref(item->to);
    free(item->disk_dir);
}

/* All of it, or nothing. */
static void change(struct item *item)
{
    item->result = item->disk_dir != NULL ? image_disk_change(&item->disk_to, item->disk_dir, &item->error) : 0;
    if (item->result < 0 || item->to == NULL)
        return;
    item->result = cgroup_limits_change(item->from, item->to, item->dir_fd, &item->error);
    if (item->result < 0 && item->disk_dir != NULL)
        (void)image_disk_change(&item->disk_from, item->disk_dir, NULL);
}

static void work_on(uv_work_t *request) /* on a worker thread */
{
    struct reload *reload = CONTAINER_OF(request, struct reload, work);
    for (size_t i = 0; i < reload->count; i++)
        change(&reload->items[i]);
}

static void on_worked(uv_work_t *request, int status)
{
    struct reload *reload = CONTAINER_OF(request, struct reload, work);
    for (size_t i = 0; i < reload->count; i++) {
        if (status < 0) /* it never came to it */
            reload->items[i].result = shoal_fail(&reload->items[i].error, status, "worker");
        end_item(reload, &reload->items[i]);
    }
    reload->count = 0;
    next_batch(reload);
}

/* What of a container's limits differs, into item. Returns 1, 0 nothing does, or a negative errno. */
static int find_limits(struct item *item, struct container *c, struct cgroup_limits *to)
{
    struct cgroup *cgroup = container_cgroup_in_use(c);
    struct cgroup_limits *from = cgroup != NULL ? cgroup_get_limits(cgroup) : NULL;
    if (cgroup == NULL || cgroup_limits_compare(from, to, NULL) == 0)
        return 0;
    item->serial = cgroup_serial(cgroup);
    item->dir_fd = cgroup_open(cgroup);
    if (item->dir_fd < 0)
        return shoal_fail(&item->error, -errno, "open its cgroup");
    item->from = cgroup_limits_ref(from);
    item->to = cgroup_limits_ref(to);
    return 1;
}

static int find_disk(struct item *item, const struct container *c, const struct image_disk *wanted)
{
    const char *dir;
    struct image_disk disk;
    if (!container_get_disk(c, &disk, &dir) || (disk.bytes == wanted->bytes && disk.inodes == wanted->inodes))
        return 0;
    item->disk_dir = base_format("%s", dir);
    if (item->disk_dir == NULL)
        return shoal_fail(&item->error, -ENOMEM, "x-shoal.disk");
    item->disk_from = item->disk_to = disk;
    item->disk_to.bytes = wanted->bytes;
    item->disk_to.inodes = wanted->inodes;
    return 1;
}

static void add_item(struct reload *reload, size_t member, struct container *c)
{
    const struct group *group = &reload->boss->groups[reload->boss->members[member].service];
    struct item *item = &reload->items[reload->count];
    *item = (struct item){.member = member, .dir_fd = -1};
    (void)snprintf(item->id, sizeof item->id, "%s", container_id(c));
    int limits = find_limits(item, c, group->limits);
    int disk = limits >= 0 ? find_disk(item, c, &group->disk) : 0;
    if (limits >= 0 && disk >= 0) {
        reload->count += limits + disk > 0;
        return;
    }
    supervisor_message(reload->boss, SHOAL_ERROR, "%s: update: %s", container_name(c), item->error.text);
    reload->outcome.failed++;
    base_close_fd(&item->dir_fd);
    cgroup_limits_unref(item->from);
    cgroup_limits_unref(item->to);
}

static void next_batch(struct reload *reload)
{
    shoal_supervisor_t *s = reload->boss;
    while (reload->next < s->member_count && reload->count < BATCH && s->phase == PHASE_UP) {
        size_t at = reload->next++;
        const struct member *member = &s->members[at];
        if (member->container != NULL && !member->closing)
            add_item(reload, at, member->container);
    }
    if (reload->count == 0) {
        finish(reload);
        return;
    }
    int code = uv_queue_work(s->loop, &reload->work, work_on, on_worked);
    if (code < 0)
        on_worked(&reload->work, code);
}

/* ---- the caller's request ---- */

/* From here on every start gets the new limits. */
static void take_over(shoal_supervisor_t *s, const shoal_spec_t *new, const size_t *order,
                      struct cgroup_limits *const *limits, const struct image_disk *disks)
{
    for (size_t i = 0; i < s->spec->service_count; i++) {
        cgroup_limits_unref(s->groups[i].limits);
        s->groups[i].limits = cgroup_limits_ref(limits[order[i]]);
        s->groups[i].said = &new->services[order[i]].limits;
        s->groups[i].disk.bytes = disks[order[i]].bytes;
        s->groups[i].disk.inodes = disks[order[i]].inodes;
    }
    for (size_t i = 0; i < s->member_count; i++) {
        struct container *c = s->members[i].container;
        struct image_disk disk;
        const char *dir;
        if (c == NULL)
            continue;
        container_set_limits(c, s->groups[s->members[i].service].limits);
        if (!container_get_disk(c, &disk, &dir)) /* else there is something to change */
            container_set_disk(c, &s->groups[s->members[i].service].disk);
    }
}

/* Also where there is nothing to write: whoever asked is told from the loop, not from inside the call. */
static void write_groups(uv_work_t *request) /* on a worker thread */
{
    group_changes_write(CONTAINER_OF(request, struct reload, work)->groups);
}

static void on_groups_written(uv_work_t *request, int status)
{
    (void)status; /* nobody cancels it */
    struct reload *reload = CONTAINER_OF(request, struct reload, work);
    group_changes_end(reload->groups, &reload->outcome);
    reload->groups = NULL;
    next_batch(reload);
}

int shoal_supervisor_reload(shoal_supervisor_t *s, const shoal_spec_t *spec, shoal_reload_cb cb, void *data,
                            shoal_error_t *err)
{
    if (s->phase != PHASE_UP)
        return shoal_refuse(err, -EINVAL, "the fleet is not up");
    if (s->reload != NULL)
        return shoal_refuse(err, -EALREADY, "a reload is under way");
    AUTO_FREE size_t *order = calloc(s->spec->service_count + 1, sizeof *order);
    size_t services = spec->service_count, all = services + spec->group_count + 1;
    struct cgroup_limits **limits = calloc(all, sizeof(struct cgroup_limits *));
    AUTO_FREE struct image_disk *disks = calloc(spec->service_count + 1, sizeof *disks);
    struct reload *reload = calloc(1, sizeof *reload);
    int code = order == NULL || limits == NULL || disks == NULL || reload == NULL ? shoal_fail(err, -ENOMEM, "reload")
                                                                                  : 0;
    if (code == 0)
        code = compare(s, spec, order, err);
    if (code == 0 && (check_controllers(s, spec, limits, err) < 0 || check_disks(s, spec, disks, err) < 0))
        code = shoal_refuse(err, -ENOTSUP, "the host lacks what the fleet needs; nothing was changed");
    if (code == 0) {
        *reload = (struct reload){.boss = s, .cb = cb, .data = data};
        reload->groups = group_changes_new(s, spec, limits + services);
        if (reload->groups == NULL)
            code = shoal_fail(err, -ENOMEM, "reload");
    }
    if (code == 0) {
        code = uv_queue_work(s->loop, &reload->work, write_groups, on_groups_written);
        if (code < 0)
            (void)shoal_fail(err, code, "queue work");
    }
    if (code == 0) {
        s->reload = reload;
        take_over(s, spec, order, limits, disks);
        resources_change(s->resources);
        reload = NULL;
    }
    if (reload != NULL)
        group_changes_free(reload->groups);
    free(reload);
    for (size_t i = 0; limits != NULL && i < all; i++)
        cgroup_limits_unref(limits[i]);
    free(limits);
    return code;
}
