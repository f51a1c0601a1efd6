#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/base.h"
#include "container/log.h"

enum { TIME_LENGTH = 27 }; /* 2026-01-31T12:00:00.000001Z */

struct fixture {
    uv_loop_t loop;
    char dir[64];
    char path[128];
    struct log *log;
    unsigned rooms, closes;
    size_t fds_before;
};

static size_t count_entries(const char *path)
{
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    assert_int_equal(uv_loop_init(&f->loop), 0);
    strcpy(f->dir, "/tmp/shoal-log-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/a/b/json.log", f->dir);
    f->fds_before = count_entries("/proc/self/fd");
    return 0;
}

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    if (dir != NULL) {
        for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            AUTO_FREE char *name = base_format("%s/%s", path, entry->d_name);
            remove_tree(name);
        }
        (void)closedir(dir);
    }
    (void)remove(path);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(count_entries("/proc/self/fd"), f->fds_before);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    remove_tree(f->dir);
    assert_int_not_equal(access(f->dir, F_OK), 0);
    free(f);
    return 0;
}

static void on_room(void *data)
{
    ((struct fixture *)data)->rooms++;
}

static void on_closed(void *data)
{
    struct fixture *f = data;
    f->closes++;
    f->log = NULL;
}

static void open_log(struct fixture *f, const char *path, uint64_t max_bytes, unsigned max_files)
{
    shoal_error_t err;
    assert_int_equal(log_open(&f->log, &f->loop, path, max_bytes, max_files, on_room, f, &err), 0);
}

static void close_log(struct fixture *f)
{
    log_close(f->log, on_closed, f);
    assert_int_equal(f->closes, 0); /* never from inside the call */
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(f->closes, 1);
    f->closes = 0;
}

static char *read_file(const char *path)
{
    struct text text = {0};
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char bytes[4096];
    for (ssize_t n; (n = read(fd, bytes, sizeof bytes)) > 0;)
        text_add(&text, bytes, (size_t)n);
    return text_take(&text);
}

/* The file with each time replaced by T, after its form was looked at. */
static char *read_records(const char *path)
{
    AUTO_FREE char *all = read_file(path);
    if (all == NULL)
        return NULL;
    struct text text = {0};
    const char *at = all;
    for (const char *time; (time = strstr(at, ",\"time\":\"")) != NULL; at = time + TIME_LENGTH) {
        time += strlen(",\"time\":\"");
        assert_int_equal(time[10], 'T');
        assert_int_equal(time[19], '.');
        assert_memory_equal(time + TIME_LENGTH - 1, "Z\"}\n", 4);
        text_add(&text, at, (size_t)(time - at));
        text_add(&text, "T", 1);
    }
    text_add_string(&text, at);
    return text_take(&text);
}

static void assert_records(const char *path, const char *wanted)
{
    AUTO_FREE char *found = read_records(path);
    assert_non_null(found);
    assert_string_equal(found, wanted);
}

#define OUT(text) "{\"log\":\"" text "\",\"stream\":\"stdout\",\"time\":\"T\"}\n"
#define ERR(text) "{\"log\":\"" text "\",\"stream\":\"stderr\",\"time\":\"T\"}\n"

static void writes_lines_as_docker_does(void **state)
{
    static const struct {
        const char *name;
        struct {
            int stream;
            const char *bytes;
        } pieces[6];
        const char *records;
    } rows[] = {
        {"one", {{1, "hello\n"}}, OUT("hello\\n")},
        {"empty", {{1, "\n\n"}}, OUT("\\n") OUT("\\n")},
        {"in pieces", {{1, "he"}, {1, "ll"}, {1, "o\nwor"}, {1, "ld\n"}}, OUT("hello\\n") OUT("world\\n")},
        {"no end", {{1, "a\nb"}}, OUT("a\\n") OUT("b")},
        {"streams apart",
         {{1, "o1"}, {2, "e1\ne2"}, {1, "o2\n"}, {2, "!\n"}},
         ERR("e1\\n") OUT("o1o2\\n") ERR("e2!\\n")},
        {"both without end", {{2, "e"}, {1, "o"}}, OUT("o") ERR("e")},
        {"quoted", {{1, "\"\\\r\xff\n"}}, OUT("\\\"\\\\\\u000d\\ufffd\\n")},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO_FREE char *path = base_format("%s/%s", f->dir, rows[i].name);
        open_log(f, path, 0, 0);
        for (size_t j = 0; j < COUNT(rows[i].pieces) && rows[i].pieces[j].stream; j++)
            (void)log_append(f->log, rows[i].pieces[j].stream, rows[i].pieces[j].bytes,
                             strlen(rows[i].pieces[j].bytes));
        close_log(f);
        assert_records(path, rows[i].records);
    }
}

