/* shoal-init as the first process of a pid namespace. The commands it starts are this program again, in a role. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/base.h"
#include "child/init_image.h"
#include "child/report.h"

enum { BAD = 99 };

/* ---- what the commands do; each ends by _exit ---- */

static _Noreturn void role_exit(const char *argument)
{
    _exit(atoi(argument));
}

static _Noreturn void role_kill_self(const char *argument)
{
    (void)raise(atoi(argument));
    _exit(BAD);
}

/* Says "ready" on stdout, waits for any signal and ends with its number. */
static _Noreturn void role_wait(const char *argument)
{
    (void)argument;
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)!write(STDOUT_FILENO, "ready", 5);
    int number = sigwaitinfo(&all, NULL);
    _exit(number > 0 ? number : BAD);
}

/* A process group of its own, the signal mask the parent of init had, SIGCHLD at its default, no descriptor but 0,
 * 1, 2. */
static _Noreturn void role_look(const char *argument)
{
    (void)argument;
    sigset_t mask;
    struct sigaction child;
    if (sigprocmask(SIG_SETMASK, NULL, &mask) < 0 || sigaction(SIGCHLD, NULL, &child) < 0)
        _exit(1);
    for (int i = 1; i < 65; i++) {
        if (i != 32 && i != 33 && sigismember(&mask, i) != (i == SIGUSR2))
            _exit(2);
    }
    if (child.sa_handler != SIG_DFL)
        _exit(3);
    if (getpgrp() != getpid() || getppid() != 1)
        _exit(4);
    for (int fd = 3; fd < 1000; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            _exit(5);
    }
    _exit(0);
}

/* Leaves 20 orphans, and is content once init has reaped them all: then their numbers are free. */
static _Noreturn void role_orphans(const char *argument)
{
    (void)argument;
    enum { ORPHANS = 20 };
    pid_t orphans[ORPHANS];
    for (int i = 0; i < ORPHANS; i++) {
        int ends[2];
        if (pipe(ends) < 0)
            _exit(1);
        pid_t middle = fork();
        if (middle == 0) {
            pid_t orphan = fork();
            if (orphan == 0) {
                if (i % 2) /* some die while their parent still lives, some after */
                    (void)usleep(1000);
                _exit(0);
            }
            (void)!write(ends[1], &orphan, sizeof orphan);
            _exit(0);
        }
        if (read(ends[0], &orphans[i], sizeof orphans[i]) != sizeof orphans[i] || waitpid(middle, NULL, 0) != middle)
            _exit(2);
        (void)close(ends[0]);
        (void)close(ends[1]);
    }
    uint64_t deadline = base_monotonic_usec() + 5000000;
    for (int i = 0; i < ORPHANS; i++) {
        while (kill(orphans[i], 0) == 0) {
            if (base_monotonic_usec() > deadline)
                _exit(3);
            (void)sched_yield();
        }
    }
    _exit(0);
}

/* Leaves a process that would live on: the end of init ends it. Its pidfd cannot be had from here: it holds stdout. */
static _Noreturn void role_leave(const char *argument)
{
    (void)argument;
    if (fork() == 0) {
        for (;;)
            (void)pause();
    }
    _exit(11);
}

static const struct {
    const char *name;
    void (*run)(const char *argument);
} roles[] = {
    {"exit", role_exit}, {"kill-self", role_kill_self}, {"wait", role_wait},
    {"look", role_look}, {"orphans", role_orphans},     {"leave", role_leave},
};

/* ---- starting init ---- */

struct started {
    pid_t pid;
    int status_fd, output_fd; /* our ends */
};

static char *self; /* this program's path */

static struct started start_in(const char *mode, char *const *command, char *const *envp)
{
    shoal_error_t err = {0};
    int init_fd = child_init_open(&err);
    if (init_fd < 0)
        fail_msg("%s", err.text);
    int status[2], output[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, status), 0);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        sigset_t mask;
        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGUSR2);
        (void)sigprocmask(SIG_SETMASK, &mask, NULL);
        (void)signal(SIGCHLD, SIG_IGN);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(output[1], STDOUT_FILENO);
        int fd = dup(status[1]); /* inherited */
        char number[16];
        (void)snprintf(number, sizeof number, "%d", fd);
        char *argv[16] = {(char[]){"shoal-init"}, number, (char *)(uintptr_t)mode};
        for (size_t i = 0; command[i]; i++)
            argv[i + 3] = command[i];
        (void)syscall(SYS_close_range, fd + 1, ~0u, 0);
        (void)syscall(SYS_execveat, init_fd, "", argv, envp, AT_EMPTY_PATH);
        _exit(98);
    }
    assert_true(pid > 0);
    (void)close(status[1]);
    (void)close(output[1]);
    (void)close(init_fd);
    return (struct started){.pid = pid, .status_fd = status[0], .output_fd = output[0]};
}

