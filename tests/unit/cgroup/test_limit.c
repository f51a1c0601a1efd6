/* Limits as lines for the kernel, whether this host takes them or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cgroup/inside.h"

static struct cgroup_root all_there(void)
{
    struct cgroup_root root = {.has_io_weight = true, .has_bfq_weight = true, .dir_fd = -1};
    for (size_t i = 0; i < CGROUP_NEED_COUNT; i++)
        root.has[i] = true;
    return root;
}

static struct cgroup_limits *make(const struct cgroup_root *root, const shoal_limits_t *limits)
{
    struct cgroup_limits *made = NULL;
    shoal_error_t err = {0};
    if (cgroup_limits_new(&made, root, limits, NULL, NULL, &err) < 0)
        fail_msg("%s", err.text);
    return made;
}

/* "name=value;..." */
static char *lines_of(const struct cgroup_limits *limits)
{
    struct text out = {0};
    text_add(&out, "", 0);
    for (size_t i = 0; i < limits->count; i++)
        text_add_format(&out, "%s=%s;", limits->lines[i].name, limits->lines[i].value);
    return text_take(&out);
}

#define ITEM(kind, number) [SHOAL_LIMIT_##kind] = {.set = true, .value = (number)}

static void test_items(void **state)
{
    (void)state;
    const struct {
        shoal_limits_t limits;
        const char *want;
    } rows[] = {
        {{.items = {ITEM(CPUS, 1500)}}, "cpu.max=150000 100000;"},
        {{.items = {ITEM(CPU_QUOTA, 30000), ITEM(CPU_PERIOD, 60000)}}, "cpu.max=30000 60000;"},
        {{.items = {ITEM(CPU_QUOTA, -1), ITEM(CPU_PERIOD, 60000)}}, "cpu.max=max 60000;"},
        {{.items = {ITEM(CPU_PERIOD, 1000)}}, "cpu.max=max 1000;"},
        {{.items = {ITEM(CPU_SHARES, 1024)}}, "cpu.weight=39;"},
        {{.items = {ITEM(MEMORY, 64), ITEM(MEMORY_SWAP, 96)}}, "memory.max=64;memory.swap.max=32;"},
        {{.items = {ITEM(MEMORY_SWAP, -1)}}, "memory.swap.max=max;"},
        {{.items = {ITEM(IO_WEIGHT, 10)}}, "io.bfq.weight=default 10;io.weight=default 1;"},
        {{.items = {ITEM(IO_WEIGHT, 500)}}, "io.bfq.weight=default 500;io.weight=default 4950;"},
        {{.items = {ITEM(IO_WEIGHT, 1000)}}, "io.bfq.weight=default 1000;io.weight=default 10000;"},
    };
    const struct cgroup_root root = all_there();
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct cgroup_limits *made = make(&root, &rows[i].limits);
        AUTO_FREE char *lines = lines_of(made);
        assert_string_equal(lines, rows[i].want);
        cgroup_limits_unref(made);
    }
}

/* What was accepted to go without leaves no line. */
static void test_degraded(void **state)
{
    (void)state;
    struct cgroup_root root = all_there();
    const shoal_limits_t weight = {.items = {ITEM(IO_WEIGHT, 500)}};
    root.has_io_weight = false;
    struct cgroup_limits *made = make(&root, &weight);
    AUTO_FREE char *bfq_alone = lines_of(made);
    assert_string_equal(bfq_alone, "io.bfq.weight=default 500;");
    cgroup_limits_unref(made);
    root.has[CGROUP_IO_WEIGHT] = root.has[CGROUP_MISC] = false;
    char name[] = "sev", key[] = "x-shoal.misc.sev";
    shoal_named_limit_t misc = {SHOAL_NAMED_MISC, name, 1, -1, key, {0}};
    const shoal_limits_t both = {.items = {ITEM(IO_WEIGHT, 500)}, .named_count = 1, .named = &misc};
    made = make(&root, &both);
    assert_int_equal(made->count, 0);
    cgroup_limits_unref(made);
}

static void test_named(void **state)
{
    (void)state;
    char huge[] = "2MB", device[] = "mlx5_0", resource[] = "sev";
    const shoal_named_limit_t named[] = {
        {SHOAL_NAMED_HUGETLB, huge, 64 << 20, -1, NULL, {0}},
        {SHOAL_NAMED_RDMA, device, 2, -1, NULL, {0}},
        {SHOAL_NAMED_RDMA, device, -1, 2000, NULL, {0}},
        {SHOAL_NAMED_MISC, resource, 3, -1, NULL, {0}},
    };
    struct cgroup_limits *made = calloc(1, sizeof *made + 8 * sizeof *made->settings);
    assert_non_null(made);
    made->references = 1;
    struct limit_making making = {.limits = made};
    for (size_t i = 0; i < COUNT(named); i++)
        limit_add_named(&making, &named[i]);
    assert_false(making.failed);
    assert_true(limits_make_lines(made));
    AUTO_FREE char *lines = lines_of(made);
    assert_string_equal(lines, "hugetlb.2MB.max=67108864;hugetlb.2MB.rsvd.max=67108864;"
                               "rdma.max mlx5_0=hca_handle=2 hca_object=max;rdma.max mlx5_0=hca_handle=max "
                               "hca_object=2000;misc.max sev=3;");
    cgroup_limits_unref(made);
}

/* What differs, with what says that there is no limit for what has gone. */
static void test_compare(void **state)
{
    (void)state;
    const struct cgroup_root root = all_there();
    const shoal_limits_t old = {.items = {ITEM(IO_WEIGHT, 500), ITEM(CPU_QUOTA, 30000)}};
    const shoal_limits_t new = {.items = {ITEM(CPU_QUOTA, 30000), ITEM(PIDS, 7)}};
    struct cgroup_limits *from = make(&root, &old), *to = make(&root, &new);
    struct cgroup_change changes[4];
    assert_int_equal(cgroup_limits_compare(from, to, changes), 3);
    static const char *const want[][3] = {{"io.bfq.weight", "default 500", "default 100"},
                                          {"io.weight", "default 4950", "default 100"},
                                          {"pids.max", "max", "7"}};
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_string_equal(changes[i].name, want[i][0]);
        assert_string_equal(changes[i].from, want[i][1]);
        assert_string_equal(changes[i].to, want[i][2]);
    }
    cgroup_limits_unref(from);
    cgroup_limits_unref(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_degraded),
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
