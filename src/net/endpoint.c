/* One membership: an address and a port, and while its sandbox runs a veth pair. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <string.h>

#include "net/inside.h"

enum { PLAIN_MESSAGES = 4, LINK_MESSAGES = PLAIN_MESSAGES + SHAPE_MESSAGES };

struct net_endpoint {
    struct net *net;
    size_t network;
    struct shard *shard;
    uint32_t address;
    int index;                        /* of the host end; 0: not linked */
    struct net_endpoint *next_linked; /* in net->linked */
    uint64_t base[6], seen[6];        /* what its counters showed when it became ours; when they were last read */
    bool has_seen;

    struct net_rates rates;
    struct ifb *ifb; /* owned; NULL: what it sends has no limit, or no link has been made yet */

    struct link_request {
        struct netlink_request request;
        struct net_endpoint *endpoint;
    } link_requests[PLAIN_MESSAGES], *more_requests; /* more: owned; SHAPE_MESSAGES where there are rates, else NULL */
    struct netlink_request stats_request;
    void (*stats_cb)(void *data); /* NULL: nobody waits */
    void *stats_data;
    unsigned link_waiting;
    int link_status;
    char host_name[IFNAMSIZ];
    struct net_namespace *connecting; /* of the stock: its link was there; NULL: a link of its own is made */
    net_link_cb link_cb;
    void *link_data;

    struct nl_msg *messages[NET_MESSAGES_MAX]; /* owned: what net_endpoint_messages() handed out */
    char words[NET_MESSAGES_MAX][64];
};

int net_endpoint_reserve(struct net *net, size_t number, struct net_endpoint **out, shoal_error_t *err)
{
    struct network *network = &net->networks[number];
    struct shard *shard = NULL;
    for (size_t i = 0; i < network->shard_count && shard == NULL; i++)
        if (network->shards[i].ports < network->shard_ports)
            shard = &network->shards[i];
    if (shard == NULL)
        return shoal_refuse(err, -ENOSPC, "network %s: all %zu bridges of %zu ports are full", network->name,
                            network->shard_count, network->shard_ports);
    struct net_endpoint *endpoint = calloc(1, sizeof *endpoint);
    if (endpoint == NULL)
        return shoal_fail(err, -ENOMEM, "network %s: endpoint", network->name);
    if (pool_take(&network->pool, &endpoint->address) < 0) {
        free(endpoint);
        return shoal_refuse(err, -ENOSPC, "network %s: %s has no free address left", network->name,
                            subnet_format(network->subnet, network->prefix).text);
    }
    endpoint->net = net;
    endpoint->network = number;
    endpoint->shard = shard;
    shard->ports++;
    *out = endpoint;
    return 0;
}

uint32_t net_endpoint_address(const struct net_endpoint *endpoint)
{
    return endpoint->address;
}

size_t net_endpoint_network(const struct net_endpoint *endpoint)
{
    return endpoint->network;
}

uint32_t net_next_link(struct net *net, char name[IFNAMSIZ])
{
    uint32_t number = net->next_link++ & 0xfffffffu;
    (void)snprintf(name, IFNAMSIZ, "sv%s%07x", net->tag, number);
    return number;
}

static struct net_endpoint **bucket_of(struct net *net, int index)
{
    return &net->linked[(unsigned)index % LINKED_BUCKETS];
}

/* index 0: it has none any more. */
static void set_index(struct net_endpoint *endpoint, int index)
{
    if (endpoint->index != 0) {
        struct net_endpoint **at = bucket_of(endpoint->net, endpoint->index);
        while (*at != endpoint)
            at = &(*at)->next_linked;
        *at = endpoint->next_linked;
    }
    endpoint->index = index;
    endpoint->has_seen = false;
    if (index != 0) {
        struct net_endpoint **bucket = bucket_of(endpoint->net, index);
        endpoint->next_linked = *bucket;
        *bucket = endpoint;
    }
}

void endpoint_see(struct net *net, int index, const uint64_t seen[6])
{
    for (struct net_endpoint *endpoint = *bucket_of(net, index); endpoint != NULL; endpoint = endpoint->next_linked)
        if (endpoint->index == index) {
            memcpy(endpoint->seen, seen, sizeof endpoint->seen);
            endpoint->has_seen = true;
        }
}

bool net_endpoint_get_stats(const struct net_endpoint *endpoint, uint64_t out[6])
{
    for (size_t i = 0; i < COUNT(endpoint->seen) && endpoint->has_seen; i++)
        out[i] = endpoint->seen[i] - endpoint->base[i];
    return endpoint->has_seen;
}

