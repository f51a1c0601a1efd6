#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"
#include "kernel/pressure.h"

static void reads_the_total_of_some(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t total;
    } rows[] = {
        {"some avg10=0.12 avg60=1.00 avg300=0.00 total=279544536\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
         279544536},
        {"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", 0},
        {"some total=18446744073709551614", UINT64_MAX - 1},
        {"full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n", PRESSURE_ABSENT},
        {"some avg10=0.00\nfull avg10=0.00 total=7\n", PRESSURE_ABSENT},
        {"some avg10=0.00 total=\n", PRESSURE_ABSENT},
        {"some avg10=0.00 total=-4\n", PRESSURE_ABSENT},
        {"some total=18446744073709551616\n", PRESSURE_ABSENT},
        {"some", PRESSURE_ABSENT},
        {"", PRESSURE_ABSENT},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (pressure_parse_some_usec(rows[i].text) != rows[i].total)
            fail_msg("row %zu: %llu", i, (unsigned long long)pressure_parse_some_usec(rows[i].text));
}

static void only_grows(void **state)
{
    (void)state;
    struct pressure pressure;
    pressure_open(&pressure);
    uint64_t before = pressure_read_some_usec(&pressure, PRESSURE_CPU);
    if (before == PRESSURE_ABSENT) {
        pressure_close(&pressure);
        skip(); /* a kernel without PSI */
    }
    for (int i = 0; i < PRESSURE_COUNT; i++)
        assert_true(pressure_read_some_usec(&pressure, (enum pressure_kind)i) != PRESSURE_ABSENT);
    assert_true(pressure_read_some_usec(&pressure, PRESSURE_CPU) >= before);
    pressure_close(&pressure);
    assert_true(pressure_read_some_usec(&pressure, PRESSURE_CPU) == PRESSURE_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_total_of_some),
        cmocka_unit_test(only_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