static void makes_folders_and_a_private_file(void **state)
{
    struct fixture *f = *state;
    open_log(f, f->path, 0, 0);
    assert_int_equal(access(f->path, F_OK), -1);
    assert_true(log_append(f->log, 1, "x\n", 2) > 0);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    struct stat about;
    assert_int_equal(stat(f->path, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0640);
    (void)log_append(f->log, 2, "y\n", 2);
    close_log(f);
    assert_records(f->path, OUT("x\\n") ERR("y\\n"));
    open_log(f, f->path, 0, 0); /* the next run goes on behind it */
    (void)log_append(f->log, 1, "z\n", 2);
    close_log(f);
    assert_records(f->path, OUT("x\\n") ERR("y\\n") OUT("z\\n"));
}

/* Add the record that is wanted for these bytes; end: "\\n" where the line ends with them. */
static void expect_part(struct text *wanted, const char *bytes, size_t count, const char *end)
{
    text_add_string(wanted, "{\"log\":\"");
    text_add(wanted, bytes, count);
    text_add_string(wanted, end);
    text_add_string(wanted, "\",\"stream\":\"stdout\",\"time\":\"T\"}\n");
}

static void splits_long_lines_at_16_kib(void **state)
{
    struct fixture *f = *state;
    enum { MOST = 16 << 10, ALL = 3 * MOST + 100 };
    AUTO_FREE char *line = malloc(ALL);
    for (size_t i = 0; i < ALL; i++)
        line[i] = (char)('a' + i % 26);
    static const size_t lengths[] = {MOST - 2, MOST - 1, MOST, MOST + 1, 2 * MOST - 1, 2 * MOST, ALL - 1};
    static const size_t steps[] = {ALL, 65536, MOST, 4096, 1000, 7};
    for (size_t i = 0; i < COUNT(lengths); i++)
        for (size_t j = 0; j < COUNT(steps); j++) {
            size_t count = lengths[i];
            AUTO_FREE char *path = base_format("%s/%zu-%zu", f->dir, count, steps[j]);
            AUTO_FREE char *input = malloc(count + 1);
            memcpy(input, line, count);
            input[count] = '\n';
            open_log(f, path, 0, 0);
            for (size_t at = 0; at <= count; at += steps[j])
                (void)log_append(f->log, 1, input + at, steps[j] < count + 1 - at ? steps[j] : count + 1 - at);
            close_log(f);
            struct text wanted = {0};
            size_t at = 0;
            for (; count - at >= MOST; at += MOST)
                expect_part(&wanted, line + at, MOST, "");
            expect_part(&wanted, line + at, count - at, "\\n");
            assert_records(path, wanted.bytes);
            text_free(&wanted);
        }
}

/* Where a character would be cut by the 16 KiB, it goes whole into the next record. */
static void splits_between_characters(void **state)
{
    struct fixture *f = *state;
    enum { MOST = 16 << 10 };
    static const char *const characters[] = {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\x9f"};
    for (size_t i = 0; i < COUNT(characters); i++)
        for (size_t missing = 1; missing < strlen(characters[i]); missing++)
            for (size_t step = 5000; step <= 50000; step += 45000) {
                AUTO_FREE char *path = base_format("%s/%zu-%zu-%zu", f->dir, i, missing, step);
                size_t before = MOST - strlen(characters[i]) + missing;
                struct text line = {0}, wanted = {0};
                for (size_t n = 0; n < before; n++)
                    text_add(&line, "x", 1);
                expect_part(&wanted, line.bytes, before, "");
                text_add_string(&line, characters[i]);
                text_add_string(&line, "tail\n");
                expect_part(&wanted, characters[i], strlen(characters[i]), "tail\\n");
                open_log(f, path, 0, 0);
                for (size_t at = 0; at < line.count; at += step)
                    (void)log_append(f->log, 1, line.bytes + at, step < line.count - at ? step : line.count - at);
                close_log(f);
                assert_records(path, wanted.bytes);
                text_free(&line);
                text_free(&wanted);
            }
}

/* 30 records of the same length; three fit into a file. Written in one batch and one by one: the same files. */
static void rotates(void **state)
{
    struct fixture *f = *state;
    size_t record = strlen(OUT("00\\n")) - 1 + TIME_LENGTH;
    static const struct {
        unsigned max_files;
        const char *files[5]; /* newest first */
    } rows[] = {
        {0, {OUT("27\\n") OUT("28\\n") OUT("29\\n")}},
        {1, {OUT("27\\n") OUT("28\\n") OUT("29\\n")}},
        {2, {OUT("27\\n") OUT("28\\n") OUT("29\\n"), OUT("24\\n") OUT("25\\n") OUT("26\\n")}},
        {4,
         {OUT("27\\n") OUT("28\\n") OUT("29\\n"), OUT("24\\n") OUT("25\\n") OUT("26\\n"),
          OUT("21\\n") OUT("22\\n") OUT("23\\n"), OUT("18\\n") OUT("19\\n") OUT("20\\n")}},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
            AUTO_FREE char *dir = base_format("%s/%zu-%d", f->dir, i, one_by_one);
            AUTO_FREE char *path = base_format("%s/json.log", dir);
            open_log(f, path, 3 * record + record / 2, rows[i].max_files);
            for (int n = 0; n < 30; n++) {
                char line[8];
                int count = snprintf(line, sizeof line, "%02d\n", n);
                (void)log_append(f->log, 1, line, (size_t)count);
                if (one_by_one)
                    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
            }
            close_log(f);
            size_t files = 0;
            for (; files < COUNT(rows[i].files) && rows[i].files[files] != NULL; files++) {
                AUTO_FREE char *name = files ? base_format("%s.%zu", path, files) : strdup(path);
                assert_records(name, rows[i].files[files]);
            }
            assert_int_equal(count_entries(dir), files);
        }
}

/* A crash between two renames leaves a hole in the row of files: nothing may fall out at its end. */
static void rotates_into_a_gap(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = base_format("%s/log", f->dir);
    static const char *const tails[] = {"", ".1", ".3", ".4"};
    for (size_t i = 0; i < COUNT(tails); i++) {
        AUTO_FREE char *name = base_format("%s%s", path, tails[i]);
        FILE *file = fopen(name, "we");
        assert_non_null(file);
        (void)fprintf(file, "was%s\n", tails[i]);
        (void)fclose(file);
    }
    open_log(f, path, 5, 5);
    (void)log_append(f->log, 1, "new\n", 4);
    close_log(f);
    assert_records(path, OUT("new\\n"));
    static const char *const wanted[][2] = {{".1", "was\n"}, {".2", "was.1\n"}, {".3", "was.3\n"}, {".4", "was.4\n"}};
    for (size_t i = 0; i < COUNT(wanted); i++) {
        AUTO_FREE char *name = base_format("%s%s", path, wanted[i][0]);
        AUTO_FREE char *found = read_file(name);
        assert_string_equal(found, wanted[i][1]);
    }
}

static void a_record_longer_than_a_file_has_its_own(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = base_format("%s/log", f->dir);
    open_log(f, path, 10, 3);
    (void)log_append(f->log, 1, "a\nb\nc\nd\n", 8);
    close_log(f);
    AUTO_FREE char *one = base_format("%s.1", path);
    AUTO_FREE char *two = base_format("%s.2", path);
    assert_records(path, OUT("d\\n"));
    assert_records(one, OUT("c\\n"));
    assert_records(two, OUT("b\\n"));
}

static void says_when_there_is_room_again(void **state)
{
    struct fixture *f = *state;
    open_log(f, f->path, 0, 0);
    char line[1024];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    size_t left = 0, lines = 0;
    while (left < LOG_HIGH_BYTES) {
        left = log_append(f->log, 1, line, sizeof line);
        assert_true(++lines < 200);
    }
    assert_int_equal(f->rooms, 0);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(f->rooms, 1);
    left = log_append(f->log, 1, "little\n", 7); /* that is no news */
    assert_true(left > 0 && left < 200);
    close_log(f);
    assert_int_equal(f->rooms, 1);
    AUTO_FREE char *all = read_records(f->path);
    size_t found = 0;
    for (const char *at = all; (at = strchr(at, '\n')) != NULL; at++)
        found++;
    assert_int_equal(found, lines + 1);
}

static void close_in_on_room(void *data)
{
    struct fixture *f = data;
    f->rooms++;
    (void)log_append(f->log, 2, "last words", 10);
    log_close(f->log, on_closed, f);
}

static void may_be_closed_in_on_room(void **state)
{
    struct fixture *f = *state;
    shoal_error_t err;
    assert_int_equal(log_open(&f->log, &f->loop, f->path, 0, 0, close_in_on_room, f, &err), 0);
    AUTO_FREE char *line = malloc(LOG_HIGH_BYTES);
    memset(line, 'y', LOG_HIGH_BYTES);
    assert_true(log_append(f->log, 1, line, LOG_HIGH_BYTES) >= LOG_HIGH_BYTES);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(f->rooms, 1);
    assert_int_equal(f->closes, 1);
    f->closes = 0;
    AUTO_FREE char *all = read_records(f->path);
    assert_non_null(strstr(all, ERR("last words")));
}

static void counts_what_the_disk_refuses(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *file = base_format("%s/file", f->dir);
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    AUTO_FREE char *below = base_format("%s/log", file);
    const struct {
        const char *path;
        int code;
    } rows[] = {{"/dev/full", -ENOSPC}, {below, -ENOTDIR}, {"/proc/shoal-no-such/log", -ENOENT}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        open_log(f, rows[i].path, 0, 0);
        int code = 1;
        assert_int_equal(log_dropped(f->log, &code), 0);
        assert_int_equal(code, 0);
        (void)log_append(f->log, 1, "a\n", 2);
        assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(log_dropped(f->log, &code), strlen(OUT("a\\n")) - 1 + TIME_LENGTH);
        assert_int_equal(code, rows[i].code);
        close_log(f);
    }
}

/* RLIMIT_FSIZE stands in for a disk that fills up in the middle of a record and has room again later. */
static void leaves_no_torn_record_on_a_full_disk(void **state)
{
    struct fixture *f = *state;
    size_t record = strlen(OUT("00\\n")) - 1 + TIME_LENGTH;
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 2 * record + record / 2;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    open_log(f, f->path, 0, 0);
    (void)log_append(f->log, 1, "00\n01\n02\n03\n", 12);
    int ran = uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(ran, 0);
    int code;
    assert_int_equal(log_dropped(f->log, &code), 2 * record);
    assert_int_equal(code, -EFBIG);
    assert_records(f->path, OUT("00\\n") OUT("01\\n"));
    (void)log_append(f->log, 1, "04\n", 3);
    close_log(f);
    assert_records(f->path, OUT("00\\n") OUT("01\\n") OUT("04\\n"));
}

static void goes_on_behind_a_torn_record(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = base_format("%s/log", f->dir);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs("{\"log\":\"a cra", file);
    (void)fclose(file);
    open_log(f, path, 0, 0);
    (void)log_append(f->log, 1, "new\n", 4);
    close_log(f);
    assert_records(path, "{\"log\":\"a cra\n" OUT("new\\n"));
}

static void closes_at_once_when_idle(void **state)
{
    struct fixture *f = *state;
    open_log(f, f->path, 0, 0);
    assert_int_equal(log_append(f->log, 1, "", 0), 0);
    log_end_stream(f->log, 1);
    close_log(f);
    assert_int_equal(count_entries(f->dir), 0); /* a silent container has no file */
}

static void wants_an_absolute_path(void **state)
{
    struct fixture *f = *state;
    shoal_error_t err;
    assert_int_equal(log_open(&f->log, &f->loop, "a/log", 0, 0, on_room, f, &err), -EINVAL);
    assert_string_equal(err.text, "log a/log: not an absolute path");
}

int main(void)
{
#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(closes_at_once_when_idle), /* first: libuv's own descriptors and threads come with the first work */
        LOOP_TEST(writes_lines_as_docker_does),
        LOOP_TEST(makes_folders_and_a_private_file),
        LOOP_TEST(splits_long_lines_at_16_kib),
        LOOP_TEST(splits_between_characters),
        LOOP_TEST(rotates),
        LOOP_TEST(rotates_into_a_gap),
        LOOP_TEST(a_record_longer_than_a_file_has_its_own),
        LOOP_TEST(says_when_there_is_room_again),
        LOOP_TEST(may_be_closed_in_on_room),
        LOOP_TEST(counts_what_the_disk_refuses),
        LOOP_TEST(leaves_no_torn_record_on_a_full_disk),
        LOOP_TEST(goes_on_behind_a_torn_record),
        LOOP_TEST(wants_an_absolute_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
