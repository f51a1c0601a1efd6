#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/neighbour.h"

static const uint64_t second = 1000000;

/* Looks once a second at a pressure of these shares; returns the bits of the last look. */
static unsigned look(struct neighbour_watch *watch, double cpu, double memory, double io, unsigned times)
{
    unsigned scarce = 0;
    for (unsigned i = 0; i < times; i++) {
        uint64_t totals[NEIGHBOUR_RESOURCES] = {(uint64_t)(cpu * 1e6), (uint64_t)(memory * 1e6), (uint64_t)(io * 1e6)};
        for (int k = 0; k < NEIGHBOUR_RESOURCES; k++)
            totals[k] += watch->some_usec[k];
        scarce = neighbour_look(watch, watch->time_usec + second, totals);
    }
    return scarce;
}

static void a_rise_is_seen(void **state)
{
    (void)state;
    struct neighbour_watch watch = {0};
    assert_int_equal(look(&watch, 1, 1, 1, 1), 0); /* the first look has nothing to compare with */
    assert_int_equal(look(&watch, 0, 0, 0, 60), 0);
    assert_int_equal(look(&watch, 0.1, 0, 0, 1), 0);
    assert_int_equal(look(&watch, 0.5, 0, 0, 1), 1u << NEIGHBOUR_CPU);
    assert_int_equal(look(&watch, 0, 0.1, 0.3, 1), 1u << NEIGHBOUR_MEMORY | 1u << NEIGHBOUR_IO);
    assert_int_equal(look(&watch, 0.5, 0, 0, 60), 1u << NEIGHBOUR_CPU); /* a minute of it is no habit yet */
    assert_int_equal(look(&watch, 0, 0, 0, 1), 0);
}

static void what_is_usual_is_no_rise(void **state)
{
    (void)state;
    struct neighbour_watch watch = {0};
    (void)look(&watch, 0.5, 0, 0, 1800);
    assert_int_equal(look(&watch, 0.5, 0, 0, 1), 0);
    assert_int_equal(look(&watch, 0.9, 0, 0, 1), 1u << NEIGHBOUR_CPU);
}

static void a_host_without_pressure_files(void **state)
{
    (void)state;
    struct neighbour_watch watch = {0};
    const uint64_t absent[NEIGHBOUR_RESOURCES] = {SHOAL_ABSENT, SHOAL_ABSENT, SHOAL_ABSENT};
    for (unsigned i = 1; i < 10; i++)
        assert_int_equal(neighbour_look(&watch, i * second, absent), 0);
}

enum { MANY = 50, HOG = 17 };

/* A fleet of two looks, a second apart. */
struct fleet {
    struct neighbour all[MANY];
    uint64_t now_usec;
};

static shoal_sample_t no_counters(uint64_t time_usec)
{
    shoal_sample_t sample;
    memset(&sample, 0xff, sizeof sample);
    sample.time_usec = time_usec;
    return sample;
}

static void feed(struct fleet *fleet, size_t index, uint64_t shoal_sample_t_offset, uint64_t before, uint64_t now)
{
    const uint64_t values[] = {before, now};
    for (size_t i = 0; i < 2; i++) {
        shoal_sample_t sample = no_counters(100 * second + i * second);
        memcpy((char *)&sample + shoal_sample_t_offset, &values[i], sizeof values[i]);
        if (shoal_sample_t_offset == offsetof(shoal_sample_t, io.wbytes))
            sample.io.rbytes = 0;
        neighbour_feed(&fleet->all[index], &sample);
    }
    fleet->now_usec = 101 * second + second / 10;
}

static size_t find(const struct fleet *fleet, size_t count, enum neighbour_resource resource,
                   struct neighbour_culprit out[NEIGHBOUR_CULPRITS], bool *ripe)
{
    return neighbour_find(fleet->all, count, resource, fleet->now_usec, 2, out, ripe);
}

static void one_hog_among_fifty(void **state)
{
    (void)state;
    static const struct {
        enum neighbour_resource resource;
        size_t offset;
        uint64_t start, calm, hog; /* the counter, and by how much it grows in a second */
        enum neighbour_basis basis;
        const char *limit;
    } rows[] = {
        {NEIGHBOUR_CPU, offsetof(shoal_sample_t, cpu.usage_usec), 5000000, 2000, 1900000, NEIGHBOUR_BY_USAGE,
         "cpus: 1.7"},
        {NEIGHBOUR_MEMORY, offsetof(shoal_sample_t, memory.current), 40 << 20, 4096, 500 << 20, NEIGHBOUR_BY_GROWTH,
         "mem_limit: 50m"},
        {NEIGHBOUR_IO, offsetof(shoal_sample_t, io.wbytes), 0, 4096, 64 << 20, NEIGHBOUR_BY_USAGE,
         "blkio_config: 32.0 MiB/s"},
        {NEIGHBOUR_MEMORY, offsetof(shoal_sample_t, pressure.memory.some_total), 77, 100, 400000, NEIGHBOUR_BY_STALL,
         "mem_limit"},
        {NEIGHBOUR_IO, offsetof(shoal_sample_t, pressure.io.some_total), 77, 100, 400000, NEIGHBOUR_BY_STALL,
         "blkio_config"},
    };
    for (size_t r = 0; r < COUNT(rows); r++) {
        struct fleet fleet = {0};
        for (size_t i = 0; i < MANY; i++)
            feed(&fleet, i, rows[r].offset, rows[r].start, rows[r].start + (i == HOG ? rows[r].hog : rows[r].calm));
        struct neighbour_culprit found[NEIGHBOUR_CULPRITS];
        bool ripe;
        assert_int_equal(find(&fleet, MANY, rows[r].resource, found, &ripe), 1);
        assert_true(ripe);
        assert_int_equal(found[0].index, HOG);
        assert_int_equal(found[0].basis, rows[r].basis);
        assert_true(found[0].share > 0.9 && found[0].share < 1);
        char limit[64];
        const shoal_service_t service = {0};
        neighbour_advise(&fleet.all[HOG], &found[0], rows[r].resource, &service.limits, 2, limit);
        assert_string_equal(limit, rows[r].limit);
    }
}

