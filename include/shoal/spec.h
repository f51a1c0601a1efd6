/* What is wanted: one fleet, as values. Built once (by compose.h), never changed, read by everyone else.
 * All pointers inside belong to the spec and die with shoal_spec_free(). Absent text is NULL.
 * Units are in the names; the words are those of the Compose specification (github.com/compose-spec). */
#ifndef SHOAL_SPEC_H
#define SHOAL_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/** Where a value stands in the fleet's files; line and column count from 1, 0 where it came from no file. */
typedef struct shoal_position {
    const char *file;
    int line, column;
} shoal_position_t;

/** A list of texts; items[count] is NULL, so that it serves as an argv. */
typedef struct shoal_strings {
    size_t count;
    char **items;
} shoal_strings_t;

/** Where the root file system comes from. */
typedef enum shoal_image_kind {
    SHOAL_IMAGE_BUILTIN,  /* layers[0] is the builtin's name: "busybox" */
    SHOAL_IMAGE_DIRECTORY /* layers: absolute paths, lowest layer first */
} shoal_image_kind_t;

typedef struct shoal_image {
    shoal_image_kind_t kind;
    char *text; /* as written: "dir:/srv/web" */
    shoal_strings_t layers;
} shoal_image_t;

typedef enum shoal_mount_kind {
    SHOAL_MOUNT_BIND,   /* source: absolute host path */
    SHOAL_MOUNT_VOLUME, /* volume: index into shoal_spec.volumes, or -1 for an anonymous one */
    SHOAL_MOUNT_TMPFS
} shoal_mount_kind_t;

typedef struct shoal_mount {
    shoal_mount_kind_t kind;
    char *source;
    int volume;
    char *target; /* absolute path inside, normalised */
    bool read_only;
    bool create_host_path; /* bind: make a missing source a directory (Compose's short form does) */
    uint64_t size_bytes;   /* tmpfs: 0 means the kernel's default */
    uint32_t mode;         /* tmpfs: 0 means 01777 */
    shoal_position_t at;
} shoal_mount_t;

/** What may be done with a device. The bits are the kernel's, BPF_DEVCG_ACC_*. */
enum { SHOAL_DEVICE_MKNOD = 1, SHOAL_DEVICE_READ = 2, SHOAL_DEVICE_WRITE = 4, SHOAL_DEVICE_ALL = 7 };

/** Devices of the host that a sandbox gets. */
typedef struct shoal_device {
    char *source; /* absolute host path: a device, a link to one, or a directory of them */
    char *target; /* absolute path inside, normalised */
    unsigned access;
    shoal_position_t at;
} shoal_device_t;

/** What may be done with which devices, whatever their nodes are called; device_cgroup_rules. */
enum { SHOAL_ANY_DEVICE = -1 };
typedef struct shoal_device_rule {
    char type;        /* 'c', 'b'; 'a' both */
    int major, minor; /* or SHOAL_ANY_DEVICE */
    unsigned access;
    shoal_position_t at;
} shoal_device_rule_t;

/** Limits that a cgroup v2 controller has to carry out. Index of shoal_limits.items. */
typedef enum shoal_limit_kind {
    SHOAL_LIMIT_MEMORY,             /* bytes, memory.max */
    SHOAL_LIMIT_MEMORY_SWAP,        /* bytes of memory plus swap (Compose memswap_limit); -1 unlimited */
    SHOAL_LIMIT_MEMORY_RESERVATION, /* bytes, memory.low */
    SHOAL_LIMIT_MEMORY_HIGH,        /* bytes, memory.high */
    SHOAL_LIMIT_OOM_GROUP,          /* 1 all of it, 0 one process; memory.oom.group */
    SHOAL_LIMIT_CPUS,               /* thousandths of a CPU, cpu.max */
    SHOAL_LIMIT_CPU_QUOTA,          /* microseconds in each period; -1 unlimited; not with CPUS; cpu.max */
    SHOAL_LIMIT_CPU_PERIOD,         /* microseconds; not with CPUS; cpu.max */
    SHOAL_LIMIT_CPU_BURST,          /* microseconds saved from earlier periods, cpu.max.burst */
    SHOAL_LIMIT_CPU_SHARES,         /* 2..262144, turned into cpu.weight */
    SHOAL_LIMIT_CPU_WEIGHT,         /* 1..10000, cpu.weight; not with CPU_SHARES */
    SHOAL_LIMIT_CPU_IDLE,           /* 1: only what others leave, cpu.idle; not with a weight */
    SHOAL_LIMIT_CPUSET,             /* text: CPU list, cpuset.cpus */
    SHOAL_LIMIT_CPUSET_MEMS,        /* text: list of memory nodes, cpuset.mems */
    SHOAL_LIMIT_PIDS,               /* tasks, pids.max; -1 unlimited */
    SHOAL_LIMIT_IO_WEIGHT,          /* 10..1000 (Compose), taken by io.bfq.weight, turned into io.weight */
    SHOAL_LIMIT_COUNT
} shoal_limit_kind_t;

