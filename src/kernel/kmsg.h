/* The kernel's log: whom the OOM killer chose. There is no other source for that. Source: Documentation/ABI/testing/dev-kmsg,
 * mm/oom_kill.c */
#ifndef KERNEL_KMSG_H
#define KERNEL_KMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shoal/error.h"

/* A process that the OOM killer sent SIGKILL. */
struct kmsg_victim {
    uint64_t time_usec; /* on the log's own clock */
    pid_t pid;          /* in the initial pid namespace, as the uid is in the initial user namespace */
    uint32_t uid;
    char comm[24]; /* as the log shows it: what is not printable is escaped, the end of a long one is cut off */
};

/* Open the log behind its last record. Returns the descriptor, or -errno: -ENOENT, -EPERM. */
int kmsg_open(shoal_error_t *err);

/* Read what has come since, and keep the victims. Where there is none yet, wait up to wait_ms for one: the kernel counts a
 * kill before it writes its line. Returns how many; those beyond room are lost. Waits: for a worker. */
size_t kmsg_read_victims(int fd, unsigned wait_ms, struct kmsg_victim *out, size_t room);

/* One record: "PRIORITY,SEQUENCE,TIME,FLAGS;TEXT". Returns whether it is the kernel's own word on a victim. */
bool kmsg_parse_victim(const char *record, struct kmsg_victim *out);

#endif
