/* What the files of this room share. */
#ifndef SUPERVISOR_INSIDE_H
#define SUPERVISOR_INSIDE_H

#include "base/base.h"
#include "container/container.h"
#include "shoal/preflight.h"
#include "shoal/supervisor.h"
#include "supervisor/governor.h"

/* state.c: what a supervisor keeps on disk, below RUN/PROJECT: the lock, the last event number, the hosts files. */
struct state {
    char *dir;     /* owned: RUN/PROJECT, absolute */
    char tag[7];   /* six hex digits of PROJECT: names links and the nft table */
    int lock_fd;   /* flock held as long as we live */
    uint64_t *seq; /* mapped: survives a kill */
};
int state_open(struct state *state, const char *run_dir, const char *project, shoal_error_t *err);
void state_close(struct state *state);

/* idrange.c: ranges of 65,536 ids on the host, no two live sandboxes share one. Leased from the host in blocks. */
struct idranges;
int idranges_open(struct idranges **out, const char *owner_dir, size_t count, shoal_error_t *err);
int idranges_take(struct idranges *ranges, uint32_t *out_first);
void idranges_give(struct idranges *ranges, uint32_t first);
void idranges_close(struct idranges *ranges);
uint64_t idranges_read_limit(void);                          /* ranges of this host, /etc/subuid's taken off */
uint64_t idranges_read_leased(const char *except_owner_dir); /* to others than that one; "": to anybody */

/* restart.c: whether and when. Pure. */
struct restart_facts {
    int exit_code;
    bool never_ran;    /* the start failed */
    bool ever_ran;     /* an earlier start worked */
    unsigned attempts; /* starts again since the last good run */
    uint64_t wall_ms;  /* how long it ran */
};
/* Returns whether to start again. out_attempt: the number of the coming attempt, from 1. out_reason: always, for a person. */
bool restart_decide(const shoal_restart_t *policy, const struct restart_facts *facts, unsigned *out_attempt,
                    const char **out_reason);
/* random: 0..UINT32_MAX, spreads the jitter. */
uint64_t restart_delay_usec(const shoal_restart_t *policy, unsigned attempt, uint32_t random);

/* One container and what the supervisor knows of it. */
struct member {
    shoal_supervisor_t *boss;
    size_t service; /* index */
    unsigned number;
    struct container *container; /* NULL before start and after its end */
    uint32_t first_id;
    uv_timer_t timer; /* the backoff */
    bool timer_open, starting, closing;
    bool ever_ran, done; /* done: ended for good */
    bool restart_wanted;
    bool prepared;     /* parked, or on the way there */
    bool preparing;    /* on the way: counts as a start in flight */
    bool start_wanted; /* its preparation came to nothing and is being cleared away: start it then */
    bool crashed;      /* its last run ended in failure */
    bool held;         /* stopped by a request: it waits for another one */
    bool again;        /* to be started by a request as soon as its run has settled */
    bool restarting;   /* the next START is followed by a RESTART */
    bool queued;       /* in the gate */
    enum { ENDED_NOT, ENDED_COMPLETED, ENDED_FAILED } ended; /* how its group counts it */
    bool stepping;                                           /* inside a step of a request */
    struct control_part *parts;                              /* requests that wait for it */
    unsigned attempts;
    uint64_t delay_usec, died_usec;
    uint64_t links[6];      /* of its run, as its groups count them */
    struct start_turn turn; /* in the gate */
};

/* A service: its members stand together in boss->members. */
struct group {
    size_t first, count;
    size_t living;                            /* members that have not ended for good */
    size_t ran, never_ran, completed, failed; /* have run once; ended without; ended for good with 0; otherwise */
    unsigned prepared;                        /* members */
    bool wanted, released, blocked, may_stop;
    int exit_code;
    bool has_exit_code;
    struct image *image;          /* owned */
    const shoal_limits_t *said;   /* of the newest spec */
    struct cgroup_limits *limits; /* a reference: the same, as the kernel takes them */
    struct image_disk disk;       /* of the newest spec; via AUTO: its writable layers have no bounds */
    struct start_line lines[START_KIND_COUNT];
};

/* control.c: requests. */
struct control;
struct controls {
    struct control *first; /* of those that are not walked to their end */
    size_t next;           /* member where the first goes on */
};
bool control_walk(shoal_supervisor_t *s); /* a slice; whether there is more to do at once */
void control_look(struct member *member); /* something of it has changed */
void control_start_failed(struct member *member, const char *why);
void control_drop(struct member *member); /* it is gone */

enum phase { PHASE_OPEN, PHASE_UP, PHASE_DOWN, PHASE_ENDED, PHASE_CLOSING };

