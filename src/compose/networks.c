/* The networks section, and which networks a service is on. */
#include <errno.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

static void read_name(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    const char *text;
    if (take_text(load, at, value, &text) && check_name(load, at, "network", text))
        *(char **)((char *)object + key->offset) = keep(load, text);
}

static void read_driver(struct load *load, const struct place *at, const struct key *key, struct node *value,
                        void *object)
{
    (void)key, (void)object;
    const char *text;
    if (take_text(load, at, value, &text) && strcmp(text, "bridge") != 0)
        load_error(load, at, "the driver \"%.60s\" is not supported yet; bridge is", text);
}

static void read_ipam_driver(struct load *load, const struct place *at, const struct key *key, struct node *value,
                             void *object)
{
    (void)key, (void)object;
    const char *text;
    if (take_text(load, at, value, &text) && strcmp(text, "default") != 0)
        load_error(load, at, "the driver \"%.60s\" is not supported yet; default is", text);
}

static void read_subnet(struct load *load, const struct place *at, const struct key *key, struct node *value,
                        void *object)
{
    (void)key;
    shoal_network_t *network = object;
    const char *text;
    uint32_t subnet;
    unsigned prefix;
    if (!take_text(load, at, value, &text))
        return;
    if (value_subnet(text, &subnet, &prefix) < 0) {
        load_error(load, at,
                   strchr(text, ':') != NULL ? "\"%.60s\": IPv6 is not supported yet"
                                             : "\"%.60s\" is not a subnet; write 10.20.0.0/16",
                   text);
        return;
    }
    uint32_t mask = prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
    if (prefix < 8 || prefix > 30)
        load_error(load, at, "\"%.60s\": the prefix goes from /8 to /30", text);
    else if ((subnet & ~mask) != 0)
        load_error(load, at, "\"%.60s\" has bits beyond its prefix; write %u.%u.%u.%u/%u", text, subnet >> 24,
                   (subnet & mask) >> 16 & 255, (subnet & mask) >> 8 & 255, subnet & mask & 255, prefix);
    else if (subnet >> 24 == 0 || subnet >> 24 == 127 || subnet >> 28 >= 14)
        load_error(load, at, "\"%.60s\" is not for hosts", text);
    else {
        network->subnet = subnet;
        network->prefix = prefix;
    }
}

static void read_gateway(struct load *load, const struct place *at, const struct key *key, struct node *value,
                         void *object)
{
    (void)key;
    const char *text;
    if (!take_text(load, at, value, &text))
        return;
    if (value_address(text, &((shoal_network_t *)object)->gateway) < 0)
        load_error(load, at,
                   strchr(text, ':') != NULL ? "\"%.60s\": IPv6 is not supported yet"
                                             : "\"%.60s\" is not an IPv4 address",
                   text);
}

static const struct kind addresses_kind = {TAKES_MAP, AS_OPTIONS, .values = &kind_text};

static const struct key subnet_keys[] = {
    {"subnet", &kind_text, .read = read_subnet, .form = "text",
     .doc = "IPv4, /8 to /30: 10.20.0.0/16. Without it one is chosen."},
    {"gateway", &kind_text, .read = read_gateway, .form = "text",
     .doc = "The bridge's address; default the subnet's first."},
    {"ip_range", &kind_text, .form = "text", .doc = "Part of the subnet that addresses are given from."},
    {"aux_addresses", &addresses_kind, .form = "mapping", .doc = "Addresses that are not given."},
};
const struct section subnet_section = SECTION("networks.NAME.ipam.config.N", NULL, subnet_keys, true);

static void read_ipam_config(struct load *load, const struct place *at, const struct key *key, struct node *value,
                             void *object)
{
    (void)key;
    shoal_network_t *network = object;
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place item = place_item(at, value, i);
        if (i == 0)
            (void)read_section(load, &item, &subnet_section, value->items[i], object);
        else
            load_error(load, &item, "a second subnet is not supported yet");
    }
    if (network->gateway == 0)
        return;
    uint32_t rest = network->subnet == 0 ? 0 : UINT32_MAX >> network->prefix;
    uint32_t host = network->gateway & rest;
    if (network->subnet == 0)
        load_error(load, at, "a gateway needs a subnet");
    else if ((network->gateway & ~rest) != network->subnet || host == 0 || host == rest)
        load_error(load, at, "the gateway is no host address of the subnet");
}

