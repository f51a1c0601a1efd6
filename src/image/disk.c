/* Bounds of a container's writable layer, in one of three ways.
 *
 * quota: its directory is a project of the file system that it lies on. The project's number is of the container's own range of
 * user ids, which no other sandbox of this host has, so nobody else would choose it.
 * tmpfs, loop: a file system of its own is mounted at DIR/disk, in the mount namespace of the supervisor, as long as the
 * container is there: what it wrote outlives its runs.
 *
 * What a crash leaves says by itself what it is: a directory that is marked with a project, or one with a mount on it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "base/base.h"
#include "base/fault.h"
#include "image/disk.h"
#include "kernel/loop.h"
#include "kernel/mount.h"
#include "kernel/path.h"
#include "kernel/quota.h"

enum { IDS = 65536 }; /* of a sandbox's range */

static const char *const mkfs_paths[] = {"/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"};

static const char *find_mkfs(void)
{
    for (size_t i = 0; i < COUNT(mkfs_paths); i++)
        if (access(mkfs_paths[i], X_OK) == 0)
            return mkfs_paths[i];
    return NULL;
}

/* ---- what this host can ---- */

static int look_for_quota(const char *dir, shoal_error_t *err)
{
    AUTO_FD fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return shoal_fail(err, -errno, "open %s", dir);
    int code = quota_look(fd, err);
    if (code == -ENOTSUP)
        return shoal_refuse(
            err, code,
            "the file system of %s has no project quotas; mount it with prjquota (ext4: after tune2fs -O "
            "quota,project)",
            dir);
    return code < 0 ? shoal_within(err, "%s", dir) : 0;
}

static int look_for_loop(shoal_error_t *err)
{
    if (find_mkfs() == NULL)
        return shoal_refuse(err, -ENOTSUP, "there is no %s (package e2fsprogs)", mkfs_paths[0]);
    AUTO_FD fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    return fd < 0 ? shoal_fail(err, -errno, "open /dev/loop-control") : 0;
}

/* overlayfs keeps what it has to know of the upper layer in extended attributes. */
static int look_for_tmpfs(shoal_error_t *err)
{
    AUTO_FD fd = mount_make_tmpfs("0700", err);
    if (fd < 0)
        return fd;
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (setxattr(path, "user.shoal", "", 0, 0) < 0)
        return shoal_refuse(err, -ENOTSUP,
                            "a tmpfs of this kernel has no extended attributes of users (Linux 6.6 has them)");
    return 0;
}

int image_disk_choose(const char *dir, shoal_disk_via_t wanted, shoal_disk_via_t *out, shoal_error_t *err)
{
    int code = -ENOTSUP;
    shoal_error_t loop;
    *out = wanted;
    switch (wanted) {
    case SHOAL_DISK_AUTO:
        *out = SHOAL_DISK_QUOTA;
        if (look_for_quota(dir, err) == 0)
            return 0;
        *out = SHOAL_DISK_LOOP;
        if (look_for_loop(&loop) == 0)
            return 0;
        return shoal_refuse(err, code, "%s; nor can it be a loop: %s; or write via: tmpfs", err->text, loop.text);
    case SHOAL_DISK_QUOTA:
        return look_for_quota(dir, err);
    case SHOAL_DISK_LOOP:
        return look_for_loop(err);
    case SHOAL_DISK_TMPFS:
        return look_for_tmpfs(err);
    }
    return code;
}

/* ---- project quota ---- */

/* The first number of the range that nobody uses: files of a container whose supervisor was killed may still bear another. */
static int find_project(int dir_fd, uint32_t base_id, uint32_t *out, shoal_error_t *err)
{
    for (uint32_t i = 0; i < IDS; i++) {
        struct quota quota;
        int code = quota_read(dir_fd, base_id + i, &quota, err);
        if (code < 0)
            return code;
        if (quota.bytes == 0 && quota.inodes == 0 && quota.bytes_max == 0 && quota.inodes_max == 0) {
            *out = base_id + i;
            return 0;
        }
    }
    return shoal_refuse(err, -EBUSY, "every project from %u to %u is in use", base_id, base_id + IDS - 1);
}

static int begin_quota(struct image_disk *disk, int dir_fd, uint32_t base_id, shoal_error_t *err)
{
    int code = fault_point("disk-project", err);
    if (code == 0)
        code = find_project(dir_fd, base_id, &disk->project, err);
    if (code == 0) /* marked before it is limited: a limit without a mark would be found by nobody */
        code = quota_set_project(dir_fd, disk->project, err);
    if (code == 0)
        code = fault_point("disk-limit", err);
    if (code == 0)
        code = quota_set_limits(dir_fd, disk->project, disk->bytes, disk->inodes, err);
    if (code < 0)
        return code;
    int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? shoal_fail(err, -errno, "duplicate its directory") : fd;
}

