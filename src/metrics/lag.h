/* How long the loop kept everybody waiting: per turn, the time from one poll for events to the next, less the time spent
 * asleep in it. That is how late an event can be noticed. */
#ifndef METRICS_LAG_H
#define METRICS_LAG_H

#include <stdint.h>
#include <uv.h>

/* Log-linear: exact below 16 us, then eight buckets for each doubling, up to 2^32 us. */
enum { LAG_EXACT = 16, LAG_PARTS = 8, LAG_BUCKETS = LAG_EXACT + (32 - 4) * LAG_PARTS };

struct lag_histogram {
    uint32_t buckets[LAG_BUCKETS];
    uint64_t count, max_usec;
};

struct lag_summary {
    uint64_t p50_usec, p99_usec, max_usec; /* SHOAL_ABSENT: nothing was measured */
};

void lag_histogram_add(struct lag_histogram *histogram, uint64_t usec);
/* Quantiles are the upper edge of their bucket (at most an eighth too high), never above the exact maximum. */
void lag_histogram_read(const struct lag_histogram *histogram, struct lag_summary *out);

struct lag {
    uv_prepare_t prepare; /* unreferenced: measuring keeps no loop alive */
    uv_loop_t *loop;
    uint64_t before_nsec, idle_before_nsec; /* 0: no turn has begun */
    struct lag_histogram histogram;
};

/* Begins at once; switches the loop's idle time metric on, for good. Returns 0; -ENOSYS libuv cannot: nothing will be
 * measured. End it with lag_close in both cases. */
int lag_init(struct lag *lag, uv_loop_t *loop);
/* What was measured since the last call, which then begins anew. */
void lag_take(struct lag *lag, struct lag_summary *out);
void lag_close(struct lag *lag, uv_close_cb cb); /* prepare.data is the caller's */

#endif
