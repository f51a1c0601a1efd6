#include "supervisor/neighbour.h"

#include <math.h>
#include <string.h>

enum {
    APART_USEC = 400000,  /* two looks of which a rate can be told */
    STALE_USEC = 20000000 /* a look that says nothing of now */
};
static const double least_stall = 0.05; /* of the time, where stalls have to tell */

static const struct {
    const char *name;
    double floor; /* below it nobody has to care */
    double rise;  /* above the usual */
    double least; /* what a culprit uses at least: of the host's CPUs; of a CPU's time for stalls; bytes a second */
} resources[NEIGHBOUR_RESOURCES] = {
    [NEIGHBOUR_CPU] = {"cpu", 0.20, 0.10, 0.15},
    [NEIGHBOUR_MEMORY] = {"memory", 0.05, 0.03, 4 << 20},
    [NEIGHBOUR_IO] = {"io", 0.10, 0.05, 256 << 10},
};

const char *neighbour_resource_name(enum neighbour_resource resource)
{
    return resources[resource].name;
}

const char *neighbour_basis_name(enum neighbour_basis basis)
{
    static const char *const names[] = {
        [NEIGHBOUR_BY_USAGE] = "usage", [NEIGHBOUR_BY_GROWTH] = "growth", [NEIGHBOUR_BY_STALL] = "stall"};
    return names[basis];
}

unsigned neighbour_look(struct neighbour_watch *watch, uint64_t time_usec,
                        const uint64_t some_usec[NEIGHBOUR_RESOURCES])
{
    unsigned scarce = 0;
    double seconds = watch->time_usec != 0 && time_usec > watch->time_usec
                         ? (double)(time_usec - watch->time_usec) / 1e6
                         : 0;
    for (int i = 0; i < NEIGHBOUR_RESOURCES; i++) {
        uint64_t before = watch->some_usec[i], now = some_usec[i];
        watch->some_usec[i] = now;
        if (seconds <= 0 || before == SHOAL_ABSENT || now == SHOAL_ABSENT || now < before)
            continue;
        double ratio = fmin((double)(now - before) / 1e6 / seconds, 1);
        watch->ratio[i] = ratio;
        if (ratio >= resources[i].floor && ratio >= watch->usual[i] + resources[i].rise)
            scarce |= 1u << i;
        /* Up within minutes, down within seconds: a peak does not become usual while it is looked into. */
        double pace = ratio > watch->usual[i] ? 300 : 10;
        watch->usual[i] += (ratio - watch->usual[i]) * (1 - exp(-seconds / pace));
    }
    watch->time_usec = time_usec;
    return scarce;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a == SHOAL_ABSENT || b == SHOAL_ABSENT ? SHOAL_ABSENT : a + b;
}

void neighbour_feed(struct neighbour *neighbour, const shoal_sample_t *sample)
{
    if (neighbour->now.time_usec != 0 && sample->time_usec >= neighbour->now.time_usec + APART_USEC)
        neighbour->before = neighbour->now;
    neighbour->now = (struct neighbour_use){
        .time_usec = sample->time_usec,
        .cpu_usec = sample->cpu.usage_usec,
        .memory_bytes = sample->memory.current,
        .io_bytes = sum(sample->io.rbytes, sample->io.wbytes),
        .stall_usec = {sample->pressure.cpu.some_total, sample->pressure.memory.some_total,
                       sample->pressure.io.some_total},
    };
}

static double rate(uint64_t before, uint64_t now, double seconds)
{
    return before == SHOAL_ABSENT || now == SHOAL_ABSENT || now < before ? NAN : (double)(now - before) / seconds;
}

static bool is_fresh(const struct neighbour_use *use, uint64_t now_usec)
{
    return use->time_usec != 0 && use->time_usec + STALE_USEC > now_usec;
}

/* What one container used a second, NAN where that is unknown. */
static double use_of(const struct neighbour *n, enum neighbour_resource resource, enum neighbour_basis basis)
{
    double seconds = (double)(n->now.time_usec - n->before.time_usec) / 1e6;
    if (basis == NEIGHBOUR_BY_STALL)
        return rate(n->before.stall_usec[resource], n->now.stall_usec[resource], seconds) / 1e6;
    switch (resource) {
    case NEIGHBOUR_CPU:
        return rate(n->before.cpu_usec, n->now.cpu_usec, seconds) / 1e6;
    case NEIGHBOUR_MEMORY:
        if (n->now.memory_bytes != SHOAL_ABSENT && n->now.memory_bytes < n->before.memory_bytes)
            return 0; /* it shrank */
        return rate(n->before.memory_bytes, n->now.memory_bytes, seconds);
    case NEIGHBOUR_IO:
        return rate(n->before.io_bytes, n->now.io_bytes, seconds);
    case NEIGHBOUR_RESOURCES:
        break;
    }
    return NAN;
}

/* The few greatest, and the sum of all. */
struct ranking {
    size_t count, index[NEIGHBOUR_CULPRITS];
    double use[NEIGHBOUR_CULPRITS], total;
};

static void rank(struct ranking *r, size_t index, double use)
{
    r->total += use;
    size_t at = r->count;
    while (at > 0 && r->use[at - 1] < use)
        at--;
    if (at == NEIGHBOUR_CULPRITS)
        return;
    if (r->count < NEIGHBOUR_CULPRITS)
        r->count++;
    memmove(&r->use[at + 1], &r->use[at], (r->count - 1 - at) * sizeof r->use[0]);
    memmove(&r->index[at + 1], &r->index[at], (r->count - 1 - at) * sizeof r->index[0]);
    r->use[at] = use;
    r->index[at] = index;
}

