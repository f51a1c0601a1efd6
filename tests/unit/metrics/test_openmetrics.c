#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/openmetrics.h"

static const char *const demo = "demo";

static shoal_sample_t make_sample(const char *name, const char *state, uint64_t cpu_usec)
{
    shoal_sample_t sample;
    memset(&sample, 0xff, sizeof sample); /* SHOAL_ABSENT in every counter */
    sample.group = NULL;
    sample.time_usec = 1500000;
    sample.project = demo;
    sample.service = "web";
    sample.container = name;
    sample.id = "0123";
    sample.state = state;
    sample.final = strcmp(state, "exited") == 0;
    sample.frozen = false;
    sample.limit_count = 0;
    sample.cpu.usage_usec = cpu_usec;
    return sample;
}

static void say(struct tally *tally, shoal_event_kind_t kind, const char *name, unsigned attempt)
{
    tally_event(tally, &(shoal_event_t){.time_usec = 1000000,
                                        .kind = kind,
                                        .project = demo,
                                        .service = "web",
                                        .container = name,
                                        .id = "0123",
                                        .attempt = attempt});
}

static char *render(const struct snapshot *snapshot, enum openmetrics_dialect dialect, size_t most)
{
    struct text out = {0};
    struct openmetrics_cursor cursor = {0};
    while (openmetrics_render(snapshot, dialect, &cursor, most, &out))
        assert_false(out.failed);
    return text_take(&out);
}

/* The value behind "name{...} " of the container, as text; "" where there is no such line. */
static const char *value_of(const char *text, const char *name, const char *container)
{
    static char value[64];
    AUTO_FREE char *head = base_format("\n%s{project=\"demo\",service=\"web\",name=\"%s\"} ", name, container);
    const char *found = strstr(text, head);
    if (found == NULL)
        return "";
    found += strlen(head);
    (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(found, "\n"), found);
    return value;
}

