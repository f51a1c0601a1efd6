/* How many bridges, ports and addresses a network takes. */
#include "net/inside.h"

enum { DEFAULT_PREFIX = 16 }; /* what subnets_choose() gives out */

void net_compute_need(const shoal_network_t *network, size_t expected, struct net_need *out)
{
    *out = (struct net_need){
        .shard_ports = network->shard_ports > 0 ? network->shard_ports : SHARD_PORTS,
        .ports_max = BRIDGE_PORTS,
        .addresses = expected,
        .addresses_max = pool_capacity(network->subnet != 0 ? network->prefix : DEFAULT_PREFIX),
    };
    out->shard_count = expected == 0 ? 1 : (expected + out->shard_ports - 1) / out->shard_ports;
    out->ports = (expected < out->shard_ports ? expected : out->shard_ports) + out->shard_count - 1;
}

void net_read_use(const struct net *net, size_t number, struct net_need *out)
{
    const struct network *network = &net->networks[number];
    *out = (struct net_need){
        .shard_ports = network->shard_ports,
        .shard_count = network->shard_count,
        .ports_max = BRIDGE_PORTS,
        .addresses_max = pool_capacity(network->prefix),
    };
    for (size_t i = 0; i < network->shard_count; i++) {
        size_t ports = network->shards[i].ports + (i == 0 ? network->shard_count - 1 : 1);
        if (ports > out->ports)
            out->ports = ports;
        out->addresses += network->shards[i].ports;
    }
}
