#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

#include "net/inside.h"

static uint32_t mask_of(unsigned prefix)
{
    return prefix == 0 ? 0 : ~(uint32_t)0 << (32 - prefix);
}

struct subnet_text subnet_format(uint32_t address, unsigned prefix)
{
    struct subnet_text out;
    (void)snprintf(out.text, sizeof out.text, "%u.%u.%u.%u/%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
                   address & 255, prefix);
    return out;
}

void subnets_add(struct subnets *subnets, uint32_t address, unsigned prefix)
{
    if (subnets->count == subnets->room) {
        size_t room = subnets->room ? subnets->room * 2 : 16;
        struct subnet *items = realloc(subnets->items, room * sizeof *items);
        if (items == NULL) {
            subnets->failed = true;
            return;
        }
        subnets->items = items;
        subnets->room = room;
    }
    subnets->items[subnets->count++] = (struct subnet){address & mask_of(prefix), prefix};
}

const struct subnet *subnets_overlap(const struct subnets *subnets, uint32_t address, unsigned prefix)
{
    for (size_t i = 0; i < subnets->count; i++) {
        const struct subnet *other = &subnets->items[i];
        uint32_t mask = mask_of(prefix < other->prefix ? prefix : other->prefix);
        if ((address & mask) == (other->address & mask))
            return other;
    }
    return NULL;
}

static void on_address(void *data, const struct nlmsghdr *reply)
{
    const struct ifaddrmsg *about = NLMSG_DATA(reply);
    struct nlattr *address = nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)reply, sizeof *about, IFA_ADDRESS);
    if (reply->nlmsg_type == RTM_NEWADDR && about->ifa_family == AF_INET && address != NULL)
        subnets_add(data, ntohl(nla_get_u32(address)), about->ifa_prefixlen);
}

static void on_route(void *data, const struct nlmsghdr *reply)
{
    const struct rtmsg *about = NLMSG_DATA(reply);
    struct nlattr *to = nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)reply, sizeof *about, RTA_DST);
    /* The default route (no destination) overlaps with everything and says nothing. */
    if (reply->nlmsg_type == RTM_NEWROUTE && about->rtm_family == AF_INET && about->rtm_type == RTN_UNICAST &&
        to != NULL)
        subnets_add(data, ntohl(nla_get_u32(to)), about->rtm_dst_len);
}

static int dump(int fd, int type, size_t header_bytes, void (*on_reply)(void *, const struct nlmsghdr *), void *data)
{
    struct nl_msg *message = nlmsg_alloc_simple(type, 0);
    struct rtmsg header = {.rtm_family = AF_INET}; /* both headers begin with the family */
    int code = message != NULL && nlmsg_append(message, &header, header_bytes, NLMSG_ALIGNTO) == 0
                   ? netlink_dump(fd, message, on_reply, data)
                   : -ENOMEM;
    nlmsg_free(message);
    return code;
}

int subnets_read_host(struct subnets *subnets, int netlink_fd, shoal_error_t *err)
{
    int code = dump(netlink_fd, RTM_GETADDR, sizeof(struct ifaddrmsg), on_address, subnets);
    if (code == 0)
        code = dump(netlink_fd, RTM_GETROUTE, sizeof(struct rtmsg), on_route, subnets);
    if (code == 0 && subnets->failed)
        code = -ENOMEM;
    return code < 0 ? shoal_fail(err, code, "read the host's addresses and routes") : 0;
}

/* Where networks without a subnet of their own are laid: Docker's range first, then the upper half of 10.0.0.0/8. */
static const struct {
    uint32_t first, last;
} ranges[] = {
    {UINT32_C(172) << 24 | 18 << 16, UINT32_C(172) << 24 | 31 << 16},
    {UINT32_C(10) << 24 | 128 << 16, UINT32_C(10) << 24 | 255 << 16},
};

int subnets_choose(const struct subnets *used, struct subnet *out)
{
    enum { PREFIX = 16 };
    for (size_t i = 0; i < COUNT(ranges); i++)
        for (uint32_t at = ranges[i].first; at <= ranges[i].last; at += UINT32_C(1) << (32 - PREFIX))
            if (subnets_overlap(used, at, PREFIX) == NULL) {
                *out = (struct subnet){at, PREFIX};
                return 0;
            }
    return -ENOSPC;
}