static void a_whole_exposition(void **state)
{
    (void)state;
    struct tally *tally = tally_new();
    struct snapshot *snapshot = tally_begin(tally);
    shoal_sample_t sample = make_sample("demo-\"web\\\n", "running", 1000001);
    sample.memory.current = 4096;
    sample.memory.inactive_file = 96;
    sample.pressure.cpu = (shoal_pressure_line_t){
        .some_avg10 = 12.34, .some_total = 20, .full_avg10 = 0, .full_total = SHOAL_ABSENT};
    tally_sample(tally, &sample, snapshot);
    shoal_fleet_sample_t fleet = {.project = demo, .running = 1, .starts = 2, .deaths = 1};
    memset(&fleet.pool, 0xff, sizeof fleet.pool);
    memset(&fleet.governor, 0xff, sizeof fleet.governor);
    fleet.pool.misses = 5;
    fleet.governor.slow_crashed = 1;
    snapshot_set_fleet(snapshot, &fleet);
    static const shoal_resource_t resources[] = {
        {.name = "kernel.pid_max", .used = 9, .needed = SHOAL_ABSENT, .limit = 32768},
        {.name = "memory.max", .used = 9, .needed = 8, .limit = SHOAL_ABSENT},
        {.name = "BR_MAX_PORTS", .network = "a\"b", .used = 1, .needed = 2, .limit = 1023},
    };
    snapshot_set_host(
        snapshot, &(shoal_host_sample_t){.project = demo, .resource_count = COUNT(resources), .resources = resources});
    snapshot->self = (struct self_sample){.rss_bytes = 8192,
                                          .fds = SHOAL_ABSENT,
                                          .usage_usec = 1500000,
                                          .lag = {SHOAL_ABSENT, SHOAL_ABSENT, SHOAL_ABSENT},
                                          .losses = {3, 4}};
#define WHO "project=\"demo\",service=\"web\",name=\"demo-\\\"web\\\\\\n\""
    static const char *const wanted =
        "# TYPE container_last_seen gauge\n# HELP container_last_seen When it was last counted, since the epoch.\n"
        "container_last_seen{" WHO "} 1.5\n"
        "# TYPE shoal_container_state gauge\n# HELP shoal_container_state 1 for the state that it is in.\n"
        "shoal_container_state{" WHO ",state=\"running\"} 1\n"
        "# TYPE shoal_container_id_info gauge\n# HELP shoal_container_id_info Its id.\n"
        "shoal_container_id_info{" WHO ",id=\"0123\"} 1\n"
        "# TYPE shoal_container_restarts counter\n# HELP shoal_container_restarts Starts beyond the first.\n"
        "shoal_container_restarts_total{" WHO "} 0\n"
        "# TYPE container_cpu_usage_seconds counter\n# UNIT container_cpu_usage_seconds seconds\n"
        "# HELP container_cpu_usage_seconds CPU time used.\n"
        "container_cpu_usage_seconds_total{" WHO "} 1.000001\n"
        "# TYPE container_memory_usage_bytes gauge\n# UNIT container_memory_usage_bytes bytes\n"
        "# HELP container_memory_usage_bytes Memory in use, page cache included.\n"
        "container_memory_usage_bytes{" WHO "} 4096\n"
        "# TYPE container_memory_working_set_bytes gauge\n# UNIT container_memory_working_set_bytes bytes\n"
        "# HELP container_memory_working_set_bytes Memory in use without page cache that was not used of late.\n"
        "container_memory_working_set_bytes{" WHO "} 4000\n"
        "# TYPE container_pressure_cpu_waiting_seconds counter\n# UNIT container_pressure_cpu_waiting_seconds seconds\n"
        "# HELP container_pressure_cpu_waiting_seconds Time for which some task waited for a CPU.\n"
        "container_pressure_cpu_waiting_seconds_total{" WHO "} 0.00002\n"
        "# TYPE shoal_container_pressure_ratio gauge\n# UNIT shoal_container_pressure_ratio ratio\n"
        "# HELP shoal_container_pressure_ratio Share of the last 10 s for which tasks waited, as the kernel averages "
        "it.\n"
        "shoal_container_pressure_ratio{" WHO ",resource=\"cpu\",kind=\"some\"} 0.1234\n"
        "# TYPE shoal_fleet_containers gauge\n# HELP shoal_fleet_containers Containers of the fleet by state.\n"
        "shoal_fleet_containers{project=\"demo\",state=\"running\"} 1\n"
        "shoal_fleet_containers{project=\"demo\",state=\"paused\"} 0\n"
        "shoal_fleet_containers{project=\"demo\",state=\"starting\"} 0\n"
        "shoal_fleet_containers{project=\"demo\",state=\"backoff\"} 0\n"
        "shoal_fleet_containers{project=\"demo\",state=\"exited\"} 0\n"
        "# TYPE shoal_pool_starts counter\n"
        "# HELP shoal_pool_starts Starts that found a namespace ready, and that found none.\n"
        "shoal_pool_starts_total{project=\"demo\",found=\"miss\"} 5\n"
        "# TYPE shoal_governor_slow gauge\n# HELP shoal_governor_slow 1 while such starts are slowed down.\n"
        "shoal_governor_slow{project=\"demo\",starts=\"crashed\"} 1\n"
        "# TYPE shoal_host_limit gauge\n"
        "# HELP shoal_host_limit Limits of the host, by their names in the kernel; memory in bytes.\n"
        "shoal_host_limit{project=\"demo\",resource=\"kernel.pid_max\"} 32768\n"
        "shoal_host_limit{project=\"demo\",network=\"a\\\"b\",resource=\"BR_MAX_PORTS\"} 1023\n"
        "# TYPE shoal_host_limit_used gauge\n"
        "# HELP shoal_host_limit_used How much of it is in use on the host, or by this fleet where the kernel counts "
        "no "
        "more.\n"
        "shoal_host_limit_used{project=\"demo\",resource=\"kernel.pid_max\"} 9\n"
        "shoal_host_limit_used{project=\"demo\",network=\"a\\\"b\",resource=\"BR_MAX_PORTS\"} 1\n"
        "# TYPE shoal_host_limit_needed gauge\n# HELP shoal_host_limit_needed What the whole fleet needs of it.\n"
        "shoal_host_limit_needed{project=\"demo\",network=\"a\\\"b\",resource=\"BR_MAX_PORTS\"} 2\n"
        "# TYPE shoal_fleet_starts counter\n# HELP shoal_fleet_starts Starts that worked.\n"
        "shoal_fleet_starts_total{project=\"demo\"} 2\n"
        "# TYPE shoal_fleet_deaths counter\n# HELP shoal_fleet_deaths Ends of containers.\n"
        "shoal_fleet_deaths_total{project=\"demo\"} 1\n"
        "# TYPE process_resident_memory_bytes gauge\n# UNIT process_resident_memory_bytes bytes\n"
        "# HELP process_resident_memory_bytes Resident memory of shoal itself.\nprocess_resident_memory_bytes 8192\n"
        "# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\n"
        "# HELP process_cpu_seconds CPU time of shoal itself.\nprocess_cpu_seconds_total 1.5\n"
        "# TYPE shoal_stdout_dropped counter\n"
        "# HELP shoal_stdout_dropped Records or expositions that a slow reader of stdout missed.\n"
        "shoal_stdout_dropped_total 3\n"
        "# TYPE shoal_log_dropped_bytes counter\n# UNIT shoal_log_dropped_bytes bytes\n"
        "# HELP shoal_log_dropped_bytes Output of containers that a slow reader of stderr missed.\n"
        "shoal_log_dropped_bytes_total 4\n"
        "# TYPE shoal_build_info gauge\n# HELP shoal_build_info The version of shoal.\n"
        "shoal_build_info{version=\"" SHOAL_VERSION "\"} 1\n# EOF\n";
    AUTO_FREE char *whole = render(snapshot, OPENMETRICS_1_0, SIZE_MAX);
    assert_string_equal(whole, wanted);
    AUTO_FREE char *pieces = render(snapshot, OPENMETRICS_1_0, 1); /* any cut gives the same text */
    assert_string_equal(pieces, wanted);
    AUTO_FREE char *older = render(snapshot, OPENMETRICS_TEXT_0, 100);
    assert_null(strstr(older, "# UNIT"));
    assert_null(strstr(older, "# EOF"));
    assert_non_null(strstr(older,
                           "# TYPE container_cpu_usage_seconds_total counter\n# HELP container_cpu_usage_seconds_"
                           "total CPU time used.\ncontainer_cpu_usage_seconds_total{" WHO "} 1.000001\n"));
    snapshot_drop(snapshot);
    tally_free(tally);
}