static void finish_stats(struct net_endpoint *endpoint)
{
    void (*cb)(void *) = endpoint->stats_cb;
    endpoint->stats_cb = NULL;
    if (cb != NULL)
        cb(endpoint->stats_data);
}

static void on_stats_reply(struct netlink_request *request, const struct nlmsghdr *reply)
{
    struct net_endpoint *endpoint = CONTAINER_OF(request, struct net_endpoint, stats_request);
    int index;
    uint64_t seen[6];
    if (message_read_stats(reply, &index, seen))
        endpoint_see(endpoint->net, index, seen);
}

static void on_stats_done(struct netlink_request *request, int status)
{
    (void)status; /* what was not read stays as it was */
    finish_stats(CONTAINER_OF(request, struct net_endpoint, stats_request));
}

int net_endpoint_read_stats(struct net_endpoint *endpoint, void (*cb)(void *data), void *data)
{
    if (endpoint->index == 0)
        return -ENODEV;
    if (endpoint->stats_cb != NULL)
        return -EALREADY;
    struct nl_msg *message = message_get_stats(endpoint->index);
    if (message == NULL)
        return -ENOMEM;
    struct netlink_request *request = &endpoint->stats_request;
    *request = (struct netlink_request){.on_reply = on_stats_reply, .done = on_stats_done};
    int code = netlink_send(endpoint->net->netlink, &message, &request, 1, -1, -1, NULL);
    nlmsg_free(message);
    if (code < 0)
        return code;
    endpoint->stats_cb = cb;
    endpoint->stats_data = data;
    return 0;
}

int net_endpoint_set_rates(struct net_endpoint *endpoint, const struct net_rates *rates, shoal_error_t *err)
{
    if (endpoint->more_requests == NULL)
        endpoint->more_requests = calloc(SHAPE_MESSAGES, sizeof *endpoint->more_requests);
    if (endpoint->more_requests == NULL)
        return shoal_fail(err, -ENOMEM, "rates");
    endpoint->rates = *rates;
    return 0;
}

static struct link_request *request_of(struct net_endpoint *endpoint, size_t i)
{
    return i < PLAIN_MESSAGES ? &endpoint->link_requests[i] : &endpoint->more_requests[i - PLAIN_MESSAGES];
}

static int inside_index(const char *inside)
{
    return INSIDE_INDEX + atoi(inside + strcspn(inside, "0123456789"));
}

static void on_link_answer(struct netlink_request *request, int status)
{
    struct net_endpoint *endpoint = CONTAINER_OF(request, struct link_request, request)->endpoint;
    if (status < 0 && endpoint->link_status == 0)
        endpoint->link_status = status;
    if (--endpoint->link_waiting > 0)
        return;
    shoal_error_t error = {0};
    status = endpoint->link_status;
    const struct network *network = &endpoint->net->networks[endpoint->network];
    if (status < 0 && endpoint->connecting != NULL)
        (void)shoal_fail(&error, status, "network %s: address %s on its link", network->name,
                         subnet_format(endpoint->address, network->prefix).text);
    else if (status < 0)
        (void)shoal_fail(&error, status, "network %s: link %s to %s", network->name, endpoint->host_name,
                         endpoint->shard->name);
    if (endpoint->connecting != NULL)
        endpoint->connecting->connecting = false;
    endpoint->connecting = NULL;
    net_link_cb cb = endpoint->link_cb;
    endpoint->link_cb = NULL;
    cb(endpoint->link_data, status, &error);
}

/* In a message of its own the kernel without IPv6 refuses what it does not know: nothing was to be switched off. */
static void on_no_ipv6_answer(struct netlink_request *request, int status)
{
    on_link_answer(request, status == -EAFNOSUPPORT || status == -EOPNOTSUPP ? 0 : status);
}

static void on_ifb_answer(struct netlink_request *request, int status)
{
    struct net_endpoint *endpoint = CONTAINER_OF(request, struct link_request, request)->endpoint;
    if (status == 0)
        endpoint->ifb->index = endpoint->ifb->coming;
    on_link_answer(request, status);
}

struct link_plan {
    struct nl_msg *messages[LINK_MESSAGES];
    void (*done[LINK_MESSAGES])(struct netlink_request *request, int status);
    size_t count;
};

