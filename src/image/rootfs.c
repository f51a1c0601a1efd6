/* A container's place on disk. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "image/disk.h"
#include "image/layer.h"
#include "kernel/path.h"

enum { IDS = 65536 }; /* of a sandbox's range */

/* One directory in dir_fd, whatever the umask. */
static int make_directory(int dir_fd, const char *name, mode_t mode, uid_t owner, shoal_error_t *err)
{
    if (mkdirat(dir_fd, name, 0700) < 0)
        return shoal_fail(err, -errno, "%s: mkdir", name);
    AUTO_FD fd = path_open(dir_fd, name, O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (fd < 0)
        return shoal_fail(err, fd, "%s", name);
    if (fchown(fd, owner, owner) < 0 || fchmod(fd, mode) < 0) /* in this order: chown clears set-id bits */
        return shoal_fail(err, -errno, "%s: owner %u and mode %o", name, (unsigned)owner, (unsigned)mode);
    return 0;
}

/* How the image has the directory path: 1 and *out, 0 it has none, -ENOTDIR it has something else there. */
static int find_directory(const struct image *image, const char *path, struct stat *out, shoal_error_t *err)
{
    AUTO_FD fd = layer_find(image, path, false);
    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return shoal_fail(err, fd, "/%s in the image", path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return shoal_fail(err, -errno, "/%s in the image", path);
    if (!S_ISDIR(st.st_mode))
        return shoal_fail(err, -ENOTDIR, "/%s in the image", path);
    *out = st;
    return 1;
}

/* An id of the image as the host sees it in the upper layer; ids outside the sandbox's range are its root's there. */
static uid_t shift_id(uid_t base_id, uid_t id)
{
    return id < IDS ? base_id + id : base_id;
}

/* Make the directory path in upper as the layers have it, unless it is there. Merged with a lower one, a directory
 * shows the attributes of the upper one (overlayfs.rst), so that a plain 0755 would open what the image closed. */
static int make_parent(const struct image *image, int upper_fd, const char *path, uid_t base_id, shoal_error_t *err)
{
    struct stat st = {.st_mode = 0755};
    if (fstatat(upper_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    int found = find_directory(image, path, &st, err);
    if (found < 0)
        return found;
    int code = make_directory(upper_fd, path, 0755, base_id, err);
    if (code < 0 || !found)
        return code;
    AUTO_FD fd = path_open(upper_fd, path, O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (fd < 0)
        return shoal_fail(err, fd, "%s", path);
    if (fchown(fd, shift_id(base_id, st.st_uid), shift_id(base_id, st.st_gid)) < 0 ||
        fchmod(fd, st.st_mode & 07777) < 0)
        return shoal_fail(err, -errno, "%s: owner and mode", path);
    return 0;
}

/* Times last, when nothing changes a directory any more. */
static int copy_times(const struct image *image, int upper_fd, const char *path, shoal_error_t *err)
{
    struct stat st;
    int found = find_directory(image, path, &st, err);
    if (found <= 0)
        return found;
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (utimensat(upper_fd, path, times, AT_SYMLINK_NOFOLLOW) < 0)
        return shoal_fail(err, -errno, "%s: times", path);
    return 0;
}

static int write_file(int upper_fd, const struct image_file *file, uid_t base_id, shoal_error_t *err)
{
    AUTO_FD fd = openat(upper_fd, file->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return shoal_fail(err, -errno, "%s: create", file->path);
    for (size_t done = 0, count = strlen(file->text); done < count;) {
        ssize_t written = write(fd, file->text + done, count - done);
        if (written < 0)
            return shoal_fail(err, -errno, "%s: write", file->path);
        done += (size_t)written;
    }
    if (fchown(fd, base_id, base_id) < 0 || fchmod(fd, 0644) < 0)
        return shoal_fail(err, -errno, "%s: owner and mode", file->path);
    return 0;
}

/* "etc/hostname", not "", "/etc/hostname", "etc//hostname", "../x". */
static bool is_plain(const char *path)
{
    for (;;) {
        size_t count = strcspn(path, "/");
        if (count == 0 || (count == 1 && path[0] == '.') || (count == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        if (path[count] == '\0')
            return true;
        path += count + 1;
    }
}

/* Call step for each directory above path, outermost first. */
typedef int (*parent_step)(const struct image *image, int upper_fd, const char *directory, uid_t base_id,
                           shoal_error_t *err);
static int each_parent(const struct image *image, int upper_fd, const char *path, uid_t base_id, parent_step step,
                       shoal_error_t *err)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        AUTO_FREE char *directory = strndup(path, (size_t)(slash - path));
        if (directory == NULL)
            return shoal_fail(err, -ENOMEM, "%s", path);
        int code = step(image, upper_fd, directory, base_id, err);
        if (code < 0)
            return code;
    }
    return 0;
}

static int set_times(const struct image *image, int upper_fd, const char *directory, uid_t base_id, shoal_error_t *err)
{
    (void)base_id;
    return copy_times(image, upper_fd, directory, err);
}

static int fill_upper(const struct image *image, int upper_fd, uid_t base_id, const struct image_file *files,
                      size_t file_count, shoal_error_t *err)
{
    int code = 0;
    for (size_t i = 0; i < file_count && code == 0; i++) {
        if (!is_plain(files[i].path))
            return shoal_refuse(err, -EINVAL, "'%s' is not a path below the root", files[i].path);
        code = each_parent(image, upper_fd, files[i].path, base_id, make_parent, err);
        if (code == 0)
            code = write_file(upper_fd, &files[i], base_id, err);
    }
    for (size_t i = 0; i < file_count && code == 0; i++)
        code = each_parent(image, upper_fd, files[i].path, base_id, set_times, err);
    return code;
}

/* Fill the new directory dir_fd; the writable layer goes into writable_fd, which may be the same. */
static int fill(const struct image *image, int dir_fd, int writable_fd, uid_t base_id, const struct image_file *files,
                size_t file_count, shoal_error_t *err)
{
    struct stat top;
    if (fstat(image->layer_fds[image->layer_count - 1], &top) < 0)
        return shoal_fail(err, -errno, "top layer");
    int code = 0;
    for (size_t i = 0; i < image->layer_count && code == 0; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "l%zu", i);
        code = make_directory(dir_fd, name, 0755, base_id, err);
    }
    if (code == 0)
        code = make_directory(dir_fd, "root", 0755, base_id, err);
    if (code == 0)
        code = make_directory(writable_fd, "work", 0755, base_id, err);
    if (code == 0)
        code = make_directory(writable_fd, "upper", top.st_mode & 07777, base_id, err);
    if (code < 0)
        return code;

    AUTO_FD upper_fd = path_open(writable_fd, "upper", O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (upper_fd < 0)
        return shoal_fail(err, upper_fd, "upper");
    code = fill_upper(image, upper_fd, base_id, files, file_count, err);
    if (code < 0)
        return code;
    const struct timespec times[2] = {top.st_atim, top.st_mtim};
    if (futimens(upper_fd, times) < 0)
        return shoal_fail(err, -errno, "upper: times");
    return 0;
}

static int bound_and_fill(const struct image *image, int dir_fd, const char *dir, uid_t base_id,
                          struct image_disk *disk, const struct image_file *files, size_t file_count,
                          shoal_error_t *err)
{
    if (disk == NULL)
        return fill(image, dir_fd, dir_fd, base_id, files, file_count, err);
    AUTO_FD writable_fd = disk_begin(disk, dir_fd, dir, base_id, err);
    return writable_fd < 0 ? writable_fd : fill(image, dir_fd, writable_fd, base_id, files, file_count, err);
}

int image_make_rootfs(const struct image *image, const char *dir, uid_t base_id, struct image_disk *disk,
                      const struct image_file *files, size_t file_count, shoal_error_t *err)
{
    int code = image_remove_tree(dir, err);
    if (code < 0)
        return code;
    if (mkdir(dir, 0700) < 0)
        return shoal_fail(err, -errno, "%s: mkdir", dir);
    AUTO_FD dir_fd = path_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (dir_fd < 0)
        code = shoal_fail(err, dir_fd, "%s", dir);
    else if (fchown(dir_fd, base_id, base_id) < 0 || fchmod(dir_fd, 0711) < 0)
        code = shoal_fail(err, -errno, "%s: owner and mode", dir);
    else {
        code = bound_and_fill(image, dir_fd, dir, base_id, disk, files, file_count, err);
        if (code < 0)
            (void)shoal_within(err, "%s", dir);
    }
    if (code < 0 && disk != NULL)
        (void)image_disk_end(dir, NULL);
    if (code < 0)
        (void)image_remove_tree(dir, NULL);
    return code;
}