/* Limits are gauges: of what runs, the newest. */
static void limits(void **state)
{
    (void)state;
    struct tally *tally = tally_new();
    struct snapshot *snapshot = tally_begin(tally);
    shoal_sample_t sample = make_sample("c", "running", 1);
    sample.spec.cpu_quota = 50000;
    sample.spec.cpu_period = 100000;
    sample.spec.cpu_burst = 1500;
    sample.spec.cpu_weight = 10000;
    sample.spec.memory_low = 1;
    sample.spec.memory_high = 2;
    sample.spec.memory_swap = 0;
    tally_sample(tally, &sample, snapshot);
    AUTO_FREE char *text = render(snapshot, OPENMETRICS_1_0, SIZE_MAX);
    snapshot_drop(snapshot);
    static const char *const wanted[][2] = {
        {"container_spec_cpu_quota", "50000"},
        {"container_spec_cpu_period", "100000"},
        {"container_spec_cpu_shares", "262144"},
        {"shoal_container_cpu_burst_seconds", "0.0015"},
        {"container_spec_memory_reservation_limit_bytes", "1"},
        {"container_spec_memory_swap_limit_bytes", "0"},
        {"shoal_container_memory_high_bytes", "2"},
    };
    for (size_t i = 0; i < COUNT(wanted); i++)
        assert_string_equal(value_of(text, wanted[i][0], "c"), wanted[i][1]);
    snapshot = tally_begin(tally);
    sample = make_sample("c", "running", 2);
    sample.spec.cpu_weight = 0; /* idle */
    tally_sample(tally, &sample, snapshot);
    AUTO_FREE char *later = render(snapshot, OPENMETRICS_1_0, SIZE_MAX);
    assert_null(strstr(later, "container_spec_"));
    snapshot_drop(snapshot);
    tally_free(tally);
}

