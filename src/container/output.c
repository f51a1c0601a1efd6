/* A container's stdout and stderr: two pipes, read on the loop into its log. A log that is behind stops the reading, so that
 * a sandbox that floods is slowed by its own full pipe and by nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "container/inside.h"

static bool wants_output(const struct container *c)
{
    return c->log != NULL || c->owner->on_output != NULL || c->service->deadlines.output_bytes > 0 ||
           c->service->deadlines.idle_ms > 0;
}

/* The end of the output, both streams as they were read: a ring, made for those that print at all. */
struct tail {
    size_t count, next;
    char bytes[TAIL_BYTES];
};

static void keep_tail(struct container *c, const char *bytes, size_t count)
{
    if (c->tail == NULL) {
        c->tail = malloc(sizeof *c->tail);
        if (c->tail == NULL)
            return;
        c->tail->count = c->tail->next = 0;
    }
    struct tail *tail = c->tail;
    if (count > TAIL_BYTES) {
        bytes += count - TAIL_BYTES;
        count = TAIL_BYTES;
    }
    size_t first = TAIL_BYTES - tail->next < count ? TAIL_BYTES - tail->next : count;
    memcpy(tail->bytes + tail->next, bytes, first);
    memcpy(tail->bytes, bytes + first, count - first);
    tail->next = (tail->next + count) % TAIL_BYTES;
    tail->count = tail->count + count < TAIL_BYTES ? tail->count + count : TAIL_BYTES;
}

size_t output_tail(const struct container *c, char out[TAIL_BYTES])
{
    enum { LINES = 10 };
    const struct tail *tail = c->tail;
    if (tail == NULL)
        return 0;
    size_t from = (tail->next + TAIL_BYTES - tail->count) % TAIL_BYTES;
    size_t first = TAIL_BYTES - from < tail->count ? TAIL_BYTES - from : tail->count;
    memcpy(out, tail->bytes + from, first);
    memcpy(out + first, tail->bytes, tail->count - first);
    size_t begin = tail->count, lines = 0;
    while (begin > 0 && (out[begin - 1] != '\n' || begin == tail->count || ++lines < LINES))
        begin--;
    memmove(out, out + begin, tail->count - begin);
    return tail->count - begin;
}

/* Returns whether reading may go on. */
static bool take(struct output *output, const char *bytes, size_t count)
{
    struct container *c = output->container;
    keep_tail(c, bytes, count);
    c->printed_bytes += count;
    if (c->service->deadlines.output_bytes > 0 && c->printed_bytes > c->service->deadlines.output_bytes)
        container_end(c, SHOAL_CAUSE_OUTPUT);
    if (c->owner->on_output != NULL)
        c->owner->on_output(c->owner->data, c, output->stream, bytes, count);
    return c->log == NULL || log_append(c->log, output->stream, bytes, count) < LOG_HIGH_BYTES;
}

static void on_closed(uv_handle_t *handle)
{
    struct output *output = handle->data;
    base_close_fd(&output->fd);
    output->container->parts_open--;
    container_settle(output->container);
}

static void close_output(struct output *output)
{
    if (output->fd < 0 || uv_is_closing((uv_handle_t *)&output->poll))
        return;
    output->reading = false;
    if (output->container->log != NULL)
        log_end_stream(output->container->log, output->stream);
    uv_close((uv_handle_t *)&output->poll, on_closed);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status; /* an error shows in read(2) too */
    (void)events;
    struct output *output = poll->data;
    char *buffer = output->container->kit->read_buffer;
    ssize_t count = read(output->fd, buffer, KIT_READ_BYTES);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        close_output(output);
    } else if (!take(output, buffer, (size_t)count)) {
        output->reading = false;
        (void)uv_poll_stop(poll);
    }
}

static int open_one(struct output *output, int *out_child_end, shoal_error_t *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return shoal_fail(err, -errno, "pipe for output");
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || uv_poll_init(output->container->loop, &output->poll, ends[0]) < 0) {
        int code = shoal_fail(err, -EIO, "watch output");
        (void)close(ends[0]);
        (void)close(ends[1]);
        return code;
    }
    output->container->parts_open++;
    output->poll.data = output;
    output->fd = ends[0];
    output->reading = true;
    *out_child_end = ends[1];
    (void)uv_poll_start(&output->poll, UV_READABLE, on_readable); /* fails only for a closing handle */
    return 0;
}

int output_open(struct container *c, int out_child_ends[2], shoal_error_t *err)
{
    int ends[2] = {-1, -1};
    int code = 0;
    for (int i = 0; i < 2 && code == 0; i++) {
        if (wants_output(c)) {
            code = open_one(&c->outputs[i], &ends[i], err);
        } else {
            ends[i] = fcntl(c->kit->null_fd, F_DUPFD_CLOEXEC, 3);
            code = ends[i] < 0 ? shoal_fail(err, -errno, "duplicate /dev/null") : 0;
        }
    }
    for (int i = 0; i < 2; i++)
        if (code < 0)
            base_close_fd(&ends[i]);
        else
            out_child_ends[i] = ends[i];
    return code;
}

void output_drain(struct container *c)
{
    for (int i = 0; i < 2; i++) {
        struct output *output = &c->outputs[i];
        if (output->fd < 0 || uv_is_closing((uv_handle_t *)&output->poll))
            continue;
        /* Its writers are gone, so what is left is at most one pipe's worth: the log takes it whatever its level. */
        for (unsigned rounds = 0; rounds < 32; rounds++) {
            ssize_t count = read(output->fd, c->kit->read_buffer, KIT_READ_BYTES);
            if (count <= 0 && !(count < 0 && errno == EINTR))
                break;
            if (count > 0)
                (void)take(output, c->kit->read_buffer, (size_t)count);
        }
        close_output(output);
    }
}

void output_resume(struct container *c)
{
    for (int i = 0; i < 2; i++) {
        struct output *output = &c->outputs[i];
        if (output->fd < 0 || output->reading || uv_is_closing((uv_handle_t *)&output->poll))
            continue;
        output->reading = true;
        (void)uv_poll_start(&output->poll, UV_READABLE, on_readable);
    }
}
