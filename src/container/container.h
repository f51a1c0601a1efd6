/* container: one sandbox, from a record to a running process and back. It knows the stages of a launch, what a sandbox is
 * made of, its output and its end. It does not know policies, dependencies or other containers: the supervisor does.
 * It owns its process (pidfd), cgroup, endpoints, directory on disk and log, releases them in reverse order, and reports
 * through struct container_owner, always from the loop and never from inside the call that asked. */
#ifndef CONTAINER_CONTAINER_H
#define CONTAINER_CONTAINER_H

#include <stdbool.h>
#include <uv.h>

#include "cgroup/cgroup.h"
#include "image/image.h"
#include "net/net.h"
#include "shoal/event.h"
#include "shoal/spec.h"

enum { CONTAINER_IDS = 65536, CONTAINER_ID_TEXT = 65 };

/* In the words of DESIGN; container_set_state() is the one place that changes it. */
enum container_state {
    CONTAINER_CREATED,
    CONTAINER_STARTING,
    CONTAINER_RUNNING,
    CONTAINER_PAUSED, /* frozen */
    CONTAINER_STOPPING,
    CONTAINER_EXITED,
    CONTAINER_BACKOFF,
    CONTAINER_REMOVED,
    CONTAINER_STATE_COUNT
};
const char *container_state_name(enum container_state state);

struct container;

/* What the containers of one supervisor share. Made by sandbox_kit_open(), outlives all of them. */
struct sandbox_kit;

struct sandbox_kit_options {
    uv_loop_t *loop;
    const char *state_dir; /* RUN/PROJECT, absolute: the /dev template is mounted below it */
    unsigned starts_in_flight;
    uint64_t descriptors; /* soft RLIMIT_NOFILE where the service says nothing; 0: inherited */
    bool no_pressure;     /* rules of x-shoal.pressure are not carried out */
    bool guard; /* sandboxes share a limit on memory, in whose cgroup a child also is before execve: the kernel must
                             not choose it, since it shares our memory */
    bool no_device_lists; /* nobody's devices are restricted by a program: this host takes none */
};
/* Make what every sandbox gets: the /dev template, shoal-init, low descriptor slots, texts of the host. Waits. *out is set also
 * on failure, unless that is -ENOMEM for itself: it has to be closed. */
int sandbox_kit_open(struct sandbox_kit **out, const struct sandbox_kit_options *options, shoal_error_t *err);
/* The process has oom_score_adj -1000 now, until the kit is closed: asked for, and the kernel took it. */
bool sandbox_kit_is_guarded(const struct sandbox_kit *kit);
/* Prepare what a service needs beside that: its system call filter costs milliseconds, once for each capability set; its
 * devices' program. Waits. */
int sandbox_kit_add(struct sandbox_kit *kit, const shoal_service_t *service, shoal_error_t *err);
/* Look for a service's devices on this host. Waits. Returns 0; -ENOENT, -ENODEV no device, -EBUSY a place that is the sandbox's
 * own, ...: *out_index is which of its devices. */
int sandbox_find_devices(const shoal_service_t *service, size_t *out_index, shoal_error_t *err);
/* Every container is closed. cb: once, from the loop. */
void sandbox_kit_close(struct sandbox_kit *kit, void (*cb)(void *data), void *data);

/* Who is told. All texts in the event but seq, time and project are filled by the container. */
struct container_owner {
    void *data;
    /* A transition, or something the kernel said (OOM, LIMIT). For a DIE the owner fills restart and delay_usec. */
    void (*on_event)(void *data, struct container *c, shoal_event_t *event);
    /* A preparation is as far as it goes: start is one wake-up now. Not called when it came to nothing: on_settled is. */
    void (*on_parked)(void *data, struct container *c);
    /* The first process of a run has ended, its DIE follows: this is what it used. May be NULL. */
    void (*on_ended)(void *data, struct container *c, const shoal_sample_t *final);
    /* It has ended, or failed to start or to be prepared, and nothing of that run is left but its directory, log and
     * addresses: it may be started again or closed. */
    void (*on_settled)(void *data, struct container *c);
    /* A rule of its service says restart: the owner's business. May be NULL. */
    void (*on_restart_wanted)(void *data, struct container *c);
    void (*on_output)(void *data, struct container *c, int stream, const char *bytes, size_t count); /* may be NULL */
    void (*on_warning)(void *data, const char *text);
    void (*on_made_ahead)(void *data); /* what container_make_ahead() began is over, well or not */
};

struct container_options {
    uv_loop_t *loop;
    struct sandbox_kit *kit;
    const struct container_owner *owner;
    const shoal_spec_t *spec;
    const shoal_service_t *service;
    const char *name;     /* PROJECT-SERVICE-N, or container_name */
    uint32_t first_id;    /* of its id range on the host */
    const char *root_dir; /* ROOT: containers, logs, volumes */
    const struct image *image;
    struct cgroup_root *cgroups;
    struct cgroup_limits *limits;  /* a reference is kept */
    const struct image_disk *disk; /* NULL: its writable layer has no bounds; else copied */
    struct net *net;               /* NULL where no service uses a bridge */
    struct net_stock *stock;       /* NULL: every start makes its own network namespace */
    void *data;                    /* the owner's own pointer, container_get_data() */
    const char *hosts_path;        /* file that is /etc/hosts inside; NULL with network_mode host */
};

