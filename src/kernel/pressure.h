/* Pressure stall information of the whole host: for how long some task had to wait for a resource.
 * Source: Documentation/accounting/psi.rst. */
#ifndef KERNEL_PRESSURE_H
#define KERNEL_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "shoal/error.h"

enum pressure_kind { PRESSURE_CPU, PRESSURE_MEMORY, PRESSURE_IO, PRESSURE_COUNT };
const char *pressure_name(enum pressure_kind kind); /* of the file in /proc/pressure: "cpu" */

/* The three files, kept open: a read at 0 gives what is true now, so that nothing has to be opened each time. */
struct pressure {
    int fds[PRESSURE_COUNT]; /* -1: a kernel without (CONFIG_PSI=n, psi=0) */
};
void pressure_open(struct pressure *pressure);
void pressure_close(struct pressure *pressure);

#define PRESSURE_ABSENT UINT64_MAX

/* Microseconds since boot in which some task waited. A few short loops over the CPUs: nothing that waits.
 * PRESSURE_ABSENT where the kernel does not say. */
uint64_t pressure_read_some_usec(const struct pressure *pressure, enum pressure_kind kind);

/* The total of the line "some ..." of such a file. */
uint64_t pressure_parse_some_usec(const char *text);

/* A trigger: the kernel tells, at most once a window, that tasks waited for longer than that within the window. It costs a
 * thread of the kernel (psimon) for each group of tasks that has one. */
struct pressure_trigger {
    uv_poll_t poll;
    int fd; /* owned */
    void (*cb)(void *data);
    void *data;
    void (*close_cb)(void *data);
};
/* pressure_fd: of such a file of the host or of a cgroup, O_RDWR | O_NONBLOCK; ours from here on, also on failure. full: all tasks waited.
 * window_usec: from 500 ms to 10 s; a process without CAP_SYS_RESOURCE gets whole 2 s alone, and no thread is spent on it.
 * Returns 0, -EINVAL the kernel takes no such trigger, -EOPNOTSUPP without PSI, -ENOMEM. */
int pressure_trigger_open(struct pressure_trigger *trigger, uv_loop_t *loop, int pressure_fd, bool full,
                          uint64_t stall_usec, uint64_t window_usec, void (*cb)(void *data), void *data,
                          shoal_error_t *err);
/* To be closed before its cgroup goes: the file of one that is gone is always readable. cb: once, from the loop. */
void pressure_trigger_close(struct pressure_trigger *trigger, void (*cb)(void *data));

#endif
