/* What happens: one struct per event, published once, to every subscriber. Docker's event names. */
#ifndef SHOAL_EVENT_H
#define SHOAL_EVENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "sample.h"

typedef enum shoal_event_kind {
    SHOAL_EVENT_CREATE,  /* the container exists as a record: name, id */
    SHOAL_EVENT_START,   /* execve worked */
    SHOAL_EVENT_DIE,     /* its first process has ended, or could not be started */
    SHOAL_EVENT_OOM,     /* the kernel killed in it for lack of memory: all of it, or (partial) a process */
    SHOAL_EVENT_KILL,    /* we sent it a signal */
    SHOAL_EVENT_STOP,    /* it has ended because we asked */
    SHOAL_EVENT_PAUSE,   /* every task of it is frozen */
    SHOAL_EVENT_UNPAUSE, /* its tasks run again */
    SHOAL_EVENT_RESTART, /* it runs again because we were asked for it; behind its START */
    SHOAL_EVENT_BACKOFF, /* it waits for its next start */
    SHOAL_EVENT_UPDATE,  /* its limits were changed while it ran */
    SHOAL_EVENT_LIMIT,   /* a limit on its tasks or its memory was hit; of a group too. At most one a second and kind */
    SHOAL_EVENT_DESTROY, /* nothing of it is left */
    SHOAL_EVENT_NETWORK_CONNECT,
    SHOAL_EVENT_NETWORK_DISCONNECT,
    SHOAL_EVENT_THROTTLE, /* of the fleet, no container's: starts were slowed down, or go freely again */
    SHOAL_EVENT_POOL,     /* of the fleet: network namespaces cannot be made ahead for now, or can again */
    SHOAL_EVENT_PRESSURE, /* the host is short of something, and these containers use most of it. Of no one container */
    SHOAL_EVENT_COUNT
} shoal_event_kind_t;

/** Why a container died. INTERFACE: "cause". */
typedef enum shoal_cause {
    SHOAL_CAUSE_EXIT,         /* ended by itself with exit_code */
    SHOAL_CAUSE_SIGNAL,       /* killed by a signal that was not ours */
    SHOAL_CAUSE_OOM,          /* killed by the kernel for memory */
    SHOAL_CAUSE_STOP,         /* ended within its grace after we asked */
    SHOAL_CAUSE_STOP_TIMEOUT, /* did not end within its grace: killed by us */
    SHOAL_CAUSE_TIMEOUT,      /* ran too long (x-shoal.limits.wall): killed by us, as those that follow */
    SHOAL_CAUSE_CPU_TIME,     /* limits.cpu */
    SHOAL_CAUSE_IDLE,         /* limits.idle */
    SHOAL_CAUSE_TTL,          /* limits.ttl: for good */
    SHOAL_CAUSE_OUTPUT,       /* limits.output */
    SHOAL_CAUSE_PRESSURE,     /* a rule of x-shoal.pressure says kill */
    SHOAL_CAUSE_FAILED,       /* never ran: `error` says why */
    SHOAL_CAUSE_LOST          /* ended while nobody watched */
} shoal_cause_t;

/** What a rule of x-shoal.pressure was told by the kernel. */
typedef struct shoal_stall {
    const char *scope;                /* "container", "fleet", "host" */
    const char *share;                /* "some", "full" of its tasks waited ... */
    uint64_t stall_usec, window_usec; /* ... for so long within that */
    const char *action;               /* what follows: "event", "freeze", "restart", "kill", "shrink" */
} shoal_stall_t;

/** One likely culprit of a PRESSURE. */
typedef struct shoal_culprit {
    const char *service, *container;
    double share;      /* of what the fleet used, 0..1 */
    const char *basis; /* what the share is of: "usage", "growth", "stall" */
    const char *limit; /* what in the fleet file would have prevented it: "cpus: 1.5" */
} shoal_culprit_t;

/** What is known of a kill for lack of memory. */
typedef struct shoal_oom {
    const char *level;                /* whose limit was hit: "own", "group", "project", "host" */
    const char *cgroup;               /* its directory below the cgroup2 mount; "" the machine's own memory */
    uint64_t limit_bytes, peak_bytes; /* memory.max and memory.peak there; SHOAL_ABSENT */
    pid_t victim_pid;                 /* whom the kernel chose, in its initial pid namespace; 0: its log does not say */
    const char *victim_comm;          /* NULL: likewise */
    int partial;                      /* 1: the first process was not killed, the sandbox lives on */
} shoal_oom_t;

