/* The room against the kernel: what is made, told, killed and removed. What needs a controller that this host lacks is
 * skipped here and runs in the guest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "cgroup/inside.h"

struct house {
    uv_loop_t loop;
    struct cgroup_root *root;
    char project[32], run_dir[64];
    char leftovers[4][32];
    unsigned leftover_count;
    unsigned closed_count;
    uint64_t empty_count, frozen_count, thawed_count, oom_kills, pids_refused;
    int removed_status; /* 1: not yet */
};

static void on_leftover(void *data, const char *name)
{
    struct house *house = data;
    assert_true(house->leftover_count < COUNT(house->leftovers));
    (void)snprintf(house->leftovers[house->leftover_count++], sizeof house->leftovers[0], "%s", name);
}

static void on_event(void *data, enum cgroup_event event, uint64_t count)
{
    struct house *house = data;
    switch (event) {
    case CGROUP_EVENT_EMPTY:
        house->empty_count++;
        break;
    case CGROUP_EVENT_FROZEN:
        house->frozen_count++;
        break;
    case CGROUP_EVENT_THAWED:
        house->thawed_count++;
        break;
    case CGROUP_EVENT_OOM_KILL:
        house->oom_kills = count;
        break;
    case CGROUP_EVENT_MEMORY_LOW:
    case CGROUP_EVENT_MEMORY_HIGH:
    case CGROUP_EVENT_MEMORY_MAX:
    case CGROUP_EVENT_MEMORY_OOM:
        break;
    case CGROUP_EVENT_PIDS_MAX:
        house->pids_refused = count;
        break;
    }
}

static void on_removed(void *data, int status)
{
    ((struct house *)data)->removed_status = status;
}

static void on_closed(void *data)
{
    ((struct house *)data)->closed_count++;
}

static int set_up(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    if (house == NULL || uv_loop_init(&house->loop) < 0)
        return -1;
    (void)snprintf(house->project, sizeof house->project, "unit-%d", (int)getpid());
    (void)snprintf(house->run_dir, sizeof house->run_dir, "/tmp/shoal-run-XXXXXX");
    *state = house;
    return mkdtemp(house->run_dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct house *house = *state;
    int code = uv_loop_close(&house->loop); /* EBUSY: a handle was left */
    code |= rmdir(house->run_dir);
    free(house);
    return code;
}

static void open_root(struct house *house)
{
    shoal_error_t err = {0};
    if (cgroup_root_open(&house->root, &house->loop, house->project, house->run_dir, on_leftover, house, &err) < 0)
        fail_msg("%s", err.text);
}

static void close_root(struct house *house)
{
    AUTO_FREE char *path = base_format("%s", cgroup_root_path(house->root));
    cgroup_root_close(house->root, on_closed, house);
    assert_int_equal(house->closed_count, 0); /* from the loop, not from inside the call */
    (void)uv_run(&house->loop, UV_RUN_DEFAULT);
    assert_int_equal(house->closed_count, 1);
    assert_int_equal(access(path, F_OK), -1);
    house->closed_count = 0;
}

static int try_create(struct house *house, const shoal_service_t *service, int64_t default_pids, struct cgroup **out,
                      shoal_error_t *err)
{
    const struct cgroup_limit_defaults defaults = {.pids = default_pids, .oom_group = true};
    struct cgroup_limits *limits = NULL;
    int code = cgroup_limits_new(&limits, house->root, &service->limits, &defaults, NULL, err);
    if (code == 0)
        code = cgroup_create(house->root, "one", limits, on_event, house, out, err);
    if (code == 0)
        code = cgroup_let_go(*out, limits, err);
    cgroup_limits_unref(limits); /* the cgroup has its own reference */
    return code;
}

static struct cgroup *create(struct house *house, const shoal_service_t *service, int64_t default_pids)
{
    shoal_error_t err = {0};
    struct cgroup *cgroup = NULL;
    if (try_create(house, service, default_pids, &cgroup, &err) < 0)
        fail_msg("%s", err.text);
    return cgroup;
}

static void remove_cgroup(struct house *house, struct cgroup *cgroup)
{
    house->removed_status = 1;
    cgroup_remove(cgroup, on_removed, house);
    assert_int_equal(house->removed_status, 1);
    while (house->removed_status == 1)
        (void)uv_run(&house->loop, UV_RUN_ONCE);
    assert_int_equal(house->removed_status, 0);
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/one", cgroup_root_path(house->root));
    assert_int_equal(access(path, F_OK), -1);
}

/* A process born in the cgroup, which runs then, and waits to be killed. */
static pid_t start_in(int cgroup_fd_number, void (*then)(void))
{
    struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup_fd_number};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    assert_true(pid >= 0);
    if (pid == 0) {
        if (then != NULL)
            then();
        for (;;)
            (void)pause();
    }
    return (pid_t)pid;
}

