/* Block devices, as the io controller names them. */
#include <errno.h>
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
