#include "image/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "kernel/path.h"

static uint64_t resolve_flags(bool follow)
{
    return follow ? RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
}

/* overlayfs.rst, "whiteouts and opaque directories". In a user namespace it is the user. form. */
static bool is_opaque(int layer_fd, const char *directory, bool follow)
{
    static const char *const attributes[] = {"user.overlay.opaque", "trusted.overlay.opaque"};
    AUTO_FD fd = path_open(layer_fd, directory, O_RDONLY | O_DIRECTORY, resolve_flags(follow));
    if (fd < 0)
        return false;
    for (size_t i = 0; i < COUNT(attributes); i++) {
        char value;
        if (fgetxattr(fd, attributes[i], &value, 1) == 1 && value == 'y')
            return true;
    }
    return false;
}

/* Whether a layer that does not have path hides that of the layers below. */
static bool is_hidden(int layer_fd, const char *path, bool follow)
{
    char directory[PATH_MAX];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        (void)snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
        if (is_opaque(layer_fd, directory, follow))
            return true;
    }
    if (!follow)
        return false;
    AUTO_FD dangling = path_open(layer_fd, path, O_PATH | O_NOFOLLOW, resolve_flags(true));
    return dangling >= 0; /* a link that leads nowhere in its own layer is there all the same */
}

int layer_find(const struct image *image, const char *path, bool follow)
{
    if (strlen(path) >= PATH_MAX)
        return -ENAMETOOLONG;
    for (size_t i = image->layer_count; i-- > 0;) {
        int layer_fd = image->layer_fds[i];
        AUTO_FD fd = path_open(layer_fd, path, O_PATH | (follow ? 0 : O_NOFOLLOW), resolve_flags(follow));
        if (fd >= 0) {
            struct stat st;
            if (fstat(fd, &st) < 0)
                return -errno;
            bool whiteout = S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
            return whiteout ? -ENOENT : take_fd(&fd);
        }
        if (fd == -ENOTDIR)
            return -ENOENT; /* a directory on the way is a whiteout or a file here, and that hides the lower ones */
        if (fd != -ENOENT)
            return fd;
        if (is_hidden(layer_fd, path, follow))
            return -ENOENT;
    }
    return -ENOENT;
}

/* Open what an O_PATH descriptor stands for. It was found to be a regular file, so that nothing waits or reacts. */
static int reopen(int path_fd)
{
    char link[40];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", path_fd);
    int fd = open(link, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int layer_read(const struct image *image, const char *path, size_t max_bytes, struct text *text, shoal_error_t *err)
{
    AUTO_FD path_fd = layer_find(image, path, true);
    if (path_fd < 0)
        return shoal_fail(err, path_fd, "/%s", path);
    struct stat st;
    if (fstat(path_fd, &st) < 0)
        return shoal_fail(err, -errno, "/%s", path);
    if (!S_ISREG(st.st_mode))
        return shoal_refuse(err, -EINVAL, "/%s: not a regular file", path);
    AUTO_FD fd = reopen(path_fd);
    if (fd < 0)
        return shoal_fail(err, fd, "/%s", path);
    char part[4096];
    ssize_t count;
    while ((count = read(fd, part, sizeof part)) > 0) {
        if (text->count + (size_t)count > max_bytes)
            return shoal_fail(err, -EFBIG, "/%s", path);
        text_add(text, part, (size_t)count);
    }
    if (count < 0)
        return shoal_fail(err, -errno, "/%s: read", path);
    text_add(text, "", 0);
    return text->failed ? shoal_fail(err, -ENOMEM, "/%s", path) : 0;
}
