/* The default system call filter: what Docker's default profile lets through, what it refuses, and what a capability
 * adds. Refused calls fail with EPERM; those that a C library tries first and can do without fail with ENOSYS: clone3,
 * whose flags a filter cannot see, and every call newer than this file.
 * i386 programs are filtered by the same table; x32's calls are those of a machine that is not there (ENOSYS).
 * libseccomp knows the names' numbers; the program is our own, a search tree over ranges of numbers: at installation the
 * kernel runs it once for every number there is (seccomp_cache_prepare in kernel/seccomp.c), so that its length is paid at
 * each start of a sandbox.
 * One hole is the kernel's: i386 socketcall(2) passes the address family in memory, where a filter cannot look. */
#ifndef KERNEL_SECCOMP_H
#define KERNEL_SECCOMP_H

#include <linux/filter.h>
#include <stdint.h>

#include "shoal/error.h"

/* Compile the profile for a process with these capabilities (bit n: capability n): once per distinct set, not per
 * sandbox; any thread. *out is the program for seccomp(SECCOMP_SET_MODE_FILTER), freed by the caller.
 * Returns 0, -ENOMEM, -E2BIG (more instructions than the kernel takes). */
int seccomp_compile(uint64_t capabilities, struct sock_filter **out, unsigned short *out_count, shoal_error_t *err);

#endif
