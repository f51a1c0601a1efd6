/* Block devices, as the io controller names them, and who heeds a weight on them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cgroup/inside.h"

/* "8:16" */
static bool parse_number(const char *text, unsigned *out_major, unsigned *out_minor)
{
    int end = 0;
    return text[0] >= '0' && text[0] <= '9' && sscanf(text, "%9u:%9u%n", out_major, out_minor, &end) == 2 &&
           text[end] == '\0';
}

int cgroup_find_disk(const char *name, char out[LIMIT_SUBJECT], shoal_error_t *err)
{
    unsigned major, minor;
    if (!parse_number(name, &major, &minor)) {
        struct stat about;
        if (stat(name, &about) < 0)
            return shoal_fail(err, -errno, "%s", name);
        if (!S_ISBLK(about.st_mode))
            return shoal_refuse(err, -ENOTBLK, "%s is no block device", name);
        major = major(about.st_rdev);
        minor = minor(about.st_rdev);
    }
    char path[64];
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major, minor);
    if (access(path, F_OK) < 0)
        return shoal_refuse(err, -ENXIO, "%s: this host has no block device %u:%u", name, major, minor);
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/partition", major, minor);
    if (access(path, F_OK) == 0)
        return shoal_refuse(err, -EINVAL, "%s is a partition; the kernel limits whole disks", name);
    (void)snprintf(out, LIMIT_SUBJECT, "%u:%u", major, minor);
    return 0;
}

/* ---- weights: by io.cost, which is switched on for each device at the root of the hierarchy, or by the scheduler bfq ---- */

static bool is_scheduled_by_bfq(const char *dir, const char *name)
{
    char text[256], path[320];
    (void)snprintf(path, sizeof path, "%s/%s/queue/scheduler", dir, name);
    return cgroup_file_read(AT_FDCWD, path, text, sizeof text) >= 0 && strstr(text, "[bfq]") != NULL;
}

static bool bfq_schedules_any(void)
{
    static const char all[] = "/sys/block";
    DIR *dir = opendir(all);
    bool found = false;
    for (struct dirent *entry; dir != NULL && !found && (entry = readdir(dir)) != NULL;)
        found = entry->d_name[0] != '.' && is_scheduled_by_bfq(all, entry->d_name);
    if (dir != NULL)
        (void)closedir(dir);
    return found;
}

/* The root of the hierarchy alone has it, and inside a container that is not the mount's. */
static bool read_cost(const struct cgroup_root *root, char out[CGROUP_TEXT])
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%.*s/io.cost.qos", (int)root->mount_length, root->top);
    return cgroup_file_read(AT_FDCWD, path, out, CGROUP_TEXT) >= 0;
}

static bool has_file(const struct cgroup_root *root, const char *file)
{
    char path[PATH_MAX];
    if (root->dir_fd >= 0)
        return faccessat(root->dir_fd, file, F_OK, 0) == 0;
    (void)snprintf(path, sizeof path, "%s/%s", root->top, file);
    return access(path, F_OK) == 0;
}

/* A root cgroup has no weight itself: where no other may be made to look, what stands behind the files tells. */
void cgroup_find_weight_files(struct cgroup_root *root)
{
    char text[CGROUP_TEXT];
    bool look_only = root->dir_fd < 0;
    root->has_io_weight = has_file(root, "io.weight") || (look_only && read_cost(root, text));
    root->has_bfq_weight = has_file(root, "io.bfq.weight") || (look_only && bfq_schedules_any());
    root->has[CGROUP_IO_WEIGHT] = root->has[CGROUP_IO] && (root->has_io_weight || root->has_bfq_weight);
    if (root->has[CGROUP_IO_WEIGHT])
        return;
    (void)snprintf(root->why_not[CGROUP_IO_WEIGHT], sizeof root->why_not[CGROUP_IO_WEIGHT], "%s",
                   root->has[CGROUP_IO] ? "its kernel is without CONFIG_BLK_CGROUP_IOCOST, and bfq is not loaded"
                                        : root->why_not[CGROUP_IO]);
}

unsigned cgroup_find_weigher(const struct cgroup_root *root, const char *device)
{
    char text[CGROUP_TEXT];
    bool bfq = root->has_bfq_weight &&
               (device != NULL ? is_scheduled_by_bfq("/sys/dev/block", device) : bfq_schedules_any());
    bool cost = root->has_io_weight && (read_cost(root, text) ? cgroup_parse_cost(text, device) : !bfq);
    return (bfq ? (unsigned)WEIGHED_BY_BFQ : 0u) | (cost ? (unsigned)WEIGHED_BY_COST : 0u);
}

int cgroup_check_weight(const struct cgroup_root *root, const char *name, shoal_error_t *err)
{
    char device[LIMIT_SUBJECT];
    if (name != NULL && cgroup_find_disk(name, device, NULL) < 0)
        return 0; /* which cgroup_limits_new() says */
    if (cgroup_find_weigher(root, name != NULL ? device : NULL) != 0)
        return 0;
    static const char why[] = "heeded with io.cost switched on for a device, or bfq as its scheduler";
    if (name == NULL)
        return shoal_refuse(err, -ENOTSUP, "a weight is %s, and this host has no such device", why);
    return shoal_refuse(err, -ENOTSUP, "a weight is %s, and %s is no such device", why, name);
}
