/* shoal-init: what a sandbox's first process becomes when it cannot become the command at once. A program of its own, without
 * a C library: it is mapped in every such sandbox, and it runs where no library may be.
 *
 *   shoal-init STATUS_FD MODE COMMAND [ARGUMENT...]
 *
 * MODE is INIT_HOLD, INIT_REAP or both. With INIT_HOLD it says CHILD_HELD and waits for one message: whoever started it has
 * something to do to a process that no longer shares its memory. With INIT_REAP, `init: true`, it starts the command as its
 * child, hands it every signal, reaps whatever is orphaned to it, and ends as the command ended; without it becomes the command.
 * STATUS_FD is an inherited descriptor: end of file on it means that the command was executed; otherwise it carries one
 * struct child_report. A command without a slash is looked up in PATH as execvp(3) does. */
#include <asm/ioctls.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/wait.h>
#include <stddef.h>
#include <stdint.h>

#include "child/report.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" /* Docker's */

enum { PATH_ROOM = 4096, EXIT_NOT_STARTED = 127 };

typedef uint64_t sigset; /* the kernel's: one bit for each of 64 signals */

#if defined(__x86_64__)
__asm__(".text\n.global _start\n_start:\n"
        "xor %ebp, %ebp\n"
        "mov %rsp, %rdi\n"
        "and $-16, %rsp\n"
        "call init_main\n"
        "hlt\n");

static long call(long number, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
__asm__(".text\n.global _start\n_start:\n"
        "mov x29, #0\n"
        "mov x30, #0\n"
        "mov x0, sp\n"
        "bl init_main\n"
        "brk #1\n");

static long call(long number, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
#else
#error "shoal-init: write _start and call() for this machine"
#endif

static _Noreturn void quit(int status)
{
    for (;;)
        (void)call(__NR_exit_group, status, 0, 0, 0, 0);
}

static size_t length(const char *text)
{
    size_t count = 0;
    while (text[count])
        count++;
    return count;
}

/* A decimal descriptor number; -1 for anything else. */
static int parse_fd(const char *text)
{
    int value = 0;
    if (*text == '\0')
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > 100000000)
            return -1;
        value = value * 10 + (*text - '0');
    }
    return value;
}

static int has(const char *text, char letter)
{
    while (*text && *text != letter)
        text++;
    return *text != '\0';
}

static const char *find_path(char *const *envp)
{
    static const char name[] = "PATH=";
    for (; *envp; envp++) {
        size_t i = 0;
        while (i < sizeof name - 1 && (*envp)[i] == name[i])
            i++;
        if (i == sizeof name - 1)
            return *envp + i;
    }
    return DEFAULT_PATH;
}

static long execute(const char *path, char *const *argv, char *const *envp)
{
    return call(__NR_execve, (long)path, (long)argv, (long)envp, 0, 0);
}

/* Returns -errno of the attempt that tells most: a file that may not be executed (EACCES) says more than none. */
static long execute_by_path(char *const *argv, char *const *envp)
{
    const char *name = argv[0];
    if (*name == '\0')
        return -ENOENT;
    for (const char *at = name; *at; at++) {
        if (*at == '/')
            return execute(name, argv, envp);
    }
    size_t name_count = length(name);
    long result = -ENOENT;
    for (const char *from = find_path(envp);; from++) {
        char path[PATH_ROOM];
        size_t used = 0;
        for (; *from && *from != ':'; from++) {
            if (used < sizeof path)
                path[used++] = *from;
        }
        if (used + name_count + 2 <= sizeof path) { /* else no kernel would take it */
            if (used > 0)
                path[used++] = '/'; /* an empty element is the working directory */
            for (size_t i = 0; i <= name_count; i++)
                path[used++] = name[i];
            long code = execute(path, argv, envp);
            if (code == -EACCES)
                result = code;
            else if (code != -ENOENT && code != -ENOTDIR && code != -ESTALE && code != -ENODEV && code != -ETIMEDOUT)
                return code;
        }
        if (*from == '\0')
            return result;
    }
}

static _Noreturn void report(int status_fd, long code)
{
    struct child_report r = {.step = REPORT_STEP_EXEC_BY_INIT, .code = (int32_t)code};
    (void)call(__NR_write, status_fd, (long)&r, sizeof r, 0, 0); /* 8 bytes: whole or not at all */
    quit(EXIT_NOT_STARTED);
}