enum { SLICE_USEC = 1000 }; /* the longest that one turn of the loop is used for many containers */

/* hosts.c: /etc/hosts of each set of services that see the same names. */
struct hosts;
int hosts_open(struct hosts **out, shoal_supervisor_t *s, shoal_error_t *err);
const char *hosts_path(const struct hosts *hosts, size_t service); /* NULL: network_mode host */
int hosts_write(struct hosts *hosts, shoal_error_t *err);          /* waits; before the first start */
void hosts_touch(struct hosts *hosts);                             /* soon, by a worker */
void hosts_close(struct hosts *hosts, void (*cb)(void *data), void *data);

/* gate.c: the governor on the loop. */
struct gate {
    struct governor governor;
    struct pressure pressure;
    uint64_t totals[PRESSURE_COUNT], read_usec; /* at the last tick */
    uv_timer_t tick, due;                       /* due: when the next start may go */
    uint64_t slowed;                            /* how often starts were slowed down */
};
void gate_init(shoal_supervisor_t *s);
void gate_close(shoal_supervisor_t *s, uv_close_cb on_timer_closed); /* called for each of its two timers */
void gate_add(struct member *member);                                /* it waits for its start */
struct member *gate_take(shoal_supervisor_t *s);                     /* who starts now; NULL: nobody, yet */
bool gate_is_quiet(
    const shoal_supervisor_t *s); /* nobody waits, and nothing is slowed down: to prepare a start is most of its cost */
void gate_clear(shoal_supervisor_t *s); /* nobody starts any more */

/* groups.c: the cgroups around those of containers. */
struct cgroup_tree {
    struct cgroup **groups; /* owned; per group of the spec */
    struct cgroup *project; /* NULL: no budget */
    struct group_net *net;  /* owned; per group, then the project's */
};
/* Parents first, each with its limits; those of the budget are behind those of the groups. */
int groups_open(shoal_supervisor_t *s, struct cgroup_limits *const *limits, shoal_error_t *err);
void groups_close(shoal_supervisor_t *s);
void groups_end_run(struct member *member, const shoal_sample_t *final); /* what went over its links stays counted */
void groups_sample(shoal_supervisor_t *s);                               /* a record of each, to whoever listens */
/* A child before execve can be in a cgroup whose memory.max others may run into. */
bool groups_share_memory(const shoal_supervisor_t *s, const shoal_spec_t *spec);
/* reload_groups.c: their limits, and those of the budget, change while the fleet runs. */
typedef void (*difference_fn)(void *data, const shoal_position_t *at, const char *where, const char *key,
                              const char *what);
/* Each difference that a reload cannot make. */
void groups_compare(const shoal_supervisor_t *s, const shoal_spec_t *new, difference_fn tell, void *data);
struct group_changes;
/* limits: of new's groups, behind them the budget's. NULL: out of memory. They are written on a worker thread, and in force and
 * told, or said to have failed, at their end. */
struct group_changes *group_changes_new(shoal_supervisor_t *s, const shoal_spec_t *new,
                                        struct cgroup_limits *const *limits);
void group_changes_write(struct group_changes *changes);
void group_changes_end(struct group_changes *changes, shoal_reload_t *outcome); /* freed with it */
void group_changes_free(struct group_changes *changes);
bool groups_contains(const shoal_spec_t *spec, int outer, int group); /* it, or further in */

struct shoal_supervisor {
    struct cgroup_tree tree;
    uv_loop_t *loop;
    const shoal_spec_t *spec;
    shoal_supervisor_options_t options;
    char *root_dir, *run_dir; /* owned, absolute */
    struct state state;
    struct idranges *ids;
    struct cgroup_root *cgroups;
    struct net *net;
    struct net_stock *stock; /* NULL: none wanted */
    struct sandbox_kit *kit;
    struct hosts *hosts;
    struct resources *resources;
    struct container_owner owner;
    shoal_subscriber_t *subscribers; /* the callers' */

    struct group *groups;   /* owned: one per service of the spec */
    struct member *members; /* owned */
    size_t member_count;
    struct gate gate;
    struct controls controls;
    unsigned in_flight, in_flight_max;
    size_t open_members; /* containers and timers that are not closed yet */
    size_t living;       /* members that have not ended for good */
    size_t down_next;    /* where the way down goes on in the next slice */
    enum phase phase;
    bool at_once, failed, order_changed;
    bool prepare_wanted; /* there may be members to prepare */
    uint64_t starts, deaths;
    struct {
        size_t next; /* member */
        bool busy;   /* a worker is at one */
    } ahead;

    unsigned timers_open;
    bool cgroups_opened;
    uv_timer_t pump; /* start queue and end of the fleet are looked at from the loop, never from inside a callback */
    shoal_done_cb done_cb;
    void *done_data;
    void (*close_cb)(void *data);
    void *close_data;

