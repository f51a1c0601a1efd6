/* Requests of the caller: each is walked over its members in slices, begun where it can be, and then waits at its members until
 * they are as asked. What an action does at one member is in action.c. */
#include "supervisor/control.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "supervisor/fleet.h"

struct control {
    struct control *next;
    shoal_supervisor_t *boss;
    shoal_control_t wanted;
    int group;          /* SHOAL_NO_GROUP: all of them */
    size_t first, last; /* the members it is about, as far as they belong to the fleet */
    size_t waiting;     /* parts, and one for the walk */
    shoal_outcome_t outcome;
    shoal_error_t error; /* the first; code 0: none */
    shoal_control_cb cb;
    void *data;
    struct control_part parts[]; /* one per member from first on */
};

static const char *const action_names[SHOAL_ACTION_COUNT] = {
    [SHOAL_ACTION_START] = "start",     [SHOAL_ACTION_STOP] = "stop",   [SHOAL_ACTION_KILL] = "kill",
    [SHOAL_ACTION_RESTART] = "restart", [SHOAL_ACTION_PAUSE] = "pause", [SHOAL_ACTION_UNPAUSE] = "unpause",
};

const char *shoal_action_name(shoal_action_t action)
{
    return (size_t)action < COUNT(action_names) ? action_names[action] : "unknown";
}

/* The end of a part and of a request. Whoever is told may ask for something new: that is walked later, from the loop. */

static void finish_if_done(struct control *control)
{
    if (--control->waiting > 0)
        return;
    control->outcome.error = control->error.code != 0 ? control->error.text : NULL;
    if (control->cb != NULL)
        control->cb(control->boss, control->data, &control->outcome);
    free(control);
}

static void count(struct control *control, enum control_verdict verdict, const shoal_error_t *err)
{
    control->outcome.done += verdict == CONTROL_DONE;
    control->outcome.unchanged += verdict == CONTROL_UNCHANGED;
    control->outcome.refused += verdict == CONTROL_REFUSED;
    control->outcome.failed += verdict == CONTROL_FAILED;
    if (verdict >= CONTROL_REFUSED && control->error.code == 0)
        control->error = *err;
    finish_if_done(control);
}

/* Take the parts of some actions away from a member: another request says otherwise. */
void control_overtake(struct member *member, unsigned actions, const char *by)
{
    for (struct control_part **at = &member->parts; *at != NULL;) {
        struct control_part *part = *at;
        if (!(actions & 1u << part->wanted->action)) {
            at = &part->next;
            continue;
        }
        *at = part->next;
        shoal_error_t error;
        (void)shoal_refuse(&error, -ECANCELED, "%s: %s: overtaken by %s", container_name(member->container),
                           shoal_action_name(part->wanted->action), by);
        count(part->control, CONTROL_FAILED, &error);
    }
}

/* A step may publish events of its own member: those are looked at behind it, not inside. */
static enum control_verdict take_step(struct member *member, struct control_part *part, shoal_error_t *err)
{
    member->stepping = true;
    enum control_verdict verdict = action_step(member, part, err);
    member->stepping = false;
    return verdict;
}

void control_look(struct member *member)
{
    if (member->stepping)
        return;
    for (struct control_part **at = &member->parts; *at != NULL;) {
        struct control_part *part = *at;
        shoal_error_t error = {0};
        enum control_verdict verdict = take_step(member, part, &error);
        if (verdict == CONTROL_WAITS) {
            at = &part->next;
            continue;
        }
        *at = part->next;
        count(part->control, verdict, &error);
    }
}

/* Fail the parts of some actions. */
static void fail(struct member *member, unsigned actions, const shoal_error_t *err)
{
    for (struct control_part **at = &member->parts; *at != NULL;) {
        struct control_part *part = *at;
        if (!(actions & 1u << part->wanted->action)) {
            at = &part->next;
            continue;
        }
        *at = part->next;
        count(part->control, CONTROL_FAILED, err);
    }
}

void control_start_failed(struct member *member, const char *why)
{
    shoal_error_t error;
    (void)shoal_refuse(&error, -ECHILD, "%s", why);
    fail(member, 1u << SHOAL_ACTION_START | 1u << SHOAL_ACTION_RESTART, &error);
}

static void make_down_error(shoal_error_t *err)
{
    (void)shoal_refuse(err, -ECANCELED, "the fleet is taken down");
}

void control_drop(struct member *member)
{
    shoal_error_t error;
    make_down_error(&error);
    fail(member, ~0u, &error);
}

/* The walk. */