typedef struct shoal_limit {
    bool set;
    int64_t value;
    char *text;      /* CPUSET and CPUSET_MEMS alone */
    const char *key; /* the key as written: "mem_limit", "deploy.resources.limits.memory" */
    shoal_position_t at;
} shoal_limit_t;

/** One device's rates and weight, blkio_config; 0 means none. Carried out by io.max, io.weight and io.bfq.weight. */
typedef struct shoal_io_limit {
    char *path; /* of the device, absolute: /dev/vda; or its number: 8:0 */
    uint64_t rbps, wbps, riops, wiops;
    uint64_t weight; /* 10..1000 */
    shoal_position_t at;
} shoal_io_limit_t;

/** Limits of what a host has under names of its own: x-shoal.hugetlb, rdma and misc. */
typedef enum shoal_named_kind {
    SHOAL_NAMED_HUGETLB, /* bytes in huge pages of one size; hugetlb.SIZE.max and hugetlb.SIZE.rsvd.max */
    SHOAL_NAMED_RDMA,    /* handles and objects of one device; rdma.max */
    SHOAL_NAMED_MISC     /* how many of a resource; misc.max */
} shoal_named_kind_t;

typedef struct shoal_named_limit {
    shoal_named_kind_t kind;
    char *name;      /* as the kernel has it: "2MB", "mlx5_0", "sev" */
    int64_t value;   /* RDMA: hca_handle; -1 unlimited */
    int64_t objects; /* RDMA alone: hca_object; -1 unlimited */
    char *key;       /* the key as written: "x-shoal.hugetlb.2MB" */
    shoal_position_t at;
} shoal_named_limit_t;

/** What one cgroup directory may use: a service's sandbox, a group, a project. */
typedef struct shoal_limits {
    shoal_limit_t items[SHOAL_LIMIT_COUNT];
    size_t device_count, named_count;
    shoal_io_limit_t *devices;
    shoal_named_limit_t *named;
} shoal_limits_t;

/** A group of services, x-shoal.groups: a cgroup around theirs, below its parent's or the project's. */
enum { SHOAL_NO_GROUP = -1 };
typedef struct shoal_group {
    char *name; /* its path: "important/containers" */
    int parent; /* index into shoal_spec.groups, less than its own; SHOAL_NO_GROUP: the project */
    shoal_limits_t limits;
    shoal_position_t at; /* line 0: named only as the parent of another */
} shoal_group_t;

typedef enum shoal_restart_policy {
    SHOAL_RESTART_NO,
    SHOAL_RESTART_ALWAYS,
    SHOAL_RESTART_ON_FAILURE,
    SHOAL_RESTART_UNLESS_STOPPED
} shoal_restart_policy_t;

/** When and how soon a container is started again. Delay of attempt n: first_ms * factor^(n-1), at most max_ms,
 *  plus or minus up to jitter of itself; n begins at 1 again after reset_ms of running. */
typedef struct shoal_restart {
    shoal_restart_policy_t policy;
    int max_attempts;   /* 0: no end. on-failure:n and deploy.restart_policy.max_attempts */
    uint64_t window_ms; /* deploy.restart_policy.window; 0 none: an attempt that lived this long does not count */
    uint64_t first_ms, max_ms, reset_ms;
    double factor, jitter;
} shoal_restart_t;

typedef enum shoal_condition { SHOAL_CONDITION_STARTED, SHOAL_CONDITION_COMPLETED_SUCCESSFULLY } shoal_condition_t;

