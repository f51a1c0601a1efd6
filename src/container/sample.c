/* One container's counters: the files of its cgroup, and its links as they were last read. */
#include <string.h>

#include "container/inside.h"

/* As it was last read: that may take its time, and is not done here. */
static void put_disk(const struct container *c, shoal_sample_t *out)
{
    if (c->disk_use.bytes_max == 0)
        return;
    out->disk.current = c->disk_use.bytes;
    out->disk.max = c->disk_use.bytes_max;
    out->disk.inodes = c->disk_use.inodes;
    out->disk.inodes_max = c->disk_use.inodes_max; /* UINT64_MAX is SHOAL_ABSENT */
}

/* Whose sample it is; every counter SHOAL_ABSENT. */
static void fill(const struct container *c, enum container_state state, shoal_sample_t *out)
{
    memset(&out->cpu, 0xff, sizeof *out - offsetof(shoal_sample_t, cpu));
    out->time_usec = base_realtime_usec();
    out->project = c->spec->project;
    out->service = c->service->name;
    out->container = c->name;
    out->id = c->id;
    out->group = c->service->group == SHOAL_NO_GROUP ? NULL : c->spec->groups[c->service->group].name;
    out->state = container_state_name(state);
    out->final = false;
    out->limit_count = 0;
    out->limits = NULL;
    out->frozen = c->frozen_since_usec != 0;
    put_disk(c, out);
}

/* Untouched where none was read. */
static bool read_links(const struct container *c, uint64_t *sums)
{
    bool first = true;
    for (size_t i = 0; i < c->endpoint_count; i++) {
        uint64_t seen[6];
        if (!net_endpoint_get_stats(c->endpoints[i], seen))
            continue;
        for (size_t k = 0; k < COUNT(seen); k++)
            sums[k] = first ? seen[k] : sums[k] + seen[k];
        first = false;
    }
    return !first;
}

void sample_read_links(const struct container *c, shoal_sample_t *out)
{
    (void)read_links(c, &out->net.rx_bytes);
}

bool container_read_links(const struct container *c, uint64_t out[6])
{
    if (c->state != CONTAINER_RUNNING && c->state != CONTAINER_PAUSED && c->state != CONTAINER_STOPPING)
        return false;
    return read_links(c, out);
}

void container_sample(struct container *c, shoal_sample_t *out)
{
    fill(c, c->state, out);
    if (c->cgroup != NULL)
        cgroup_read_sample(c->cgroup, out);
    if (c->state == CONTAINER_RUNNING || c->state == CONTAINER_PAUSED)
        sample_read_links(c, out);
}

void sample_read_final(const struct container *c, shoal_sample_t *out)
{
    fill(c, CONTAINER_EXITED, out);
    out->final = true;
    if (c->cgroup != NULL)
        cgroup_read_last_sample(c->cgroup, out);
    out->limit_count = 0; /* it is kept for longer than they are */
    out->limits = NULL;
}
