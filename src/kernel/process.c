#include "kernel/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/base.h"
#include "kernel/raw.h"

void *process_make_stack(void)
{
    void *stack = mmap(NULL, PROCESS_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1,
                       0);
    return stack == MAP_FAILED ? NULL : stack;
}

void process_free_stack(void *stack)
{
    if (stack != NULL)
        (void)munmap(stack, PROCESS_STACK_BYTES);
}

int process_start(const struct process_start *how, pid_t *out_pid, int *out_pid_fd, shoal_error_t *err)
{
    int pid_fd = -1;
    struct clone_args args = {
        .flags = CLONE_VM | CLONE_FILES | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | how->namespaces |
                 (how->cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uint64_t)(uintptr_t)&pid_fd,
        .stack = (uint64_t)(uintptr_t)how->stack,
        .stack_size = PROCESS_STACK_BYTES,
        .cgroup = how->cgroup_fd >= 0 ? (uint64_t)how->cgroup_fd : 0,
    };
    /* A handler of the host program that ran in the child would run in shared memory: the child starts with all blocked. */
    sigset_t all, before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    long pid = raw_clone3(&args, how->body, how->argument);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return shoal_fail(err, (int)pid, "clone3");
    *out_pid = (pid_t)pid;
    *out_pid_fd = pid_fd;
    return 0;
}

static int write_map(pid_t pid, const char *file, uint32_t first, uint32_t count, shoal_error_t *err)
{
    char path[64], line[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int length = snprintf(line, sizeof line, "0 %u %u\n", first, count);
    AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return shoal_fail(err, -errno, "open %s", path);
    if (write(fd, line, (size_t)length) != length)
        return shoal_fail(err, -errno, "%s: write '0 %u %u'", path, first, count);
    return 0;
}

int process_write_id_maps(pid_t pid, uint32_t first, uint32_t count, shoal_error_t *err)
{
    int code = write_map(pid, "gid_map", first, count, err);
    return code < 0 ? code : write_map(pid, "uid_map", first, count, err);
}

static int open_namespace(pid_t pid, const char *name, shoal_error_t *err)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : shoal_fail(err, -errno, "open %s", path);
}

int process_open_user_namespace(pid_t pid, shoal_error_t *err)
{
    return open_namespace(pid, "user", err);
}

int process_open_mount_namespace(pid_t pid, shoal_error_t *err)
{
    return open_namespace(pid, "mnt", err);
}

int process_signal(int pid_fd, int signal, shoal_error_t *err)
{
    if (syscall(SYS_pidfd_send_signal, pid_fd, signal, NULL, 0) < 0)
        return shoal_fail(err, -errno, "send signal %d", signal);
    return 0;
}

int process_reap(int pid_fd, int *out_exit_code, int *out_signal, shoal_error_t *err)
{
    siginfo_t info = {0};
    int code;
    do
        code = waitid(P_PIDFD, (id_t)pid_fd, &info,
                      WEXITED | WNOHANG | __WALL); /* __WALL: the child has no exit signal */
    while (code < 0 && errno == EINTR);
    if (code < 0)
        return shoal_fail(err, -errno, "waitid");
    if (info.si_pid == 0)
        return 0;
    *out_signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    *out_exit_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    return 1;
}

void process_end(int pid_fd)
{
    siginfo_t info;
    (void)process_signal(pid_fd, SIGKILL, NULL);
    while (waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED | __WALL) < 0 && errno == EINTR)
        ;
}

static bool read_proc(pid_t pid, const char *file, char *out, size_t room)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? -1 : read(fd, out, room - 1);
    out[count > 0 ? count : 0] = '\0';
    return count > 0;
}

/* rt_sigtimedwait(2) as the native and the two 32-bit calls: while it waits, what it waits for is not shown as blocked. */
static bool waits_for_signals(pid_t pid)
{
    char text[256];
    if (!read_proc(pid, "syscall", text, sizeof text))
        return true;
    long number = strtol(text, NULL, 10);
    return number == SYS_rt_sigtimedwait || number == 177 || number == 421;
}

bool process_hears(pid_t pid, int signal)
{
    char status[4096];
    if (!read_proc(pid, "status", status, sizeof status))
        return true;
    static const char *const sets[] = {"\nSigBlk:\t", "\nSigCgt:\t"};
    for (size_t i = 0; i < COUNT(sets); i++) {
        const char *line = strstr(status, sets[i]);
        if (line == NULL || (strtoull(line + strlen(sets[i]), NULL, 16) >> (signal - 1) & 1u) != 0)
            return true;
    }
    return waits_for_signals(pid);
}

int process_get_oom_score_adj(pid_t pid, int *out, shoal_error_t *err)
{
    char text[16];
    if (!read_proc(pid == 0 ? getpid() : pid, "oom_score_adj", text, sizeof text))
        return shoal_fail(err, errno != 0 ? -errno : -EIO, "read oom_score_adj of process %d", (int)pid);
    *out = (int)strtol(text, NULL, 10);
    return 0;
}

int process_set_oom_score_adj(pid_t pid, int score, shoal_error_t *err)
{
    char path[64], text[16];
    (void)snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)(pid == 0 ? getpid() : pid));
    int count = snprintf(text, sizeof text, "%d", score);
    AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, (size_t)count) != count)
        return shoal_fail(err, -errno, "%s: write '%d'", path, score);
    return 0;
}

pid_t process_first_child(pid_t pid)
{
    char text[64], file[48];
    (void)snprintf(file, sizeof file, "task/%d/children", (int)pid);
    return read_proc(pid, file, text, sizeof text) ? (pid_t)strtol(text, NULL, 10) : 0;
}

bool process_read_comm(pid_t pid, char out[PROCESS_COMM])
{
    return read_proc(pid, "comm", out, PROCESS_COMM);
}
