#include <string.h>

#include "base/base.h"
#include "metrics/lag.h"
#include "shoal/sample.h"

static size_t bucket_of(uint64_t usec)
{
    if (usec < LAG_EXACT)
        return (size_t)usec;
    if (usec > UINT32_MAX)
        return LAG_BUCKETS - 1;
    unsigned power = 63 - (unsigned)__builtin_clzll(usec); /* 4..31 */
    return LAG_EXACT + (power - 4) * LAG_PARTS + ((usec >> (power - 3)) & (LAG_PARTS - 1));
}

static uint64_t upper_edge(size_t bucket)
{
    if (bucket < LAG_EXACT)
        return bucket;
    unsigned power = 4 + (unsigned)(bucket - LAG_EXACT) / LAG_PARTS;
    uint64_t part = (bucket - LAG_EXACT) % LAG_PARTS;
    return ((LAG_PARTS + part + 1) << (power - 3)) - 1;
}

void lag_histogram_add(struct lag_histogram *histogram, uint64_t usec)
{
    histogram->buckets[bucket_of(usec)]++;
    histogram->count++;
    if (usec > histogram->max_usec)
        histogram->max_usec = usec;
}

static uint64_t quantile(const struct lag_histogram *histogram, unsigned percent)
{
    uint64_t wanted = (histogram->count * percent + 99) / 100, seen = 0;
    size_t bucket = 0;
    while (bucket < LAG_BUCKETS - 1 && (seen += histogram->buckets[bucket]) < wanted)
        bucket++;
    uint64_t edge = upper_edge(bucket);
    return edge < histogram->max_usec && bucket < LAG_BUCKETS - 1 ? edge : histogram->max_usec;
}

void lag_histogram_read(const struct lag_histogram *histogram, struct lag_summary *out)
{
    if (histogram->count == 0)
        *out = (struct lag_summary){SHOAL_ABSENT, SHOAL_ABSENT, SHOAL_ABSENT};
    else
        *out = (struct lag_summary){quantile(histogram, 50), quantile(histogram, 99), histogram->max_usec};
}

/* Callbacks of descriptors run inside libuv's poll, so a prepare and check pair alone would count them as sleep: the
 * loop's own idle time is what has to be taken away. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct lag *lag = CONTAINER_OF(prepare, struct lag, prepare);
    uint64_t now = uv_hrtime(), idle = uv_metrics_idle_time(lag->loop);
    if (lag->before_nsec != 0) {
        uint64_t turn = now - lag->before_nsec, asleep = idle - lag->idle_before_nsec;
        lag_histogram_add(&lag->histogram, turn > asleep ? (turn - asleep) / 1000 : 0);
    }
    lag->before_nsec = now;
    lag->idle_before_nsec = idle;
}

int lag_init(struct lag *lag, uv_loop_t *loop)
{
    *lag = (struct lag){.loop = loop};
    (void)uv_prepare_init(loop, &lag->prepare); /* neither this nor its start can fail */
    uv_unref((uv_handle_t *)&lag->prepare);
    int code = uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
    return code < 0 ? code : uv_prepare_start(&lag->prepare, on_prepare);
}

void lag_take(struct lag *lag, struct lag_summary *out)
{
    lag_histogram_read(&lag->histogram, out);
    memset(&lag->histogram, 0, sizeof lag->histogram);
}

void lag_close(struct lag *lag, uv_close_cb cb)
{
    uv_close((uv_handle_t *)&lag->prepare, cb);
}
