#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "net/inside.h"

static void bridges_ports_and_addresses(void **state)
{
    (void)state;
    static const struct {
        unsigned shard, prefix;
        size_t expected, shards, ports;
        uint64_t addresses_max;
    } rows[] = {
        {0, 0, 0, 1, 0, 65533},
        {0, 0, 1, 1, 1, 65533},
        {0, 0, 512, 1, 512, 65533},
        {0, 0, 513, 2, 513, 65533},
        {0, 0, 3000, 6, 517, 65533},
        {250, 24, 251, 2, 251, 253},
        {1, 29, 5, 5, 5, 5},
        {1000, 16, 24000, 24, 1023, 65533},
        {1000, 16, 24001, 25, 1024, 65533},
        {1000, 31, 1, 1, 1, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        shoal_network_t network = {
            .shard_ports = rows[i].shard, .prefix = rows[i].prefix, .subnet = rows[i].prefix > 0 ? 0x0a000000 : 0};
        struct net_need need;
        net_compute_need(&network, rows[i].expected, &need);
        if (need.shard_count != rows[i].shards || need.ports != rows[i].ports || need.addresses != rows[i].expected ||
            need.addresses_max != rows[i].addresses_max || need.ports_max != 1023)
            fail_msg("row %zu: %zu bridges, %zu ports, %llu of %llu", i, need.shard_count, need.ports,
                     (unsigned long long)need.addresses, (unsigned long long)need.addresses_max);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bridges_ports_and_addresses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
