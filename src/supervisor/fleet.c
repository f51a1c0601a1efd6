/* The fleet in motion: members are queued, started, waited for, started again, taken down. Everything that walks over many
 * members does so in slices from one timer, so that the loop stays free. */
#include "supervisor/fleet.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>

#include "shoal/control.h"

/* It has ended for good, unless it is asked for again. */
static void end_member(struct member *member)
{
    shoal_supervisor_t *s = member->boss;
    if (member->done)
        return;
    struct group *group = &s->groups[member->service];
    member->done = true;
    s->living--;
    if (--group->living == 0)
        s->order_changed = true;
}

static void count_end(struct member *member, bool completed)
{
    struct group *group = &member->boss->groups[member->service];
    member->ended = completed ? ENDED_COMPLETED : ENDED_FAILED;
    group->never_ran += !member->ever_ran;
    group->completed += completed;
    group->failed += !completed;
    end_member(member);
}

static void undo_end(struct member *member)
{
    shoal_supervisor_t *s = member->boss;
    struct group *group = &s->groups[member->service];
    if (!member->done)
        return;
    group->never_ran -= member->ended != ENDED_NOT && !member->ever_ran;
    group->completed -= member->ended == ENDED_COMPLETED;
    group->failed -= member->ended == ENDED_FAILED;
    group->blocked = false; /* what it depends on is looked at once more */
    group->living++;
    s->living++;
    member->ended = ENDED_NOT;
    member->done = false;
    hosts_touch(s->hosts);
}

/* Closing one member: its timer and its container, in any order. */

static void on_part_closed(struct member *member)
{
    shoal_supervisor_t *s = member->boss;
    if (member->timer_open || member->container != NULL)
        return;
    control_drop(member);
    idranges_give(s->ids, member->first_id);
    end_member(member);
    s->open_members--;
    fleet_schedule(s);
}

static void on_container_closed(void *data)
{
    struct member *member = data;
    member->container = NULL;
    on_part_closed(member);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct member *member = handle->data;
    member->timer_open = false;
    on_part_closed(member);
}

static void close_member(struct member *member)
{
    if (member->closing)
        return;
    member->closing = true;
    uv_close((uv_handle_t *)&member->timer, on_timer_closed);
    container_close(member->container, on_container_closed, member);
}

/* Up. */

static void take_in_flight(struct member *member, bool *flag)
{
    *flag = true;
    member->boss->in_flight++;
}

static void give_in_flight(struct member *member, bool *flag)
{
    if (!*flag)
        return;
    *flag = false;
    member->boss->in_flight--;
    fleet_schedule(member->boss);
}

static void unprepare(struct member *member)
{
    if (!member->prepared)
        return;
    member->prepared = false;
    member->boss->groups[member->service].prepared--;
    give_in_flight(member, &member->preparing);
}

static void start_member(struct member *member)
{
    shoal_supervisor_t *s = member->boss;
    shoal_error_t error;
    if (member->held || member->done) /* stopped while it stood in the gate */
        return;
    if (member->prepared && !container_is_prepared(member->container)) {
        member->start_wanted = true;
        return;
    }
    if (container_start(member->container, member->attempts, &error) < 0) {
        supervisor_message(s, SHOAL_ERROR, "%s", error.text);
        s->failed = true;
        count_end(member, false);
        control_start_failed(member, error.text);
        return;
    }
    unprepare(member);
    take_in_flight(member, &member->starting);
}

static bool can_prepare(const struct member *member)
{
    if (member->container == NULL || member->prepared || member->starting || member->done || member->held ||
        member->closing || !container_is_settled(member->container))
        return false;
    enum container_state state = container_get_state(member->container);
    return (state == CONTAINER_CREATED && !member->boss->groups[member->service].released) ||
           state == CONTAINER_BACKOFF;
}

static void prepare(struct member *member)
{
    shoal_supervisor_t *s = member->boss;
    shoal_error_t error;
    if (container_prepare(member->container, &error) < 0) { /* its start will say so in earnest */
        supervisor_message(s, SHOAL_WARNING, "%s", error.text);
        return;
    }
    member->prepared = true;
    s->groups[member->service].prepared++;
    take_in_flight(member, &member->preparing);
}

/* What nobody waits for comes behind what is to be started now. */
static void prepare_some(shoal_supervisor_t *s)
{
    s->prepare_wanted = false;
    for (size_t i = 0; i < s->spec->service_count; i++) {
        struct group *group = &s->groups[i];
        if (!group->wanted || group->blocked)
            continue;
        for (size_t k = 0; k < group->count && group->prepared < s->spec->services[i].warm; k++) {
            if (s->in_flight >= s->in_flight_max) {
                s->prepare_wanted = true;
                return;
            }
            struct member *member = &s->members[group->first + k];
            if (can_prepare(member))
                prepare(member);
        }
    }
}

