#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "net/inside.h"

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static void gives_every_address_once(void **state)
{
    (void)state;
    struct pool pool;
    assert_int_equal(pool_init(&pool, IP(10, 1, 2, 0), 28, IP(10, 1, 2, 1)), 0);
    bool seen[16] = {false};
    for (size_t i = 0; i < pool_capacity(28); i++) {
        uint32_t address;
        assert_int_equal(pool_take(&pool, &address), 0);
        uint32_t at = address - IP(10, 1, 2, 0);
        assert_in_range(at, 2, 14); /* not network, gateway, broadcast */
        assert_false(seen[at]);
        seen[at] = true;
    }
    uint32_t none = 7;
    assert_int_equal(pool_take(&pool, &none), -ENOSPC);
    assert_int_equal(none, 7);
    pool_fini(&pool);
}

static void a_gateway_elsewhere_is_kept(void **state)
{
    (void)state;
    struct pool pool;
    assert_int_equal(pool_init(&pool, IP(10, 1, 2, 0), 29, IP(10, 1, 2, 4)), 0);
    for (int i = 0; i < 5; i++) {
        uint32_t address;
        assert_int_equal(pool_take(&pool, &address), 0);
        assert_int_not_equal(address, IP(10, 1, 2, 4));
    }
    pool_fini(&pool);
}

static void a_free_address_rests(void **state)
{
    (void)state;
    struct pool pool;
    assert_int_equal(pool_init(&pool, IP(10, 1, 0, 0), 16, IP(10, 1, 0, 1)), 0);
    uint32_t first, second;
    assert_int_equal(pool_take(&pool, &first), 0);
    assert_int_equal(first, IP(10, 1, 0, 2));
    pool_give(&pool, first);
    assert_int_equal(pool_take(&pool, &second), 0);
    assert_int_equal(second, IP(10, 1, 0, 3));
    pool_fini(&pool);
}

static void finds_overlaps(void **state)
{
    (void)state;
    struct subnets used = {0};
    subnets_add(&used, IP(172, 18, 5, 9), 24); /* host bits are nothing to it */
    subnets_add(&used, IP(10, 128, 0, 0), 10);
    static const struct {
        uint32_t address;
        unsigned prefix;
        bool overlaps;
    } rows[] = {
        {IP(172, 18, 0, 0), 16, true},  {IP(172, 18, 5, 128), 25, true}, {IP(172, 18, 6, 0), 24, false},
        {IP(172, 19, 0, 0), 16, false}, {IP(10, 130, 0, 0), 16, true},   {IP(10, 192, 0, 0), 16, false},
        {IP(0, 0, 0, 0), 1, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if ((subnets_overlap(&used, rows[i].address, rows[i].prefix) != NULL) != rows[i].overlaps)
            fail_msg("row %zu: %s", i, subnet_format(rows[i].address, rows[i].prefix).text);
    free(used.items);
}

static void chooses_what_nobody_has(void **state)
{
    (void)state;
    struct subnets used = {0};
    struct subnet chosen;
    subnets_add(&used, IP(172, 18, 0, 0), 16);
    assert_int_equal(subnets_choose(&used, &chosen), 0);
    assert_string_equal(subnet_format(chosen.address, chosen.prefix).text, "172.19.0.0/16");
    subnets_add(&used, IP(172, 16, 0, 0), 12);
    assert_int_equal(subnets_choose(&used, &chosen), 0);
    assert_string_equal(subnet_format(chosen.address, chosen.prefix).text, "10.128.0.0/16");
    subnets_add(&used, IP(10, 0, 0, 0), 8);
    assert_int_equal(subnets_choose(&used, &chosen), -ENOSPC);
    free(used.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_every_address_once), cmocka_unit_test(a_gateway_elsewhere_is_kept),
        cmocka_unit_test(a_free_address_rests),     cmocka_unit_test(finds_overlaps),
        cmocka_unit_test(chooses_what_nobody_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
