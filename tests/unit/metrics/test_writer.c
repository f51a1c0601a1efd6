#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

#include <cmocka.h>

#include "base/base.h"
#include "metrics/metrics.h"

struct fixture {
    uv_loop_t loop;
    struct writer *writer;
    unsigned closes;
    size_t fds_before;
    int out, in;      /* what the writer was given, and the reader's end (-1: none) */
    struct text seen; /* what the reader has read */
};

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
    f->out = f->in = -1;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->fds_before = count_fds();
    return 0;
}

static void close_ends(struct fixture *f)
{
    base_close_fd(&f->out);
    base_close_fd(&f->in);
    f->out = f->in = -1;
    text_free(&f->seen);
    assert_int_equal(count_fds(), f->fds_before);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close_ends(f);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

static void open_writer(struct fixture *f, size_t room)
{
    shoal_error_t err = {0};
    if (writer_open(&f->writer, &f->loop, f->out, room, &err) < 0)
        fail_msg("%s", err.text);
    f->closes = 0;
}

static void on_closed(void *data)
{
    ((struct fixture *)data)->closes++;
}

/* Close and run the loop to its end; returns how long that took. */
static uint64_t close_writer(struct fixture *f, unsigned flush_ms)
{
    uint64_t begin = base_monotonic_usec();
    writer_close(f->writer, flush_ms, on_closed, f);
    assert_int_equal(f->closes, 0);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(f->closes, 1);
    return base_monotonic_usec() - begin;
}

static void read_some(struct fixture *f, size_t most)
{
    char bytes[65536];
    (void)fcntl(f->in, F_SETFL, O_NONBLOCK);
    while (most > 0) {
        ssize_t n = read(f->in, bytes, most < sizeof bytes ? most : sizeof bytes);
        if (n <= 0)
            break;
        text_add(&f->seen, bytes, (size_t)n);
        most -= (size_t)n;
    }
}

static void put(struct fixture *f, const char *line)
{
    assert_int_equal(writer_put(f->writer, line, strlen(line)), 0);
}

/* Each kind of descriptor that lines can go to and come back from. */

static void make_pipe(struct fixture *f)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    f->in = ends[0];
    f->out = ends[1];
}

static void make_socket(struct fixture *f)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    f->in = ends[0];
    f->out = ends[1];
}

static void make_terminal(struct fixture *f)
{
    struct termios raw = {0};
    cfmakeraw(&raw);
    assert_int_equal(openpty(&f->in, &f->out, NULL, &raw, NULL), 0);
}

/* The side of a terminal that cannot be opened anew. */
static void make_terminal_master(struct fixture *f)
{
    struct termios raw = {0};
    cfmakeraw(&raw);
    assert_int_equal(openpty(&f->out, &f->in, NULL, &raw, NULL), 0);
}

static void make_file(struct fixture *f)
{
    char path[] = "/tmp/shoal-writer-XXXXXX";
    f->out = mkostemp(path, O_CLOEXEC);
    assert_true(f->out >= 0);
    f->in = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(f->in >= 0);
    (void)unlink(path);
}

static const struct kind {
    const char *name;
    void (*make)(struct fixture *f);
    bool bounded; /* it is full some time */
} kinds[] = {
    {"pipe", make_pipe, true},         {"socket", make_socket, true},
    {"terminal", make_terminal, true}, {"terminal master", make_terminal_master, true},
    {"file", make_file, false},
};

static void lines_arrive(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        kinds[i].make(f);
        int flags = fcntl(f->out, F_GETFL);
        open_writer(f, 1000);
        put(f, "one\n");
        put(f, "two\n");
        put(f, "");
        read_some(f, 100);
        assert_int_equal(f->seen.count, 0); /* gathered until the loop turns */
        put(f, "three\n");
        assert_int_equal(close_writer(f, 1000) > 1000000, 0);
        read_some(f, 100);
        assert_string_equal(f->seen.bytes, "one\ntwo\nthree\n");
        assert_int_equal(fcntl(f->out, F_GETFL), flags); /* O_NONBLOCK did not reach those who share it */
        close_ends(f);
    }
}

/* A ring that is too small and a reader that is too slow: whole lines, in order, what is refused is not there. */
static void a_slow_reader_gets_whole_lines_in_order(void **state)
{
    struct fixture *f = *state;
    static const size_t rooms[] = {100, 1000, 70000};
    for (size_t i = 0; i < COUNT(kinds); i++)
        for (size_t j = 0; j < COUNT(rooms); j++) {
            kinds[i].make(f);
            open_writer(f, rooms[j]);
            struct text wanted = {0};
            unsigned refused = 0;
            for (unsigned n = 0; n < 6000; n++) {
                char line[80];
                int count = snprintf(line, sizeof line, "%u %.*s\n", n, (int)(n % 61),
                                     "0123456789012345678901234567890123456789012345678901234567890123456789");
                int code = writer_put(f->writer, line, (size_t)count);
                if (code == 0)
                    text_add(&wanted, line, (size_t)count);
                else
                    assert_int_equal(code, -ENOBUFS);
                refused += code < 0;
                if (n % 3 == 0)
                    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
                if (n % 50 == 0)
                    read_some(f, 97);
            }
            if (kinds[i].bounded)
                assert_true(refused > 0);
            writer_close(f->writer, 10000, on_closed, f);
            while (f->closes == 0) {
                (void)uv_run(&f->loop, UV_RUN_NOWAIT);
                read_some(f, 65536);
            }
            assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
            read_some(f, 1 << 20);
            assert_int_equal(f->seen.count, wanted.count);
            assert_memory_equal(f->seen.bytes, wanted.bytes, wanted.count);
            text_free(&wanted);
            close_ends(f);
        }
}

