/* rtnetlink requests. libnl's link objects cannot say all of this in one message (both ends of a pair, where the peer is, its
 * interface index), so the attributes are put one by one; rtnetlink(7), linux/if_link.h. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <linux/veth.h>
#include <netlink/attr.h>
#include <string.h>

#include "net/inside.h"

/* in6_addr_gen_mode of linux/if_link.h: no link-local address, so no router solicitation, no DAD, no MLD. */
enum { ADDRESS_GENERATION_NONE = 1 };

/* Collects failures of the attribute calls; `message` is NULL in the end when there was one. */
struct builder {
    struct nl_msg *message;
    bool failed;
};

/* The largest of ours has some 150. libnl gives a whole page unless told otherwise, and an endpoint keeps four of them. */
enum { MESSAGE_BYTES = 256 };

static struct builder begin(int type, int flags, const void *header, size_t bytes)
{
    struct builder b = {.message = nlmsg_alloc_size(MESSAGE_BYTES)};
    b.failed = b.message == NULL || nlmsg_put(b.message, 0, 0, type, 0, flags) == NULL ||
               nlmsg_append(b.message, (void *)(uintptr_t)header, bytes, NLMSG_ALIGNTO) < 0;
    return b;
}

static struct nl_msg *end(struct builder *b)
{
    if (!b->failed)
        return b->message;
    nlmsg_free(b->message);
    return NULL;
}

static void put(struct builder *b, int type, const void *bytes, size_t count)
{
    if (!b->failed)
        b->failed = nla_put(b->message, type, (int)count, bytes) < 0;
}

static void put_string(struct builder *b, int type, const char *text)
{
    put(b, type, text, strlen(text) + 1);
}

static void put_u32(struct builder *b, int type, uint32_t value)
{
    put(b, type, &value, sizeof value);
}

static struct nlattr *open_nest(struct builder *b, int type)
{
    struct nlattr *nest = b->failed ? NULL : nla_nest_start(b->message, type);
    b->failed |= nest == NULL;
    return nest;
}

static void close_nest(struct builder *b, struct nlattr *nest)
{
    if (!b->failed)
        (void)nla_nest_end(b->message, nest);
}

static struct builder begin_link(int type, int flags, const char *name, int index)
{
    struct ifinfomsg header = {.ifi_index = index};
    struct builder b = begin(type, flags, &header, sizeof header);
    if (name != NULL)
        put_string(&b, IFLA_IFNAME, name);
    return b;
}

/* 02:42 and the IPv4 address: locally administered, and the same after a restart, so that neighbours' caches stay right. */
static void put_mac(struct builder *b, uint32_t address)
{
    uint8_t mac[6] = {
        0x02, 0x42, (uint8_t)(address >> 24), (uint8_t)(address >> 16), (uint8_t)(address >> 8), (uint8_t)address};
    put(b, IFLA_ADDRESS, mac, sizeof mac);
}

struct nl_msg *message_new_bridge(const char *name, uint32_t group, uint32_t gateway)
{
    struct builder b = begin_link(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, name, 0);
    put_u32(&b, IFLA_GROUP, group);
    if (gateway != 0)
        put_mac(&b, gateway); /* else the bridge takes the lowest of its ports', which come and go */
    struct nlattr *info = open_nest(&b, IFLA_LINKINFO);
    put_string(&b, IFLA_INFO_KIND, "bridge");
    close_nest(&b, info);
    return end(&b);
}

struct nl_msg *message_new_veth(const struct veth *veth)
{
    struct builder b = begin_link(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, veth->name, veth->index);
    put_u32(&b, IFLA_GROUP, veth->group);
    if (veth->master != 0)
        put_u32(&b, IFLA_MASTER, (uint32_t)veth->master);
    struct nlattr *info = open_nest(&b, IFLA_LINKINFO);
    put_string(&b, IFLA_INFO_KIND, "veth");
    struct nlattr *data = open_nest(&b, IFLA_INFO_DATA);
    struct nlattr *peer = open_nest(&b, VETH_INFO_PEER);
    /* The index is honoured where the near end has one given too (drivers/net/veth.c), so that addresses can be set by it. */
    struct ifinfomsg header = {.ifi_index = veth->peer_index};
    if (!b.failed)
        b.failed = nlmsg_append(b.message, &header, sizeof header, NLMSG_ALIGNTO) < 0;
    put_string(&b, IFLA_IFNAME, veth->peer);
    if (veth->peer_ns_fd > 0)
        put_u32(&b, IFLA_NET_NS_FD, (uint32_t)veth->peer_ns_fd);
    else if (veth->peer_pid != 0)
        put_u32(&b, IFLA_NET_NS_PID, (uint32_t)veth->peer_pid);
    else
        put_u32(&b, IFLA_GROUP, veth->group);
    if (veth->peer_address != 0)
        put_mac(&b, veth->peer_address);
    close_nest(&b, peer);
    close_nest(&b, data);
    close_nest(&b, info);
    return end(&b);
}

