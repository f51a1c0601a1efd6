#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/capability.h"
#include "base/duration.h"
#include "base/rlimit.h"
#include "base/signal.h"
#include "compose/node.h"
#include "compose/values.h"

static void sizes(void **state)
{
    static const struct {
        const char *text;
        int code;
        uint64_t bytes;
    } rows[] = {{"0", 0, 0},
                {"64", 0, 64},
                {"64b", 0, 64},
                {"64k", 0, 65536},
                {"64K", 0, 65536},
                {"64kb", 0, 65536},
                {"1.5g", 0, 1610612736},
                {"2GiB", 0, 2147483648},
                {"1 m", 0, 1048576},
                {".5k", 0, 512},
                {"1t", 0, UINT64_C(1) << 40},
                {"1p", 0, UINT64_C(1) << 50},
                {"64Q", -EINVAL, 0},
                {"", -EINVAL, 0},
                {"m", -EINVAL, 0},
                {"-1", -EINVAL, 0},
                {"1mm", -EINVAL, 0},
                {"1i", -EINVAL, 0},
                {"0x10", -EINVAL, 0},
                {"1e3", 0, 1000},
                {"1e3k", 0, 1024000},
                {"1e3x", -EINVAL, 0},
                {"1e300", -ERANGE, 0},
                {"9999999p", -ERANGE, 0},
                {"99999999999999999999", -ERANGE, 0}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t bytes = 0;
        assert_int_equal(value_size(rows[i].text, &bytes), rows[i].code);
        assert_int_equal(bytes, rows[i].bytes);
    }
}

