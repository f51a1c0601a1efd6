#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "base/base.h"
#include "child/plan.h"
#include "kernel/process.h"

static void steps_keep_their_words(void **state)
{
    (void)state;
    struct plan plan;
    plan_init(&plan);
    for (int i = 0; i < 300; i++) /* beyond what is allocated at first */
        PLAN_CALL(&plan, plan_keep(&plan, "step %d", i), SYS_getpid, 0);
    assert_false(plan.failed);
    assert_int_equal(plan.count, 300);
    assert_string_equal(plan_step_words(&plan, 0), "step 0");
    assert_string_equal(plan_step_words(&plan, 299), "step 299");
    assert_string_equal(plan_step_words(&plan, 300), "unknown step");
    assert_string_equal(plan_step_words(&plan, REPORT_STEP_EXEC_BY_INIT), "step 299");
    assert_non_null(strstr(plan_step_words(&plan, REPORT_STEP_TABLE), "descriptor table"));
    plan_fini(&plan);
}

static void long_words_are_kept_whole(void **state)
{
    (void)state;
    struct plan plan;
    plan_init(&plan);
    char path[1000];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(strlen(plan_keep(&plan, "make directory %s", path)), strlen("make directory ") + 999);
    plan_fini(&plan);
}

/* Walk a plan in a child of the kind that sandboxes are, without namespaces: the channel's last message is the answer. */
static struct child_report walk(struct plan *plan, bool *out_ended_silently)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    plan->channel = ends[1];
    void *stack = process_make_stack();
    struct process_start how = {.cgroup_fd = -1, .stack = stack, .body = child_walk, .argument = plan};
    pid_t pid;
    int pid_fd;
    shoal_error_t error;
    if (process_start(&how, &pid, &pid_fd, &error) < 0)
        fail_msg("%s", error.text);
    char ready;
    assert_int_equal(recv(ends[0], &ready, 1, 0), 1);
    assert_int_equal(ready, CHILD_READY);
    (void)close(ends[1]);
    assert_int_equal(send(ends[0], "F", 1, 0), 1); /* the plan may be walked */
    struct child_report report = {0};
    ssize_t count = recv(ends[0], &report, sizeof report, 0);
    *out_ended_silently = count == 0;
    int exit_code, signal, reaped;
    while ((reaped = process_reap(pid_fd, &exit_code, &signal, &error)) == 0)
        ;
    assert_int_equal(reaped, 1);
    (void)close(ends[0]);
    (void)close(pid_fd);
    process_free_stack(stack);
    return report;
}

static void a_failed_step_is_reported(void **state)
{
    (void)state;
    struct plan plan;
    plan_init(&plan);
    PLAN_CALL(&plan, "first", SYS_getpid, 0);
    PLAN_CALL(&plan, "tolerated", SYS_chdir, PLAN_POINTER("/nonexistent"))->tolerate[0] = ENOENT;
    PLAN_CALL(&plan, "fails", SYS_chdir, PLAN_POINTER("/nonexistent"));
    bool silent;
    struct child_report report = walk(&plan, &silent);
    assert_int_equal(report.step, 2);
    assert_int_equal(report.code, -ENOENT);
    plan_fini(&plan);
}

static void exec_looks_where_execvp_would(void **state)
{
    (void)state;
    static const struct {
        const char *paths[4];
        int code; /* 0: it executed */
    } rows[] = {
        {{"/nonexistent/true", "/etc/passwd/true", "/bin/true", NULL}, 0},
        {{"/nonexistent/true", NULL}, -ENOENT},
        {{"/etc/passwd", "/nonexistent/true", NULL}, -EACCES}, /* there, but not executable */
        {{"/etc/passwd", "/bin/true", NULL}, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct plan plan;
        plan_init(&plan);
        const char *argv[] = {"true", NULL}, *envp[] = {NULL};
        struct plan_step *step = plan_add(&plan, STEP_EXEC, "execute");
        step->args[0] = PLAN_POINTER(rows[i].paths);
        step->args[1] = PLAN_POINTER(argv);
        step->args[2] = PLAN_POINTER(envp);
        bool silent;
        struct child_report report = walk(&plan, &silent);
        if (silent != (rows[i].code == 0) || report.code != rows[i].code)
            fail_msg("row %zu: code %d", i, report.code);
        plan_fini(&plan);
    }
}

static void directories_and_files_are_made(void **state)
{
    (void)state;
    char folder[] = "/tmp/shoal-plan-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct plan plan;
    plan_init(&plan);
    plan_add(&plan, STEP_DIRECTORIES, "directories")->args[0] = PLAN_POINTER(plan_keep(&plan, "%s/a/b//c/", folder));
    const char *file = plan_keep(&plan, "%s/d/e/f", folder);
    plan_add(&plan, STEP_MOUNT_FILE, "file")->args[0] = PLAN_POINTER(file);
    plan_add(&plan, STEP_MOUNT_FILE, "again")->args[0] = PLAN_POINTER(file);
    struct plan_step *step = plan_add(&plan, STEP_WRITE_FILE, "write");
    step->args[0] = PLAN_POINTER(file);
    step->args[1] = PLAN_POINTER("text");
    PLAN_CALL(&plan, "end", SYS_exit_group, 0);
    bool silent;
    struct child_report report = walk(&plan, &silent);
    assert_true(silent);
    assert_int_equal(report.code, 0);
    struct stat about;
    AUTO_FREE char *deep = base_format("%s/a/b/c", folder);
    assert_int_equal(stat(deep, &about), 0);
    assert_true(S_ISDIR(about.st_mode));
    assert_int_equal(stat(file, &about), 0);
    assert_int_equal(about.st_size, 4);
    plan_fini(&plan);
    AUTO_FREE char *remove = base_format("rm -r %s", folder);
    assert_int_equal(system(remove), 0);
}

static void a_parent_that_is_gone_ends_the_wait(void **state)
{
    (void)state;
    struct plan plan;
    plan_init(&plan);
    PLAN_CALL(&plan, "never reached", SYS_exit_group, 0);
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    plan.channel = ends[1];
    void *stack = process_make_stack();
    struct process_start how = {.cgroup_fd = -1, .stack = stack, .body = child_walk, .argument = &plan};
    pid_t pid;
    int pid_fd, exit_code, signal, reaped;
    shoal_error_t error;
    assert_int_equal(process_start(&how, &pid, &pid_fd, &error), 0);
    char ready;
    assert_int_equal(recv(ends[0], &ready, 1, 0), 1);
    (void)close(ends[1]);
    (void)close(ends[0]);
    while ((reaped = process_reap(pid_fd, &exit_code, &signal, &error)) == 0)
        ;
    assert_int_equal(exit_code, 127);
    (void)close(pid_fd);
    process_free_stack(stack);
    plan_fini(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_keep_their_words),         cmocka_unit_test(long_words_are_kept_whole),
        cmocka_unit_test(a_failed_step_is_reported),      cmocka_unit_test(exec_looks_where_execvp_would),
        cmocka_unit_test(directories_and_files_are_made), cmocka_unit_test(a_parent_that_is_gone_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
