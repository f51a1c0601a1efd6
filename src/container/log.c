#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "container/log.h"
#include "kernel/path.h"

enum { LINE_BYTES = 16 << 10 };

/* What one work request writes. The worker sees nothing else; path is the log's, which waits for it. */
struct batch {
    uv_work_t work;
    struct log *log;
    const char *path;
    uint64_t max_bytes;
    unsigned max_files;
    char *bytes; /* owned: whole records */
    size_t count;
    size_t lost; /* result: bytes that the disk refused ... */
    int code;    /* ... and why */
};

struct log {
    uv_loop_t *loop; /* outlives us */
    void (*on_room)(void *data);
    void *data;
    void (*close_cb)(void *data);
    void *close_data;
    uint64_t max_bytes, lost_bytes;
    unsigned max_files;
    int lost_code;
    bool above, closing;
    struct text lines[2]; /* per stream: bytes of a line whose end has not come */
    struct text pending;  /* whole records that no worker has yet */
    struct batch *batch;  /* owned; what a worker has */
    uv_idle_t closer;     /* brings an idle log's close to the loop; initialised by log_close */
    char path[];
};
_Static_assert(sizeof(struct log) <= 300, "there are thousands of idle logs");

/* The worker's side */

/* Open the newest file, or make it. Returns the descriptor and its size, or -errno. */
static int open_newest(const char *path, uint64_t *out_size)
{
    int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC;
    AUTO_FD fd = open(path, flags, 0640);
    if (fd < 0 && errno == ENOENT) {
        int code = path_make_parents(path);
        if (code < 0)
            return code;
        fd = open(path, flags, 0640);
    }
    struct stat about;
    if (fd < 0 || fstat(fd, &about) < 0)
        return -errno;
    uint64_t size = (uint64_t)about.st_size;
    char last;
    /* A crash in the middle of a write leaves a torn record: ours begins on a line of its own. */
    if (size > 0 && pread(fd, &last, 1, about.st_size - 1) == 1 && last != '\n') {
        if (write(fd, "\n", 1) != 1)
            return -errno;
        size++;
    }
    *out_size = size;
    return take_fd(&fd);
}

/* path.(n-2) becomes path.(n-1), ..., path becomes path.1; what was path.(max_files-1) is gone. Only the files that are there
 * without a gap have to move, however many there may be. */
static int rotate(const char *path, unsigned max_files)
{
    size_t room = strlen(path) + 16;
    AUTO_FREE char *from = malloc(room);
    AUTO_FREE char *to = malloc(room);
    if (from == NULL || to == NULL)
        return -ENOMEM;
    unsigned last = 1;
    for (; last < max_files - 1; last++) {
        (void)snprintf(to, room, "%s.%u", path, last);
        if (access(to, F_OK) < 0)
            break;
    }
    for (; last > 0; last--) {
        (void)snprintf(to, room, "%s.%u", path, last);
        (void)snprintf(from, room, last > 1 ? "%s.%u" : "%s", path, last - 1);
        if (rename(from, to) < 0)
            return -errno;
    }
    return 0;
}

/* Length of the whole records that may go into a file of size bytes now; 0: it is full. One that is longer than a whole file
 * gets a file of its own. */
static size_t fitting(const struct batch *b, size_t at, uint64_t size)
{
    const char *bytes = b->bytes + at;
    size_t left = b->count - at;
    uint64_t room = b->max_bytes > size ? b->max_bytes - size : 0;
    if (b->max_bytes == 0 || left <= room)
        return left;
    const char *end = memrchr(bytes, '\n', (size_t)room);
    if (end == NULL && size == 0)
        end = memchr(bytes, '\n', left);
    return end == NULL ? 0 : (size_t)(end - bytes) + 1;
}

/* Append count bytes of whole records. A refused rest leaves no torn record behind: the file ends after the last whole one.
 * out_written: the bytes that stay, also on failure. Returns 0 or -errno. */
