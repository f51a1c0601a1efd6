/* How fast a sandbox's link is: x-shoal.net. */
#include <errno.h>
#include <string.h>

#include "compose/keys.h"
#include "compose/values.h"

enum { LEAST = 8000 };               /* a kilobyte a second: less passes no packet in a second */
#define MOST UINT64_C(1000000000000) /* a terabit */

static void read_rate(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    const char *text;
    uint64_t bits;
    if (!take_scalar(load, at, value, &text))
        return;
    int code = value_rate(text, &bits);
    if (code == -EINVAL)
        load_error(load, at, "\"%.60s\" is not a rate; write 500kbit, 10mbit, 2.5gbit or bits a second", text);
    else if (code < 0 || bits < LEAST || bits > MOST)
        load_error(load, at, "%.60s is out of range; it goes from 8kbit to 1tbit", text);
    else
        *AT(uint64_t, object, key->offset) = bits;
}

static const struct key net_keys[] = {
    {"egress", .read = read_rate, .offset = offsetof(shoal_service_t, net.egress_bits), .form = "rate",
     .doc = "What it sends at most, as *tc*(8) writes rates: 10mbit is ten million bits a second."},
    {"ingress", .read = read_rate, .offset = offsetof(shoal_service_t, net.ingress_bits), .form = "rate",
     .doc = "What it receives at most."},
    {"priority", .refused = "each sandbox has a rate of its own, of which nobody else takes", .form = "number",
     .doc = "Who goes first where several share a rate."},
};
const struct section net_section = SECTION("services.NAME.x-shoal.net",
                                           "Rates of each sandbox, as a whole frame counts, with its headers. They are "
                                           "held at the host's end of its link (tbf; for egress by an ifb). Such a "
                                           "sandbox is on one network and takes none of _x-shoal.pool_.",
                                           net_keys, false);

void read_net(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    shoal_service_t *service = object;
    service->net.at = place_position(load, at);
    (void)read_section(load, at, key->section, value, object);
}
