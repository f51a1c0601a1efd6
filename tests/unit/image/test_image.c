/* Opening images, making the builtin one, and a container's place on disk. */
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
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/base.h"
#include "image/image.h"

static char top[64];

static char *at(const char *path)
{
    static char buffers[8][512];
    static unsigned next;
    char *buffer = buffers[next++ % COUNT(buffers)];
    (void)snprintf(buffer, sizeof buffers[0], "%s/%s", top, path);
    return buffer;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof top, "/tmp/shoal-image-XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return image_remove_tree(top, NULL);
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(at(path), "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void expect_text(const char *path, const char *want)
{
    char got[256] = "";
    FILE *file = fopen(at(path), "re");
    assert_non_null(file);
    got[fread(got, 1, sizeof got - 1, file)] = '\0';
    (void)fclose(file);
    assert_string_equal(got, want);
}

static void expect_mode(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
    struct stat st;
    assert_int_equal(lstat(at(path), &st), 0);
    if ((st.st_mode & 07777) != mode || st.st_uid != uid || st.st_gid != gid)
        fail_msg("%s: %o %u:%u", path, st.st_mode & 07777, st.st_uid, st.st_gid);
}

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(dir);
    return count;
}

static int open_layers(struct image **out, const char *text, char **layers, shoal_error_t *err)
{
    size_t count = 0;
    while (layers[count])
        count++;
    char name[64];
    (void)snprintf(name, sizeof name, "%s", text);
    const shoal_image_t wanted = {.kind = SHOAL_IMAGE_DIRECTORY, .text = name, .layers = {count, layers}};
    return image_open(out, &wanted, top, err);
}

static int open_busybox(struct image **out, shoal_error_t *err)
{
    static char name[] = "builtin:busybox", *layers[] = {name + 8, NULL};
    const shoal_image_t wanted = {.kind = SHOAL_IMAGE_BUILTIN, .text = name, .layers = {1, layers}};
    return image_open(out, &wanted, top, err);
}

static void test_open(void **state)
{
    (void)state;
    shoal_error_t err = {0};
    struct image *image = NULL;
    unsigned fds = count_entries("/proc/self/fd");
    put("file", "");
    assert_int_equal(mkdir(at("a"), 0700), 0);
    assert_int_equal(mkdir(at("b"), 0700), 0);
    assert_int_equal(open_layers(&image, "dir:a:b", (char *[]){at("a"), at("b"), NULL}, &err), 0);
    assert_int_equal(image_layer_count(image), 2);
    struct stat want, got;
    assert_int_equal(stat(at("b"), &want), 0);
    assert_int_equal(fstat(image_layer_fd(image, 1), &got), 0);
    assert_int_equal(got.st_ino, want.st_ino);
    assert_int_equal(fcntl(image_layer_fd(image, 1), F_GETFD), FD_CLOEXEC);
    assert_true(fcntl(image_layer_fd(image, 1), F_GETFL) & O_PATH);
    image_free(image);
    image_free(NULL);

    char text[160];
    image = NULL;
    assert_int_equal(open_layers(&image, "dir:a:no", (char *[]){at("a"), at("no"), NULL}, &err), -ENOENT);
    (void)snprintf(text, sizeof text, "image dir:a:no: %s: No such file or directory", at("no"));
    assert_string_equal(err.text, text);
    assert_int_equal(open_layers(&image, "dir:file", (char *[]){at("file"), NULL}, &err), -ENOTDIR);
    (void)snprintf(text, sizeof text, "image dir:file: %s: Not a directory", at("file"));
    assert_string_equal(err.text, text);
    assert_int_equal(open_layers(&image, "dir:", (char *[]){NULL}, &err), -EINVAL);
    assert_null(image);

    char other[] = "alpine";
    const shoal_image_t unknown = {
        .kind = SHOAL_IMAGE_BUILTIN, .text = (char[]){"builtin:alpine"}, .layers = {1, (char *[]){other, NULL}}};
    assert_int_equal(image_open(&image, &unknown, top, &err), -ENOENT);
    assert_string_equal(err.text, "image builtin:alpine: there is no builtin image 'alpine'; there is: busybox");
    assert_int_equal(count_entries("/proc/self/fd"), fds);
}

/* The one directory of the builtin image. */
static void find_made(char out[300])
{
    DIR *dir = opendir(at("images"));
    assert_non_null(dir);
    *out = '\0';
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, "busybox-", 8) == 0) {
            assert_int_equal(*out, '\0');
            (void)snprintf(out, 300, "images/%s", entry->d_name);
        }
    }
    (void)closedir(dir);
    assert_int_not_equal(*out, '\0');
}