static int wait_for(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void run_until(struct house *house, const uint64_t *count)
{
    /* Listening alone keeps no loop going: this timer does, and ends a test that would wait for ever. */
    uv_timer_t patience;
    (void)uv_timer_init(&house->loop, &patience);
    (void)uv_timer_start(&patience, (uv_timer_cb)uv_stop, 20000, 0);
    while (*count == 0 && uv_is_active((uv_handle_t *)&patience))
        (void)uv_run(&house->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&patience, NULL);
    (void)uv_run(&house->loop, UV_RUN_NOWAIT);
    assert_int_not_equal(*count, 0);
}

static void read_file(const struct cgroup *cgroup, const char *file, char *out, size_t room)
{
    assert_true(cgroup_file_read(cgroup_fd(cgroup), file, out, room) > 0);
    out[strcspn(out, "\n")] = '\0';
}

static const shoal_service_t plain;

static void test_root(void **state)
{
    struct house *house = *state;
    open_root(house);
    assert_int_equal(house->leftover_count, 0);
    char owner[128] = "";
    assert_true(getxattr(cgroup_root_path(house->root), "trusted.shoal.run", owner, sizeof owner - 1) > 0);
    assert_string_equal(owner, house->run_dir);
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
        enum cgroup_controller controller = (enum cgroup_controller)i;
        assert_int_equal(cgroup_root_has(house->root, controller),
                         *cgroup_root_why_not(house->root, controller) == '\0');
    }
    close_root(house);
}

static void test_life(void **state)
{
    struct house *house = *state;
    open_root(house);
    struct cgroup *cgroup = create(house, &plain, -1);
    assert_true(cgroup_is_empty(cgroup));
    pid_t pid = start_in(cgroup_fd(cgroup), NULL);
    assert_false(cgroup_is_empty(cgroup));

    shoal_error_t err;
    struct cgroup *again = NULL;
    assert_int_equal(cgroup_create(house->root, "one", NULL, on_event, house, &again, &err), -EEXIST);
    assert_non_null(strstr(err.text, "/one"));
    assert_false(cgroup_is_empty(cgroup)); /* the refusal took nothing away */

    assert_int_equal(cgroup_kill(cgroup, &err), 0);
    assert_int_equal(wait_for(pid), SIGKILL);
    run_until(house, &house->empty_count);
    assert_int_equal(house->empty_count, 1);
    assert_true(cgroup_is_empty(cgroup));
    shoal_sample_t sample;
    memset(&sample, 0xff, sizeof sample);
    cgroup_read_sample(cgroup, &sample);
    assert_int_not_equal(sample.cpu.usage_usec, SHOAL_ABSENT);
    assert_int_equal(sample.memory.current == SHOAL_ABSENT, !cgroup_root_has(house->root, CGROUP_MEMORY));
    shoal_sample_t last;
    memset(&last, 0xff, sizeof last);
    cgroup_read_last_sample(cgroup, &last);
    assert_int_equal(last.cpu.usage_usec, sample.cpu.usage_usec);
    remove_cgroup(house, cgroup);
    close_root(house);
}

