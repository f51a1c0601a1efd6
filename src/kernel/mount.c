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

/* What the file system itself says of a failure goes to whoever reads its context: "e tmpfs: Bad value for 'size'". */
static int fail(int fs_fd, int code, const char *what, shoal_error_t *err)
{
    char said[160];
    ssize_t count = read(fs_fd, said, sizeof said - 1);
    if (count <= 2 || said[1] != ' ')
        return shoal_fail(err, code, "%s", what);
    said[count] = '\0';
    return shoal_fail(err, code, "%s: %s", what, said + 2);
}

static int set_options(int fs_fd, const struct mount_option *options, size_t count, shoal_error_t *err)
{
    for (size_t i = 0; i < count; i++)
        if (fsconfig(fs_fd, options[i].value != NULL ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, options[i].key,
                     options[i].value, 0) < 0)
            return fail(fs_fd, -errno, options[i].key, err);
    return 0;
}

int mount_make(const char *type, const struct mount_option *options, size_t count, unsigned attributes,
               shoal_error_t *err)
{
    AUTO_FD fs_fd = fsopen(type, FSOPEN_CLOEXEC);
    if (fs_fd < 0)
        return shoal_fail(err, -errno, "fsopen %s", type);
    int code = set_options(fs_fd, options, count, err);
    if (code == 0 && fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        code = fail(fs_fd, -errno, "create", err);
    if (code < 0) {
        (void)shoal_within(err, "mount %s", type);
        return code;
    }
    int fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, attributes);
    return fd >= 0 ? fd : shoal_fail(err, -errno, "fsmount %s", type);
}

int mount_make_tmpfs(const char *mode, shoal_error_t *err)
{
    const struct mount_option option = {"mode", mode};
    return mount_make("tmpfs", &option, 1, 0, err);
}

int mount_change(const char *path, const struct mount_option *options, size_t count, shoal_error_t *err)
{
    AUTO_FD fs_fd = fspick(AT_FDCWD, path, FSPICK_CLOEXEC | FSPICK_NO_AUTOMOUNT);
    if (fs_fd < 0)
        return shoal_fail(err, -errno, "fspick %s", path);
    int code = set_options(fs_fd, options, count, err);
    if (code == 0 && fsconfig(fs_fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
        code = fail(fs_fd, -errno, "remount", err);
    return code;
}

int mount_make_read_only(int mount_fd, shoal_error_t *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    if (mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
        return shoal_fail(err, -errno, "mount_setattr read-only");
    return 0;
}
