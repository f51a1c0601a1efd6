#include "kernel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>

#include "base/base.h"

int mount_clone(int dir_fd, const char *path, const struct mount_clone *how, shoal_error_t *err)
{
    unsigned deep = how->recursive ? AT_RECURSIVE : 0;
    AUTO_FD fd = open_tree(dir_fd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | deep);
    if (fd < 0)
        return shoal_fail(err, -errno, "open_tree %s", path);
    struct mount_attr attr = {
        .attr_set = (how->read_only ? MOUNT_ATTR_RDONLY : 0) | (how->no_suid ? MOUNT_ATTR_NOSUID : 0) |
                    (how->no_dev ? MOUNT_ATTR_NODEV : 0) | (how->no_exec ? MOUNT_ATTR_NOEXEC : 0) |
                    (how->user_fd >= 0 ? MOUNT_ATTR_IDMAP : 0),
        .propagation = MS_PRIVATE, /* what a sandbox mounts on it stays there */
        .userns_fd = how->user_fd >= 0 ? (unsigned)how->user_fd : 0,
    };
    if (mount_setattr(fd, "", AT_EMPTY_PATH | deep, &attr, sizeof attr) < 0)
        return shoal_fail(err, -errno, "mount_setattr %s%s", path, how->user_fd >= 0 ? " (idmapped)" : "");
    return take_fd(&fd);
}

int mount_make_tmpfs(const char *mode, shoal_error_t *err)
{
    AUTO_FD fs_fd = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (fs_fd < 0)
        return shoal_fail(err, -errno, "fsopen tmpfs");
    if (fsconfig(fs_fd, FSCONFIG_SET_STRING, "mode", mode, 0) < 0 ||
        fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return shoal_fail(err, -errno, "fsconfig tmpfs");
    int fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, 0);
    return fd >= 0 ? fd : shoal_fail(err, -errno, "fsmount tmpfs");
}

int mount_make_read_only(int mount_fd, shoal_error_t *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    if (mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
        return shoal_fail(err, -errno, "mount_setattr read-only");
    return 0;
}