/* Make the record: name, id, addresses. Publishes CREATE and one CONNECT per network. */
int container_open(struct container **out, const struct container_options *options, shoal_error_t *err);

/* Let a worker make its directory before it is asked to start, which then need not wait for the disk. What fails is tried again
 * by the start, which says so. Returns whether a worker is at it: not of one that has a directory, has been started, or
 * binds what may not be there yet. */
bool container_make_ahead(struct container *c);

/* Begin a start. attempt: 0 for the first, n for the n-th start again. The outcome is an event: START, or DIE with
 * SHOAL_CAUSE_FAILED and on_settled. -EINVAL unless created, exited or in backoff, and settled. */
int container_start(struct container *c, unsigned attempt, shoal_error_t *err);

/* Go all the way to just before execve and wait there for container_start(). No event, no change of state. The outcome is
 * on_parked or on_settled, also later: a parked process can be killed. Errors as container_start. */
int container_prepare(struct container *c, shoal_error_t *err);
bool container_is_prepared(const struct container *c); /* or on the way there: container_start() goes on from it */

/* Ask it to end: stop signal, then a kill when the grace is over, at once where nothing listens to the signal. In a start that
 * is under way: cancel it. Publishes KILL; DIE and STOP follow; a prepared one is given up. Harmless when it does not run. */
void container_stop(struct container *c, int signal, uint64_t grace_ms);
void container_kill(struct container *c); /* at once */
/* Kill it, for a reason that its DIE gives as the cause: a limit of ours. Publishes KILL unless it is stopping already. */
void container_end(struct container *c, shoal_cause_t cause);
/* For a PRESSURE by a rule. scope is borrowed. */
shoal_stall_t container_describe_stall(const char *scope, const shoal_pressure_rule_t *rule);
uint64_t container_ttl_left_usec(const struct container *c); /* UINT64_MAX: it has no ttl, or was never started */

/* Send a signal to what runs. SIGKILL reaches all of it and is its end. Publishes KILL; DIE follows, no STOP.
 * Returns 0; -EINVAL it does not run; else what the kernel said. */
int container_signal(struct container *c, int signal, shoal_error_t *err);

/* Freeze it, thaw it: every task of it stops where it is. The outcome is an event, PAUSE or UNPAUSE, when the kernel says so; one
 * that ends before it is paused gives a DIE alone, and a pause that is taken back before it has come nothing. Somebody else's
 * hand on cgroup.freeze is told of in the same way. A stop thaws it first, a
 * kill reaches it as it is. A rule of x-shoal.pressure can want it frozen beside that: it is thawed when neither does any more.
 * container_pause() returns 1 under way, or now frozen for that reason too; 0 paused before; container_unpause() 0 under way, or
 * to be thawed when the rule's time is over; both -EINVAL not running or not paused; else what the kernel said. */
int container_pause(struct container *c, shoal_error_t *err);
int container_unpause(struct container *c, shoal_error_t *err);
int container_thaw(struct container *c, shoal_error_t *err); /* whoever wants it frozen: it has a signal to take */
bool container_is_paused(const struct container *c);
uint64_t container_paused_usec(const struct container *c); /* of this run, up to now */

/* exited to backoff, for the owner that decided so. Publishes BACKOFF. */
void container_end_backoff(struct container *c); /* back to exited, for good or until it is asked for. Publishes STOP */
void container_set_backoff(struct container *c, uint64_t delay_usec, unsigned attempt);

/* What its next start gets, and one that is on its way to execve. A reference is kept. */
void container_set_limits(struct container *c, struct cgroup_limits *limits);
/* Of a run that is past the point up to which container_set_limits() reaches it; NULL otherwise. Borrowed. */
struct cgroup *container_cgroup_in_use(const struct container *c);
/* The bounds of its writable layer. Set: at the latest when it is made, these are in force. Get: false while there are none;
 * dir is where, borrowed. */
void container_set_disk(struct container *c, const struct image_disk *disk);
bool container_get_disk(const struct container *c, struct image_disk *out, const char **out_dir);
void container_set_disk_use(struct container *c, const struct image_disk_use *use); /* for its samples */
/* Publish UPDATE. */
void container_tell_update(struct container *c, const shoal_change_t *changes, size_t count);

const char *container_name(const struct container *c);
const char *container_id(const struct container *c);
const shoal_service_t *container_service(const struct container *c);
enum container_state container_get_state(const struct container *c);
bool container_is_settled(const struct container *c);
uint32_t container_address(const struct container *c, size_t network); /* 0: not on that network of the spec */
void *container_get_data(const struct container *c);

/* Read its counters; those of its links are what net_read_stats() found last. Texts in *out are c's. */
void container_sample(struct container *c, shoal_sample_t *out);

/* The same of its links alone, in the order of shoal_sample_t.net. Returns false where it does not run or none was read. */
bool container_read_links(const struct container *c, uint64_t out[6]);

/* Give up everything: addresses, directory (by a worker), the record. Publishes DISCONNECT and DESTROY, then cb, in which c is
 * gone. c must be settled. */
void container_close(struct container *c, void (*cb)(void *data), void *data);

#endif
