#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static void puts_commas(void **state)
{
    (void)state;
    struct text out = {0};
    struct json json = {.out = &out};
    json_open(&json, NULL, '{');
    json_string(&json, "a", "x");
    json_string(&json, "left out", NULL);
    json_open(&json, "empty", '{');
    json_close(&json, '}');
    json_open(&json, "list", '[');
    json_uint(&json, NULL, 1);
    json_open(&json, NULL, '[');
    json_close(&json, ']');
    json_open(&json, NULL, '{');
    json_bool(&json, "t", true);
    json_bool(&json, "f", false);
    json_close(&json, '}');
    json_close(&json, ']');
    json_int(&json, "k\"ey", INT64_MIN);
    json_close(&json, '}');
    assert_string_equal(out.bytes, "{\"a\":\"x\",\"empty\":{},\"list\":[1,[],{\"t\":true,\"f\":false}],"
                                   "\"k\\\"ey\":-9223372036854775808}");
    text_free(&out);
}

static void quotes_strings(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t count;
        const char *json;
    } rows[] = {
        {"", 0, "\"\""},
        {"plain /path", 11, "\"plain /path\""},
        {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
        {"line\n", 5, "\"line\\n\""},
        {"\t\r\b\033", 4, "\"\\u0009\\u000d\\u0008\\u001b\""},
        {"\0x", 2, "\"\\u0000x\""},
        {"\x7f", 1, "\"\\u007f\""},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x9f", 9, "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x9f\""},
        {"\xed\x9f\xbf\xee\x80\x80", 6, "\"\xed\x9f\xbf\xee\x80\x80\""}, /* the neighbours of the surrogates */
        {"\xf4\x8f\xbf\xbf", 4, "\"\xf4\x8f\xbf\xbf\""},                 /* U+10FFFF, the last one */
        {"\x80", 1, "\"\\ufffd\""},
        {"\xc0\xaf", 2, "\"\\ufffd\\ufffd\""},                       /* overlong */
        {"\xe0\x9f\xbf", 3, "\"\\ufffd\\ufffd\\ufffd\""},            /* overlong */
        {"\xf0\x8f\xbf\xbf", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\""}, /* overlong */
        {"\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\""},            /* surrogate */
        {"\xf4\x90\x80\x80", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\""}, /* behind U+10FFFF */
        {"\xe2\x82", 2, "\"\\ufffd\\ufffd\""},                       /* cut off by the end */
        {"\xe2\x82\xac", 2, "\"\\ufffd\\ufffd\""},                   /* ... although the next byte is there */
        {"\xe2(\xac", 3, "\"\\ufffd(\\ufffd\""},
        {"\xff\xfe", 2, "\"\\ufffd\\ufffd\""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text out = {0};
        json_bytes(&(struct json){.out = &out}, NULL, rows[i].bytes, rows[i].count);
        assert_string_equal(out.bytes, rows[i].json);
        text_free(&out);
    }
}

static void writes_numbers(void **state)
{
    (void)state;
    static const uint64_t unsigned_rows[] = {0, 9, 10, 4294967296, UINT64_MAX};
    for (size_t i = 0; i < COUNT(unsigned_rows); i++) {
        struct text out = {0};
        json_uint(&(struct json){.out = &out}, NULL, unsigned_rows[i]);
        char wanted[32];
        (void)snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)unsigned_rows[i]);
        assert_string_equal(out.bytes, wanted);
        text_free(&out);
    }
    static const struct {
        double value;
        const char *json;
    } rows[] = {
        {0, "0.00"},     {0.004, "0.00"}, {0.125, "0.12"},    {1.5, "1.50"},
        {-0.5, "-0.50"}, {100, "100.00"}, {99.999, "100.00"}, {12345678.25, "12345678.25"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text out = {0};
        json_double(&(struct json){.out = &out}, NULL, rows[i].value);
        assert_string_equal(out.bytes, rows[i].json);
        text_free(&out);
    }
    struct text out = {0};
    json_double(&(struct json){.out = &out}, NULL, -1.7976931348623157e308);
    assert_int_equal(out.count, 1 + 309 + 3);
    text_free(&out);
}

/* JSON has no word for them. */
static void leaves_out_what_is_no_number(void **state)
{
    (void)state;
    struct text out = {0};
    struct json json = {.out = &out};
    json_open(&json, NULL, '{');
    json_double(&json, "a", NAN);
    json_double(&json, "b", INFINITY);
    json_double(&json, "c", 1);
    json_close(&json, '}');
    assert_string_equal(out.bytes, "{\"c\":1.00}");
    text_free(&out);
}

/* A program that embeds us may run in a locale that writes 1,50. Found where one such locale is installed. */
static void ignores_the_locale(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "pl_PL.UTF-8"};
    bool found = false;
    for (size_t i = 0; i < COUNT(names) && !found; i++)
        found = setlocale(LC_NUMERIC, names[i]) != NULL;
    if (!found)
        skip();
    struct text out = {0};
    json_double(&(struct json){.out = &out}, NULL, 1.5);
    (void)setlocale(LC_NUMERIC, "C");
    assert_string_equal(out.bytes, "1.50");
    text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_commas),        cmocka_unit_test(quotes_strings),
        cmocka_unit_test(writes_numbers),     cmocka_unit_test(leaves_out_what_is_no_number),
        cmocka_unit_test(ignores_the_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