/* Its project, or 0 when that is somebody else's: whoever made the root directory one of a project of his own. */
static uint32_t own_project(int dir_fd)
{
    struct stat about;
    uint32_t project;
    if (fstat(dir_fd, &about) < 0 || quota_get_project(dir_fd, &project) < 0 || project < about.st_uid ||
        project - about.st_uid >= IDS || about.st_uid == 0)
        return 0;
    return project;
}

/* ---- a file system of its own ---- */

struct number {
    char text[24];
};

static struct number number_of(uint64_t value)
{
    struct number out;
    (void)snprintf(out.text, sizeof out.text, "%llu", (unsigned long long)value);
    return out;
}

/* Run mkfs and gather what it says. */
static int run_mkfs(const char *const *argv, shoal_error_t *err)
{
    static const char *const environment[] = {"LC_ALL=C", "PATH=/usr/sbin:/sbin:/usr/bin:/bin", NULL};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return shoal_fail(err, -errno, "pipe");
    AUTO_FD said = ends[0], says = ends[1];
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return shoal_fail(err, -ENOMEM, "%s", argv[0]);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, says, STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, says, STDERR_FILENO);
    pid_t pid;
    int code = posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv,
                           (char *const *)(uintptr_t)environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    base_close_fd(&says);
    if (code != 0)
        return shoal_fail(err, -code, "run %s", argv[0]);
    char text[512] = "", rest[512];
    size_t used = 0;
    for (ssize_t more; used < sizeof text - 1 && (more = read(said, text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)more;
    while (read(said, rest, sizeof rest) > 0)
        ; /* it shall not die of a full pipe */
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return shoal_refuse(err, -EIO, "%s: %s", argv[0], text[0] != '\0' ? text : "failed");
}

/* An empty ext4 in a sparse file, which takes from the disk what is written to it alone. */
static int make_loop(const struct image_disk *disk, const char *dir, shoal_error_t *err)
{
    AUTO_FREE char *file = base_format("%s/disk.ext4", dir);
    if (file == NULL)
        return shoal_fail(err, -ENOMEM, "disk");
    AUTO_FD fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)disk->bytes) < 0)
        return shoal_fail(err, -errno, "make %s", file);
    struct number inodes = number_of(disk->inodes);
    const char *argv[16] = {
        find_mkfs(), "-q", "-F", "-m", "0", "-O", "^has_journal,^resize_inode", "-E", "nodiscard,lazy_itable_init=1"};
    size_t count = 9;
    if (disk->inodes > 0) {
        argv[count++] = "-N";
        argv[count++] = inodes.text;
    }
    argv[count++] = file;
    int code = argv[0] == NULL ? shoal_refuse(err, -ENOENT, "there is no %s", mkfs_paths[0]) : run_mkfs(argv, err);
    if (code == 0)
        code = fault_point("disk-attach", err);
    char device[LOOP_PATH];
    AUTO_FD device_fd = code == 0 ? loop_attach(fd, device, err) : code;
    if (device_fd < 0)
        return device_fd;
    const struct mount_option options[] = {{"source", device}, {"discard", NULL}, {"noinit_itable", NULL}};
    return mount_make("ext4", options, COUNT(options), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
}

static char *mount_point(const char *dir)
{
    return base_format("%s/" IMAGE_DISK_MOUNT, dir);
}

/* Inodes of a tmpfs do not count as its size, and are never without a limit: it could not be given one later. Made when path is
 * NULL, and the detached mount returned; else what is mounted there is changed. */