static void add_message(struct link_plan *plan, struct nl_msg *message,
                        void (*done)(struct netlink_request *request, int status))
{
    plan->messages[plan->count] = message;
    plan->done[plan->count++] = done;
}

/* All messages in one call: what comes up before its autoconfiguration is off would talk to every port, and what comes up
 * before its rates are there would be faster than it may. */
static void plan_link(struct net_endpoint *endpoint, int ns_fd, const char *inside, struct link_plan *plan)
{
    struct veth veth = {
        .name = endpoint->host_name,
        .peer = inside,
        .index = endpoint->index,
        .peer_index = inside_index(inside),
        .master = endpoint->shard->index,
        .group = endpoint->net->group,
        .peer_ns_fd = ns_fd,
        .peer_address = endpoint->address,
    };
    add_message(plan, message_new_veth(&veth), on_link_answer);
    add_message(plan, message_no_ipv6(endpoint->host_name), on_no_ipv6_answer);
    struct shape shape = {0};
    shape_link(endpoint->net, endpoint->index, &endpoint->rates, endpoint->ifb, &shape);
    for (size_t i = 0; i < shape.count; i++)
        add_message(plan, shape.messages[i],
                    shape.kinds[i] == SHAPE_MAKES_IFB ? on_ifb_answer
                    : shape.kinds[i] == SHAPE_NO_IPV6 ? on_no_ipv6_answer
                                                      : on_link_answer);
    add_message(plan, message_up(NULL, endpoint->index), on_link_answer);
}

/* plan: its messages are freed; NULL among them: out of memory. fd, keep_fd: as of netlink_send(). */
static int send_plan(struct net_endpoint *endpoint, struct link_plan *plan, int fd, int keep_fd, shoal_error_t *err)
{
    struct netlink_request *requests[LINK_MESSAGES];
    bool complete = true;
    for (size_t i = 0; i < plan->count; i++) {
        *request_of(endpoint, i) = (struct link_request){.request.done = plan->done[i], .endpoint = endpoint};
        requests[i] = &request_of(endpoint, i)->request;
        complete &= plan->messages[i] != NULL;
    }
    struct net *net = endpoint->net;
    int code = complete ? netlink_send(net->netlink, plan->messages, requests, plan->count, fd, keep_fd, err)
                        : shoal_fail(err, -ENOMEM, "network %s: link", net->networks[endpoint->network].name);
    if (!complete && keep_fd >= 0)
        (void)close(keep_fd);
    for (size_t i = 0; i < plan->count; i++)
        nlmsg_free(plan->messages[i]);
    endpoint->link_waiting = code < 0 ? 0 : (unsigned)plan->count;
    endpoint->link_status = 0;
    return code;
}

int net_endpoint_link(struct net_endpoint *endpoint, pid_t pid, const char *inside, net_link_cb cb, void *data,
                      shoal_error_t *err)
{
    struct net *net = endpoint->net;
    const char *network = net->networks[endpoint->network].name;
    if (endpoint->link_waiting > 0)
        return shoal_refuse(err, -EBUSY, "network %s: it is being linked", network);
    if (endpoint->rates.egress > 0 && endpoint->ifb == NULL)
        endpoint->ifb = shape_take_ifb(net);
    if (endpoint->rates.egress > 0 && endpoint->ifb == NULL)
        return shoal_fail(err, -ENOMEM, "network %s: link", network);
    char path[32]; /* not by its pid: that may be another's when the request is carried out */
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    int ns_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (ns_fd < 0)
        return shoal_fail(err, -errno, "network %s: open %s", network, path);
    set_index(endpoint, OUTSIDE_INDEX + (int)net_next_link(net, endpoint->host_name));
    memset(endpoint->base, 0, sizeof endpoint->base);
    struct link_plan plan = {.count = 0};
    plan_link(endpoint, ns_fd, inside, &plan);
    int code = send_plan(endpoint, &plan, -1, ns_fd, err);
    endpoint->link_cb = code < 0 ? NULL : cb;
    endpoint->link_data = data;
    return code;
}