static int append(int fd, uint64_t size, const char *bytes, size_t count, size_t *out_written)
{
    size_t written = 0;
    int code = 0;
    while (written < count && code == 0) {
        ssize_t n = write(fd, bytes + written, count - written);
        if (n >= 0)
            written += (size_t)n;
        else if (errno != EINTR)
            code = -errno;
    }
    if (written < count) {
        const char *end = memrchr(bytes, '\n', written);
        written = end == NULL ? 0 : (size_t)(end - bytes) + 1;
        (void)!ftruncate(fd, (off_t)(size + written)); /* else open_newest ends the torn line next time */
    }
    *out_written = written;
    return code;
}

static void do_write(uv_work_t *work)
{
    struct batch *b = CONTAINER_OF(work, struct batch, work);
    AUTO_FD fd = -1;
    uint64_t size = 0;
    size_t at = 0;
    while (at < b->count && b->code == 0) {
        if (fd < 0 && (fd = open_newest(b->path, &size)) < 0) {
            b->code = fd;
            break;
        }
        size_t count = fitting(b, at, size), written = 0;
        if (count > 0) {
            b->code = append(fd, size, b->bytes + at, count, &written);
            at += written;
            size += written;
        } else if (b->max_files > 1) {
            b->code = rotate(b->path, b->max_files);
            base_close_fd(&fd);
        } else {
            b->code = ftruncate(fd, 0) < 0 ? -errno : 0;
            size = 0;
        }
    }
    b->lost = b->count - at;
}

/* The loop's side */

static void count_lost(struct log *log, size_t bytes, int code)
{
    log->lost_bytes += bytes;
    log->lost_code = code;
}

static size_t backlog(const struct log *log)
{
    return log->pending.count + (log->batch != NULL ? log->batch->count : 0);
}

static void on_written(uv_work_t *work, int status);

/* Hand what is pending to a worker, unless one is at it. */
static void start_batch(struct log *log)
{
    if (log->batch != NULL || log->pending.count == 0)
        return;
    struct batch *b = calloc(1, sizeof *b);
    if (b == NULL) {
        count_lost(log, log->pending.count, -ENOMEM);
        text_free(&log->pending);
        return;
    }
    b->log = log;
    b->path = log->path;
    b->max_bytes = log->max_bytes;
    b->max_files = log->max_files;
    b->count = log->pending.count;
    b->bytes = text_take(&log->pending);
    log->batch = b;
    (void)uv_queue_work(log->loop, &b->work, do_write, on_written); /* fails without a work function alone */
}

static void finish_close(struct log *log)
{
    void (*cb)(void *) = log->close_cb;
    void *data = log->close_data;
    free(log);
    if (cb != NULL)
        cb(data);
}

static void on_closer_closed(uv_handle_t *closer)
{
    finish_close(closer->data);
}

static void on_written(uv_work_t *work, int status)
{
    (void)status; /* nobody cancels it */
    struct batch *b = CONTAINER_OF(work, struct batch, work);
    struct log *log = b->log;
    if (b->lost > 0)
        count_lost(log, b->lost, b->code);
    log->batch = NULL;
    free(b->bytes);
    free(b);
    start_batch(log);
    if (log->closing) {
        if (log->batch == NULL)
            finish_close(log);
    } else if (log->above && backlog(log) < LOG_HIGH_BYTES / 2) {
        log->above = false;
        if (log->on_room != NULL)
            log->on_room(log->data); /* last: it may close the log */
    }
}

/* One record: Docker's json-file driver has exactly these members in this order. */
static void put_record(struct log *log, int stream, const char *time, const char *bytes, size_t count)
{
    struct text *out = &log->pending;
    size_t mark = out->count;
    struct json json = {.out = out};
    json_open(&json, NULL, '{');
    json_bytes(&json, "log", bytes, count);
    json_string(&json, "stream", stream == 2 ? "stderr" : "stdout");
    json_string(&json, "time", time);
    json_close(&json, '}');
    text_add(out, "\n", 1);
    if (out->failed) { /* no memory: this record is lost, those before it are whole */
        count_lost(log, count, -ENOMEM);
        out->failed = false;
        out->count = mark;
        if (mark == 0)
            text_free(out); /* nothing pending holds nothing */
    }
}