static void counts(void **state)
{
    static const struct {
        const char *text;
        int code;
        uint64_t count;
    } rows[] = {{"0", 0, 0},           {"50000", 0, 50000},   {"100k", 0, 100000},  {"1.5M", 0, 1500000},
                {"2g", 0, 2000000000}, {"", -EINVAL, 0},      {"k", -EINVAL, 0},    {"-1", -EINVAL, 0},
                {"1kk", -EINVAL, 0},   {"1 000", -EINVAL, 0}, {"0x10", -EINVAL, 0}, {"99999999999g", -ERANGE, 0}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t count = 0;
        assert_int_equal(value_count(rows[i].text, &count), rows[i].code);
        assert_int_equal(count, rows[i].count);
    }
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int code;
        uint64_t ms;
    } rows[] = {{"10s", 0, 10000},     {"1m30s", 0, 90000},
                {"500ms", 0, 500},     {"1h5m30s20ms", 0, 3930020},
                {"1.5s", 0, 1500},     {"100us", 0, 1},
                {"1ns", 0, 1},         {"0", 0, 0},
                {"0s", 0, 0},          {"2d", 0, 172800000},
                {"1w", 0, 604800000},  {"10", -EINVAL, 0},
                {"", -EINVAL, 0},      {"s", -EINVAL, 0},
                {"-1s", -EINVAL, 0},   {"1x", -EINVAL, 0},
                {"1s 2s", -EINVAL, 0}, {"99999999999999999999s", -ERANGE, 0}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t ms = 0;
        assert_int_equal(duration_parse_ms(rows[i].text, &ms), rows[i].code);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void integers(void **state)
{
    static const struct {
        const char *text;
        int code;
        int64_t value;
    } rows[] = {{"12", 0, 12},
                {"-1", 0, -1},
                {"+7", 0, 7},
                {"0x1f", 0, 31},
                {"0o17", 0, 15},
                {"017", 0, 15},
                {"0b101", 0, 5},
                {"1_000", 0, 1000},
                {"0", 0, 0},
                {"9223372036854775807", 0, INT64_MAX},
                {"-9223372036854775808", 0, INT64_MIN},
                {"9223372036854775808", -ERANGE, 0},
                {"", -EINVAL, 0},
                {"-", -EINVAL, 0},
                {"08", -EINVAL, 0},
                {"1.5", -EINVAL, 0},
                {"0x", -EINVAL, 0},
                {"1_", -EINVAL, 0},
                {"x", -EINVAL, 0}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t value = 0;
        assert_int_equal(value_integer(rows[i].text, &value), rows[i].code);
        assert_int_equal(value, rows[i].value);
    }
}

static void decimals(void **state)
{
    static const struct {
        const char *text;
        int code;
        int64_t thousandths;
    } rows[] = {{"0.5", 0, 500},
                {".5", 0, 500},
                {"2", 0, 2000},
                {"2.", 0, 2000},
                {"0.3333", 0, 333},
                {"1.9999", 0, 2000},
                {"", -EINVAL, 0},
                {".", -EINVAL, 0},
                {"-1", -EINVAL, 0},
                {"1e3", -EINVAL, 0},
                {"99999999999999999999", -ERANGE, 0}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t value = 0;
        assert_int_equal(value_decimal(rows[i].text, 3, &value), rows[i].code);
        assert_int_equal(value, rows[i].thousandths);
    }
}

static void words(void **state)
{
    (void)state;
    int number;
    unsigned bit;
    static const struct {
        const char *text;
        int number; /* -1: none */
    } signals[] = {{"SIGTERM", 15},    {"term", 15},       {"9", 9},        {"SIGRTMIN+3", 37}, {"RTMAX", 64},
                   {"SIGRTMAX-1", 63}, {"SIGPOLL", 29},    {"0", -1},       {"65", -1},         {"SIGFOO", -1},
                   {"", -1},           {"SIGRTMIN-1", -1}, {"RTMIN+31", -1}};
    for (size_t i = 0; i < COUNT(signals); i++) {
        int code = signal_parse(signals[i].text, &number);
        assert_int_equal(code, signals[i].number < 0 ? -EINVAL : 0);
        if (code == 0)
            assert_int_equal(number, signals[i].number);
    }
    assert_int_equal(capability_parse("CAP_CHOWN", &bit), 0);
    assert_int_equal(bit, 0);
    assert_int_equal(capability_parse("net_admin", &bit), 0);
    assert_int_equal(bit, 12);
    assert_int_equal(capability_parse("CHECKPOINT_RESTORE", &bit), 0);
    assert_int_equal(bit, 40);
    assert_int_equal(capability_parse("SYSADMIN", &bit), -EINVAL);
    assert_int_equal(rlimit_parse("nofile", &number), 0);
    assert_int_equal(number, RLIMIT_NOFILE);
    assert_int_equal(rlimit_parse("NOFILE", &number), -EINVAL);
}

static void lists_and_addresses(void **state)
{
    (void)state;
    uint32_t address;
    unsigned prefix;
    assert_int_equal(value_cpu_list("0-3,7"), 0);
    assert_int_equal(value_cpu_list("5"), 0);
    static const char *const bad[] = {"", "a", "3-1", "1,", ",1", "1-", "1--2", "0 1", "-1"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(value_cpu_list(bad[i]), -EINVAL);
    assert_int_equal(value_cpu_list("99999"), -ERANGE);
    assert_int_equal(value_subnet("10.1.0.0/16", &address, &prefix), 0);
    assert_int_equal(address, 0x0a010000);
    assert_int_equal(prefix, 16);
    assert_int_equal(value_subnet("10.1.0.0", &address, &prefix), -EINVAL);
    assert_int_equal(value_subnet("10.1.0.0/33", &address, &prefix), -EINVAL);
    assert_int_equal(value_subnet("10.1.0.0/ 8", &address, &prefix), -EINVAL);
    assert_int_equal(value_subnet("fd00::/64", &address, &prefix), -EINVAL);
    assert_int_equal(value_mode("1777", &address), 0);
    assert_int_equal(address, 01777);
    assert_int_equal(value_mode("0o755", &address), 0);
    assert_int_equal(address, 0755);
    assert_int_equal(value_mode("8", &address), -EINVAL);
    assert_int_equal(value_mode("17777", &address), -ERANGE);
}

static void split(void **state)
{
    static const struct {
        const char *text, *words; /* joined by '|'; NULL: refused */
        bool shell;               /* it is meant for one; words: what is left of it */
    } rows[] = {{"a b  c", "a|b|c", false},
                {"", "", false},
                {"  ", "", false},
                {"''", "", false},
                {"\"\" a", "|a", false},
                {"a 'b c' \"d e\"", "a|b c|d e", false},
                {"a\\ b", "a b", false},
                {"'a\\b'", "a\\b", false},
                {"\"a\\\"b\"", "a\"b", false},
                {"a'b'c", "abc", false},
                {"a '' b", "a||b", false},
                {"a\\nb", "anb", false},
                {"a\nb", "a|b", false},
                {"sh -c 'a; b'", "sh|-c|a; b", false},
                {"a; b", "a", true},
                {"a | b", "a", true},
                {"a > b", "a", true},
                {"2>x y", "", true},
                {"a b2>x", "a|b2", true},
                {"a && b", "a", true},
                {"$(a b) c", "$(a b)|c", true},
                {"`a b` c", "`a b`|c", true},
                {"a (b)", NULL, false},
                {"a )b", NULL, true},
                {"'a", NULL, false},
                {"\"a", NULL, false},
                {"a\\", NULL, false}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena arena = {0};
        shoal_strings_t list;
        const char *why;
        int code = value_split(&arena, rows[i].text, &list, &why);
        assert_int_equal(code, rows[i].words == NULL ? -EINVAL : 0);
        assert_true((why != NULL) == (rows[i].words == NULL || rows[i].shell));
        struct text joined = {0};
        for (size_t k = 0; code == 0 && k < list.count; k++)
            text_add_format(&joined, "%s%s", k > 0 ? "|" : "", list.items[k]);
        if (code == 0)
            assert_string_equal(joined.bytes == NULL ? "" : joined.bytes, rows[i].words);
        text_free(&joined);
        arena_free(&arena);
    }
}

static void paths(void **state)
{
    static const struct {
        const char *path, *out;
    } rows[] = {{"a", "/base/dir/a"},     {"./a/", "/base/dir/a"}, {"../a", "/base/a"}, {"../../../..", "/"},
                {"/a//b/./c/..", "/a/b"}, {"", "/base/dir"},       {".", "/base/dir"},  {"/", "/"},
                {"..a", "/base/dir/..a"}};
    (void)state;
    struct arena arena = {0};
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_string_equal(value_path(&arena, "/base/dir", rows[i].path), rows[i].out);
    arena_free(&arena);
}

static void plain_scalars(void **state)
{
    static const struct {
        const char *text;
        enum node_type type;
        const char *number; /* as handed on */
    } rows[] = {{"", TYPE_NULL, NULL},
                {"~", TYPE_NULL, NULL},
                {"null", TYPE_NULL, NULL},
                {"true", TYPE_BOOL, NULL},
                {"False", TYPE_BOOL, NULL},
                {"yes", TYPE_STRING, NULL},
                {"no", TYPE_STRING, NULL},
                {"on", TYPE_STRING, NULL},
                {"1.10", TYPE_FLOAT, "1.1"},
                {"10", TYPE_INT, "10"},
                {"0x10", TYPE_INT, "16"},
                {"010", TYPE_INT, "8"},
                {"1_000", TYPE_INT, "1000"},
                {"1e3", TYPE_FLOAT, "1000"},
                {"1e21", TYPE_FLOAT, "1e+21"},
                {"0.00001", TYPE_FLOAT, "1e-05"},
                {"0.0001", TYPE_FLOAT, "0.0001"},
                {"-.5", TYPE_FLOAT, "-0.5"},
                {"12.5e-1", TYPE_FLOAT, "1.25"},
                {"0.0", TYPE_FLOAT, "0"},
                {"1.", TYPE_FLOAT, "1"},
                {"1.2345678901234567890", TYPE_FLOAT, "1.2345678901234567"},
                {".inf", TYPE_FLOAT, "+Inf"},
                {"99999999999999999999", TYPE_FLOAT, "1e+20"},
                {"1.2.3", TYPE_STRING, NULL},
                {"1e", TYPE_STRING, NULL},
                {".", TYPE_STRING, NULL},
                {"-", TYPE_STRING, NULL},
                {"10.0.0.1", TYPE_STRING, NULL},
                {"1m", TYPE_STRING, NULL}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum node_type type = node_resolve(rows[i].text, strlen(rows[i].text));
        assert_int_equal(type, rows[i].type);
        struct node node = {.type = (uint8_t)type, .text = rows[i].text};
        char out[64];
        if (rows[i].number != NULL)
            assert_string_equal(node_number_text(&node, out), rows[i].number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(counts),
        cmocka_unit_test(durations),
        cmocka_unit_test(integers),
        cmocka_unit_test(decimals),
        cmocka_unit_test(words),
        cmocka_unit_test(lists_and_addresses),
        cmocka_unit_test(split),
        cmocka_unit_test(paths),
        cmocka_unit_test(plain_scalars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