    struct culprits *culprits;
    struct reload *reload; /* under way; NULL none */
    bool reading_disks;    /* a worker does */
    struct stalls *stalls; /* NULL: no such rules */
    bool pool_fails;       /* as last told */
    bool no_device_lists;  /* this host takes no program that restricts devices */
    bool no_pressure;      /* this host cannot carry out x-shoal.pressure, and the file says to go on without */
    uv_timer_t sample_timer;
    bool sampling;
    size_t sample_next;
};

unsigned supervisor_in_flight(const shoal_spec_t *spec); /* starts at the same time */
void supervisor_publish(shoal_supervisor_t *s, shoal_event_t *event);
void supervisor_message(shoal_supervisor_t *s, shoal_severity_t severity, const char *fmt, ...) SHOAL_PRINTF(3, 4);

/* resources.c: the limits of the host: what the fleet needs of each, what is used, how much there is. */
struct resources;
int resources_open(struct resources **out, const shoal_supervisor_t *s, shoal_error_t *err); /* s: outlives it */
void resources_change(struct resources *resources); /* the limits of services are others now */
void resources_read(struct resources *resources);   /* some twenty small files of procfs and kernfs */
const shoal_resource_t *resources_get(const struct resources *resources, size_t *out_count);
bool resources_is_estimate(const struct resources *resources, size_t index); /* what does not fit is no certain end */
shoal_verdict_t resources_judge(const shoal_resource_t *resource, bool estimate); /* pure */
void resources_close(struct resources *resources);

/* supervisor.c: how many network namespaces are kept ready, per network and then for none: a start or two ahead of what the
 * fleet can start at once, and no more than it has sandboxes; none where descriptors are short, since it can do without.
 * wanted: zeroed. Returns their sum. */
size_t supervisor_stock_wanted(const shoal_supervisor_t *s, size_t *wanted);
/* culprits.c: looks at the host's pressure once a second; when it rises, who makes the others wait is told. */
struct culprits;
int culprits_open(struct culprits **out, shoal_supervisor_t *s, shoal_error_t *err);
void culprits_feed(struct culprits *culprits, size_t member, const shoal_sample_t *sample);
void culprits_round_over(struct culprits *culprits);
void culprits_close(struct culprits *culprits, void (*cb)(void *data), void *data);

/* stall.c: x-shoal.pressure of the file, of the fleet and of the host. */
struct stalls;
int stalls_open(struct stalls **out, shoal_supervisor_t *s, shoal_error_t *err);
void stalls_close(struct stalls *stalls, void (*cb)(void *data), void *data);

/* sample.c: also the last sample of a run. */
void supervisor_publish_sample(shoal_supervisor_t *s, const shoal_sample_t *sample);

/* "file:line:column: ", empty where a value comes from no file. check.c */
struct supervisor_place {
    char text[300];
};
struct supervisor_place supervisor_place(const shoal_position_t *at);

/* fit.c, check.c: what the fleet asks, held against the host. Each finding is a message; err sums up. */
/* Of spec. out_limits: NULL, or zeroed room for a reference per service, then per group, then for the budget; they are the
 * caller's also on failure. */
int check_controllers(shoal_supervisor_t *s, const shoal_spec_t *spec, struct cgroup_limits **out_limits,
                      shoal_error_t *err);
int check_pressure(shoal_supervisor_t *s, shoal_error_t *err);
int check_devices(shoal_supervisor_t *s, bool look_only, shoal_error_t *err); /* else the project gets its program */
int check_limits(shoal_supervisor_t *s, shoal_resource_cb cb, void *data, shoal_error_t *err); /* cb may be NULL */
int check_commands(shoal_supervisor_t *s, shoal_error_t *err);
int check_rates(shoal_supervisor_t *s, shoal_error_t *err);
int check_oom_scores(shoal_supervisor_t *s, shoal_error_t *err);

/* disk.c: bounds of writable layers. check: of spec; out: NULL, or one per service, via AUTO where nothing is carried out. read:
 * what every container uses, by a worker; cb: from the loop, when that is known. Returns false when there is nothing to read. */
int check_disks(shoal_supervisor_t *s, const shoal_spec_t *spec, struct image_disk *out, shoal_error_t *err);
bool disks_read(shoal_supervisor_t *s, void (*cb)(shoal_supervisor_t *s));

/* order.c: who may start, who has to end first */
void order_release(shoal_supervisor_t *s); /* queue every service whose dependencies are met */
void order_find_stoppable(
    shoal_supervisor_t *s); /* may_stop of each group: nobody that lives depends on it, or at once */

#endif
