/* Groups and the budget: cgroups around those of containers, made before the first start. */
#include <errno.h>
#include <string.h>

#include "cgroup/cgroup.h"
#include "supervisor/inside.h"

enum { NET_COUNTS = 6 }; /* in the order of shoal_sample_t.net */
struct group_net {
    bool known;
    uint64_t ended[NET_COUNTS], live[NET_COUNTS]; /* of runs that are over; of the others, in the last round */
};

static bool has_any(const shoal_limits_t *limits)
{
    bool any = limits->device_count > 0 || limits->named_count > 0;
    for (int i = 0; i < SHOAL_LIMIT_COUNT; i++)
        any |= limits->items[i].set;
    return any;
}

static void on_limit(void *data, const char *group, enum cgroup_event cause, uint64_t count)
{
    shoal_event_t event = {.kind = SHOAL_EVENT_LIMIT, .group = group, .count = count};
    event.limit = cgroup_event_limit(cause, &event.counter);
    supervisor_publish(data, &event);
}

int groups_open(shoal_supervisor_t *s, struct cgroup_limits *const *limits, shoal_error_t *err)
{
    size_t count = s->spec->group_count;
    s->tree.groups = calloc(count + 1, sizeof(struct cgroup *));
    s->tree.net = calloc(count + 1, sizeof *s->tree.net);
    if (s->tree.groups == NULL || s->tree.net == NULL)
        return shoal_fail(err, -ENOMEM, "groups");
    int code = 0;
    if (has_any(&s->spec->budget))
        code = cgroup_limit_project(s->cgroups, limits[count], &s->tree.project, err);
    for (size_t i = 0; i < count && code == 0; i++)
        code = cgroup_make_group(s->cgroups, s->spec->groups[i].name, limits[i], &s->tree.groups[i], err);
    cgroup_watch_groups(s->cgroups, on_limit, s);
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
    free(s->tree.net);
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

/* No cgroup counts what goes over links: it is the sum of the members'. */

static void add_net(struct group_net *net, const uint64_t counts[NET_COUNTS], bool ended)
{
    net->known = true;
    for (size_t i = 0; i < NET_COUNTS; i++) {
        net->ended[i] += ended ? counts[i] : 0;
        net->live[i] += ended ? 0 : counts[i];
    }
}

/* To its group, those around that, and the project. */
static void add_to_all(const struct member *member, bool ended)
{
    const shoal_supervisor_t *s = member->boss;
    for (int group = s->spec->services[member->service].group; group != SHOAL_NO_GROUP;
         group = s->spec->groups[group].parent)
        add_net(&s->tree.net[group], member->links, ended);
    add_net(&s->tree.net[s->spec->group_count], member->links, ended);
}

static bool has_links(const struct member *member)
{
    bool any = false;
    for (size_t i = 0; i < NET_COUNTS; i++)
        any |= member->links[i] > 0;
    return any;
}

void groups_end_run(struct member *member, const shoal_sample_t *final)
{
    const uint64_t *counts = &final->net.rx_bytes;
    for (size_t i = 0; i < NET_COUNTS; i++)
        if (counts[i] != SHOAL_ABSENT && counts[i] > member->links[i])
            member->links[i] = counts[i];
    if (has_links(member))
        add_to_all(member, true);
    memset(member->links, 0, sizeof member->links);
}

static void count_links(shoal_supervisor_t *s)
{
    for (size_t i = 0; i <= s->spec->group_count; i++)
        memset(s->tree.net[i].live, 0, sizeof s->tree.net[i].live);
    for (size_t i = 0; i < s->member_count; i++) {
        struct member *member = &s->members[i];
        bool known = member->container != NULL && container_read_links(member->container, member->links);
        if (known || has_links(member)) /* not read this time: what was counted stays */
            add_to_all(member, false);
    }
}

static void sample_one(shoal_supervisor_t *s, struct cgroup *cgroup, const struct group_net *net, const char *name)
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
    for (size_t i = 0; net->known && i < NET_COUNTS; i++)
        (&sample.net.rx_bytes)[i] = net->ended[i] + net->live[i];
    publish(s, &sample);
}

void groups_sample(shoal_supervisor_t *s)
{
    bool wanted = false;
    for (const shoal_subscriber_t *at = s->subscribers; at != NULL; at = at->next)
        wanted |= at->on_group != NULL;
    if (!wanted || s->tree.groups == NULL)
        return;
    count_links(s);
    sample_one(s, s->tree.project, &s->tree.net[s->spec->group_count], "/");
    for (size_t i = 0; i < s->spec->group_count; i++)
        sample_one(s, s->tree.groups[i], &s->tree.net[i], s->spec->groups[i].name);
}
