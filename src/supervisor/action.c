/* What each request does at one member, in whatever state that is: called when it is asked and after each change of the member
 * until it no longer waits. */
#include <errno.h>
#include <signal.h>

#include "supervisor/control.h"
#include "supervisor/fleet.h"

static bool is_asked(const struct member *member, shoal_action_t action)
{
    for (const struct control_part *at = member->parts; at != NULL; at = at->next)
        if (at->wanted->action == action && at->begun)
            return true;
    return false;
}

#define ACTION(name) (1u << SHOAL_ACTION_##name)

static enum control_verdict refuse(const struct member *member, const struct control_part *part, shoal_error_t *err)
{
    (void)shoal_refuse(err, -EINVAL, "%s: %s: it is %s", container_name(member->container),
                       shoal_action_name(part->wanted->action),
                       container_state_name(container_get_state(member->container)));
    return part->begun ? CONTROL_FAILED : CONTROL_REFUSED;
}

static enum control_verdict pause_step(struct member *member, struct control_part *part, shoal_error_t *err)
{
    int code;
    switch (container_get_state(member->container)) {
    case CONTAINER_STARTING:
        return CONTROL_WAITS;
    case CONTAINER_RUNNING:
        if (!part->begun && !is_asked(member, SHOAL_ACTION_PAUSE) && container_pause(member->container, err) < 0)
            return CONTROL_FAILED;
        part->begun = true;
        return CONTROL_WAITS;
    case CONTAINER_PAUSED:
        if (is_asked(member, SHOAL_ACTION_UNPAUSE)) /* which comes first */
            return CONTROL_WAITS;
        if (part->begun)
            return CONTROL_DONE;
        code = container_pause(member->container, err);
        return code < 0 ? CONTROL_FAILED : code > 0 ? CONTROL_DONE : CONTROL_UNCHANGED;
    default:
        return refuse(member, part, err);
    }
}

static enum control_verdict unpause_step(struct member *member, struct control_part *part, shoal_error_t *err)
{
    bool under_way = is_asked(member, SHOAL_ACTION_PAUSE);
    switch (container_get_state(member->container)) {
    case CONTAINER_STARTING:
    case CONTAINER_RUNNING:
        if (part->begun)
            return CONTROL_DONE;
        if (under_way && container_unpause(member->container, err) < 0)
            return CONTROL_FAILED;
        for (const struct control_part *at = member->parts; at != NULL; at = at->next)
            under_way |= at->wanted->action == SHOAL_ACTION_PAUSE;
        control_overtake(member, ACTION(PAUSE), "unpause");
        return under_way ? CONTROL_DONE : refuse(member, part, err);
    case CONTAINER_PAUSED:
        if (!part->begun && !is_asked(member, SHOAL_ACTION_UNPAUSE) && container_unpause(member->container, err) < 0)
            return CONTROL_FAILED;
        part->begun = true;
        return CONTROL_WAITS;
    default:
        return refuse(member, part, err);
    }
}

static bool has_ended(const struct member *member)
{
    enum container_state state = container_get_state(member->container);
    return (state == CONTAINER_CREATED || state == CONTAINER_EXITED) && container_is_settled(member->container);
}

/* From wherever it is towards its end. Returns false where there was nothing to end. */
static bool begin_stop(struct member *member, const shoal_control_t *wanted)
{
    const shoal_service_t *service = container_service(member->container);
    int number = wanted->signal != 0 ? wanted->signal : service->stop_signal;
    uint64_t grace_ms = wanted->grace_ms >= 0 ? (uint64_t)wanted->grace_ms : service->stop_grace_ms;
    bool waited = !member->held && !member->done;
    member->held = true;
    member->again = member->restarting = member->start_wanted = member->restart_wanted = false;
    (void)uv_timer_stop(&member->timer);
    switch (container_get_state(member->container)) {
    case CONTAINER_STOPPING:
        if (grace_ms == 0 || number == SIGKILL)
            (void)container_signal(member->container, SIGKILL, NULL); /* it has ended: all the better */
        return true;
    case CONTAINER_BACKOFF:
        container_stop(member->container, number, grace_ms); /* what is parked */
        container_end_backoff(member->container);
        return true;
    case CONTAINER_CREATED:
    case CONTAINER_EXITED:
        container_stop(member->container, number, grace_ms);
        return waited || !container_is_settled(member->container);
    default:
        container_stop(member->container, number, grace_ms);
        return true;
    }
}

