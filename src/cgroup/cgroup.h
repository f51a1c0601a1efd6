/* cgroup: cgroup v2 directories. It knows the hierarchy, controllers, limits, counters and events; it does not know what
 * a container is, nor any other room beside base and kernel. It owns CGROUP/shoal/PROJECT and one inotify descriptor.
 * Functions run on the loop's thread and make a few short system calls on kernfs, unless a comment says they wait. */
#ifndef CGROUP_CGROUP_H
#define CGROUP_CGROUP_H

#include <uv.h>

#include "shoal/error.h"
#include "shoal/sample.h"
#include "shoal/spec.h"

/* Controllers, and what is no controller but a part of one that a kernel may lack. */
enum cgroup_controller {
    CGROUP_CPU,
    CGROUP_CPUSET,
    CGROUP_IO,
    CGROUP_MEMORY,
    CGROUP_PIDS,
    CGROUP_HUGETLB,
    CGROUP_RDMA,
    CGROUP_MISC,
    CGROUP_CONTROLLER_COUNT,
    CGROUP_IO_WEIGHT = CGROUP_CONTROLLER_COUNT, /* io.weight or io.bfq.weight, one is enough */
    CGROUP_NEED_COUNT
};

struct cgroup_root; /* our part of the hierarchy: one project */
struct cgroup;      /* one container's directory */

/* Find the cgroup2 mount (mountinfo, never assumed), choose the place (the delegated subtree when we run in one: xattr
 * user.delegate or trusted.delegate is "1"; then we first move ourselves to its leaf "supervisor"; else the top), make
 * shoal/PROJECT there, switch on every controller that can be, write run_dir into the xattr trusted.shoal.run of PROJECT.
 * Containers that a crashed supervisor left below PROJECT are killed (cgroup.kill) and removed: waits for that, at most 10 s.
 * on_leftover (may be NULL): told the name of each such directory.
 * Returns 0, -ENOENT no cgroup2 mount, -EROFS, -EPERM, -ETIMEDOUT a leftover does not die. */
int cgroup_root_open(struct cgroup_root **out, uv_loop_t *loop, const char *project, const char *run_dir,
                     void (*on_leftover)(void *data, const char *name), void *data, shoal_error_t *err);

bool cgroup_root_has(const struct cgroup_root *root, enum cgroup_controller controller);
/* Why a controller is not there, for a person: "memory: in use by cgroup v1", "not in cgroup.controllers of ...". */
const char *cgroup_root_why_not(const struct cgroup_root *root, enum cgroup_controller controller);
const char *cgroup_controller_words(enum cgroup_controller controller); /* "the memory controller" */
/* The controller that carries out a limit. */
enum cgroup_controller cgroup_limit_controller(shoal_limit_kind_t kind);
enum cgroup_controller cgroup_named_controller(shoal_named_kind_t kind);
/* Somebody has a limit of it. hugetlb, rdma and misc cost every sandbox something and few ask for them: they are switched on
 * here, in groups that are there already too. Beside the first sandboxes that is nothing; of a thousand that run it takes 20 ms,
 * once, in which the kernel holds up every other change of cgroups as well. Returns cgroup_root_has(). */
bool cgroup_root_use(struct cgroup_root *root, enum cgroup_controller controller);
/* Whether a weight of the device comes to anything: the kernel heeds it with io.cost switched on for the device, or with bfq as
 * its scheduler. name: its path or numbers; NULL: of some device. Also true where nothing tells. 0, or -ENOTSUP. */
int cgroup_check_weight(const struct cgroup_root *root, const char *name, shoal_error_t *err);
/* The CPUs and nodes of memory that sandboxes may have: "0-3". "" where nothing tells. */
void cgroup_read_cpuset(const struct cgroup_root *root, const char *file, char *out, size_t room);
bool cgroup_list_holds(const char *outer, const char *inner); /* of "0-2,4": everything of inner is in outer */
/* The directory of PROJECT, absolute. */
const char *cgroup_root_path(const struct cgroup_root *root);

/* Look at the hierarchy without making, moving or switching anything: controllers and room alone may be asked of it, and
 * cgroup_root_free() ends it. Returns 0, -ENOENT no cgroup2 mount, -ENOMEM. */
int cgroup_root_look(struct cgroup_root **out, shoal_error_t *err);
void cgroup_root_free(struct cgroup_root *root);

/* The tightest limit on the way from the place of shoal/ up to the mount: of each the pair with the least left.
 * SHOAL_ABSENT: none, or no such controller. */
struct cgroup_room {
    uint64_t pids, pids_max;               /* pids.current, pids.max */
    uint64_t memory, memory_max;           /* memory.current, memory.max */
    uint64_t descendants, descendants_max; /* cgroup.stat, cgroup.max.descendants */
};
void cgroup_read_room(const struct cgroup_root *root, struct cgroup_room *out);
unsigned cgroup_root_watches(const struct cgroup_root *root); /* inotify watches in use */

/* Stop watching, rmdir PROJECT and, when empty, shoal. All cgroups were removed before. cb: once, from the loop. */
void cgroup_root_close(struct cgroup_root *root, void (*cb)(void *data), void *data);