/* Counters go on over restarts, gauges are there for what runs alone. */
static void counters_add_up_over_runs(void **state)
{
    (void)state;
    struct tally *tally = tally_new();
    say(tally, SHOAL_EVENT_CREATE, "c", 0);
    say(tally, SHOAL_EVENT_START, "c", 0);
    shoal_sample_t sample = make_sample("c", "running", 2000000);
    sample.memory.current = 10;
    sample.net.rx_bytes = 5;
    sample.disk.current = 8192, sample.disk.max = 16384, sample.disk.inodes = 3, sample.disk.inodes_max = 100;
    struct snapshot *running = tally_begin(tally);
    tally_sample(tally, &sample, running);
    AUTO_FREE char *disk = render(running, OPENMETRICS_1_0, SIZE_MAX);
    assert_string_equal(value_of(disk, "container_fs_usage_bytes", "c"), "8192");
    assert_string_equal(value_of(disk, "container_fs_limit_bytes", "c"), "16384");
    assert_string_equal(value_of(disk, "shoal_container_fs_inodes_limit", "c"), "100");
    assert_string_equal(value_of(disk, "container_fs_inodes_free", "c"), "97");
    snapshot_drop(running);
    sample = make_sample("c", "exited", 3000000); /* the last of its run: the link is gone by then */
    sample.memory.current = 7;
    sample.memory.peak = 11;
    tally_sample(tally, &sample, NULL);
    say(tally, SHOAL_EVENT_DIE, "c", 0);
    say(tally, SHOAL_EVENT_BACKOFF, "c", 1);

    struct snapshot *snapshot = tally_begin(tally);
    sample = make_sample("c", "backoff", SHOAL_ABSENT);
    tally_sample(tally, &sample, snapshot);
    AUTO_FREE char *text = render(snapshot, OPENMETRICS_1_0, SIZE_MAX);
    assert_string_equal(value_of(text, "container_cpu_usage_seconds_total", "c"), "3");
    assert_string_equal(value_of(text, "container_network_receive_bytes_total", "c"), "5");
    assert_string_equal(value_of(text, "container_memory_usage_bytes", "c"), "");
    assert_string_equal(value_of(text, "container_memory_max_usage_bytes", "c"), "11");
    assert_string_equal(value_of(text, "container_fs_usage_bytes", "c"), "8192");
    assert_string_equal(value_of(text, "container_fs_inodes_free", "c"), "");
    snapshot_drop(snapshot);

    sample = make_sample("c", "starting", 10); /* counters of the start itself: no run yet, and no step back */
    snapshot = tally_begin(tally);
    tally_sample(tally, &sample, snapshot);
    AUTO_FREE char *starting = render(snapshot, OPENMETRICS_1_0, SIZE_MAX);
    assert_string_equal(value_of(starting, "container_cpu_usage_seconds_total", "c"), "3");
    snapshot_drop(snapshot);

    say(tally, SHOAL_EVENT_START, "c", 1);
    sample = make_sample("c", "running", 500000);
    sample.memory.current = 20;
    sample.net.rx_bytes = 1;
    snapshot = tally_begin(tally);
    tally_sample(tally, &sample, snapshot);
    AUTO_FREE char *again = render(snapshot, OPENMETRICS_1_0, SIZE_MAX);
    assert_string_equal(value_of(again, "container_cpu_usage_seconds_total", "c"), "3.5");
    assert_string_equal(value_of(again, "container_network_receive_bytes_total", "c"), "6");
    assert_string_equal(value_of(again, "container_memory_usage_bytes", "c"), "20");
    assert_string_equal(value_of(again, "shoal_container_restarts_total", "c"), "1");
    assert_string_equal(value_of(again, "container_start_time_seconds", "c"), "1");
    snapshot_drop(snapshot);
    tally_free(tally);
}