static int set_tmpfs(const struct image_disk *disk, const char *path, shoal_error_t *err)
{
    enum { USUAL_BYTES = 4096 }; /* to an inode */
    struct number size = number_of(disk->bytes);
    struct number inodes = number_of(disk->inodes > 0 ? disk->inodes : disk->bytes / USUAL_BYTES);
    const struct mount_option options[] = {{"size", size.text}, {"nr_inodes", inodes.text}};
    return path != NULL ? mount_change(path, options, COUNT(options), err)
                        : mount_make("tmpfs", options, COUNT(options), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
}

static int begin_mount(const struct image_disk *disk, int dir_fd, const char *dir, uint32_t base_id, shoal_error_t *err)
{
    int code = fault_point("disk-make", err);
    if (code == 0 && mkdirat(dir_fd, IMAGE_DISK_MOUNT, 0711) < 0)
        code = shoal_fail(err, -errno, "make " IMAGE_DISK_MOUNT);
    if (code < 0)
        return code;
    AUTO_FD made = disk->via == SHOAL_DISK_TMPFS ? set_tmpfs(disk, NULL, err) : make_loop(disk, dir, err);
    code = made < 0 ? made : fault_point("disk-mount", err);
    if (code == 0 && move_mount(made, "", dir_fd, IMAGE_DISK_MOUNT, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        code = shoal_fail(err, -errno, "attach it");
    if (code < 0)
        return code;
    AUTO_FD fd = path_open(dir_fd, IMAGE_DISK_MOUNT, O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (fd < 0)
        return shoal_fail(err, fd, "open " IMAGE_DISK_MOUNT);
    if (fchown(fd, base_id, base_id) < 0 || fchmod(fd, 0711) < 0)
        return shoal_fail(err, -errno, "owner and mode of " IMAGE_DISK_MOUNT);
    return take_fd(&fd);
}

/* ---- its life ---- */

bool image_disk_is_mounted(const struct image_disk *disk)
{
    return disk->via == SHOAL_DISK_TMPFS || disk->via == SHOAL_DISK_LOOP;
}

int disk_begin(struct image_disk *disk, int dir_fd, const char *dir, uint32_t base_id, shoal_error_t *err)
{
    int fd = image_disk_is_mounted(disk) ? begin_mount(disk, dir_fd, dir, base_id, err)
                                         : begin_quota(disk, dir_fd, base_id, err);
    if (fd < 0)
        (void)shoal_within(err, "x-shoal.disk via %s", image_disk_word(disk->via));
    return fd;
}

static int change_quota(const struct image_disk *disk, const char *dir, shoal_error_t *err)
{
    AUTO_FD fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return shoal_fail(err, -errno, "open %s", dir);
    int code = quota_set_limits(fd, disk->project, disk->bytes, disk->inodes, err);
    if (code == 0 && own_project(fd) != disk->project) { /* image_disk_end() came between */
        (void)quota_set_limits(fd, disk->project, 0, 0, NULL);
        return shoal_fail(err, -ENOENT, "%s", dir);
    }
    return code;
}

int image_disk_change(const struct image_disk *disk, const char *dir, shoal_error_t *err)
{
    AUTO_FREE char *path = mount_point(dir);
    int code = path == NULL ? shoal_fail(err, -ENOMEM, "disk") : 0;
    if (code == 0 && disk->via == SHOAL_DISK_LOOP)
        code = shoal_refuse(err, -ENOTSUP, "a file system in a loop keeps its size");
    else if (code == 0)
        code = disk->via == SHOAL_DISK_TMPFS ? set_tmpfs(disk, path, err) : change_quota(disk, dir, err);
    if (code < 0)
        (void)shoal_within(err, "x-shoal.disk via %s", image_disk_word(disk->via));
    return code;
}

int image_disk_read(const struct image_disk *disk, const char *dir, struct image_disk_use *out, shoal_error_t *err)
{
    if (image_disk_is_mounted(disk)) {
        AUTO_FREE char *path = mount_point(dir);
        struct statfs about;
        if (path == NULL || statfs(path, &about) < 0)
            return shoal_fail(err, path == NULL ? -ENOMEM : -errno, "statfs of %s", dir);
        uint64_t block = (uint64_t)about.f_bsize;
        *out = (struct image_disk_use){(about.f_blocks - about.f_bfree) * block, about.f_blocks * block,
                                       about.f_files - about.f_ffree, about.f_files > 0 ? about.f_files : UINT64_MAX};
        return 0;
    }
    AUTO_FD fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return shoal_fail(err, -errno, "open %s", dir);
    struct quota quota;
    int code = quota_read(fd, disk->project, &quota, err);
    if (code == 0)
        *out = (struct image_disk_use){quota.bytes, quota.bytes_max, quota.inodes,
                                       quota.inodes_max > 0 ? quota.inodes_max : UINT64_MAX};
    return code;
}

int image_disk_end(const char *dir, shoal_error_t *err)
{
    AUTO_FREE char *path = mount_point(dir);
    if (path == NULL)
        return shoal_fail(err, -ENOMEM, "disk");
    while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        ;
    AUTO_FD fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : shoal_fail(err, -errno, "open %s", dir);
    uint32_t project = own_project(fd);
    if (project == 0)
        return 0;
    int code = quota_set_limits(fd, project, 0, 0, err);
    if (code == 0)
        code = quota_set_project(fd, 0, err);
    if (code == 0) /* once more, for a change that came between; before the mark went, for a crash that may */
        code = quota_set_limits(fd, project, 0, 0, err);
    return code < 0 ? shoal_within(err, "%s", dir) : 0;
}

int image_disk_end_all(const char *path, shoal_error_t *err)
{
    DIR *list = opendir(path);
    if (list == NULL)
        return errno == ENOENT ? 0 : shoal_fail(err, -errno, "open %s", path);
    int code = 0;
    const struct dirent *entry;
    while (code == 0 && (entry = readdir(list)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        AUTO_FREE char *dir = base_format("%s/%s", path, entry->d_name);
        code = dir == NULL ? shoal_fail(err, -ENOMEM, "%s", path) : image_disk_end(dir, err);
    }
    (void)closedir(list);
    return code;
}

const char *image_disk_word(shoal_disk_via_t via)
{
    static const char *const words[] = {[SHOAL_DISK_AUTO] = "auto",
                                        [SHOAL_DISK_QUOTA] = "quota",
                                        [SHOAL_DISK_LOOP] = "loop",
                                        [SHOAL_DISK_TMPFS] = "tmpfs"};
    return words[via];
}
