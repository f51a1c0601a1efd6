/* Directories around those of containers: groups, and the project itself. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "cgroup/inside.h"

int cgroup_make_group(struct cgroup_root *root, const char *path, struct cgroup_limits *limits, struct cgroup **out,
                      shoal_error_t *err)
{
    struct cgroup *group = cgroup_new(root, path);
    if (group == NULL)
        return shoal_fail(err, -ENOMEM, "group %s", path);
    if (mkdirat(root->dir_fd, path, 0755) < 0) {
        int code = shoal_fail(err, -errno, "make %s/%s", root->path, path);
        cgroup_free(group);
        return code;
    }
    group->is_group = true;
    group->limits = cgroup_limits_ref(limits);
    AUTO_FD fd = openat(root->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = fd < 0 ? shoal_fail(err, -errno, "open %s/%s", root->path, path) : 0;
    if (code == 0) {
        (void)fsetxattr(fd, cgroup_group_xattr, "1", 1, 0); /* without it leftovers are called by the group's name */
        code = cgroup_enable_controllers(root, fd, err);
    }
    if (code == 0)
        code = cgroup_limits_write(limits, fd, err);
    if (code < 0) {
        (void)shoal_within(err, "group %s", path);
        cgroup_free(group);
        (void)unlinkat(root->dir_fd, path, AT_REMOVEDIR);
        return code;
    }
    *out = group;
    return 0;
}

void cgroup_free_group(struct cgroup *group)
{
    if (group != NULL)
        cgroup_free(group);
}

int cgroup_limit_project(struct cgroup_root *root, struct cgroup_limits *limits, struct cgroup **out,
                         shoal_error_t *err)
{
    struct cgroup *project = cgroup_new(root, ".");
    if (project == NULL)
        return shoal_fail(err, -ENOMEM, "budget");
    project->limits = cgroup_limits_ref(limits);
    int code = cgroup_limits_write(limits, root->dir_fd, err);
    if (code < 0) {
        (void)shoal_within(err, "budget");
        cgroup_free(project);
        return code;
    }
    *out = project;
    return 0;
}
