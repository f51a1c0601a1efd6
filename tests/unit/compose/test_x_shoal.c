/* The keys of x-shoal about what is made ahead. */
#include "loading.h"

static void values(void **state)
{
    (void)state;
    char *findings = NULL;
    shoal_spec_t *spec = load_text("services:\n"
                                   "  a: {image: builtin:busybox, x-shoal: {warm: 7}}\n"
                                   "  b: {image: builtin:busybox}\n"
                                   "x-shoal: {pool: 0}\n",
                                   &findings);
    assert_string_equal(findings, "");
    assert_non_null(spec);
    assert_int_equal(spec->services[0].warm, 7);
    assert_int_equal(spec->services[1].warm, 0);
    assert_true(spec->pool_set);
    assert_int_equal(spec->pool, 0);
    shoal_spec_free(spec);
    free(findings);
    spec = load_text("services: {a: {image: builtin:busybox}}\n", &findings);
    assert_non_null(spec);
    assert_false(spec->pool_set);
    shoal_spec_free(spec);
    free(findings);
}

static void errors(void **state)
{
    (void)state;
    char *findings = NULL;
    assert_null(load_text("services:\n"
                          "  a: {image: builtin:busybox, x-shoal: {warm: -1}}\n"
                          "  b: {image: builtin:busybox, x-shoal: {warm: some}}\n"
                          "x-shoal: {pool: 65}\n",
                          &findings));
    assert_non_null(strstr(findings, "2:41: error: services.a.x-shoal.warm: -1 is out of range"));
    assert_non_null(strstr(findings, "3:41: error: services.b.x-shoal.warm: \"some\""));
    assert_non_null(strstr(findings, "4:11: error: x-shoal.pool: 65 is out of range; it goes from 0 to 64"));
    free(findings);
}

/* Limits of a run, and rules about its pressure. */
static void limits_and_rules(void **state)
{
    (void)state;
    char *findings = NULL;
    assert_null(
        load_text("x-shoal: {pressure: [{on: memory, some: 1ms, do: kill}, {of: galaxy, on: io, some: 1ms}]}\n"
                  "services:\n"
                  "  a: {image: builtin:busybox, x-shoal: {limits: {wall: 0, idle: 999ms, output: 0, wal: 1s}}}\n"
                  "  b: {image: builtin:busybox, x-shoal: {pressure: [{}, {on: cpu, some: 3s, of: host}]}}\n",
                  &findings));
    static const char *const wanted[] = {
        "x-shoal.pressure.0: do: of the fleet it is event or shrink",
        "\"galaxy\" is not known; write fleet or host",
        "services.a.x-shoal.limits.wall: \"0\" is too short; write at least 1 ms",
        "services.a.x-shoal.limits.idle: \"999ms\" is too short; write at least 1000 ms",
        "services.a.x-shoal.limits.output: of 0 would end it",
        "services.a.x-shoal.limits.wal: unknown key; did you mean \"wall\"?",
        "services.b.x-shoal.pressure.0: needs on: cpu, memory or io",
        "services.b.x-shoal.pressure.0: needs one of some and full",
        "services.b.x-shoal.pressure.1: nobody waits for 3000 ms within 2000 ms",
        "services.b.x-shoal.pressure.1: of: is for rules of the file",
    };
    for (size_t i = 0; i < COUNT(wanted); i++)
        if (strstr(findings, wanted[i]) == NULL)
            fail_msg("%s\nis not in\n%s", wanted[i], findings);
    free(findings);
}