static void go_up(shoal_supervisor_t *s)
{
    order_release(s);
    struct member *member;
    while (s->in_flight < s->in_flight_max && (member = gate_take(s)) != NULL)
        start_member(member);
    if (s->prepare_wanted && gate_is_quiet(s))
        prepare_some(s);
    ahead_go_on(s);
}

static void queue_member(struct member *member)
{
    gate_add(member);
    fleet_schedule(member->boss);
}

static void queue_again(uv_timer_t *timer)
{
    struct member *member = timer->data;
    if (member->boss->phase == PHASE_UP)
        queue_member(member);
}

void fleet_revive(struct member *member)
{
    shoal_supervisor_t *s = member->boss;
    bool was_held = member->held;
    enum container_state state = container_get_state(member->container);
    undo_end(member);
    member->held = false;
    if (state == CONTAINER_STOPPING || (state == CONTAINER_STARTING && was_held) ||
        (state == CONTAINER_EXITED && !container_is_settled(member->container) && !member->prepared)) {
        member->again = true;
        return;
    }
    if (state != CONTAINER_CREATED && state != CONTAINER_EXITED && state != CONTAINER_BACKOFF)
        return;
    (void)uv_timer_stop(&member->timer);
    member->attempts = 0;
    member->crashed = false;
    if (s->groups[member->service].released) /* else it goes with all of its service */
        gate_add(member);
    fleet_schedule(s);
}

/* Down. */

static void go_to_down(shoal_supervisor_t *s)
{
    s->phase = PHASE_DOWN;
    s->order_changed = true;
    gate_clear(s);
}

static void stop_member(struct member *member)
{
    shoal_supervisor_t *s = member->boss;
    const shoal_service_t *service = &s->spec->services[member->service];
    if (container_is_settled(member->container)) {
        close_member(member);
    } else if (s->at_once) {
        container_stop(member->container, SIGKILL, 0);
        container_kill(member->container); /* also where it was asked before, with a grace that is over now */
    } else {
        container_stop(member->container, service->stop_signal, service->stop_grace_ms);
    }
}

/* One slice of the way down: each member is asked once, when nobody that lives depends on its service any more.
 * Returns whether there is more to do at once. */
static bool go_down(shoal_supervisor_t *s)
{
    if (s->order_changed) {
        s->order_changed = false;
        s->down_next = 0;
        order_find_stoppable(s);
    }
    uint64_t until = base_monotonic_usec() + SLICE_USEC;
    while (s->down_next < s->member_count) {
        struct member *member = &s->members[s->down_next++];
        if (member->container != NULL && !member->closing && s->groups[member->service].may_stop)
            stop_member(member);
        if (base_monotonic_usec() >= until)
            return true;
    }
    return false;
}

static void finish(shoal_supervisor_t *s)
{
    s->phase = PHASE_ENDED;
    cgroup_tell_group_hits(s->cgroups);
    shoal_done_cb cb = s->done_cb;
    s->done_cb = NULL;
    if (cb != NULL)
        cb(s, s->done_data, s->failed ? -ECHILD : 0);
    if (s->close_cb != NULL)
        fleet_schedule(s);
}

static void on_pump(uv_timer_t *timer)
{
    shoal_supervisor_t *s = timer->data;
    if (control_walk(s)) /* 1 ms: others first, as below */
        (void)uv_timer_start(&s->pump, on_pump, 1, 0);
    if (s->phase == PHASE_UP) {
        go_up(s);
        if (s->living == 0)
            go_to_down(s); /* every container has ended for good */
    }
    if (s->phase == PHASE_DOWN) {
        if (go_down(s)) /* 1 ms: libuv runs a timer of 0 before it looks at anything else, again and again */
            (void)uv_timer_start(&s->pump, on_pump, 1, 0);
        else if (s->open_members == 0)
            finish(s);
    } else if (s->phase == PHASE_ENDED && s->close_cb != NULL && s->controls.first == NULL && s->reload == NULL &&
               !s->reading_disks) {
        s->phase = PHASE_CLOSING;
        supervisor_close_parts(s);
    }
}

void fleet_schedule(shoal_supervisor_t *s)
{
    if (!uv_is_active((uv_handle_t *)&s->pump))
        (void)uv_timer_start(&s->pump, on_pump, 0, 0);
}

/* What containers say. */

uint32_t fleet_random(void)
{
    uint32_t number = 0;
    (void)!getrandom(&number, sizeof number, GRND_NONBLOCK); /* early at boot: no jitter */
    return number;
}

