/* The networks of one fleet, opened and closed as a whole. */
#include "net/net.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "net/inside.h"

static void free_net(struct net *net)
{
    for (size_t i = 0; i < net->network_count; i++) {
        free(net->networks[i].shards);
        pool_fini(&net->networks[i].pool);
    }
    free(net->networks);
    shape_free(net);
    free(net);
}

int net_open(struct net **out, uv_loop_t *loop, const struct net_options *options, shoal_error_t *err)
{
    struct net *net = calloc(1, sizeof *net);
    if (net == NULL)
        return shoal_fail(err, -ENOMEM, "networks");
    net->loop = loop;
    net->networks = calloc(options->network_count + 1, sizeof *net->networks);
    if (net->networks == NULL) {
        free(net);
        return shoal_fail(err, -ENOMEM, "networks");
    }
    net->network_count = options->network_count;
    (void)snprintf(net->tag, sizeof net->tag, "%.6s", options->tag);
    net->group = (uint32_t)strtoul(options->tag, NULL, 16) | 1u << 24; /* never 0, the group of all others */
    /* From anywhere, so that what a killed supervisor's kernel has not let go of yet is not in the way. */
    if (getrandom(&net->next_link, sizeof net->next_link, 0) != sizeof net->next_link)
        net->next_link = 0;
    for (size_t i = 0; i < net->network_count; i++)
        net->networks[i].name = options->networks[i].name;
    setup_remove_links(net->group);
    int code = setup_networks(net, options, err);
    if (code == 0)
        code = netlink_open(&net->netlink, loop, err); /* last: it closes over the loop */
    if (code < 0) {
        setup_remove_links(net->group);
        rules_remove(net->tag);
        (void)shoal_within(err, "networks");
        free_net(net);
        return code;
    }
    *out = net;
    return 0;
}

void net_read_subnet(const struct net *net, size_t network, uint32_t *out_subnet, unsigned *out_prefix,
                     uint32_t *out_gateway)
{
    *out_subnet = net->networks[network].subnet;
    *out_prefix = net->networks[network].prefix;
    *out_gateway = net->networks[network].gateway;
}

static void on_stats_reply(struct netlink_request *request, const struct nlmsghdr *reply)
{
    uint64_t seen[6];
    int index;
    if (message_read_stats(reply, &index, seen))
        endpoint_see(CONTAINER_OF(request, struct net, stats_request), index, seen);
}

static void on_stats_done(struct netlink_request *request, int status)
{
    struct net *net = CONTAINER_OF(request, struct net, stats_request);
    net_stats_cb cb = net->stats_cb;
    net->stats_cb = NULL;
    cb(net->stats_data, status);
}

int net_read_stats(struct net *net, net_stats_cb cb, void *data)
{
    if (net->stats_cb != NULL)
        return -EALREADY;
    struct nl_msg *message = message_get_stats(0);
    if (message == NULL)
        return -ENOMEM;
    struct netlink_request *request = &net->stats_request;
    *request = (struct netlink_request){.on_reply = on_stats_reply, .done = on_stats_done};
    int code = netlink_send(net->netlink, &message, &request, 1, -1, -1, NULL);
    nlmsg_free(message);
    if (code == 0) {
        net->stats_cb = cb;
        net->stats_data = data;
    }
    return code;
}

/* Links and table go in a worker: deleting a bridge waits for a grace period of the kernel. */
struct close_work {
    uv_work_t request;
    uint32_t group;
    char tag[7];
    struct net *net;
};

static void close_work(uv_work_t *request)
{
    struct close_work *work = CONTAINER_OF(request, struct close_work, request);
    setup_remove_links(work->group);
    rules_remove(work->tag);
}

static void finish_close(struct net *net)
{
    void (*cb)(void *) = net->close_cb;
    void *data = net->close_data;
    free_net(net);
    cb(data);
}

static void on_removed(uv_work_t *request, int status)
{
    (void)status;
    struct close_work *work = CONTAINER_OF(request, struct close_work, request);
    struct net *net = work->net;
    free(work);
    finish_close(net);
}

static void on_netlink_closed(void *data)
{
    struct net *net = data;
    struct close_work *work = calloc(1, sizeof *work);
    if (work != NULL) {
        *work = (struct close_work){.group = net->group, .net = net};
        memcpy(work->tag, net->tag, sizeof work->tag);
        if (uv_queue_work(net->loop, &work->request, close_work, on_removed) == 0)
            return;
    }
    free(work); /* no worker to be had: better late on the loop than left behind */
    setup_remove_links(net->group);
    rules_remove(net->tag);
    finish_close(net);
}

void net_close(struct net *net, void (*cb)(void *data), void *data)
{
    net->close_cb = cb;
    net->close_data = data;
    netlink_cancel(net->netlink, &net->stats_request);
    netlink_close(net->netlink, on_netlink_closed, net);
}
