/* child: what runs between clone3 and execve. The parent writes a plan, the child walks it with raw system calls in the
 * parent's memory (CLONE_VM) on a stack of its own. It knows system calls and nothing else: no container, no loop, no heap.
 *
 * The two talk over one SEQPACKET socket:
 *   child to parent   'R' (one byte): the child has a descriptor table of its own
 *                     struct child_report: a step failed, the child is gone
 *                     end of file without a report: execve worked (the socket is close-on-exec)
 *   parent to child   one byte and descriptors (SCM_RIGHTS): what the next STEP_RECEIVE waits for. The child waits for
 *                     the first before it looks at the plan, which the parent may go on building until it sends it. */
#ifndef CHILD_PLAN_H
#define CHILD_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "child/report.h"
#include "shoal/error.h"

enum {
    PLAN_FDS_MAX = 200, /* SCM_RIGHTS takes 253 at once */
    CHILD_READY = 'R'
};

enum plan_kind {
    STEP_SYSCALL,     /* number(args...) */
    STEP_RECEIVE,     /* one message; its descriptors are appended to fds */
    STEP_WRITE_FILE,  /* open args[0], write args[1] as a whole, close */
    STEP_REQUEST,     /* netlink: send args[1] of args[2] bytes on fds[args[0]], wait for its ACK */
    STEP_DIRECTORIES, /* mkdir -p args[0] */
    STEP_MOUNT_FILE,  /* mkdir -p of the parent of args[0], then create the file where it is missing */
    STEP_SIGNALS,     /* every signal to its default, then unblock all */
    STEP_EXEC         /* execve of each path of the list args[0] until one is there; argv args[1], envp args[2] */
};

struct plan_step {
    uint16_t kind;       /* enum plan_kind */
    int16_t keep_fd;     /* STEP_SYSCALL: index in fds at which the result is kept, -1 none */
    uint8_t fd_args;     /* bit i: args[i] is an index into fds */
    int32_t tolerate[2]; /* errnos that are no failure here, 0 none */
    int32_t number;
    int64_t args[6];
    const char *what; /* for a person: "mount proc on /proc" */
};

struct plan {
    struct plan_step *steps; /* owned */
    uint32_t count, room;
    uint32_t fd_count; /* filled by the child as it receives */
    int32_t fds[PLAN_FDS_MAX];
    int32_t channel;           /* the child's end of the socket */
    int32_t fail_at;           /* test builds: the step that fails with EIO; -1 none */
    uint32_t at;               /* the step under way, written by the child: tells a kill in the middle from an execve */
    bool failed;               /* an allocation failed while the plan was built */
    struct plan_block *blocks; /* owned: what the steps point to */
};

/* Building: parent only. Failures are remembered in plan->failed. Texts are borrowed unless plan_keep() made them. */
void plan_init(struct plan *plan);
void plan_fini(struct plan *plan);
void plan_reset(struct plan *plan); /* empty again, with the memory it has */
const char *plan_keep(struct plan *plan, const char *fmt, ...) SHOAL_PRINTF(2, 3); /* lives as long as the plan */
void *plan_keep_bytes(struct plan *plan, const void *bytes, size_t count);
void *plan_room(struct plan *plan, size_t count); /* zeroed; NULL when out of memory */
struct plan_step *plan_add(struct plan *plan, enum plan_kind kind,
                           const char *what); /* never NULL: a spare when failed */

/* One system call; the arguments are cast to int64_t. */
#define PLAN_CALL(plan, what_, number_, ...)                                                                           \
    ({                                                                                                                 \
        struct plan_step *step_ = plan_add(plan, STEP_SYSCALL, what_);                                                 \
        step_->number = number_;                                                                                       \
        const int64_t args_[] = {__VA_ARGS__};                                                                         \
        for (size_t i_ = 0; i_ < sizeof args_ / sizeof args_[0]; i_++)                                                 \
            step_->args[i_] = args_[i_];                                                                               \
        step_;                                                                                                         \
    })
#define PLAN_POINTER(pointer) ((int64_t)(intptr_t)(pointer))

/* What the step of a report was about; never NULL. */
const char *plan_step_words(const struct plan *plan, uint32_t step);

/* The child's body: argument is the plan. Never returns. */
void child_walk(void *plan);

#endif
