/* Processes by descriptor: start on a stack of their own, id maps, signals, reaping. clone(2), pidfd_open(2), waitid(2). */
#ifndef KERNEL_PROCESS_H
#define KERNEL_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shoal/error.h"

enum { PROCESS_STACK_BYTES = 64 << 10 };

struct process_start {
    uint64_t namespaces;  /* CLONE_NEW* */
    int cgroup_fd;        /* the child starts in this cgroup2 directory (CLONE_INTO_CGROUP); -1: ours */
    void *stack;          /* process_make_stack(); stays until the child has executed or ended */
    void (*body)(void *); /* raw system calls only; never returns */
    void *argument;
};

void *process_make_stack(void); /* NULL: errno says why */
void process_free_stack(void *stack);

/* clone3 with CLONE_VM | CLONE_FILES | CLONE_PIDFD | CLONE_CLEAR_SIGHAND and no exit signal. All signals are blocked in the
 * child. Returns 0 and *out_pid, *out_pid_fd (the caller's). */
int process_start(const struct process_start *how, pid_t *out_pid, int *out_pid_fd, shoal_error_t *err);

/* Map ids 0..count-1 of pid's user namespace to first..first+count-1, for users and groups. */
int process_write_id_maps(pid_t pid, uint32_t first, uint32_t count, shoal_error_t *err);

/* Open a namespace of pid (nsfs). Returns the descriptor. */
int process_open_user_namespace(pid_t pid, shoal_error_t *err);
int process_open_mount_namespace(pid_t pid, shoal_error_t *err);

/* Send a signal. -ESRCH: it has ended. */
int process_signal(int pid_fd, int signal, shoal_error_t *err);

/* Reap. Returns 1 and the status, 0 still running, or a negative errno. exit_code: 128+n for a death by signal n. */
int process_reap(int pid_fd, int *out_exit_code, int *out_signal, shoal_error_t *err);

/* Kill and reap, and wait for that. */
void process_end(int pid_fd);

/* Whether signal would reach pid's handler or a waiter: the kernel drops signals at their default action for the first
 * process of a pid namespace, pid_namespaces(7). Unreadable: true. */
bool process_hears(pid_t pid, int signal);

/* Whom the kernel kills first for lack of memory, proc_pid_oom_score_adj(5): -1000 (never) to 1000. What is written holds for
 * every process that shares pid's memory, and a child is born with it. pid 0: the caller. Lowering it needs CAP_SYS_RESOURCE.
 * Returns 0, -EACCES, -ESRCH, ... */
int process_get_oom_score_adj(pid_t pid, int *out, shoal_error_t *err);
int process_set_oom_score_adj(pid_t pid, int score, shoal_error_t *err);

/* The oldest child of pid that lives, 0 none or unreadable. */
pid_t process_first_child(pid_t pid);

/* The name that pid has given itself, with a newline behind it; also of one that waits to be reaped. */
enum { PROCESS_COMM = 32 };
bool process_read_comm(pid_t pid, char out[PROCESS_COMM]);

#endif