static void test_busybox(void **state)
{
    (void)state;
    shoal_error_t err = {0};
    struct image *image = NULL;
    mode_t mask = umask(077);
    int code = open_busybox(&image, &err);
    (void)umask(mask);
    if (code < 0)
        fail_msg("%s", err.text);
    char made[300], path[400], target[64] = "";
    find_made(made);
    uid_t uid = geteuid();
    gid_t gid = getegid();
    static const struct {
        const char *path;
        mode_t mode;
    } rows[] = {
        {"", 0755},          {"/bin", 0755},     {"/bin/busybox", 0755}, {"/bin/sh", 0777},     {"/tmp", 01777},
        {"/var/tmp", 01777}, {"/root", 0700},    {"/proc", 0755},        {"/etc/passwd", 0644}, {"/etc/group", 0644},
        {"/home", 0755},     {"/usr/bin", 0777},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        (void)snprintf(path, sizeof path, "%s%s", made, rows[i].path);
        expect_mode(path, rows[i].mode, uid, gid);
    }
    static const char *const commands[] = {"/bin/sh", "/sbin/ip", "/usr/bin/env", "/usr/sbin/chroot"};
    for (size_t i = 0; i < COUNT(commands); i++) {
        (void)snprintf(path, sizeof path, "%s%s", made, commands[i]);
        assert_int_equal(access(at(path), X_OK), 0);
    }
    (void)snprintf(path, sizeof path, "%s/bin/sh", made);
    assert_true(readlink(at(path), target, sizeof target - 1) > 0);
    assert_string_equal(target, "busybox");
    assert_int_equal(count_entries(at("images")), 2); /* it and the lock */

    struct image_user user;
    assert_int_equal(image_find_user(image, "nobody", NULL, &user, &err), 0);
    assert_int_equal(user.uid, 65534);
    assert_int_equal(image_find_user(image, NULL, NULL, &user, &err), 0);
    assert_string_equal(user.home, "/root");

    struct stat first, second; /* a second time finds it */
    assert_int_equal(fstat(image_layer_fd(image, 0), &first), 0);
    image_free(image);
    assert_int_equal(open_busybox(&image, &err), 0);
    assert_int_equal(fstat(image_layer_fd(image, 0), &second), 0);
    assert_int_equal(first.st_ino, second.st_ino);
    image_free(image);
}

/* Many at once, and the rests of one that died. */
static void test_busybox_race(void **state)
{
    (void)state;
    enum { MAKERS = 6 };
    shoal_error_t err = {0};
    assert_int_equal(image_make_directories(at("images/.new/bin/sub"), 0700, &err), 0);
    put("images/.new/bin/busybox", "half");
    pid_t pids[MAKERS];
    for (int i = 0; i < MAKERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct image *image = NULL;
            int code = open_busybox(&image, NULL);
            if (code == 0 && faccessat(image_layer_fd(image, 0), "bin/sh", X_OK, 0) < 0)
                code = -EIO;
            _exit(-code);
        }
    }
    for (int i = 0; i < MAKERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    char made[300];
    find_made(made);
    assert_int_equal(count_entries(at("images")), 2);
}

