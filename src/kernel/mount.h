/* Mounts as descriptors: mount_setattr(2), open_tree(2), move_mount(2), fsopen(2). Detached until somebody attaches them. */
#ifndef KERNEL_MOUNT_H
#define KERNEL_MOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "shoal/error.h"

struct mount_clone {
    bool recursive;
    bool read_only, no_suid, no_dev, no_exec;
    int user_fd; /* a user namespace whose id maps the clone gets (idmapped mount); -1 none */
};

/* Clone the mount at path below dir_fd ("": dir_fd itself) as a detached, private mount.
 * Returns the descriptor (close-on-exec; the caller's) or -ENOENT, -EINVAL (the file system cannot be idmapped), ... */
int mount_clone(int dir_fd, const char *path, const struct mount_clone *how, shoal_error_t *err);

/* One parameter of a file system; value NULL: a flag. */
struct mount_option {
    const char *key, *value;
};

/* Mount a file system of that type, as a detached mount with attributes (MOUNT_ATTR_NOSUID, ...).
 * Returns the descriptor (O_PATH, close-on-exec; the caller's) or what the kernel said. */
int mount_make(const char *type, const struct mount_option *options, size_t count, unsigned attributes,
               shoal_error_t *err);

/* Make an empty tmpfs as a detached mount; mode as in tmpfs(5), "0755". */
int mount_make_tmpfs(const char *mode, shoal_error_t *err);
int mount_make_read_only(int mount_fd, shoal_error_t *err); /* this mount of it */

/* Change parameters of the file system that is mounted at path. */
int mount_change(const char *path, const struct mount_option *options, size_t count, shoal_error_t *err);

#endif