/* Fill until nothing moves any more. */
static void fill(struct fixture *f)
{
    char line[500];
    memset(line, 'f', sizeof line);
    line[sizeof line - 1] = '\n';
    for (unsigned still = 0; still < 50; still++) {
        while (writer_put(f->writer, line, sizeof line) == 0)
            still = 0;
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
        (void)usleep(1000);
    }
}

static void a_reader_that_sleeps_costs_no_time(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (!kinds[i].bounded)
            continue;
        kinds[i].make(f);
        open_writer(f, 5000);
        fill(f);
        assert_true(writer_room(f->writer) < 500);
        struct rusage before, after;
        (void)getrusage(RUSAGE_SELF, &before);
        uint64_t took = close_writer(f, 200);
        (void)getrusage(RUSAGE_SELF, &after);
        assert_in_range(took, 190000, 3000000);
        long used = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec -
                    before.ru_utime.tv_usec;
        assert_in_range(used, 0, 100000); /* waiting is sleep, not a spin */
        close_ends(f);
    }
}

static void closes_at_once_without_a_flush(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        kinds[i].make(f);
        open_writer(f, 5000);
        if (kinds[i].bounded)
            fill(f);
        assert_in_range(close_writer(f, 0), 0, 150000);
        close_ends(f);
    }
    make_pipe(f);
    open_writer(f, 100); /* what fits without waiting goes out even then */
    put(f, "last\n");
    (void)close_writer(f, 0);
    read_some(f, 100);
    assert_string_equal(f->seen.bytes, "last\n");
}

static void a_reader_that_is_gone(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT(kinds); i++)
        for (int full = 0; full < 2; full++) {
            if (!kinds[i].bounded || kinds[i].make == make_terminal_master) /* a master never loses its terminal */
                continue;
            kinds[i].make(f);
            if (kinds[i].make == make_socket)
                (void)signal(SIGPIPE, SIG_DFL); /* a library must not need it ignored */
            open_writer(f, 5000);
            if (full)
                fill(f);
            else
                put(f, "one\n");
            (void)uv_run(&f->loop, UV_RUN_NOWAIT);
            base_close_fd(&f->in);
            f->in = -1;
            (void)writer_put(f->writer, "two\n", 4);
            unsigned turns = 0;
            while (writer_put(f->writer, "x\n", 2) != -EPIPE && turns++ < 1000) {
                (void)uv_run(&f->loop, UV_RUN_NOWAIT);
                (void)usleep(100);
            }
            assert_in_range(turns, 0, 999);
            assert_int_equal(writer_room(f->writer), 0);
            assert_in_range(close_writer(f, 5000), 0, 1000000);
            (void)signal(SIGPIPE, SIG_IGN);
            close_ends(f);
        }
}

static void a_reader_that_was_gone_before(void **state)
{
    struct fixture *f = *state;
    make_pipe(f);
    base_close_fd(&f->in);
    f->in = -1;
    open_writer(f, 100);
    put(f, "x\n"); /* the first write says so */
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(writer_put(f->writer, "x\n", 2), -EPIPE);
    (void)close_writer(f, 1000);
    close_ends(f);

    char path[] = "/tmp/shoal-fifo-XXXXXX";
    assert_non_null(mkdtemp(path));
    AUTO_FREE char *fifo = base_format("%s/fifo", path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    int reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    f->out = open(fifo, O_WRONLY | O_CLOEXEC);
    (void)close(reader);
    (void)unlink(fifo);
    (void)rmdir(path);
    assert_true(f->out >= 0);
    open_writer(f, 100); /* a named pipe cannot even be opened anew then: ENXIO */
    assert_int_equal(writer_put(f->writer, "x\n", 2), -EPIPE);
    (void)close_writer(f, 1000);
}

/* As another user's pipe: it cannot be opened through /proc, so a worker asks before each write. */
static void a_pipe_that_cannot_be_opened_anew(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0)
        skip();
    for (int gone = 0; gone < 2; gone++) {
        make_pipe(f);
        assert_int_equal(seteuid(65534), 0);
        shoal_error_t err = {0};
        int code = writer_open(&f->writer, &f->loop, f->out, 5000, &err);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(code, 0);
        f->closes = 0;
        assert_int_equal(fcntl(f->out, F_GETFL) & O_NONBLOCK, 0);
        put(f, "one\n");
        for (int i = 0; i < 1000 && f->seen.count == 0; i++) {
            (void)uv_run(&f->loop, UV_RUN_NOWAIT);
            (void)usleep(1000);
            read_some(f, 100);
        }
        assert_string_equal(f->seen.bytes, "one\n");
        fill(f);
        if (gone) {
            base_close_fd(&f->in);
            f->in = -1;
            assert_in_range(close_writer(f, 5000), 0, 1000000);
        } else {
            assert_in_range(close_writer(f, 100), 90000, 1000000);
        }
        close_ends(f);
    }
}

