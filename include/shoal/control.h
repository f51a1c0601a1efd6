/* Requests about what runs: start, stop, kill, restart, pause, unpause. The words and their order of events are Docker's. */
#ifndef SHOAL_CONTROL_H
#define SHOAL_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "supervisor.h"

typedef enum shoal_action {
    /** Start what is stopped, has ended or waits in its backoff. It waits for what its service depends on, as the first start
     *  does.  Events: start. */
    SHOAL_ACTION_START,
    /** Stop signal, grace, kill; whatever is paused is thawed. What was stopped stays so under any restart policy, until it is
     *  started or restarted; the fleet is kept up meanwhile. A start under way is cancelled; what waits for its start or in
     *  its backoff waits no more.  Events: kill, unpause where it was paused, kill again after the grace, die, stop; of what
     *  waited in its backoff stop alone. */
    SHOAL_ACTION_STOP,
    /** Send a signal. SIGKILL ends the whole sandbox, also one that is paused or about to start. After SIGKILL and after the
     *  service's own stop signal it stays ended, as after a stop. Any other waits until a start under way is over, and of what
     *  is paused until it is thawed.  Events: kill; die. */
    SHOAL_ACTION_KILL,
    /** Stop what runs, then start it anew, with the same id and addresses; the restart policy begins anew. What depends on it is
     *  not touched.  Events: those of stop and start, then restart. */
    SHOAL_ACTION_RESTART,
    /** Freeze every task of what runs; what is being started is frozen as soon as it runs.  Events: pause. */
    SHOAL_ACTION_PAUSE,
    /** Thaw it; what a rule of x-shoal.pressure has frozen, when that is over.  Events: unpause. */
    SHOAL_ACTION_UNPAUSE,
    SHOAL_ACTION_COUNT
} shoal_action_t;

/** "start", "stop", "kill", "restart", "pause", "unpause". */
SHOAL_API const char *shoal_action_name(shoal_action_t action);

typedef enum shoal_target_kind {
    SHOAL_TARGET_CONTAINER, /* by its name or its whole id */
    SHOAL_TARGET_SERVICE,
    SHOAL_TARGET_GROUP, /* by its path, with all that lies in it */
    SHOAL_TARGET_ALL    /* of the fleet */
} shoal_target_kind_t;

typedef struct shoal_control {
    shoal_action_t action;
    shoal_target_kind_t kind;
    const char *name; /* of the target; borrowed for the call */
    int signal;       /* KILL: 0 is SIGKILL; STOP, RESTART: 0 is the service's own */
    int64_t grace_ms; /* STOP, RESTART: negative is the service's own */
} shoal_control_t;

/** What came of it. The first four add up to count. */
typedef struct shoal_outcome {
    size_t done;       /* are as asked now: run, have ended, are frozen; were sent the signal */
    size_t unchanged;  /* were so before */
    size_t refused;    /* a state in which this cannot be asked: as Docker's answer 409 */
    size_t failed;     /* could not, or another request or an end came between */
    size_t count;      /* containers of the target */
    const char *error; /* about the first that was refused or failed; NULL none. Valid during the call only */
} shoal_outcome_t;

/** Once, from the loop, when all of the target is as asked or cannot be. */
typedef void (*shoal_control_cb)(shoal_supervisor_t *s, void *data, const shoal_outcome_t *outcome);

/** Ask for something. Large targets are walked in slices that keep the loop free. A request overtakes what was asked before of
 *  the same container and contradicts it: a pause under way ends with an unpause, a stop or a restart.
 *  control: borrowed for the call.  cb: may be NULL; it comes before the supervisor's end in any case.
 *  Returns 0 under way; -ENOENT no such container or service, or it is not part of this start; -EINVAL the fleet is not up, or
 *  no such signal; -ENOMEM.  Source: cgroup-v2.rst (cgroup.freeze, cgroup.kill), Docker Engine API "Container". */
SHOAL_API int shoal_supervisor_control(shoal_supervisor_t *s, const shoal_control_t *control, shoal_control_cb cb,
                                       void *data, shoal_error_t *err);

#endif
