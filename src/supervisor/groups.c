/* Groups and the budget: cgroups around those of containers, made before the first start. */
#include <errno.h>
#include <string.h>

#include "cgroup/cgroup.h"
#include "supervisor/inside.h"

static bool has_any(const shoal_limits_t *limits)
{
    bool any = limits->device_count > 0 || limits->named_count > 0;
    for (int i = 0; i < SHOAL_LIMIT_COUNT; i++)
        any |= limits->items[i].set;
    return any;
}

int groups_open(shoal_supervisor_t *s, struct cgroup_limits *const *limits, shoal_error_t *err)
{
    size_t count = s->spec->group_count;
    s->tree.groups = calloc(count + 1, sizeof(struct cgroup *));
    if (s->tree.groups == NULL)
        return shoal_fail(err, -ENOMEM, "groups");
    int code = 0;
    if (has_any(&s->spec->budget))
        code = cgroup_limit_project(s->cgroups, limits[count], &s->tree.project, err);
    for (size_t i = 0; i < count && code == 0; i++)
        code = cgroup_make_group(s->cgroups, s->spec->groups[i].name, limits[i], &s->tree.groups[i], err);
    return code;
}

bool groups_share_memory(const shoal_supervisor_t *s, const shoal_spec_t *spec)
{
    if (!cgroup_root_has(s->cgroups, CGROUP_MEMORY))
        return false;
    bool any = spec->budget.items[SHOAL_LIMIT_MEMORY].set;
    for (size_t i = 0; i < spec->group_count; i++)
        any |= spec->groups[i].limits.items[SHOAL_LIMIT_MEMORY].set;
    return any;
}

void groups_close(shoal_supervisor_t *s)
{
    for (size_t i = 0; s->tree.groups != NULL && i < s->spec->group_count; i++)
        cgroup_free_group(s->tree.groups[i]);
    cgroup_free_group(s->tree.project);
    free(s->tree.groups);
    s->tree = (struct cgroup_tree){0};
}

bool groups_contains(const shoal_spec_t *spec, int outer, int group)
{
    while (group != SHOAL_NO_GROUP && group != outer)
        group = spec->groups[group].parent;
    return group == outer;
}

static void publish(shoal_supervisor_t *s, const shoal_sample_t *sample)
{
    for (shoal_subscriber_t *at = s->subscribers, *next; at != NULL; at = next) {
        next = at->next;
        if (at->on_group != NULL)
            at->on_group(at->data, sample);
    }
}

static void sample_one(shoal_supervisor_t *s, struct cgroup *cgroup, const char *name)
{
    if (cgroup == NULL)
        return;
    shoal_sample_t sample;
    memset(&sample, 0xff, sizeof sample); /* SHOAL_ABSENT */
    sample.time_usec = base_realtime_usec();
    sample.project = s->spec->project;
    sample.group = name;
    sample.service = sample.container = sample.id = sample.state = NULL;
    sample.final = sample.frozen = false;
    sample.limit_count = 0;
    sample.limits = NULL;
    cgroup_read_sample(cgroup, &sample);
    publish(s, &sample);
}

void groups_sample(shoal_supervisor_t *s)
{
    bool wanted = false;
    for (const shoal_subscriber_t *at = s->subscribers; at != NULL; at = at->next)
        wanted |= at->on_group != NULL;
    if (!wanted || s->tree.groups == NULL)
        return;
    sample_one(s, s->tree.project, "/");
    for (size_t i = 0; i < s->spec->group_count; i++)
        sample_one(s, s->tree.groups[i], s->spec->groups[i].name);
}
