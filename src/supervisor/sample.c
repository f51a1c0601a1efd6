/* A round of samples: the counters of all links, the members in slices, each slice short, then the fleet's own line. */
#include <errno.h>

#include "cgroup/cgroup.h"
#include "net/net.h"
#include "supervisor/inside.h"

static void publish_fleet(shoal_supervisor_t *s)
{
    shoal_fleet_sample_t fleet = {
        .time_usec = base_realtime_usec(),
        .project = s->spec->project,
        .starts = s->starts,
        .deaths = s->deaths,
    };
    if (s->stock != NULL) {
        struct net_stock_counts stock = net_stock_count(s->stock);
        fleet.pool.ready = stock.ready;
        fleet.pool.lent = stock.lent;
        fleet.pool.made = stock.made;
        fleet.pool.reused = stock.reused;
        fleet.pool.hits = stock.hits;
        fleet.pool.misses = stock.misses;
        fleet.pool.failed = stock.failed;
        fleet.pool.usage_usec = stock.usage_usec;
    }
    const struct start_gate *gates = s->gate.governor.gates;
    fleet.governor.waiting_ordinary = gates[START_ORDINARY].waiting;
    fleet.governor.waiting_crashed = gates[START_CRASHED].waiting;
    fleet.governor.slow_ordinary = gates[START_ORDINARY].slow || s->gate.governor.limited;
    fleet.governor.slow_crashed = gates[START_CRASHED].slow || s->gate.governor.limited;
    fleet.governor.slowed = s->gate.slowed;
    for (size_t i = 0; i < s->member_count; i++) {
        if (s->members[i].container == NULL)
            continue;
        fleet.parked += s->members[i].prepared && !s->members[i].preparing;
        switch (container_get_state(s->members[i].container)) {
        case CONTAINER_PAUSED:
            fleet.paused++;
            break;
        case CONTAINER_RUNNING:
        case CONTAINER_STOPPING:
            fleet.running++;
            break;
        case CONTAINER_CREATED:
        case CONTAINER_STARTING:
            fleet.starting++;
            break;
        case CONTAINER_BACKOFF:
            fleet.backoff++;
            break;
        case CONTAINER_EXITED:
            fleet.exited++;
            break;
        case CONTAINER_REMOVED:
        case CONTAINER_STATE_COUNT:
            break;
        }
    }
    for (shoal_subscriber_t *at = s->subscribers, *next; at != NULL; at = next) {
        next = at->next;
        if (at->on_fleet != NULL)
            at->on_fleet(at->data, &fleet);
    }
}

static void publish_host(shoal_supervisor_t *s)
{
    shoal_host_sample_t host = {.time_usec = base_realtime_usec(), .project = s->spec->project};
    for (shoal_subscriber_t *at = s->subscribers, *next; at != NULL; at = next) {
        next = at->next;
        if (at->on_host == NULL)
            continue;
        if (host.resources == NULL) { /* read for whoever listens */
            resources_read(s->resources);
            host.resources = resources_get(s->resources, &host.resource_count);
        }
        at->on_host(at->data, &host);
    }
}

static void finish(shoal_supervisor_t *s)
{
    s->sampling = false;
    groups_sample(s);
    publish_fleet(s);
    publish_host(s);
    culprits_round_over(s->culprits);
}

void supervisor_publish_sample(shoal_supervisor_t *s, const shoal_sample_t *sample)
{
    for (shoal_subscriber_t *at = s->subscribers, *next; at != NULL; at = next) {
        next = at->next;
        if (at->on_sample != NULL)
            at->on_sample(at->data, sample);
    }
}

static void on_slice(uv_timer_t *timer)
{
    shoal_supervisor_t *s = timer->data;
    uint64_t until = base_monotonic_usec() + SLICE_USEC;
    while (s->sample_next < s->member_count && base_monotonic_usec() < until) {
        size_t number = s->sample_next++;
        const struct member *member = &s->members[number];
        if (member->container == NULL || member->closing)
            continue;
        shoal_sample_t sample;
        container_sample(member->container, &sample);
        culprits_feed(s->culprits, number, &sample);
        supervisor_publish_sample(s, &sample);
    }
    if (s->sample_next < s->member_count)
        (void)uv_timer_start(&s->sample_timer, on_slice, 1, 0); /* others first */
    else
        finish(s);
}

static void begin_slices(shoal_supervisor_t *s)
{
    on_slice(&s->sample_timer);
}

static void read_disks(shoal_supervisor_t *s)
{
    if (!disks_read(s, begin_slices))
        begin_slices(s);
}

static void on_links_read(void *data, int status)
{
    (void)status; /* what was not read is what it was in the round before */
    read_disks(data);
}

int shoal_supervisor_sample(shoal_supervisor_t *s)
{
    if (s->sampling || s->phase == PHASE_CLOSING)
        return -EALREADY;
    s->sampling = true;
    s->sample_next = 0;
    cgroup_root_begin_round(s->cgroups);
    if (s->net == NULL || net_read_stats(s->net, on_links_read, s) < 0)
        read_disks(s);
    return 0;
}
