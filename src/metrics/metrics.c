#include <errno.h>

#include "base/base.h"
#include "metrics/metrics.h"
#include "metrics/ndjson.h"
#include "metrics/self.h"

enum {
    ROOM_BYTES = 4 << 20, /* by default: a round of some 4,000 containers; pages that were never used cost nothing */
    FLUSH_MS = 1000       /* how long the end waits for a slow reader */
};

/* Others ask for rounds too: their samples are not ours to write. */
enum round {
    ROUND_NONE,
    ROUND_WAITING, /* another's is under way; ours follows */
    ROUND_OURS
};

struct metrics {
    uv_loop_t *loop;                /* outlives us */
    shoal_supervisor_t *supervisor; /* outlives us */
    struct metrics_source source;
    size_t room_bytes;
    shoal_subscriber_t subscriber;
    struct writer *writer; /* owned */
    uv_timer_t timer;
    struct self self;
    enum round round;
    bool host_due; /* a round of ours has just ended: the host's limits follow */
    uint64_t interval_ms;
    unsigned parts_open;
    struct text line;                          /* the record that is being made; its memory is used again and again */
    uint64_t gap_from, gap_to;                 /* lost events that the reader has not been told of; gap_from 0: none */
    struct metrics_losses own_losses, *losses; /* borrowed; our own where the caller has none */
    void (*close_cb)(void *data);
    void *close_data;
};

/* Lost events are told before anything else is, so that seq never jumps without a word; but not before the behind bytes of
 * the record that follows fit too, or else a full ring would be filled with gaps. */
static bool put_gap(struct metrics *m, size_t behind)
{
    if (m->gap_from == 0)
        return true;
    struct text line = {0};
    ndjson_gap(&line, base_realtime_usec(), m->gap_from, m->gap_to);
    bool taken = !line.failed && line.count + behind <= writer_room(m->writer) &&
                 writer_put(m->writer, line.bytes, line.count) == 0;
    text_free(&line);
    if (taken)
        m->gap_from = m->gap_to = 0;
    return taken;
}

static bool put_line(struct metrics *m)
{
    bool taken = !m->line.failed && put_gap(m, m->line.count) &&
                 writer_put(m->writer, m->line.bytes, m->line.count) == 0;
    if (m->line.failed)
        text_free(&m->line); /* no memory for this one; the next begins anew */
    m->line.count = 0;
    m->losses->stdout_dropped += !taken;
    return taken;
}

static void on_event(void *data, const shoal_event_t *event)
{
    struct metrics *m = data;
    ndjson_event(&m->line, event);
    if (put_line(m))
        return;
    if (m->gap_from == 0)
        m->gap_from = event->seq;
    m->gap_to = event->seq;
}

/* A quarter of the writer's room is kept for events: a round of samples that the reader cannot follow must not cost one. */
static bool has_sample_room(struct metrics *m)
{
    bool room = writer_room(m->writer) > m->room_bytes / 4;
    m->losses->stdout_dropped += !room;
    return room;
}

static void on_host(void *data, const shoal_host_sample_t *host)
{
    struct metrics *m = data;
    bool due = m->host_due;
    m->host_due = false;
    if (!due || !has_sample_room(m))
        return;
    ndjson_host(&m->line, host);
    (void)put_line(m);
}

static void on_sample(void *data, const shoal_sample_t *sample)
{
    struct metrics *m = data;
    if ((m->round != ROUND_OURS && !sample->final) || !has_sample_room(m))
        return;
    ndjson_sample(&m->line, sample);
    (void)put_line(m);
}

static void put_supervisor(struct metrics *m)
{
    m->round = ROUND_NONE;
    struct self_sample self;
    self_take(&m->self, &self);
    ndjson_supervisor(&m->line, &self);
    (void)put_line(m);
}

static void on_tick(uv_timer_t *timer);

static void on_fleet(void *data, const shoal_fleet_sample_t *fleet)
{
    struct metrics *m = data;
    if (m->round == ROUND_WAITING) {
        m->round = ROUND_NONE;
        (void)uv_timer_start(&m->timer, on_tick, 0, m->interval_ms); /* not from in here: others are still to be told */
    }
    if (m->round != ROUND_OURS)
        return;
    m->host_due = true;
    if (has_sample_room(m)) {
        ndjson_fleet(&m->line, fleet);
        (void)put_line(m);
    }
    put_supervisor(m);
}

/* Freed when the timer, the measuring of ourselves and the writer are all gone. */
static void drop_part(struct metrics *m)
{
    if (--m->parts_open > 0)
        return;
    text_free(&m->line);
    void (*cb)(void *) = m->close_cb;
    void *data = m->close_data;
    free(m);
    if (cb != NULL)
        cb(data);
}

static void on_handle_closed(uv_handle_t *handle)
{
    drop_part(handle->data);
}

static void on_part_closed(void *data)
{
    drop_part(data);
}

/* Each interval has one supervisor line: behind the round of samples, or, where a round takes longer, at the next tick. */
static void on_tick(uv_timer_t *timer)
{
    struct metrics *m = timer->data;
    bool late = m->round == ROUND_OURS;
    if (m->round != ROUND_NONE)
        put_supervisor(m);
    self_prepare(&m->self);
    m->round = ROUND_OURS; /* before the call: a fleet without containers may be done with the round inside it */
    int code = m->source.sample(m->supervisor);
    if (code == -EALREADY && !late)
        m->round = ROUND_WAITING;
    else if (code < 0 && code != -EALREADY && m->round == ROUND_OURS)
        put_supervisor(m);
}

int metrics_open(struct metrics **out, uv_loop_t *loop, const struct metrics_source *source,
                 shoal_supervisor_t *supervisor, const struct metrics_options *options, shoal_error_t *err)
{
    if (options->interval_ms == 0)
        return shoal_refuse(err, -EINVAL, "metrics: the interval is 0");
    struct metrics *m = calloc(1, sizeof *m);
    if (m == NULL)
        return shoal_fail(err, -ENOMEM, "metrics");
    m->loop = loop;
    m->supervisor = supervisor;
    m->source = *source;
    m->interval_ms = options->interval_ms;
    m->losses = options->losses != NULL ? options->losses : &m->own_losses;
    m->room_bytes = options->room_bytes ? options->room_bytes : ROOM_BYTES;
    int code = writer_open(&m->writer, loop, options->fd, m->room_bytes, err);
    if (code < 0) {
        free(m);
        shoal_within(err, "metrics");
        return code;
    }
    self_init(&m->self, loop, m->losses);
    (void)uv_timer_init(loop, &m->timer);
    m->timer.data = m;
    m->parts_open = 3;
    (void)uv_timer_start(&m->timer, on_tick, options->interval_ms, options->interval_ms);
    uv_unref((uv_handle_t *)&m->timer); /* a loop that has nothing else to do may end */
    m->subscriber = (shoal_subscriber_t){.data = m,
                                         .on_event = on_event,
                                         .on_sample = on_sample,
                                         .on_group = on_sample,
                                         .on_fleet = on_fleet,
                                         .on_host = on_host};
    m->source.subscribe(supervisor, &m->subscriber);
    *out = m;
    return 0;
}

void metrics_close(struct metrics *m, void (*cb)(void *data), void *data)
{
    m->close_cb = cb;
    m->close_data = data;
    m->source.unsubscribe(m->supervisor, &m->subscriber);
    (void)put_gap(m, 0);
    uv_close((uv_handle_t *)&m->timer, on_handle_closed);
    self_close(&m->self, on_part_closed, m);
    writer_close(m->writer, FLUSH_MS, on_part_closed, m);
}
