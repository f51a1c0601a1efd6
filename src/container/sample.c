/* One container's counters: the cgroup's files are read at once, its links are asked on the loop. */
#include <errno.h>
#include <string.h>

#include "container/inside.h"

struct sampling {
    struct container *container; /* not touched once an answer was -ECANCELED: it may be gone */
    container_sample_cb cb;
    void *data;
    size_t waiting;
    bool cancelled, has_net;
    shoal_sample_t sample;
};

static void finish(struct sampling *sampling)
{
    sampling->cb(sampling->data, sampling->cancelled ? NULL : &sampling->sample);
    free(sampling);
}

static void on_stats(void *data, int status, const shoal_sample_t *net_only)
{
    struct sampling *sampling = data;
    if (status == -ECANCELED)
        sampling->cancelled = true;
    if (status == 0) {
        const uint64_t *from = &net_only->net.rx_bytes;
        uint64_t *to = &sampling->sample.net.rx_bytes;
        for (size_t i = 0; i < sizeof net_only->net / sizeof *from; i++)
            to[i] = sampling->has_net ? to[i] + from[i] : from[i];
        sampling->has_net = true;
    }
    if (--sampling->waiting == 0)
        finish(sampling);
}

/* Whose sample it is, every counter SHOAL_ABSENT, then what its cgroup says. */
static void fill(const struct container *c, enum container_state state, shoal_sample_t *out)
{
    memset(&out->cpu, 0xff, sizeof *out - offsetof(shoal_sample_t, cpu));
    out->time_usec = base_realtime_usec();
    out->project = c->spec->project;
    out->service = c->service->name;
    out->container = c->name;
    out->id = c->id;
    out->state = container_state_name(state);
    out->final = false;
    out->frozen = c->frozen_since_usec != 0;
    if (c->cgroup != NULL)
        cgroup_read_sample(c->cgroup, out);
}

void container_read_final(const struct container *c, shoal_sample_t *out)
{
    fill(c, CONTAINER_EXITED, out);
    out->final = true;
}

void container_sample(struct container *c, container_sample_cb cb, void *data)
{
    struct sampling *sampling = malloc(sizeof *sampling);
    if (sampling == NULL) {
        cb(data, NULL);
        return;
    }
    *sampling = (struct sampling){.container = c, .cb = cb, .data = data};
    fill(c, c->state, &sampling->sample);
    sampling->waiting = 1; /* ours: answers may come while we still ask */
    for (size_t i = 0; i < c->endpoint_count && (c->state == CONTAINER_RUNNING || c->state == CONTAINER_PAUSED); i++)
        if (net_endpoint_read_stats(c->endpoints[i], on_stats, sampling) == 0)
            sampling->waiting++;
    if (--sampling->waiting == 0)
        finish(sampling);
}
