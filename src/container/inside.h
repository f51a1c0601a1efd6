/* What the files of this room share: the container's struct and the parts it consists of. */
#ifndef CONTAINER_INSIDE_H
#define CONTAINER_INSIDE_H

#include <linux/filter.h>
#include <sys/resource.h>

#include "base/base.h"
#include "child/plan.h"
#include "container/container.h"
#include "container/log.h"

/* One end of a container's output. */
struct output {
    struct container *container;
    uv_poll_t poll;
    int fd;     /* our end of the pipe; -1 closed */
    int stream; /* 1 stdout, 2 stderr */
    bool reading;
};

/* A descriptor that the child gets: opened when its user namespace is there, sent, closed. */
struct gift {
    enum gift_kind { GIFT_DESCRIPTOR, GIFT_MOUNT } kind;
    int fd;           /* GIFT_DESCRIPTOR: itself (owned); GIFT_MOUNT: where path starts, or AT_FDCWD (borrowed) */
    const char *path; /* "" for fd itself */
    bool recursive, read_only, idmapped;
    bool idmap_optional; /* a file system that cannot be idmapped is taken as it is, with a warning */
    const char *what;    /* for messages; NULL: one of ours, of which nobody needs to hear */
};

/* What a bind or a volume is on the host, found by the worker that makes the root file system. */
struct bind {
    char *path; /* owned; NULL for tmpfs */
    bool is_file;
};

/* What a service's devices come to in one start. */
struct devices {
    int dev_fd;     /* a /dev of its own, detached; -1: none, or the child's */
    int outside_fd; /* nodes 0, 1, ... whose places, outside[], are not below /dev; -1 likewise */
    char **outside; /* owned, as each */
    size_t outside_count;
    shoal_device_rule_t *rules; /* owned: everything that it may do */
    size_t rule_count;
};

/* What exists between the decision to start and execve only; error.code is set once the start has failed. */
struct launch {
    struct container *container;
    struct launch *next_spare;
    struct plan plan;
    void *stack; /* owned: the child's until execve */
    int channel; /* our end */
    int slot;    /* index in the kit's slots, -1 none */
    uv_poll_t poll;
    bool poll_open;
    bool sent;            /* the child has its gifts and walks the plan */
    bool park;            /* the plan says CHILD_HELD and waits once more before execve */
    bool hold;            /* the child becomes shoal-init, which waits there: something is to be done to it that
                             would also be done to us while it shares our memory */
    bool held;            /* it waits in one of these ways */
    bool let_go;          /* it has had its last message */
    bool awaits_rootfs;   /* nothing but the worker is waited for */
    bool child_spoke;     /* the outcome came from the child: whatever stage we are in, the step is its own */
    int child_outputs[2]; /* the pipes' other ends until the child has them */
    struct gift gifts[PLAN_FDS_MAX];
    size_t gift_count;
    struct devices *devices; /* owned; NULL: those of every sandbox */
    shoal_error_t error;
};

struct container {
    const struct container_owner *owner; /* outlives us, as all borrowed things below */
    uv_loop_t *loop;
    struct sandbox_kit *kit;
    const shoal_spec_t *spec;
    const shoal_service_t *service;
    const struct image *image;
    struct cgroup_root *cgroups;
    struct cgroup_limits *limits; /* a reference: what the next start gets */
    const char *root_dir, *hosts_path;
    void *data;

    char *name; /* owned */
    char *dir;  /* owned: ROOT/containers/PROJECT/ID */
    char id[CONTAINER_ID_TEXT];
    uint32_t first_id;
    enum container_state state;
    unsigned attempt;
    bool rootfs_made, rootfs_pending, rootfs_ahead; /* pending: a worker makes it; ahead: before any start */
    bool disk_bounded;                              /* its writable layer */
    struct image_disk disk;                         /* wanted, with what was made of it once rootfs_made */
    struct image_disk_use disk_use;                 /* as last read; bytes_max 0: never */
    struct image_user user;
    struct bind *binds; /* owned: per mount of the service */

    struct net_endpoint **endpoints; /* owned, per attachment of the service */
    size_t endpoint_count;
    struct net_stock *stock;         /* NULL: it cannot use what is made ahead */
    struct net_namespace *namespace; /* of the stock, while it runs in one; NULL: its own, or the host's */
    struct log *log;                 /* NULL: driver none */
    struct cgroup *cgroup;           /* NULL between runs */
    pid_t pid;                       /* 0: none */
    int pid_fd;
    int mount_fd; /* its mount namespace, so that its file systems are not synced before its end is told; -1 none */
    uv_poll_t pid_poll;
    struct container *next_ended; /* in the kit's line */
    struct container *next_oom;   /* in the line for the kernel's log */
    uv_timer_t grace;
    struct output outputs[2];
    struct launch *launch;
    int stage; /* the launch stage under way; -1 none */