struct nl_msg *message_no_ipv6(const char *name)
{
    struct builder b = begin_link(RTM_SETLINK, 0, name, 0);
    struct nlattr *families = open_nest(&b, IFLA_AF_SPEC);
    struct nlattr *inet6 = open_nest(&b, AF_INET6);
    uint8_t mode = ADDRESS_GENERATION_NONE;
    put(&b, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof mode);
    close_nest(&b, inet6);
    close_nest(&b, families);
    return end(&b);
}

struct nl_msg *message_down(int index)
{
    struct ifinfomsg header = {.ifi_index = index, .ifi_change = IFF_UP};
    struct builder b = begin(RTM_NEWLINK, 0, &header, sizeof header);
    return end(&b);
}

struct nl_msg *message_set_mac(int index, uint32_t address)
{
    struct builder b = begin_link(RTM_NEWLINK, 0, NULL, index);
    put_mac(&b, address);
    return end(&b);
}

struct nl_msg *message_up(const char *name, int index)
{
    struct ifinfomsg header = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct builder b = begin(RTM_NEWLINK, 0, &header, sizeof header);
    if (name != NULL)
        put_string(&b, IFLA_IFNAME, name);
    return end(&b);
}

struct nl_msg *message_set_master(const char *name, int master)
{
    struct builder b = begin_link(RTM_SETLINK, 0, name, 0);
    put_u32(&b, IFLA_MASTER, (uint32_t)master);
    return end(&b);
}

static struct nl_msg *message_address(int type, int flags, int index, uint32_t address, unsigned prefix)
{
    struct ifaddrmsg header = {.ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)prefix, .ifa_index = (uint32_t)index};
    struct builder b = begin(type, flags, &header, sizeof header);
    uint32_t broadcast = prefix >= 31 ? address : address | (UINT32_MAX >> prefix);
    put_u32(&b, IFA_LOCAL, htonl(address));
    put_u32(&b, IFA_ADDRESS, htonl(address));
    put_u32(&b, IFA_BROADCAST, htonl(broadcast));
    return end(&b);
}

struct nl_msg *message_add_address(int index, uint32_t address, unsigned prefix)
{
    return message_address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address, prefix);
}

struct nl_msg *message_delete_address(int index, uint32_t address, unsigned prefix)
{
    return message_address(RTM_DELADDR, 0, index, address, prefix);
}

struct nl_msg *message_default_route(int index, uint32_t gateway)
{
    struct rtmsg header = {.rtm_family = AF_INET,
                           .rtm_table = RT_TABLE_MAIN,
                           .rtm_protocol = RTPROT_STATIC,
                           .rtm_scope = RT_SCOPE_UNIVERSE,
                           .rtm_type = RTN_UNICAST};
    struct builder b = begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
    put_u32(&b, RTA_GATEWAY, htonl(gateway));
    put_u32(&b, RTA_OIF, (uint32_t)index);
    return end(&b);
}

struct nl_msg *message_delete_group(uint32_t group)
{
    struct builder b = begin_link(RTM_DELLINK, 0, NULL, 0);
    put_u32(&b, IFLA_GROUP, group);
    return end(&b);
}

struct nl_msg *message_new_ifb(const char *name, int index, uint32_t group)
{
    struct builder b = begin_link(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, name, index);
    put_u32(&b, IFLA_GROUP, group);
    struct nlattr *info = open_nest(&b, IFLA_LINKINFO);
    put_string(&b, IFLA_INFO_KIND, "ifb");
    close_nest(&b, info);
    return end(&b);
}

/* Traffic control: qdiscs and filters of a link. */
static struct builder begin_traffic(int type, int flags, int index, uint32_t handle, uint32_t parent, uint32_t info,
                                    const char *kind)
{
    struct tcmsg header = {.tcm_ifindex = index, .tcm_handle = handle, .tcm_parent = parent, .tcm_info = info};
    struct builder b = begin(type, flags, &header, sizeof header);
    put_string(&b, TCA_KIND, kind);
    return b;
}

