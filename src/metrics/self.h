/* What the supervisor's own process costs and what it had to drop: measured for one consumer, taken once an interval. */
#ifndef METRICS_SELF_H
#define METRICS_SELF_H

#include "metrics/lag.h"
#include "metrics/metrics.h"

/* One moment of it. SHOAL_ABSENT as everywhere. */
struct self_sample {
    uint64_t time_usec;
    uint64_t rss_bytes, fds;
    uint64_t usage_usec, user_usec, system_usec; /* CPU time of all its threads */
    struct lag_summary lag;                      /* since it was taken last */
    struct metrics_losses losses;                /* since the program began */
};

struct self {
    uv_loop_t *loop;                     /* outlives us */
    const struct metrics_losses *losses; /* outlives us; may be NULL */
    struct lag lag;
    uv_work_t counting;    /* of the descriptors, on kernels where that takes a while */
    uint64_t counting_fds; /* its result: the worker's until on_counted */
    uint64_t counted_fds;
    bool is_counting;
    unsigned parts_open;
    void (*close_cb)(void *data);
    void *close_data;
};

/* Begins to measure. A loop without libuv's idle time metric is no error: the lag is absent then. */
void self_init(struct self *self, uv_loop_t *loop, const struct metrics_losses *losses);
/* Begin what takes a while, so that the next take has it. */
void self_prepare(struct self *self);
void self_take(struct self *self, struct self_sample *out);
/* cb: once, from the loop. */
void self_close(struct self *self, void (*cb)(void *data), void *data);

#endif
