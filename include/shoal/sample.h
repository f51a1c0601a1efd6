/* Counters of one moment. Names and units are the kernel's (cgroup-v2.rst, psi.rst). SHOAL_ABSENT: this host has it not. */
#ifndef SHOAL_SAMPLE_H
#define SHOAL_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHOAL_ABSENT UINT64_MAX

typedef struct shoal_pressure_line {
    double some_avg10, full_avg10;   /* percent */
    uint64_t some_total, full_total; /* microseconds; SHOAL_ABSENT */
} shoal_pressure_line_t;

/** A limit in force, as the kernel has it. */
typedef struct shoal_limit_line {
    const char *name, *value; /* the file, and what in it: "cpu.max", "io.max 8:0" */
} shoal_limit_line_t;

typedef struct shoal_sample {
    uint64_t time_usec;
    const char *project, *service, *container, *id; /* valid during the call */
    const char
        *group; /* its path; NULL none. Of a group's own sample the only name beside project; without net and state */
    const char *state;
    bool
        frozen; /* cgroup.events: none of its tasks runs, none will by itself. Its state is "paused", or already "stopping" */
    bool final;                       /* the last one of a run: its processes are gone, its DIE follows at once */
    size_t limit_count;               /* those that shoal has set; none in the last one of a run */
    const shoal_limit_line_t *limits; /* valid during the call */
    struct {
        uint64_t usage_usec, user_usec, system_usec, nr_periods, nr_throttled, throttled_usec;
    } cpu;
    struct {
        uint64_t current, peak, max, anon, file, inactive_file; /* max: SHOAL_ABSENT when unlimited */
        struct {
            uint64_t low, high, max, oom, oom_kill, oom_group_kill;
        } events;
    } memory;
    struct {
        uint64_t current, max, refused; /* refused: pids.events max */
    } pids;
    struct {
        uint64_t rbytes, wbytes, rios, wios;
    } io;
    struct {
        uint64_t current, max, inodes, inodes_max; /* bytes and inodes of its writable layer, where that has a limit */
    } disk;
    struct {
        uint64_t rx_bytes, rx_packets, rx_dropped, tx_bytes, tx_packets, tx_dropped; /* as the sandbox sees them */
    } net;
    struct { /* of the limits in force, as numbers; SHOAL_ABSENT: not set, or unlimited. quota to burst: microseconds */
        uint64_t memory_low, memory_high, memory_swap, cpu_quota, cpu_period, cpu_burst, cpu_weight;
    } spec;
    struct {
        shoal_pressure_line_t cpu, memory, io;
    } pressure;
} shoal_sample_t;

typedef struct shoal_fleet_sample {
    uint64_t time_usec;
    const char *project;
    uint64_t running, starting, backoff, exited, starts, deaths;
    uint64_t paused; /* not among the running */
    uint64_t parked; /* of those that wait for their start: only execve is left to do */
    struct
    { /* network namespaces made ahead: now ready, now lent; since the start: made and used again, starts that found one and
              * that found none, those that could not be made or scrubbed, and CPU time for making and scrubbing */
        uint64_t ready, lent, made, reused, hits, misses, failed, usage_usec;
    } pool;
    struct { /* starts that wait for their turn; 1 while those of a kind are slowed down; how often they have been */
        uint64_t waiting_ordinary, waiting_crashed, slow_ordinary, slow_crashed, slowed;
    } governor;
} shoal_fleet_sample_t;

/** One limit of the host. */
typedef struct shoal_resource {
    const char *name;    /* the kernel's: a sysctl, an RLIMIT, a cgroup file, a line of meminfo */
    const char *network; /* the network that has it for itself; NULL: the host's */
    const char *what;    /* for a person: "tasks of the host" */
    const char *advice;  /* what to do where it does not suffice */
    bool bytes;
    uint64_t needed; /* by the whole fleet, once it is up; SHOAL_ABSENT unknown */
    uint64_t used;   /* on the whole host where the kernel counts that, else by this fleet; SHOAL_ABSENT unknown */
    uint64_t limit;
} shoal_resource_t;

typedef struct shoal_host_sample {
    uint64_t time_usec;
    const char *project;
    size_t resource_count;
    const shoal_resource_t
        *resources; /* valid during the call; those of one network stand together, the host's first */
} shoal_host_sample_t;

#endif
