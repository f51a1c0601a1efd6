/* What follows from several keys together: of one service, and of the whole fleet. */
#include <errno.h>
#include <string.h>

#include "compose/keys.h"

/* A limit's own place: "services.web.deploy.resources.limits.memory". */
static struct place limit_place(const struct load *load, const struct place *outer, const shoal_limit_t *limit)
{
    return (struct place){outer,          limit->key,       0,   load_file_number(load, &limit->at),
                          limit->at.line, limit->at.column, NULL};
}

static void check_memory(struct load *load, const struct place *outer, const shoal_limit_t *items)
{
    const shoal_limit_t *memory = &items[SHOAL_LIMIT_MEMORY], *swap = &items[SHOAL_LIMIT_MEMORY_SWAP];
    const shoal_limit_t *reservation = &items[SHOAL_LIMIT_MEMORY_RESERVATION], *high = &items[SHOAL_LIMIT_MEMORY_HIGH];
    if (swap->set && swap->value >= 0) {
        struct place at = limit_place(load, outer, swap);
        if (!memory->set)
            load_error(load, &at, "needs mem_limit, for it limits memory and swap together");
        else if (swap->value < memory->value)
            load_error(load, &at, "is less than mem_limit, but limits memory and swap together");
    }
    if (reservation->set && memory->set && reservation->value > memory->value) {
        struct place at = limit_place(load, outer, reservation);
        load_error(load, &at, "is more than %s", memory->key);
    }
    if (high->set && memory->set && high->value > memory->value) {
        struct place at = limit_place(load, outer, high);
        load_error(load, &at, "is more than %s, which is reached before", memory->key);
    }
}

static void check_rates(struct load *load, const shoal_service_t *service)
{
    if (service->net.egress_bits == 0 && service->net.ingress_bits == 0)
        return;
    const struct place at = {
        load->draft->at,      "x-shoal.net",          0,   load_file_number(load, &service->net.at),
        service->net.at.line, service->net.at.column, NULL};
    if (service->network_mode != SHOAL_NETWORK_BRIDGES)
        load_error(load, &at, "needs a link of its own; network_mode %s gives it none",
                   service->network_mode == SHOAL_NETWORK_HOST ? "host" : "none");
    else if (service->attachment_count > 1)
        load_error(load, &at, "limits one link, and the service is on %zu networks; leave it on one",
                   service->attachment_count);
}

static void check_cpu_time(struct load *load, const struct place *outer, const shoal_limit_t *items)
{
    const shoal_limit_t *cpus = &items[SHOAL_LIMIT_CPUS], *quota = &items[SHOAL_LIMIT_CPU_QUOTA];
    const shoal_limit_t *period = &items[SHOAL_LIMIT_CPU_PERIOD], *burst = &items[SHOAL_LIMIT_CPU_BURST];
    const shoal_limit_t *const others[] = {quota, period};
    for (size_t i = 0; i < COUNT(others) && cpus->set; i++) {
        struct place at = limit_place(load, outer, others[i]);
        if (others[i]->set)
            load_error(load, &at, "does not go with %s, which sets quota and period itself", cpus->key);
    }
    struct place burst_at = limit_place(load, outer, burst);
    const shoal_limit_t *whose = cpus->set ? cpus : quota;
    int64_t most = cpus->set ? cpus->value * 100 : quota->value;
    if (burst->set && (!whose->set || most < 0))
        load_error(load, &burst_at, "needs cpus or cpu_quota, from whose time it is saved");
    else if (burst->set && burst->value > most)
        load_error(load, &burst_at, "is more than the %lld us that %s gives in a period", (long long)most, whose->key);
}

static void check_cpu_weight(struct load *load, const struct place *outer, const shoal_limit_t *items)
{
    const shoal_limit_t *weight = &items[SHOAL_LIMIT_CPU_WEIGHT], *idle = &items[SHOAL_LIMIT_CPU_IDLE];
    struct place weight_at = limit_place(load, outer, weight), idle_at = limit_place(load, outer, idle);
    if (weight->set && items[SHOAL_LIMIT_CPU_SHARES].set)
        load_error(load, &weight_at, "stands beside cpu_shares, which says the same in another measure");
    if (idle->set && (weight->set || items[SHOAL_LIMIT_CPU_SHARES].set))
        load_error(load, &idle_at, "does not go with a weight: an idle sandbox has none");
}

void check_limits_together(struct load *load, const struct place *outer, const shoal_limits_t *limits)
{
    check_memory(load, outer, limits->items);
    check_cpu_time(load, outer, limits->items);
    check_cpu_weight(load, outer, limits->items);
}