static struct started start(char *const *command, char *const *envp)
{
    return start_in((char[]){INIT_REAP, 0}, command, envp);
}

/* 0 for end of file, else the reported code. */
static int read_report(struct started *s)
{
    struct child_report r = {0};
    ssize_t count = read(s->status_fd, &r, sizeof r);
    if (count == 0)
        return 0;
    assert_int_equal(count, sizeof r);
    assert_int_equal(r.step, REPORT_STEP_EXEC_BY_INIT);
    assert_true(r.code < 0);
    assert_int_equal(read(s->status_fd, &r, sizeof r), 0);
    return r.code;
}

static int finish(struct started *s)
{
    int status = 0;
    char rest[16];
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    while (read(s->output_fd, rest, sizeof rest) > 0) /* ends when all that hold it are dead */
        ;
    (void)close(s->status_fd);
    (void)close(s->output_fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static char *no_environment[] = {NULL};

static void test_status(void **state)
{
    (void)state;
    static const struct {
        const char *role, *argument;
        int status;
    } rows[] = {
        {"exit", "0", 0}, {"exit", "7", 7},   {"exit", "255", 255}, {"kill-self", "15", 143}, {"kill-self", "9", 137},
        {"look", "", 0},  {"orphans", "", 0}, {"leave", "", 11},    {"kill-self", "34", 162},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *role = strdup(rows[i].role), *argument = strdup(rows[i].argument);
        struct started s = start((char *[]){self, (char[]){"--role"}, role, argument, NULL}, no_environment);
        assert_int_equal(read_report(&s), 0);
        int status = finish(&s);
        if (status != rows[i].status)
            fail_msg("%s %s: ended with %d, not %d", role, argument, status, rows[i].status);
        free(role);
        free(argument);
    }
}

static void test_signals_are_forwarded(void **state)
{
    (void)state;
    static const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT,
                                  SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE, SIGALRM, 34,      50,       64};
    for (size_t i = 0; i < COUNT(signals); i++) {
        struct started s = start((char *[]){self, (char[]){"--role"}, (char[]){"wait"}, (char[]){""}, NULL},
                                 no_environment);
        assert_int_equal(read_report(&s), 0); /* end of file while the command still runs: init holds no write end */
        char ready[5];
        assert_int_equal(read(s.output_fd, ready, sizeof ready), sizeof ready);
        assert_int_equal(kill(s.pid, signals[i]), 0);
        assert_int_equal(finish(&s), signals[i]);
    }
}

static void test_commands(void **state)
{
    (void)state;
    char dir[] = "/tmp/shoal-init-XXXXXX", hidden[64], garbled[64], path[256];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(hidden, sizeof hidden, "%s/hidden", dir);
    (void)snprintf(garbled, sizeof garbled, "%s/garbled", dir);
    (void)close(open(hidden, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    int other = open(garbled, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    assert_int_equal(write(other, "garbled", 7), 7);
    (void)close(other);

    char long_name[5000];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    char *long_path = base_format("PATH=%s:%s:/bin", long_name, "/usr/bin");
    const struct {
        const char *path, *command;
        int code, status;
    } rows[] = {
        {NULL, "true", 0, 0}, /* the default path */
        {NULL, "/bin/false", 0, 1},
        {"PATH=/no/such/dir:/bin", "true", 0, 0},
        {"PATH=/etc/passwd:/bin", "true", 0, 0}, /* not a directory: the next one */
        {"PATH=DIR:/bin", "true", 0, 0},
        {"PATH=DIR:/bin", "hidden", -EACCES, 127}, /* found, but not to be executed; not found in /bin */
        {"PATH=DIR", "garbled", -ENOEXEC, 127},
        {"PATH=/bin", "no-such-command", -ENOENT, 127},
        {"PATH=", "true", -ENOENT, 127}, /* the working directory is / */
        {"PATH=:/bin", "true", 0, 0},
        {"PATH", "true", 0, 0}, /* no variable: the default path */
        {"XPATH=/no", "true", 0, 0},
        {"PATH=/bin", "", -ENOENT, 127},
        {"PATH=/bin", "/no/such/command", -ENOENT, 127},
        {"PATH=/bin", "/etc/passwd/x", -ENOTDIR, 127},
        {"PATH=/bin", "/tmp", -EACCES, 127},
        {"PATH=/bin", long_name, -ENOENT, 127},
        {long_path, "true", 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *at = rows[i].path ? strstr(rows[i].path, "DIR") : NULL;
        if (at != NULL && rows[i].path != long_path)
            (void)snprintf(path, sizeof path, "%.*s%s%s", (int)(at - rows[i].path), rows[i].path, dir, at + 3);
        char *variable = rows[i].path ? strdup(at ? path : rows[i].path) : NULL, *command = strdup(rows[i].command);
        assert_int_equal(chdir("/"), 0);
        struct started s = start((char *[]){command, NULL}, (char *[]){variable, NULL});
        int code = read_report(&s), status = finish(&s);
        if (code != rows[i].code || status != rows[i].status)
            fail_msg("row %zu, %.20s: code %d, status %d", i, rows[i].command, code, status);
        free(variable);
        free(command);
    }
    free(long_path);
    (void)unlink(hidden);
    (void)unlink(garbled);
    assert_int_equal(rmdir(dir), 0);
}

static void test_hold(void **state)
{
    (void)state;
    const struct {
        const char *mode, *command;
        int code, status;
    } rows[] = {
        {(char[]){INIT_HOLD, 0}, "/bin/false", 0, 1},
        {(char[]){INIT_HOLD, 0}, "/no/such/command", -ENOENT, 127},
        {(char[]){INIT_HOLD, INIT_REAP, 0}, "/bin/false", 0, 1},
        {(char[]){INIT_HOLD, INIT_REAP, 0}, "/no/such/command", -ENOENT, 127},
        {"", "/bin/false", 0, 1},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *command = strdup(rows[i].command), said = 0;
        struct started s = start_in(rows[i].mode, (char *[]){command, NULL}, no_environment);
        if (strchr(rows[i].mode, INIT_HOLD) != NULL) {
            assert_int_equal(read(s.status_fd, &said, 1), 1);
            assert_int_equal(said, CHILD_HELD);
            assert_int_equal(recv(s.status_fd, &said, 1, MSG_DONTWAIT), -1); /* it waits */
            assert_int_equal(errno, EAGAIN);
            assert_int_equal(waitpid(s.pid, NULL, WNOHANG), 0);
            assert_int_equal(write(s.status_fd, "", 1), 1);
        }
        int code = read_report(&s), status = finish(&s);
        if (code != rows[i].code || status != rows[i].status)
            fail_msg("row %zu: code %d, status %d", i, code, status);
        free(command);
    }
}

static void test_hold_ends_with_who_started_it(void **state)
{
    (void)state;
    struct started s = start_in((char[]){INIT_HOLD, 0}, (char *[]){(char[]){"/bin/true"}, NULL}, no_environment);
    char said;
    assert_int_equal(read(s.status_fd, &said, 1), 1);
    assert_int_equal(shutdown(s.status_fd, SHUT_WR), 0);
    assert_int_equal(finish(&s), 127);
}

static void test_no_command(void **state)
{
    (void)state;
    struct started s = start((char *[]){NULL}, no_environment);
    assert_int_equal(read_report(&s), -EINVAL);
    assert_int_equal(finish(&s), 127);
}

static void test_image(void **state)
{
    (void)state;
    assert_true(child_init_image_end - child_init_image > 500);
    assert_true(child_init_image_end - child_init_image < 10240);
    shoal_error_t err = {0};
    AUTO_FD fd = child_init_open(&err);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    assert_int_equal(fcntl(fd, F_GET_SEALS) & seals, seals);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0555);
    assert_int_equal(st.st_size, child_init_image_end - child_init_image);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 4 && strcmp(argv[1], "--role") == 0 && i < COUNT(roles); i++) {
        if (strcmp(roles[i].name, argv[2]) == 0)
            roles[i].run(argv[3]);
    }
    self = realpath("/proc/self/exe", NULL);
    if (self == NULL || geteuid() != 0) {
        print_message("SKIP: a pid namespace needs root\n");
        free(self);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_image),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_signals_are_forwarded),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_hold_ends_with_who_started_it),
        cmocka_unit_test(test_no_command),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(self);
    return failed;
}
