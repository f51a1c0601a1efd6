#include <errno.h>

#include "base/base.h"
#include "metrics/openmetrics.h"

enum {
    ROOM_BYTES = 4 << 20,
    CHUNK_BYTES = 16 << 10, /* rendered in one go */
    SLICE_USEC = 1000,      /* the longest that one turn of the loop is used */
    FULL_MS = 10,           /* a reader that is behind is looked after at this pace */
    FRESH_MS = 100,         /* a snapshot that somebody else has just asked for does as well */
    FLUSH_MS = 1000         /* how long the end waits for a slow reader */
};

struct exposition {
    struct collector *collector; /* outlives us */
    struct collector_request request;
    bool asked;
    struct snapshot *snapshot; /* owned: what is being written; NULL nothing */
    struct snapshot *last;     /* owned: what is to be written behind it, then comes the end */
    struct openmetrics_cursor cursor;
    struct text chunk;     /* rendered, not yet with the writer */
    struct writer *writer; /* owned; NULL: closing */
    size_t chunk_bytes;
    struct metrics_losses own_losses, *losses; /* borrowed; our own where the caller has none */
    uv_timer_t tick, slice, deadline;
    bool closing;
    unsigned parts_open;
    void (*close_cb)(void *data);
    void *close_data;
};

static void drop_part(struct exposition *e)
{
    if (--e->parts_open > 0)
        return;
    snapshot_drop(e->snapshot);
    snapshot_drop(e->last);
    text_free(&e->chunk);
    void (*cb)(void *) = e->close_cb;
    void *data = e->close_data;
    free(e);
    cb(data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    drop_part(handle->data);
}

static void on_writer_closed(void *data)
{
    drop_part(data);
}

static void close_parts(struct exposition *e, unsigned flush_ms)
{
    uv_close((uv_handle_t *)&e->tick, on_timer_closed);
    uv_close((uv_handle_t *)&e->slice, on_timer_closed);
    uv_close((uv_handle_t *)&e->deadline, on_timer_closed);
    writer_close(e->writer, flush_ms, on_writer_closed, e);
}

static void on_slice(uv_timer_t *slice);

static void begin(struct exposition *e, struct snapshot *owned)
{
    e->snapshot = owned;
    e->cursor = (struct openmetrics_cursor){0};
    (void)uv_timer_start(&e->slice, on_slice, 0, 0);
}

static void end(struct exposition *e)
{
    snapshot_drop(e->snapshot);
    e->snapshot = NULL;
    e->chunk.count = 0;
    struct snapshot *last = e->last;
    e->last = NULL;
    if (last != NULL)
        begin(e, last);
    else if (e->closing)
        close_parts(e, FLUSH_MS);
}

/* Render and hand over one chunk. Returns 0 there is more, 1 that was all, -ENOBUFS the reader is behind, -EPIPE it is
 * gone, -ENOMEM: this one stays without its end. */
static int put_chunk(struct exposition *e)
{
    if (e->chunk.count == 0 && !e->cursor.ended)
        (void)openmetrics_render(e->snapshot, OPENMETRICS_1_0, &e->cursor, e->chunk_bytes, &e->chunk);
    if (e->chunk.failed) {
        text_free(&e->chunk);
        return -ENOMEM;
    }
    int code = writer_put(e->writer, e->chunk.bytes, e->chunk.count);
    if (code < 0)
        return code;
    e->chunk.count = 0;
    return e->cursor.ended;
}

static void on_slice(uv_timer_t *slice)
{
    struct exposition *e = slice->data;
    uint64_t until = base_monotonic_usec() + SLICE_USEC;
    int code;
    do
        code = put_chunk(e);
    while (code == 0 && base_monotonic_usec() < until);
    if (code == 0 || code == -ENOBUFS) {
        (void)uv_timer_start(slice, on_slice, code == 0 ? 1 : FULL_MS, 0); /* others first */
        return;
    }
    e->losses->stdout_dropped += code < 0;
    end(e);
}

static void on_snapshot(struct collector_request *request, struct snapshot *snapshot)
{
    struct exposition *e = CONTAINER_OF(request, struct exposition, request);
    e->asked = false;
    if (snapshot == NULL)
        e->losses->stdout_dropped++;
    else
        begin(e, snapshot_share(snapshot));
}

static void on_tick(uv_timer_t *tick)
{
    struct exposition *e = tick->data;
    if (e->snapshot != NULL ||
        e->asked) { /* the one before is not over yet: it is written whole, this one is not made */
        e->losses->stdout_dropped++;
        return;
    }
    e->asked = true;
    collector_ask(e->collector, &e->request, FRESH_MS);
}

static void on_deadline(uv_timer_t *deadline)
{
    struct exposition *e = deadline->data;
    if (e->snapshot == NULL)
        return; /* the writer has its own */
    snapshot_drop(e->last);
    e->last = NULL;
    snapshot_drop(e->snapshot);
    e->snapshot = NULL;
    close_parts(e, 0);
}

static void add_timer(struct exposition *e, uv_loop_t *loop, uv_timer_t *timer)
{
    (void)uv_timer_init(loop, timer); /* cannot fail */
    timer->data = e;
    e->parts_open++;
}

int exposition_open(struct exposition **out, uv_loop_t *loop, struct collector *collector,
                    const struct metrics_options *options, shoal_error_t *err)
{
    if (options->interval_ms == 0)
        return shoal_refuse(err, -EINVAL, "metrics: the interval is 0");
    struct exposition *e = calloc(1, sizeof *e);
    if (e == NULL)
        return shoal_fail(err, -ENOMEM, "metrics");
    size_t room = options->room_bytes ? options->room_bytes : ROOM_BYTES;
    int code = writer_open(&e->writer, loop, options->fd, room, err);
    if (code < 0) {
        free(e);
        shoal_within(err, "metrics");
        return code;
    }
    e->collector = collector;
    e->request.cb = on_snapshot;
    e->chunk_bytes = room / 2 < CHUNK_BYTES ? room / 2 : CHUNK_BYTES; /* with its last row it has to fit */
    e->losses = options->losses != NULL ? options->losses : &e->own_losses;
    e->parts_open = 1;
    add_timer(e, loop, &e->tick);
    add_timer(e, loop, &e->slice);
    add_timer(e, loop, &e->deadline);
    (void)uv_timer_start(&e->tick, on_tick, options->interval_ms, options->interval_ms);
    uv_unref((uv_handle_t *)&e->tick); /* a loop that has nothing else to do may end */
    *out = e;
    return 0;
}

void exposition_close(struct exposition *e, void (*cb)(void *data), void *data)
{
    e->close_cb = cb;
    e->close_data = data;
    e->closing = true;
    (void)uv_timer_stop(&e->tick);
    collector_cancel(e->collector, &e->request);
    e->last = collector_take_last(e->collector);
    (void)uv_timer_start(&e->deadline, on_deadline, FLUSH_MS, 0);
    if (e->snapshot == NULL)
        end(e);
}