static void devices_that_never_wait(void **state)
{
    struct fixture *f = *state;
    f->out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    open_writer(f, 1000);
    for (int i = 0; i < 100; i++) {
        put(f, "to nobody\n");
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
        assert_int_equal(writer_room(f->writer), 1000);
    }
    (void)close_writer(f, 1000);
    close_ends(f);

    f->out = open("/dev/full", O_WRONLY | O_CLOEXEC);
    open_writer(f, 1000);
    int lines = 0;
    while (writer_put(f->writer, "to nobody\n", 10) == 0) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
        assert_true(++lines <= 100);
    }
    assert_int_equal(lines, 100);
    assert_int_equal(writer_put(f->writer, "x", 1), -ENOBUFS); /* not gone: it may have room one day */
    assert_in_range(close_writer(f, 5000), 0, 1000000);        /* but the end does not wait for that */
}

/* RLIMIT_FSIZE stands in for a disk that fills up and has room again later: nothing that was taken is lost. */
static void a_full_disk_is_tried_again(void **state)
{
    struct fixture *f = *state;
    make_file(f);
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 10;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    open_writer(f, 100);
    put(f, "line one\nline two\n");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct stat about = {0};
    for (int i = 0; i < 1000 && about.st_size < 10; i++) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
        (void)usleep(1000);
        (void)fstat(f->out, &about);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    put(f, "line three\n");
    for (int i = 0; i < 4000 && writer_room(f->writer) < 100; i++) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
        (void)usleep(1000);
    }
    (void)close_writer(f, 1000);
    read_some(f, 1000);
    assert_string_equal(f->seen.bytes, "line one\nline two\nline three\n");
}

static void appends_where_others_append(void **state)
{
    struct fixture *f = *state;
    make_file(f);
    assert_int_equal(fcntl(f->out, F_SETFL, O_APPEND), 0);
    assert_int_equal(write(f->out, "before\n", 7), 7);
    open_writer(f, 100);
    put(f, "ours\n");
    (void)close_writer(f, 1000);
    assert_int_equal(write(f->out, "behind\n", 7), 7); /* the offset is shared, as `{ shoal; date; } > file` needs it */
    read_some(f, 100);
    assert_string_equal(f->seen.bytes, "before\nours\nbehind\n");
}

static void refuses_what_takes_no_lines(void **state)
{
    struct fixture *f = *state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(datagrams >= 0);
    const struct {
        int fd, code;
        const char *text;
    } rows[] = {
        {999, -EBADF, "descriptor 999: Bad file descriptor"},
        {ends[0], -EBADF, "is not open for writing"},
        {datagrams, -EPROTOTYPE, "is a socket that takes no stream of lines"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        shoal_error_t err = {0};
        assert_int_equal(writer_open(&f->writer, &f->loop, rows[i].fd, 100, &err), rows[i].code);
        assert_non_null(strstr(err.text, rows[i].text));
    }
    shoal_error_t err;
    assert_int_equal(writer_open(&f->writer, &f->loop, ends[1], SIZE_MAX, &err), -ENOMEM);
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)close(datagrams);
}

static void takes_nothing_that_is_longer_than_its_room(void **state)
{
    struct fixture *f = *state;
    make_pipe(f);
    open_writer(f, 8);
    assert_int_equal(writer_put(f->writer, "123456789", 9), -ENOBUFS);
    assert_int_equal(writer_put(f->writer, "1234567\n", 8), 0);
    assert_int_equal(writer_put(f->writer, "\n", 1), -ENOBUFS);
    (void)close_writer(f, 1000);
    read_some(f, 100);
    assert_string_equal(f->seen.bytes, "1234567\n");
    close_ends(f);
    make_pipe(f);
    open_writer(f, 0);
    assert_int_equal(writer_put(f->writer, "\n", 1), -ENOBUFS);
    (void)close_writer(f, 1000);
}

int main(void)
{
#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(lines_arrive),
        LOOP_TEST(a_slow_reader_gets_whole_lines_in_order),
        LOOP_TEST(a_reader_that_sleeps_costs_no_time),
        LOOP_TEST(closes_at_once_without_a_flush),
        LOOP_TEST(a_reader_that_is_gone),
        LOOP_TEST(a_reader_that_was_gone_before),
        LOOP_TEST(a_pipe_that_cannot_be_opened_anew),
        LOOP_TEST(devices_that_never_wait),
        LOOP_TEST(a_full_disk_is_tried_again),
        LOOP_TEST(appends_where_others_append),
        LOOP_TEST(refuses_what_takes_no_lines),
        LOOP_TEST(takes_nothing_that_is_longer_than_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
