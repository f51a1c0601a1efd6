#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static void writes_rfc3339(void **state)
{
    (void)state;
    static const struct {
        uint64_t usec;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {951782400999999, "2000-02-29T00:00:00.999999Z"},
        {1769860800000001, "2026-01-31T12:00:00.000001Z"},
        {4102444799123456, "2099-12-31T23:59:59.123456Z"},
        {UINT64_MAX, "586524-01-19T08:01:49.551615Z"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[32];
        base_format_time(rows[i].usec, out);
        assert_string_equal(out, rows[i].text);
    }
}

static void clocks_go_forward(void **state)
{
    (void)state;
    uint64_t first = base_monotonic_usec();
    assert_true(base_monotonic_usec() >= first);
    assert_true(base_realtime_usec() > 1600000000000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(writes_rfc3339), cmocka_unit_test(clocks_go_forward)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
