/* The child. It shares the parent's memory until execve, so: raw system calls, its own stack, no libc, no heap, no errno.
 * Compiled without instrumentation; `make symbols` checks that nothing outside is called. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "child/plan.h"
#include "kernel/raw.h"

static long call1(long number, long a)
{
    return raw_syscall(number, a, 0, 0, 0, 0, 0);
}
static long call3(long number, long a, long b, long c)
{
    return raw_syscall(number, a, b, c, 0, 0, 0);
}
static long call4(long number, long a, long b, long c, long d)
{
    return raw_syscall(number, a, b, c, d, 0, 0);
}

static size_t length_of(const char *text)
{
    size_t count = 0;
    while (text[count] != '\0')
        count++;
    return count;
}

static int run_syscall(struct plan *plan, const struct plan_step *step)
{
    int64_t args[6];
    for (unsigned i = 0; i < 6; i++)
        args[i] = step->fd_args & 1u << i ? plan->fds[step->args[i]] : step->args[i];
    long result = raw_syscall(step->number, args[0], args[1], args[2], args[3], args[4], args[5]);
    if (result >= 0 && step->keep_fd >= 0)
        plan->fds[step->keep_fd] = (int32_t)result;
    return result < 0 ? (int)result : 0;
}

static int run_receive(struct plan *plan)
{
    char byte;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof plan->fds)];
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    long count;
    do
        count = call3(SYS_recvmsg, plan->channel, (long)&message, MSG_CMSG_CLOEXEC);
    while (count == -EINTR);
    if (count < 0)
        return (int)count;
    if (count == 0)
        return -EPIPE; /* the parent is gone */
    if (message.msg_flags & MSG_CTRUNC)
        return -ENOMEM;
    if (message.msg_controllen < sizeof(struct cmsghdr))
        return 0;
    const struct cmsghdr *header = (const struct cmsghdr *)(const void *)control;
    const int *fds = (const int *)(const void *)CMSG_DATA(header);
    size_t fd_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < fd_count && plan->fd_count < PLAN_FDS_MAX; i++)
        plan->fds[plan->fd_count++] = fds[i];
    return 0;
}

static int run_write_file(const struct plan_step *step)
{
    const char *value = (const char *)(intptr_t)step->args[1];
    long fd = call4(SYS_openat, AT_FDCWD, step->args[0], O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return (int)fd;
    long want = (long)length_of(value);
    long count = call3(SYS_write, fd, (long)value, want);
    (void)call1(SYS_close, fd);
    return count < 0 ? (int)count : count == want ? 0 : -EIO;
}

static int run_request(const struct plan *plan, const struct plan_step *step)
{
    int fd = plan->fds[step->args[0]];
    long count = raw_syscall(SYS_sendto, fd, step->args[1], step->args[2], 0, 0, 0);
    if (count < 0)
        return (int)count;
    _Alignas(struct nlmsghdr) char answer[4096];
    count = raw_syscall(SYS_recvfrom, fd, (long)answer, sizeof answer, 0, 0, 0);
    if (count < 0)
        return (int)count;
    const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)answer;
    if ((size_t)count < sizeof *header + sizeof(int) || header->nlmsg_type != NLMSG_ERROR)
        return -EIO;
    return *(const int *)(const void *)(answer + NLMSG_HDRLEN); /* 0 is the ACK */
}

/* mkdir -p of the first count bytes of path; an existing last component is fine whatever it is. */
static int make_directories(const char *path, size_t count)
{
    char part[4096];
    if (count >= sizeof part)
        return -ENAMETOOLONG;
    for (size_t i = 0; i <= count; i++) {
        if (i == count || (path[i] == '/' && i > 0)) {
            part[i] = '\0';
            long code = call3(SYS_mkdirat, AT_FDCWD, (long)part, 0755);
            /* A component that is there may refuse mkdir in many words (EEXIST, EROFS, EACCES): the mount on it decides. */
            if (code < 0 && code != -EEXIST && call3(SYS_faccessat, AT_FDCWD, (long)part, 0) < 0)
                return (int)code;
        }
        if (i < count)
            part[i] = path[i];
    }
    return 0;
}

