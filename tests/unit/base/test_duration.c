#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/duration.h"

static void parses_rows(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        uint64_t ms;
    } rows[] = {
        {"0s", 0, 0},
        {"10s", 0, 10000},
        {"1h30m", 0, 5400000},
        {"500ms", 0, 500},
        {"1.5s", 0, 1500},
        {"2500us", 0, 3},
        {"1m", 0, 60000},
        {"1m30s500ms", 0, 90500},
        {"", -EINVAL, 7},
        {"10", -EINVAL, 7},
        {"s", -EINVAL, 7},
        {"10 s", -EINVAL, 7},
        {"-1s", -EINVAL, 7},
        {"1d", 0, 86400000},
        {"1.s", 0, 1000},
        {".s", -EINVAL, 7},
        {"1s1", -EINVAL, 7},
        {"1e3s", -EINVAL, 7},
        {"99999999999999999999h", -ERANGE, 7},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t ms = 7;
        int code = duration_parse_ms(rows[i].text, &ms);
        if (code != rows[i].code || ms != rows[i].ms)
            fail_msg("'%s': %d, %llu", rows[i].text, code, (unsigned long long)ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parses_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
