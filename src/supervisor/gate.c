/* The governor on the loop: its clock, what the kernel says to it, its decisions as events. */
#include <string.h>

#include "supervisor/fleet.h"

static void read_totals(const struct gate *gate, uint64_t totals[PRESSURE_COUNT])
{
    for (int i = 0; i < PRESSURE_COUNT; i++)
        totals[i] = pressure_read_some_usec(&gate->pressure, (enum pressure_kind)i);
}

static void publish(shoal_supervisor_t *s, const struct governor_news *news)
{
    shoal_event_t event = {
        .kind = SHOAL_EVENT_THROTTLE,
        .throttle = {.slow = news->slow,
                     .starts = news->starts,
                     .reason = news->reason,
                     .pressure = news->pressure,
                     .limit = news->limit,
                     .rate = news->rate,
                     .waiting = news->waiting},
    };
    s->gate.slowed += news->slow;
    supervisor_publish(s, &event);
}

static void on_tick(uv_timer_t *timer)
{
    shoal_supervisor_t *s = timer->data;
    struct gate *gate = &s->gate;
    uint64_t now = base_monotonic_usec(), totals[PRESSURE_COUNT];
    double percent[PRESSURE_COUNT], passed = (double)(now - gate->read_usec);
    read_totals(gate, totals);
    for (int i = 0; i < PRESSURE_COUNT; i++) {
        bool known = totals[i] != PRESSURE_ABSENT && gate->totals[i] != PRESSURE_ABSENT && totals[i] >= gate->totals[i];
        percent[i] = known && passed > 0 ? (double)(totals[i] - gate->totals[i]) * 100 / passed : -1;
        if (percent[i] > 100)
            percent[i] = 100; /* the two clocks are not read at the same moment */
    }
    memcpy(gate->totals, totals, sizeof totals);
    gate->read_usec = now;
    struct governor_news news[GOVERNOR_NEWS_MAX];
    size_t count = governor_feel(&gate->governor, now, percent, news);
    for (size_t i = 0; i < count; i++)
        publish(s, &news[i]);
    if (!governor_is_busy(&gate->governor))
        (void)uv_timer_stop(timer);
    fleet_schedule(s); /* the pace may have been raised, or what waits for quiet may be prepared */
}

static void on_due(uv_timer_t *timer)
{
    fleet_schedule(timer->data);
}

void gate_init(shoal_supervisor_t *s)
{
    struct gate *gate = &s->gate;
    governor_init(&gate->governor, &s->spec->governor, base_monotonic_usec());
    pressure_open(&gate->pressure);
    (void)uv_timer_init(s->loop, &gate->tick);
    (void)uv_timer_init(s->loop, &gate->due);
    gate->tick.data = gate->due.data = s;
    uv_unref((uv_handle_t *)&gate->tick); /* what waits holds the loop by itself */
}

void gate_close(shoal_supervisor_t *s, uv_close_cb on_timer_closed)
{
    pressure_close(&s->gate.pressure);
    uv_close((uv_handle_t *)&s->gate.tick, on_timer_closed);
    uv_close((uv_handle_t *)&s->gate.due, on_timer_closed);
}

void gate_add(struct member *member)
{
    shoal_supervisor_t *s = member->boss;
    struct gate *gate = &s->gate;
    if (member->queued)
        return;
    member->queued = true;
    enum start_kind kind = member->crashed ? START_CRASHED : START_ORDINARY;
    governor_add(&gate->governor, &s->groups[member->service].lines[kind], kind, &member->turn);
    if (uv_is_active((uv_handle_t *)&gate->tick) || !governor_is_busy(&gate->governor))
        return;
    gate->read_usec = base_monotonic_usec();
    read_totals(gate, gate->totals);
    governor_wake(&gate->governor, gate->read_usec);
    (void)uv_timer_start(&gate->tick, on_tick, GOVERNOR_TICK_MS, GOVERNOR_TICK_MS);
}

struct member *gate_take(shoal_supervisor_t *s)
{
    uint64_t wait_usec;
    struct start_turn *turn = governor_take(&s->gate.governor, base_monotonic_usec(), fleet_random(), &wait_usec);
    if (turn != NULL) {
        struct member *member = CONTAINER_OF(turn, struct member, turn);
        member->queued = false;
        return member;
    }
    if (wait_usec != UINT64_MAX)
        (void)uv_timer_start(&s->gate.due, on_due, (wait_usec + 999) / 1000, 0);
    return NULL;
}

bool gate_is_quiet(const shoal_supervisor_t *s)
{
    for (int i = 0; i < START_KIND_COUNT; i++)
        if (s->gate.governor.gates[i].waiting > 0 || s->gate.governor.gates[i].slow)
            return false;
    return true;
}

void gate_clear(shoal_supervisor_t *s)
{
    governor_clear(&s->gate.governor);
    (void)uv_timer_stop(&s->gate.tick);
    (void)uv_timer_stop(&s->gate.due);
}
