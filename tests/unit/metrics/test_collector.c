#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/openmetrics.h"

/* A supervisor as a collector sees it, and somebody who asks. */
struct fixture {
    uv_loop_t loop;
    struct collector *collector;
    shoal_subscriber_t *subscriber;
    unsigned rounds;     /* calls of sample() so far */
    int sample_code;     /* its answer */
    unsigned containers; /* how many samples a round has; it is done inside the call */
    bool hold;           /* ... or left to the test */
    unsigned closes;
    uv_timer_t alive;
};

struct asker {
    struct collector_request request;
    unsigned answers;
    bool refused;
    size_t rows;
    struct collector_request *cancels; /* in its call */
    struct collector *collector;
};

static struct fixture *of(shoal_supervisor_t *s)
{
    return (struct fixture *)(void *)s;
}

static void subscribe(shoal_supervisor_t *s, shoal_subscriber_t *subscriber)
{
    of(s)->subscriber = subscriber;
}

static void unsubscribe(shoal_supervisor_t *s, shoal_subscriber_t *subscriber)
{
    assert_ptr_equal(of(s)->subscriber, subscriber);
    of(s)->subscriber = NULL;
}

static void say_sample(struct fixture *f, unsigned number)
{
    char name[16];
    (void)snprintf(name, sizeof name, "c%u", number);
    shoal_sample_t sample;
    memset(&sample, 0xff, sizeof sample);
    sample.group = NULL;
    sample.final = sample.frozen = false;
    sample.limit_count = 0;
    sample.project = sample.service = sample.id = "x";
    sample.container = name;
    sample.state = "running";
    f->subscriber->on_sample(f->subscriber->data, &sample);
}

static void say_fleet(struct fixture *f)
{
    f->subscriber->on_fleet(f->subscriber->data, &(shoal_fleet_sample_t){.project = "demo"});
    f->subscriber->on_host(f->subscriber->data, &(shoal_host_sample_t){.project = "demo"});
}

static int sample(shoal_supervisor_t *s)
{
    struct fixture *f = of(s);
    f->rounds++;
    if (f->sample_code < 0 || f->hold)
        return f->sample_code;
    for (unsigned i = 0; i < f->containers; i++)
        say_sample(f, i);
    say_fleet(f);
    return 0;
}

static void on_alive(uv_timer_t *timer)
{
    (void)timer;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    (void)uv_timer_init(&f->loop, &f->alive);
    (void)uv_timer_start(&f->alive, on_alive, 1, 1); /* a turn of the loop never waits longer */
    struct metrics_source source = {subscribe, unsubscribe, sample};
    assert_int_equal(collector_open(&f->collector, &f->loop, &source, (shoal_supervisor_t *)(void *)f, NULL, NULL), 0);
    return 0;
}

static void on_closed(void *data)
{
    (*(unsigned *)data)++;
}

static void close_collector(struct fixture *f)
{
    collector_close(f->collector, on_closed, &f->closes);
    f->collector = NULL;
    while (f->closes == 0)
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    assert_null(f->subscriber);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->collector != NULL)
        close_collector(f);
    uv_close((uv_handle_t *)&f->alive, NULL);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

static void on_snapshot(struct collector_request *request, struct snapshot *snapshot)
{
    struct asker *asker = CONTAINER_OF(request, struct asker, request);
    asker->answers++;
    asker->refused = snapshot == NULL;
    asker->rows = snapshot != NULL ? snapshot->count : 0;
    if (asker->cancels != NULL)
        collector_cancel(asker->collector, asker->cancels);
}

static void ask(struct fixture *f, struct asker *asker, uint64_t fresh_ms)
{
    unsigned before = asker->answers;
    asker->request.cb = on_snapshot;
    asker->collector = f->collector;
    collector_ask(f->collector, &asker->request, fresh_ms);
    assert_int_equal(asker->answers, before); /* never from inside */
}

static void turn_until(struct fixture *f, const unsigned *counter, unsigned wanted)
{
    while (*counter < wanted)
        (void)uv_run(&f->loop, UV_RUN_ONCE);
}

static void many_who_ask_cost_one_round(void **state)
{
    struct fixture *f = *state;
    f->containers = 3;
    struct asker a = {0}, b = {0}, c = {0};
    ask(f, &a, 0);
    ask(f, &b, 0);
    turn_until(f, &b.answers, 1);
    assert_int_equal(a.answers, 1);
    assert_int_equal(f->rounds, 1);
    assert_int_equal(b.rows, 3);
    ask(f, &c, 3600000); /* still fresh */
    turn_until(f, &c.answers, 1);
    assert_int_equal(f->rounds, 1);
    ask(f, &c, 0);
    turn_until(f, &c.answers, 2);
    assert_int_equal(f->rounds, 2);
}

static void the_round_of_another_is_waited_for(void **state)
{
    struct fixture *f = *state;
    f->sample_code = -EALREADY;
    struct asker a = {0};
    ask(f, &a, 0);
    turn_until(f, &f->rounds, 1);
    say_sample(f, 7); /* the end of theirs */
    say_fleet(f);
    assert_int_equal(a.answers, 0);
    f->sample_code = 0;
    f->containers = 2;
    turn_until(f, &a.answers, 1);
    assert_int_equal(a.rows, 2);
    assert_int_equal(f->rounds, 2);
}

static void who_cannot_be_served_is_told(void **state)
{
    struct fixture *f = *state;
    f->sample_code = -ESRCH;
    struct asker a = {0}, b = {0};
    ask(f, &a, 0);
    turn_until(f, &a.answers, 1);
    assert_true(a.refused);
    f->sample_code = 0;
    f->hold = true;
    ask(f, &b, 0);
    turn_until(f, &f->rounds, 2);
    close_collector(f);
    assert_int_equal(b.answers, 1);
    assert_true(b.refused);
}

