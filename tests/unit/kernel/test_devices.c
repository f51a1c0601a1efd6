/* The program that decides about devices: run by a small interpreter, loaded into the kernel, and asked by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/base.h"
#include "kernel/devices.h"

#define R SHOAL_DEVICE_READ
#define W SHOAL_DEVICE_WRITE
#define M SHOAL_DEVICE_MKNOD
#define ANY SHOAL_ANY_DEVICE

/* The instructions that we use, as instruction-set.rst defines them. */
static uint64_t run(const struct bpf_insn *code, size_t count, const struct bpf_cgroup_dev_ctx *context)
{
    uint64_t registers[11] = {0};
    size_t steps = 0;
    for (size_t pc = 0; pc < count; pc++) {
        const struct bpf_insn *i = &code[pc];
        uint64_t *to = &registers[i->dst_reg];
        uint32_t word;
        assert_true(steps++ < count); /* no way back */
        switch (i->code) {
        case BPF_LDX | BPF_MEM | BPF_W:
            assert_int_equal(i->src_reg, BPF_REG_1);
            assert_true(i->off >= 0 && (size_t)i->off + sizeof word <= sizeof *context);
            memcpy(&word, (const char *)context + i->off, sizeof word);
            *to = word;
            break;
        case BPF_ALU64 | BPF_MOV | BPF_X:
            *to = registers[i->src_reg];
            break;
        case BPF_ALU64 | BPF_MOV | BPF_K:
            *to = (uint64_t)(int64_t)i->imm;
            break;
        case BPF_ALU64 | BPF_AND | BPF_K:
            *to &= (uint64_t)(int64_t)i->imm;
            break;
        case BPF_ALU64 | BPF_RSH | BPF_K:
            *to >>= i->imm;
            break;
        case BPF_JMP | BPF_JNE | BPF_K:
            assert_true(i->off >= 0);
            if (*to != (uint64_t)(int64_t)i->imm)
                pc += (size_t)i->off;
            break;
        case BPF_JMP | BPF_EXIT:
            return registers[0];
        default:
            fail_msg("instruction 0x%x", i->code);
        }
    }
    fail_msg("fell off the end");
    return 0;
}

static bool ask(const struct bpf_insn *code, size_t count, char type, unsigned major_, unsigned minor_, unsigned access)
{
    struct bpf_cgroup_dev_ctx context = {
        .access_type = access << 16 | (type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR),
        .major = major_,
        .minor = minor_,
    };
    uint64_t answer = run(code, count, &context);
    assert_true(answer <= 1);
    return answer == 1;
}

static const struct {
    shoal_device_rule_t rules[4];
    size_t count;
    struct {
        char type;
        unsigned major, minor, access;
        bool allowed;
    } asked[8]; /* type 0: no more */
} rows[] = {
    {{{0}}, 0, {{'c', 1, 3, R, false}, {'b', 8, 0, M, false}}},
    {{{.type = 'c', .major = 10, .minor = 200, .access = R}},
     1,
     {{'c', 10, 200, R, true},
      {'c', 10, 200, W, false},
      {'c', 10, 200, R | W, false},
      {'c', 10, 200, M, false},
      {'c', 10, 201, R, false},
      {'c', 11, 200, R, false},
      {'b', 10, 200, R, false}}},
    {{{.type = 'b', .major = 8, .minor = ANY, .access = R | W}},
     1,
     {{'b', 8, 0, R | W, true},
      {'b', 8, 1048575, W, true},
      {'b', 8, 1, M, false},
      {'b', 9, 1, R, false},
      {'c', 8, 1, R, false}}},
    {{{.type = 'a', .major = ANY, .minor = ANY, .access = R | W | M}},
     1,
     {{'b', 8, 0, R | W, true}, {'c', 4095, 1048575, M, true}}},
    {{{.type = 'a', .major = 7, .minor = ANY, .access = R}},
     1,
     {{'b', 7, 3, R, true}, {'c', 7, 3, R, true}, {'c', 8, 3, R, false}}},
    /* access adds up, whatever the order */
    {{{.type = 'c', .major = 5, .minor = 1, .access = R}, {.type = 'c', .major = 5, .minor = 1, .access = W}},
     2,
     {{'c', 5, 1, R | W, true}, {'c', 5, 1, M, false}, {'c', 5, 2, R, false}}},
    {{{.type = 'c', .major = 5, .minor = 1, .access = R},
      {.type = 'a', .major = ANY, .minor = ANY, .access = M},
      {.type = 'c', .major = 5, .minor = ANY, .access = W},
      {.type = 'c', .major = ANY, .minor = 1, .access = R}},
     4,
     {{'c', 5, 1, R | W | M, true},
      {'c', 5, 2, W, true},
      {'c', 5, 2, R, false},
      {'c', 5, 2, W | M, true},
      {'c', 6, 1, R | M, true},
      {'c', 6, 1, W, false},
      {'b', 5, 1, M, true},
      {'b', 5, 1, R, false}}},
};

