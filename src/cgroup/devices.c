/* Who decides which devices are used: programs of the project's directory and of those of containers. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cgroup/inside.h"
#include "kernel/devices.h"

int cgroup_root_may_set_devices(const struct cgroup_root *root, shoal_error_t *err)
{
    AUTO_FREE char *path = root->path != NULL ? base_format("%s", root->path) : base_format("%s/shoal", root->top);
    if (path == NULL)
        return shoal_fail(err, -ENOMEM, "cgroup");
    for (;;) {
        AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int code = fd < 0 ? -errno : devices_leaves_room(fd); /* -ENOENT: it is not there yet, or has no program */
        if (code == 0)
            return shoal_refuse(err, -EPERM,
                                "%s has a device program that lets no other decide below it; attach that one with "
                                "BPF_F_ALLOW_MULTI",
                                path);
        if (code < 0 && code != -ENOENT)
            return shoal_fail(err, code, "%s: ask for device programs", path);
        char *slash = strrchr(path, '/');
        if (code == 1 || strlen(path) <= root->mount_length || slash == NULL || slash == path)
            return 0; /* the nearest one that there is has decided */
        *slash = '\0';
    }
}

int cgroup_root_set_devices(struct cgroup_root *root, int program_fd, shoal_error_t *err)
{
    int code = devices_attach(root->dir_fd, program_fd, true, err);
    if (code == -EPERM && cgroup_root_may_set_devices(root, err) < 0)
        return code; /* which names the one */
    return code < 0 ? shoal_within(err, "%s", root->path) : 0;
}

int cgroup_set_devices(struct cgroup *cgroup, int program_fd, shoal_error_t *err)
{
    int code = devices_attach(cgroup->dir_fd, program_fd, false, err);
    return code < 0 ? shoal_within(err, "%s/%s", cgroup->root->path, cgroup->name) : 0;
}