struct nl_msg *message_limit_rate(int index, uint64_t bytes_a_second)
{
    /* What may go at once: 20 ms of the rate, so that no timer of the kernel is too coarse for it, and a few whole frames. What
     * may wait: a tenth of a second, and one segment that a sandbox gave in one piece. */
    enum { FRAMES = 6000, SEGMENT = 64 << 10 };
    uint64_t burst = bytes_a_second / 50 + FRAMES, queue = bytes_a_second / 10 + SEGMENT + burst;
    uint32_t burst_bytes = burst < INT32_MAX ? (uint32_t)burst : INT32_MAX;
    struct tc_tbf_qopt how = {
        .rate = {.linklayer = TC_LINKLAYER_ETHERNET,
                 .rate = bytes_a_second < UINT32_MAX ? (uint32_t)bytes_a_second : UINT32_MAX},
        .limit = queue < INT32_MAX ? (uint32_t)queue : INT32_MAX,
    };
    struct builder b = begin_traffic(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, index, TC_H_MAKE(1u << 16, 0),
                                     TC_H_ROOT, 0, "tbf");
    struct nlattr *options = open_nest(&b, TCA_OPTIONS);
    put(&b, TCA_TBF_PARMS, &how, sizeof how);
    put(&b, TCA_TBF_BURST, &burst_bytes, sizeof burst_bytes);
    if (bytes_a_second >= UINT32_MAX)
        put(&b, TCA_TBF_RATE64, &bytes_a_second, sizeof bytes_a_second);
    close_nest(&b, options);
    return end(&b);
}

struct nl_msg *message_watch_arrivals(int index)
{
    struct builder b = begin_traffic(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index, TC_H_MAKE(TC_H_INGRESS, 0),
                                     TC_H_INGRESS, 0, "ingress");
    return end(&b);
}

struct nl_msg *message_redirect_arrivals(int index, int to_index)
{
    /* u32 and not matchall: kernels have it that lack the other. One key with an empty mask is every packet. */
    const struct {
        struct tc_u32_sel selector;
        struct tc_u32_key key;
    } all = {.selector = {.flags = TC_U32_TERMINAL, .nkeys = 1}};
    struct tc_mirred mirred = {.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)to_index};
    struct builder b = begin_traffic(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, index, 0, TC_H_MAKE(TC_H_INGRESS, 0),
                                     TC_H_MAKE(1u << 16, htons(ETH_P_ALL)), "u32");
    struct nlattr *options = open_nest(&b, TCA_OPTIONS);
    put(&b, TCA_U32_SEL, &all, sizeof all);
    struct nlattr *actions = open_nest(&b, TCA_U32_ACT);
    struct nlattr *first = open_nest(&b, 1);
    put_string(&b, TCA_ACT_KIND, "mirred");
    struct nlattr *how = open_nest(&b, TCA_ACT_OPTIONS);
    put(&b, TCA_MIRRED_PARMS, &mirred, sizeof mirred);
    close_nest(&b, how);
    close_nest(&b, first);
    close_nest(&b, actions);
    close_nest(&b, options);
    return end(&b);
}

bool message_read_stats(const struct nlmsghdr *reply, int *out_index, uint64_t out[6])
{
    if (reply->nlmsg_type != RTM_NEWSTATS || reply->nlmsg_len < NLMSG_LENGTH(sizeof(struct if_stats_msg)))
        return false;
    *out_index = (int)((const struct if_stats_msg *)NLMSG_DATA(reply))->ifindex;
    struct nlattr *found = nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)reply, sizeof(struct if_stats_msg),
                                           IFLA_STATS_LINK_64);
    struct rtnl_link_stats64 seen = {0};
    if (found == NULL)
        return false;
    size_t count = (size_t)nla_len(found);
    memcpy(&seen, nla_data(found), count < sizeof seen ? count : sizeof seen);
    /* What this end sent is what the other received. */
    const uint64_t turned[6] = {seen.tx_bytes, seen.tx_packets, seen.tx_dropped,
                                seen.rx_bytes, seen.rx_packets, seen.rx_dropped};
    memcpy(out, turned, sizeof turned);
    return true;
}

struct nl_msg *message_get_stats(int index)
{
    struct if_stats_msg header = {.ifindex = (uint32_t)index, .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)};
    struct builder b = begin(RTM_GETSTATS, index == 0 ? NLM_F_DUMP : 0, &header, sizeof header);
    return end(&b);
}