static void rules_decide(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        shoal_error_t err = {0};
        struct bpf_insn *code = NULL;
        size_t count = 0;
        assert_int_equal(devices_compile(rows[i].rules, rows[i].count, &code, &count, &err), 0);
        for (size_t k = 0; k < COUNT(rows[i].asked) && rows[i].asked[k].type != 0; k++)
            if (ask(code, count, rows[i].asked[k].type, rows[i].asked[k].major, rows[i].asked[k].minor,
                    rows[i].asked[k].access) != rows[i].asked[k].allowed)
                fail_msg("row %zu, question %zu", i, k);
        free(code);
    }
}

/* What a wider rule says already takes no instructions. */
static void what_is_said_twice_goes(void **state)
{
    (void)state;
    shoal_device_rule_t rules[40];
    for (size_t i = 0; i < COUNT(rules); i++)
        rules[i] = (shoal_device_rule_t){.type = i % 2 ? 'c' : 'b', .major = 9, .minor = (int)i % 4, .access = R};
    rules[39] = (shoal_device_rule_t){.type = 'a', .major = ANY, .minor = ANY, .access = SHOAL_DEVICE_ALL};
    struct bpf_insn *code = NULL;
    size_t all = 0, few = 0;
    assert_int_equal(devices_compile(rules, 39, &code, &few, NULL), 0);
    free(code);
    assert_int_equal(devices_compile(rules, 4, &code, &all, NULL), 0);
    free(code);
    assert_int_equal(few, all);
    assert_int_equal(devices_compile(rules + 39, 1, &code, &all, NULL), 0);
    free(code);
    assert_int_equal(devices_compile(rules, 40, &code, &few, NULL), 0);
    assert_true(few < all + 4 * 8 + 1);
    assert_true(ask(code, few, 'c', 77, 7, R | W | M));
    free(code);
}

static void defaults(void **state)
{
    (void)state;
    size_t rule_count = 0, count = 0;
    const shoal_device_rule_t *rules = devices_default_rules(&rule_count);
    struct bpf_insn *code = NULL;
    assert_int_equal(devices_compile(rules, rule_count, &code, &count, NULL), 0);
    static const struct {
        unsigned major, minor;
    } allowed[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 2}, {136, 0}, {136, 1048575}},
      refused[] = {{1, 1}, {1, 2}, {1, 4}, {1, 11}, {4, 1}, {5, 1}, {10, 200}, {10, 229}, {10, 232}, {137, 0}};
    for (size_t i = 0; i < COUNT(allowed); i++)
        assert_true(ask(code, count, 'c', allowed[i].major, allowed[i].minor, R | W));
    for (size_t i = 0; i < COUNT(refused); i++) {
        assert_false(ask(code, count, 'c', refused[i].major, refused[i].minor, R));
        assert_false(ask(code, count, 'c', refused[i].major, refused[i].minor, W));
        assert_true(ask(code, count, 'c', refused[i].major, refused[i].minor, M));
    }
    assert_false(ask(code, count, 'b', 1, 3, R)); /* a RAM disk, not null */
    free(code);
}

/* ---- the kernel's own mind ---- */

struct house {
    char outer[300], inner[320]; /* cgroups, one in the other */
    int outer_fd, inner_fd;
};

