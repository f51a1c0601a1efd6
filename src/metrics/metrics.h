/* metrics: what a supervisor says, as NDJSON lines to a descriptor. It subscribes to the bus, asks for samples each
 * interval, and never makes anybody wait: a reader that is slow, gone or full costs records, not time.
 * It knows the public headers of libshoal only. */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <uv.h>

#include "shoal/supervisor.h"

/* A bounded, non-blocking line writer to one descriptor: pipe, terminal, socket or file. Pipes and terminals are reopened
 * through /proc/self/fd, so that O_NONBLOCK is ours alone; sockets get MSG_DONTWAIT; files are written by a worker. */
struct writer;
int writer_open(struct writer **out, uv_loop_t *loop, int fd, size_t room_bytes, shoal_error_t *err);
/* Take a whole line or nothing; what was taken waits for as long as a disk is full. Returns 0,
 * -ENOBUFS no room (the caller counts it), -EPIPE the reader is gone. */
int writer_put(struct writer *writer, const char *bytes, size_t count);
/* Bytes that a line may have now; 0 when the reader is gone. */
size_t writer_room(const struct writer *writer);
/* Flush for at most flush_ms, then cb once from the loop. A write that a disk holds up already is waited for. */
void writer_close(struct writer *writer, unsigned flush_ms, void (*cb)(void *data), void *data);

/* What could not be said, since the program began. One struct for all who write and all who report. */
struct metrics_losses {
    uint64_t stdout_dropped; /* records, or whole expositions, that did not reach the reader */
    uint64_t log_dropped;    /* bytes of container output that could not be shown */
};

struct metrics;
struct metrics_options {
    int fd;                        /* where the lines go; borrowed during the open only */
    uint64_t interval_ms;          /* between samples; at least 1 */
    size_t room_bytes;             /* what waits for a slow reader at most; 0: 4 MiB */
    struct metrics_losses *losses; /* counted up; outlives the metrics. NULL: nobody else counts or asks */
};
/* The calls of a supervisor that metrics makes. */
struct metrics_source {
    void (*subscribe)(shoal_supervisor_t *s, shoal_subscriber_t *subscriber);
    void (*unsubscribe)(shoal_supervisor_t *s, shoal_subscriber_t *subscriber);
    int (*sample)(shoal_supervisor_t *s);
};
/* supervisor: outlives the metrics.  Returns 0, -EINVAL, -EBADF, -ENOMEM. */
int metrics_open_source(struct metrics **out, uv_loop_t *loop, const struct metrics_source *source,
                        shoal_supervisor_t *supervisor, const struct metrics_options *options, shoal_error_t *err);
/* The same for a supervisor of libshoal. Here, so that the room itself links without one. */
static inline int metrics_open(struct metrics **out, uv_loop_t *loop, shoal_supervisor_t *supervisor,
                               const struct metrics_options *options, shoal_error_t *err)
{
    static const struct metrics_source source = {shoal_supervisor_subscribe, shoal_supervisor_unsubscribe,
                                                 shoal_supervisor_sample};
    return metrics_open_source(out, loop, &source, supervisor, options, err);
}
/* Unsubscribe, give the reader a second to take what is left, then cb once from the loop. */
void metrics_close(struct metrics *metrics, void (*cb)(void *data), void *data);

#endif