typedef struct shoal_dependency {
    size_t service; /* index into shoal_spec.services */
    shoal_condition_t condition;
    bool required;
    shoal_position_t at;
} shoal_dependency_t;

typedef struct shoal_pair {
    char *key, *value;
    shoal_position_t at;
} shoal_pair_t;

typedef struct shoal_ulimit {
    int resource;        /* RLIMIT_*, getrlimit(2) */
    uint64_t soft, hard; /* UINT64_MAX: unlimited */
    shoal_position_t at;
} shoal_ulimit_t;

typedef enum shoal_network_mode { SHOAL_NETWORK_BRIDGES, SHOAL_NETWORK_NONE, SHOAL_NETWORK_HOST } shoal_network_mode_t;

/** A service's membership in one network. */
typedef struct shoal_attachment {
    size_t network; /* index into shoal_spec.networks */
    shoal_strings_t aliases;
    int priority; /* the highest one gives the default route */
    shoal_position_t at;
} shoal_attachment_t;

typedef enum shoal_log_driver { SHOAL_LOG_JSON_FILE, SHOAL_LOG_NONE } shoal_log_driver_t;

/** What follows a rule of x-shoal.pressure, beside its event. */
typedef enum shoal_pressure_action {
    SHOAL_PRESSURE_EVENT,   /* nothing */
    SHOAL_PRESSURE_FREEZE,  /* frozen for five windows */
    SHOAL_PRESSURE_RESTART, /* stopped in order and started anew */
    SHOAL_PRESSURE_KILL,    /* killed; its restart policy goes on from there */
    SHOAL_PRESSURE_SHRINK,  /* a tenth of its memory is reclaimed */
    SHOAL_PRESSURE_ACTION_COUNT
} shoal_pressure_action_t;

/** x-shoal.pressure: a PSI trigger. Of a service it stands for each container; of the file for the fleet, or the host. */
typedef struct shoal_pressure_rule {
    const char *resource;             /* "cpu", "memory", "io" */
    bool full;                        /* all tasks wait; else some */
    bool host;                        /* of the file alone */
    uint64_t stall_usec, window_usec; /* waits so long within that */
    shoal_pressure_action_t action;
    shoal_position_t at;
} shoal_pressure_rule_t;

/** x-shoal.limits: who reaches one is killed. In each 0 means none. */
typedef struct shoal_deadlines {
    uint64_t wall_ms, cpu_ms, idle_ms; /* of a run: time, CPU time, time without output or use of the CPU */
    uint64_t ttl_ms;                   /* of the container, from its first start on */
    uint64_t output_bytes;             /* of a run */
} shoal_deadlines_t;

/** What sees to x-shoal.disk. */
typedef enum shoal_disk_via {
    SHOAL_DISK_AUTO,  /* quota where the file system has it, else loop */
    SHOAL_DISK_QUOTA, /* a project quota of the file system of the root directory */
    SHOAL_DISK_LOOP,  /* an ext4 in a sparse file */
    SHOAL_DISK_TMPFS  /* memory */
} shoal_disk_via_t;

/** x-shoal.disk, storage_opt: what the writable layer of each container may hold. */
typedef struct shoal_disk {
    bool set;
    uint64_t bytes;
    uint64_t inodes; /* 0: no limit */
    shoal_disk_via_t via;
    const char *key; /* as written: "x-shoal.disk", "storage_opt" */
    shoal_position_t at;
} shoal_disk_t;

/** A key of the file that a running fleet cannot change, by what it says. */
typedef struct shoal_fixed {
    const char *key; /* below the service, or the file: "image", "deploy.replicas" */
    uint64_t says;   /* a hash; equal for what means the same */
    shoal_position_t at;
} shoal_fixed_t;

