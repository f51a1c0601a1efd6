/* What the files of this room share. */
#ifndef NET_INSIDE_H
#define NET_INSIDE_H

#include <net/if.h>

#include "base/base.h"
#include "kernel/netlink.h"
#include "net/net.h"

enum {
    BRIDGE_PORTS = 1023, /* the kernel's limit, BR_MAX_PORTS in net/bridge/br_private.h */
    SHARD_PORTS = 512,   /* sandboxes on one bridge unless the file says otherwise */
    LINKED_BUCKETS = 1024
};

/* pool.c: the addresses of one subnet. */
struct pool {
    uint32_t subnet, size; /* size: all addresses, network and broadcast too */
    uint32_t next;         /* where the next search begins, so that a free address rests before it is used again */
    uint64_t *taken;       /* owned */
};
int pool_init(struct pool *pool, uint32_t subnet, unsigned prefix, uint32_t gateway);
void pool_fini(struct pool *pool);
int pool_take(struct pool *pool, uint32_t *out_address);
void pool_give(struct pool *pool, uint32_t address);
uint64_t pool_capacity(unsigned prefix); /* addresses for sandboxes */

/* subnet.c: which subnets are free. */
struct subnet {
    uint32_t address;
    unsigned prefix;
};
struct subnets {
    struct subnet *items; /* owned */
    size_t count, room;
    bool failed;
};
void subnets_add(struct subnets *subnets, uint32_t address, unsigned prefix);
const struct subnet *subnets_overlap(const struct subnets *subnets, uint32_t address, unsigned prefix); /* NULL: none */
int subnets_read_host(struct subnets *subnets, int netlink_fd, shoal_error_t *err);
int subnets_choose(const struct subnets *used, struct subnet *out);
struct subnet_text {
    char text[32];
};
struct subnet_text subnet_format(uint32_t address, unsigned prefix);

/* One bridge. */
struct shard {
    char name[IFNAMSIZ];
    int index;
    unsigned ports;  /* sandboxes reserved for it */
    unsigned spares; /* namespaces of the stock on it, lent ones too */
};

struct network {
    const char *name; /* the spec's */
    uint32_t subnet, gateway;
    unsigned prefix;
    struct pool pool;
    struct shard *shards; /* owned; 0 has the gateway's address */
    size_t shard_count, shard_ports;
};

struct net {
    uv_loop_t *loop;
    char tag[7];
    uint32_t group;
    struct network *networks; /* owned */
    size_t network_count;
    struct netlink *netlink;
    struct ifb *spare_ifbs;                      /* owned: of endpoints that are gone */
    uint32_t next_link;                          /* number of the next veth pair: its name and its interface index */
    struct net_endpoint *linked[LINKED_BUCKETS]; /* endpoints by the interface index of the host end */
    struct netlink_request stats_request;
    net_stats_cb stats_cb;
    void *stats_data;
    void (*close_cb)(void *data);
    void *close_data;
};

/* message.c: rtnetlink requests. NULL when out of memory; freed by nlmsg_free(). */
struct nl_msg *message_new_bridge(const char *name, uint32_t group, uint32_t gateway);
/* Both ends at once. peer_pid 0: in our own namespace. index: of the near end, 0 the kernel's choice. */
struct veth {
    const char *name, *peer;
    int index, peer_index, master, peer_master;
    uint32_t group;
    pid_t peer_pid;
    int peer_ns_fd;        /* instead of peer_pid; 0: none */
    uint32_t peer_address; /* IPv4 of which the peer's MAC is made; 0: the kernel's choice */
};
struct nl_msg *message_new_veth(const struct veth *veth);
struct nl_msg *message_no_ipv6(
    const char *name); /* address autoconfiguration off: before up, in a message of its own */
