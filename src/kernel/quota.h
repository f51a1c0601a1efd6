/* Project quotas of a file system: FS_IOC_FSSETXATTR and quotactl_fd(2), which ext4 and xfs understand alike. A project is a
 * number that files bear; what its files take together can be limited. */
#ifndef KERNEL_QUOTA_H
#define KERNEL_QUOTA_H

#include <stdint.h>

#include "shoal/error.h"

struct quota {
    uint64_t bytes, inodes;         /* in use */
    uint64_t bytes_max, inodes_max; /* 0: no limit */
};

/* Whether the file system of fd (O_PATH will do) counts projects and holds them to their limits.
 * Returns 0, -ENOTSUP ("no project quotas"), or what else the kernel said. */
int quota_look(int fd, shoal_error_t *err);

/* Give the directory to a project; what is made in it belongs to that too. Not O_PATH. Returns 0, -EOPNOTSUPP, ... */
int quota_set_project(int dir_fd, uint32_t project, shoal_error_t *err);

/* Returns 0 and the project of the directory, 0 when it is of none or its file system has no projects; or a negative errno. */
int quota_get_project(int dir_fd, uint32_t *out);

/* Bytes are rounded up to whole KiB; 0 is no limit. Read back. Needs CAP_SYS_ADMIN in the initial user namespace. */
int quota_set_limits(int fd, uint32_t project, uint64_t bytes, uint64_t inodes, shoal_error_t *err);

/* All 0 for a project that the file system has never heard of. */
int quota_read(int fd, uint32_t project, struct quota *out, shoal_error_t *err);

#endif