static void decide(struct member *member, shoal_event_t *event)
{
    shoal_supervisor_t *s = member->boss;
    const shoal_service_t *service = &s->spec->services[member->service];
    struct group *group = &s->groups[member->service];
    group->exit_code = event->exit_code;
    group->has_exit_code = true;
    struct restart_facts facts = {
        .exit_code = event->exit_code,
        .never_ran = event->cause == SHOAL_CAUSE_FAILED,
        .ever_ran = member->ever_ran,
        .attempts = member->attempts,
        .wall_ms = event->wall_usec / 1000,
    };
    event->restart_reason = s->phase != PHASE_UP ? "the fleet is taken down" : "that was asked for";
    member->restart_wanted = s->phase == PHASE_UP && !member->held && !member->again &&
                             restart_decide(&service->restart, &facts, &member->attempts, &event->restart_reason);
    if (member->restart_wanted)
        member->delay_usec = restart_delay_usec(&service->restart, member->attempts, fleet_random());
    if (member->restart_wanted && container_ttl_left_usec(member->container) <= member->delay_usec) {
        member->restart_wanted = false;
        event->restart_reason = "its ttl is over, or will be before it is started again";
    }
    event->delay_usec = member->restart_wanted ? member->delay_usec : 0;
    member->crashed = event->exit_code != 0;
    event->restart = member->restart_wanted ? "backoff" : member->again ? "request" : "no";
    member->died_usec = base_monotonic_usec();
    if (event->error != NULL) {
        supervisor_message(s, SHOAL_ERROR, "%s", event->error);
        s->failed |= !member->restart_wanted;
    }
}

static void on_start_over(struct member *member)
{
    give_in_flight(member, &member->starting);
}

static void on_parked(void *data, struct container *c)
{
    (void)data;
    struct member *member = container_get_data(c);
    give_in_flight(member, &member->preparing);
}

static void on_event(void *data, struct container *c, shoal_event_t *event)
{
    shoal_supervisor_t *s = data;
    struct member *member = container_get_data(c);
    if (event->kind == SHOAL_EVENT_START) {
        s->starts++;
        if (!member->ever_ran)
            s->groups[member->service].ran++;
        member->ever_ran = true;
        on_start_over(member);
    } else if (event->kind == SHOAL_EVENT_DIE) {
        s->deaths++;
        on_start_over(member);
        decide(member, event);
    }
    supervisor_publish(s, event);
    if (event->kind == SHOAL_EVENT_START && member->restarting) {
        shoal_event_t restart = *event;
        restart.kind = SHOAL_EVENT_RESTART;
        member->restarting = false;
        supervisor_publish(s, &restart);
    }
    if (event->kind == SHOAL_EVENT_DIE && event->error != NULL) {
        member->restarting = false;
        control_start_failed(member, event->error);
    }
    control_look(member);
}

static void on_ended(void *data, struct container *c, const shoal_sample_t *final)
{
    groups_end_run(container_get_data(c), final);
    supervisor_publish_sample(data, final);
}

static void on_restart_wanted(void *data, struct container *c)
{
    shoal_control_t wanted = {
        .action = SHOAL_ACTION_RESTART, .kind = SHOAL_TARGET_CONTAINER, .name = container_name(c), .grace_ms = -1};
    shoal_error_t error;
    if (shoal_supervisor_control(data, &wanted, NULL, NULL, &error) < 0)
        supervisor_message(data, SHOAL_WARNING, "%s", error.text);
}

static void on_settled(void *data, struct container *c)
{
    shoal_supervisor_t *s = data;
    struct member *member = container_get_data(c);
    struct group *group = &s->groups[member->service];
    const shoal_service_t *service = &s->spec->services[member->service];
    bool was_prepared = member->prepared;
    unprepare(member);
    control_look(member);
    if (s->phase != PHASE_UP) {
        close_member(member);
        return;
    }
    if (was_prepared) { /* the preparation came to nothing; the start will be a whole one */
        if (member->start_wanted)
            queue_member(member);
        member->start_wanted = false;
        return;
    }
    if (member->again) {
        member->again = false;
        member->attempts = 0;
        member->crashed = false;
        queue_member(member);
        return;
    }
    if (member->held)
        return;
    if (member->restart_wanted) {
        uint64_t passed = base_monotonic_usec() - member->died_usec;
        uint64_t left_ms = passed >= member->delay_usec ? 0 : (member->delay_usec - passed + 999) / 1000;
        container_set_backoff(c, member->delay_usec, member->attempts);
        (void)uv_timer_start(&member->timer, queue_again, left_ms, 0);
        if (service->warm > 0) {
            s->prepare_wanted = true;
            fleet_schedule(s);
        }
        return;
    }
    count_end(member, group->exit_code == 0);
    hosts_touch(s->hosts);
    fleet_schedule(s);
}

static void on_output(void *data, struct container *c, int stream, const char *bytes, size_t count)
{
    shoal_supervisor_t *s = data;
    s->options.on_output(s->options.data, container_name(c), stream, bytes, count);
}

static void on_warning(void *data, const char *text)
{
    supervisor_message(data, SHOAL_WARNING, "%s", text);
}

