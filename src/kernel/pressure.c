#include "kernel/pressure.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/base.h"

static const char *const names[PRESSURE_COUNT] = {
    [PRESSURE_CPU] = "cpu",
    [PRESSURE_MEMORY] = "memory",
    [PRESSURE_IO] = "io",
};

const char *pressure_name(enum pressure_kind kind)
{
    return names[kind];
}

void pressure_open(struct pressure *pressure)
{
    for (int i = 0; i < PRESSURE_COUNT; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "/proc/pressure/%s", names[i]);
        pressure->fds[i] = open(path, O_RDONLY | O_CLOEXEC);
    }
}

void pressure_close(struct pressure *pressure)
{
    for (int i = 0; i < PRESSURE_COUNT; i++) {
        base_close_fd(&pressure->fds[i]);
    }
}

uint64_t pressure_parse_some_usec(const char *text)
{
    static const char line[] = "some ", field[] = " total=";
    if (strncmp(text, line, sizeof line - 1) != 0) /* it is the first line of each file */
        return PRESSURE_ABSENT;
    const char *end = text + strcspn(text, "\n"), *found = strstr(text, field);
    if (found == NULL || found >= end || !isdigit((unsigned char)found[sizeof field - 1]))
        return PRESSURE_ABSENT;
    errno = 0;
    uint64_t total = strtoull(found + sizeof field - 1, NULL, 10);
    return errno == 0 ? total : PRESSURE_ABSENT;
}

uint64_t pressure_read_some_usec(const struct pressure *pressure, enum pressure_kind kind)
{
    char text[256];
    int fd = pressure->fds[kind];
    /* EOPNOTSUPP: the file is there, but the kernel was started with psi=0. */
    ssize_t count = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    if (count <= 0)
        return PRESSURE_ABSENT;
    text[count] = '\0';
    return pressure_parse_some_usec(text);
}

static void on_told(uv_poll_t *poll, int status, int events)
{
    struct pressure_trigger *trigger = poll->data;
    if (status < 0 || (events & UV_PRIORITIZED) == 0) {
        (void)uv_poll_stop(poll); /* the cgroup is gone: it would tell that for ever */
        return;
    }
    trigger->cb(trigger->data);
}

int pressure_trigger_open(struct pressure_trigger *trigger, uv_loop_t *loop, int pressure_fd, bool full,
                          uint64_t stall_usec, uint64_t window_usec, void (*cb)(void *data), void *data,
                          shoal_error_t *err)
{
    AUTO_FD fd = pressure_fd;
    char text[64];
    int count = snprintf(text, sizeof text, "%s %llu %llu", full ? "full" : "some", (unsigned long long)stall_usec,
                         (unsigned long long)window_usec);
    if (write(fd, text, (size_t)count + 1) < 0) /* with its NUL, psi.rst */
        return shoal_fail(err, -errno, "write '%s'", text);
    int code = uv_poll_init(loop, &trigger->poll, fd);
    if (code < 0)
        return shoal_fail(err, code, "watch the trigger");
    trigger->poll.data = trigger;
    trigger->cb = cb;
    trigger->data = data;
    trigger->fd = take_fd(&fd);
    (void)uv_poll_start(&trigger->poll, UV_PRIORITIZED, on_told);
    uv_unref((uv_handle_t *)&trigger->poll); /* listening alone keeps no loop going */
    return 0;
}

static void on_trigger_closed(uv_handle_t *handle)
{
    struct pressure_trigger *trigger = handle->data;
    base_close_fd(&trigger->fd);
    trigger->close_cb(trigger->data);
}

void pressure_trigger_close(struct pressure_trigger *trigger, void (*cb)(void *data))
{
    trigger->close_cb = cb;
    uv_close((uv_handle_t *)&trigger->poll, on_trigger_closed);
}