    uint64_t decided_usec, started_usec, stop_usec, died_usec; /* monotonic */
    uint64_t frozen_since_usec;                                /* monotonic; 0: it is not frozen */
    uint64_t paused_usec;                                      /* of this run, without the time since then */
    struct oom *oom;                                           /* owned; NULL: the kernel has not killed in this run */
    struct deadline *deadline;            /* owned; NULL: it has no limits of x-shoal.limits, or does not run */
    uint64_t born_usec, born_paused_usec; /* its first start; time frozen in the runs that are over */
    uint64_t printed_bytes;               /* in this run */
    struct pressure_watch *pressure;      /* owned; NULL: its service has no rules, or it does not run */
    const char *pressed_for;              /* the resource of the rule that has ended it */
    struct ending *ending; /* owned; the process is reaped, and what is to be known of its end is on the way */
    struct tail *tail;     /* owned: the end of what it printed in this run; NULL nothing yet */
    bool stop_asked, kill_asked, grace_over, cancelled; /* kill_asked beside the first: its end is no STOP */
    bool forced;                                        /* we have ended it, for forced_cause */
    bool killed;                                        /* we have sent it SIGKILL */
    unsigned frozen_for;                                /* FREEZE_...: who wants it frozen */
    bool freezing;                                      /* asked for, not told yet */
    bool thawing;                                       /* it was paused: that it is no more is still to be told */
    bool preparing;                                     /* a launch that nobody has asked to start yet */
    bool settled, settling, lost;                       /* lost: somebody else has reaped it */
    int exit_code, signal;
    shoal_cause_t forced_cause;
    int command_signal; /* what ended the command, where an init told its end; 0 none */
    unsigned links_pending;
    unsigned parts_open; /* uv handles of the run that are not closed yet */
    void (*close_cb)(void *data);
    void *close_data;
};

/* The name of the n-th network interface inside. */
struct interface_name {
    char text[16];
};
static inline struct interface_name interface_name(size_t n)
{
    struct interface_name name;
    (void)snprintf(name.text, sizeof name.text, "eth%u", (unsigned)n % 1000u);
    return name;
}

/* container.c */
void container_set_state(struct container *c, enum container_state state, shoal_event_t *event);
void container_publish(struct container *c, shoal_event_kind_t kind, shoal_event_t *event);
void container_close_go_on(struct container *c); /* the worker that it waited for is done */
void container_settle(struct container *c); /* call when a part of the run has gone: tells the owner after the last */
void container_warn(struct container *c, const char *fmt, ...) SHOAL_PRINTF(2, 3);

/* freeze.c */
void freeze_on_change(struct container *c, bool frozen);
/* Who wants it frozen: it is thawed when nobody does any more. */
enum { FREEZE_ASKED = 1, FREEZE_PRESSURE = 2 };
/* Returns 1 where the reason is new: under way, or frozen already; 0 where it is not; else as container_pause(). */
int freeze_add(struct container *c, unsigned reason, shoal_error_t *err);
int freeze_drop(struct container *c, unsigned reasons, shoal_error_t *err);

/* launch.c */
void launch_continue(struct container *c, int result,
                     shoal_error_t *err); /* result: 1 the stage is done, < 0 it failed */
void launch_on_held(struct container *c); /* the child says that it waits for its start */
void launch_cancel(struct container *c);

/* rootfs.c: a stage in two parts */
int rootfs_begin(struct container *c, shoal_error_t *err);
int rootfs_enter(struct container *c, shoal_error_t *err);

/* dev.c: what lies in /dev. root_id: root of the sandbox, on the host; the owner of all */
struct stat;
int dev_fill(int dev_fd, uint32_t root_id, shoal_error_t *err);
bool dev_is_taken(const char *path); /* below /dev: a link or a directory of dev_fill(), or in one */
/* A device at path below dir_fd with what lacks of the directories above it, in the place of another. Number, type and mode are
 * those of `like`, its owner and its group have the same numbers inside. */
int dev_make_node(int dir_fd, const char *path, const struct stat *like, uint32_t root_id, shoal_error_t *err);

/* devices.c */
bool devices_wanted(const shoal_service_t *service); /* it has more to do with devices than those of every sandbox */
/* nodes_too: else the rules alone. Any thread; may wait for a disk. */
int devices_make(const shoal_service_t *service, uint32_t root_id, bool nodes_too, struct devices **out,
                 shoal_error_t *err);
void devices_free(struct devices *devices); /* may be NULL */
int devices_enter(struct container *c, shoal_error_t *err);
int devices_prepare(struct sandbox_kit *kit, const shoal_service_t *service, shoal_error_t *err);
void devices_close_programs(struct sandbox_kit *kit);

/* channel.c */
struct launch *launch_new(struct container *c); /* NULL: out of memory */
void launch_destroy(struct launch *launch);
void launch_release(struct container *c); /* nothing uses c->launch any more, or there is none */
void launch_drain(struct container *c);   /* the child is gone: read its last words, which decide how the start went */
int channel_open(struct container *c, shoal_error_t *err);
/* A stage failed, perhaps because the child is gone: what it said of that goes before what was seen from here. */
void channel_ask_why(struct container *c, shoal_error_t *err);
int channel_send_gifts(struct container *c,
                       shoal_error_t *err);                /* open every gift, send them in one message, close ours */