typedef struct shoal_service {
    char *name;
    shoal_position_t at;
    shoal_image_t image;

    bool entrypoint_set, command_set; /* an empty list that is set clears the image's */
    shoal_strings_t entrypoint, command;
    shoal_strings_t environment; /* "NAME=value": env_file, then environment; each name once */
    char *hostname, *domainname, *user, *working_dir;
    shoal_strings_t group_add;
    bool init, read_only;
    bool oom_score_adj_set; /* else what the supervisor itself has */
    int oom_score_adj;      /* -1000 never killed for lack of memory, 1000 first */
    shoal_position_t oom_score_adj_at;
    size_t mount_count;
    shoal_mount_t *mounts; /* tmpfs and volumes */
    size_t device_count, device_rule_count;
    shoal_device_t *devices;
    shoal_device_rule_t *device_rules;

    shoal_limits_t limits;
    size_t ulimit_count;
    shoal_ulimit_t *ulimits;
    uint64_t shm_bytes; /* 0: 64 MiB */
    shoal_disk_t disk;

    int group; /* index into shoal_spec.groups; SHOAL_NO_GROUP */
    unsigned replicas;
    char *container_name;
    shoal_restart_t restart;
    shoal_deadlines_t deadlines;
    size_t pressure_rule_count;
    shoal_pressure_rule_t *pressure_rules;
    unsigned warm;   /* x-shoal.warm: this many that wait for their start are kept parked just before execve */
    int stop_signal; /* SIGTERM unless written */
    uint64_t stop_grace_ms;
    size_t dependency_count;
    shoal_dependency_t *dependencies;

    uint64_t cap_add, cap_drop; /* bit n: capability n; cap_drop ALL is ~0 */
    bool no_new_privileges;
    bool seccomp_unconfined;
    size_t sysctl_count;
    shoal_pair_t *sysctls;

    shoal_network_mode_t network_mode;
    size_t attachment_count;
    shoal_attachment_t *attachments; /* SHOAL_NETWORK_BRIDGES alone; sorted by priority, then as written */
    size_t extra_host_count;
    shoal_pair_t *extra_hosts; /* key: host name, value: address */

    struct { /* x-shoal.net: bits a second, 0 without limit; with one network alone */
        uint64_t egress_bits, ingress_bits;
        shoal_position_t at;
    } net;

    size_t fixed_count;
    shoal_fixed_t *fixed; /* all that was written, but for the limits */

    size_t label_count;
    shoal_pair_t *labels;
    struct {
        shoal_log_driver_t driver;
        uint64_t max_bytes; /* 0: no rotation */
        unsigned max_files;
    } log;
} shoal_service_t;

/** A bridge network of the file. Addresses are in host byte order. */
typedef struct shoal_network {
    char *name;      /* key in the file: "default" */
    char *full_name; /* PROJECT_name, or name: as written */
    uint32_t subnet; /* 0: chosen at start */
    unsigned prefix;
    uint32_t gateway;     /* 0: the subnet's first address */
    unsigned shard_ports; /* x-shoal.shard: sandboxes on one bridge; 0: the default */
    shoal_position_t at;
} shoal_network_t;

typedef struct shoal_volume {
    char *name;      /* key in the file */
    char *full_name; /* PROJECT_name, or name: as written */
    shoal_position_t at;
} shoal_volume_t;

/** x-shoal.governor: what the starts of a fleet pass. In each number 0 means the default. */
typedef struct shoal_governor {
    bool off;
    unsigned rate, burst;     /* starts a second, and at once */
    unsigned least;           /* starts a second that pass under any pressure */
    unsigned cpu, memory, io; /* percent of the time in which some task of the host waits, /proc/pressure */
} shoal_governor_t;

/** A whole fleet. */
typedef struct shoal_spec {
    char *project;
    size_t service_count, network_count, volume_count;
    shoal_service_t *services; /* in the order of the file */
    shoal_network_t *networks; /* those that a service uses */
    shoal_volume_t *volumes;
    bool degrade;              /* x-shoal.degrade: go on without controllers that the host lacks */
    unsigned starts_in_flight; /* x-shoal.starts_in_flight: 0 the default */
    bool pool_set;             /* else the fleet's size decides */
    unsigned pool;             /* x-shoal.pool: network namespaces kept ready, per network; 0 none */
    shoal_governor_t governor;
    size_t group_count;
    shoal_group_t *groups; /* parents before their children */
    shoal_limits_t budget; /* x-shoal.budget: of all sandboxes together */
    size_t fixed_count;
    shoal_fixed_t *fixed; /* outside of the services */
    size_t pressure_rule_count;
    shoal_pressure_rule_t *pressure_rules;
} shoal_spec_t;

/** Free a spec and all in it. spec: may be NULL. */
SHOAL_API void shoal_spec_free(shoal_spec_t *spec);

#endif
