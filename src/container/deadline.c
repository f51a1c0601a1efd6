/* x-shoal.limits: one timer, set to the earliest moment at which a limit can be reached. Then everything is read again, and
 * either the run is ended or the timer is set anew. All times are on the run's own clock, which stands still while it is frozen. */
#include <unistd.h>

#include "container/inside.h"

enum {
    SHORTEST_MS = 5, /* as the CPU's limit comes closer its looks do: not closer than that */
    IDLE_LOOKS = 8   /* in the time of the limit */
};

struct deadline {
    struct container *container;
    uv_timer_t timer;
    uint64_t looked_usec, idle_since_usec; /* on the run's clock */
    uint64_t usage_usec, printed_bytes;    /* at the last look for idleness */
};

static uint64_t run_clock_usec(const struct container *c)
{
    return base_monotonic_usec() - c->started_usec - container_paused_usec(c);
}

uint64_t container_ttl_left_usec(const struct container *c)
{
    uint64_t ttl_usec = c->service->deadlines.ttl_ms * 1000;
    if (ttl_usec == 0 || c->born_usec == 0)
        return UINT64_MAX;
    uint64_t lived_usec = base_monotonic_usec() - c->born_usec - c->born_paused_usec - container_paused_usec(c);
    return lived_usec < ttl_usec ? ttl_usec - lived_usec : 0;
}

static uint64_t left_of(uint64_t limit_usec, uint64_t used_usec)
{
    return used_usec < limit_usec ? limit_usec - used_usec : 0;
}

/* Whether it has done nothing for too long; what there is to be seen is seen. */
static bool look_for_idleness(struct deadline *deadline, uint64_t now_usec, uint64_t usage_usec)
{
    const struct container *c = deadline->container;
    uint64_t limit_usec = c->service->deadlines.idle_ms * 1000;
    uint64_t passed_usec = now_usec - deadline->looked_usec;
    bool due = passed_usec >= limit_usec / IDLE_LOOKS || now_usec - deadline->idle_since_usec >= limit_usec;
    if (!due)
        return false;
    bool busy = usage_usec != SHOAL_ABSENT && (usage_usec - deadline->usage_usec) * 1000 > passed_usec;
    if (busy || c->printed_bytes != deadline->printed_bytes)
        deadline->idle_since_usec = now_usec;
    deadline->looked_usec = now_usec;
    deadline->usage_usec = usage_usec;
    deadline->printed_bytes = c->printed_bytes;
    return now_usec - deadline->idle_since_usec >= limit_usec;
}

/* All CPUs at once are the fastest that a limit can be reached; a share of one or several cannot be passed for long. */
static uint64_t fastest_usec(const struct container *c, uint64_t left_usec)
{
    const shoal_limit_t *cpus = &c->service->limits.items[SHOAL_LIMIT_CPUS];
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t count = online > 0 ? (uint64_t)online : 1;
    uint64_t allowed = cpus->set && cpus->value > 0 ? ((uint64_t)cpus->value + 999) / 1000 : count;
    uint64_t speed = allowed < count ? allowed : count;
    return left_usec / (speed > 0 ? speed : 1);
}

static void on_due(uv_timer_t *timer);

static void set_timer(struct deadline *deadline, uint64_t usec)
{
    uint64_t ms = usec / 1000 + 1; /* not a moment early: that would be a look in vain */
    (void)uv_timer_start(&deadline->timer, on_due, ms < SHORTEST_MS ? SHORTEST_MS : ms, 0);
}

static void keep_least(uint64_t *least, uint64_t value)
{
    if (value < *least)
        *least = value;
}

static void look(struct deadline *deadline)
{
    struct container *c = deadline->container;
    const shoal_deadlines_t *limits = &c->service->deadlines;
    if (c->frozen_since_usec != 0) {
        (void)uv_timer_stop(&deadline->timer);
        return;
    }
    uint64_t now_usec = run_clock_usec(c), least_usec = UINT64_MAX;
    bool counts = limits->cpu_ms > 0 || limits->idle_ms > 0;
    uint64_t usage_usec = counts ? cgroup_read_usage_usec(c->cgroup) : 0;
    if (limits->wall_ms > 0) {
        uint64_t left = left_of(limits->wall_ms * 1000, now_usec);
        if (left == 0) {
            container_end(c, SHOAL_CAUSE_TIMEOUT);
            return;
        }
        keep_least(&least_usec, left);
    }
    if (limits->ttl_ms > 0) {
        uint64_t left = container_ttl_left_usec(c);
        if (left == 0) {
            container_end(c, SHOAL_CAUSE_TTL);
            return;
        }
        keep_least(&least_usec, left);
    }
    if (limits->cpu_ms > 0 && usage_usec != SHOAL_ABSENT) {
        uint64_t left = left_of(limits->cpu_ms * 1000, usage_usec);
        if (left == 0) {
            container_end(c, SHOAL_CAUSE_CPU_TIME);
            return;
        }
        keep_least(&least_usec, fastest_usec(c, left));
    }
    if (limits->idle_ms > 0) {
        if (look_for_idleness(deadline, now_usec, usage_usec)) {
            container_end(c, SHOAL_CAUSE_IDLE);
            return;
        }
        keep_least(&least_usec, left_of(limits->idle_ms * 1000, now_usec - deadline->idle_since_usec));
        keep_least(&least_usec, left_of(limits->idle_ms * 1000 / IDLE_LOOKS, now_usec - deadline->looked_usec));
    }
    set_timer(deadline, least_usec);
}

static void on_due(uv_timer_t *timer)
{
    look(timer->data);
}

void deadline_begin(struct container *c)
{
    const shoal_deadlines_t *limits = &c->service->deadlines;
    if (limits->wall_ms == 0 && limits->cpu_ms == 0 && limits->idle_ms == 0 && limits->ttl_ms == 0)
        return;
    if (c->born_usec == 0)
        c->born_usec = c->started_usec;
    struct deadline *deadline = calloc(1, sizeof *deadline);
    if (deadline == NULL) { /* rather an end than one without limits */
        container_warn(c, "its limits cannot be watched: out of memory");
        container_kill(c);
        return;
    }
    deadline->container = c;
    (void)uv_timer_init(c->loop, &deadline->timer);
    deadline->timer.data = deadline;
    c->parts_open++;
    c->deadline = deadline;
    set_timer(deadline, 0); /* never from inside a start: the first look may end it */
}

void deadline_on_freeze(struct container *c)
{
    if (c->deadline != NULL)
        set_timer(c->deadline, 0);
}

static void on_closed(uv_handle_t *handle)
{
    struct deadline *deadline = handle->data;
    struct container *c = deadline->container;
    free(deadline);
    c->parts_open--;
    container_settle(c);
}

void deadline_end(struct container *c)
{
    if (c->deadline == NULL)
        return;
    uv_close((uv_handle_t *)&c->deadline->timer, on_closed);
    c->deadline = NULL;
}