int net_namespace_connect(struct net_namespace *namespace, struct net_endpoint *endpoint, net_link_cb cb, void *data,
                          shoal_error_t *err)
{
    const struct network *network = &endpoint->net->networks[endpoint->network];
    if (endpoint->link_waiting > 0)
        return shoal_refuse(err, -EBUSY, "network %s: it is being linked", network->name);
    namespace->prefix = network->prefix;
    namespace->address = endpoint->address;
    set_index(endpoint, namespace->host_index);
    memcpy(endpoint->base, namespace->base, sizeof endpoint->base);
    struct link_plan plan = {.count = 0};
    add_message(&plan, message_set_mac(INSIDE_INDEX, endpoint->address), on_link_answer);
    add_message(&plan, message_add_address(INSIDE_INDEX, endpoint->address, network->prefix), on_link_answer);
    add_message(&plan, message_up(NULL, INSIDE_INDEX), on_link_answer);
    add_message(&plan, message_default_route(INSIDE_INDEX, network->gateway), on_link_answer);
    int code = send_plan(endpoint, &plan, namespace->socket_fd, -1, err);
    namespace->connecting = code == 0;
    endpoint->connecting = code == 0 ? namespace : NULL;
    endpoint->link_cb = code < 0 ? NULL : cb;
    endpoint->link_data = data;
    return code;
}

static void free_messages(struct net_endpoint *endpoint)
{
    for (size_t i = 0; i < NET_MESSAGES_MAX; i++) {
        nlmsg_free(endpoint->messages[i]);
        endpoint->messages[i] = NULL;
    }
}

static struct net_message hand_out(struct nl_msg *message, const char *what)
{
    struct nlmsghdr *header = nlmsg_hdr(message);
    header->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    header->nlmsg_seq = 1;
    header->nlmsg_pid = 0;
    return (struct net_message){.what = what, .bytes = header, .count = header->nlmsg_len};
}

int net_endpoint_messages(struct net_endpoint *endpoint, const char *inside, bool default_route,
                          struct net_message out[NET_MESSAGES_MAX], size_t *out_count, shoal_error_t *err)
{
    const struct network *network = &endpoint->net->networks[endpoint->network];
    int index = inside_index(inside);
    free_messages(endpoint);
    endpoint->messages[0] = message_no_ipv6(inside);
    endpoint->messages[1] = message_add_address(index, endpoint->address, network->prefix);
    endpoint->messages[2] = message_up(NULL, index);
    endpoint->messages[3] = default_route ? message_default_route(index, network->gateway) : NULL;
    size_t count = default_route ? 4 : 3;
    (void)snprintf(endpoint->words[0], sizeof endpoint->words[0], "IPv6 autoconfiguration of %s", inside);
    (void)snprintf(endpoint->words[1], sizeof endpoint->words[1], "address %s on %s",
                   subnet_format(endpoint->address, network->prefix).text, inside);
    (void)snprintf(endpoint->words[2], sizeof endpoint->words[2], "%s up", inside);
    (void)snprintf(endpoint->words[3], sizeof endpoint->words[3], "default route by %s",
                   subnet_format(network->gateway, 32).text);
    for (size_t i = 0; i < count; i++) {
        if (endpoint->messages[i] == NULL)
            return shoal_fail(err, -ENOMEM, "network %s: messages", network->name);
        out[i] = hand_out(endpoint->messages[i], endpoint->words[i]);
        out[i].needs_ipv6 = i == 0;
    }
    *out_count = count;
    return 0;
}

struct net_message net_loopback_message(void)
{
    static const struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } up = {
        .header = {.nlmsg_len = sizeof up,
                   .nlmsg_type = RTM_NEWLINK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
                   .nlmsg_seq = 1},
        .link = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP}, /* lo is the first of every namespace */
    };
    return (struct net_message){.what = "lo up", .bytes = &up, .count = sizeof up};
}

void net_endpoint_release(struct net_endpoint *endpoint)
{
    struct net *net = endpoint->net;
    for (size_t i = 0; i < (endpoint->more_requests != NULL ? LINK_MESSAGES : PLAIN_MESSAGES); i++)
        netlink_cancel(net->netlink, &request_of(endpoint, i)->request);
    if (endpoint->link_cb != NULL) {
        shoal_error_t error;
        (void)shoal_fail(&error, -ECANCELED, "network %s", net->networks[endpoint->network].name);
        endpoint->link_cb(endpoint->link_data, -ECANCELED, &error);
    }
    netlink_cancel(net->netlink, &endpoint->stats_request);
    finish_stats(endpoint);
    set_index(endpoint, 0);
    pool_give(&net->networks[endpoint->network].pool, endpoint->address);
    endpoint->shard->ports--;
    free_messages(endpoint);
    free(endpoint->more_requests);
    if (endpoint->ifb != NULL)
        shape_give_ifb(net, endpoint->ifb);
    free(endpoint);
}
