/* The gate in simulated time: who goes next, how many a second, and what pressure does to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "supervisor/governor.h"

enum { SERVICES = 500, MEMBERS = 2000 };
static const uint64_t T0 = 5000000;
static const uint32_t EVEN = UINT32_MAX / 2; /* no chance in it: each start costs one token */

struct waiter {
    struct start_turn turn;
    size_t service;
};

static struct world {
    struct governor governor;
    struct start_line lines[SERVICES][START_KIND_COUNT];
    struct waiter waiters[MEMBERS];
    size_t used;
    uint64_t now;
    struct governor_news news[64];
    size_t news_count;
} w;

static void begin(shoal_governor_t settings)
{
    memset(&w, 0, sizeof w);
    w.now = T0;
    governor_init(&w.governor, &settings, w.now);
}

static void add(size_t service, enum start_kind kind, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct waiter *waiter = &w.waiters[w.used++ % MEMBERS];
        waiter->service = service;
        governor_add(&w.governor, &w.lines[service][kind], kind, &waiter->turn);
    }
}

/* The service whose turn it is, -1 when nobody may go. */
static int take(uint32_t random)
{
    uint64_t wait;
    struct start_turn *turn = governor_take(&w.governor, w.now, random, &wait);
    assert_true(turn == NULL || wait == 0);
    return turn == NULL ? -1 : (int)CONTAINER_OF(turn, struct waiter, turn)->service;
}

/* That long, a millisecond at a time: who may go goes, at most `most` in each. Returns how many went. */
static size_t run_ms(unsigned ms, unsigned most, const double pressure[PRESSURE_COUNT])
{
    size_t gone = 0;
    for (unsigned i = 0; i < ms; i++) {
        w.now += 1000;
        for (unsigned k = 0; k < most && take(EVEN) >= 0; k++)
            gone++;
        if ((w.now - T0) / 1000 % GOVERNOR_TICK_MS == 0)
            w.news_count += governor_feel(&w.governor, w.now, pressure, &w.news[w.news_count]);
        assert_true(w.news_count < COUNT(w.news) - GOVERNOR_NEWS_MAX);
    }
    return gone;
}

static const double calm[PRESSURE_COUNT] = {0}, unknown[PRESSURE_COUNT] = {-1, -1, -1};

static void services_take_turns(void **state)
{
    (void)state;
    begin((shoal_governor_t){0});
    add(1, START_CRASHED, 4);
    add(2, START_CRASHED, 1);
    add(3, START_CRASHED, 2);
    static const int wanted[] = {1, 2, 3, 1, 3, 1, 1, -1};
    for (size_t i = 0; i < COUNT(wanted); i++)
        assert_int_equal(take(EVEN), wanted[i]);
    /* who comes in between waits for one round, however long the others' lines are */
    add(1, START_ORDINARY, 100);
    assert_int_equal(take(EVEN), 1);
    add(7, START_ORDINARY, 1);
    assert_int_equal(take(EVEN), 1);
    assert_int_equal(take(EVEN), 7);
    /* so do the kinds: a fleet that comes up does not keep a restart waiting */
    add(4, START_CRASHED, 1);
    int first = take(EVEN), second = take(EVEN);
    assert_true((first == 4) != (second == 4));
    size_t left = 0;
    while (take(EVEN) >= 0)
        left++;
    assert_int_equal(left, 100 - 3);
}

static void each_service_gets_its_share(void **state)
{
    (void)state;
    begin((shoal_governor_t){.rate = 100, .burst = 1});
    add(0, START_CRASHED, 1000);
    for (size_t i = 1; i < 50; i++)
        add(i, START_CRASHED, 4);
    size_t count[50] = {0};
    for (unsigned gone = 0; gone < 200;) {
        int service = take(EVEN);
        if (service >= 0) {
            count[service]++;
            gone++;
        } else {
            w.now += 1000;
        }
    }
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(count[i], 4);
}