void fleet_init(shoal_supervisor_t *s)
{
    s->owner = (struct container_owner){
        .data = s,
        .on_event = on_event,
        .on_parked = on_parked,
        .on_ended = on_ended,
        .on_settled = on_settled,
        .on_restart_wanted = on_restart_wanted,
        .on_output = s->options.on_output != NULL ? on_output : NULL,
        .on_warning = on_warning,
        .on_made_ahead = ahead_on_made,
    };
    (void)uv_timer_init(s->loop, &s->pump);
    (void)uv_timer_init(s->loop, &s->sample_timer);
    gate_init(s);
    s->timers_open = 4;
    s->pump.data = s->sample_timer.data = s;
}

/* The caller's requests. */

static void want(shoal_supervisor_t *s, size_t service)
{
    struct group *group = &s->groups[service];
    if (group->wanted)
        return;
    group->wanted = true;
    group->living = group->count;
    s->living += group->count;
    for (size_t i = 0; i < s->spec->services[service].dependency_count; i++)
        want(s, s->spec->services[service].dependencies[i].service); /* acyclic: compose/ checks */
}

static int want_named(shoal_supervisor_t *s, const char *name, shoal_error_t *err)
{
    for (size_t i = 0; i < s->spec->service_count; i++)
        if (strcmp(s->spec->services[i].name, name) == 0) {
            want(s, i);
            return 0;
        }
    return shoal_refuse(err, -EINVAL, "no such service: %s", name);
}

static int open_member(struct member *member, shoal_error_t *err)
{
    shoal_supervisor_t *s = member->boss;
    const shoal_service_t *service = &s->spec->services[member->service];
    AUTO_FREE char *name = service->container_name != NULL
                               ? base_format("%s", service->container_name)
                               : base_format("%s-%s-%u", s->spec->project, service->name, member->number);
    if (name == NULL)
        return shoal_fail(err, -ENOMEM, "container of %s", service->name);
    int code = idranges_take(s->ids, &member->first_id);
    if (code < 0)
        return shoal_fail(err, code, "%s: id range", name);
    struct container_options options = {
        .loop = s->loop,
        .kit = s->kit,
        .owner = &s->owner,
        .spec = s->spec,
        .service = service,
        .name = name,
        .first_id = member->first_id,
        .root_dir = s->root_dir,
        .image = s->groups[member->service].image,
        .cgroups = s->cgroups,
        .limits = s->groups[member->service].limits,
        .disk = s->groups[member->service].disk.via != SHOAL_DISK_AUTO ? &s->groups[member->service].disk : NULL,
        .net = s->net,
        .stock = s->stock,
        .hosts_path = hosts_path(s->hosts, member->service),
        .data = member,
    };
    code = container_open(&member->container, &options, err);
    if (code < 0) {
        idranges_give(s->ids, member->first_id);
        return code;
    }
    (void)uv_timer_init(s->loop, &member->timer);
    member->timer.data = member;
    member->timer_open = true;
    s->open_members++;
    return 0;
}

int shoal_supervisor_start(shoal_supervisor_t *s, const char *const *services, shoal_done_cb cb, void *data,
                           shoal_error_t *err)
{
    if (s->phase != PHASE_OPEN)
        return shoal_refuse(err, -EINVAL, "the fleet was started before");
    int code = 0;
    for (size_t i = 0; services != NULL && services[i] != NULL && code == 0; i++)
        code = want_named(s, services[i], err);
    for (size_t i = 0; services == NULL && i < s->spec->service_count; i++)
        want(s, i);
    if (code < 0)
        return code;
    s->phase = PHASE_UP;
    s->prepare_wanted = true;
    for (size_t i = 0; i < s->member_count && code == 0; i++)
        if (s->groups[s->members[i].service].wanted)
            code = open_member(&s->members[i], err);
    if (code == 0)
        code = hosts_write(s->hosts, err);
    s->done_cb = cb;
    s->done_data = data;
    if (code < 0) { /* the outcome comes by the callback, when what was made is gone again */
        supervisor_message(s, SHOAL_ERROR, "%s", err->text);
        s->failed = true;
        go_to_down(s);
    }
    fleet_schedule(s);
    return 0;
}

void shoal_supervisor_stop(shoal_supervisor_t *s, int at_once)
{
    if (s->phase != PHASE_UP && s->phase != PHASE_DOWN)
        return;
    s->at_once |= at_once != 0;
    go_to_down(s);
    fleet_schedule(s);
}

void shoal_supervisor_close(shoal_supervisor_t *s, void (*cb)(void *data), void *data)
{
    s->close_cb = cb;
    s->close_data = data;
    if (s->phase == PHASE_OPEN)
        s->phase = PHASE_ENDED;
    shoal_supervisor_stop(s, 1);
    fleet_schedule(s);
}