/* What inotify said, after the files were read again. A count is the kernel's counter and only ever grows; 0 where there is none. */
enum cgroup_event {
    CGROUP_EVENT_EMPTY,
    CGROUP_EVENT_FROZEN, /* every task of it has stopped */
    CGROUP_EVENT_THAWED,
    CGROUP_EVENT_OOM_KILL,
    /* A limit of the directory itself was hit: told at once, and again at most once a second. */
    CGROUP_EVENT_MEMORY_LOW,  /* its memory was taken though it used less than memory.low */
    CGROUP_EVENT_MEMORY_HIGH, /* its tasks were slowed down */
    CGROUP_EVENT_MEMORY_MAX,
    CGROUP_EVENT_MEMORY_OOM, /* memory.max could not be kept to, and the kernel killed nobody */
    CGROUP_EVENT_PIDS_MAX
};
typedef void (*cgroup_event_cb)(void *data, enum cgroup_event event, uint64_t count);
/* The file of the limit that an event is about, and the counter's name in its events file. NULL: about none. */
const char *cgroup_event_limit(enum cgroup_event event, const char **out_counter);
void cgroup_tell_hits(struct cgroup *cgroup); /* what was not told yet: its run is over */

/* The same of the memory limits of groups and of the project ("/"), from when a container is in them. */
typedef void (*cgroup_group_event_cb)(void *data, const char *group, enum cgroup_event event, uint64_t count);
void cgroup_watch_groups(struct cgroup_root *root, cgroup_group_event_cb cb, void *data);
void cgroup_tell_group_hits(struct cgroup_root *root); /* what was not told yet */

/* Limits as the kernel takes them: files and values, made once for all directories that get the same. Never changed once they
 * are made; references are counted, on one thread. */
struct cgroup_limits;
struct cgroup_limit_defaults {
    int64_t pids; /* pids.max where nothing else is said; -1 unlimited */
    bool oom_group;
};
/* Which of the limits cannot be made. */
struct cgroup_culprit {
    const char *key;
    const shoal_position_t *at;
};
/* Of a service's, a group's or a project's limits, those whose controllers are there and in use. defaults: NULL none. What has a
 * name of this host's (devices, sizes of huge pages, ...) is looked up. Returns 0 and *out, a reference; -ENOENT, -ENOTBLK, ...
 * a name that is none, and *out_culprit (may be NULL) is whose. */
int cgroup_limits_new(struct cgroup_limits **out, const struct cgroup_root *root, const shoal_limits_t *limits,
                      const struct cgroup_limit_defaults *defaults, struct cgroup_culprit *out_culprit,
                      shoal_error_t *err);
struct cgroup_limits *cgroup_limits_ref(struct cgroup_limits *limits);
void cgroup_limits_unref(struct cgroup_limits *limits);
/* Write all of them into the directory dir_fd and read each back: a value that the kernel changed beyond its own rounding is an
 * error that names file, wanted and got. limits: NULL none. */
int cgroup_limits_write(const struct cgroup_limits *limits, int dir_fd, shoal_error_t *err);

/* Make PROJECT/name, write all limits into it but the late ones, and watch cgroup.events, memory.events, pids.events.
 * limits: NULL none; a reference is kept.
 * Returns 0; -EEXIST, -ENOSPC, -EINVAL, ...: nothing is left behind. err names file and value. */
int cgroup_create(struct cgroup_root *root, const char *name, struct cgroup_limits *limits, cgroup_event_cb cb,
                  void *data, struct cgroup **out, shoal_error_t *err);
/* A directory around those of containers, which are then named PATH/name: PROJECT/path is made, its controllers switched on for
 * what comes into it and all of limits written. Nothing of it is watched, but its counters can be read. It goes with the root;
 * parents are made before. Returns 0; -EEXIST, ...: nothing is left behind. */
int cgroup_make_group(struct cgroup_root *root, const char *path, struct cgroup_limits *limits, struct cgroup **out,
                      shoal_error_t *err);
void cgroup_free_group(struct cgroup *group);
/* The same of PROJECT itself: its counters, and its limits. */
int cgroup_limit_project(struct cgroup_root *root, struct cgroup_limits *limits, struct cgroup **out,
                         shoal_error_t *err);

/* Which devices may be used, decided by a program of kernel/devices.h, which the caller may close then: it goes with the
 * directory. Of PROJECT: for all that have none of their own. may_set_devices() asks whether the cgroups above allow that, and
 * attaches nothing. Returns 0; -EPERM: err names the cgroup that does not; ... */
int cgroup_root_may_set_devices(const struct cgroup_root *root, shoal_error_t *err);
int cgroup_root_set_devices(struct cgroup_root *root, int program_fd, shoal_error_t *err);
int cgroup_set_devices(struct cgroup *cgroup, int program_fd, shoal_error_t *err); /* before cgroup_close_fd() */

