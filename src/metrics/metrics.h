/* metrics: what a supervisor says, as NDJSON lines or OpenMetrics expositions to a descriptor, and as snapshots to whoever
 * shows them elsewhere. It subscribes to the bus, asks for samples each interval, and never makes anybody wait: a reader that
 * is slow, gone or full costs records, not time. It knows the public headers of libshoal only. */
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

/* The calls of a supervisor that this room makes. */
struct metrics_source {
    void (*subscribe)(shoal_supervisor_t *s, shoal_subscriber_t *subscriber);
    void (*unsubscribe)(shoal_supervisor_t *s, shoal_subscriber_t *subscriber);
    int (*sample)(shoal_supervisor_t *s);
};
/* Those of libshoal. Here, so that the room itself links without one. */
static inline struct metrics_source metrics_source(void)
{
    return (struct metrics_source){shoal_supervisor_subscribe, shoal_supervisor_unsubscribe, shoal_supervisor_sample};
}

struct metrics_options {
    int fd;                        /* where the lines go; borrowed during the open only */
    uint64_t interval_ms;          /* between samples; at least 1 */
    size_t room_bytes;             /* what waits for a slow reader at most; 0: 4 MiB */
    struct metrics_losses *losses; /* counted up; outlives us. NULL: nobody else counts or asks */
};

/* metrics: events and samples as NDJSON lines. */
struct metrics;
/* supervisor: outlives the metrics.  Returns 0, -EINVAL, -EBADF, -ENOMEM. */
int metrics_open(struct metrics **out, uv_loop_t *loop, const struct metrics_source *source,
                 shoal_supervisor_t *supervisor, const struct metrics_options *options, shoal_error_t *err);
/* Unsubscribe, give the reader a second to take what is left, then cb once from the loop. */
void metrics_close(struct metrics *metrics, void (*cb)(void *data), void *data);

/* collector: snapshots for those who show numbers, each made in one round of samples. */
struct snapshot;
struct collector;
/* losses: may be NULL. Both outlive the collector.  Returns 0, -ENOMEM. */
int collector_open(struct collector **out, uv_loop_t *loop, const struct metrics_source *source,
                   shoal_supervisor_t *supervisor, const struct metrics_losses *losses, shoal_error_t *err);
/* Somebody who waits for a snapshot; in place until its cb was called or it was cancelled. cb: from the loop, never from
 * inside the call; snapshot is borrowed for the call (snapshot_share keeps it), NULL when none can be made. */
struct collector_request {
    void (*cb)(struct collector_request *request, struct snapshot *snapshot);
    struct collector_request *next; /* this and what follows is ours */
    uint64_t asked_usec, oldest_usec;
};
/* Ask for a snapshot. One that is younger than fresh_ms is good enough, so that many who ask cost one round. */
void collector_ask(struct collector *collector, struct collector_request *request, uint64_t fresh_ms);
void collector_cancel(struct collector *collector, struct collector_request *request); /* harmless when it is over */
/* All that is known at this moment, also of what was destroyed since the last snapshot: for a last word at the end.
 * The caller drops it; NULL: out of memory. */
struct snapshot *collector_take_last(struct collector *collector);
/* Requests that wait are answered with NULL. cb: once, from the loop. */
void collector_close(struct collector *collector, void (*cb)(void *data), void *data);

/* exposition: snapshots as OpenMetrics on a descriptor, one an interval, each ending with "# EOF". A reader that is too slow
 * misses whole expositions. */
struct exposition;
/* collector: outlives the exposition.  Returns 0, -EINVAL, -EBADF, -ENOMEM. */
int exposition_open(struct exposition **out, uv_loop_t *loop, struct collector *collector,
                    const struct metrics_options *options, shoal_error_t *err);
/* A last exposition; the reader has a second for it. cb: once, from the loop. */
void exposition_close(struct exposition *exposition, void (*cb)(void *data), void *data);

/* Death certificates on disk: the line of each DIE is added to ROOT/deaths/PROJECT/CONTAINER.ndjson by a worker. A file keeps
 * the last DEATHS_KEPT and at most as many older ones; it outlives its container, as logs do. */
enum { DEATHS_KEPT = 100 };
struct deaths;
struct deaths_options {
    uv_loop_t *loop;
    const struct metrics_source *source; /* outlives it, as the supervisor */
    shoal_supervisor_t *supervisor;
    const char *root_dir; /* borrowed during the open only */
    void (*on_warning)(void *data,
                       const char *text); /* the disk refused; once until it takes them again. May be NULL */
    void *data;
};
int deaths_open(struct deaths **out, const struct deaths_options *options, shoal_error_t *err);
/* Write what is pending, then cb once; from inside the call where nothing is. */
void deaths_close(struct deaths *deaths, void (*cb)(void *data), void *data);

#endif
