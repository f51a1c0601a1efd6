/* docker run --user against texts of /etc/passwd and /etc/group, then against layers on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/base.h"
#include "image/image.h"
#include "image/user.h"

static const char passwd[] = "# a comment\n"
                             "root:x:0:0:root:/root:/bin/sh\n"
                             "\n"
                             "joe:x:1000:1001:Joe,,,:/home/joe:/bin/sh\n"
                             "bad:x:ten:0::/:/bin/sh\n"
                             "short:x:12\n"
                             "second:x:1000:7::/second:\n"
                             "homeless:x:1002:1002:::\n"
                             "high:x:70000:0::/:\n"
                             "highgroup:x:1003:70000::/:\n"
                             "huge:x:99999999999999999999:0::/:\n"
                             "bare:x:9:9\n"
                             "2000:x:5:5::/digits:\n"
                             "last:x:1004:1004::/last:/bin/sh";
static const char group[] = "root:x:0:\n"
                            "wheel:x:10:root,joe\n"
                            "audio:x:29:joe\n"
                            "video:x:44:someone,joe,other\n"
                            "joes:x:1001:joe\n"
                            "near:x:50:joey,xjoe,\n"
                            "nolist:x:51\n"
                            "bad:x:x:joe\n"
                            "toohigh:x:70001:highmember";

static void test_users(void **state)
{
    (void)state;
    static const struct {
        const char *user, *extra, *groups, *home;
        int code;
        unsigned uid, gid;
        const char *error;
    } rows[] = {
        {NULL, NULL, "0 10", "/root", 0, 0, 0, NULL},
        {"", NULL, "0 10", "/root", 0, 0, 0, NULL},
        {"root", NULL, "0 10", "/root", 0, 0, 0, NULL},
        {"0", NULL, "0 10", "/root", 0, 0, 0, NULL},
        {"joe", NULL, "1001 10 29 44", "/home/joe", 0, 1000, 1001, NULL},
        {"1000", NULL, "1001 10 29 44", "/home/joe", 0, 1000, 1001, NULL}, /* the first of that number */
        {"second", NULL, "7", "/second", 0, 1000, 7, NULL},
        {"joe:", NULL, "1001 10 29 44", "/home/joe", 0, 1000, 1001, NULL},
        {"joe:audio", NULL, "29", "/home/joe", 0, 1000, 29, NULL}, /* a group named by hand: no memberships */
        {"joe:5", NULL, "5", "/home/joe", 0, 1000, 5, NULL},
        {"joe:nolist", NULL, "51", "/home/joe", 0, 1000, 51, NULL},
        {":audio", NULL, "29", "/root", 0, 0, 29, NULL},
        {"4242", NULL, "0", "/", 0, 4242, 0, NULL}, /* a number need not be listed; its group is 0 then */
        {"4242:4343", NULL, "4343", "/", 0, 4242, 4343, NULL},
        {"65535:65535", NULL, "65535", "/", 0, 65535, 65535, NULL},
        {"2000", NULL, "0", "/", 0, 2000, 0, NULL}, /* digits are always a number, never that name */
        {"homeless", NULL, "1002", "/", 0, 1002, 1002, NULL},
        {"bare", NULL, "9", "/", 0, 9, 9, NULL},
        {"last", NULL, "1004", "/last", 0, 1004, 1004, NULL},
        {"joe", "29 video 7", "1001 10 29 44 7", "/home/joe", 0, 1000, 1001, NULL},
        {"joe:5", "audio 60000", "5 29 60000", "/home/joe", 0, 1000, 5, NULL},
        {"jane", NULL, NULL, NULL, -ENOENT, 0, 0, "user 'jane' is not in the image's /etc/passwd"},
        {"jo", NULL, NULL, NULL, -ENOENT, 0, 0, "user 'jo' is not in the image's /etc/passwd"},
        {"bad", NULL, NULL, NULL, -ENOENT, 0, 0, "user 'bad' is not in the image's /etc/passwd"},
        {"short", NULL, NULL, NULL, -ENOENT, 0, 0, "user 'short' is not in the image's /etc/passwd"},
        {"-1", NULL, NULL, NULL, -ENOENT, 0, 0, "user '-1' is not in the image's /etc/passwd"},
        {"# a comment", NULL, NULL, NULL, -ENOENT, 0, 0, "user '# a comment' is not in the image's /etc/passwd"},
        {"joe:staff", NULL, NULL, NULL, -ENOENT, 0, 0, "group 'staff' is not in the image's /etc/group"},
        {"joe:audio:x", NULL, NULL, NULL, -ENOENT, 0, 0, "group 'audio:x' is not in the image's /etc/group"},
        {"joe", "staff", NULL, NULL, -ENOENT, 0, 0, "group 'staff' is not in the image's /etc/group"},
        {"65536", NULL, NULL, NULL, -EINVAL, 0, 0, "user '65536': id 65536 is outside 0..65535"},
        {"99999999999999999999", NULL, NULL, NULL, -EINVAL, 0, 0,
         "user '99999999999999999999': id 4294967295 is outside 0..65535"},
        {"high", NULL, NULL, NULL, -EINVAL, 0, 0, "user 'high': id 70000 is outside 0..65535"},
        {"huge", NULL, NULL, NULL, -EINVAL, 0, 0, "user 'huge': id 4294967295 is outside 0..65535"},
        {"highgroup", NULL, NULL, NULL, -EINVAL, 0, 0, "group of user 'highgroup': id 70000 is outside 0..65535"},
        {"joe:70000", NULL, NULL, NULL, -EINVAL, 0, 0, "group '70000': id 70000 is outside 0..65535"},
        {"joe", "toohigh", NULL, NULL, -EINVAL, 0, 0, "group 'toohigh': id 70001 is outside 0..65535"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *items[8], words[64] = "";
        shoal_strings_t extra = {.items = items};
        if (rows[i].extra)
            (void)snprintf(words, sizeof words, "%s", rows[i].extra);
        for (char *rest = words, *word; *words && (word = strsep(&rest, " ")) != NULL;)
            items[extra.count++] = word;
        struct image_user got = {.uid = 77};
        shoal_error_t err = {0};
        int code = user_resolve(passwd, group, rows[i].user, &extra, &got, &err);
        if (code != rows[i].code)
            fail_msg("%s: %d %s", rows[i].user, code, err.text);
        if (code < 0) {
            assert_string_equal(err.text, rows[i].error);
            assert_int_equal(got.uid, 77);
            continue;
        }
        assert_int_equal(got.uid, rows[i].uid);
        assert_int_equal(got.gid, rows[i].gid);
        assert_string_equal(got.home, rows[i].home);
        struct text groups = {0};
        for (size_t g = 0; g < got.group_count; g++)
            text_add_format(&groups, "%s%u", g ? " " : "", got.groups[g]);
        assert_string_equal(groups.bytes, rows[i].groups);
        text_free(&groups);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct text many = {0}, long_home = {0};
    for (int i = 0; i < 63; i++)
        text_add_format(&many, "g%d:x:%d:root\n", i, i + 100);
    struct image_user user;
    shoal_error_t err = {0};
    assert_int_equal(user_resolve(passwd, many.bytes, "root", NULL, &user, &err), 0);
    assert_int_equal(user.group_count, 64);
    text_add_string(&many, "one:x:99:root\n");
    assert_int_equal(user_resolve(passwd, many.bytes, "root", NULL, &user, &err), -E2BIG);
    assert_string_equal(err.text, "user has more than 64 groups");
    text_add_string(&long_home, "joe:x:1:1::/");
    for (int i = 0; i < 255; i++)
        text_add_string(&long_home, "x");
    assert_int_equal(user_resolve(long_home.bytes, NULL, "joe", NULL, &user, &err), -ENAMETOOLONG);
    assert_int_equal(user_resolve(NULL, NULL, "7:8", NULL, &user, &err), 0); /* an image without users */
    assert_int_equal(user_resolve("", "", "", NULL, &user, &err), 0);
    assert_int_equal(user_resolve(NULL, NULL, "joe", NULL, &user, &err), -ENOENT);
    text_free(&many);
    text_free(&long_home);
}

