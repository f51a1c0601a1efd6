#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static void fills_text_and_code(void **state)
{
    (void)state;
    shoal_error_t err = {0};
    assert_int_equal(shoal_fail(&err, -EACCES, "%s: write '%s'", "memory.max", "64M"), -EACCES);
    assert_string_equal(err.text, "memory.max: write '64M': Permission denied");
    assert_int_equal(err.code, -EACCES);
    assert_int_equal(shoal_within(&err, "web: %s", "cgroup"), -EACCES);
    assert_string_equal(err.text, "web: cgroup: memory.max: write '64M': Permission denied");
    assert_int_equal(shoal_refuse(&err, -EINVAL, "\"%s\" is not a size", "64Q"), -EINVAL);
    assert_string_equal(err.text, "\"64Q\" is not a size");
    assert_int_equal(shoal_fail(&err, 3, "exit %d", 3), 3);
    assert_string_equal(err.text, "exit 3"); /* no errno, so no words for one */
}

static void works_without_err(void **state)
{
    (void)state;
    assert_int_equal(shoal_fail(NULL, -ENOMEM, "x"), -ENOMEM);
    assert_int_equal(shoal_refuse(NULL, -EINVAL, "x"), -EINVAL);
    assert_int_equal(shoal_within(NULL, "x"), 0);
}

/* For every length around the end: never more than fits, and "..." exactly when something is missing. */
static void marks_a_cut(void **state)
{
    (void)state;
    shoal_error_t err;
    char name[sizeof err.text + 8];
    memset(name, 'n', sizeof name);
    const char *tail = ": Permission denied";
    for (size_t count = sizeof err.text - 32; count < sizeof name; count++) {
        size_t whole = count + strlen(tail);
        shoal_fail(&err, -EACCES, "%.*s", (int)count, name);
        assert_int_equal(strlen(err.text), whole < sizeof err.text ? whole : sizeof err.text - 1);
        assert_string_equal(err.text + strlen(err.text) - 3, whole < sizeof err.text ? "ied" : "...");
        shoal_refuse(&err, -EACCES, "%.*s", (int)count, name);
        assert_string_equal(err.text + strlen(err.text) - 3, count < sizeof err.text ? "nnn" : "...");
        shoal_refuse(&err, -EACCES, "%.*s", (int)(count < 300 ? count : 300), name);
        shoal_within(&err, "%.*s", (int)(count - 300), name);
        size_t within = count + 2;
        assert_string_equal(err.text + strlen(err.text) - 3, within < sizeof err.text ? "nnn" : "...");
    }
}

static void cuts_between_characters(void **state)
{
    (void)state;
    for (int shift = 0; shift < 4; shift++) {
        struct text name = {0};
        text_add(&name, "xxx", (size_t)shift);
        for (int i = 0; i < 200; i++)
            text_add_string(&name, "\xe2\x82\xac");
        shoal_error_t err;
        shoal_refuse(&err, -EINVAL, "%s", name.bytes);
        size_t count = strlen(err.text);
        assert_string_equal(err.text + count - 3, "...");
        assert_int_equal((count - 3 - (size_t)shift) % 3, 0);
        text_free(&name);
    }
}

static void stays_one_line(void **state)
{
    (void)state;
    shoal_error_t err;
    shoal_fail(&err, -ENOENT, "open %s", "a\nb\033[2Jc\x7f");
    assert_string_equal(err.text, "open a b [2Jc : No such file or directory");
    shoal_within(&err, "web\r\n");
    assert_string_equal(err.text, "web  : open a b [2Jc : No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_text_and_code),     cmocka_unit_test(works_without_err), cmocka_unit_test(marks_a_cut),
        cmocka_unit_test(cuts_between_characters), cmocka_unit_test(stays_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