/* Returns how many containers could be told of; the ranking has those that used anything. */
static size_t rank_all(const struct neighbour *neighbours, size_t count, enum neighbour_resource resource,
                       enum neighbour_basis basis, uint64_t now_usec, struct ranking *out)
{
    size_t told = 0;
    *out = (struct ranking){0};
    for (size_t i = 0; i < count; i++) {
        const struct neighbour *n = &neighbours[i];
        if (!is_fresh(&n->before, now_usec) || !is_fresh(&n->now, now_usec) ||
            n->now.time_usec < n->before.time_usec + APART_USEC)
            continue;
        double use = use_of(n, resource, basis);
        if (isnan(use))
            continue;
        told++;
        if (use > 0)
            rank(out, i, use);
    }
    return told;
}

size_t neighbour_find(const struct neighbour *neighbours, size_t count, enum neighbour_resource resource,
                      uint64_t now_usec, double cpus, struct neighbour_culprit out[NEIGHBOUR_CULPRITS], bool *out_ripe)
{
    enum neighbour_basis basis = resource == NEIGHBOUR_MEMORY ? NEIGHBOUR_BY_GROWTH : NEIGHBOUR_BY_USAGE;
    double least = resources[resource].least * (resource == NEIGHBOUR_CPU ? cpus : 1);
    size_t fresh = 0;
    for (size_t i = 0; i < count; i++)
        fresh += is_fresh(&neighbours[i].now, now_usec);
    struct ranking ranking;
    size_t told = rank_all(neighbours, count, resource, basis, now_usec, &ranking);
    if (resource != NEIGHBOUR_CPU && (ranking.count == 0 || ranking.use[0] < least)) {
        basis = NEIGHBOUR_BY_STALL; /* no controller counts it, or nothing that is counted explains it */
        least = least_stall;
        told = rank_all(neighbours, count, resource, basis, now_usec, &ranking);
    }
    *out_ripe = told > 0 && 2 * told >= fresh;
    if (!*out_ripe || ranking.count == 0 || ranking.use[0] < least)
        return 0;
    double fair = 2.0 / (double)told; /* twice as much as if all were alike */
    if (ranking.use[0] / ranking.total < fmax(0.3, fmin(fair, 0.6)))
        return 0;
    size_t found = 0;
    for (; found < ranking.count && ranking.use[found] >= ranking.use[0] / 2; found++)
        out[found] = (struct neighbour_culprit){
            .index = ranking.index[found],
            .share = ranking.use[found] / ranking.total,
            .per_second = basis == NEIGHBOUR_BY_STALL ? NAN : ranking.use[found],
            .others = basis == NEIGHBOUR_BY_STALL ? NAN : ranking.total - ranking.use[found],
            .basis = basis,
        };
    return found;
}

static void advise_cpus(const struct neighbour_culprit *culprit, const shoal_limits_t *limits, double cpus,
                        char out[64])
{
    const shoal_limit_t *limit = &limits->items[SHOAL_LIMIT_CPUS], *quota = &limits->items[SHOAL_LIMIT_CPU_QUOTA];
    const shoal_limit_t *period = &limits->items[SHOAL_LIMIT_CPU_PERIOD];
    double has = limit->set ? (double)limit->value / 1000
                 : quota->set && quota->value >= 0
                     ? (double)quota->value / (double)(period->set ? period->value : 100000)
                     : 0;
    double most = 0.9 * cpus - culprit->others; /* what leaves the rest its own, and a tenth free */
    if (culprit->per_second < most)             /* others than the fleet need CPUs too, or it has only begun */
        most /= 2;
    if (has > 0)
        most = fmin(most, has / 2); /* the one it has was too high */
    (void)snprintf(out, 64, "cpus: %.1f", fmax(floor(10 * most) / 10, 0.1));
}

void neighbour_advise(const struct neighbour *neighbour, const struct neighbour_culprit *culprit,
                      enum neighbour_resource resource, const shoal_limits_t *limits, double cpus, char out[64])
{
    static const char *const keys[] = {
        [NEIGHBOUR_CPU] = "cpus", [NEIGHBOUR_MEMORY] = "mem_limit", [NEIGHBOUR_IO] = "blkio_config"};
    if (culprit->basis == NEIGHBOUR_BY_STALL) {
        (void)snprintf(out, 64, "%s", keys[resource]); /* how much of it nobody has counted */
        return;
    }
    const double mib = 1 << 20;
    switch (resource) {
    case NEIGHBOUR_CPU:
        advise_cpus(culprit, limits, cpus, out);
        break;
    case NEIGHBOUR_MEMORY: /* a quarter more than it had before it grew */
        (void)snprintf(out, 64, "mem_limit: %.0fm", fmax(ceil(1.25 * (double)neighbour->before.memory_bytes / mib), 6));
        break;
    case NEIGHBOUR_IO: /* half of what it took */
        (void)snprintf(out, 64, "blkio_config: %.1f MiB/s", fmax(culprit->per_second / 2 / mib, 0.1));
        break;
    case NEIGHBOUR_RESOURCES:
        out[0] = '\0';
        break;
    }
}
