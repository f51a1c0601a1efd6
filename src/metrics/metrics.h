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
/* Take a whole line or nothing. Returns 0, -ENOBUFS no room (the caller counts it), -EPIPE the reader is gone. */
int writer_put(struct writer *writer, const char *bytes, size_t count);
/* Flush for at most flush_ms, then cb once from the loop. */
void writer_close(struct writer *writer, unsigned flush_ms, void (*cb)(void *data), void *data);

struct metrics;
struct metrics_options {
    int fd;               /* where the lines go; borrowed */
    uint64_t interval_ms; /* between samples */
};
int metrics_open(struct metrics **out, uv_loop_t *loop, shoal_supervisor_t *supervisor,
                 const struct metrics_options *options, shoal_error_t *err);
/* Bytes of container output that `--logs` could not show: reported as log_dropped. */
void metrics_count_log_dropped(struct metrics *metrics, uint64_t bytes);
void metrics_close(struct metrics *metrics, void (*cb)(void *data), void *data);

#endif
