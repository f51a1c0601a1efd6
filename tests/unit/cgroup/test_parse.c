/* The kernel's formats (cgroup-v2.rst, psi.rst), whole, cut short and foreign. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "cgroup/inside.h"

static void test_number(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t want;
    } rows[] = {
        {"0\n", 0},
        {"134217728\n", 134217728},
        {"18446744073709551614\n", UINT64_MAX - 1},
        {"max\n", SHOAL_ABSENT},
        {"99999999999999999999\n", SHOAL_ABSENT},
        {"-1\n", SHOAL_ABSENT},
        {" 1\n", SHOAL_ABSENT},
        {"", SHOAL_ABSENT},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(cgroup_parse_number(rows[i].text), rows[i].want);
}

static void test_key(void **state)
{
    (void)state;
    static const char events[] = "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 5\n";
    assert_int_equal(cgroup_parse_key(events, "low"), 0);
    assert_int_equal(cgroup_parse_key(events, "oom"), 3);
    assert_int_equal(cgroup_parse_key(events, "oom_kill"), 4);
    assert_int_equal(cgroup_parse_key(events, "oom_group_kill"), 5);
    assert_int_equal(cgroup_parse_key(events, "kill"), SHOAL_ABSENT); /* the end of another key */
    assert_int_equal(cgroup_parse_key(events, "oo"), SHOAL_ABSENT);   /* the begin of another key */
    assert_int_equal(cgroup_parse_key("max max\n", "max"), SHOAL_ABSENT);
    assert_int_equal(cgroup_parse_key("populated", "populated"), SHOAL_ABSENT);
    assert_int_equal(cgroup_parse_key("populated ", "populated"), SHOAL_ABSENT);
    assert_int_equal(cgroup_parse_key("", "low"), SHOAL_ABSENT);
    assert_int_equal(cgroup_parse_key("a 1\nlow 7", "low"), 7); /* the last line without its end */
}

static void test_io(void **state)
{
    (void)state;
    uint64_t sums[4];
    cgroup_parse_io("", sums);
    assert_memory_equal(sums, ((uint64_t[4]){0}), sizeof sums);
    cgroup_parse_io("8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=512 dios=9\n"
                    "254:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
                    sums);
    assert_memory_equal(sums, ((uint64_t[4]){4097, 8194, 4, 6}), sizeof sums);
    cgroup_parse_io("8:0 \n8:16 rbytes=5 wio", sums); /* a device that was only looked at; a line cut short */
    assert_memory_equal(sums, ((uint64_t[4]){5, 0, 0, 0}), sizeof sums);
    cgroup_parse_io("8:0 xrbytes=1 rbytes=max wbytes=", sums);
    assert_memory_equal(sums, ((uint64_t[4]){0}), sizeof sums);
}

static void test_pressure(void **state)
{
    (void)state;
    shoal_pressure_line_t line;
    cgroup_parse_pressure("some avg10=12.34 avg60=1.00 avg300=0.10 total=5678\n"
                          "full avg10=100.00 avg60=0.00 avg300=0.00 total=42\n",
                          &line);
    assert_true(fabs(line.some_avg10 - 12.34) < 1e-9);
    assert_true(fabs(line.full_avg10 - 100) < 1e-9);
    assert_int_equal(line.some_total, 5678);
    assert_int_equal(line.full_total, 42);
    cgroup_parse_pressure("some avg10=1.50 avg60=0.00 avg300=0.00 total=7\n", &line); /* cpu before Linux 5.13 */
    assert_true(fabs(line.some_avg10 - 1.5) < 1e-9);
    assert_int_equal(line.some_total, 7);
    assert_int_equal(line.full_total, SHOAL_ABSENT);
    cgroup_parse_pressure("some avg10=9.00", &line);
    assert_int_equal(line.some_total, SHOAL_ABSENT);
    assert_true(line.some_avg10 == 0); /* half a line says nothing */
}

static void test_same_list(void **state)
{
    (void)state;
    assert_true(cgroup_same_list("0-2,4", "0,1,2,4\n"));
    assert_true(cgroup_same_list("3,1", "1,3"));
    assert_false(cgroup_same_list("0-2", "0-3"));
    assert_false(cgroup_same_list("0", ""));
    assert_true(cgroup_same_list("", "\n"));
    assert_false(cgroup_same_list("1", "65")); /* not by their word of bits */
    assert_true(cgroup_same_list("0-99999999999999999999", "0-8191"));
    assert_true(cgroup_same_list("5-2", ""));
}

static void test_list_holds(void **state)
{
    (void)state;
    assert_true(cgroup_list_holds("0-3", "1,3"));
    assert_true(cgroup_list_holds("0-3\n", "0-3"));
    assert_true(cgroup_list_holds("0", ""));
    assert_false(cgroup_list_holds("0-3", "3-4"));
    assert_false(cgroup_list_holds("1,64", "0"));
    assert_false(cgroup_list_holds("", "0"));
}

static void test_cost(void **state)
{
    (void)state;
    static const char qos[] = "8:0 enable=0 ctrl=auto rpct=0.00 rlat=0\n8:16 enable=1 ctrl=auto rpct=95.00\n";
    assert_true(cgroup_parse_cost(qos, "8:16"));
    assert_false(cgroup_parse_cost(qos, "8:0"));
    assert_false(cgroup_parse_cost(qos, "8:1")); /* the begin of another number */
    assert_true(cgroup_parse_cost(qos, NULL));
    assert_false(cgroup_parse_cost("8:0 enable=0 ctrl=auto\n", NULL));
    assert_false(cgroup_parse_cost("", NULL));
}

static void test_line(void **state)
{
    (void)state;
    const struct {
        const char *text, *subject, *want;
    } rows[] = {
        {"67108864\n", "", "67108864"},
        {"default 100\n8:0 200\n", "", "default 100"},
        {"default 100\n8:0 200\n8:16 300\n", "8:16", "300"},
        {"default 100\n8:160 200\n", "8:16", ""},
        {"mlx4_0 hca_handle=2 hca_object=max \nocrdma1 hca_handle=max hca_object=7 \n", "mlx4_0",
         "hca_handle=2 hca_object=max"},
        {"", "8:0", ""},
        {"8:0", "8:0", ""},
        {"8:0 ", "8:0", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO_FREE char *text = base_format("%s", rows[i].text);
        assert_string_equal(cgroup_parse_line(text, rows[i].subject), rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number),   cmocka_unit_test(test_key),       cmocka_unit_test(test_io),
        cmocka_unit_test(test_pressure), cmocka_unit_test(test_same_list), cmocka_unit_test(test_list_holds),
        cmocka_unit_test(test_cost),     cmocka_unit_test(test_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
