#include <errno.h>

#include "base/base.h"
#include "metrics/snapshot.h"

struct collector {
    struct metrics_source source;
    shoal_supervisor_t *supervisor; /* outlives us */
    shoal_subscriber_t subscriber;
    struct tally *tally; /* owned */
    struct self self;
    struct snapshot *ready;     /* owned: the newest whole one; NULL none yet */
    struct snapshot *under_way; /* owned: in a round of ours; NULL none */
    bool behind_another;        /* another's round is under way: ours follows */
    struct collector_request *waiting, **waiting_end;
    uv_timer_t turn; /* rounds begin and requests are answered from the loop, never from inside a call */
    bool closing;
    unsigned parts_open;
    void (*close_cb)(void *data);
    void *close_data;
};

static void drop_part(struct collector *c)
{
    if (--c->parts_open > 0)
        return;
    snapshot_drop(c->ready);
    snapshot_drop(c->under_way);
    tally_free(c->tally);
    void (*cb)(void *) = c->close_cb;
    void *data = c->close_data;
    free(c);
    cb(data);
}

static void on_turn_closed(uv_handle_t *handle)
{
    drop_part(handle->data);
}

static void on_self_closed(void *data)
{
    drop_part(data);
}

static void unlink_request(struct collector *c, struct collector_request **at)
{
    struct collector_request *request = *at;
    *at = request->next;
    if (*at == NULL)
        c->waiting_end = at;
    request->next = NULL;
}

/* Tell those who are content with snapshot, everybody with NULL. Whoever is told may ask and cancel in its call. */
static void answer(struct collector *c, struct snapshot *snapshot)
{
    uint64_t now = base_monotonic_usec(); /* who asks anew has to wait for another turn */
    for (struct collector_request **at = &c->waiting; *at != NULL;) {
        struct collector_request *request = *at;
        if (request->asked_usec > now || (snapshot != NULL && snapshot->time_usec < request->oldest_usec)) {
            at = &request->next;
            continue;
        }
        unlink_request(c, at);
        request->cb(request, snapshot);
        at = &c->waiting;
    }
}

static void begin_round(struct collector *c)
{
    self_prepare(&c->self);
    c->under_way = tally_begin(c->tally);
    if (c->under_way == NULL) {
        answer(c, NULL);
        return;
    }
    int code = c->source.sample(c->supervisor); /* a small fleet may be done inside the call */
    if (code == 0)
        return;
    snapshot_drop(c->under_way);
    c->under_way = NULL;
    if (code == -EALREADY)
        c->behind_another = true;
    else
        answer(c, NULL);
}

static void on_turn(uv_timer_t *turn)
{
    struct collector *c = turn->data;
    if (c->closing) {
        answer(c, NULL);
        uv_close((uv_handle_t *)turn, on_turn_closed);
        return;
    }
    if (c->ready != NULL)
        answer(c, c->ready);
    if (c->waiting != NULL && c->under_way == NULL && !c->behind_another)
        begin_round(c);
}

static void schedule(struct collector *c)
{
    (void)uv_timer_start(&c->turn, on_turn, 0, 0);
}

static void on_event(void *data, const shoal_event_t *event)
{
    struct collector *c = data;
    tally_event(c->tally, event);
}

static void on_sample(void *data, const shoal_sample_t *sample)
{
    struct collector *c = data;
    tally_sample(c->tally, sample, sample->final ? NULL : c->under_way);
}

static void on_group(void *data, const shoal_sample_t *sample)
{
    struct collector *c = data;
    if (c->under_way != NULL)
        snapshot_add_group(c->under_way, sample);
}

static void finish(struct collector *c)
{
    struct snapshot *snapshot = c->under_way;
    c->under_way = NULL;
    self_take(&c->self, &snapshot->self);
    snapshot->time_usec = base_monotonic_usec();
    if (snapshot->failed) {
        snapshot_drop(snapshot);
        answer(c, NULL);
        return;
    }
    snapshot_drop(c->ready);
    c->ready = snapshot;
}

static void on_fleet(void *data, const shoal_fleet_sample_t *fleet)
{
    struct collector *c = data;
    if (c->under_way != NULL) {
        tally_take_removed(c->tally, c->under_way);
        snapshot_set_fleet(c->under_way, fleet);
    }
}

/* The end of each round. */
static void on_host(void *data, const shoal_host_sample_t *host)
{
    struct collector *c = data;
    if (c->under_way != NULL) {
        snapshot_set_host(c->under_way, host);
        finish(c);
    }
    c->behind_another = false;
    schedule(c);
}

int collector_open(struct collector **out, uv_loop_t *loop, const struct metrics_source *source,
                   shoal_supervisor_t *supervisor, const struct metrics_losses *losses, shoal_error_t *err)
{
    struct collector *c = calloc(1, sizeof *c);
    struct tally *tally = tally_new();
    if (c == NULL || tally == NULL) {
        free(c);
        tally_free(tally);
        return shoal_fail(err, -ENOMEM, "collector");
    }
    c->source = *source;
    c->supervisor = supervisor;
    c->tally = tally;
    c->waiting_end = &c->waiting;
    self_init(&c->self, loop, losses);
    (void)uv_timer_init(loop, &c->turn);
    c->turn.data = c;
    c->parts_open = 2;
    c->subscriber = (shoal_subscriber_t){.data = c,
                                         .on_event = on_event,
                                         .on_sample = on_sample,
                                         .on_group = on_group,
                                         .on_fleet = on_fleet,
                                         .on_host = on_host};
    c->source.subscribe(supervisor, &c->subscriber);
    *out = c;
    return 0;
}

void collector_ask(struct collector *c, struct collector_request *request, uint64_t fresh_ms)
{
    uint64_t now = base_monotonic_usec(), fresh_usec = fresh_ms * 1000;
    request->asked_usec = now;
    request->oldest_usec = now > fresh_usec ? now - fresh_usec : 0;
    request->next = NULL;
    *c->waiting_end = request;
    c->waiting_end = &request->next;
    schedule(c);
}

void collector_cancel(struct collector *c, struct collector_request *request)
{
    for (struct collector_request **at = &c->waiting; *at != NULL; at = &(*at)->next)
        if (*at == request) {
            unlink_request(c, at);
            return;
        }
}

struct snapshot *collector_take_last(struct collector *c)
{
    if (c->under_way == NULL) {
        c->under_way = tally_begin(c->tally);
        if (c->under_way == NULL)
            return NULL;
        (void)c->source.sample(c->supervisor); /* a fleet that has ended answers inside the call */
    }
    if (c->under_way != NULL) { /* it has not, or another's round is under way: what is known has to do */
        tally_take_all(c->tally, c->under_way);
        if (c->ready != NULL && c->ready->fleet_labels != NULL) {
            snapshot_copy_fleet(c->under_way, c->ready);
            snapshot_copy_host(c->under_way, c->ready);
        }
        finish(c);
    }
    return c->ready != NULL ? snapshot_share(c->ready) : NULL;
}

void collector_close(struct collector *c, void (*cb)(void *data), void *data)
{
    c->close_cb = cb;
    c->close_data = data;
    c->closing = true;
    c->source.unsubscribe(c->supervisor, &c->subscriber);
    self_close(&c->self, on_self_closed, c);
    schedule(c);
}
