/* net: the networks of one fleet. It knows bridges, shards, veth pairs, addresses and one nftables table; it does not know
 * what a container is, nor image and cgroup. It owns every link of its IFLA_GROUP and the nft table of its tag. */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "shoal/error.h"
#include "shoal/sample.h"
#include "shoal/spec.h"

struct net;          /* all networks of one supervisor */
struct net_endpoint; /* one membership: an address on a network, then also a veth pair */

struct net_options {
    const char *tag; /* six hex digits that no other live supervisor of this host has: names links, group and table */
    const shoal_network_t *networks;
    const size_t *expected; /* per network: how many endpoints there may be, so that the shards are made now */
    size_t network_count;
};

/* Clear away links and table that a crashed supervisor of the same tag left; choose subnets that overlap neither each other
 * nor the host's addresses and routes; make the bridges (shard 0 carries the gateway address, each further shard hangs on it
 * by a veth pair of its own), the nft table, and switch IPv4 forwarding on. Waits: call it before the loop runs.
 * Returns 0, -EPERM, -EEXIST, -EADDRINUSE (a subnet of the file overlaps one of the host), -ENOSPC (expected does not fit). */
int net_open(struct net **out, uv_loop_t *loop, const struct net_options *options, shoal_error_t *err);

/* Delete links and table (in a worker thread), then cb once from the loop. Endpoints were released before. */
void net_close(struct net *net, void (*cb)(void *data), void *data);

void net_read_subnet(const struct net *net, size_t network, uint32_t *out_subnet, unsigned *out_prefix,
                     uint32_t *out_gateway);

/* Reserve an address and a bridge port. No kernel call. -ENOSPC the subnet or the shards are full. */
int net_endpoint_reserve(struct net *net, size_t network, struct net_endpoint **out, shoal_error_t *err);
/* Bytes a second, 0 without limit. */
struct net_rates {
    uint64_t egress, ingress; /* what the sandbox sends, what it receives */
};
/* Its links, from the next one that is made, hold these rates. The limit sits at the host's end, out of the sandbox's reach.
 * -ENOMEM. */
int net_endpoint_set_rates(struct net_endpoint *endpoint, const struct net_rates *rates, shoal_error_t *err);
/* Whether this kernel can hold such rates: tried out, in a network namespace for that alone. Waits; where they are modules the
 * kernel loads them now. Returns 0, -EOPNOTSUPP with what is missing, or what went wrong. */
int net_try_rates(const struct net_rates *rates, shoal_error_t *err);
uint32_t net_endpoint_address(const struct net_endpoint *endpoint); /* IPv4, host byte order */
size_t net_endpoint_network(const struct net_endpoint *endpoint);

/* Make the veth pair by one request to the kernel: the peer at once in the network namespace of pid under the
 * name inside ("eth0"), MAC 02:42 + address; the host end under a fresh name, in our group, without IPv6
 * autoconfiguration, up, on its shard. The pair dies with that namespace; an endpoint may be linked again afterwards.
 * cb: once, from the loop, never from inside the call; status 0 or -errno, err's sentence valid during the call;
 * -ECANCELED when the endpoint was released meanwhile. Returns 0 under way, -ENOMEM, -EBUSY. */
typedef void (*net_link_cb)(void *data, int status, const shoal_error_t *err);
int net_endpoint_link(struct net_endpoint *endpoint, pid_t pid, const char *inside, net_link_cb cb, void *data,
                      shoal_error_t *err);

/* The requests that a process inside has to send on a netlink route socket of its own, one after the other, each answered by
 * an ACK (NLM_F_ACK is set): address autoconfiguration off, address, up, default route by the gateway if wanted.
 * Each is complete; nlmsg_seq is 1. Valid until the endpoint is released or the call is repeated. */
struct net_message {
    const char *what; /* for errors: "address 10.5.0.7/16 on eth0" */
    const void *bytes;
    size_t count;
    bool needs_ipv6; /* -EAFNOSUPPORT and -EOPNOTSUPP: a kernel without it, and nothing to do */
};
enum { NET_MESSAGES_MAX = 8 };
int net_endpoint_messages(struct net_endpoint *endpoint, const char *inside, bool default_route,
                          struct net_message out[NET_MESSAGES_MAX], size_t *out_count, shoal_error_t *err);
/* The same for "lo up", which every namespace of its own needs. bytes are static. */
struct net_message net_loopback_message(void);

/* Read the counters of all links at once. cb: once, from the loop, never from inside the call; not when net is closed meanwhile.
 * status: 0, or why some may still be what they were the last time. Returns 0, -EALREADY, -ENOMEM. */