/* What was destroyed between two snapshots is in the later one, once; and no container is in one twice. */
static void removed_containers_have_a_last_word(void **state)
{
    (void)state;
    struct tally *tally = tally_new();
    say(tally, SHOAL_EVENT_START, "short", 0);
    shoal_sample_t sample = make_sample("short", "exited", 42);
    tally_sample(tally, &sample, NULL);
    say(tally, SHOAL_EVENT_DESTROY, "short", 0);
    struct snapshot *snapshot = tally_begin(tally);
    sample = make_sample("long", "running", 1);
    tally_sample(tally, &sample, snapshot);
    tally_sample(tally, &sample, snapshot);
    say(tally, SHOAL_EVENT_DESTROY, "long", 0); /* behind its row */
    tally_take_removed(tally, snapshot);
    assert_int_equal(snapshot->count, 2);
    AUTO_FREE char *text = render(snapshot, OPENMETRICS_1_0, SIZE_MAX);
    assert_string_equal(value_of(text, "container_cpu_usage_seconds_total", "short"), "0.000042");
    snapshot_drop(snapshot);

    snapshot = tally_begin(tally);
    tally_take_removed(tally, snapshot);
    assert_int_equal(snapshot->count, 1);
    assert_string_equal(snapshot->rows[0].state, "removed");
    struct snapshot *shared = snapshot_share(snapshot);
    snapshot_drop(snapshot);
    tally_free(tally); /* the snapshot has all it needs */
    AUTO_FREE char *later = render(shared, OPENMETRICS_1_0, SIZE_MAX);
    assert_string_equal(value_of(later, "container_cpu_usage_seconds_total", "long"), "0.000001");
    snapshot_drop(shared);
}

/* The same name again, as another container, before anybody asked: one series, which goes on. */
static void a_name_that_comes_back_goes_on(void **state)
{
    (void)state;
    struct tally *tally = tally_new();
    shoal_sample_t sample = make_sample("c", "exited", 1000000);
    tally_sample(tally, &sample, NULL);
    say(tally, SHOAL_EVENT_DESTROY, "c", 0);
    sample = make_sample("c", "running", 2000000);
    sample.id = "4567";
    struct snapshot *snapshot = tally_begin(tally);
    tally_sample(tally, &sample, snapshot);
    tally_take_removed(tally, snapshot);
    assert_int_equal(snapshot->count, 1);
    AUTO_FREE char *text = render(snapshot, OPENMETRICS_1_0, SIZE_MAX);
    assert_string_equal(value_of(text, "container_cpu_usage_seconds_total", "c"), "3");
    assert_non_null(strstr(text, "id=\"4567\""));
    snapshot_drop(snapshot);
    tally_free(tally);
}

/* Nobody asks for years: what is kept of the dead has an end. */
static void the_dead_are_not_kept_for_ever(void **state)
{
    (void)state;
    struct tally *tally = tally_new();
    for (int i = 0; i < 10000; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "c%d", i);
        say(tally, SHOAL_EVENT_CREATE, name, 0);
        say(tally, SHOAL_EVENT_DESTROY, name, 0);
    }
    struct snapshot *snapshot = tally_begin(tally);
    tally_take_all(tally, snapshot);
    assert_int_equal(snapshot->count, 4096);
    snapshot_drop(snapshot);
    tally_free(tally);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        uint64_t usec;
        const char *text;
    } rows[] = {
        {0, "0"},
        {1, "0.000001"},
        {10, "0.00001"},
        {999999, "0.999999"},
        {1000000, "1"},
        {1000000000000100000, "1000000000000.1"},
        {UINT64_MAX - 1, "18446744073709.551614"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tally *tally = tally_new();
        struct snapshot *snapshot = tally_begin(tally);
        shoal_sample_t sample = make_sample("c", "running", rows[i].usec);
        tally_sample(tally, &sample, snapshot);
        AUTO_FREE char *text = render(snapshot, OPENMETRICS_1_0, SIZE_MAX);
        assert_string_equal(value_of(text, "container_cpu_usage_seconds_total", "c"), rows[i].text);
        snapshot_drop(snapshot);
        tally_free(tally);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_exposition),
        cmocka_unit_test(limits),
        cmocka_unit_test(counters_add_up_over_runs),
        cmocka_unit_test(removed_containers_have_a_last_word),
        cmocka_unit_test(a_name_that_comes_back_goes_on),
        cmocka_unit_test(the_dead_are_not_kept_for_ever),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