/* The child in it is about to be let go: memory.max, and what else differs from what cgroup_create() was given. A child that
 * shares its parent's memory until execve is in the cgroup from its birth: were memory.max hit before, the kernel would kill
 * whoever shares that memory (oom_kill.c, __oom_kill_process), and that is us. Before cgroup_close_fd(). */
int cgroup_let_go(struct cgroup *cgroup, struct cgroup_limits *limits, shoal_error_t *err);

/* What differs between two sets; either may be NULL. Texts belong to the sets. Returns how many; out: NULL, or room for all. */
struct cgroup_change {
    char name[96]; /* the file, and what in it: "io.max 8:0" */
    const char *from, *to;
};
size_t cgroup_limits_compare(const struct cgroup_limits *from, const struct cgroup_limits *to,
                             struct cgroup_change *out);
/* Write what differs into a directory in use, read back; on failure the old values again. Nobody is killed to make room: -EBUSY
 * where memory.max would be below what cannot be reclaimed. May take long: for a worker thread. -ENODEV, -ENOENT: it is gone. */
int cgroup_limits_change(const struct cgroup_limits *from, const struct cgroup_limits *to, int dir_fd,
                         shoal_error_t *err);
struct cgroup_limits *cgroup_get_limits(const struct cgroup *cgroup);        /* in force; borrowed */
void cgroup_set_limits(struct cgroup *cgroup, struct cgroup_limits *limits); /* are in force now: a reference is kept */
uint64_t cgroup_serial(const struct cgroup *cgroup); /* no other of the same root has it; 0 before cgroup_let_go() */
int cgroup_open(const struct cgroup *cgroup);        /* a descriptor of its directory, the caller's; -1 and errno */

int cgroup_fd(const struct cgroup *cgroup);  /* directory descriptor for CLONE_INTO_CGROUP; borrowed */
void cgroup_close_fd(struct cgroup *cgroup); /* the first process is in it: nobody needs that descriptor any more */
int cgroup_kill(struct cgroup *cgroup, shoal_error_t *err); /* cgroup.kill: every process in it and below */
bool cgroup_is_empty(const struct cgroup *cgroup);          /* cgroup.events says populated 0 */
/* cgroup.freeze. That it is so is told by CGROUP_EVENT_FROZEN or CGROUP_EVENT_THAWED, whoever wrote it. What is frozen can be
 * killed, and takes other signals when it is thawed. Source: cgroup-v2.rst */
int cgroup_freeze(struct cgroup *cgroup, bool freeze, shoal_error_t *err);
bool cgroup_is_frozen(const struct cgroup *cgroup); /* as last told */

/* A round of samples begins: the project's own counters are read, which are the sums of its containers'. What has not changed
 * there since the round before has not changed in any of them, and is not read again until the next round. */
void cgroup_root_begin_round(struct cgroup_root *root);

/* Read counters: cpu, memory, pids, io, pressure. Files that are not there leave SHOAL_ABSENT. The last one of a run takes
 * nothing from the round before. */
void cgroup_read_sample(struct cgroup *cgroup, shoal_sample_t *out);
void cgroup_read_last_sample(struct cgroup *cgroup, shoal_sample_t *out);

uint64_t cgroup_read_usage_usec(const struct cgroup *cgroup); /* CPU time alone; SHOAL_ABSENT */

/* Whose memory.max the kernel ran into when it last killed in cgroup: that of the cgroup itself, of a cgroup between it and
 * the project's, of the project's, or one further up, up to the machine's own memory. */
enum cgroup_level { CGROUP_LEVEL_OWN, CGROUP_LEVEL_GROUP, CGROUP_LEVEL_PROJECT, CGROUP_LEVEL_HOST };
struct cgroup_oom {
    enum cgroup_level level;
    char path[256];                   /* of that cgroup, from the mount on, the end of a longer one; "" the machine */
    uint64_t limit_bytes, peak_bytes; /* its memory.max and memory.peak; SHOAL_ABSENT */
    bool all;                         /* the kernel killed everything in it, memory.oom.group */
};
/* To be asked when CGROUP_EVENT_OOM_KILL tells of a kill: a limit further up counts when it was hit within the second before. */
void cgroup_find_oom(struct cgroup *cgroup, struct cgroup_oom *out);

/* A file of it, or of the project, opened with flags beside O_CLOEXEC: "cpu.pressure" for a trigger, "memory.reclaim". */
int cgroup_open_file(const struct cgroup *cgroup, const char *file, int flags, shoal_error_t *err);
int cgroup_root_open_file(const struct cgroup_root *root, const char *file, int flags, shoal_error_t *err);
uint64_t cgroup_root_read_number(const struct cgroup_root *root, const char *file); /* SHOAL_ABSENT */
uint64_t cgroup_read_number(const struct cgroup *cgroup, const char *file);

/* Stop watching, kill what is left in it, rmdir it (with directories made below it from inside) as soon as it is empty, and
 * free it. cb: once, from the loop, never from inside the call; status 0 or -errno when the kernel would not let go of it. */
void cgroup_remove(struct cgroup *cgroup, void (*cb)(void *data, int status), void *data);

#endif
