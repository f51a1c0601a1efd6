/* The supervisor: brings a fleet up on the caller's loop, keeps it up, takes it down. */
#ifndef SHOAL_SUPERVISOR_H
#define SHOAL_SUPERVISOR_H

#include <uv.h>

#include "error.h"
#include "event.h"
#include "sample.h"
#include "spec.h"

typedef struct shoal_supervisor shoal_supervisor_t;

typedef struct shoal_supervisor_options {
    const char *root_dir; /* layers, logs, volumes; NULL: /var/lib/shoal */
    const char *run_dir;  /* state; NULL: /run/shoal */
    uint64_t descriptors; /* soft RLIMIT_NOFILE of the sandboxes; 0: this process's own */
    void *data;           /* handed to the callbacks below */
    /** One line for the person, without a newline: a warning, or an error that is no event. May be NULL. */
    void (*on_message)(void *data, shoal_severity_t severity, const char *text);
    /** The containers' output, as read; not NUL-terminated. May be NULL. stream: 1 stdout, 2 stderr. */
    void (*on_output)(void *data, const char *container, int stream, const char *bytes, size_t count);
} shoal_supervisor_options_t;

/** A subscriber: each function may be NULL; all are called on the loop's thread and must not block.
 *  The caller owns the struct; it stays in place until unsubscribed or the supervisor is closed. */
typedef struct shoal_subscriber {
    void *data;
    void (*on_event)(void *data, const shoal_event_t *event);
    void (*on_sample)(void *data,
                      const shoal_sample_t *sample); /* in a round, and once, `final`, before each DIE of a run */
    void (*on_group)(void *data,
                     const shoal_sample_t *sample); /* in a round, of each group; "/": the project's budget */
    void (*on_fleet)(void *data, const shoal_fleet_sample_t *sample); /* once behind the samples of a round */
    void (*on_host)(void *data, const shoal_host_sample_t *sample); /* behind on_fleet: limits, what is used of them */
    struct shoal_subscriber *next;                                  /* ours */
} shoal_subscriber_t;

/** Give the calling process a mount namespace of its own, so that no mount of a sandbox is ever seen outside and none
 *  slows a later start. For programs that are theirs to shape: call it before any thread is started.
 *  Returns 0, -EPERM. Source: mount_namespaces(7). */
SHOAL_API int shoal_process_isolate(shoal_error_t *err);

/** Raise the soft RLIMIT_NOFILE of the calling process to the hard one: an idle sandbox takes up to four descriptors. For
 *  programs that are theirs to shape.  Returns what it was, for shoal_supervisor_options.descriptors, so that no sandbox
 *  inherits it. */
SHOAL_API uint64_t shoal_process_raise_descriptors(void);

/** Make a supervisor for spec on loop. Checks the host against the spec, takes the project's lock, clears away what a
 *  crashed supervisor left. Blocks for as long as that takes: nothing runs yet.
 *  spec: borrowed, outlives the supervisor.  Returns 0 and *out (end it with shoal_supervisor_close),
 *  -EBUSY the project runs already, -ENOTSUP the host lacks what the spec needs, -EINVAL a service has no command
 *  (on_message said which), -EPERM, -ENOMEM. */
SHOAL_API int shoal_supervisor_open(shoal_supervisor_t **out, uv_loop_t *loop, const shoal_spec_t *spec,
                                    const shoal_supervisor_options_t *options, shoal_error_t *err);

SHOAL_API void shoal_supervisor_subscribe(shoal_supervisor_t *s, shoal_subscriber_t *subscriber);
SHOAL_API void shoal_supervisor_unsubscribe(shoal_supervisor_t *s, shoal_subscriber_t *subscriber);

/** Called once when every container has ended for good, or after shoal_supervisor_stop() has taken all down.
 *  status: 0, or a negative errno when the fleet could not be brought up (the messages said why). */
typedef void (*shoal_done_cb)(shoal_supervisor_t *s, void *data, int status);

/** Bring the fleet up: networks first, then services in the order of their dependencies. Returns at once.
 *  services: names to start (with what they depend on), NULL for all.  -EINVAL unknown service or started before. */
SHOAL_API int shoal_supervisor_start(shoal_supervisor_t *s, const char *const *services, shoal_done_cb cb, void *data,
                                     shoal_error_t *err);

/** Take the fleet down in reverse order: stop signal, grace, kill. A second call with at_once kills without grace. */
SHOAL_API void shoal_supervisor_stop(shoal_supervisor_t *s, int at_once);

/** What a reload came to. */
typedef struct shoal_reload {
    size_t changed; /* running containers whose limits were changed: each gave an UPDATE */
    size_t groups;  /* groups, and the project for its budget: the same */
    size_t failed;  /* running containers and groups that keep what they had; on_message said which and why */
} shoal_reload_t;
typedef void (*shoal_reload_cb)(shoal_supervisor_t *s, void *data, const shoal_reload_t *outcome);

/** Change the limits of a fleet that runs, without a restart: what differs between spec and what is in force is written to the
 *  cgroups of groups and containers and read back. Those that do not run get it at their next start.
 *  spec: borrowed until the next reload that returns 0, or the end of the supervisor. It names the same services and differs in
 *  limits alone.  cb: once, from the loop, when all have been asked; may be NULL.
 *  Returns 0 under way; nothing is changed: -ENOTSUP something else differs or the host lacks what it needs (on_message
 *  said what and where), -EINVAL the fleet is not up, -EALREADY another one is under way, -ENOMEM. */
SHOAL_API int shoal_supervisor_reload(shoal_supervisor_t *s, const shoal_spec_t *spec, shoal_reload_cb cb, void *data,
                                      shoal_error_t *err);

/** Read every container's counters in slices that keep the loop free and hand them to the subscribers' on_sample,
 *  then on_fleet. Every subscriber hears every round, whoever asked for it: another subscriber, or the supervisor itself
 *  while it looks for who makes the host wait. -EALREADY while the previous round is under way, or
 *  after shoal_supervisor_close(). */
SHOAL_API int shoal_supervisor_sample(shoal_supervisor_t *s);

/** The exit code of service's last death; -ENOENT no such service, -EAGAIN none has died. */
SHOAL_API int shoal_supervisor_exit_code(const shoal_supervisor_t *s, const char *service, int *out_code);

/** End it. What still runs is killed at once. cb: once, on the loop; after it nothing of the supervisor is left. */
SHOAL_API void shoal_supervisor_close(shoal_supervisor_t *s, void (*cb)(void *data), void *data);

SHOAL_API const char *shoal_version(void);

#endif