/* Mounts come behind devices and would hide one that lies below them. */
static void check_devices(struct load *load, const shoal_service_t *service)
{
    for (size_t i = 0; i < service->device_count; i++) {
        const shoal_device_t *device = &service->devices[i];
        const struct place at = {load->draft->at, "devices",         0,   load_file_number(load, &device->at),
                                 device->at.line, device->at.column, NULL};
        for (size_t k = 0; k < service->mount_count; k++) {
            const char *target = service->mounts[k].target;
            size_t count = strlen(target);
            if (strncmp(device->target, target, count) == 0 &&
                (device->target[count] == '/' || device->target[count] == '\0'))
                load_error(load, &at, "%.200s would be hidden by the mount on %.200s, line %d", device->target, target,
                           service->mounts[k].at.line);
        }
    }
}

/* What shoal asks of a service besides what Compose does (consistency.c). */
void finish_service(struct load *load, shoal_service_t *service)
{
    const struct draft *draft = load->draft;
    check_limits_together(load, draft->at, &service->limits);
    check_rates(load, service);
    check_devices(load, service);
    for (size_t i = 0; i < service->sysctl_count && service->network_mode == SHOAL_NETWORK_HOST; i++) {
        const shoal_pair_t *sysctl = &service->sysctls[i];
        const struct place at = {draft->at,       "sysctls",         0,   load_file_number(load, &sysctl->at),
                                 sysctl->at.line, sysctl->at.column, NULL};
        if (strncmp(sysctl->key, "net.", 4) == 0)
            load_error(load, &at, "refused: %.60s is the whole host's with network_mode host", sysctl->key);
    }
}

/* ---- networks: subnets that do not overlap, and have room ---- */

static int compare_subnets(const void *a, const void *b)
{
    const shoal_network_t *x = *(const shoal_network_t *const *)a, *y = *(const shoal_network_t *const *)b;
    if (x->subnet != y->subnet)
        return x->subnet < y->subnet ? -1 : 1;
    return x->at.line < y->at.line ? -1 : x->at.line > y->at.line;
}

static struct place network_place(const struct load *load, const shoal_network_t *network)
{
    return (struct place){&load->networks_at, network->name,      0,   load_file_number(load, &network->at),
                          network->at.line,   network->at.column, NULL};
}

static void check_subnets(struct load *load)
{
    const shoal_network_t **sorted = arena_array(&load->nodes, load->network_count, sizeof *sorted);
    if (!LOAD_GOT(load, sorted))
        return;
    size_t count = 0;
    for (size_t i = 0; i < load->network_count; i++)
        if (load->networks[i].subnet != 0)
            sorted[count++] = &load->networks[i];
    if (count > 1)
        qsort(sorted, count, sizeof *sorted, compare_subnets);
    const shoal_network_t *widest = count > 0 ? sorted[0] : NULL; /* whose last address is the highest so far */
    for (size_t i = 1; i < count; i++) {
        uint32_t last = widest->subnet | UINT32_MAX >> widest->prefix;
        if (sorted[i]->subnet <= last) {
            struct place at = network_place(load, sorted[i]);
            load_error(load, &at, "its subnet overlaps that of the network \"%.100s\"", widest->name);
        }
        if ((sorted[i]->subnet | UINT32_MAX >> sorted[i]->prefix) > last)
            widest = sorted[i];
    }
}

static void check_room(struct load *load)
{
    const shoal_spec_t *spec = load->spec;
    uint64_t *wanted = arena_array(&load->nodes, spec->network_count, sizeof *wanted);
    if (!LOAD_GOT(load, wanted))
        return;
    for (size_t i = 0; i < spec->service_count; i++)
        for (size_t k = 0; k < spec->services[i].attachment_count; k++)
            wanted[spec->services[i].attachments[k].network] += spec->services[i].replicas;
    for (size_t i = 0; i < spec->network_count; i++) {
        const shoal_network_t *network = &spec->networks[i];
        uint64_t room = (UINT64_C(1) << (32 - network->prefix)) - 3; /* less the network, the broadcast, the gateway */
        if (network->subnet == 0 || wanted[i] <= room)
            continue;
        struct place at = network_place(load, network);
        load_error(load, &at, "its subnet has addresses for %llu containers, the fleet has %llu on it",
                   (unsigned long long)room, (unsigned long long)wanted[i]);
    }
}

void check_fleet(struct load *load)
{
    check_subnets(load);
    settle_networks(load);
    if (!load->out_of_memory)
        check_room(load);
}
