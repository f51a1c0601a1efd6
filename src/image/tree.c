/* Directories on the host: made with their parents, and removed with all that is in them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "image/image.h"
#include "kernel/path.h"

/* A sandbox may leave a tree of any depth. At most DEPTH directories are open; what lies deeper is first moved up, next
 * to the entries of the top, and met there again. So neither descriptors nor the stack nor PATH_MAX is a limit, and no
 * ".." is ever followed. */
enum { DEPTH = 16 };

struct frame {
    DIR *dir;                /* owned */
    char name[NAME_MAX + 1]; /* in the directory above */
    bool changed; /* something left or came since the last look through: look again before believing it empty */
};

struct removal {
    const char *path; /* of the top, for messages */
    struct frame frames[DEPTH];
    size_t depth; /* frames in use */
    unsigned moved;
    shoal_error_t *err;
};

static int fail(struct removal *r, int code, const char *name, const char *what)
{
    return shoal_fail(r->err, code, "%s: %s: %s", r->path, name, what);
}

/* A directory that its owner closed to himself. Only matters to supervisors that are not root. */
static int open_up(int dir_fd, const char *name)
{
    char link[40];
    AUTO_FD fd = path_open(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_XDEV);
    if (fd < 0)
        return fd;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return chmod(link, 0700) < 0 ? -errno : 0; /* not fchmodat: that would follow a link that took the name meanwhile */
}

static int open_directory(int dir_fd, const char *name)
{
    const uint64_t flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
    int fd = path_open(dir_fd, name, flags, resolve);
    if (fd == -EACCES && open_up(dir_fd, name) == 0)
        fd = path_open(dir_fd, name, flags, resolve);
    return fd;
}

static int unlink_entry(int dir_fd, const char *name, int flags)
{
    if (unlinkat(dir_fd, name, flags) == 0)
        return 0;
    if (errno != EACCES)
        return -errno;
    return fchmod(dir_fd, 0700) < 0 || unlinkat(dir_fd, name, flags) < 0 ? -EACCES : 0;
}

/* Take fd and look into it next. */
static int push(struct removal *r, int fd, const char *name)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int code = -errno;
        (void)close(fd);
        return fail(r, code, name, "open");
    }
    struct frame *frame = &r->frames[r->depth++];
    frame->dir = dir;
    frame->changed = false;
    (void)snprintf(frame->name, sizeof frame->name, "%s", name);
    return 0;
}

/* Move a directory that lies too deep to be opened up to the top, under a name that is free there. */
static int move_up(struct removal *r, int dir_fd, const char *name)
{
    bool opened = false;
    for (;;) {
        char fresh[32];
        (void)snprintf(fresh, sizeof fresh, ".deep-%u", r->moved++);
        if (renameat(dir_fd, name, dirfd(r->frames[0].dir), fresh) == 0) {
            r->frames[0].changed = r->frames[r->depth - 1].changed = true;
            return 0;
        }
        int code = -errno;
        if (code == -EACCES && !opened) {
            opened = true;
            if (open_up(dir_fd, name) == 0)
                continue;
        }
        if (code != -ENOTEMPTY && code != -EEXIST && code != -ENOTDIR) /* these: the name is taken */
            return fail(r, code, name, "move out of the depth");
    }
}

static int remove_entry(struct removal *r, const struct dirent *entry)
{
    struct frame *frame = &r->frames[r->depth - 1];
    int dir_fd = dirfd(frame->dir);
    bool is_directory = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN) {
        struct stat st;
        if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return errno == ENOENT ? 0 : fail(r, -errno, entry->d_name, "stat");
        is_directory = S_ISDIR(st.st_mode);
    }
    int code = unlink_entry(dir_fd, entry->d_name, is_directory ? AT_REMOVEDIR : 0);
    if (code == 0)
        frame->changed = true;
    if (code == 0 || code == -ENOENT)
        return 0;
    if (!is_directory)
        return fail(r, code, entry->d_name, "unlink");
    if (code == -EBUSY)
        return fail(r, code, entry->d_name, "rmdir (is something mounted there?)");
    if (code != -ENOTEMPTY && code != -EEXIST)
        return fail(r, code, entry->d_name, "rmdir");
    if (r->depth == DEPTH)
        return move_up(r, dir_fd, entry->d_name);
    int fd = open_directory(dir_fd, entry->d_name);
    return fd < 0 ? fail(r, fd, entry->d_name, "open") : push(r, fd, entry->d_name);
}

/* The end of a directory was reached: go on with its parent, or look through it again. */
static int leave_directory(struct removal *r)
{
    struct frame *frame = &r->frames[r->depth - 1];
    if (r->depth > 1) {
        int parent_fd = dirfd(frame[-1].dir);
        int code = unlink_entry(parent_fd, frame->name, AT_REMOVEDIR);
        if (code == 0 || code == -ENOENT) {
            frame[-1].changed = true;
            (void)closedir(frame->dir);
            r->depth--;
            return 0;
        }
        /* A file system may pass over entries when others go while it is read. */
        if ((code != -ENOTEMPTY && code != -EEXIST) || !frame->changed)
            return fail(r, code, frame->name, "rmdir");
    }
    frame->changed = false;
    rewinddir(frame->dir);
    return 0;
}