struct nl_msg *message_down(int index);
struct nl_msg *message_set_mac(int index, uint32_t address);
struct nl_msg *message_delete_address(int index, uint32_t address, unsigned prefix);
struct nl_msg *message_up(const char *name, int index);
struct nl_msg *message_set_master(const char *name, int master);
struct nl_msg *message_add_address(int index, uint32_t address, unsigned prefix);
struct nl_msg *message_default_route(int index, uint32_t gateway);
struct nl_msg *message_delete_group(uint32_t group);
struct nl_msg *message_get_stats(int index); /* 0: of all links */
struct nl_msg *message_new_ifb(const char *name, int index, uint32_t group);
struct nl_msg *message_limit_rate(int index, uint64_t bytes_a_second); /* of what the link sends: a tbf at its root */
struct nl_msg *message_watch_arrivals(int index);                      /* an ingress qdisc, before the next */
struct nl_msg *message_redirect_arrivals(int index, int to_index);     /* what arrives goes to another link's queue */
/* Its answer: what the link's other end received and sent, in the order of shoal_sample_t.net. Returns whether it is one. */
bool message_read_stats(const struct nlmsghdr *reply, int *out_index, uint64_t out[6]);

/* endpoint.c. Interface indices that we give: inside beyond what a kernel makes by itself in a new namespace, outside beyond
 * what a host reaches by counting. */
enum { INSIDE_INDEX = 100, OUTSIDE_INDEX = 1 << 28 };
uint32_t net_next_link(struct net *net, char name[IFNAMSIZ]); /* number and name of a new veth pair's near end */
void endpoint_see(struct net *net, int index,
                  const uint64_t seen[6]); /* what the counters of that link show, whosever it is */

/* shape.c: rates. What a sandbox sends arrives at the host's end of its link, where nothing can queue it: it is redirected to
 * the queue of an ifb, a link for that alone, which comes back to where it left. */
struct ifb {
    struct ifb *next;
    int index;  /* 0: not made yet */
    int coming; /* under way: the index that it gets */
    char name[IFNAMSIZ];
};
enum { SHAPE_MESSAGES = 7 };
struct shape {
    struct nl_msg *messages[SHAPE_MESSAGES]; /* freed by the caller; NULL where out of memory */
    enum shape_kind { SHAPE_ORDINARY, SHAPE_MAKES_IFB, SHAPE_NO_IPV6 } kinds[SHAPE_MESSAGES];
    size_t count;
};
/* What has to be sent for a new link before it is up. ifb: NULL where nothing that it sends is limited. out: zeroed. */
void shape_link(struct net *net, int index, const struct net_rates *rates, struct ifb *ifb, struct shape *out);
struct ifb *shape_take_ifb(struct net *net); /* NULL: out of memory */
void shape_give_ifb(struct net *net, struct ifb *ifb);
void shape_free(struct net *net);

/* namespace.c: what the stock's thread does. Blocking; the thread is in the namespace afterwards. */
struct net_namespace {
    struct net_namespace *next, *previous_lent, *next_lent; /* the stock's */
    struct net *net;                                        /* NULL: no network */
    size_t network;                                         /* network_count of the stock: none */
    bool used;                                              /* by a tenant before */
    bool connecting;     /* its socket is in use by the thread that asks for the loop */
    struct shard *shard; /* the loop's; NULL: none */
    int socket_fd;       /* netlink route socket inside: it keeps the namespace. -1: dropped */
    int sysfs_fd;        /* until a tenant has it; -1 */
    int host_index;      /* of the host's end */
    uint32_t address;    /* of the last tenant; 0 none yet */
    unsigned prefix;
    uint64_t
        base[6]; /* counters of the host's end that belong to earlier tenants, in the order of shoal_sample_t.net */
    char host_name[IFNAMSIZ];
    uint32_t group;
    int master, failed; /* of the last work: 0 or a negative errno */
    const char *step;   /* which failed */
};
void namespace_make(struct net_namespace *namespace, int host_socket_fd);
void namespace_scrub(struct net_namespace *namespace, int host_socket_fd);
void namespace_drop(struct net_namespace *namespace); /* any thread: closes what it holds */

/* rules.c: the nftables table. */
struct rules_child { /* nft at work */
    pid_t pid;
    int said;
};
int rules_begin(const struct net *net, struct rules_child *out,
                shoal_error_t *err);                             /* replaces a table that is there */
int rules_finish(struct rules_child *child, shoal_error_t *err); /* waits; once after rules_begin() */
void rules_remove(const char *tag);                              /* waits; one that is not there is fine */

/* setup.c: links that stay as long as the fleet. They wait. */
int setup_networks(struct net *net, const struct net_options *options, shoal_error_t *err);
void setup_remove_links(uint32_t group);

#endif