/** The death certificate: what was known of a run when it ended. */
typedef struct shoal_death {
    const char *why;        /* one sentence for a person */
    const char *by;         /* who ended it, where that is certain: "supervisor", "kernel", "host", "self"; else NULL */
    const shoal_oom_t *oom; /* SHOAL_CAUSE_OOM; else NULL */
    const shoal_sample_t *sample; /* its last counters, those of its links among them */
    const char *output;           /* the end of what it printed, at most ten lines; not NUL-terminated */
    size_t output_count;
} shoal_death_t;

/** One limit of an UPDATE, as the kernel takes it. */
typedef struct shoal_change {
    const char *name; /* the cgroup's file, and what in it: "memory.max", "io.max 8:0"; "disk.max", "disk.inodes_max" */
    const char *from, *to; /* "max" where there is no limit */
} shoal_change_t;

typedef struct shoal_event {
    uint64_t seq;       /* grows by one; never repeats within a run directory */
    uint64_t time_usec; /* since the epoch, UTC */
    shoal_event_kind_t kind;
    /* The container, NULL where it is of none; all texts are valid during the call only. */
    const char *project, *service, *container, *id;
    const char
        *group; /* the container's, its path; NULL none. LIMIT without a container: whose it is; "/" the project */
    pid_t pid;  /* its first process, in the supervisor's pid namespace; 0 none */
    uint64_t took_usec; /* START: from the decision to execve */
    /* DIE, STOP */
    int exit_code; /* 128+n when signal n ended it */
    int signal;    /* KILL too */
    shoal_cause_t cause;
    uint64_t wall_usec;         /* how long it ran */
    uint64_t usage_usec;        /* CPU time of the whole sandbox; SHOAL_ABSENT unknown */
    uint64_t peak_bytes;        /* memory.peak; SHOAL_ABSENT unknown */
    const char *error;          /* SHOAL_CAUSE_FAILED: the whole sentence. POOL: why not; NULL: it can again */
    const char *restart;        /* DIE: what follows: "no", "backoff", "request" (a restart was asked for) */
    const char *restart_reason; /* DIE: why that, a sentence */
    const shoal_death_t *death; /* DIE of a run; NULL where it never ran */
    const shoal_oom_t *oom;     /* OOM */
    uint64_t delay_usec;        /* BACKOFF, DIE with "backoff": until the next start. POOL: until it is tried again */
    unsigned attempt;           /* START, BACKOFF: which start again this is, from 1; 0 the first start */
    const char *network;        /* NETWORK_*: its name */
    uint32_t address;           /* NETWORK_*: IPv4, host byte order */
    uint64_t count;             /* OOM, LIMIT: the kernel's counter */
    const char *limit;          /* LIMIT: whose file it is: "memory.high" */
    const char *counter;        /* LIMIT: which counter of memory.events.local or pids.events */
    struct {
        int slow;               /* 1 slowed down, 0 free again */
        const char *starts;     /* which: "ordinary", "crashed" (again after a failure), "all" */
        const char *reason;     /* "cpu", "memory", "io", "rate" */
        double pressure, limit; /* percent; negative with the reason "rate" */
        double rate;            /* starts a second from now on */
        uint64_t waiting;
    } throttle; /* THROTTLE */
    /* PRESSURE */
    const char *resource; /* "cpu", "memory", "io" */
    double some_percent;  /* of the time in which some task of the host waited for it */
    const shoal_culprit_t *culprits;
    size_t culprit_count;       /* worst first */
    const shoal_stall_t *stall; /* NULL: the host's, with its culprits */
    /* UPDATE */
    const shoal_change_t *changes;
    size_t change_count;
} shoal_event_t;

/** Docker's word for a kind: "start", "health_status", ...; "network connect" is "connect" there. */
SHOAL_API const char *shoal_event_name(shoal_event_kind_t kind);
SHOAL_API const char *shoal_cause_name(shoal_cause_t cause);

#endif