static enum control_verdict stop_step(struct member *member, struct control_part *part, shoal_error_t *err)
{
    (void)err;
    bool first = !part->begun, had_something = true;
    part->begun = true;
    if (first) {
        control_overtake(member, ACTION(START) | ACTION(RESTART) | ACTION(PAUSE) | ACTION(UNPAUSE), "stop");
        had_something = begin_stop(member, part->wanted);
    }
    if (!has_ended(member))
        return CONTROL_WAITS;
    return had_something ? CONTROL_DONE : CONTROL_UNCHANGED;
}

static enum control_verdict kill_step(struct member *member, struct control_part *part, shoal_error_t *err)
{
    int number = part->wanted->signal != 0 ? part->wanted->signal : SIGKILL;
    bool ends = number == SIGKILL || number == container_service(member->container)->stop_signal;
    enum container_state state = container_get_state(member->container);
    if (part->begun)
        return has_ended(member) ? CONTROL_DONE : CONTROL_WAITS;
    if (state == CONTAINER_CREATED || state == CONTAINER_EXITED || (state == CONTAINER_BACKOFF && !ends))
        return refuse(member, part, err);
    if (ends)
        control_overtake(member, ACTION(START) | ACTION(RESTART) | ACTION(PAUSE) | ACTION(UNPAUSE), "kill");
    if (ends && (state == CONTAINER_STARTING || state == CONTAINER_BACKOFF)) {
        (void)begin_stop(member, &(shoal_control_t){.signal = SIGKILL});
        part->begun = true;
        return has_ended(member) ? CONTROL_DONE : CONTROL_WAITS;
    }
    if (state == CONTAINER_STARTING)
        return CONTROL_WAITS;
    if (container_signal(member->container, number, err) < 0)
        return CONTROL_FAILED;
    if (ends) {
        member->held = true;
        member->again = member->restarting = false;
    }
    if (ends && number != SIGKILL && state == CONTAINER_PAUSED && container_thaw(member->container, err) < 0)
        return CONTROL_FAILED;
    if (number != SIGKILL)
        return CONTROL_DONE;
    part->begun = true;
    return CONTROL_WAITS;
}

static enum control_verdict start_step(struct member *member, struct control_part *part, shoal_error_t *err)
{
    enum container_state state = container_get_state(member->container);
    if (state == CONTAINER_PAUSED)
        return refuse(member, part, err);
    if (state == CONTAINER_RUNNING)
        return part->begun ? CONTROL_DONE : CONTROL_UNCHANGED;
    if (!part->begun)
        fleet_revive(member);
    part->begun = true;
    return CONTROL_WAITS;
}

static enum control_verdict restart_step(struct member *member, struct control_part *part, shoal_error_t *err)
{
    (void)err;
    enum container_state state = container_get_state(member->container);
    if (part->begun)
        return state == CONTAINER_RUNNING && !member->restarting ? CONTROL_DONE : CONTROL_WAITS;
    part->begun = true;
    control_overtake(member, ACTION(PAUSE) | ACTION(UNPAUSE), "restart");
    if (state == CONTAINER_STARTING || state == CONTAINER_RUNNING || state == CONTAINER_PAUSED ||
        state == CONTAINER_STOPPING)
        (void)begin_stop(member, part->wanted);
    member->restarting = true;
    fleet_revive(member);
    return CONTROL_WAITS;
}

static enum control_verdict (*const steps[SHOAL_ACTION_COUNT])(struct member *, struct control_part *,
                                                               shoal_error_t *) = {
    [SHOAL_ACTION_START] = start_step,     [SHOAL_ACTION_STOP] = stop_step,   [SHOAL_ACTION_KILL] = kill_step,
    [SHOAL_ACTION_RESTART] = restart_step, [SHOAL_ACTION_PAUSE] = pause_step, [SHOAL_ACTION_UNPAUSE] = unpause_step,
};

enum control_verdict action_step(struct member *member, struct control_part *part, shoal_error_t *err)
{
    return steps[part->wanted->action](member, part, err);
}
