/* What a fleet needs of the host's limits, and the verdict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "shoal/compose.h"
#include "supervisor/inside.h"

static void judges(void **state)
{
    (void)state;
    static const uint64_t none = SHOAL_ABSENT;
    static const struct {
        uint64_t needed, used, limit;
        const char *network;
        bool estimate;
        shoal_verdict_t verdict;
    } rows[] = {
        {100, 0, 1000, NULL, false, SHOAL_FITS},     {900, 0, 1000, NULL, false, SHOAL_FITS},
        {901, 0, 1000, NULL, false, SHOAL_TIGHT},    {500, 500, 1000, NULL, false, SHOAL_TIGHT},
        {500, 501, 1000, NULL, false, SHOAL_LACKS},  {1, 1000, 1000, NULL, false, SHOAL_LACKS},
        {1, 1001, 1000, NULL, false, SHOAL_LACKS},   {1001, none, 1000, NULL, false, SHOAL_LACKS},
        {500, none, 1000, NULL, false, SHOAL_FITS},  {UINT64_MAX - 1, 5, 1000, NULL, false, SHOAL_LACKS},
        {5000, 0, 1000, NULL, true, SHOAL_TIGHT},    {5000, 0, none, NULL, false, SHOAL_FITS},
        {0, 1000, 1000, NULL, false, SHOAL_FITS}, /* nothing more of what is full already */
        {1023, 0, 1023, "front", false, SHOAL_FITS}, {1024, 0, 1023, "front", false, SHOAL_LACKS},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        shoal_resource_t resource = {
            .needed = rows[i].needed, .used = rows[i].used, .limit = rows[i].limit, .network = rows[i].network};
        if (resources_judge(&resource, rows[i].estimate) != rows[i].verdict)
            fail_msg("row %zu: %s", i, shoal_verdict_name(resources_judge(&resource, rows[i].estimate)));
    }
}

static void on_diagnostic(void *data, shoal_severity_t severity, const shoal_position_t *at, const char *text)
{
    (void)data;
    if (severity == SHOAL_ERROR)
        fail_msg("%d: %s", at->line, text);
}

static uint64_t needed(const struct resources *resources, const char *name, const char *network)
{
    size_t count;
    const shoal_resource_t *items = resources_get(resources, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(items[i].name, name) == 0 &&
            (network == NULL ? items[i].network == NULL
                             : items[i].network != NULL && strcmp(items[i].network, network) == 0))
            return items[i].needed;
    fail_msg("no limit %s", name);
    return 0;
}

static void on_output(void *data, const char *container, int stream, const char *bytes, size_t count)
{
    (void)data, (void)container, (void)stream, (void)bytes, (void)count;
}

static void adds_up(void **state)
{
    (void)state;
    static const char *const environment[] = {NULL};
    shoal_compose_options_t options = {
        .file = "fleet.yaml",
        .text =
            "name: demo\nservices:\n"
            "  a: {image: builtin:busybox, command: [a], scale: 100, networks: [front, back], mem_reservation: 10m}\n"
            "  b: {image: builtin:busybox, command: [a], scale: 10, networks: [front], init: true, tmpfs: [/a, /b]}\n"
            "  c: {image: builtin:busybox, command: [a], scale: 5, network_mode: none, logging: {driver: none}}\n"
            "networks: {front: {x-shoal: {shard: 50}}, back: {ipam: {config: [{subnet: 10.1.0.0/24}]}}}\n"
            "x-shoal: {pool: 3}\n",
        .environ = environment,
    };
    shoal_spec_t *spec = shoal_compose_load(&options, on_diagnostic, NULL);
    assert_non_null(spec);
    struct shoal_supervisor s = {.spec = spec, .in_flight_max = 4};
    struct resources *resources;
    assert_int_equal(resources_open(&resources, &s, NULL), 0);
    enum {
        OWN = 64 + 4 * 8,
        STOCK = 2 * (3 + 3) * 2 + 32
    }; /* b and c have one network or none: three ready for each */
    assert_int_equal(needed(resources, "RLIMIT_NOFILE", NULL), 110 * 4 + 5 * 2 + OWN + STOCK);
    assert_int_equal(needed(resources, "fs.epoll.max_user_watches", NULL), 110 * 3 + 5);
    assert_int_equal(needed(resources, "kernel.pid_max", NULL), 100 + 20 + 5);
    assert_int_equal(needed(resources, "fs.inotify.max_user_watches", NULL), 115); /* no memory, no pids controller */
    assert_int_equal(needed(resources, "fs.inotify.max_user_instances", NULL), 1);
    assert_int_equal(needed(resources, "fs.mount-max", NULL), 24 + 2);
    assert_int_equal(needed(resources, "id_ranges", NULL), 115);
    assert_int_equal(needed(resources, "net.ipv4.neigh.default.gc_thresh3", NULL), 2 * 210);
    assert_int_equal(needed(resources, "MemTotal", NULL) >> 20, 32 + 100 * 10 + 115 / 4 + 210 / 2);
    assert_int_equal(needed(resources, "BR_MAX_PORTS", "front"), 50 + 2);
    assert_int_equal(needed(resources, "addresses", "front"), 110);
    assert_int_equal(needed(resources, "BR_MAX_PORTS", "back"), 100);
    resources_read(resources);
    size_t count;
    const shoal_resource_t *items = resources_get(resources, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i].name, "RLIMIT_NOFILE") == 0 || strcmp(items[i].name, "kernel.pid_max") == 0 ||
            strcmp(items[i].name, "MemTotal") == 0 || strcmp(items[i].name, "fs.file-max") == 0)
            assert_true(items[i].limit != SHOAL_ABSENT && items[i].used > 0 && items[i].used <= items[i].limit);
        assert_non_null(items[i].name);
        assert_non_null(items[i].what);
        assert_non_null(items[i].advice);
    }
    spec->services[1].warm = 7; /* parked just before execve */
    uint64_t before = needed(resources, "RLIMIT_NOFILE", NULL);
    resources_close(resources);
    assert_int_equal(resources_open(&resources, &s, NULL), 0);
    assert_int_equal(needed(resources, "RLIMIT_NOFILE", NULL), before + 7 * 4);
    resources_close(resources);
    spec->services[1].warm = 0;
    s.options.on_output = on_output; /* output is read even where no log is kept */
    assert_int_equal(resources_open(&resources, &s, NULL), 0);
    assert_int_equal(needed(resources, "RLIMIT_NOFILE", NULL), 115 * 4 + OWN + STOCK);
    resources_close(resources);
    shoal_spec_free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges),
        cmocka_unit_test(adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
