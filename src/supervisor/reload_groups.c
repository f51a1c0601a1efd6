/* Limits of groups and the budget, changed while the fleet runs. The tree itself stays as it is. */
#include <errno.h>
#include <string.h>

#include "cgroup/cgroup.h"
#include "supervisor/inside.h"

struct group_change {
    struct cgroup *cgroup;
    const char *name; /* the project's is "/" */
    int dir_fd;
    struct cgroup_limits *from, *to; /* references */
    int result;
    shoal_error_t error;
};

struct group_changes {
    shoal_supervisor_t *boss;
    size_t count;
    struct group_change items[];
};

/* ---- what differs ---- */

/* NULL: there is none. First where it should be. */
static const shoal_group_t *find_group(const shoal_spec_t *spec, const char *name, size_t like)
{
    if (like < spec->group_count && strcmp(spec->groups[like].name, name) == 0)
        return &spec->groups[like];
    for (size_t i = 0; i < spec->group_count; i++)
        if (strcmp(spec->groups[i].name, name) == 0)
            return &spec->groups[i];
    return NULL;
}

/* Whether sandboxes that are between their birth and execve, and share our memory, are held back from the kernel's killing for
 * the limit of a group is settled when the fleet starts. */
static void compare_memory(const shoal_supervisor_t *s, const shoal_spec_t *new, difference_fn tell, void *data)
{
    if (groups_share_memory(s, s->spec) || !groups_share_memory(s, new))
        return;
    char where[256] = "x-shoal.budget.";
    const shoal_limit_t *first = &new->budget.items[SHOAL_LIMIT_MEMORY];
    for (size_t i = 0; i < new->group_count && !first->set; i++) {
        (void)snprintf(where, sizeof where, "x-shoal.groups.%s.", new->groups[i].name);
        first = &new->groups[i].limits.items[SHOAL_LIMIT_MEMORY];
    }
    tell(data, &first->at, where, first->key,
         "is the first limit on memory that sandboxes share; a fleet has to start with one");
}

void groups_compare(const shoal_supervisor_t *s, const shoal_spec_t *new, difference_fn tell, void *data)
{
    static const char where[] = "x-shoal.groups.";
    const shoal_spec_t *old = s->spec;
    for (size_t i = 0; i < old->group_count; i++)
        if (find_group(new, old->groups[i].name, i) == NULL)
            tell(data, &old->groups[i].at, where, old->groups[i].name,
                 "is gone, but is there; a reload changes limits alone");
    for (size_t i = 0; i < new->group_count; i++)
        if (find_group(old, new->groups[i].name, i) == NULL)
            tell(data, &new->groups[i].at, where, new->groups[i].name, "is new; a reload changes limits alone");
    compare_memory(s, new, tell, data);
}

static void add_change(struct group_changes *changes, struct cgroup **cgroup, const char *name,
                       struct cgroup_limits *to)
{
    struct group_change *change = &changes->items[changes->count];
    struct cgroup_limits *from = *cgroup != NULL ? cgroup_get_limits(*cgroup) : NULL;
    if (cgroup_limits_compare(from, to, NULL) == 0)
        return;
    changes->count++;
    *change = (struct group_change){
        .name = name, .dir_fd = -1, .from = cgroup_limits_ref(from), .to = cgroup_limits_ref(to)};
    if (*cgroup == NULL) /* the project's is ours from its first budget on */
        change->result = cgroup_limit_project(changes->boss->cgroups, NULL, cgroup, &change->error);
    if (change->result < 0)
        return;
    change->cgroup = *cgroup;
    change->dir_fd = cgroup_open(*cgroup);
    if (change->dir_fd < 0)
        change->result = shoal_fail(&change->error, -errno, "open its cgroup");
}

struct group_changes *group_changes_new(shoal_supervisor_t *s, const shoal_spec_t *new,
                                        struct cgroup_limits *const *limits)
{
    size_t count = s->spec->group_count;
    struct group_changes *changes = calloc(1, sizeof *changes + (count + 1) * sizeof *changes->items);
    if (changes == NULL)
        return NULL;
    changes->boss = s;
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)(find_group(new, s->spec->groups[i].name, i) - new->groups);
        add_change(changes, &s->tree.groups[i], s->spec->groups[i].name, limits[at]);
    }
    add_change(changes, &s->tree.project, "/", limits[new->group_count]);
    return changes;
}

/* ---- changed ---- */

void group_changes_write(struct group_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        struct group_change *change = &changes->items[i];
        if (change->result == 0)
            change->result = cgroup_limits_change(change->from, change->to, change->dir_fd, &change->error);
    }
}

static void tell_update(shoal_supervisor_t *s, const struct group_change *change)
{
    size_t count = cgroup_limits_compare(change->from, change->to, NULL);
    struct cgroup_change *differences = calloc(count + 1, sizeof *differences);
    shoal_change_t *told = calloc(count + 1, sizeof *told);
    if (differences != NULL && told != NULL) {
        (void)cgroup_limits_compare(change->from, change->to, differences);
        for (size_t i = 0; i < count; i++)
            told[i] = (shoal_change_t){differences[i].name, differences[i].from, differences[i].to};
        shoal_event_t event = {
            .kind = SHOAL_EVENT_UPDATE, .group = change->name, .changes = told, .change_count = count};
        supervisor_publish(s, &event);
    }
    free(differences);
    free(told);
}

void group_changes_end(struct group_changes *changes, shoal_reload_t *outcome)
{
    for (size_t i = 0; i < changes->count; i++) {
        struct group_change *change = &changes->items[i];
        if (change->result == 0) {
            cgroup_set_limits(change->cgroup, change->to);
            outcome->groups++;
            tell_update(changes->boss, change);
        } else {
            outcome->failed++;
            supervisor_message(changes->boss, SHOAL_ERROR, "group %s: update: %s; it keeps the limits that it had",
                               change->name, change->error.text);
        }
    }
    group_changes_free(changes);
}

void group_changes_free(struct group_changes *changes)
{
    for (size_t i = 0; changes != NULL && i < changes->count; i++) {
        base_close_fd(&changes->items[i].dir_fd);
        cgroup_limits_unref(changes->items[i].from);
        cgroup_limits_unref(changes->items[i].to);
    }
    free(changes);
}
