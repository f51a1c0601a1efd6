#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "metrics/lag.h"
#include "shoal/sample.h"

static void reads_quantiles(void **state)
{
    (void)state;
    static const struct {
        uint64_t from, to, step; /* adds from, from + step, ... below to */
        uint64_t p50, p99, max;
    } rows[] = {
        {0, 0, 1, SHOAL_ABSENT, SHOAL_ABSENT, SHOAL_ABSENT},
        {0, 1, 1, 0, 0, 0},
        {15, 16, 1, 15, 15, 15},
        {1000, 1001, 1, 1000, 1000, 1000}, /* one value: the edge is cut at the maximum */
        {1, 11, 1, 5, 10, 10},             /* exact when small */
        {1, 101, 1, 51, 100, 100}, /* in the buckets 48..51 and 96..103; the latter's edge is above the maximum */
        {10000, 1010000, 10000, 524287, 1000000, 1000000},
        {UINT64_MAX - 1, UINT64_MAX, 1, UINT64_MAX - 1, UINT64_MAX - 1, UINT64_MAX - 1},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct lag_histogram histogram = {0};
        for (uint64_t usec = rows[i].from; usec < rows[i].to; usec += rows[i].step)
            lag_histogram_add(&histogram, usec);
        struct lag_summary summary;
        lag_histogram_read(&histogram, &summary);
        assert_true(summary.max_usec == rows[i].max);
        assert_true(summary.p50_usec == rows[i].p50);
        assert_true(summary.p99_usec == rows[i].p99);
    }
}

/* Every value lies in a bucket whose upper edge is at most an eighth above it. */
static void buckets_are_narrow(void **state)
{
    (void)state;
    for (uint64_t usec = 0; usec < UINT32_MAX; usec += 1 + usec / 1000) {
        struct lag_histogram histogram = {0};
        lag_histogram_add(&histogram, usec);
        histogram.max_usec = UINT64_MAX; /* so that it does not cut the edge */
        struct lag_summary summary;
        lag_histogram_read(&histogram, &summary);
        if (summary.p50_usec == UINT64_MAX) /* the last bucket has no edge */
            continue;
        assert_true(summary.p50_usec >= usec);
        assert_true(summary.p50_usec - usec <= usec / 8);
    }
}

static void spin(uint64_t usec)
{
    for (uint64_t begin = base_monotonic_usec(); base_monotonic_usec() - begin < usec;)
        ;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    (void)uv_poll_stop(poll);
    spin(30000);
}

static void on_sleep(uv_timer_t *timer)
{
    (void)timer;
}

static void on_spin(uv_timer_t *timer)
{
    (void)timer;
    spin(20000);
}

/* Sleep is no lag, a slow callback is, be it a timer's or a descriptor's. */
static void measures_work_and_not_sleep(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct lag lag;
    assert_int_equal(lag_init(&lag, &loop), 0);
    uv_timer_t timer;
    (void)uv_timer_init(&loop, &timer);
    struct lag_summary sleepy, timed, polled, nothing;

    for (int i = 0; i < 3; i++) {
        (void)uv_timer_start(&timer, on_sleep, 30, 0);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        lag.before_nsec = 0; /* between two runs the loop is not the one that is busy */
    }
    lag_take(&lag, &sleepy);

    (void)uv_timer_start(&timer, on_spin, 1, 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_timer_start(&timer, on_sleep, 1, 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    lag_take(&lag, &timed);

    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    uv_poll_t poll;
    assert_int_equal(uv_poll_init(&loop, &poll, ends[0]), 0);
    (void)uv_poll_start(&poll, UV_READABLE, on_readable);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_timer_start(&timer, on_sleep, 1, 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    lag_take(&lag, &polled);
    lag_take(&lag, &nothing);

    assert_true(sleepy.max_usec == SHOAL_ABSENT || sleepy.p50_usec < 15000);
    assert_in_range(timed.max_usec, 20000, 2000000);
    assert_in_range(polled.max_usec, 30000, 2000000);
    assert_true(nothing.max_usec == SHOAL_ABSENT);

    lag_close(&lag, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_close((uv_handle_t *)&poll, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void keeps_no_loop_alive(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct lag lag;
    assert_int_equal(lag_init(&lag, &loop), 0);
    assert_int_equal(uv_loop_alive(&loop), 0);
    lag_close(&lag, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_quantiles),
        cmocka_unit_test(buckets_are_narrow),
        cmocka_unit_test(measures_work_and_not_sleep),
        cmocka_unit_test(keeps_no_loop_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
