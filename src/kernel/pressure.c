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
        pressure->fds[i] = -1;
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