static const struct kind pool = {TAKES_MAP, AS_SECTION, .section = &subnet_section};
static const struct kind pools_kind = {TAKES_LIST, AS_LIST, .items = &pool, .merge = MERGE_POOLS};

static const struct kind dropped_options = {TAKES_MAP, AS_NOTHING, .values = &kind_text};

static const struct key ipam_keys[] = {
    {"driver", &kind_text, .read = read_ipam_driver, .form = "text", .doc = "*default* alone."},
    {"config", &pools_kind, .read = read_ipam_config, .form = "list", .doc = "At most one subnet."},
    {"options", &dropped_options, .form = "mapping", .doc = "Options of the driver."},
};
const struct section ipam_section = SECTION("networks.NAME.ipam", "Addresses.", ipam_keys, true);

static void read_shard(struct load *load, const struct place *at, const struct key *key, struct node *value,
                       void *object)
{
    int64_t ports;
    if (take_integer(load, at, value, key->min, key->max, &ports))
        ((shoal_network_t *)object)->shard_ports = (unsigned)ports;
}

static const struct key network_x_keys[] = {
    {"shard", .read = read_shard, .min = 1, .max = 1000, .form = "number",
     .doc = "Sandboxes on one bridge, 1 to 1000; a network is as many bridges as it needs."},
};
const struct section network_x_section = SECTION("networks.NAME.x-shoal", "What Compose has no word for.",
                                                 network_x_keys, false);

static const struct kind ipam_kind = {TAKES_MAP, AS_SECTION_ALWAYS, .section = &ipam_section};

static const struct key network_keys[] = {
    {"name", &kind_text, .read = read_name, .offset = offsetof(shoal_network_t, full_name), .form = "text",
     .doc = "Its name on this host, in place of PROJECT_KEY."},
    {"driver", &kind_text, .read = read_driver, .form = "text", .doc = "*bridge* alone."},
    {"driver_opts", &kind_options, .form = "mapping", .doc = "Options of the driver."},
    {"ipam", &ipam_kind, .read = read_nested, .section = &ipam_section, .form = "mapping",
     .doc = "Addresses of the network."},
    {"external", &kind_external, .false_is_fine = true, .form = "bool", .doc = "A network made by others."},
    {"internal", &kind_flag, .false_is_fine = true, .form = "bool", .doc = "No way out."},
    {"attachable", &kind_flag, .false_is_fine = true, .form = "bool", .doc = "Whether others may join."},
    {"labels", &kind_labels, .form = "mapping or list", .doc = "Labels of the network."},
    {"enable_ipv4", &kind_flag_set, .form = "bool", .doc = "Whether it has IPv4."},
    {"enable_ipv6", &kind_flag_set, .false_is_fine = true, .form = "bool", .doc = "Whether it has IPv6."},
    {"x-shoal", &kind_any, .read = read_nested, .section = &network_x_section, .form = "mapping",
     .doc = "What Compose has no word for."},
};
const struct section network_section = SECTION(
    "networks.NAME", "A bridge network. Empty is fine. A service that names none is on *default*.", network_keys, true);

static void add_network(struct load *load, const struct place *at, const struct node *node)
{
    shoal_network_t network = {.at = place_position(load, at)};
    if (node != NULL && !(node->kind == NODE_SCALAR && node->type == TYPE_NULL))
        (void)read_section(load, at, &network_section, node, &network);
    network.name = keep(load, at->word);
    if (network.full_name == NULL && load->project != NULL) {
        network.full_name = arena_format(load->arena, "%s_%s", load->project, at->word);
        (void)load_got(load, network.full_name);
    }
    if (names_put(&load->network_names, at->word, load->network_count, NULL) < 0)
        load->out_of_memory = true;
    load->networks[load->network_count++] = network;
}

void read_networks(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)key, (void)object;
    if (!take_kind(load, at, value, NODE_MAP))
        return;
    load->networks = arena_array(&load->nodes, value->count + (size_t)1, sizeof *load->networks);
    load->network_used = arena_array(&load->nodes, value->count + (size_t)1, sizeof *load->network_used);
    if (!LOAD_GOT(load, load->networks) || !LOAD_GOT(load, load->network_used))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place inner = place_key(at, &value->entries[i]);
        if (check_name(load, &inner, "network", inner.word))
            add_network(load, &inner, value->entries[i].value);
    }
}

/* ---- a service's side ---- */