static int remove_contents(struct removal *r)
{
    for (;;) {
        struct frame *frame = &r->frames[r->depth - 1];
        errno = 0;
        const struct dirent *entry = readdir(frame->dir);
        int code = 0;
        if (entry == NULL && errno != 0)
            return fail(r, -errno, frame->name, "read");
        if (entry == NULL && r->depth == 1 && !frame->changed)
            return 0;
        if (entry == NULL)
            code = leave_directory(r);
        else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            code = remove_entry(r, entry);
        if (code < 0)
            return code;
    }
}

/* The directory above path, opened, and its last name in out_name. */
static int open_parent(const char *path, char out_name[NAME_MAX + 1])
{
    size_t count = strlen(path);
    while (count > 1 && path[count - 1] == '/')
        count--;
    const char *slash = count ? memrchr(path, '/', count) : NULL;
    size_t parent_count = slash ? (size_t)(slash - path) : 0, name_count = count - (slash ? parent_count + 1 : 0);
    if (name_count > NAME_MAX)
        return -ENAMETOOLONG;
    (void)snprintf(out_name, NAME_MAX + 1, "%.*s", (int)name_count, path + count - name_count);
    if (name_count == 0 || strcmp(out_name, ".") == 0 || strcmp(out_name, "..") == 0)
        return -EINVAL;
    AUTO_FREE char *parent = slash == path ? base_format("/") : slash ? strndup(path, parent_count) : base_format(".");
    if (parent == NULL)
        return -ENOMEM;
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int image_remove_tree(const char *path, shoal_error_t *err)
{
    char name[NAME_MAX + 1];
    AUTO_FD parent_fd = open_parent(path, name);
    if (parent_fd == -ENOENT)
        return 0;
    if (parent_fd < 0)
        return shoal_fail(err, parent_fd, "%s: remove", path);
    int fd = open_directory(parent_fd, name);
    if (fd == -ENOENT)
        return 0;
    if (fd == -ENOTDIR || fd == -ELOOP) { /* a file or a link */
        int code = unlink_entry(parent_fd, name, 0);
        return code < 0 && code != -ENOENT ? shoal_fail(err, code, "%s: unlink", path) : 0;
    }
    if (fd < 0)
        return shoal_fail(err, fd, "%s: open", path);

    AUTO_FREE struct removal *r = calloc(1, sizeof *r);
    if (r == NULL) {
        (void)close(fd);
        return shoal_fail(err, -ENOMEM, "%s: remove", path);
    }
    r->path = path;
    r->err = err;
    int code = push(r, fd, name);
    if (code == 0)
        code = remove_contents(r);
    while (r->depth > 0)
        (void)closedir(r->frames[--r->depth].dir);
    if (code < 0)
        return code;
    code = unlink_entry(parent_fd, name, AT_REMOVEDIR);
    return code < 0 && code != -ENOENT ? shoal_fail(err, code, "%s: rmdir", path) : 0;
}

/* One directory, with mode whatever the umask is (which belongs to the host program). Existing is fine. */
static int make_directory(const char *path, mode_t mode)
{
    if (mkdir(path, mode) < 0)
        return errno == EEXIST ? 0 : -errno;
    AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 || fchmod(fd, mode) < 0 ? -errno : 0;
}

int image_make_directories(const char *path, mode_t mode, shoal_error_t *err)
{
    AUTO_FREE char *part = strdup(path);
    if (part == NULL)
        return shoal_fail(err, -ENOMEM, "%s: mkdir", path);
    for (char *at = part; *at;) {
        at += strspn(at, "/");
        at += strcspn(at, "/"); /* the end of the next name */
        char kept = *at;
        *at = '\0';
        int code = make_directory(part, mode);
        if (code < 0)
            return shoal_fail(err, code, "%s: mkdir", part);
        *at = kept;
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return shoal_fail(err, -errno, "%s", path);
    return S_ISDIR(st.st_mode) ? 0 : shoal_fail(err, -ENOTDIR, "%s", path);
}

int image_make_volume(const char *root_dir, const char *full_name, char **out_path, shoal_error_t *err)
{
    if (*full_name == '\0' || strchr(full_name, '/') || strcmp(full_name, ".") == 0 || strcmp(full_name, "..") == 0)
        return shoal_refuse(err, -EINVAL, "volume '%s': not a name", full_name);
    AUTO_FREE char *volumes = base_format("%s/volumes", root_dir);
    AUTO_FREE char *volume = base_format("%s/volumes/%s", root_dir, full_name);
    AUTO_FREE char *data = base_format("%s/volumes/%s/_data", root_dir, full_name);
    if (volumes == NULL || volume == NULL || data == NULL)
        return shoal_fail(err, -ENOMEM, "volume '%s'", full_name);

    /* Ids on disk are the sandbox's own, so a set-user-id file of its root is one of ours: nobody else comes near. */
    int code = image_make_directories(root_dir, 0755, err);
    if (code == 0)
        code = image_make_directories(volumes, 0700, err);
    if (code == 0)
        code = image_make_directories(volume, 0700, err);
    if (code == 0)
        code = image_make_directories(data, 0755, err);
    if (code < 0) {
        (void)shoal_within(err, "volume '%s'", full_name);
        return code;
    }
    *out_path = data;
    data = NULL;
    return 0;
}