/* Told once each, when the kernel says so; one of its tasks that is killed meanwhile, or a new one, is no thaw. */
static void test_frozen(void **state)
{
    struct house *house = *state;
    open_root(house);
    struct cgroup *cgroup = create(house, &plain, -1);
    pid_t first = start_in(cgroup_fd(cgroup), NULL), second = start_in(cgroup_fd(cgroup), NULL);
    shoal_error_t err;
    assert_int_equal(cgroup_freeze(cgroup, true, &err), 0);
    run_until(house, &house->frozen_count);
    assert_true(cgroup_is_frozen(cgroup));
    char events[128];
    assert_true(cgroup_file_read(cgroup_fd(cgroup), "cgroup.events", events, sizeof events) > 0);
    assert_non_null(strstr(events, "frozen 1"));

    assert_int_equal(kill(first, SIGKILL), 0);
    assert_int_equal(wait_for(first), SIGKILL);
    pid_t third = start_in(cgroup_fd(cgroup), NULL); /* it stops at once, and so "frozen" goes to 0 and back */
    do
        assert_true(cgroup_file_read(cgroup_fd(cgroup), "cgroup.events", events, sizeof events) > 0);
    while (strstr(events, "frozen 1") == NULL);
    for (int i = 0; i < 10; i++)
        (void)uv_run(&house->loop, UV_RUN_NOWAIT);
    assert_int_equal(house->thawed_count, 0);

    assert_int_equal(cgroup_freeze(cgroup, false, &err), 0);
    run_until(house, &house->thawed_count);
    assert_false(cgroup_is_frozen(cgroup));
    assert_int_equal(cgroup_freeze(cgroup, true, &err), 0);
    assert_int_equal(cgroup_kill(cgroup, &err), 0);
    assert_int_equal(wait_for(second), SIGKILL);
    assert_int_equal(wait_for(third), SIGKILL);
    run_until(house, &house->empty_count);
    assert_int_equal(house->thawed_count, 1);
    remove_cgroup(house, cgroup);
    close_root(house);
}

