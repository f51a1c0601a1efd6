/* Who makes the others wait: host pressure watched for a rise, and the containers that use most of what has become scarce.
 * Pure: numbers in, findings out; culprits.c feeds it. */
#ifndef SUPERVISOR_NEIGHBOUR_H
#define SUPERVISOR_NEIGHBOUR_H

#include "base/base.h"
#include "shoal/sample.h"
#include "shoal/spec.h"

enum neighbour_resource { NEIGHBOUR_CPU, NEIGHBOUR_MEMORY, NEIGHBOUR_IO, NEIGHBOUR_RESOURCES };
const char *neighbour_resource_name(enum neighbour_resource resource);

/* Host pressure: is it higher than it usually is? */
struct neighbour_watch {
    uint64_t time_usec; /* of the last look; 0 none yet */
    uint64_t some_usec[NEIGHBOUR_RESOURCES];
    double ratio[NEIGHBOUR_RESOURCES]; /* share of the time since the look before in which some task waited */
    double usual[NEIGHBOUR_RESOURCES]; /* what it is by and by: moves slowly, and slower still towards a peak */
};
/* some_usec: totals of /proc/pressure, SHOAL_ABSENT where there is none. Returns a bit for each resource that is scarce. */
unsigned neighbour_look(struct neighbour_watch *watch, uint64_t time_usec,
                        const uint64_t some_usec[NEIGHBOUR_RESOURCES]);

/* One container: two looks at its counters. SHOAL_ABSENT as everywhere. Counters that went back are of another run. */
struct neighbour_use {
    uint64_t time_usec; /* 0: none */
    uint64_t cpu_usec, memory_bytes, io_bytes, stall_usec[NEIGHBOUR_RESOURCES];
};
struct neighbour {
    struct neighbour_use before, now;
};
/* Looks that follow one another too closely to tell a rate replace the newer one. */
void neighbour_feed(struct neighbour *neighbour, const shoal_sample_t *sample);

enum neighbour_basis {
    NEIGHBOUR_BY_USAGE,  /* CPU time, bytes of disk */
    NEIGHBOUR_BY_GROWTH, /* bytes of memory that it grew by */
    NEIGHBOUR_BY_STALL   /* nothing counts the use: how long it waited itself, which who uses most does most */
};
const char *neighbour_basis_name(enum neighbour_basis basis);

enum { NEIGHBOUR_CULPRITS = 3 };
struct neighbour_culprit {
    size_t index;      /* into the containers */
    double share;      /* of what all of them used, 0..1 */
    double per_second; /* what it used: CPUs or bytes; NAN when that is not counted */
    double others;     /* what the rest used in the same unit */
    enum neighbour_basis basis;
};
/* The likely culprits, worst first; none when nobody stands out: all are alike, or somebody outside of the fleet it is.
 * cpus: of the host. Returns how many. *out_ripe: false when too few containers have two looks yet. */
size_t neighbour_find(const struct neighbour *neighbours, size_t count, enum neighbour_resource resource,
                      uint64_t now_usec, double cpus, struct neighbour_culprit out[NEIGHBOUR_CULPRITS], bool *out_ripe);

/* The limit of the fleet file that would have kept it from this, as one would write it: "cpus: 1.5". */
void neighbour_advise(const struct neighbour *neighbour, const struct neighbour_culprit *culprit,
                      enum neighbour_resource resource, const shoal_limits_t *limits, double cpus, char out[64]);

#endif
