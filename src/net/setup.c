/* Set-up of what stays as long as the fleet: subnets, bridges, the links between shards. Blocking: nothing runs yet. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "net/inside.h"

/* Send one message, freed here. */
static int ask(int fd, struct nl_msg *message)
{
    int code = message != NULL ? netlink_ask(fd, message) : -ENOMEM;
    nlmsg_free(message);
    return code;
}

void setup_remove_links(uint32_t group)
{
    AUTO_FD fd = netlink_open_blocking(NULL);
    if (fd >= 0)
        (void)ask(fd, message_delete_group(group)); /* -ENODEV: there were none */
}

static int choose_subnet(struct network *network, const shoal_network_t *wanted, struct subnets *used,
                         shoal_error_t *err)
{
    if (wanted->subnet == 0) {
        struct subnet chosen;
        if (subnets_choose(used, &chosen) < 0)
            return shoal_refuse(err, -ENOSPC, "network %s: no free subnet is left; name one by ipam", wanted->name);
        network->subnet = chosen.address;
        network->prefix = chosen.prefix;
    } else {
        network->subnet = wanted->subnet;
        network->prefix = wanted->prefix;
        const struct subnet *other = subnets_overlap(used, wanted->subnet, wanted->prefix);
        if (other != NULL)
            return shoal_refuse(err, -EADDRINUSE, "network %s: %s overlaps %s, which this host or another network has",
                                wanted->name, subnet_format(wanted->subnet, wanted->prefix).text,
                                subnet_format(other->address, other->prefix).text);
    }
    network->gateway = wanted->gateway != 0 ? wanted->gateway : network->subnet + 1;
    subnets_add(used, network->subnet, network->prefix);
    return used->failed ? shoal_fail(err, -ENOMEM, "network %s", wanted->name) : 0;
}

static int plan_shards(struct network *network, const struct net *net, size_t number, const shoal_network_t *wanted,
                       size_t expected, shoal_error_t *err)
{
    if (expected > pool_capacity(network->prefix))
        return shoal_refuse(err, -ENOSPC, "network %s: %zu sandboxes need more than the %llu addresses of %s",
                            wanted->name, expected, (unsigned long long)pool_capacity(network->prefix),
                            subnet_format(network->subnet, network->prefix).text);
    struct net_need need;
    net_compute_need(wanted, expected, &need);
    network->shard_ports = need.shard_ports;
    network->shard_count = need.shard_count;
    if (need.ports > need.ports_max)
        return shoal_refuse(err, -ENOSPC,
                            "network %s: %zu sandboxes in shards of %zu make %zu bridges; with the first one's own "
                            "sandboxes these are more than the %d ports of a bridge",
                            wanted->name, expected, network->shard_ports, network->shard_count, BRIDGE_PORTS);
    network->shards = calloc(network->shard_count, sizeof *network->shards);
    if (network->shards == NULL)
        return shoal_fail(err, -ENOMEM, "network %s", wanted->name);
    for (size_t i = 0; i < network->shard_count; i++) {
        struct shard *shard = &network->shards[i];
        int length = i == 0 ? snprintf(shard->name, sizeof shard->name, "shl%sb%zu", net->tag, number)
                            : snprintf(shard->name, sizeof shard->name, "shl%sb%zu.%zu", net->tag, number, i);
        if (length >= (int)sizeof shard->name)
            return shoal_refuse(err, -ENOSPC, "network %s: more networks and shards than interface names",
                                wanted->name);
    }
    int code = pool_init(&network->pool, network->subnet, network->prefix, network->gateway);
    return code < 0 ? shoal_fail(err, code, "network %s", wanted->name) : 0;
}