static void begin_part(struct control *control, struct member *member)
{
    struct control_part *part = &control->parts[member - control->boss->members - (ptrdiff_t)control->first];
    shoal_error_t error = {0};
    enum control_verdict verdict = CONTROL_FAILED;
    *part = (struct control_part){.control = control, .wanted = &control->wanted};
    control->outcome.count++;
    control->waiting++;
    if (control->boss->phase == PHASE_UP)
        verdict = take_step(member, part, &error);
    else
        make_down_error(&error);
    if (verdict != CONTROL_WAITS) {
        count(control, verdict, &error);
    } else {
        struct control_part **end = &member->parts;
        while (*end != NULL)
            end = &(*end)->next;
        *end = part;
    }
    control_look(member); /* at those before it, which it may have changed something for */
}

bool control_walk(shoal_supervisor_t *s)
{
    struct controls *controls = &s->controls;
    uint64_t until = base_monotonic_usec() + SLICE_USEC;
    while (controls->first != NULL) {
        struct control *control = controls->first;
        if (controls->next < control->first)
            controls->next = control->first;
        while (controls->next < control->last) {
            struct member *member = &s->members[controls->next++];
            int group = s->spec->services[member->service].group;
            bool meant = control->group == SHOAL_NO_GROUP || groups_contains(s->spec, control->group, group);
            if (meant && member->container != NULL && !member->closing)
                begin_part(control, member);
            if (base_monotonic_usec() >= until)
                return true;
        }
        controls->first = control->next;
        controls->next = 0;
        finish_if_done(control); /* the walk's own share */
    }
    return false;
}

/* Asking. */

static int find_target(const shoal_supervisor_t *s, const shoal_control_t *wanted, size_t *out_first, size_t *out_last,
                       int *out_group, shoal_error_t *err)
{
    *out_first = 0;
    *out_last = s->member_count;
    *out_group = SHOAL_NO_GROUP;
    if (wanted->kind == SHOAL_TARGET_ALL)
        return 0;
    for (size_t i = 0; i < s->spec->group_count && wanted->kind == SHOAL_TARGET_GROUP; i++)
        if (strcmp(s->spec->groups[i].name, wanted->name) == 0) {
            *out_group = (int)i;
            return 0;
        }
    for (size_t i = 0; i < s->spec->service_count && wanted->kind == SHOAL_TARGET_SERVICE; i++) {
        const struct group *group = &s->groups[i];
        if (strcmp(s->spec->services[i].name, wanted->name) != 0)
            continue;
        *out_first = group->first;
        *out_last = group->first + group->count;
        return group->wanted ? 0 : shoal_refuse(err, -ENOENT, "service %s was not started", wanted->name);
    }
    for (size_t i = 0; i < s->member_count && wanted->kind == SHOAL_TARGET_CONTAINER; i++) {
        const struct container *c = s->members[i].container;
        if (c == NULL || (strcmp(container_name(c), wanted->name) != 0 && strcmp(container_id(c), wanted->name) != 0))
            continue;
        *out_first = i;
        *out_last = i + 1;
        return 0;
    }
    return shoal_refuse(err, -ENOENT, "no such %s: %s",
                        wanted->kind == SHOAL_TARGET_SERVICE ? "service"
                        : wanted->kind == SHOAL_TARGET_GROUP ? "group"
                                                             : "container",
                        wanted->name);
}

int shoal_supervisor_control(shoal_supervisor_t *s, const shoal_control_t *wanted, shoal_control_cb cb, void *data,
                             shoal_error_t *err)
{
    if (s->phase != PHASE_UP)
        return shoal_refuse(err, -EINVAL, "the fleet is not up");
    if ((size_t)wanted->action >= SHOAL_ACTION_COUNT || wanted->signal < 0 || wanted->signal > SIGRTMAX)
        return shoal_refuse(err, -EINVAL, "no such action or signal");
    size_t first, last;
    int group;
    int code = find_target(s, wanted, &first, &last, &group, err);
    if (code < 0)
        return code;
    struct control *control = calloc(1, sizeof *control + (last - first) * sizeof *control->parts);
    if (control == NULL)
        return shoal_fail(err, -ENOMEM, "%s", shoal_action_name(wanted->action));
    *control = (struct control){.boss = s,
                                .wanted = *wanted,
                                .group = group,
                                .first = first,
                                .last = last,
                                .waiting = 1,
                                .cb = cb,
                                .data = data};
    control->wanted.name = NULL; /* the caller's */
    struct control **end = &s->controls.first;
    while (*end != NULL)
        end = &(*end)->next;
    *end = control;
    fleet_schedule(s);
    return 0;
}
