/* Death certificates on disk: one file for each container's name, a JSON line for each of its last deaths. The lines are those
 * of the stream; workers write them, one batch at a time. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "kernel/path.h"
#include "metrics/metrics.h"
#include "metrics/ndjson.h"

enum {
    PENDING_MOST = 4096, /* lines that a disk may hold up */
    CHECK_BYTES = 32 << 10,
    LINES_MOST = 2 * DEATHS_KEPT /* then the older half goes: not at every death */
};

struct certificate {
    struct certificate *next;
    char *path; /* owned */
    char *line; /* owned */
    size_t count;
};

struct deaths {
    struct deaths_options options;
    char *dir; /* owned: ROOT/deaths */
    shoal_subscriber_t subscriber;
    struct certificate *pending, **pending_end;
    size_t pending_count;
    uv_work_t work;
    bool working, closing;
    bool told;                 /* that it does not work: once, until it works again */
    struct certificate *batch; /* the worker's */
    shoal_error_t error;       /* the worker's; code 0 all is written */
    void (*close_cb)(void *data);
    void *close_data;
};

static void free_certificate(struct certificate *certificate)
{
    free(certificate->path);
    free(certificate->line);
    free(certificate);
}

/* The worker's side */

static int open_file(const char *path)
{
    static const int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC;
    int fd = open(path, flags, 0640);
    if (fd >= 0 || errno != ENOENT)
        return fd < 0 ? -errno : fd;
    int code = path_make_parents(path);
    if (code < 0)
        return code;
    fd = open(path, flags, 0640);
    return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            bytes += written;
            count -= (size_t)written;
        }
    }
    return 0;
}

/* Where the last DEATHS_KEPT lines begin; 0: there are not too many. */
static size_t find_kept(const char *bytes, size_t count)
{
    size_t lines = 0, kept = 0;
    for (size_t i = count; i > 0; i--)
        if (bytes[i - 1] == '\n' && ++lines == DEATHS_KEPT + 1)
            kept = i;
    return lines > LINES_MOST ? kept : 0;
}

/* The new file takes the old one's place as a whole: a crash in between loses nothing. */
static int shorten(const char *path, int fd, size_t size)
{
    AUTO_FREE char *bytes = malloc(size);
    AUTO_FREE char *fresh = base_format("%s.new", path);
    if (bytes == NULL || fresh == NULL)
        return -ENOMEM;
    ssize_t count = pread(fd, bytes, size, 0);
    size_t kept = count > 0 ? find_kept(bytes, (size_t)count) : 0;
    if (kept == 0)
        return 0;
    AUTO_FD out = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    int code = out < 0 ? -errno : write_all(out, bytes + kept, (size_t)count - kept);
    if (code == 0 && rename(fresh, path) < 0)
        code = -errno;
    if (code < 0)
        (void)unlink(fresh);
    return code;
}

static int append(const struct certificate *certificate)
{
    AUTO_FD fd = open_file(certificate->path);
    struct stat about;
    if (fd < 0)
        return fd;
    if (fstat(fd, &about) < 0)
        return -errno;
    char last = '\n';
    if (about.st_size > 0)
        (void)!pread(fd, &last, 1, about.st_size - 1);
    int code = last == '\n' ? 0 : write_all(fd, "\n", 1); /* a crash left a torn line: ours begins on one of its own */
    if (code == 0)
        code = write_all(fd, certificate->line, certificate->count);
    if (code < 0) {
        (void)!ftruncate(fd, about.st_size); /* no torn line; else the next one is put right above */
        return code;
    }
    size_t size = (size_t)about.st_size + certificate->count;
    return size > CHECK_BYTES ? shorten(certificate->path, fd, size) : 0;
}

static void write_batch(uv_work_t *work)
{
    struct deaths *deaths = CONTAINER_OF(work, struct deaths, work);
    deaths->error.code = 0;
    for (const struct certificate *at = deaths->batch; at != NULL; at = at->next) {
        int code = append(at);
        if (code < 0)
            (void)shoal_fail(&deaths->error, code, "%s: write", at->path);
    }
}

/* The loop's side */

static void warn(struct deaths *deaths, const char *text)
{
    if (!deaths->told && deaths->options.on_warning != NULL)
        deaths->options.on_warning(deaths->options.data, text);
    deaths->told = true;
}

static void finish_close(struct deaths *deaths)
{
    void (*cb)(void *) = deaths->close_cb;
    void *data = deaths->close_data;
    free(deaths->dir);
    free(deaths);
    cb(data);
}

static void on_written(uv_work_t *work, int status);

static void start_batch(struct deaths *deaths)
{
    if (deaths->working || deaths->pending == NULL)
        return;
    deaths->batch = deaths->pending;
    deaths->pending = NULL;
    deaths->pending_end = &deaths->pending;
    deaths->pending_count = 0;
    deaths->working = true;
    (void)uv_queue_work(deaths->options.loop, &deaths->work, write_batch,
                        on_written); /* fails without a function alone */
}

static void on_written(uv_work_t *work, int status)
{
    (void)status; /* nobody cancels it */
    struct deaths *deaths = CONTAINER_OF(work, struct deaths, work);
    deaths->working = false;
    while (deaths->batch != NULL) {
        struct certificate *next = deaths->batch->next;
        free_certificate(deaths->batch);
        deaths->batch = next;
    }
    if (deaths->error.code < 0)
        warn(deaths, deaths->error.text);
    else
        deaths->told = false;
    start_batch(deaths);
    if (deaths->closing && !deaths->working)
        finish_close(deaths);
}

static void on_event(void *data, const shoal_event_t *event)
{
    struct deaths *deaths = data;
    if (event->kind != SHOAL_EVENT_DIE)
        return;
    struct certificate *certificate = deaths->pending_count < PENDING_MOST ? calloc(1, sizeof *certificate) : NULL;
    struct text line = {0};
    if (certificate != NULL) {
        ndjson_event(&line, event);
        certificate->path = base_format("%s/%s/%s.ndjson", deaths->dir, event->project, event->container);
        certificate->count = line.count;
        certificate->line = text_take(&line);
    }
    if (certificate == NULL || certificate->path == NULL || certificate->line == NULL) {
        if (certificate != NULL)
            free_certificate(certificate);
        warn(deaths, "a death certificate could not be kept: memory is short, or the disk does not keep up");
        return;
    }
    *deaths->pending_end = certificate;
    deaths->pending_end = &certificate->next;
    deaths->pending_count++;
    start_batch(deaths);
}

int deaths_open(struct deaths **out, const struct deaths_options *options, shoal_error_t *err)
{
    struct deaths *deaths = calloc(1, sizeof *deaths);
    if (deaths == NULL)
        return shoal_fail(err, -ENOMEM, "death certificates");
    deaths->options = *options;
    deaths->pending_end = &deaths->pending;
    deaths->dir = base_format("%s/deaths", options->root_dir);
    if (deaths->dir == NULL) {
        free(deaths);
        return shoal_fail(err, -ENOMEM, "death certificates");
    }
    deaths->subscriber = (shoal_subscriber_t){.data = deaths, .on_event = on_event};
    options->source->subscribe(options->supervisor, &deaths->subscriber);
    *out = deaths;
    return 0;
}

void deaths_close(struct deaths *deaths, void (*cb)(void *data), void *data)
{
    deaths->options.source->unsubscribe(deaths->options.supervisor, &deaths->subscriber);
    deaths->close_cb = cb;
    deaths->close_data = data;
    deaths->closing = true;
    if (!deaths->working)
        finish_close(deaths);
}
