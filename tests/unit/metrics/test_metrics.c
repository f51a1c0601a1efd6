#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "metrics/metrics.h"

/* A supervisor as metrics sees it: it takes one subscriber and answers a request for samples as it was told to. */
struct fixture {
    uv_loop_t loop;
    size_t fds_before;
    int out, in;
    struct text seen;
    struct metrics *metrics;
    struct metrics_losses losses;
    shoal_subscriber_t *subscriber;
    unsigned samples_wanted; /* calls of sample() so far */
    int sample_code;         /* its answer */
    unsigned containers;     /* how many samples a round has; it is done inside the call */
    bool hold;               /* ... or left to the test */
    unsigned closes;
    uv_timer_t alive; /* what else the program has on its loop: metrics alone keeps none running */
};

static void subscribe(shoal_supervisor_t *s, shoal_subscriber_t *subscriber)
{
    struct fixture *f = (struct fixture *)(void *)s;
    assert_null(f->subscriber);
    f->subscriber = subscriber;
}

static void unsubscribe(shoal_supervisor_t *s, shoal_subscriber_t *subscriber)
{
    struct fixture *f = (struct fixture *)(void *)s;
    assert_ptr_equal(f->subscriber, subscriber);
    f->subscriber = NULL;
}

static void say_fleet(struct fixture *f)
{
    f->subscriber->on_fleet(f->subscriber->data, &(shoal_fleet_sample_t){.project = "demo"});
}

static void say_sample(struct fixture *f)
{
    shoal_sample_t sample;
    memset(&sample, 0xff, sizeof sample);
    sample.group = NULL;
    sample.time_usec = 0;
    sample.final = sample.frozen = false;
    sample.limit_count = 0;
    sample.project = sample.service = sample.container = sample.id = sample.state = "x";
    f->subscriber->on_sample(f->subscriber->data, &sample);
}

static void say_event(struct fixture *f, uint64_t seq)
{
    f->subscriber->on_event(f->subscriber->data,
                            &(shoal_event_t){.seq = seq, .kind = SHOAL_EVENT_CREATE, .container = "demo-web-1"});
}

static int sample(shoal_supervisor_t *s)
{
    struct fixture *f = (struct fixture *)(void *)s;
    f->samples_wanted++;
    if (f->sample_code < 0 || f->hold)
        return f->sample_code;
    for (unsigned i = 0; i < f->containers; i++)
        say_sample(f);
    say_fleet(f);
    return 0;
}

static const struct metrics_source source = {subscribe, unsubscribe, sample};

static size_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    size_t count = 0;
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    (void)uv_timer_init(&f->loop, &f->alive);
    f->fds_before = count_fds();
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    f->in = ends[0];
    f->out = ends[1];
    assert_int_equal(fcntl(f->in, F_SETFL, O_NONBLOCK), 0);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    base_close_fd(&f->in);
    base_close_fd(&f->out);
    text_free(&f->seen);
    uv_close((uv_handle_t *)&f->alive, NULL);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(count_fds(), f->fds_before);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

static void open_metrics(struct fixture *f, uint64_t interval_ms, size_t room)
{
    struct metrics_options options = {
        .fd = f->out, .interval_ms = interval_ms, .room_bytes = room, .losses = &f->losses};
    shoal_error_t err = {0};
    if (metrics_open(&f->metrics, &f->loop, &source, (shoal_supervisor_t *)(void *)f, &options, &err) < 0)
        fail_msg("%s", err.text);
    assert_non_null(f->subscriber);
}

static void on_closed(void *data)
{
    ((struct fixture *)data)->closes++;
}

static void read_all(struct fixture *f)
{
    char bytes[65536];
    for (ssize_t n; (n = read(f->in, bytes, sizeof bytes)) > 0;)
        text_add(&f->seen, bytes, (size_t)n);
}

static void close_metrics(struct fixture *f)
{
    metrics_close(f->metrics, on_closed, f);
    assert_null(f->subscriber);
    assert_int_equal(f->closes, 0);
    while (f->closes == 0) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
        read_all(f);
    }
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(f->closes, 1);
    read_all(f);
}

static void on_alive(uv_timer_t *alive)
{
    (void)alive;
}

/* Run until the fake was asked for samples as often as wanted, then one turn more. */
static void run_ticks(struct fixture *f, unsigned wanted)
{
    (void)uv_timer_start(&f->alive, on_alive, 100000, 0);
    while (f->samples_wanted < wanted) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
        (void)usleep(200);
    }
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    (void)uv_timer_stop(&f->alive);
}

