/* Interpolation and environment files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "compose/envfile.h"

static const char *look_up(void *data, const char *name)
{
    (void)data;
    return strcmp(name, "A") == 0 ? "va" : strcmp(name, "E") == 0 ? "" : NULL;
}

static void forms(void **state)
{
    static const struct {
        const char *text, *out, *error; /* out NULL: refused with error */
    } rows[] = {
        {"plain", "plain", NULL},
        {"$A-${A}", "va-va", NULL},
        {"$$A $${A}", "$A ${A}", NULL},
        {"<$U>", "<>", NULL},
        {"${E:-d} ${E-d} ${U:-d} ${U-d} ${A:-d}", "d  d d va", NULL},
        {"${E:+x}|${E+x}|${U:+x}|${U+x}|${A:+x}", "|x|||x", NULL},
        {"${U:-${E:-${A}}}", "va", NULL},
        {"${U:-{\"a\": {}}}", "{\"a\": {}}", NULL},
        {"${U:-a:-b}", "a:-b", NULL},
        {"${A:?no} ${A?no}", "va va", NULL},
        {"${A}$", "va$", NULL},
        {"$1 $(x) $-", "$1 $(x) $-", NULL},
        {"${", NULL, "\"${\" has no closing brace; write $$ for a dollar sign"},
        {"${}", NULL, "\"${}\" names no variable; write $$ for a dollar sign"},
        {"${A!}", NULL, "\"!\" behind ${A is none of :- - :? ? :+ +"},
        {"${A:}", NULL, "\":\" behind ${A is none of :- - :? ? :+ +"},
        {"${U:?set $A}", NULL, "required variable U is missing a value: set va"},
        {"${E:?}", NULL, "required variable E is missing a value"},
        {"${E?x}", "", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct interpolation with = {.lookup = look_up, .budget = 1000};
        struct text out = {0};
        shoal_error_t err = {0};
        int code = interpolate(&with, rows[i].text, strlen(rows[i].text), &out, &err);
        if (rows[i].out != NULL) {
            assert_int_equal(code, 0);
            assert_string_equal(out.bytes, rows[i].out);
        } else {
            assert_int_equal(code, -EINVAL);
            assert_string_equal(err.text, rows[i].error);
        }
        text_free(&out);
    }
}

static void limits(void **state)
{
    (void)state;
    struct interpolation with = {.lookup = look_up, .budget = 3};
    struct text out = {0}, deep = {0};
    assert_int_equal(interpolate(&with, "$A$A", 4, &out, NULL), -E2BIG);
    for (int i = 0; i < 50; i++)
        text_add_string(&deep, "${U:-");
    for (int i = 0; i < 50; i++)
        text_add_string(&deep, "}");
    with.budget = 1000;
    shoal_error_t err;
    assert_int_equal(interpolate(&with, deep.bytes, deep.count, &out, &err), -EINVAL);
    assert_string_equal(err.text, "defaults are nested more than 32 deep");
    text_free(&deep);
    text_free(&out);
}

static int note(void *data, const char *name, const char *value)
{
    text_add_format(data, "%s=%s;", name, value == NULL ? "(inherit)" : value);
    return 0;
}

static void environment_files(void **state)
{
    static const struct {
        const char *text, *out, *error;
    } rows[] = {
        {"A=1\nB=2", "A=1;B=2;", NULL},
        {"\xef\xbb\xbf"
         "A=1\r\nB=2\r\n",
         "A=1;B=2;", NULL},
        {"# c\n\n  X = y  \n", "X=y;", NULL},
        {"export X=y", "X=y;", NULL},
        {"X: y", "X=y;", NULL},
        {"X=a # c\nY=a#c\nZ=#c", "X=a;Y=a#c;Z=#c;", NULL},
        {"X='a $A # \\'b\\n' # c", "X=a $A # 'b\\n;", NULL},
        {"X=\"a $A\\n\\$A \\\"q\\\" \\x\"", "X=a va\n$A \"q\" \\x;", NULL},
        {"X=\"two\nlines\"\nY=1", "X=two\nlines;Y=1;", NULL},
        {"X=${U:-d} $A", "X=d va;", NULL},
        {"X\nY # c\n", "X=(inherit);Y=(inherit);", NULL},
        {"X=", "X=;", NULL},
        {"X= # c", "X=# c;", NULL},
        {"X='a\\\\'\nY=1", "X=a\\\\;Y=1;", NULL},
        {"exported=1", "exported=1;", NULL},
        {"A=1\nB='x\ny", NULL, "line 2: the quote ' is not closed"},
        {"A=\"x\" y", NULL, "line 1: unexpected text behind the closing quote"},
        {"A=1\n=2", NULL, "line 2: unexpected character '=' in a variable's name"},
        {"A B=2", NULL, "line 1: unexpected character 'B' in a variable's name"},
        {"A=\"x\n\ny\"\nB=${", NULL, "line 4: \"${\" has no closing brace; write $$ for a dollar sign"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text out = {0};
        struct envfile file = {.with = {.data = &out, .lookup = look_up, .budget = 1000}, .put = note};
        shoal_error_t err = {0};
        int code = envfile_parse(&file, rows[i].text, strlen(rows[i].text), &err);
        if (rows[i].out != NULL) {
            assert_int_equal(code, 0);
            assert_string_equal(out.bytes, rows[i].out);
        } else {
            assert_int_equal(code, -EINVAL);
            assert_string_equal(err.text, rows[i].error);
        }
        text_free(&out);
    }
    struct envfile file = {.with = {.lookup = look_up, .budget = 1000}, .put = note};
    shoal_error_t err;
    assert_int_equal(envfile_parse(&file, "\nA\0=1", 5, &err), -EINVAL);
    assert_string_equal(err.text, "line 2: holds a NUL byte");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms), cmocka_unit_test(limits),
                                       cmocka_unit_test(environment_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
