/* openat2(2), which glibc 2.36 does not wrap: open a path without being led out of a directory. */
#ifndef KERNEL_PATH_H
#define KERNEL_PATH_H

#include <linux/openat2.h>
#include <stdint.h>

/* Open an existing path below dir_fd. flags: O_* (O_CLOEXEC is added); resolve: RESOLVE_*.
 * Returns the descriptor or -errno: -EXDEV it leaves dir_fd or the mount, -ELOOP a link that may not be followed. */
int path_open(int dir_fd, const char *path, uint64_t flags, uint64_t resolve);

#endif