static void disks(void **state)
{
    (void)state;
    char *findings = NULL;
    shoal_spec_t *spec = load_text(
        "x-shoal: {profiles: {small: {x-shoal: {disk: {size: 8m, via: tmpfs}}}}}\n"
        "services:\n"
        "  a: {image: builtin:busybox, x-shoal: {disk: {size: 1g, inodes: 100k, via: quota}}}\n"
        "  b: {image: builtin:busybox, x-shoal: {disk: 1g}, storage_opt: {size: 1024m}}\n"
        "  c: {image: builtin:busybox, storage_opt: {size: 2G}}\n"
        "  d: {image: builtin:busybox, x-shoal: {profile: small}}\n"
        "  e: {image: builtin:busybox, storage_opt: {size: 2G}, x-shoal: {profile: small}}\n"
        "  f: {image: builtin:busybox}\n",
        &findings);
    assert_string_equal(findings, "");
    assert_non_null(spec);
    static const shoal_disk_t wanted[] = {
        {.set = true, .bytes = 1 << 30, .inodes = 100000, .via = SHOAL_DISK_QUOTA},
        {.set = true, .bytes = 1 << 30},
        {.set = true, .bytes = UINT64_C(2) << 30},
        {.set = true, .bytes = 8 << 20, .via = SHOAL_DISK_TMPFS},
        {.set = true, .bytes = UINT64_C(2) << 30},
        {.set = false},
    };
    for (size_t i = 0; i < COUNT(wanted); i++) {
        const shoal_disk_t *disk = &spec->services[i].disk;
        assert_int_equal(disk->set, wanted[i].set);
        assert_int_equal(disk->bytes, wanted[i].bytes);
        assert_int_equal(disk->inodes, wanted[i].inodes);
        assert_int_equal(disk->via, wanted[i].via);
        for (size_t k = 0; k < spec->services[i].fixed_count; k++) /* its numbers can change while it runs */
            assert_true(strstr(spec->services[i].fixed[k].key, "disk") == NULL ||
                        strcmp(spec->services[i].fixed[k].key, "x-shoal.disk.via") == 0);
    }
    assert_int_equal(spec->services[0].disk.at.line, 3);
    shoal_spec_free(spec);
    free(findings);
}

static void profiles(void **state)
{
    (void)state;
    char *findings = NULL;
    shoal_spec_t *spec = load_text(
        "x-shoal: {profiles: {small: {ulimits: {nofile: 100, nproc: 20}, shm_size: 8m, x-shoal: {warm: 1}}}}\n"
        "services:\n"
        "  a: {image: builtin:busybox, x-shoal: {profile: small}}\n"
        "  b: {image: builtin:busybox, ulimits: {nofile: 7}, x-shoal: {profile: small, warm: 2}}\n",
        &findings);
    assert_string_equal(findings, "");
    assert_non_null(spec);
    const shoal_service_t *a = &spec->services[0], *b = &spec->services[1];
    assert_int_equal(a->ulimit_count, 2);
    assert_int_equal(a->ulimits[0].soft, 100);
    assert_int_equal(a->warm, 1);
    assert_int_equal(a->shm_bytes, 8 << 20);
    assert_int_equal(b->ulimit_count, 2);
    assert_int_equal(b->ulimits[0].soft, 7);
    assert_int_equal(b->warm, 2);
    shoal_spec_free(spec);
    free(findings);
    assert_null(load_text("x-shoal:\n"
                          "  profiles:\n"
                          "    wrong: {ulimits: {nosuch: 3}, x-shoal: {warm: -1, wram: 1}}\n"
                          "    unused: {mem_limit: 1, x-shoal: {warm: x}}\n"
                          "    words: {image: foo}\n"
                          "services:\n"
                          "  a: {image: builtin:busybox, x-shoal: {profile: wrong}}\n"
                          "  b: {image: builtin:busybox, x-shoal: {profile: wrogn}}\n",
                          &findings));
    static const char *const wanted[] = {
        "3:23: error: services.a.ulimits.nosuch: is no resource limit;",
        "3:45: error: services.a.x-shoal.warm: -1 is out of range; it goes from 0 to 10000 (from a profile, used at ",
        ":7:31)\n",
        "3:55: error: services.a.x-shoal.wram: unknown key; did you mean \"warm\"?",
        "4:14: error: x-shoal.profiles.unused.mem_limit: 1 bytes are too little",
        "4:38: error: x-shoal.profiles.unused.x-shoal.warm: \"x\"",
        "5:13: error: x-shoal.profiles.words.image: is no key of a profile",
        "8:41: error: services.b.x-shoal.profile: there is no profile \"wrogn\" in x-shoal.profiles",
    };
    for (size_t i = 0; i < COUNT(wanted); i++)
        if (strstr(findings, wanted[i]) == NULL)
            fail_msg("%s\nis not in\n%s", wanted[i], findings);
    free(findings);
}