static void a_limit_that_was_too_high(void **state)
{
    (void)state;
    shoal_service_t service = {0};
    service.limits.items[SHOAL_LIMIT_CPUS] = (shoal_limit_t){.set = true, .value = 800};
    const struct neighbour_culprit culprit = {
        .share = 1, .per_second = 1.6, .others = 0.1, .basis = NEIGHBOUR_BY_USAGE};
    const struct neighbour nobody = {0};
    char limit[64];
    neighbour_advise(&nobody, &culprit, NEIGHBOUR_CPU, &service.limits, 2, limit);
    assert_string_equal(limit, "cpus: 0.4");
    service.limits.items[SHOAL_LIMIT_CPUS].set = false; /* the same in the kernel's words */
    service.limits.items[SHOAL_LIMIT_CPU_QUOTA] = (shoal_limit_t){.set = true, .value = 40000};
    service.limits.items[SHOAL_LIMIT_CPU_PERIOD] = (shoal_limit_t){.set = true, .value = 50000};
    neighbour_advise(&nobody, &culprit, NEIGHBOUR_CPU, &service.limits, 2, limit);
    assert_string_equal(limit, "cpus: 0.4");
    service.limits.items[SHOAL_LIMIT_CPU_QUOTA].value = -1;
    neighbour_advise(&nobody, &culprit, NEIGHBOUR_CPU, &service.limits, 2, limit);
    assert_string_equal(limit, "cpus: 0.8"); /* it has none */
    const struct neighbour_culprit small = {.share = 1, .per_second = 0.01, .others = 5, .basis = NEIGHBOUR_BY_USAGE};
    neighbour_advise(&nobody, &small, NEIGHBOUR_CPU, &service.limits, 2, limit);
    assert_string_equal(limit, "cpus: 0.1"); /* never nothing */
}

static void nobody_stands_out(void **state)
{
    (void)state;
    const size_t cpu = offsetof(shoal_sample_t, cpu.usage_usec);
    struct neighbour_culprit found[NEIGHBOUR_CULPRITS];
    bool ripe;
    struct fleet alike = {0}, idle = {0}, alone = {0}, pair = {0}, several = {0};
    for (size_t i = 0; i < MANY; i++) {
        feed(&alike, i, cpu, 0, 40000);
        feed(&idle, i, cpu, 0,
             i == HOG ? 50000 : 10); /* the greatest of the fleet, but not what the host is short of */
    }
    assert_int_equal(find(&alike, MANY, NEIGHBOUR_CPU, found, &ripe), 0);
    assert_true(ripe);
    assert_int_equal(find(&idle, MANY, NEIGHBOUR_CPU, found, &ripe), 0);
    feed(&alone, 0, cpu, 0, 1500000);
    assert_int_equal(find(&alone, 1, NEIGHBOUR_CPU, found, &ripe), 1);
    feed(&pair, 0, cpu, 0, 1000000);
    feed(&pair, 1, cpu, 0, 900000);
    assert_int_equal(find(&pair, 2, NEIGHBOUR_CPU, found, &ripe), 0);
    for (size_t i = 0; i < MANY; i++)
        feed(&several, i, cpu, 0, i < 2 ? 800000 + i : 100); /* two hogs: both are named, the greater one first */
    assert_int_equal(find(&several, MANY, NEIGHBOUR_CPU, found, &ripe), 2);
    assert_int_equal(found[0].index, 1);
    assert_int_equal(found[1].index, 0);
}

static void one_look_tells_nothing(void **state)
{
    (void)state;
    struct fleet fleet = {0};
    struct neighbour_culprit found[NEIGHBOUR_CULPRITS];
    bool ripe = true;
    assert_int_equal(find(&fleet, MANY, NEIGHBOUR_CPU, found, &ripe), 0);
    assert_false(ripe);
    for (size_t i = 0; i < MANY; i++) {
        shoal_sample_t sample = no_counters(100 * second);
        sample.cpu.usage_usec = i == HOG ? 99 * second : 0;
        neighbour_feed(&fleet.all[i], &sample);
        sample.time_usec += 1000; /* too close to tell a rate: it takes the place of the one before */
        neighbour_feed(&fleet.all[i], &sample);
    }
    fleet.now_usec = 100 * second + 2000;
    assert_int_equal(find(&fleet, MANY, NEIGHBOUR_CPU, found, &ripe), 0);
    assert_false(ripe);
    /* Another run of it: its counter is smaller than before, which says nothing. And what is old says nothing of now. */
    const size_t cpu = offsetof(shoal_sample_t, cpu.usage_usec);
    struct fleet again = {0};
    feed(&again, 0, cpu, 5 * second, second);
    assert_int_equal(find(&again, 1, NEIGHBOUR_CPU, found, &ripe), 0);
    feed(&again, 0, cpu, 0, second);
    again.now_usec += 3600 * second;
    assert_int_equal(find(&again, 1, NEIGHBOUR_CPU, found, &ripe), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rise_is_seen),
        cmocka_unit_test(what_is_usual_is_no_rise),
        cmocka_unit_test(a_host_without_pressure_files),
        cmocka_unit_test(one_hog_among_fifty),
        cmocka_unit_test(a_limit_that_was_too_high),
        cmocka_unit_test(nobody_stands_out),
        cmocka_unit_test(one_look_tells_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