/* The types of the lines that were read, in order: "event container fleet supervisor". */
static char *types(struct fixture *f)
{
    struct text words = {0};
    const char *at = f->seen.bytes;
    while (at != NULL && *at != '\0') {
        assert_memory_equal(at, "{\"time\":\"", 9);
        const char *type = strstr(at, ",\"type\":\"");
        const char *end = strchr(at, '\n');
        assert_non_null(type);
        assert_non_null(end);
        assert_memory_equal(end - 1, "}", 1);
        type += strlen(",\"type\":\"");
        if (words.count > 0)
            text_add(&words, " ", 1);
        text_add(&words, type, strcspn(type, "\""));
        at = end + 1;
    }
    return text_take(&words);
}

/* The number behind "key": in the last line that has it. */
static uint64_t last_number(struct fixture *f, const char *key)
{
    AUTO_FREE char *member = base_format("\"%s\":", key);
    const char *found = NULL;
    for (const char *at = f->seen.bytes; at != NULL && (at = strstr(at, member)) != NULL; at++)
        found = at + strlen(member);
    assert_non_null(found);
    return strtoull(found, NULL, 10);
}

static void an_event_is_out_in_the_same_turn(void **state)
{
    struct fixture *f = *state;
    open_metrics(f, 100000, 0);
    say_event(f, 7);
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    read_all(f);
    assert_string_equal(f->seen.bytes, "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"type\":\"event\",\"seq\":7,"
                                       "\"event\":\"create\",\"container\":\"demo-web-1\"}\n");
    close_metrics(f);
}

static void keeps_no_loop_alive(void **state)
{
    struct fixture *f = *state;
    open_metrics(f, 100000, 0);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    close_metrics(f);
}

static void a_round_ends_with_the_supervisor(void **state)
{
    struct fixture *f = *state;
    f->containers = 2;
    open_metrics(f, 20, 0);
    f->losses.log_dropped = 33;
    run_ticks(f, 1);
    run_ticks(f, 2);
    close_metrics(f);
    AUTO_FREE char *found = types(f);
    assert_string_equal(found, "container container fleet supervisor container container fleet supervisor");
    assert_int_equal(last_number(f, "log_dropped"), 33);
    assert_int_equal(last_number(f, "stdout_dropped"), 0);
    assert_in_range(last_number(f, "fds"), 5, 1000);
    assert_in_range(last_number(f, "rss"), 1 << 17, 1ull << 32);
    assert_true(last_number(f, "p50") <= last_number(f, "p99"));
    assert_true(last_number(f, "p99") <= last_number(f, "max"));
}

/* A round that takes longer than the interval, and one that somebody else asked for. */
static void each_interval_has_one_supervisor_line(void **state)
{
    struct fixture *f = *state;
    f->hold = true;
    open_metrics(f, 20, 0);
    say_sample(f); /* of a round that is not ours */
    say_fleet(f);
    run_ticks(f, 1);
    say_sample(f);
    f->sample_code = -EALREADY;
    run_ticks(f, 2); /* the first round is not over: its line comes now */
    say_fleet(f);
    f->sample_code = -ESRCH;
    run_ticks(f, 3);
    close_metrics(f);
    AUTO_FREE char *found = types(f);
    assert_string_equal(found, "container supervisor fleet supervisor supervisor");
}

/* The interval falls into a round that somebody else asked for: ours follows it, whole. */
static void the_round_of_another_is_waited_for(void **state)
{
    struct fixture *f = *state;
    f->hold = true;
    f->sample_code = -EALREADY;
    open_metrics(f, 20, 0);
    run_ticks(f, 1);
    say_sample(f);
    f->hold = false;
    f->sample_code = 0;
    f->containers = 2;
    say_fleet(f);
    run_ticks(f, 2);
    close_metrics(f);
    AUTO_FREE char *found = types(f);
    assert_string_equal(found, "container container fleet supervisor");
}

/* The last sample of a run belongs to no round. */
static void a_final_sample_is_written_at_once(void **state)
{
    struct fixture *f = *state;
    open_metrics(f, 100000, 0);
    say_sample(f);
    f->subscriber->on_sample(f->subscriber->data,
                             &(shoal_sample_t){.container = "c", .state = "exited", .final = true});
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    close_metrics(f);
    AUTO_FREE char *found = types(f);
    assert_string_equal(found, "container");
}