static void who_has_cancelled_is_not_told(void **state)
{
    struct fixture *f = *state;
    struct asker a = {0}, b = {0}, c = {0};
    a.cancels = &b.request; /* while answers are given */
    ask(f, &a, 0);
    ask(f, &b, 0);
    ask(f, &c, 0);
    collector_cancel(f->collector, &c.request);
    turn_until(f, &a.answers, 1);
    close_collector(f);
    assert_int_equal(a.answers, 1);
    assert_int_equal(b.answers + c.answers, 0);
}

static void the_last_word_has_all_that_is_known(void **state)
{
    struct fixture *f = *state;
    f->hold = true;
    struct asker a = {0};
    ask(f, &a, 0);
    turn_until(f, &f->rounds, 1);
    say_sample(f, 0);
    say_sample(f, 1);
    f->subscriber->on_event(f->subscriber->data,
                            &(shoal_event_t){.kind = SHOAL_EVENT_START, .project = "x", .container = "c9", .id = "x"});
    struct snapshot *last = collector_take_last(f->collector); /* in the middle of a round */
    assert_int_equal(last->count, 3);
    snapshot_drop(last);
    f->hold = false;
    f->containers = 2;
    last = collector_take_last(f->collector); /* a round that is done inside the call */
    assert_int_equal(last->count, 2);
    snapshot_drop(last);
    turn_until(f, &a.answers, 1);
}

/* Expositions on a pipe */

static size_t count_in(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        count++;
    return count;
}

struct stream {
    int in, out;
    struct text seen;
    struct metrics_losses losses;
    struct exposition *exposition;
    unsigned closes;
};

static void open_stream(struct fixture *f, struct stream *s, size_t room)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    s->in = ends[0];
    s->out = ends[1];
    assert_true(fcntl(s->out, F_SETPIPE_SZ, 4096) >= 0);
    assert_true(fcntl(s->in, F_SETFL, O_NONBLOCK) == 0);
    struct metrics_options options = {.fd = s->out, .interval_ms = 5, .room_bytes = room, .losses = &s->losses};
    assert_int_equal(exposition_open(&s->exposition, &f->loop, f->collector, &options, NULL), 0);
    (void)close(s->out);
}

static void read_all(struct stream *s)
{
    char bytes[8192];
    for (ssize_t n; (n = read(s->in, bytes, sizeof bytes)) > 0;)
        text_add(&s->seen, bytes, (size_t)n);
}

static void close_stream(struct fixture *f, struct stream *s)
{
    exposition_close(s->exposition, on_closed, &s->closes);
    while (s->closes == 0) {
        if (s->in >= 0)
            read_all(s);
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    if (s->in >= 0) {
        read_all(s);
        (void)close(s->in);
    }
}

static void expositions_are_whole(void **state)
{
    struct fixture *f = *state;
    f->containers = 100; /* each exposition is many times the pipe and the writer's room */
    struct stream s = {0};
    open_stream(f, &s, 16 << 10);
    while (s.seen.bytes == NULL || count_in(s.seen.bytes, "# EOF\n") < 3) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
        read_all(&s);
    }
    close_stream(f, &s);
    size_t ends = count_in(s.seen.bytes, "# EOF\n");
    assert_int_equal(count_in(s.seen.bytes, "# TYPE shoal_container_state gauge\n"), ends);
    assert_int_equal(count_in(s.seen.bytes, "\nshoal_container_state{"), 100 * ends);
    assert_string_equal(s.seen.bytes + s.seen.count - 6, "# EOF\n");
    text_free(&s.seen);
}

static void a_slow_reader_misses_whole_expositions(void **state)
{
    struct fixture *f = *state;
    f->containers = 100;
    struct stream s = {0};
    open_stream(f, &s, 8 << 10);
    while (s.losses.stdout_dropped < 3)
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->rounds, 1); /* nothing is gathered that cannot be shown */
    close_stream(f, &s);
    assert_int_equal(count_in(s.seen.bytes, "# EOF\n"), 2); /* the one that was begun, and the last word */
    text_free(&s.seen);
}

static void a_reader_that_is_gone_ends_nothing(void **state)
{
    struct fixture *f = *state;
    f->containers = 100;
    struct stream s = {0};
    open_stream(f, &s, 8 << 10);
    (void)close(s.in);
    s.in = -1;
    while (s.losses.stdout_dropped < 3)
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    close_stream(f, &s);
}

static void a_reader_that_sleeps_does_not_hold_up_the_end(void **state)
{
    struct fixture *f = *state;
    f->containers = 100;
    struct stream s = {0};
    open_stream(f, &s, 8 << 10);
    turn_until(f, &f->rounds, 1);
    int in = s.in;
    s.in = -1; /* close_stream does not read */
    close_stream(f, &s);
    (void)close(in);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(many_who_ask_cost_one_round),
        LOOP_TEST(the_round_of_another_is_waited_for),
        LOOP_TEST(who_cannot_be_served_is_told),
        LOOP_TEST(who_has_cancelled_is_not_told),
        LOOP_TEST(the_last_word_has_all_that_is_known),
        LOOP_TEST(expositions_are_whole),
        LOOP_TEST(a_slow_reader_misses_whole_expositions),
        LOOP_TEST(a_reader_that_is_gone_ends_nothing),
        LOOP_TEST(a_reader_that_sleeps_does_not_hold_up_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
