/* The default system call filter: what Docker's default profile lets through, what it refuses, and what a capability
 * adds. Refused calls fail with EPERM; those that a C library tries first and can do without fail with ENOSYS: clone3,
 * whose flags a filter cannot see, and every call newer than this file.
 * 32-bit programs and x32 on amd64 are filtered by the same table; on other machines only native programs run.
 * One hole is the kernel's: i386 socketcall(2) passes the address family in memory, where a filter cannot look. */
#ifndef KERNEL_SECCOMP_H
#define KERNEL_SECCOMP_H

#include <linux/filter.h>
#include <stdint.h>

#include "shoal/error.h"

/* Compile the profile for a process with these capabilities (bit n: capability n). Costs about 10 ms: once per distinct
 * set, not per sandbox; any thread. *out is the program for seccomp(SECCOMP_SET_MODE_FILTER), freed by the caller.
 * Returns 0, -ENOMEM, -E2BIG (more instructions than the kernel takes), or what libseccomp said. */
int seccomp_compile(uint64_t capabilities, struct sock_filter **out, unsigned short *out_count, shoal_error_t *err);

#endif