static int run_mount_file(const struct plan_step *step)
{
    const char *path = (const char *)(intptr_t)step->args[0];
    size_t count = length_of(path);
    while (count > 1 && path[count - 1] != '/')
        count--;
    if (count > 1) {
        int code = make_directories(path, count - 1);
        if (code < 0)
            return code;
    }
    if (call3(SYS_faccessat, AT_FDCWD, (long)path, 0) == 0)
        return 0;
    long fd = call4(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return (int)fd;
    (void)call1(SYS_close, fd);
    return 0;
}

static int run_signals(void)
{
    struct {
        unsigned long handler, flags, restorer, mask;
    } by_default = {0};
    for (int signal = 1; signal <= 64; signal++)
        (void)call4(SYS_rt_sigaction, signal, (long)&by_default, 0,
                    8); /* KILL and STOP refuse; they are at their default */
    uint64_t none = 0;
    return (int)call4(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, (long)&none, 0, 8);
}

/* As execvp(3): what is not there is passed over, what may not be executed is remembered. */
static int run_exec(const struct plan_step *step)
{
    const char *const *paths = (const char *const *)(intptr_t)step->args[0];
    int code = -ENOENT;
    for (size_t i = 0; paths[i] != NULL; i++) {
        int again = (int)call3(SYS_execve, (long)paths[i], step->args[1], step->args[2]);
        if (again == -ENOENT || again == -ENOTDIR)
            continue;
        if (again != -EACCES)
            return again;
        code = again;
    }
    return code;
}

static int run_step(struct plan *plan, const struct plan_step *step)
{
    const char *path = (const char *)(intptr_t)step->args[0];
    switch ((enum plan_kind)step->kind) {
    case STEP_SYSCALL:
        return run_syscall(plan, step);
    case STEP_RECEIVE:
        return run_receive(plan);
    case STEP_WRITE_FILE:
        return run_write_file(step);
    case STEP_REQUEST:
        return run_request(plan, step);
    case STEP_DIRECTORIES:
        return make_directories(path, length_of(path));
    case STEP_MOUNT_FILE:
        return run_mount_file(step);
    case STEP_SIGNALS:
        return run_signals();
    case STEP_EXEC:
        return run_exec(step);
    }
    return -EINVAL;
}

/* A descriptor table of its own that holds the channel and stdio alone; the parent's table is copied only so far as it
 * stays below the channel (close_range(2)). */
static int leave_parents_table(int channel)
{
    int code = (int)call3(SYS_close_range, channel + 1, ~0u, CLOSE_RANGE_UNSHARE);
    if (code == 0 && channel > 3)
        code = (int)call3(SYS_close_range, 3, channel - 1, 0);
    return code;
}

void child_walk(void *argument)
{
    struct plan *plan = argument;
    struct child_report report = {.step = REPORT_STEP_TABLE};
    report.code = leave_parents_table(plan->channel);
    if (report.code == 0) {
        char ready = CHILD_READY;
        (void)call3(SYS_write, plan->channel, (long)&ready, 1);
        report = (struct child_report){.step = REPORT_STEP_ARRIVAL, .code = run_receive(plan)};
    }
    if (report.code == 0) {
        for (uint32_t i = 0; i < plan->count; i++) {
            const struct plan_step *step = &plan->steps[i];
            __atomic_store_n(&plan->at, i, __ATOMIC_RELAXED);
            int code = (int32_t)i == plan->fail_at ? -EIO : run_step(plan, step);
            if (code < 0 && -code != step->tolerate[0] && -code != step->tolerate[1]) {
                report = (struct child_report){.step = i, .code = code};
                break;
            }
        }
    }
    (void)call3(SYS_write, plan->channel, (long)&report, sizeof report); /* 8 bytes: whole or not at all */
    for (;;)
        (void)call1(SYS_exit_group, 127);
}
