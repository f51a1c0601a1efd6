/* Rates of links: what is made for them, and whether this kernel can. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "net/inside.h"

struct ifb *shape_take_ifb(struct net *net)
{
    struct ifb *ifb = net->spare_ifbs;
    if (ifb != NULL)
        net->spare_ifbs = ifb->next;
    else
        ifb = calloc(1, sizeof *ifb);
    return ifb;
}

void shape_give_ifb(struct net *net, struct ifb *ifb)
{
    ifb->next =
        net->spare_ifbs; /* to delete a link by hand takes the kernel long: it goes with all others in the end */
    net->spare_ifbs = ifb;
}

void shape_free(struct net *net)
{
    while (net->spare_ifbs != NULL) {
        struct ifb *ifb = net->spare_ifbs;
        net->spare_ifbs = ifb->next;
        free(ifb);
    }
}

static void add(struct shape *shape, enum shape_kind kind, struct nl_msg *message)
{
    shape->messages[shape->count] = message;
    shape->kinds[shape->count++] = kind;
}

void shape_link(struct net *net, int index, const struct net_rates *rates, struct ifb *ifb, struct shape *out)
{
    if (rates->ingress > 0)
        add(out, SHAPE_ORDINARY, message_limit_rate(index, rates->ingress));
    if (rates->egress == 0)
        return;
    int ifb_index = ifb->index;
    if (ifb_index == 0) {
        char other[IFNAMSIZ];
        uint32_t number = net_next_link(net, other);
        (void)snprintf(ifb->name, sizeof ifb->name, "si%.6s%07x", net->tag, number & 0xfffffffu);
        ifb_index = ifb->coming = OUTSIDE_INDEX + (int)number;
        add(out, SHAPE_MAKES_IFB, message_new_ifb(ifb->name, ifb_index, net->group));
        add(out, SHAPE_NO_IPV6, message_no_ipv6(ifb->name));
    }
    add(out, SHAPE_ORDINARY, message_limit_rate(ifb_index, rates->egress));
    add(out, SHAPE_ORDINARY, message_up(NULL, ifb_index));
    add(out, SHAPE_ORDINARY, message_watch_arrivals(index));
    add(out, SHAPE_ORDINARY, message_redirect_arrivals(index, ifb_index));
}

/* ---- the trial ---- */

struct trial {
    const struct net_rates *rates;
    int code;
    const char *step;
};

static void try_out(void *data) /* on a thread of its own, whose network namespace goes with it */
{
    struct trial *trial = data;
    enum { INDEX = 100 };
    trial->step = "a network namespace";
    trial->code = unshare(CLONE_NEWNET) < 0 ? -errno : 0;
    AUTO_FD fd = trial->code == 0 ? netlink_open_blocking(NULL) : -1;
    if (trial->code == 0 && fd < 0)
        trial->code = -EMFILE;
    const struct {
        const char *what;
        struct nl_msg *message;
        bool egress; /* for that direction alone */
    } steps[] = {
        {"ifb links (module ifb)", message_new_ifb("shoal-trial", INDEX, 0), true},
        {"the tbf qdisc (module sch_tbf)", message_limit_rate(trial->rates->egress > 0 ? INDEX : 1, 1 << 20), false},
        {"the ingress qdisc (module sch_ingress)", message_watch_arrivals(INDEX), true},
        {"the u32 filter with the mirred action (modules cls_u32, act_mirred)", message_redirect_arrivals(INDEX, INDEX),
         true},
    };
    for (size_t i = 0; i < COUNT(steps); i++) {
        if (trial->code == 0 && (!steps[i].egress || trial->rates->egress > 0)) {
            trial->step = steps[i].what;
            trial->code = steps[i].message != NULL ? netlink_ask(fd, steps[i].message) : -ENOMEM;
        }
        nlmsg_free(steps[i].message);
    }
}

int net_try_rates(const struct net_rates *rates, shoal_error_t *err)
{
    struct trial trial = {.rates = rates};
    uv_thread_t thread;
    int code = uv_thread_create(&thread, try_out, &trial);
    if (code < 0)
        return shoal_fail(err, code, "thread");
    (void)uv_thread_join(&thread);
    if (trial.code == -ENOENT || trial.code == -EOPNOTSUPP) /* what rtnetlink says of a kind that it does not know */
        return shoal_refuse(err, -EOPNOTSUPP, "this kernel lacks %s", trial.step);
    return trial.code < 0 ? shoal_fail(err, trial.code, "%s", trial.step) : 0;
}
