#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/ndjson.h"

#define TIME 1769860800000001u
#define HEAD(type) "{\"time\":\"2026-01-31T12:00:00.000001Z\",\"type\":\"" type "\""
#define WHO "\"project\":\"demo\",\"service\":\"web\",\"container\":\"demo-web-1\",\"id\":\"ab12\""
#define EVENT(name, rest) HEAD("event") ",\"seq\":12,\"event\":\"" name "\"," WHO rest "}\n"

static void events(void **state)
{
    (void)state;
    static const struct {
        shoal_event_t event;
        const char *line;
    } rows[] = {
        {{.kind = SHOAL_EVENT_CREATE}, EVENT("create", "")},
        {{.kind = SHOAL_EVENT_START, .pid = 4242, .took_usec = 3100},
         EVENT("start", ",\"pid\":4242,\"took_usec\":3100")},
        {{.kind = SHOAL_EVENT_DIE,
          .pid = 4242,
          .exit_code = 3,
          .cause = SHOAL_CAUSE_EXIT,
          .restart = "no",
          .wall_usec = 1000000,
          .usage_usec = 500,
          .peak_bytes = 4096},
         EVENT("die", ",\"pid\":4242,\"exitCode\":3,\"cause\":\"exit\",\"restart\":\"no\",\"wall_usec\":1000000,"
                      "\"usage_usec\":500,\"peak\":4096")},
        {{.kind = SHOAL_EVENT_DIE,
          .exit_code = 137,
          .signal = SIGKILL,
          .cause = SHOAL_CAUSE_OOM,
          .restart = "backoff",
          .wall_usec = 7,
          .usage_usec = SHOAL_ABSENT,
          .peak_bytes = SHOAL_ABSENT},
         EVENT("die",
               ",\"exitCode\":137,\"signal\":\"SIGKILL\",\"cause\":\"oom\",\"restart\":\"backoff\",\"wall_usec\":7")},
        {{.kind = SHOAL_EVENT_DIE,
          .exit_code = 127,
          .cause = SHOAL_CAUSE_FAILED,
          .restart = "no",
          .error = "demo-web-1: exec \"nope\": No such file or directory",
          .usage_usec = 1,
          .peak_bytes = 1},
         EVENT("die", ",\"exitCode\":127,\"cause\":\"failed\",\"restart\":\"no\","
                      "\"error\":\"demo-web-1: exec \\\"nope\\\": No such file or directory\"")},
        {{.kind = SHOAL_EVENT_OOM, .count = 2}, EVENT("oom", ",\"count\":2")},
        {{.kind = SHOAL_EVENT_LIMIT, .count = 9}, EVENT("limit", ",\"count\":9")},
        {{.kind = SHOAL_EVENT_KILL, .pid = 4242, .signal = SIGTERM},
         EVENT("kill", ",\"pid\":4242,\"signal\":\"SIGTERM\"")},
        {{.kind = SHOAL_EVENT_STOP, .exit_code = 143, .signal = SIGTERM, .cause = SHOAL_CAUSE_STOP},
         EVENT("stop", ",\"exitCode\":143,\"signal\":\"SIGTERM\",\"cause\":\"stop\"")},
        {{.kind = SHOAL_EVENT_START, .pid = 4243, .took_usec = 900, .attempt = 2},
         EVENT("start", ",\"pid\":4243,\"took_usec\":900,\"attempt\":2")},
        {{.kind = SHOAL_EVENT_BACKOFF, .delay_usec = 100000, .attempt = 1},
         EVENT("backoff", ",\"delay_usec\":100000,\"attempt\":1")},
        {{.kind = SHOAL_EVENT_DESTROY}, EVENT("destroy", "")},
        {{.kind = SHOAL_EVENT_NETWORK_CONNECT, .network = "demo_front", .address = 0x0a050007},
         EVENT("connect", ",\"network\":\"demo_front\",\"address\":\"10.5.0.7\"")},
        {{.kind = SHOAL_EVENT_NETWORK_DISCONNECT, .network = "demo_front", .address = 0xfffefdfc},
         EVENT("disconnect", ",\"network\":\"demo_front\",\"address\":\"255.254.253.252\"")},
        {{.kind = SHOAL_EVENT_THROTTLE, .throttle = {1, "crashed", "cpu", 87.256, 80, 42, 311}},
         EVENT("throttle", ",\"state\":\"slow\",\"starts\":\"crashed\",\"reason\":\"cpu\",\"pressure\":87.26,"
                           "\"limit\":80.00,\"rate\":42.00,\"waiting\":311")},
        {{.kind = SHOAL_EVENT_THROTTLE, .throttle = {0, "all", "rate", -1, -1, 50, 0}},
         EVENT("throttle", ",\"state\":\"open\",\"starts\":\"all\",\"reason\":\"rate\",\"rate\":50.00,\"waiting\":0")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        shoal_event_t event = rows[i].event;
        event.seq = 12;
        event.time_usec = TIME;
        event.project = "demo";
        event.service = "web";
        event.container = "demo-web-1";
        event.id = "ab12";
        struct text out = {0};
        ndjson_event(&out, &event);
        assert_string_equal(out.bytes, rows[i].line);
        text_free(&out);
    }
}

/* Of no one container: whom it is about stands in it. */
static void pressure(void **state)
{
    (void)state;
    const shoal_culprit_t culprits[] = {
        {.service = "hog", .container = "demo-hog-1", .share = 0.914, .basis = "usage", .limit = "cpus: 1.5"},
        {.service = "web", .container = "demo-web-1", .share = 0.05, .basis = "usage", .limit = "cpus: 0.1"},
    };
    struct text out = {0};
    shoal_event_t event = {.seq = 12,
                           .kind = SHOAL_EVENT_PRESSURE,
                           .project = "demo",
                           .resource = "cpu",
                           .some_percent = 47.123,
                           .culprits = culprits,
                           .culprit_count = 2};
    ndjson_event(&out, &event);
    assert_string_equal(
        out.bytes,
        "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"type\":\"event\",\"seq\":12,\"event\":\"pressure\","
        "\"project\":\"demo\",\"resource\":\"cpu\",\"some\":47.12,\"culprits\":["
        "{\"service\":\"hog\",\"container\":\"demo-hog-1\",\"share\":0.91,\"basis\":\"usage\",\"limit\":\"cpus: 1.5\"},"
        "{\"service\":\"web\",\"container\":\"demo-web-1\",\"share\":0.05,\"basis\":\"usage\",\"limit\":\"cpus: "
        "0.1\"}]}\n");
    text_free(&out);
}

static void names(void **state)
{
    (void)state;
    for (int kind = 0; kind < SHOAL_EVENT_COUNT; kind++)
        assert_string_not_equal(shoal_event_name((shoal_event_kind_t)kind), "unknown");
    assert_string_equal(shoal_event_name(SHOAL_EVENT_COUNT), "unknown");
    for (int cause = 0; cause <= SHOAL_CAUSE_LOST; cause++)
        assert_string_not_equal(shoal_cause_name((shoal_cause_t)cause), "unknown");
    assert_string_equal(shoal_cause_name((shoal_cause_t)(SHOAL_CAUSE_LOST + 1)), "unknown");
}

static void signals(void **state)
{
    (void)state;
    const struct {
        int number;
        const char *member;
    } rows[] = {
        {0, "}"},
        {SIGHUP, ",\"signal\":\"SIGHUP\"}"},
        {SIGSEGV, ",\"signal\":\"SIGSEGV\"}"},
        {SIGRTMIN, ",\"signal\":\"SIGRTMIN\"}"},
        {SIGRTMIN + 3, ",\"signal\":\"SIGRTMIN+3\"}"},
        {SIGRTMAX, ",\"signal\":\"SIGRTMIN+30\"}"},
        {33, ",\"signal\":\"SIG33\"}"}, /* the C library keeps it for itself */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text out = {0};
        ndjson_event(&out, &(shoal_event_t){.kind = SHOAL_EVENT_KILL, .signal = rows[i].number});
        AUTO_FREE char *wanted = base_format(
            "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"type\":\"event\",\"seq\":0,\"event\":\"kill\"%s\n",
            rows[i].member);
        assert_string_equal(out.bytes, wanted);
        text_free(&out);
    }
}

static shoal_sample_t empty_sample(void)
{
    shoal_sample_t sample;
    memset(&sample, 0xff, sizeof sample); /* SHOAL_ABSENT in every counter */
    sample.time_usec = TIME;
    sample.project = "demo";
    sample.service = "web";
    sample.container = "demo-web-1";
    sample.id = "ab12";
    sample.state = "running";
    sample.frozen = false;
    sample.group = NULL;
    sample.limit_count = 0;
    return sample;
}

static void assert_sample(const shoal_sample_t *sample, const char *rest)
{
    struct text out = {0};
    ndjson_sample(&out, sample);
    AUTO_FREE char *wanted = base_format("%s,%s,\"state\":\"running\"%s}\n", HEAD("container"), WHO, rest);
    assert_string_equal(out.bytes, wanted);
    text_free(&out);
}

static void samples(void **state)
{
    (void)state;
    shoal_sample_t s = empty_sample();
    assert_sample(&s, "");
    s.pids.current = 0;
    assert_sample(&s, ",\"pids\":{\"current\":0}"); /* 0 is a value */
    s.memory.events.oom_kill = 1;
    s.io.rios = 5;
    assert_sample(&s, ",\"memory\":{\"events\":{\"oom_kill\":1}},\"pids\":{\"current\":0},\"io\":{\"rios\":5}");
    s = empty_sample();
    s.frozen = true;
    assert_sample(&s, ",\"frozen\":1");
    s = empty_sample();
    static const shoal_limit_line_t lines[] = {{"cpu.max", "max 100000"}, {"io.max 8:0", "rbps=max wbps=7"}};
    s.limits = lines;
    s.limit_count = COUNT(lines);
    assert_sample(&s, ",\"limits\":{\"cpu.max\":\"max 100000\",\"io.max 8:0\":\"rbps=max wbps=7\"}");
    s = empty_sample();
    s.disk.current = 5, s.disk.max = 4096, s.disk.inodes = 3; /* inodes without a limit */
    assert_sample(&s, ",\"disk\":{\"current\":5,\"max\":4096,\"inodes\":3}");
    s.disk.inodes_max = 100;
    assert_sample(&s, ",\"disk\":{\"current\":5,\"max\":4096,\"inodes\":3,\"inodes_max\":100}");
    s = empty_sample();
    s.pressure.memory.full_total = 77;
    s.pressure.memory.full_avg10 = 0.5;
    assert_sample(&s, ",\"pressure\":{\"memory\":{\"full_avg10\":0.50,\"full_total\":77}}");

    uint64_t n = 0;
    s.cpu.usage_usec = ++n, s.cpu.user_usec = ++n, s.cpu.system_usec = ++n;
    s.cpu.nr_periods = ++n, s.cpu.nr_throttled = ++n, s.cpu.throttled_usec = ++n;
    s.memory.current = ++n, s.memory.peak = ++n, s.memory.max = ++n, s.memory.anon = ++n, s.memory.file = ++n;
    s.memory.events.low = ++n, s.memory.events.high = ++n, s.memory.events.max = ++n;
    s.memory.events.oom = ++n, s.memory.events.oom_kill = ++n, s.memory.events.oom_group_kill = ++n;
    s.pids.current = ++n, s.pids.max = ++n, s.pids.refused = ++n;
    s.io.rbytes = ++n, s.io.wbytes = ++n, s.io.rios = ++n, s.io.wios = ++n;
    s.net.rx_bytes = ++n, s.net.rx_packets = ++n, s.net.rx_dropped = ++n;
    s.net.tx_bytes = ++n, s.net.tx_packets = ++n, s.net.tx_dropped = ++n;
    s.pressure.cpu = (shoal_pressure_line_t){1.5, 0, 100, SHOAL_ABSENT};
    s.pressure.memory = (shoal_pressure_line_t){0, 0, 0, 0};
    s.pressure.io = (shoal_pressure_line_t){99.99, 12.25, 3, UINT64_MAX - 1};
    assert_sample(&s,
                  ",\"cpu\":{\"usage_usec\":1,\"user_usec\":2,\"system_usec\":3,\"nr_periods\":4,\"nr_throttled\":5,"
                  "\"throttled_usec\":6},"
                  "\"memory\":{\"current\":7,\"peak\":8,\"max\":9,\"anon\":10,\"file\":11,"
                  "\"events\":{\"low\":12,\"high\":13,\"max\":14,\"oom\":15,\"oom_kill\":16,\"oom_group_kill\":17}},"
                  "\"pids\":{\"current\":18,\"max\":19,\"refused\":20},"
                  "\"io\":{\"rbytes\":21,\"wbytes\":22,\"rios\":23,\"wios\":24},"
                  "\"net\":{\"rx_bytes\":25,\"rx_packets\":26,\"rx_dropped\":27,"
                  "\"tx_bytes\":28,\"tx_packets\":29,\"tx_dropped\":30},"
                  "\"pressure\":{\"cpu\":{\"some_avg10\":1.50,\"some_total\":100},"
                  "\"memory\":{\"some_avg10\":0.00,\"some_total\":0,\"full_avg10\":0.00,\"full_total\":0},"
                  "\"io\":{\"some_avg10\":99.99,\"some_total\":3,\"full_avg10\":12.25,"
                  "\"full_total\":18446744073709551614}}");
}

/* A whole certificate, and one of which little is known. */
static void certificates(void **state)
{
    (void)state;
    shoal_sample_t s = empty_sample();
    shoal_oom_t oom = {.level = "group",
                       .cgroup = "/shoal/demo/g",
                       .limit_bytes = 10,
                       .peak_bytes = 9,
                       .victim_pid = 77,
                       .victim_comm = "a\"b"};
    static const char output[] = "one\n\xff\n\nend";
    shoal_death_t death = {
        .why = "out", .by = "kernel", .oom = &oom, .sample = &s, .output = output, .output_count = sizeof output - 1};
    shoal_event_t event = {.seq = 12,
                           .time_usec = TIME,
                           .kind = SHOAL_EVENT_DIE,
                           .project = "demo",
                           .service = "web",
                           .container = "demo-web-1",
                           .id = "ab12",
                           .exit_code = 137,
                           .signal = SIGKILL,
                           .cause = SHOAL_CAUSE_OOM,
                           .restart = "backoff",
                           .restart_reason = "restart is always",
                           .delay_usec = 5,
                           .wall_usec = 7,
                           .usage_usec = SHOAL_ABSENT,
                           .peak_bytes = SHOAL_ABSENT,
                           .death = &death};
    s.io.rbytes = 1;
    s.net.tx_bytes = 2;
    s.cpu.nr_periods = 8;
    s.cpu.nr_throttled = 2;
    s.pressure.io.some_avg10 = 3;
    s.pressure.io.some_total = 4;
    s.pids.refused = 6;
    struct text out = {0};
    ndjson_event(&out, &event);
    assert_string_equal(
        out.bytes,
        EVENT("die", ",\"exitCode\":137,\"signal\":\"SIGKILL\",\"cause\":\"oom\",\"restart\":\"backoff\","
                     "\"restart_reason\":\"restart is always\",\"delay_usec\":5,\"wall_usec\":7,\"by\":\"kernel\","
                     "\"why\":\"out\",\"oom\":{\"level\":\"group\",\"cgroup\":\"/shoal/demo/g\",\"limit\":10,"
                     "\"peak\":9,\"victim\":{\"pid\":77,\"comm\":\"a\\\"b\"}},\"io\":{\"rbytes\":1},"
                     "\"net\":{\"tx_bytes\":2},\"throttled_share\":0.25,"
                     "\"pressure\":{\"io\":{\"some_avg10\":3.00,\"some_total\":4}},\"pids_refused\":6,"
                     "\"output\":[\"one\",\"\\ufffd\",\"\",\"end\"]"));
    text_free(&out);

    s = empty_sample();
    death = (shoal_death_t){.why = "exited with 137", .sample = &s};
    event.cause = SHOAL_CAUSE_EXIT;
    event.signal = 0;
    event.restart = "no";
    event.restart_reason = NULL;
    event.delay_usec = 0;
    ndjson_event(&out, &event);
    assert_string_equal(out.bytes, EVENT("die", ",\"exitCode\":137,\"cause\":\"exit\",\"restart\":\"no\","
                                                "\"wall_usec\":7,\"why\":\"exited with 137\""));
    text_free(&out);

    event.kind = SHOAL_EVENT_OOM;
    event.count = 3;
    event.oom = &oom;
    oom.partial = 1;
    oom.cgroup = "";
    oom.limit_bytes = oom.peak_bytes = SHOAL_ABSENT;
    oom.victim_comm = NULL;
    ndjson_event(&out, &event);
    assert_string_equal(out.bytes, EVENT("oom", ",\"count\":3,\"partial\":true,\"level\":\"group\""));
    text_free(&out);
}

static void fleet_supervisor_and_gap(void **state)
{
    (void)state;
    struct text out = {0};
    ndjson_fleet(&out, &(shoal_fleet_sample_t){
                           .time_usec = TIME, .project = "demo", .running = 998, .starting = 2, .starts = 1000});
    ndjson_gap(&out, TIME, 3, 40);
    struct self_sample self = {.time_usec = TIME,
                               .rss_bytes = 8192,
                               .fds = 12,
                               .usage_usec = 9,
                               .user_usec = 4,
                               .system_usec = 5,
                               .lag = {1, 20, 300},
                               .losses = {4, 5}};
    ndjson_supervisor(&out, &self);
    self = (struct self_sample){.time_usec = TIME,
                                .rss_bytes = SHOAL_ABSENT,
                                .fds = SHOAL_ABSENT,
                                .usage_usec = SHOAL_ABSENT,
                                .user_usec = SHOAL_ABSENT,
                                .system_usec = SHOAL_ABSENT,
                                .lag = {SHOAL_ABSENT, SHOAL_ABSENT, SHOAL_ABSENT}};
    ndjson_supervisor(&out, &self);
    assert_string_equal(
        out.bytes, HEAD("fleet") ",\"project\":\"demo\",\"running\":998,\"starting\":2,\"backoff\":0,\"exited\":0,"
                                 "\"starts\":1000,"
                                 "\"deaths\":0,\"parked\":0,\"paused\":0,\"pool\":{\"ready\":0,\"lent\":0,\"made\":0,"
                                 "\"reused\":0,\"hits\":0,\"misses\":0,\"failed\":0,\"usage_usec\":0},"
                                 "\"governor\":{\"waiting_ordinary\":0,\"waiting_crashed\":0,\"slow_ordinary\":0,"
                                 "\"slow_crashed\":0,\"slowed\":0}}\n" HEAD("gap") ",\"from\":3,\"to\":40}\n" HEAD(
                                     "supervisor") ",\"rss\":8192,\"fds\":12,\"cpu\":{\"usage_usec\":9,\"user_usec\":4,"
                                                   "\"system_usec\":5},\"loop_lag_usec\":{\"p50\":1,\"p99\":"
                                                   "20,\"max\":300},"
                                                   "\"stdout_dropped\":4,\"log_dropped\":5}\n" HEAD(
                                                       "supervisor") ",\"stdout_dropped\":0,\"log_dropped\":0}\n");
    text_free(&out);
}

static void hosts(void **state)
{
    (void)state;
    const shoal_resource_t resources[] = {
        {.name = "RLIMIT_NOFILE", .needed = 4096, .used = 45, .limit = 20000},
        {.name = "kernel.threads-max", .needed = 3, .used = 1, .limit = SHOAL_ABSENT},
        {.name = "fs.epoll.max_user_watches", .needed = 9, .used = SHOAL_ABSENT, .limit = 10},
        {.name = "BR_MAX_PORTS", .network = "front", .needed = 2, .used = 0, .limit = 1023},
        {.name = "addresses", .network = "front", .needed = 2, .used = 1, .limit = 253},
        {.name = "BR_MAX_PORTS", .network = "back", .needed = 1, .used = 1, .limit = 1023},
    };
    struct text out = {0};
    ndjson_host(&out, &(shoal_host_sample_t){TIME, "demo", COUNT(resources), resources});
    ndjson_host(&out, &(shoal_host_sample_t){TIME, "demo", 1, resources});
    assert_string_equal(
        out.bytes,
        HEAD(
            "host") ",\"project\":\"demo\",\"limits\":{\"RLIMIT_NOFILE\":{\"used\":45,\"limit\":20000,\"needed\":4096},"
                    "\"fs.epoll.max_user_watches\":{\"limit\":10,\"needed\":9}},\"networks\":{\"front\":{"
                    "\"BR_MAX_PORTS\":{\"used\":0,\"limit\":1023,\"needed\":2},"
                    "\"addresses\":{\"used\":1,\"limit\":253,\"needed\":2}},"
                    "\"back\":{\"BR_MAX_PORTS\":{\"used\":1,\"limit\":1023,\"needed\":1}}}}\n" HEAD(
                        "host") ",\"project\":\"demo\",\"limits\":{\"RLIMIT_NOFILE\":{\"used\":45,\"limit\":20000,"
                                "\"needed\":4096}}}\n");
    text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),   cmocka_unit_test(certificates),
        cmocka_unit_test(pressure), cmocka_unit_test(names),
        cmocka_unit_test(signals),  cmocka_unit_test(hosts),
        cmocka_unit_test(samples),  cmocka_unit_test(fleet_supervisor_and_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