/* Directories that were made from inside, with processes still in them. */
static void test_remove_busy(void **state)
{
    struct house *house = *state;
    open_root(house);
    struct cgroup *cgroup = create(house, &plain, -1);
    assert_int_equal(mkdirat(cgroup_fd(cgroup), "a", 0755), 0);
    assert_int_equal(mkdirat(cgroup_fd(cgroup), "a/b", 0755), 0);
    AUTO_FD deep = openat(cgroup_fd(cgroup), "a/b", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pid_t inner = start_in(deep, NULL), outer = start_in(cgroup_fd(cgroup), NULL);
    (void)signal(SIGCHLD, SIG_IGN); /* nobody waits for them: what is gone is gone */
    remove_cgroup(house, cgroup);
    assert_int_equal(kill(inner, 0), -1);
    assert_int_equal(kill(outer, 0), -1);
    (void)signal(SIGCHLD, SIG_DFL);
    close_root(house);
}

static void test_leftovers(void **state)
{
    struct house *house = *state;
    open_root(house); /* stays open, as if killed: the next one finds what it made */
    struct house next = {.leftover_count = 0};
    struct cgroup *cgroup = create(house, &plain, -1);
    assert_int_equal(mkdirat(cgroup_fd(cgroup), "inner", 0755), 0);
    (void)signal(SIGCHLD, SIG_IGN);
    pid_t pid = start_in(cgroup_fd(cgroup), NULL);
    shoal_error_t err = {0};
    if (cgroup_root_open(&next.root, &house->loop, house->project, house->run_dir, on_leftover, &next, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(next.leftover_count, 1);
    assert_string_equal(next.leftovers[0], "one");
    assert_int_equal(kill(pid, 0), -1);
    (void)signal(SIGCHLD, SIG_DFL);
    remove_cgroup(house, cgroup); /* that it is gone already is no error */
    cgroup_root_close(next.root, on_closed, &next);
    (void)uv_run(&house->loop, UV_RUN_DEFAULT);
    assert_int_equal(next.closed_count, 1);
    close_root(house);
}

static void test_owner(void **state)
{
    struct house *house = *state, other = {.leftover_count = 0};
    char dir[96], lock[112];
    (void)snprintf(dir, sizeof dir, "%s/%s", house->run_dir, house->project);
    (void)snprintf(lock, sizeof lock, "%s/lock", dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    open_root(house);
    struct cgroup *cgroup = create(house, &plain, -1);

    shoal_error_t err = {0};
    assert_int_equal(
        cgroup_root_open(&other.root, &house->loop, house->project, "/elsewhere", on_leftover, &other, &err), -EBUSY);
    assert_non_null(strstr(err.text, house->run_dir));
    assert_int_equal(other.leftover_count, 0);
    assert_int_equal(faccessat(cgroup_fd(cgroup), ".", F_OK, 0), 0); /* somebody else's, untouched */

    (void)close(fd); /* now the owner is gone */
    assert_int_equal(
        cgroup_root_open(&other.root, &house->loop, house->project, "/elsewhere", on_leftover, &other, &err), 0);
    assert_int_equal(other.leftover_count, 1);
    remove_cgroup(house, cgroup);
    cgroup_root_close(other.root, on_closed, &other);
    (void)uv_run(&house->loop, UV_RUN_DEFAULT);
    close_root(house);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* In a subtree that is delegated to us we stay, and move ourselves to a leaf of it. */
static void test_delegated(void **state)
{
    struct house *house = *state;
    open_root(house);
    struct cgroup *cgroup = create(house, &plain, -1);
    assert_int_equal(fsetxattr(cgroup_fd(cgroup), "trusted.delegate", "1", 1, 0), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", (int)getpid());
        shoal_error_t err;
        struct house inner = {.leftover_count = 0};
        if (cgroup_file_write(cgroup_fd(cgroup), "cgroup.procs", text, &err) < 0 || uv_loop_init(&inner.loop) < 0)
            _exit(1);
        if (cgroup_root_open(&inner.root, &inner.loop, "inner", house->run_dir, on_leftover, &inner, &err) < 0)
            _exit(2);
        AUTO_FREE char *want = base_format("%s/one/shoal/inner", cgroup_root_path(house->root));
        if (want == NULL || strcmp(cgroup_root_path(inner.root), want) != 0)
            _exit(3);
        char procs[64];
        if (faccessat(cgroup_fd(cgroup), "supervisor", F_OK, 0) < 0 ||
            cgroup_file_read(cgroup_fd(cgroup), "supervisor/cgroup.procs", procs, sizeof procs) <= 0 ||
            atoi(procs) != getpid())
            _exit(4);
        struct cgroup *made = NULL;
        if (cgroup_create(inner.root, "one", NULL, on_event, &inner, &made, &err) < 0)
            _exit(5);
        inner.removed_status = 1;
        cgroup_remove(made, on_removed, &inner);
        (void)uv_run(&inner.loop, UV_RUN_DEFAULT);
        cgroup_root_close(inner.root, on_closed, &inner);
        (void)uv_run(&inner.loop, UV_RUN_DEFAULT);
        _exit(inner.removed_status == 0 && inner.closed_count == 1 && faccessat(cgroup_fd(cgroup), "shoal", F_OK, 0) < 0
                  ? 0
                  : 6);
    }
    assert_int_equal(wait_for(pid), 0);
    remove_cgroup(house, cgroup);
    close_root(house);
}

#define NEEDS(house, controller)                                                                                       \
    do {                                                                                                               \
        if (!cgroup_root_has((house)->root, (controller))) {                                                           \
            close_root(house);                                                                                         \
            skip();                                                                                                    \
        }                                                                                                              \
    } while (0)

static void test_limits(void **state)
{
    struct house *house = *state;
    open_root(house);
    NEEDS(house, CGROUP_MEMORY);
    NEEDS(house, CGROUP_CPU);
    NEEDS(house, CGROUP_CPUSET);
    NEEDS(house, CGROUP_PIDS);
    char cpus[] = "0";
    shoal_service_t service = {0};
    service.limits.items[SHOAL_LIMIT_MEMORY] = (shoal_limit_t){.set = true,
                                                               .value = (64 << 20) + 1}; /* rounded to pages */
    service.limits.items[SHOAL_LIMIT_MEMORY_SWAP] = (shoal_limit_t){.set = true, .value = (96 << 20) + 1};
    service.limits.items[SHOAL_LIMIT_MEMORY_RESERVATION] = (shoal_limit_t){.set = true, .value = 32 << 20};
    service.limits.items[SHOAL_LIMIT_CPUS] = (shoal_limit_t){.set = true, .value = 1500};
    service.limits.items[SHOAL_LIMIT_CPU_SHARES] = (shoal_limit_t){.set = true, .value = 1024};
    service.limits.items[SHOAL_LIMIT_CPUSET] = (shoal_limit_t){.set = true, .text = cpus};
    service.limits.items[SHOAL_LIMIT_PIDS] = (shoal_limit_t){.set = true, .value = 17};
    struct cgroup *cgroup = create(house, &service, 4096);
    const struct {
        const char *file, *want;
    } rows[] = {
        {"memory.max", "67108864"}, {"memory.swap.max", "33554432"},
        {"memory.low", "33554432"}, {"cpu.max", "150000 100000"},
        {"cpu.weight", "39"},       {"cpuset.cpus", "0"},
        {"pids.max", "17"},         {"memory.oom.group", "1"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char got[64];
        if (faccessat(cgroup_fd(cgroup), rows[i].file, F_OK, 0) < 0) {
            assert_string_equal(rows[i].file, "memory.swap.max"); /* a kernel without swap */
            continue;
        }
        read_file(cgroup, rows[i].file, got, sizeof got);
        assert_string_equal(got, rows[i].want);
    }
    shoal_sample_t sample;
    memset(&sample, 0xff, sizeof sample);
    cgroup_read_sample(cgroup, &sample);
    assert_int_equal(sample.spec.cpu_quota, 150000);
    assert_int_equal(sample.spec.cpu_period, 100000);
    assert_int_equal(sample.spec.cpu_weight, 39);
    assert_int_equal(sample.spec.memory_low, 32 << 20);
    assert_int_equal(sample.spec.memory_high, SHOAL_ABSENT);
    assert_true(sample.limit_count >= COUNT(rows) - 1);
    remove_cgroup(house, cgroup);

    /* The ends of cpu_shares, and no limit at all. */
    const struct {
        int64_t shares;
        const char *weight;
    } ends[] = {{2, "1"}, {262144, "10000"}};
    for (size_t i = 0; i < COUNT(ends); i++) {
        shoal_service_t shares = {0};
        shares.limits.items[SHOAL_LIMIT_CPU_SHARES] = (shoal_limit_t){.set = true, .value = ends[i].shares};
        shares.limits.items[SHOAL_LIMIT_PIDS] = (shoal_limit_t){.set = true, .value = -1};
        cgroup = create(house, &shares, 4096);
        char got[64];
        read_file(cgroup, "cpu.weight", got, sizeof got);
        assert_string_equal(got, ends[i].weight);
        read_file(cgroup, "pids.max", got, sizeof got);
        assert_string_equal(got, "max");
        remove_cgroup(house, cgroup);
    }
    close_root(house);
}

/* What the kernel refuses names file and value, and the directory is gone. */
static void test_bad_limit(void **state)
{
    struct house *house = *state;
    open_root(house);
    NEEDS(house, CGROUP_CPUSET);
    char cpus[] = "8000";
    shoal_service_t service = {0};
    service.limits.items[SHOAL_LIMIT_CPUSET] = (shoal_limit_t){.set = true, .text = cpus};
    struct cgroup *cgroup = NULL;
    shoal_error_t err = {0};
    assert_true(try_create(house, &service, 10, &cgroup, &err) < 0);
    assert_non_null(strstr(err.text, "cpuset.cpus"));
    assert_non_null(strstr(err.text, "8000"));
    assert_null(cgroup);
    close_root(house); /* finds PROJECT gone, so it was empty */
}

static void fork_until_refused(void)
{
    while (fork() > 0)
        continue;
}

static void test_pids_event(void **state)
{
    struct house *house = *state;
    open_root(house);
    NEEDS(house, CGROUP_PIDS);
    struct cgroup *cgroup = create(house, &plain, 3);
    pid_t pid = start_in(cgroup_fd(cgroup), fork_until_refused);
    run_until(house, &house->pids_refused);
    shoal_sample_t last;
    memset(&last, 0xff, sizeof last);
    cgroup_read_last_sample(cgroup, &last);
    assert_true(last.pids.refused >= 1 && last.pids.refused != SHOAL_ABSENT);
    shoal_error_t err;
    assert_int_equal(cgroup_kill(cgroup, &err), 0);
    (void)wait_for(pid);
    remove_cgroup(house, cgroup);
    close_root(house);
}

static void eat_memory(void)
{
    for (;;) {
        char *part = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (part == MAP_FAILED)
            _exit(1);
    }
}

static void test_oom_event(void **state)
{
    struct house *house = *state;
    open_root(house);
    NEEDS(house, CGROUP_MEMORY);
    shoal_service_t service = {0};
    service.limits.items[SHOAL_LIMIT_MEMORY] = (shoal_limit_t){.set = true, .value = 16 << 20};
    service.limits.items[SHOAL_LIMIT_MEMORY_SWAP] = (shoal_limit_t){.set = true, .value = 16 << 20};
    struct cgroup *cgroup = create(house, &service, -1);
    pid_t bystander = start_in(cgroup_fd(cgroup), NULL), eater = start_in(cgroup_fd(cgroup), eat_memory);
    run_until(house, &house->oom_kills);
    run_until(house, &house->empty_count);
    assert_int_equal(wait_for(eater), SIGKILL);
    assert_int_equal(wait_for(bystander), SIGKILL); /* memory.oom.group: all or none */
    shoal_sample_t last;
    memset(&last, 0xff, sizeof last);
    cgroup_read_last_sample(cgroup, &last);
    assert_true(last.memory.events.oom_kill >= 1 && last.memory.events.oom_kill != SHOAL_ABSENT);
    assert_true(last.memory.peak == SHOAL_ABSENT || last.memory.peak >= 15 << 20);
    struct cgroup_oom oom;
    cgroup_find_oom(cgroup, &oom);
    assert_true(oom.all);
    assert_int_equal(oom.level, CGROUP_LEVEL_OWN);
    assert_int_equal(oom.limit_bytes, 16 << 20);
    assert_non_null(strstr(oom.path, "/shoal/"));
    cgroup_find_oom(cgroup, &oom); /* what was told once is no news */
    assert_false(oom.all);
    assert_int_equal(oom.level, CGROUP_LEVEL_HOST);
    remove_cgroup(house, cgroup);
    close_root(house);
}

/* The tightest limit on the way up is the one that counts; and looking makes nothing. */
static void test_room(void **state)
{
    struct house *house = *state;
    struct cgroup_root *look;
    shoal_error_t err = {0};
    AUTO_FREE char *before = NULL;
    assert_int_equal(cgroup_root_look(&look, &err), 0);
    before = base_format("%s/shoal/%s", look->top, house->project);
    assert_int_equal(access(before, F_OK), -1);
    open_root(house);
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
        if (cgroup_root_has(house->root, (enum cgroup_controller)i))
            assert_true(cgroup_root_has(look, (enum cgroup_controller)i));
    cgroup_root_free(look);

    static const char *const dirs[] = {"outer", "outer/inner", "outer/inner/leaf"};
    for (size_t i = 0; i < COUNT(dirs); i++)
        assert_int_equal(mkdirat(house->root->dir_fd, dirs[i], 0755), 0);
    static const struct {
        const char *outer, *inner;
        uint64_t used, limit;
    } rows[] = {{"3", "100", 2, 3}, {"100", "2", 1, 2}, {"1", "1", 2, 1}, {"50", "max", 2, 50}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(cgroup_file_write(house->root->dir_fd, "outer/cgroup.max.descendants", rows[i].outer, NULL),
                         0);
        assert_int_equal(
            cgroup_file_write(house->root->dir_fd, "outer/inner/cgroup.max.descendants", rows[i].inner, NULL), 0);
        AUTO_FREE char *top = base_format("%s/outer/inner", house->root->path);
        struct cgroup_root root = {.top = top, .mount_length = house->root->mount_length};
        struct cgroup_room room;
        cgroup_read_room(&root, &room);
        if (room.descendants != rows[i].used || room.descendants_max != rows[i].limit)
            fail_msg("row %zu: %llu of %llu", i, (unsigned long long)room.descendants,
                     (unsigned long long)room.descendants_max);
    }
    assert_int_equal(cgroup_tree_remove(house->root->dir_fd, "outer"), 0);
    close_root(house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_root, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_frozen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_remove_busy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leftovers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_owner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delegated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pids_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_oom_event, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
