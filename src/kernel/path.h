/* Paths: opened by openat2(2), which glibc 2.36 does not wrap, without being led out of a directory; and their parents. */
#ifndef KERNEL_PATH_H
#define KERNEL_PATH_H

#include <linux/openat2.h>
#include <stdint.h>

/* Open an existing path below dir_fd. flags: O_* (O_CLOEXEC is added); resolve: RESOLVE_*.
 * Returns the descriptor or -errno: -EXDEV it leaves dir_fd or the mount, -ELOOP a link that may not be followed. */
int path_open(int dir_fd, const char *path, uint64_t flags, uint64_t resolve);

/* Make the directories that an absolute path lies in, as far as they are not there. Returns 0, -ENOMEM, -errno. */
int path_make_parents(const char *path);

#endif