/* With another program in the place of the host's busybox, as seen in a mount namespace of its own. */
static void run_with_other_busybox(const char *other, const char *search, int want, const char *text)
{
    pid_t pid = fork();
    if (pid == 0) {
        shoal_error_t err = {0};
        struct image *image = NULL;
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount(other, "/bin/busybox", NULL, MS_BIND, NULL) < 0 || setenv("PATH", search, 1) < 0)
            _exit(100);
        int code = open_busybox(&image, &err);
        image_free(image);
        if (code != want || (text && strcmp(err.text, text) != 0)) {
            print_message("%d %s\n", code, err.text);
            _exit(101);
        }
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_other_busybox(void **state)
{
    (void)state;
    if (geteuid() != 0 || access("/bin/busybox", X_OK) < 0)
        skip();
    shoal_error_t err = {0};
    struct image *image = NULL;
    assert_int_equal(open_busybox(&image, &err), 0);
    char made[300], command[700];
    find_made(made);

    run_with_other_busybox(
        "/bin/ls", "relative:", -ENOENT,
        "image builtin:busybox: /bin/busybox is linked dynamically; install the package busybox-static");
    run_with_other_busybox("/etc/passwd", "", -ENOENT,
                           "image builtin:busybox: /bin/busybox is not a program of this machine; "
                           "install the package busybox-static");
    assert_int_equal(mkdir(at("path"), 0755), 0);
    (void)snprintf(command, sizeof command, "cp %s %s", "/bin/busybox", at("path/busybox"));
    assert_int_equal(system(command), 0);
    run_with_other_busybox("/bin/ls", at("path"), 0, NULL); /* found by PATH; another image beside the first */
    assert_int_equal(count_entries(at("images")), 3);
    assert_int_equal(faccessat(image_layer_fd(image, 0), "bin/sh", X_OK, 0),
                     0); /* who stands on the first still does */
    image_free(image);
}

enum { BASE = 200000 };

static void test_rootfs(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    shoal_error_t err = {0};
    struct image *image = NULL;
    assert_int_equal(image_make_directories(at("low/etc/deep"), 0755, &err), 0);
    assert_int_equal(image_make_directories(at("high/etc"), 0755, &err), 0);
    assert_int_equal(chmod(at("high"), 0751), 0);
    assert_int_equal(chmod(at("low/etc/deep"), 02750), 0);
    assert_int_equal(chown(at("low/etc/deep"), 12, 70000), 0);
    assert_int_equal(chmod(at("low/etc/deep"), 02750), 0);
    assert_int_equal(chmod(at("high/etc"), 0711), 0);
    const struct timespec times[2] = {{1000, 1}, {2000, 2}};
    assert_int_equal(utimensat(AT_FDCWD, at("high/etc"), times, 0), 0);
    assert_int_equal(open_layers(&image, "dir:low:high", (char *[]){at("low"), at("high"), NULL}, &err), 0);

    static const struct image_file files[] = {
        {"etc/hostname", "web-1\n"}, {"etc/deep/one", "1"}, {"etc/deep/two", ""}, {"fresh/file", "x"}, {"top", "t"}};
    for (int round = 0; round < 2; round++) { /* the second time over the rests of the first */
        mode_t mask = umask(round ? 0 : 077);
        int code = image_make_rootfs(image, at("c"), BASE, NULL, files, COUNT(files), &err);
        (void)umask(mask);
        if (code < 0)
            fail_msg("%s", err.text);
        expect_mode("c", 0711, BASE, BASE);
        expect_mode("c/l0", 0755, BASE, BASE);
        expect_mode("c/l1", 0755, BASE, BASE);
        expect_mode("c/work", 0755, BASE, BASE);
        expect_mode("c/root", 0755, BASE, BASE);
        expect_mode("c/upper", 0751, BASE, BASE);
        expect_mode("c/upper/etc", 0711, BASE, BASE);
        expect_mode("c/upper/etc/hostname", 0644, BASE, BASE);
        expect_mode("c/upper/etc/deep", 02750, BASE + 12, BASE); /* 70000 is no id of a sandbox */
        expect_mode("c/upper/fresh", 0755, BASE, BASE);
        expect_text("c/upper/etc/hostname", "web-1\n");
        expect_text("c/upper/etc/deep/two", "");
        expect_text("c/upper/top", "t");
        assert_int_equal(count_entries(at("c")), 5);
        struct stat st;
        assert_int_equal(stat(at("c/upper/etc"), &st), 0);
        assert_int_equal(st.st_mtim.tv_sec, 2000);
        assert_int_equal(st.st_mtim.tv_nsec, 2);
        put("c/work/left", "over");
    }
    assert_int_equal(image_remove_tree(at("c"), &err), 0);
    image_free(image);
}

static void test_rootfs_failures(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    shoal_error_t err = {0};
    struct image *image = NULL;
    assert_int_equal(image_make_directories(at("layer"), 0755, &err), 0);
    assert_int_equal(symlink("elsewhere", at("layer/etc")), 0);
    assert_int_equal(mknod(at("layer/gone"), S_IFCHR, makedev(0, 0)), 0);
    put("layer/file", "");
    assert_int_equal(open_layers(&image, "dir:layer", (char *[]){at("layer"), NULL}, &err), 0);
    static const struct {
        const char *path, *error;
        int code;
    } rows[] = {
        {"etc/hostname", "/etc in the image: Not a directory", -ENOTDIR},
        {"etc/a/b", "/etc in the image: Not a directory", -ENOTDIR},
        {"file/x", "/file in the image: Not a directory", -ENOTDIR},
        {"gone/x", NULL, 0}, /* a whiteout: there is nothing, so we make it */
        {"file", NULL, 0},
        {"", "'' is not a path below the root", -EINVAL},
        {"/etc/hostname", "'/etc/hostname' is not a path below the root", -EINVAL},
        {"a/../../x", "'a/../../x' is not a path below the root", -EINVAL},
        {"a//b", "'a//b' is not a path below the root", -EINVAL},
        {"a/", "'a/' is not a path below the root", -EINVAL},
        {".", "'.' is not a path below the root", -EINVAL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[200] = "";
        const struct image_file file = {rows[i].path, "x"};
        assert_int_equal(image_make_rootfs(image, at("c"), BASE, NULL, &file, 1, &err), rows[i].code);
        if (rows[i].error) {
            (void)snprintf(text, sizeof text, "%s: %s", at("c"), rows[i].error);
            assert_string_equal(err.text, text);
        }
        assert_int_equal(access(at("c"), F_OK), rows[i].code == 0 ? 0 : -1); /* on failure nothing stays */
    }
    const struct image_file twice[] = {{"x", "1"}, {"x", "2"}};
    assert_int_equal(image_make_rootfs(image, at("c"), BASE, NULL, twice, 2, &err), -EEXIST);
    assert_int_equal(access(at("c"), F_OK), -1);
    assert_int_equal(image_make_rootfs(image, at("no/such/c"), BASE, NULL, NULL, 0, &err), -ENOENT);
    image_free(image);
}

/* What was made is what overlayfs takes: mount it and look. */
static void test_rootfs_mounts(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    shoal_error_t err = {0};
    struct image *image = NULL;
    assert_int_equal(open_busybox(&image, &err), 0);
    static const struct image_file files[] = {{"etc/hostname", "web-1\n"}};
    assert_int_equal(image_make_rootfs(image, at("c"), 0, NULL, files, 1, &err), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char options[1600], made[300];
        find_made(made);
        (void)snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", at(made), at("c/upper"),
                       at("c/work"));
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("overlay", at("c/root"), "overlay", 0, options) < 0)
            _exit(errno);
        if (chroot(at("c/root")) < 0 || chdir("/") < 0)
            _exit(100);
        execl("/bin/sh", "sh", "-c",
              "test \"$(cat /etc/hostname)\" = web-1 && grep -q ^root: /etc/passwd && echo > /tmp/x && rm /bin/ls && "
              "test ! -e /bin/ls",
              (char *)NULL);
        _exit(101);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(image_remove_tree(at("c"), &err), 0);
    image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_busybox, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_busybox_race, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_busybox, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rootfs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rootfs_failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rootfs_mounts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
