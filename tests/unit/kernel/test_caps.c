#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/capability.h>

#include "base/base.h"
#include "kernel/caps.h"

#define BIT(n) (UINT64_C(1) << (n))

static void test_default(void **state)
{
    (void)state;
    assert_int_equal(__builtin_popcountll(caps_default()), 13);
    assert_false(caps_default() & BIT(CAP_NET_RAW));
    assert_false(caps_default() & BIT(CAP_SYS_ADMIN));
    assert_int_equal(caps_default() & ~caps_known(), 0);
}

static void test_resolve(void **state)
{
    (void)state;
    const uint64_t base = caps_default(), all = caps_known(), chown_bit = BIT(CAP_CHOWN), admin = BIT(CAP_NET_ADMIN);
    const struct {
        uint64_t add, drop, want;
    } rows[] = {
        {0, 0, base},
        {admin, 0, base | admin},
        {0, chown_bit, base & ~chown_bit},
        {chown_bit, chown_bit, base}, /* add wins */
        {chown_bit, CAPS_ALL, chown_bit},
        {0, CAPS_ALL, 0},
        {CAPS_ALL, 0, all},
        {CAPS_ALL, chown_bit, all & ~chown_bit},
        {CAPS_ALL, CAPS_ALL, all},
        {BIT(63), 0, base}, /* what the kernel does not have is not asked of it */
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(caps_resolve(rows[i].add, rows[i].drop), rows[i].want);
}

static void test_parse(void **state)
{
    (void)state;
    unsigned bit = 99;
    assert_int_equal(caps_parse("cap_sys_admin", &bit), 0);
    assert_int_equal(bit, CAP_SYS_ADMIN);
    assert_int_equal(caps_parse("sys_admins", &bit), -EINVAL);
    assert_int_equal(bit, CAP_SYS_ADMIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