static void lost_events_are_named(void **state)
{
    struct fixture *f = *state;
    open_metrics(f, 100000, 1000);
    uint64_t seq = 0;
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 20; i++) /* a hundred bytes each: about nine fit between two turns of the loop */
            say_event(f, ++seq);
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
        read_all(f);
    }
    close_metrics(f);
    /* Whatever was lost: the numbers told, gaps included, run from 1 on without a hole. */
    uint64_t next = 1;
    unsigned gaps = 0;
    for (const char *at = f->seen.bytes; *at != '\0'; at = strchr(at, '\n') + 1) {
        const char *number = strstr(at, "\"seq\":"), *from = strstr(at, "\"from\":"), *end = strchr(at, '\n');
        if (from != NULL && from < end) {
            gaps++;
            assert_int_equal(strtoull(from + 7, NULL, 10), next);
            const char *to = strstr(from, "\"to\":");
            next = strtoull(to + 5, NULL, 10) + 1;
        } else {
            assert_int_equal(strtoull(number + 6, NULL, 10), next);
            next++;
        }
    }
    assert_int_equal(gaps, 3); /* the last one at the end */
    assert_int_equal(next, seq + 1);
}

static void a_gap_comes_before_any_other_record(void **state)
{
    struct fixture *f = *state;
    f->containers = 1;
    open_metrics(f, 20, 4000);
    for (uint64_t seq = 1; seq <= 100; seq++)
        say_event(f, seq);
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    read_all(f);
    text_free(&f->seen);
    f->samples_wanted = 0;
    run_ticks(f, 1);
    close_metrics(f);
    AUTO_FREE char *found = types(f);
    assert_memory_equal(found, "gap container fleet supervisor", strlen("gap container fleet supervisor"));
    assert_int_equal(last_number(f, "to"), 100);
    assert_int_equal(last_number(f, "stdout_dropped"), 100 - last_number(f, "from") + 1);
}

/* Samples leave a quarter of the room to events. */
static void samples_cost_no_event(void **state)
{
    struct fixture *f = *state;
    open_metrics(f, 100000, 8000);
    for (int i = 0; i < 1000; i++)
        say_sample(f);
    for (uint64_t seq = 1; seq <= 10; seq++)
        say_event(f, seq);
    close_metrics(f);
    AUTO_FREE char *found = types(f);
    assert_string_equal(found + strlen(found) - 59, "event event event event event event event event event event");
    assert_null(strstr(found, "gap"));
}

static void a_reader_that_is_gone_harms_nobody(void **state)
{
    struct fixture *f = *state;
    f->containers = 10;
    open_metrics(f, 1, 0);
    base_close_fd(&f->in);
    f->in = -1;
    for (uint64_t seq = 1; seq <= 100; seq++) {
        say_event(f, seq);
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    run_ticks(f, 5);
    close_metrics(f);
}

static void refuses(void **state)
{
    struct fixture *f = *state;
    shoal_error_t err;
    struct metrics_options options = {.fd = f->out};
    shoal_supervisor_t *s = (shoal_supervisor_t *)(void *)f;
    assert_int_equal(metrics_open(&f->metrics, &f->loop, &source, s, &options, &err), -EINVAL);
    assert_string_equal(err.text, "metrics: the interval is 0");
    options = (struct metrics_options){.fd = 999, .interval_ms = 1};
    assert_int_equal(metrics_open(&f->metrics, &f->loop, &source, s, &options, &err), -EBADF);
    assert_string_equal(err.text, "metrics: descriptor 999: Bad file descriptor");
    assert_null(f->subscriber);
}

int main(void)
{
#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(an_event_is_out_in_the_same_turn),
        LOOP_TEST(keeps_no_loop_alive),
        LOOP_TEST(a_round_ends_with_the_supervisor),
        LOOP_TEST(each_interval_has_one_supervisor_line),
        LOOP_TEST(the_round_of_another_is_waited_for),
        LOOP_TEST(a_final_sample_is_written_at_once),
        LOOP_TEST(lost_events_are_named),
        LOOP_TEST(a_gap_comes_before_any_other_record),
        LOOP_TEST(samples_cost_no_event),
        LOOP_TEST(a_reader_that_is_gone_harms_nobody),
        LOOP_TEST(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
