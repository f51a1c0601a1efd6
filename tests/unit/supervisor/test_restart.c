#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "supervisor/inside.h"

static const shoal_restart_t defaults = {
    .policy = SHOAL_RESTART_ALWAYS, .first_ms = 100, .max_ms = 60000, .reset_ms = 10000, .factor = 2, .jitter = 0};

static void decides_by_policy(void **state)
{
    (void)state;
    static const struct {
        shoal_restart_policy_t policy;
        int max_attempts, exit_code;
        unsigned attempts;
        uint64_t wall_ms, window_ms;
        bool never_ran, ever_ran, again;
        unsigned attempt;
    } rows[] = {
        {SHOAL_RESTART_NO, 0, 1, 0, 1, 0, false, true, false, 0},
        {SHOAL_RESTART_ALWAYS, 0, 0, 0, 1, 0, false, true, true, 1},
        {SHOAL_RESTART_UNLESS_STOPPED, 0, 0, 3, 1, 0, false, true, true, 4},
        {SHOAL_RESTART_ON_FAILURE, 0, 0, 0, 1, 0, false, true, false, 0},
        {SHOAL_RESTART_ON_FAILURE, 0, 137, 0, 1, 0, false, true, true, 1},
        {SHOAL_RESTART_ON_FAILURE, 2, 1, 1, 1, 0, false, true, true, 2},
        {SHOAL_RESTART_ON_FAILURE, 2, 1, 2, 1, 0, false, true, false, 0},
        /* ten seconds of health: it begins anew */
        {SHOAL_RESTART_ON_FAILURE, 2, 1, 2, 10000, 0, false, true, true, 1},
        /* longer than the window: the attempt does not count */
        {SHOAL_RESTART_ON_FAILURE, 2, 1, 2, 600, 500, false, true, true, 1},
        {SHOAL_RESTART_ON_FAILURE, 2, 1, 2, 400, 500, false, true, false, 0},
        /* never ran at all: the file is wrong, not the moment */
        {SHOAL_RESTART_ALWAYS, 0, 127, 0, 0, 0, true, false, false, 0},
        {SHOAL_RESTART_ALWAYS, 0, 127, 5, 0, 0, true, true, true, 6},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        shoal_restart_t policy = defaults;
        policy.policy = rows[i].policy;
        policy.max_attempts = rows[i].max_attempts;
        policy.window_ms = rows[i].window_ms;
        struct restart_facts facts = {.exit_code = rows[i].exit_code,
                                      .never_ran = rows[i].never_ran,
                                      .ever_ran = rows[i].ever_ran,
                                      .attempts = rows[i].attempts,
                                      .wall_ms = rows[i].wall_ms};
        unsigned attempt = 0;
        const char *reason = NULL;
        bool again = restart_decide(&policy, &facts, &attempt, &reason);
        assert_non_null(reason);
        if (again != rows[i].again || attempt != rows[i].attempt)
            fail_msg("row %zu: %d, attempt %u", i, again, attempt);
    }
}

static void doubles_up_to_the_maximum(void **state)
{
    (void)state;
    static const struct {
        unsigned attempt;
        uint64_t usec;
    } rows[] = {{1, 100000}, {2, 200000}, {3, 400000}, {10, 51200000}, {11, 60000000}, {4000000000u, 60000000}};
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(restart_delay_usec(&defaults, rows[i].attempt, 77), rows[i].usec);
}

static void spreads_by_jitter(void **state)
{
    (void)state;
    shoal_restart_t policy = defaults;
    policy.jitter = 0.1;
    assert_int_equal(restart_delay_usec(&policy, 1, 0), 90000);
    assert_int_equal(restart_delay_usec(&policy, 1, UINT32_MAX), 110000);
}

static void factor_one_stays(void **state)
{
    (void)state;
    shoal_restart_t policy = defaults;
    policy.factor = 1;
    assert_int_equal(restart_delay_usec(&policy, 50, 0), 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides_by_policy),
        cmocka_unit_test(doubles_up_to_the_maximum),
        cmocka_unit_test(spreads_by_jitter),
        cmocka_unit_test(factor_one_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