static void read_aliases(struct load *load, const struct place *at, const struct key *key, struct node *value,
                         void *object)
{
    shoal_attachment_t *attachment = object;
    read_strings(load, at, key, value, object);
    for (size_t i = 0; i < attachment->aliases.count && value->kind == NODE_LIST; i++)
        if (attachment->aliases.items[i] != NULL)
            (void)check_host(load, at, attachment->aliases.items[i]);
}

static void read_priority(struct load *load, const struct place *at, const struct key *key, struct node *value,
                          void *object)
{
    (void)key;
    int64_t priority;
    if (take_integer(load, at, value, INT32_MIN, INT32_MAX, &priority))
        ((shoal_attachment_t *)object)->priority = (int)priority;
}

static const struct kind priority_kind = {TAKES_NUMBER, AS_COUNT, .what = "a number"};

static const struct key attachment_keys[] = {
    {"aliases", &kind_texts_named, .read = read_aliases, .offset = offsetof(shoal_attachment_t, aliases),
     .form = "list", .doc = "More names of the service on this network."},
    {"driver_opts", &kind_options, .form = "mapping", .doc = "Options of the driver."},
    {"gw_priority", &priority_kind, .form = "number", .doc = "Which network gives the default route."},
    {"interface_name", &kind_text, .form = "text", .doc = "Name of the interface inside."},
    {"ipv4_address", &kind_text, .form = "text", .doc = "A fixed IPv4 address."},
    {"ipv6_address", &kind_text, .form = "text", .doc = "A fixed IPv6 address."},
    {"link_local_ips", &kind_texts_named, .form = "list", .doc = "Link-local addresses."},
    {"mac_address", &kind_text, .form = "text", .doc = "A fixed MAC address."},
    {"priority", &priority_kind, .read = read_priority, .form = "number",
     .doc = "The network with the highest one gives the default route."},
};
const struct section attachment_section = SECTION("services.NAME.networks.NAME",
                                                  "A service on a network. Empty is fine.", attachment_keys, true);

static void attach(struct load *load, const struct place *at, const char *name, const struct node *options,
                   shoal_service_t *service)
{
    size_t number;
    if (!names_get(&load->network_names, name, &number)) {
        return; /* that it is not defined was said */
    }
    shoal_attachment_t attachment = {.network = number, .at = place_position(load, at)};
    if (options != NULL && !(options->kind == NODE_SCALAR && options->type == TYPE_NULL))
        (void)read_section(load, at, &attachment_section, options, &attachment);
    load->network_used[number] = true;
    service->attachments[service->attachment_count++] = attachment;
}

static int compare_attachments(const void *a, const void *b)
{
    const shoal_attachment_t *x = a, *y = b;
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    if (x->at.line != y->at.line)
        return x->at.line < y->at.line ? -1 : 1;
    return x->at.column < y->at.column ? -1 : x->at.column > y->at.column;
}

void read_service_networks(struct load *load, shoal_service_t *service)
{
    const struct node *map = load->draft->networks;
    const struct place *at = &load->draft->networks_at;
    if (service->network_mode != SHOAL_NETWORK_BRIDGES || map == NULL || map->kind != NODE_MAP)
        return;
    service->attachments = arena_array(load->arena, map->count, sizeof *service->attachments);
    for (size_t i = 0; i < map->count && LOAD_GOT(load, service->attachments); i++) {
        struct place inner = place_key(at, &map->entries[i]);
        attach(load, &inner, inner.word, map->entries[i].value, service);
    }
    if (service->attachment_count > 1)
        qsort(service->attachments, service->attachment_count, sizeof *service->attachments, compare_attachments);
}

void settle_networks(struct load *load)
{
    shoal_spec_t *spec = load->spec;
    spec->networks = arena_array(load->arena, load->network_count, sizeof *spec->networks);
    size_t *number = arena_array(&load->nodes, load->network_count, sizeof *number);
    if (!LOAD_GOT(load, spec->networks) || !LOAD_GOT(load, number))
        return;
    for (size_t i = 0; i < load->network_count; i++) {
        if (!load->network_used[i])
            continue;
        number[i] = spec->network_count;
        spec->networks[spec->network_count++] = load->networks[i];
    }
    for (size_t i = 0; i < spec->service_count; i++)
        for (size_t k = 0; k < spec->services[i].attachment_count; k++)
            spec->services[i].attachments[k].network = number[spec->services[i].attachments[k].network];
}
