#include "kernel/quota.h"

#include <errno.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int control(int fd, unsigned command, uint32_t project, void *argument)
{
    return syscall(SYS_quotactl_fd, fd, QCMD(command, PRJQUOTA), project, argument) < 0 ? -errno : 0;
}

int quota_look(int fd, shoal_error_t *err)
{
    struct fs_quota_statv state = {.qs_version = FS_QSTATV_VERSION1};
    int code = control(fd, Q_XGETQSTATV, 0, &state);
    if (code == 0 && (state.qs_flags & FS_QUOTA_PDQ_ENFD) == 0)
        code = -ESRCH;
    if (code == -ESRCH || code == -EINVAL || code == -ENOSYS || code == -ENOTBLK || code == -ENODEV)
        return shoal_refuse(err, -ENOTSUP, "no project quotas");
    return code < 0 ? shoal_fail(err, code, "project quotas") : 0;
}

int quota_set_project(int dir_fd, uint32_t project, shoal_error_t *err)
{
    struct fsxattr attributes;
    if (ioctl(dir_fd, FS_IOC_FSGETXATTR, &attributes) < 0)
        return shoal_fail(err, -errno, "read its project");
    attributes.fsx_projid = project;
    if (project != 0)
        attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    else
        attributes.fsx_xflags &= ~(uint32_t)FS_XFLAG_PROJINHERIT;
    if (ioctl(dir_fd, FS_IOC_FSSETXATTR, &attributes) < 0)
        return shoal_fail(err, -errno, "set its project %u", project);
    return 0;
}

int quota_get_project(int dir_fd, uint32_t *out)
{
    struct fsxattr attributes;
    if (ioctl(dir_fd, FS_IOC_FSGETXATTR, &attributes) == 0) {
        *out = attributes.fsx_projid;
        return 0;
    }
    if (errno != ENOTTY && errno != EOPNOTSUPP && errno != ENOSYS)
        return -errno;
    *out = 0;
    return 0;
}

int quota_read(int fd, uint32_t project, struct quota *out, shoal_error_t *err)
{
    struct if_dqblk block = {0};
    int code = control(fd, Q_GETQUOTA, project, &block);
    if (code < 0 && code != -ENOENT) /* xfs has nothing to tell of it */
        return shoal_fail(err, code, "read the quota of project %u", project);
    *out = (struct quota){
        .bytes = block.dqb_curspace,
        .inodes = block.dqb_curinodes,
        .bytes_max = block.dqb_bhardlimit * QIF_DQBLKSIZE,
        .inodes_max = block.dqb_ihardlimit,
    };
    return 0;
}

int quota_set_limits(int fd, uint32_t project, uint64_t bytes, uint64_t inodes, shoal_error_t *err)
{
    struct if_dqblk block = {
        .dqb_bhardlimit = bytes / QIF_DQBLKSIZE + (bytes % QIF_DQBLKSIZE > 0),
        .dqb_ihardlimit = inodes,
        .dqb_valid = QIF_LIMITS,
    };
    int code = control(fd, Q_SETQUOTA, project, &block);
    if (code < 0)
        return shoal_fail(err, code, "set the quota of project %u", project);
    struct quota now;
    code = quota_read(fd, project, &now, err);
    if (code == 0 && (now.bytes_max != block.dqb_bhardlimit * QIF_DQBLKSIZE || now.inodes_max != inodes))
        code = shoal_refuse(err, -EIO, "project %u is held to %llu bytes and %llu inodes, which is not what was set",
                            project, (unsigned long long)now.bytes_max, (unsigned long long)now.inodes_max);
    return code;
}