static void the_bucket_bounds_the_rate(void **state)
{
    (void)state;
    static const struct {
        unsigned rate, burst, ms;
        size_t gone;
    } rows[] = {
        {50, 10, 1000, 10 + 50},
        {50, 1, 2000, 1 + 100},
        {1000, 100, 500, 100 + 500},
        {1, 5, 3000, 5 + 3},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        begin((shoal_governor_t){.rate = rows[i].rate, .burst = rows[i].burst});
        add(0, i % 2 == 0 ? START_ORDINARY : START_CRASHED, MEMBERS);
        size_t gone = run_ms(rows[i].ms, 10, unknown);
        if (gone > rows[i].gone + 1 || gone + 1 < rows[i].gone)
            fail_msg("row %zu: %zu", i, gone);
        /* it said so once */
        assert_int_equal(w.news_count, 1);
        assert_true(w.news[0].slow && strcmp(w.news[0].reason, "rate") == 0 && strcmp(w.news[0].starts, "all") == 0);
        governor_clear(&w.governor);
        (void)run_ms(3000, 10, unknown);
        assert_int_equal(w.news_count, 2);
        assert_false(w.news[1].slow);
        assert_false(governor_is_busy(&w.governor));
    }
}

static void says_how_long_to_wait(void **state)
{
    (void)state;
    begin((shoal_governor_t){.rate = 10, .burst = 1});
    uint64_t wait;
    assert_null(governor_take(&w.governor, w.now, EVEN, &wait));
    assert_true(wait == UINT64_MAX);
    add(0, START_ORDINARY, 3);
    assert_non_null(governor_take(&w.governor, w.now, EVEN, &wait));
    assert_null(governor_take(&w.governor, w.now, EVEN, &wait));
    assert_true(wait > 99000 && wait <= 100001);
    w.now += wait;
    assert_non_null(governor_take(&w.governor, w.now, EVEN, &wait));
}

static void chance_spreads_what_fell_together(void **state)
{
    (void)state;
    begin((shoal_governor_t){.rate = 100, .burst = 10});
    add(0, START_CRASHED, 1100);
    uint32_t random = 1;
    uint64_t last = 0, shortest = UINT64_MAX, longest = 0, since = 0;
    for (unsigned gone = 0; gone < 1010;) {
        random = random * 1664525u + 1013904223u;
        if (take(random) < 0) {
            w.now += 100;
            continue;
        }
        if (++gone <= 15) { /* the burst, and what it left */
            since = w.now;
        } else {
            shortest = w.now - last < shortest ? w.now - last : shortest;
            longest = w.now - last > longest ? w.now - last : longest;
        }
        last = w.now;
    }
    assert_in_range(shortest, 4500, 7000);
    assert_in_range(longest, 13000, 15500);
    assert_in_range(w.now - since, 9500000, 10500000); /* the rate stays what it is */
}