static _Noreturn void become_command(int status_fd, char *const *argv, char *const *envp)
{
    long code = call(__NR_fcntl, status_fd, F_SETFD, FD_CLOEXEC, 0, 0);
    report(status_fd, code < 0 ? code : execute_by_path(argv, envp));
}

static _Noreturn void become_child(int status_fd, sigset mask, char *const *argv, char *const *envp)
{
    /* A group of its own, so that a terminal's signals reach the command and not init too. SIGTTOU is still blocked:
     * a group in the background may not take the terminal without. Both fail where there is no terminal: fine. */
    (void)call(__NR_setpgid, 0, 0, 0, 0, 0);
    int group = (int)call(__NR_getpid, 0, 0, 0, 0, 0);
    (void)call(__NR_ioctl, 0, TIOCSPGRP, (long)&group, 0, 0);

    (void)call(__NR_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof mask, 0); /* fails with a wrong size alone */
    become_command(status_fd, argv, envp);
}

static void hold(int status_fd)
{
    char byte = CHILD_HELD;
    (void)call(__NR_write, status_fd, (long)&byte, 1, 0, 0);
    long count;
    do
        count = call(__NR_read, status_fd, (long)&byte, 1, 0, 0);
    while (count == -EINTR);
    if (count != 1) /* whoever started us is gone */
        quit(EXIT_NOT_STARTED);
}

/* Reap all that has ended. Returns whether the command was among it. */
static int reap(long command, int *out_status)
{
    int found = 0;
    for (;;) {
        int status;
        long pid = call(__NR_wait4, -1, (long)&status, WNOHANG | __WALL, 0, 0);
        if (pid == -EINTR)
            continue;
        if (pid <= 0)
            return found;
        if (pid == command) {
            found = 1;
            *out_status = status;
        }
    }
}

static void say_signal(int number)
{
    char name[] = REPORT_COMM_SIGNAL "00";
    name[sizeof name - 3] = (char)('0' + number / 10);
    name[sizeof name - 2] = (char)('0' + number % 10);
    (void)call(__NR_prctl, PR_SET_NAME, (long)name, 0, 0, 0);
}

/* Called by _start. stack: argc, argv..., NULL, envp..., NULL */
_Noreturn __attribute__((used, visibility("hidden"))) void init_main(long *stack);
_Noreturn void init_main(long *stack)
{
    long argc = stack[0];
    char **argv = (char **)(stack + 1), **envp = argv + argc + 1;
    int status_fd = argc > 1 ? parse_fd(argv[1]) : -1;
    if (argc < 4)
        report(status_fd, -EINVAL);
    const char *mode = argv[2];
    char **command_argv = argv + 3;
    if (has(mode, INIT_HOLD))
        hold(status_fd);
    if (!has(mode, INIT_REAP))
        become_command(status_fd, command_argv, envp);

    /* Blocked signals stay pending even for a first process, to which the kernel delivers no others without a handler;
     * and with SIGCHLD ignored, as it may have been inherited, the command's status would be lost. */
    sigset all = ~(sigset)0, before;
    struct sigaction standard;
    for (size_t i = 0; i < sizeof standard; i++)
        ((volatile char *)&standard)[i] = 0; /* SIG_DFL; volatile: no call of memset, which nobody here provides */
    (void)call(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof all, 0);
    (void)call(__NR_rt_sigaction, SIGCHLD, (long)&standard, 0, sizeof all, 0);

    long command = call(__NR_clone, SIGCHLD, 0, 0, 0, 0);
    if (command < 0)
        report(status_fd, command);
    if (command == 0)
        become_child(status_fd, before, command_argv, envp);
    (void)call(__NR_close, status_fd, 0, 0, 0, 0);

    for (;;) {
        long number = call(__NR_rt_sigtimedwait, (long)&all, 0, 0, sizeof all, 0);
        if (number == SIGCHLD) {
            int status;
            if (!reap(command, &status))
                continue;
            if ((status & 0x7f) == 0)
                quit((status >> 8) & 0xff);
            say_signal(status & 0x7f);
            quit(128 + (status & 0x7f));
        }
        if (number > 0)
            (void)call(__NR_kill, command, number, 0, 0, 0); /* it is not reaped yet: its number is still its own */
    }
}
