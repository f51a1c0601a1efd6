/* Trees of any depth, mode and content go; what lies beyond a link or a mount stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/base.h"
#include "image/image.h"

static char top[64];

static char *at(const char *path)
{
    static char buffers[8][256];
    static unsigned next;
    char *buffer = buffers[next++ % COUNT(buffers)];
    (void)snprintf(buffer, sizeof buffers[0], "%s/%s", top, path);
    return buffer;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof top, "/tmp/shoal-tree-XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(top); /* each test has to leave it empty */
}

static void put(const char *path)
{
    int fd = open(at(path), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void remove_ok(const char *path)
{
    shoal_error_t err = {0};
    struct stat st;
    if (image_remove_tree(path, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(lstat(path, &st), -1);
}

static unsigned count_fds(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

static void test_kinds(void **state)
{
    (void)state;
    unsigned fds = count_fds();
    remove_ok(at("never/was/there"));
    remove_ok(at("never"));
    assert_int_equal(mkdir(at("t"), 0700), 0);
    remove_ok(at("t"));
    put("file");
    remove_ok(at("file"));
    assert_int_equal(mkdir(at("kept"), 0700), 0);
    put("kept/file");
    assert_int_equal(symlink("kept", at("link")), 0);
    remove_ok(at("link"));
    assert_int_equal(access(at("kept/file"), F_OK), 0);

    shoal_error_t err = {0};
    assert_int_equal(image_make_directories(at("t/a/b/c"), 0700, &err), 0);
    put("t/a/file");
    put("t/a/b/file");
    put("t/ name\nwith\377 odd bytes");
    put("t/.hidden");
    assert_int_equal(symlink("../kept", at("t/link")), 0);
    assert_int_equal(symlink("/nowhere", at("t/a/dangling")), 0);
    assert_int_equal(mkfifo(at("t/fifo"), 0), 0);
    if (geteuid() == 0)
        assert_int_equal(mknod(at("t/whiteout"), S_IFCHR, makedev(0, 0)), 0);
    assert_int_equal(mkdir(at("t/work"), 0700), 0);
    assert_int_equal(mkdir(at("t/work/work"), 0700), 0);
    put("t/work/work/file");
    assert_int_equal(chmod(at("t/work/work"), 0), 0); /* as overlayfs leaves it */
    assert_int_equal(chmod(at("t/a"), 0500), 0);
    char slashes[80];
    (void)snprintf(slashes, sizeof slashes, "%s///", at("t"));
    remove_ok(slashes);
    assert_int_equal(access(at("kept/file"), F_OK), 0);
    remove_ok(at("kept"));

    assert_int_equal(image_remove_tree("/", &err), -EINVAL);
    assert_int_equal(image_remove_tree("", &err), -EINVAL);
    assert_int_equal(image_remove_tree("..", &err), -EINVAL);
    assert_int_equal(image_remove_tree("/tmp/..", &err), -EINVAL);
    assert_int_equal(count_fds(), fds);
}

/* Deeper than descriptors, the stack and PATH_MAX allow; with entries at every level, and with names that get in the
 * way. */
static void test_deep(void **state)
{
    (void)state;
    enum { LEVELS = 5000 };
    assert_int_equal(mkdir(at("t"), 0700), 0);
    int fd = open(at("t"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (int i = 0; i < 5; i++) { /* where the deep ones would be moved */
        char name[16];
        (void)snprintf(name, sizeof name, ".deep-%d", i);
        if (i == 1)
            assert_true(close(openat(fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) == 0);
        else
            assert_int_equal(mkdirat(fd, name, 0700), 0);
        if (i == 2) {
            (void)snprintf(name, sizeof name, ".deep-%d/full", i);
            assert_int_equal(mkdirat(fd, name, 0700), 0);
        }
    }
    for (int i = 0; i < LEVELS; i++) {
        assert_int_equal(mkdirat(fd, "down", 0700), 0);
        assert_int_equal(mkdirat(fd, "beside", 0), 0);
        if (i % 7 == 0)
            assert_int_equal(close(openat(fd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
        int next = openat(fd, "down", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        (void)close(fd);
        fd = next;
    }
    (void)close(fd);
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 40;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    remove_ok(at("t"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_wide(void **state)
{
    (void)state;
    assert_int_equal(mkdir(at("t"), 0700), 0);
    for (int i = 0; i < 3000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "t/%d", i);
        if (i % 3 == 0)
            assert_int_equal(mkdir(at(name), 0), 0);
        else
            put(name);
    }
    remove_ok(at("t"));
}

/* As an ordinary user, for whom closed directories are closed. */
static void test_unprivileged(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    shoal_error_t err = {0};
    assert_int_equal(chmod(top, 0777), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
            _exit(2);
        char path[256];
        (void)snprintf(path, sizeof path, "%s", at("t"));
        for (int i = 0; i < 40; i++) {
            if (mkdir(path, 0700) < 0)
                _exit(3);
            (void)strcat(path, "/d");
        }
        for (int i = 0; i < 40; i++) { /* the innermost first */
            path[strlen(path) - 2] = '\0';
            if (chmod(path, 0) < 0)
                _exit(4);
        }
        _exit(image_remove_tree(path, &err) < 0 || access(path, F_OK) == 0 ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* In a mount namespace of its own: a mount inside the tree stops the removal, and what is in it stays. */
static void test_mounts(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    pid_t pid = fork();
    if (pid == 0) {
        shoal_error_t err = {0};
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
            _exit(2);
        if (image_make_directories(at("t/m"), 0700, &err) < 0 || mount("t", at("t/m"), "tmpfs", 0, NULL) < 0)
            _exit(3);
        if (mkdir(at("t/m/inside"), 0700) < 0)
            _exit(4);
        if (image_remove_tree(at("t"), &err) != -EBUSY || strstr(err.text, "mounted") == NULL)
            _exit(5);
        if (image_remove_tree(at("t/m"), &err) != -EXDEV || access(at("t/m/inside"), F_OK) < 0)
            _exit(6);
        _exit(umount2(at("t/m"), 0) < 0 || image_remove_tree(at("t"), &err) < 0 ? 7 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_make_directories(void **state)
{
    (void)state;
    shoal_error_t err = {0};
    struct stat st;
    mode_t mask = umask(077);
    assert_int_equal(image_make_directories(at("a//b/c/"), 0755, &err), 0);
    assert_int_equal(umask(mask), 077);
    assert_int_equal(stat(at("a/b"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(image_make_directories(at("a/b"), 0700, &err), 0); /* what is there stays as it is */
    assert_int_equal(stat(at("a/b"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    put("a/file");
    assert_int_equal(image_make_directories(at("a/file"), 0755, &err), -ENOTDIR);
    assert_int_equal(image_make_directories(at("a/file/x"), 0755, &err), -ENOTDIR);
    assert_int_equal(image_make_directories("", 0755, &err), -ENOENT);
    remove_ok(at("a"));

    char *path = NULL;
    assert_int_equal(image_make_volume(top, "demo_data", &path, &err), 0);
    assert_string_equal(path, at("volumes/demo_data/_data"));
    free(path);
    assert_int_equal(stat(at("volumes"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    put("volumes/demo_data/_data/kept");
    assert_int_equal(image_make_volume(top, "demo_data", &path, &err), 0);
    free(path);
    assert_int_equal(access(at("volumes/demo_data/_data/kept"), F_OK), 0);
    assert_int_equal(image_make_volume(top, "../x", &path, &err), -EINVAL);
    assert_int_equal(image_make_volume(top, "..", &path, &err), -EINVAL);
    assert_int_equal(image_make_volume(top, "", &path, &err), -EINVAL);
    remove_ok(at("volumes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wide, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unprivileged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mounts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_make_directories, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