int channel_wake(struct container *c, shoal_error_t *err); /* what the plan's next STEP_RECEIVE waits for */

/* exit.c */
void exit_look_at_some(struct sandbox_kit *kit);         /* of those in the kit's line, for a slice of time */
int exit_watch(struct container *c, shoal_error_t *err); /* poll the pidfd */
void exit_go_on(struct container *c);                    /* something that its end waited for is there */
int exit_find_command_signal(const struct container *c); /* of an init's command, while the init is there; 0 none */
void exit_release(struct container *c); /* the process is gone or never was: DIE, then release the run */

/* sample.c */
void sample_read_final(const struct container *c, shoal_sample_t *out); /* without its links */
void sample_read_links(const struct container *c, shoal_sample_t *out);

/* deadline.c: x-shoal.limits */
void deadline_begin(struct container *c); /* it runs */
void deadline_on_freeze(struct container *c);
void deadline_end(struct container *c);

/* pressure.c: x-shoal.pressure of its service */
int pressure_begin(struct container *c, shoal_error_t *err); /* before it runs; on failure nothing is watched */
void pressure_end(struct container *c);

/* oom.c */
struct oom {
    struct shoal_oom about; /* with the texts below */
    char cgroup[256], comm[24];
    uint64_t kills;     /* memory.events oom_kill */
    uint64_t seen_usec; /* monotonic */
    bool pending;       /* its event is not published yet */
    bool all;           /* the kernel killed the whole sandbox */
    unsigned tries;
};
void oom_open(struct sandbox_kit *kit);
void oom_close(struct sandbox_kit *kit);
void oom_seen(struct container *c, uint64_t kills); /* memory.events says so: a kill more than known, or not */

/* death.c: the certificate */
enum { DEATH_WHY = 320 };
shoal_cause_t death_find_cause(const struct container *c);
const char *death_find_by(const struct container *c, shoal_cause_t cause); /* NULL: not certain */
void death_explain(const struct container *c, shoal_cause_t cause, const shoal_sample_t *sample, char out[DEATH_WHY]);

/* output.c */
int output_open(struct container *c, int out_child_ends[2], shoal_error_t *err);
void output_drain(struct container *c); /* read what is left and close */
void output_resume(struct container *c);
enum { TAIL_BYTES = 2048 };
size_t output_tail(const struct container *c, char out[TAIL_BYTES]); /* its last ten lines, or what is left of them */

/* sandbox.c: the plan of one sandbox */
int sandbox_plan(struct container *c, struct launch *launch, shoal_error_t *err);

/* kit.c */
struct sandbox_kit {
    uv_loop_t *loop;
    uv_idle_t idle;                       /* active while somebody stands in the line: the loop does not sleep */
    struct container *ended, **ended_end; /* whose process has ended, in that order */
    unsigned links_asked;                 /* ends that wait for their links' last counters */
    int null_fd, dev_fd, init_fd;
    char *dev_path; /* owned: where the template is attached */
    char *resolv;   /* owned: the text of /etc/resolv.conf */
    int *slots;     /* low descriptors that stand in for /dev/null until a launch takes one */
    bool *slot_taken;
    unsigned slot_count;
    struct launch *spare_launches; /* owned */
    unsigned spare_launch_count;
    struct seccomp_entry *seccomp;          /* compiled once per capability set */
    struct device_program *device_programs; /* owned: loaded once per set of rules */
    bool no_pressure, no_device_lists;      /* sandbox_kit_options */
    bool shrinking;                         /* a worker reclaims memory: one at a time, they are few */
    struct oom_reader *oom;                 /* owned; NULL: the kernel's log cannot be read */
    char *read_buffer;                      /* for pipes: one for all, the loop is one thread */
    struct rlimit64 descriptors;            /* RLIMIT_NOFILE of a sandbox whose service says nothing; soft 0: ours */
    void (*close_cb)(void *data);
    void *close_data;
    int oom_score_adj; /* the process's own, and what a sandbox gets whose service says nothing */
    bool guarded;      /* the process has taken OOM_SCORE_ADJ_MIN, and every child is born with it */
    int dumpable;      /* what the process was; a child's setresuid changes it for the shared memory */
};
void kit_wake(struct sandbox_kit *kit); /* somebody stands in the line */
enum { KIT_READ_BYTES = 64 << 10 };
const struct sock_fprog *kit_seccomp(struct sandbox_kit *kit, uint64_t capabilities, shoal_error_t *err);
int kit_take_slot(struct sandbox_kit *kit, int fd);       /* index, or -1: none free. The slot becomes a copy of fd */
void kit_give_slot_fd(struct sandbox_kit *kit, int slot); /* the child has it: ours stands for /dev/null again */
void kit_free_slot(struct sandbox_kit *kit, int slot);

#endif