/* ---- layers on disk ---- */

static char top[] = "/tmp/shoal-user-XXXXXX";

static char *at(const char *path)
{
    static char buffers[8][256];
    static unsigned next;
    char *buffer = buffers[next++ % COUNT(buffers)];
    (void)snprintf(buffer, sizeof buffers[0], "%s/%s", top, path);
    return buffer;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(at(path), "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The uid of "joe" in an image of two layers, or the error. */
static int find_joe(shoal_error_t *err)
{
    char *layers[] = {at("low"), at("high"), NULL};
    const shoal_image_t wanted = {.kind = SHOAL_IMAGE_DIRECTORY, .text = (char[]){"dir:test"}, .layers = {2, layers}};
    struct image *image = NULL;
    struct image_user user;
    assert_int_equal(image_open(&image, &wanted, top, err), 0);
    int code = image_find_user(image, "joe", NULL, &user, err);
    image_free(image);
    return code < 0 ? code : (int)user.uid;
}

static void test_layers(void **state)
{
    (void)state;
    shoal_error_t err = {0};
    assert_non_null(mkdtemp(top));
    assert_int_equal(image_make_directories(at("low/etc"), 0755, &err), 0);
    assert_int_equal(image_make_directories(at("high"), 0755, &err), 0);
    put("low/etc/passwd", "joe:x:1:1::/:\n");
    put("outside", "joe:x:666:1::/:\n");
    assert_int_equal(find_joe(&err), 1); /* from the lower layer */

    assert_int_equal(mkdir(at("high/etc"), 0755), 0);
    assert_int_equal(find_joe(&err), 1);
    put("high/etc/passwd", "joe:x:2:2::/:\n");
    assert_int_equal(find_joe(&err), 2); /* the upper one hides it */
    put("high/etc/passwd", "jane:x:2:2::/:\n");
    assert_int_equal(find_joe(&err), -ENOENT); /* as a whole */

    assert_int_equal(unlink(at("high/etc/passwd")), 0);
    if (mknod(at("high/etc/passwd"), S_IFCHR, makedev(0, 0)) == 0) { /* whiteout */
        assert_int_equal(find_joe(&err), -ENOENT);
        assert_int_equal(unlink(at("high/etc/passwd")), 0);
    }
    if (setxattr(at("high/etc"), "trusted.overlay.opaque", "y", 1, 0) == 0) {
        assert_int_equal(find_joe(&err), -ENOENT);
        assert_int_equal(removexattr(at("high/etc"), "trusted.overlay.opaque"), 0);
    }
    assert_int_equal(find_joe(&err), 1);

    /* links are followed inside their layer, and out of it they lead nowhere */
    put("high/users", "joe:x:3:3::/:\n");
    assert_int_equal(symlink("/users", at("high/etc/passwd")), 0);
    assert_int_equal(find_joe(&err), 3);
    assert_int_equal(unlink(at("high/etc/passwd")), 0);
    assert_int_equal(symlink("../../../../../../users", at("high/etc/passwd")), 0);
    assert_int_equal(find_joe(&err), 3);
    assert_int_equal(unlink(at("high/etc/passwd")), 0);
    assert_int_equal(symlink(at("outside"), at("high/etc/passwd")), 0);
    assert_int_equal(find_joe(&err), -ENOENT);
    assert_int_equal(unlink(at("high/etc/passwd")), 0);
    assert_int_equal(symlink("/proc/self/fd/0", at("high/etc/passwd")), 0);
    assert_int_equal(find_joe(&err), -ENOENT);
    assert_int_equal(unlink(at("high/etc/passwd")), 0);
    assert_int_equal(symlink("passwd", at("high/etc/passwd")), 0);
    assert_int_equal(find_joe(&err), -ELOOP);
    assert_int_equal(unlink(at("high/etc/passwd")), 0);

    /* what is no file is not opened: a fifo would wait for ever */
    assert_int_equal(mkfifo(at("high/etc/passwd"), 0644), 0);
    assert_int_equal(find_joe(&err), -EINVAL);
    assert_string_equal(err.text, "/etc/passwd: not a regular file");
    assert_int_equal(unlink(at("high/etc/passwd")), 0);
    assert_int_equal(rmdir(at("high/etc")), 0);
    put("high/etc", "a file where the lower layer has the directory");
    assert_int_equal(find_joe(&err), -ENOENT);

    assert_int_equal(unlink(at("high/etc")), 0);
    put("low/etc/passwd", "joe:x:1:1::/:\n");
    assert_int_equal(truncate(at("low/etc/passwd"), 9 << 20), 0);
    assert_int_equal(find_joe(&err), -EFBIG);
    assert_int_equal(image_remove_tree(top, &err), 0);
    assert_int_equal(access(top, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