static void pressure_slows_restarts(void **state)
{
    (void)state;
    static const struct {
        enum start_kind kind;
        double pressure[PRESSURE_COUNT];
        const char *reason; /* NULL: not slowed */
    } rows[] = {
        {START_CRASHED, {[PRESSURE_CPU] = 95}, "cpu"},
        {START_CRASHED, {[PRESSURE_CPU] = 70}, NULL},
        {START_CRASHED, {[PRESSURE_MEMORY] = 30}, "memory"},
        {START_CRASHED, {[PRESSURE_IO] = 60}, "io"},
        {START_CRASHED, {[PRESSURE_CPU] = 90, [PRESSURE_MEMORY] = 60, [PRESSURE_IO] = 60}, "memory"},
        {START_CRASHED, {-1, -1, -1}, NULL},
        /* bringing a fleet up makes these two by itself */
        {START_ORDINARY, {[PRESSURE_CPU] = 100, [PRESSURE_IO] = 100}, NULL},
        {START_ORDINARY, {[PRESSURE_MEMORY] = 30}, "memory"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        begin((shoal_governor_t){0});
        governor_wake(&w.governor, w.now);
        for (size_t k = 0; k < MEMBERS; k++)
            add(k % SERVICES, rows[i].kind, 1);
        (void)run_ms(6000, 1, rows[i].pressure);
        if (rows[i].reason == NULL) {
            assert_int_equal(w.news_count, 0);
            assert_int_equal(w.governor.gates[rows[i].kind].waiting, 0);
            continue;
        }
        assert_int_equal(w.news_count, 1);
        assert_true(w.news[0].slow);
        assert_string_equal(w.news[0].reason, rows[i].reason);
        assert_string_equal(w.news[0].starts, rows[i].kind == START_CRASHED ? "crashed" : "ordinary");
        assert_true(w.news[0].pressure > w.news[0].limit && w.news[0].waiting > 0);
        /* what passes whatever the pressure */
        size_t gone = run_ms(5000, 1, rows[i].pressure);
        assert_in_range(gone, 123, 133);
    }
}

static void opens_again_when_the_pressure_falls(void **state)
{
    (void)state;
    static const double high[PRESSURE_COUNT] = {[PRESSURE_CPU] = 99}, near[PRESSURE_COUNT] = {[PRESSURE_CPU] = 76};
    begin((shoal_governor_t){0});
    governor_wake(&w.governor, w.now);
    add(0, START_CRASHED, MEMBERS);
    (void)run_ms(3000, 1, high);
    size_t slow = run_ms(1000, 1, high);
    /* between nine tenths of the limit and the limit it stays as it is */
    (void)run_ms(1000, 1, near);
    size_t kept = run_ms(1000, 1, near);
    assert_in_range(kept, slow, slow * 2);
    size_t raised = run_ms(2000, 1, calm);
    assert_true(raised > kept * 2 * 2);
    while (w.governor.gates[START_CRASHED].waiting > 0)
        (void)run_ms(GOVERNOR_TICK_MS, 1, calm);
    (void)run_ms(3000, 1, calm);
    assert_int_equal(w.news_count, 2);
    assert_true(w.news[0].slow && !w.news[1].slow);
    assert_false(governor_is_busy(&w.governor));
}

/* Where what was let through makes the pressure, the pace settles where the host can bear it. */
static void settles_below_the_limit(void **state)
{
    (void)state;
    begin((shoal_governor_t){.cpu = 50});
    governor_wake(&w.governor, w.now);
    size_t gone = 0, second = 0, ticks = 0;
    double sum = 0, felt[PRESSURE_COUNT] = {0};
    add(0, START_CRASHED, MEMBERS);
    for (unsigned i = 0; i < 20 * 1000 / GOVERNOR_TICK_MS; i++) {
        if (w.governor.gates[START_CRASHED].waiting < MEMBERS / 2)
            add(0, START_CRASHED, MEMBERS / 2);
        gone = run_ms(GOVERNOR_TICK_MS, 1, felt);
        double rate = (double)gone * 1000 / GOVERNOR_TICK_MS; /* each start a second costs a quarter of a percent */
        felt[PRESSURE_CPU] = rate / 4 > 100 ? 100 : rate / 4;
        if (i >= 50) {
            sum += felt[PRESSURE_CPU];
            second += gone;
            ticks++;
        }
    }
    double mean = sum / (double)ticks;
    if (mean < 25 || mean > 60)
        fail_msg("mean pressure %.1f, %zu starts", mean, second);
    assert_int_equal(w.news_count, 1);
}

static void a_busy_host_is_no_news(void **state)
{
    (void)state;
    static const double high[PRESSURE_COUNT] = {100, 0, 0};
    begin((shoal_governor_t){0});
    governor_wake(&w.governor, w.now);
    for (unsigned i = 0; i < 50; i++) { /* one restart now and then goes at once */
        add(i, START_CRASHED, 1);
        assert_int_equal(take(EVEN), (int)i);
        (void)run_ms(GOVERNOR_TICK_MS, 1, high);
    }
    assert_int_equal(w.news_count, 0);
}

static void off_lets_everything_through(void **state)
{
    (void)state;
    static const double high[PRESSURE_COUNT] = {100, 100, 100};
    begin((shoal_governor_t){.off = true, .rate = 1, .burst = 1});
    add(0, START_CRASHED, MEMBERS);
    assert_int_equal(run_ms(200, 10, high), MEMBERS);
    assert_int_equal(w.news_count, 0);
    assert_false(governor_is_busy(&w.governor));
}

static void forgets(void **state)
{
    (void)state;
    begin((shoal_governor_t){0});
    for (size_t i = 0; i < SERVICES; i++)
        add(i, i % 2 == 0 ? START_ORDINARY : START_CRASHED, 3);
    governor_clear(&w.governor);
    assert_int_equal(take(EVEN), -1);
    assert_false(governor_is_busy(&w.governor));
    add(3, START_CRASHED, 1); /* its line is fit for use again */
    assert_int_equal(take(EVEN), 3);
    assert_int_equal(take(EVEN), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_take_turns),
        cmocka_unit_test(each_service_gets_its_share),
        cmocka_unit_test(the_bucket_bounds_the_rate),
        cmocka_unit_test(says_how_long_to_wait),
        cmocka_unit_test(chance_spreads_what_fell_together),
        cmocka_unit_test(pressure_slows_restarts),
        cmocka_unit_test(opens_again_when_the_pressure_falls),
        cmocka_unit_test(settles_below_the_limit),
        cmocka_unit_test(a_busy_host_is_no_news),
        cmocka_unit_test(off_lets_everything_through),
        cmocka_unit_test(forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
