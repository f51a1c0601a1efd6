#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup/inside.h"

/* The kernel parses each write(2) as a whole: one call, no retry of a rest. Source: cgroup-v2.rst */
int cgroup_file_write(int dir_fd, const char *file, const char *value, shoal_error_t *err)
{
    AUTO_FD fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return shoal_fail(err, -errno, "%s: open", file);
    ssize_t count = write(fd, value, strlen(value));
    if (count < 0)
        return shoal_fail(err, -errno, "%s: write '%s'", file, value);
    return (size_t)count == strlen(value) ? 0 : shoal_fail(err, -EIO, "%s: short write", file);
}

ssize_t cgroup_file_read(int dir_fd, const char *file, char *out, size_t room)
{
    AUTO_FD fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t count = read(fd, out, room - 1);
    if (count < 0)
        return -errno;
    out[count] = '\0';
    return count;
}

/* By the project's directory: a descriptor per container would be the scarcer thing. */
static void path_of(const struct cgroup *cgroup, const char *file, char out[CGROUP_PATH])
{
    (void)snprintf(out, CGROUP_PATH, "%s/%s", cgroup->name, file);
}

int cgroup_write(const struct cgroup *cgroup, const char *file, const char *value, shoal_error_t *err)
{
    char path[CGROUP_PATH];
    path_of(cgroup, file, path);
    return cgroup_file_write(cgroup->root->dir_fd, path, value, err);
}

ssize_t cgroup_read(const struct cgroup *cgroup, const char *file, char *out, size_t room)
{
    char path[CGROUP_PATH];
    path_of(cgroup, file, path);
    return cgroup_file_read(cgroup->root->dir_fd, path, out, room);
}

/* Directories only: the files of a cgroup go with it. Depth is the kernel's business (cgroup.max.depth). */
int cgroup_tree_remove(int dir_fd, const char *name)
{
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY && errno != ENOTEMPTY)
        return -errno;
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return -ENOMEM;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)cgroup_tree_remove(fd, entry->d_name); /* what stays shows in the rmdir below */
    (void)closedir(dir);
    return unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

static int open_file(int dir_fd, const char *path, int flags, shoal_error_t *err)
{
    int fd = openat(dir_fd, path, flags | O_CLOEXEC);
    return fd >= 0 ? fd : shoal_fail(err, -errno, "%s: open", path);
}

int cgroup_open_file(const struct cgroup *cgroup, const char *file, int flags, shoal_error_t *err)
{
    char path[CGROUP_PATH];
    path_of(cgroup, file, path);
    return open_file(cgroup->root->dir_fd, path, flags, err);
}

int cgroup_root_open_file(const struct cgroup_root *root, const char *file, int flags, shoal_error_t *err)
{
    return open_file(root->dir_fd, file, flags, err);
}

uint64_t cgroup_root_read_number(const struct cgroup_root *root, const char *file)
{
    char text[CGROUP_TEXT];
    return cgroup_file_read(root->dir_fd, file, text, sizeof text) >= 0 ? cgroup_parse_number(text) : SHOAL_ABSENT;
}

uint64_t cgroup_read_number(const struct cgroup *cgroup, const char *file)
{
    char text[CGROUP_TEXT];
    return cgroup_read(cgroup, file, text, sizeof text) >= 0 ? cgroup_parse_number(text) : SHOAL_ABSENT;
}
