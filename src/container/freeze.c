/* Freezing: asked for by a write to cgroup.freeze, believed when the kernel says so. */
#include <errno.h>

#include "container/inside.h"

static int write_freeze(struct container *c, const char *verb, bool freeze, shoal_error_t *err)
{
    bool sensible = freeze ? c->state == CONTAINER_RUNNING : c->state == CONTAINER_PAUSED || c->freezing;
    if (!sensible)
        return shoal_refuse(err, -EINVAL, "%s: %s: it is %s", c->name, verb, container_state_name(c->state));
    int code = cgroup_freeze(c->cgroup, freeze, err);
    if (code < 0)
        return shoal_within(err, "%s: %s", c->name, verb);
    c->freezing = freeze;
    c->thawing = !freeze && c->frozen_since_usec != 0;
    return 0;
}

int container_pause(struct container *c, shoal_error_t *err)
{
    return write_freeze(c, "pause", true, err);
}

int container_unpause(struct container *c, shoal_error_t *err)
{
    return write_freeze(c, "unpause", false, err);
}

bool container_is_paused(const struct container *c)
{
    return c->state == CONTAINER_PAUSED;
}

uint64_t container_paused_usec(const struct container *c)
{
    return c->paused_usec + (c->frozen_since_usec != 0 ? base_monotonic_usec() - c->frozen_since_usec : 0);
}

int freeze_thaw_to_stop(struct container *c, shoal_error_t *err)
{
    if (c->frozen_since_usec == 0 && !c->freezing)
        return 0;
    c->freezing = false;
    c->thawing = c->frozen_since_usec != 0;
    return cgroup_freeze(c->cgroup, false, err);
}

void freeze_on_change(struct container *c, bool frozen)
{
    c->paused_usec = container_paused_usec(c);
    c->frozen_since_usec = frozen ? base_monotonic_usec() : 0;
    deadline_on_freeze(c);
    c->freezing &= !frozen;
    shoal_event_t event = {0};
    bool was_thawing = c->thawing;
    c->thawing &= frozen;
    if (frozen && c->state == CONTAINER_RUNNING)
        container_set_state(c, CONTAINER_PAUSED, &event);
    else if (!frozen && c->state == CONTAINER_PAUSED)
        container_set_state(c, CONTAINER_RUNNING, &event);
    else if (!frozen && was_thawing)
        container_publish(c, SHOAL_EVENT_UNPAUSE, &event);
}
