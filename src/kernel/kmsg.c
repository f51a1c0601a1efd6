#include "kernel/kmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

enum { RECORD_BYTES = 8192, RECORDS_MOST = 20000 }; /* the kernel's CONSOLE_EXT_LOG_MAX; a bound on one read of all */

int kmsg_open(shoal_error_t *err)
{
    AUTO_FD fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
        return shoal_fail(err, -errno, "open /dev/kmsg");
    return take_fd(&fd);
}

/* The comm is what a process calls itself, and it may contain ") ": its end is the last one before what follows. */
static bool parse_killed(const char *text, struct kmsg_victim *out)
{
    static const char word[] = "Killed process ", behind[] = ") total-vm:", uid[] = ", UID:";
    const char *at = strstr(text, word);
    int pid, used = 0;
    if (at == NULL || sscanf(at + sizeof word - 1, "%d (%n", &pid, &used) != 1 || used == 0 || pid <= 0)
        return false;
    const char *comm = at + sizeof word - 1 + used, *end = NULL;
    for (const char *next = comm; (next = strstr(next, behind)) != NULL; next++)
        end = next;
    const char *of = end != NULL ? strstr(end, uid) : NULL;
    unsigned number;
    if (of == NULL || sscanf(of + sizeof uid - 1, "%u", &number) != 1)
        return false;
    size_t count = (size_t)(end - comm) < sizeof out->comm ? (size_t)(end - comm) : sizeof out->comm - 1;
    memcpy(out->comm, comm, count);
    out->comm[count] = '\0';
    out->pid = pid;
    out->uid = number;
    return true;
}

bool kmsg_parse_victim(const char *record, struct kmsg_victim *out)
{
    unsigned priority;
    unsigned long long sequence, time;
    const char *text = strchr(record, ';');
    if (text == NULL || sscanf(record, "%u,%llu,%llu", &priority, &sequence, &time) != 3)
        return false;
    if (priority >> 3 != 0) /* not of the kernel: somebody wrote it to /dev/kmsg */
        return false;
    struct kmsg_victim found = {.time_usec = time};
    if (!parse_killed(text + 1, &found))
        return false;
    *out = found;
    return true;
}

size_t kmsg_read_victims(int fd, unsigned wait_ms, struct kmsg_victim *out, size_t room)
{
    char record[RECORD_BYTES + 1];
    size_t found = 0;
    uint64_t until = base_monotonic_usec() + UINT64_C(1000) * wait_ms;
    for (unsigned i = 0; i < RECORDS_MOST; i++) {
        ssize_t count = read(fd, record, RECORD_BYTES);
        if (count < 0 && errno == EPIPE) /* older ones were overwritten before we came */
            continue;
        if (count > 0) {
            record[count] = '\0';
            found += found < room && kmsg_parse_victim(record, &out[found]);
            continue;
        }
        uint64_t now = base_monotonic_usec();
        if (count == 0 || (errno != EAGAIN && errno != EINTR) || found > 0 || now >= until)
            break;
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        (void)poll(&waiting, 1, (int)((until - now) / 1000) + 1);
    }
    return found;
}
