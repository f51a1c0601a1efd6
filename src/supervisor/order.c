/* The order of a fleet: who may start, who has to end first. */
#include "supervisor/inside.h"

enum verdict { WAITS, MET, NEVER };

static enum verdict judge(const struct group *group, shoal_condition_t condition)
{
    switch (condition) {
    case SHOAL_CONDITION_STARTED:
        if (group->ran == group->count)
            return MET;
        return group->living == 0 || group->never_ran > 0 ? NEVER : WAITS;
    case SHOAL_CONDITION_COMPLETED_SUCCESSFULLY:
        if (group->completed == group->count)
            return MET;
        return group->failed > 0 || group->blocked ? NEVER : WAITS;
    }
    return NEVER;
}

/* A service that will never start: it counts as ended, so that what waits for it is told in turn. */
static void block(shoal_supervisor_t *s, struct group *group, const char *name, const char *on)
{
    supervisor_message(s, SHOAL_ERROR, "service %s is not started: it depends on %s, which failed", name, on);
    group->blocked = true;
    s->living -= group->living;
    group->living = 0;
    s->failed = true;
    for (size_t i = 0; i < group->count; i++)
        s->members[group->first + i].done = true;
}

static bool release_one(shoal_supervisor_t *s, size_t index)
{
    struct group *group = &s->groups[index];
    const shoal_service_t *service = &s->spec->services[index];
    for (size_t i = 0; i < service->dependency_count; i++) {
        const shoal_dependency_t *dependency = &service->dependencies[i];
        enum verdict verdict = judge(&s->groups[dependency->service], dependency->condition);
        if (verdict == NEVER && dependency->required) {
            block(s, group, service->name, s->spec->services[dependency->service].name);
            return true;
        }
        if (verdict == WAITS)
            return false;
    }
    group->released = true;
    for (size_t i = 0; i < group->count; i++)
        gate_add(&s->members[group->first + i]);
    return true;
}

void order_release(shoal_supervisor_t *s)
{
    bool changed = true;
    while (changed) { /* a service of no replicas, or a blocked one, decides about the next at once */
        changed = false;
        for (size_t i = 0; i < s->spec->service_count; i++)
            if (s->groups[i].wanted && !s->groups[i].released && !s->groups[i].blocked)
                changed |= release_one(s, i);
    }
}

void order_find_stoppable(shoal_supervisor_t *s)
{
    for (size_t i = 0; i < s->spec->service_count; i++)
        s->groups[i].may_stop = true;
    for (size_t i = 0; i < s->spec->service_count && !s->at_once; i++) {
        const shoal_service_t *service = &s->spec->services[i];
        for (size_t k = 0; k < service->dependency_count && s->groups[i].living > 0; k++)
            s->groups[service->dependencies[k].service].may_stop = false;
    }
}