/* A partial line ends between two characters: how many of the count bytes come before one that is cut off by the end. */
static size_t before_cut_character(const char *bytes, size_t count)
{
    for (size_t back = 1; back <= 3 && back < count; back++) {
        unsigned char c = (unsigned char)bytes[count - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return length > back ? count - back : count;
    }
    return count;
}

/* Keep bytes of a line until its end comes. */
static void keep(struct log *log, struct text *line, const char *bytes, size_t count)
{
    text_add(line, bytes, count);
    if (line->failed) {
        count_lost(log, line->count + count, -ENOMEM);
        text_free(line);
    }
}

size_t log_append(struct log *log, int stream, const char *bytes, size_t count)
{
    struct text *line = &log->lines[stream == 2];
    char time[32];
    base_format_time(base_realtime_usec(), time);
    while (count > 0) {
        size_t most = LINE_BYTES - line->count < count ? LINE_BYTES - line->count : count;
        const char *newline = memchr(bytes, '\n', most);
        size_t taken = newline != NULL ? (size_t)(newline - bytes) + 1 : most;
        if (newline == NULL && line->count + taken < LINE_BYTES) {
            keep(log, line, bytes, taken);
        } else if (line->count == 0) { /* the usual way: no copy */
            if (newline == NULL)
                taken = before_cut_character(bytes, taken);
            put_record(log, stream, time, bytes, taken);
        } else {
            keep(log, line, bytes, taken);
            size_t whole = newline != NULL ? line->count : before_cut_character(line->bytes, line->count);
            struct text rest = {0};
            if (whole < line->count)
                keep(log, &rest, line->bytes + whole, line->count - whole);
            if (whole > 0)
                put_record(log, stream, time, line->bytes, whole);
            text_free(line); /* an idle log holds no memory for lines */
            *line = rest;
        }
        bytes += taken;
        count -= taken;
    }
    start_batch(log);
    size_t left = backlog(log);
    if (left >= LOG_HIGH_BYTES)
        log->above = true;
    return left;
}

void log_end_stream(struct log *log, int stream)
{
    struct text *line = &log->lines[stream == 2];
    if (line->count > 0) {
        char time[32];
        base_format_time(base_realtime_usec(), time);
        put_record(log, stream, time, line->bytes, line->count);
        start_batch(log);
    }
    text_free(line);
}

uint64_t log_dropped(const struct log *log, int *out_code)
{
    if (out_code != NULL)
        *out_code = log->lost_code;
    return log->lost_bytes;
}

int log_open(struct log **out, uv_loop_t *loop, const char *path, uint64_t max_bytes, unsigned max_files,
             void (*on_room)(void *data), void *data, shoal_error_t *err)
{
    if (path[0] != '/')
        return shoal_refuse(err, -EINVAL, "log %s: not an absolute path", path);
    size_t count = strlen(path) + 1;
    struct log *log = calloc(1, sizeof *log + count);
    if (log == NULL)
        return shoal_fail(err, -ENOMEM, "log %s", path);
    log->loop = loop;
    log->max_bytes = max_bytes;
    log->max_files = max_files ? max_files : 1;
    log->on_room = on_room;
    log->data = data;
    memcpy(log->path, path, count);
    *out = log;
    return 0;
}

void log_close(struct log *log, void (*cb)(void *data), void *data)
{
    log->closing = true;
    log->close_cb = cb;
    log->close_data = data;
    log_end_stream(log, 1);
    log_end_stream(log, 2);
    if (log->batch != NULL)
        return;
    (void)uv_idle_init(log->loop, &log->closer); /* cannot fail */
    log->closer.data = log;
    uv_close((uv_handle_t *)&log->closer, on_closer_closed);
}