static int set_up(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[1024], point[200] = "", type[32];
    while (house != NULL && file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *rest = strstr(line, " - ");
        if (rest != NULL && sscanf(rest, " - %31s", type) == 1 && strcmp(type, "cgroup2") == 0)
            (void)sscanf(line, "%*d %*d %*s %*s %199s", point);
    }
    if (house == NULL || file == NULL)
        return -1;
    (void)fclose(file);
    (void)snprintf(house->outer, sizeof house->outer, "%s/unit-devices-%d", point, (int)getpid());
    (void)snprintf(house->inner, sizeof house->inner, "%s/in", house->outer);
    house->outer_fd = house->inner_fd = -1;
    if (point[0] != '\0' && mkdir(house->outer, 0755) == 0 && mkdir(house->inner, 0755) == 0) {
        house->outer_fd = open(house->outer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        house->inner_fd = open(house->inner, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;
    base_close_fd(&house->outer_fd);
    base_close_fd(&house->inner_fd);
    int code = rmdir(house->inner) < 0 && errno != ENOENT ? -1 : 0;
    code = rmdir(house->outer) < 0 && errno != ENOENT ? -1 : code;
    free(house);
    return code;
}

/* The errno of opening a device from within the cgroup; 0 it could be opened. */
static int open_in(int cgroup_fd, const char *path, int flags)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int procs = openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        if (procs < 0 || write(procs, "0", 1) != 1)
            _exit(255);
        _exit(open(path, flags | O_CLOEXEC | O_NONBLOCK) < 0 ? errno : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int load(const shoal_device_rule_t *rules, size_t count)
{
    shoal_error_t err = {0};
    int fd = devices_load(rules, count, &err);
    if (fd < 0) {
        print_message("%s\n", err.text);
        if (err.code != -EPERM && err.code != -ENOSYS)
            fail(); /* EINVAL is also said by the verifier, of a wrong program: that must not pass for a kernel without */
        skip();
    }
    return fd;
}

/* The kernel's verifier has to understand every kind of rule. */
static void every_row_loads(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO_FD fd = load(rows[i].rules, rows[i].count);
        assert_true(fd >= 0);
    }
    size_t count = 0;
    const shoal_device_rule_t *rules = devices_default_rules(&count);
    AUTO_FD fd = load(rules, count);
    assert_true(fd >= 0);
}

static void kernel_asks_it(void **state)
{
    struct house *house = *state;
    if (house->inner_fd < 0)
        skip(); /* no cgroup2 that we may write to */
    shoal_device_rule_t null_read = {.type = 'c', .major = 1, .minor = 3, .access = R};
    shoal_device_rule_t zero_all = {.type = 'c', .major = 1, .minor = 5, .access = SHOAL_DEVICE_ALL};
    AUTO_FD outer = load(&null_read, 1);
    AUTO_FD inner = load(&zero_all, 1);
    shoal_error_t err = {0};
    assert_int_equal(devices_leaves_room(house->outer_fd), -ENOENT);
    assert_int_equal(devices_attach(house->outer_fd, outer, true, &err), 0);
    assert_int_equal(devices_leaves_room(house->outer_fd), 1);
    assert_int_equal(devices_leaves_room(house->inner_fd), -ENOENT);
    assert_int_equal(open_in(house->inner_fd, "/dev/null", O_RDONLY), 0);
    assert_int_equal(open_in(house->inner_fd, "/dev/null", O_WRONLY), EPERM);
    assert_int_equal(open_in(house->inner_fd, "/dev/zero", O_RDONLY), EPERM);
    assert_int_equal(devices_attach(house->inner_fd, inner, false, &err), 0);
    assert_int_equal(open_in(house->inner_fd, "/dev/null", O_RDONLY), EPERM);
    assert_int_equal(open_in(house->inner_fd, "/dev/zero", O_RDWR), 0);
    assert_int_equal(open_in(house->outer_fd, "/dev/null", O_RDONLY), 0); /* it goes on outside */
}

static void attach_without_room(int cgroup_fd, int program_fd)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.target_fd = (unsigned)cgroup_fd;
    attr.attach_bpf_fd = (unsigned)program_fd;
    attr.attach_type = BPF_CGROUP_DEVICE;
    assert_int_equal(syscall(321 /* bpf */, BPF_PROG_ATTACH, &attr, sizeof attr), 0);
}

static void one_above_that_leaves_no_room(void **state)
{
    struct house *house = *state;
    if (house->inner_fd < 0)
        skip();
    shoal_device_rule_t all = {.type = 'a', .major = ANY, .minor = ANY, .access = SHOAL_DEVICE_ALL};
    AUTO_FD program = load(&all, 1);
    attach_without_room(house->outer_fd, program);
    shoal_error_t err = {0};
    assert_int_equal(devices_leaves_room(house->outer_fd), 0);
    assert_int_equal(devices_attach(house->inner_fd, program, true, &err), -EPERM);
    assert_string_equal(err.text, "attach its device program: Operation not permitted");
}

/* As many rules as a directory full of devices gives: the kernel's verifier has to get through. */
static void many_rules_load(void **state)
{
    (void)state;
    enum { MANY = 600 };
    shoal_device_rule_t *rules = calloc(MANY, sizeof *rules);
    assert_non_null(rules);
    for (int i = 0; i < MANY; i++)
        rules[i] = (shoal_device_rule_t){
            .type = i % 3 ? 'c' : 'b', .major = i / 7, .minor = i, .access = R | (i % 2 ? W : 0)};
    AUTO_FD fd = load(rules, MANY);
    assert_true(fd >= 0);
    free(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_decide),
        cmocka_unit_test(what_is_said_twice_goes),
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_row_loads),
        cmocka_unit_test_setup_teardown(kernel_asks_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_above_that_leaves_no_room, set_up, tear_down),
        cmocka_unit_test(many_rules_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
