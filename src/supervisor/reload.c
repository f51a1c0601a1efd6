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
    uint64_t serial; /* of the cgroup that dir_fd is */
    int dir_fd;
    struct cgroup_limits *from, *to; /* references */
    int result;
    shoal_error_t error;
};

struct reload {
    shoal_supervisor_t *boss;
    size_t next; /* member */
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

static void tell_difference(struct comparison *comparison, const shoal_position_t *at, const char *where,
                            const char *key, const char *what)
{
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
        compare_keys(&comparison, where, before->fixed, before->fixed_count, after->fixed, after->fixed_count);
    }
    for (size_t i = 0; i < new->service_count; i++)
        if (find_service(old, new->services[i].name, i) == old->service_count)
            tell_difference(&comparison, &new->services[i].at, "services.", new->services[i].name,
                            "is new; a reload changes limits alone");
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

static void tell_update(const struct item *item, struct container *c)
{
    size_t count = cgroup_limits_compare(item->from, item->to, NULL);
    struct cgroup_change *changes = calloc(count + 1, sizeof *changes);
    shoal_change_t *told = calloc(count + 1, sizeof *told);
    if (changes != NULL && told != NULL) {
        (void)cgroup_limits_compare(item->from, item->to, changes);
        for (size_t i = 0; i < count; i++)
            told[i] = (shoal_change_t){changes[i].name, changes[i].from, changes[i].to};
        container_tell_update(c, told, count);
    }
    free(changes);
    free(told);
}

static void end_item(struct reload *reload, struct item *item)
{
    shoal_supervisor_t *s = reload->boss;
    struct container *c = s->members[item->member].container;
    struct cgroup *cgroup = c != NULL ? container_cgroup_in_use(c) : NULL;
    if (cgroup != NULL &&
        cgroup_serial(cgroup) == item->serial) { /* else it has ended: the next start gets the new ones */
        if (item->result == 0) {
            cgroup_set_limits(cgroup, item->to);
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
}

static void work_on(uv_work_t *request) /* on a worker thread */
{
    struct reload *reload = CONTAINER_OF(request, struct reload, work);
    for (size_t i = 0; i < reload->count; i++) {
        struct item *item = &reload->items[i];
        item->result = cgroup_limits_change(item->from, item->to, item->dir_fd, &item->error);
    }
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

static void add_item(struct reload *reload, size_t member, struct cgroup *cgroup, struct cgroup_limits *to)
{
    struct cgroup_limits *from = cgroup_get_limits(cgroup);
    if (cgroup_limits_compare(from, to, NULL) == 0)
        return;
    struct item *item = &reload->items[reload->count];
    *item = (struct item){.member = member, .serial = cgroup_serial(cgroup), .dir_fd = cgroup_open(cgroup)};
    if (item->dir_fd < 0) {
        int code = shoal_fail(&item->error, -errno, "open its cgroup");
        supervisor_message(reload->boss, SHOAL_ERROR, "%s: update: %s",
                           container_name(reload->boss->members[member].container), item->error.text);
        reload->outcome.failed += code < 0;
        return;
    }
    item->from = cgroup_limits_ref(from);
    item->to = cgroup_limits_ref(to);
    reload->count++;
}

static void next_batch(struct reload *reload)
{
    shoal_supervisor_t *s = reload->boss;
    while (reload->next < s->member_count && reload->count < BATCH && s->phase == PHASE_UP) {
        size_t at = reload->next++;
        struct member *member = &s->members[at];
        struct cgroup *cgroup = member->container != NULL ? container_cgroup_in_use(member->container) : NULL;
        if (cgroup != NULL)
            add_item(reload, at, cgroup, s->groups[member->service].limits);
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
                      struct cgroup_limits *const *limits)
{
    for (size_t i = 0; i < s->spec->service_count; i++) {
        cgroup_limits_unref(s->groups[i].limits);
        s->groups[i].limits = cgroup_limits_ref(limits[order[i]]);
        s->groups[i].said = &new->services[order[i]].limits;
    }
    for (size_t i = 0; i < s->member_count; i++)
        if (s->members[i].container != NULL)
            container_set_limits(s->members[i].container, s->groups[s->members[i].service].limits);
}

/* Whoever asked is told from the loop, not from inside the call. */
static void on_begin(uv_work_t *request)
{
    (void)request;
}

int shoal_supervisor_reload(shoal_supervisor_t *s, const shoal_spec_t *spec, shoal_reload_cb cb, void *data,
                            shoal_error_t *err)
{
    if (s->phase != PHASE_UP)
        return shoal_refuse(err, -EINVAL, "the fleet is not up");
    if (s->reload != NULL)
        return shoal_refuse(err, -EALREADY, "a reload is under way");
    AUTO_FREE size_t *order = calloc(s->spec->service_count + 1, sizeof *order);
    struct cgroup_limits **limits = calloc(spec->service_count + 1, sizeof(struct cgroup_limits *));
    struct reload *reload = calloc(1, sizeof *reload);
    int code = order == NULL || limits == NULL || reload == NULL ? shoal_fail(err, -ENOMEM, "reload") : 0;
    if (code == 0)
        code = compare(s, spec, order, err);
    if (code == 0 && check_controllers(s, spec, limits, err) < 0)
        code = shoal_refuse(err, -ENOTSUP, "the host lacks what the fleet needs; nothing was changed");
    if (code == 0) {
        *reload = (struct reload){.boss = s, .cb = cb, .data = data};
        code = uv_queue_work(s->loop, &reload->work, on_begin, on_worked);
        if (code < 0)
            (void)shoal_fail(err, code, "queue work");
    }
    if (code == 0) {
        s->reload = reload;
        take_over(s, spec, order, limits);
        resources_change(s->resources);
        reload = NULL;
    }
    free(reload);
    for (size_t i = 0; limits != NULL && i < spec->service_count; i++)
        cgroup_limits_unref(limits[i]);
    free(limits);
    return code;
}
