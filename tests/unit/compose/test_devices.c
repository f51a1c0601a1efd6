/* What devices and their rules come to in the spec. */
#include "loading.h"

static void devices(void **state)
{
    (void)state;
    char *findings = NULL;
    shoal_spec_t *spec = load_text("services:\n"
                                   "  a:\n"
                                   "    image: builtin:busybox\n"
                                   "    devices: [/dev/fuse, '/dev/a:/dev/b', '/dev//c/../d:/opt/./d:r',\n"
                                   "      {source: /dev/e, target: /dev/e, permissions: mw}]\n"
                                   "  b: {image: builtin:busybox}\n",
                                   &findings);
    assert_string_equal(findings, "");
    assert_non_null(spec);
    static const struct {
        const char *source, *target;
        unsigned access;
        int line;
    } wanted[] = {
        {"/dev/fuse", "/dev/fuse", SHOAL_DEVICE_ALL, 4},
        {"/dev/a", "/dev/b", SHOAL_DEVICE_ALL, 4},
        {"/dev/d", "/opt/d", SHOAL_DEVICE_READ, 4},
        {"/dev/e", "/dev/e", SHOAL_DEVICE_MKNOD | SHOAL_DEVICE_WRITE, 5},
    };
    const shoal_service_t *a = &spec->services[0];
    assert_int_equal(a->device_count, COUNT(wanted));
    for (size_t i = 0; i < COUNT(wanted); i++) {
        assert_string_equal(a->devices[i].source, wanted[i].source);
        assert_string_equal(a->devices[i].target, wanted[i].target);
        assert_int_equal(a->devices[i].access, wanted[i].access);
        assert_int_equal(a->devices[i].at.line, wanted[i].line);
    }
    assert_int_equal(spec->services[1].device_count, 0);
    assert_int_equal(spec->services[1].device_rule_count, 0);
    shoal_spec_free(spec);
    free(findings);
}

static void rules(void **state)
{
    (void)state;
    char *findings = NULL;
    shoal_spec_t *spec = load_text("services:\n"
                                   "  a:\n"
                                   "    image: builtin:busybox\n"
                                   "    device_cgroup_rules: ['c 10:200 rwm', 'a *:* mwr', 'b 8:* r', 'c *:3 w', 'b "
                                   "4095:1048575 m', 'c 0:0 rr']\n",
                                   &findings);
    assert_string_equal(findings, "");
    assert_non_null(spec);
    static const shoal_device_rule_t wanted[] = {
        {.type = 'c', .major = 10, .minor = 200, .access = SHOAL_DEVICE_ALL},
        {.type = 'a', .major = SHOAL_ANY_DEVICE, .minor = SHOAL_ANY_DEVICE, .access = SHOAL_DEVICE_ALL},
        {.type = 'b', .major = 8, .minor = SHOAL_ANY_DEVICE, .access = SHOAL_DEVICE_READ},
        {.type = 'c', .major = SHOAL_ANY_DEVICE, .minor = 3, .access = SHOAL_DEVICE_WRITE},
        {.type = 'b', .major = 4095, .minor = 1048575, .access = SHOAL_DEVICE_MKNOD},
        {.type = 'c', .major = 0, .minor = 0, .access = SHOAL_DEVICE_READ},
    };
    const shoal_service_t *a = &spec->services[0];
    assert_int_equal(a->device_rule_count, COUNT(wanted));
    for (size_t i = 0; i < COUNT(wanted); i++) {
        assert_int_equal(a->device_rules[i].type, wanted[i].type);
        assert_int_equal(a->device_rules[i].major, wanted[i].major);
        assert_int_equal(a->device_rules[i].minor, wanted[i].minor);
        assert_int_equal(a->device_rules[i].access, wanted[i].access);
        assert_int_equal(a->device_rules[i].at.line, 4);
    }
    shoal_spec_free(spec);
    free(findings);
}

/* `config` accepts such a name, which is of the language; a fleet with it cannot be brought up. */
static void a_name_of_the_device_interface(void **state)
{
    (void)state;
    char *findings = NULL;
    assert_null(load_text("services:\n"
                          "  a: {image: builtin:busybox, devices: ['nvidia.com/gpu=all']}\n",
                          &findings));
    assert_non_null(strstr(findings,
                           "2:41: error: services.a.devices.0: \"nvidia.com/gpu=all\" is a name of the Container "
                           "Device Interface, whose files are not read here; name the devices' paths"));
    free(findings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices),
        cmocka_unit_test(rules),
        cmocka_unit_test(a_name_of_the_device_interface),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