static int make_bridge(int fd, const struct net *net, const struct network *network, size_t number, shoal_error_t *err)
{
    struct shard *shard = &network->shards[number];
    int code = ask(fd, message_new_bridge(shard->name, net->group, number == 0 ? network->gateway : 0));
    if (code < 0)
        return shoal_fail(err, code, "network %s: make bridge %s", network->name, shard->name);
    shard->index = (int)if_nametoindex(shard->name);
    code = shard->index == 0 ? -errno : ask(fd, message_no_ipv6(shard->name));
    if (code == -EAFNOSUPPORT || code == -EOPNOTSUPP)
        code = 0; /* a kernel without IPv6 has nothing to switch off */
    if (code == 0 && number == 0)
        code = ask(fd, message_add_address(shard->index, network->gateway, network->prefix));
    if (code == 0)
        code = ask(fd, message_up(shard->name, 0));
    return code < 0 ? shoal_fail(err, code, "network %s: set up bridge %s", network->name, shard->name) : 0;
}

/* A pair from shard 0 to a further one. */
static int join_shard(int fd, struct net *net, const struct network *network, size_t number, shoal_error_t *err)
{
    char near[IFNAMSIZ], far[IFNAMSIZ];
    (void)net_next_link(net, near);
    (void)net_next_link(net, far);
    struct veth veth = {.name = near, .peer = far, .master = network->shards[0].index, .group = net->group};
    int code = ask(fd, message_new_veth(&veth));
    if (code == 0)
        code = ask(fd, message_set_master(far, network->shards[number].index));
    const char *const ends[] = {near, far};
    for (size_t i = 0; i < COUNT(ends) && code == 0; i++) {
        code = ask(fd, message_no_ipv6(ends[i]));
        if (code == 0 || code == -EAFNOSUPPORT || code == -EOPNOTSUPP)
            code = ask(fd, message_up(ends[i], 0));
    }
    return code < 0 ? shoal_fail(err, code, "network %s: join %s to %s", network->name, network->shards[number].name,
                                 network->shards[0].name)
                    : 0;
}

/* One switch for the whole network namespace, as with Docker; it stays on. */
static int forward_packets(shoal_error_t *err)
{
    static const char path[] = "/proc/sys/net/ipv4/ip_forward";
    AUTO_FD fd = open(path, O_RDWR | O_CLOEXEC);
    char value = '0';
    if (fd < 0 || read(fd, &value, 1) != 1)
        return shoal_fail(err, -errno, "%s", path);
    if (value == '0' && pwrite(fd, "1", 1, 0) != 1)
        return shoal_fail(err, -errno, "%s: write '1'", path);
    return 0;
}

int setup_networks(struct net *net, const struct net_options *options, shoal_error_t *err)
{
    AUTO_FD fd = netlink_open_blocking(err);
    if (fd < 0)
        return fd;
    struct subnets used = {0};
    int code = subnets_read_host(&used, fd, err);
    /* What the file lays down comes before what is chosen. */
    for (int chosen = 0; chosen < 2 && code == 0; chosen++)
        for (size_t i = 0; i < options->network_count && code == 0; i++)
            if ((options->networks[i].subnet == 0) == (chosen == 1))
                code = choose_subnet(&net->networks[i], &options->networks[i], &used, err);
    free(used.items);
    for (size_t i = 0; i < options->network_count && code == 0; i++)
        code = plan_shards(&net->networks[i], net, i, &options->networks[i], options->expected[i], err);
    struct rules_child nft = {.said = -1};
    if (code == 0)
        code = rules_begin(net, &nft, err);
    for (size_t i = 0; i < options->network_count && code == 0; i++)
        for (size_t k = 0; k < net->networks[i].shard_count && code == 0; k++) {
            code = make_bridge(fd, net, &net->networks[i], k, err);
            if (code == 0 && k > 0)
                code = join_shard(fd, net, &net->networks[i], k, err);
        }
    int rules = nft.said >= 0 ? rules_finish(&nft, code == 0 ? err : NULL) : 0;
    code = code < 0 ? code : rules;
    return code == 0 ? forward_packets(err) : code;
}
