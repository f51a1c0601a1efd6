/* Freezing: asked for by a write to cgroup.freeze, believed when the kernel says so. */
#include <errno.h>

#include "container/inside.h"

int freeze_add(struct container *c, unsigned reason, shoal_error_t *err)
{
    if (c->state != CONTAINER_RUNNING && c->state != CONTAINER_PAUSED)
        return shoal_refuse(err, -EINVAL, "%s: pause: it is %s", c->name, container_state_name(c->state));
    if (c->frozen_for & reason)
        return 0;
    int code = cgroup_freeze(c->cgroup, true, err); /* also where it is frozen: it may be about to be thawed */
    if (code < 0)
        return shoal_within(err, "%s: pause", c->name);
    c->frozen_for |= reason;
    c->freezing = c->frozen_since_usec == 0;
    c->thawing = false;
    return 1;
}

int freeze_drop(struct container *c, unsigned reasons, shoal_error_t *err)
{
    if ((c->frozen_for & ~reasons) != 0) {
        c->frozen_for &= ~reasons;
        return 0;
    }
    int code = cgroup_freeze(c->cgroup, false, err);
    if (code < 0)
        return shoal_within(err, "%s: unpause", c->name);
    c->frozen_for = 0;
    c->freezing = false;
    c->thawing = c->frozen_since_usec != 0;
    return 0;
}

int container_pause(struct container *c, shoal_error_t *err)
{
    return freeze_add(c, FREEZE_ASKED, err);
}

int container_unpause(struct container *c, shoal_error_t *err)
{
    if (c->state != CONTAINER_PAUSED && !c->freezing)
        return shoal_refuse(err, -EINVAL, "%s: unpause: it is %s", c->name, container_state_name(c->state));
    return freeze_drop(c, FREEZE_ASKED, err);
}

int container_thaw(struct container *c, shoal_error_t *err)
{
    return c->frozen_since_usec == 0 && !c->freezing ? 0 : freeze_drop(c, FREEZE_ASKED | FREEZE_PRESSURE, err);
}

bool container_is_paused(const struct container *c)
{
    return c->state == CONTAINER_PAUSED;
}

uint64_t container_paused_usec(const struct container *c)
{
    return c->paused_usec + (c->frozen_since_usec != 0 ? base_monotonic_usec() - c->frozen_since_usec : 0);
}

void freeze_on_change(struct container *c, bool frozen)
{
    c->paused_usec = container_paused_usec(c);
    c->frozen_since_usec = frozen ? base_monotonic_usec() : 0;
    deadline_on_freeze(c);
    c->freezing &= !frozen;
    if (!frozen)
        c->frozen_for = 0; /* whoever thawed it */
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