typedef void (*net_stats_cb)(void *data, int status);
int net_read_stats(struct net *net, net_stats_cb cb, void *data);
/* Those of one link, while its sandbox's namespace is on its way out. cb: once, from the loop, never from inside the call, also
 * when the link is gone and its counters stay what they were. Returns 0, -ENODEV it has none, -EALREADY, -ENOMEM. */
int net_endpoint_read_stats(struct net_endpoint *endpoint, void (*cb)(void *data), void *data);
/* Counters of the host end as last read, turned round (rx is what the sandbox received), in the order of shoal_sample_t.net.
 * Returns whether they were ever read of this link. */
bool net_endpoint_get_stats(const struct net_endpoint *endpoint, uint64_t out[6]);

/* What expected endpoints on a network take, whatever the host has. No kernel call. */
struct net_need {
    size_t shard_ports, shard_count; /* sandboxes on one bridge; bridges */
    size_t ports, ports_max;         /* of the fullest bridge, which is the first: the others hang on it */
    uint64_t addresses, addresses_max;
};
void net_compute_need(const shoal_network_t *network, size_t expected, struct net_need *out);
/* The same numbers of what is reserved now. */
void net_read_use(const struct net *net, size_t network, struct net_need *out);

/* ---- a stock of network namespaces made ahead
 *
 * To make a namespace and its link costs more than all other steps of a start together, so a thread of its own keeps some
 * ready: lo up, IPv6 autoconfiguration off, the sandbox's usual sysctls, a read-only sysfs, and for a network a veth pair on
 * one of its bridges. They belong to the host's user namespace: nobody inside can hold CAP_NET_ADMIN over them, so after a
 * tenant's end there is little to scrub and they serve again. Who needs such a capability gets a namespace of its own. */
struct net_stock;
struct net_namespace; /* one of them, while a sandbox has it */

struct net_stock_options {
    struct net *net;      /* outlives the stock; NULL: no network at all */
    const size_t *wanted; /* how many are kept ready, per network of net and then for none; copied */
    size_t network_count;
    /* Several in a row could not be made: none is tried before delay_ms is over, longer each time. code 0: one worked again. */
    void (*on_trouble)(void *data, int code, const char *step, uint64_t delay_ms); /* may be NULL */
    void *data;
};
enum {
    NET_STOCK_MOST = 64,     /* of one kind may be wanted; what comes back may make that twice as many */
    NET_STOCK_READY_FDS = 2, /* descriptors of each that is ready */
    NET_STOCK_LENT_MOST =
        32, /* lent ones that may come back, with a descriptor each; older ones end with their sandboxes */
};

/* Returns 0, -ENOMEM, -EAGAIN no thread. The stock fills by itself. */
int net_stock_open(struct net_stock **out, uv_loop_t *loop, const struct net_stock_options *options,
                   shoal_error_t *err);
/* Every namespace was given back before. cb: once, from the loop. */
void net_stock_close(struct net_stock *stock, void (*cb)(void *data), void *data);

/* One that is ready, for network (network_count: none), or NULL. */
struct net_namespace *net_stock_take(struct net_stock *stock, size_t network);

/* Its tenant has ended, to the last process; namespace: what take gave. Whether it serves again shows when it is scrubbed. */
void net_stock_give(struct net_stock *stock, struct net_namespace *namespace);

/* Call start(data) with the calling thread inside the namespace: a child cloned there is in it. Returns what start returns,
 * or why the namespace could not be entered. */
int net_namespace_enter(struct net_namespace *namespace, int (*start)(void *data), void *data, shoal_error_t *err);
int net_namespace_take_sysfs(struct net_namespace *namespace); /* detached mount; the caller's */

/* Give the link in it endpoint's address and the default route, as net_endpoint_link() would make one. The endpoint counts on
 * from here. It is given back only when this is over. */
int net_namespace_connect(struct net_namespace *namespace, struct net_endpoint *endpoint, net_link_cb cb, void *data,
                          shoal_error_t *err);

struct net_stock_counts {
    unsigned ready, lent; /* now */
    uint64_t made, reused, failed;
    uint64_t hits, misses; /* starts that found one, and that found none */
    uint64_t usage_usec;   /* CPU time of the thread that makes and scrubs them */
};
struct net_stock_counts net_stock_count(const struct net_stock *stock);

/* Give address and port back; callbacks under way come with -ECANCELED, from inside the call. The link is left to die with its namespace. */
void net_endpoint_release(struct net_endpoint *endpoint);

#endif