static void rates(void **state)
{
    (void)state;
    char *findings = NULL;
    shoal_spec_t *spec = load_text("services:\n"
                                   "  a: {image: builtin:busybox, x-shoal: {net: {egress: 10mbit, ingress: 2.5GBit}}}\n"
                                   "  b: {image: builtin:busybox, x-shoal: {net: {ingress: 8000}}}\n",
                                   &findings);
    assert_string_equal(findings, "");
    assert_non_null(spec);
    assert_int_equal(spec->services[0].net.egress_bits, 10000000);
    assert_int_equal(spec->services[0].net.ingress_bits, 2500000000);
    assert_int_equal(spec->services[1].net.egress_bits, 0);
    assert_int_equal(spec->services[1].net.ingress_bits, 8000);
    shoal_spec_free(spec);
    free(findings);
    assert_null(load_text("services:\n"
                          "  a: {image: builtin:busybox, x-shoal: {net: {egress: 10m, ingress: 7kbit}}}\n"
                          "  b: {image: builtin:busybox, x-shoal: {net: {egress: 2tbit, ingress: -1}}}\n"
                          "  c: {image: builtin:busybox, x-shoal: {net: {priority: 3, egres: 1mbit}}}\n"
                          "  d: {image: builtin:busybox, network_mode: none, x-shoal: {net: {egress: 1mbit}}}\n"
                          "  e: {image: builtin:busybox, networks: [x, y], x-shoal: {net: {egress: 1mbit}}}\n"
                          "networks: {x: , y: }\n",
                          &findings));
    static const char *const wanted[] = {
        "2:47: error: services.a.x-shoal.net.egress: \"10m\" is not a rate; write 500kbit",
        "2:60: error: services.a.x-shoal.net.ingress: 7kbit is out of range; it goes from 8kbit to 1tbit",
        "3:47: error: services.b.x-shoal.net.egress: 2tbit is out of range",
        "3:62: error: services.b.x-shoal.net.ingress: \"-1\" is not a rate",
        "4:47: error: services.c.x-shoal.net.priority: refused: each sandbox has a rate of its own",
        "4:60: error: services.c.x-shoal.net.egres: unknown key; did you mean \"egress\"?",
        "5:61: error: services.d.x-shoal.net: needs a link of its own; network_mode none gives it none",
        "6:59: error: services.e.x-shoal.net: limits one link, and the service is on 2 networks",
    };
    for (size_t i = 0; i < COUNT(wanted); i++)
        if (strstr(findings, wanted[i]) == NULL)
            fail_msg("%s\nis not in\n%s", wanted[i], findings);
    free(findings);
}

/* A group's limits are a service's, and held against each other like those. */
static void groups(void **state)
{
    (void)state;
    char *findings = NULL;
    shoal_spec_t *spec = load_text("x-shoal: {groups: {g: {cpu_quota: 50000, blkio_config: {weight: 20}, x-shoal: "
                                   "{memory_high: 64m, misc: {sev: 1}}}}}\n"
                                   "services:\n"
                                   "  a: {image: builtin:busybox}\n",
                                   &findings);
    assert_string_equal(findings, "");
    assert_non_null(spec);
    const shoal_limits_t *limits = &spec->groups[0].limits;
    assert_int_equal(limits->items[SHOAL_LIMIT_CPU_QUOTA].value, 50000);
    assert_int_equal(limits->items[SHOAL_LIMIT_IO_WEIGHT].value, 20);
    assert_int_equal(limits->items[SHOAL_LIMIT_MEMORY_HIGH].value, 64 << 20);
    assert_int_equal(limits->named_count, 1);
    shoal_spec_free(spec);
    free(findings);
    assert_null(
        load_text("x-shoal:\n"
                  "  budget: {mem_limit: 64m, memswap_limit: 32m, mem_reservation: 65m, cpus: 1, cpu_quota: 2000}\n"
                  "  groups:\n"
                  "    g: {x-shoal: {warm: 1, profile: p, misc: {sev: x}, cpu_weight: 5, cpu_idle: true}}\n"
                  "    h: {x-shoal: 3}\n"
                  "services:\n"
                  "  a: {image: builtin:busybox}\n",
                  &findings));
    static const char *const wanted[] = {
        "2:28: error: x-shoal.budget.memswap_limit: is less than mem_limit, but",
        "2:48: error: x-shoal.budget.mem_reservation: is more than mem_limit",
        "2:79: error: x-shoal.budget.cpu_quota: does not go with cpus",
        "4:19: error: x-shoal.groups.g.x-shoal.warm: is no limit of a group",
        "4:28: error: x-shoal.groups.g.x-shoal.profile: is no limit of a group",
        "4:47: error: x-shoal.groups.g.x-shoal.misc.sev: \"x\" is not a whole number",
        "4:71: error: x-shoal.groups.g.x-shoal.cpu_idle: does not go with a weight",
        "5:9: error: x-shoal.groups.h.x-shoal: takes a mapping",
    };
    for (size_t i = 0; i < COUNT(wanted); i++)
        if (strstr(findings, wanted[i]) == NULL)
            fail_msg("%s\nis not in\n%s", wanted[i], findings);
    free(findings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),   cmocka_unit_test(errors), cmocka_unit_test(limits_and_rules),
        cmocka_unit_test(profiles), cmocka_unit_test(rates),  cmocka_unit_test(groups),
        cmocka_unit_test(disks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
