/* The name tables: capabilities, signals, resource limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/base.h"
#include "base/capability.h"
#include "base/rlimit.h"
#include "base/signal.h"

static void test_capabilities(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int code;
        unsigned bit;
    } rows[] = {
        {"CAP_NET_ADMIN", 0, CAP_NET_ADMIN},
        {"NET_ADMIN", 0, CAP_NET_ADMIN},
        {"net_admin", 0, CAP_NET_ADMIN},
        {"cap_Chown", 0, CAP_CHOWN},
        {"CHECKPOINT_RESTORE", 0, 40},
        {"", -EINVAL, 0},
        {"CAP_", -EINVAL, 0},
        {"CAP_CAP_CHOWN", -EINVAL, 0},
        {"ALL", -EINVAL, 0},
        {"NET_ADMINS", -EINVAL, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned bit = 99;
        assert_int_equal(capability_parse(rows[i].name, &bit), rows[i].code);
        assert_int_equal(bit, rows[i].code == 0 ? rows[i].bit : 99); /* outputs are written on success only */
    }
    for (unsigned bit = 0; bit <= CAP_LAST_CAP; bit++) {
        unsigned back = 99;
        assert_non_null(capability_name(bit));
        assert_int_equal(capability_parse(capability_name(bit), &back), 0);
        assert_int_equal(back, bit);
    }
    assert_null(capability_name(64));
}

static void test_signals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code, number;
        const char *name;
    } rows[] = {
        {"SIGTERM", 0, SIGTERM, "SIGTERM"},
        {"TERM", 0, SIGTERM, "SIGTERM"},
        {"term", 0, SIGTERM, "SIGTERM"},
        {"15", 0, SIGTERM, "SIGTERM"},
        {"SIGIOT", 0, SIGABRT, "SIGABRT"},
        {"SIGPOLL", 0, SIGIO, "SIGIO"},
        {"SIGRTMIN", 0, 34, "SIGRTMIN"},
        {"SIGRTMIN+3", 0, 37, "SIGRTMIN+3"},
        {"rtmax-1", 0, 63, "SIGRTMIN+29"},
        {"RTMIN+30", 0, 64, "SIGRTMIN+30"},
        {"64", 0, 64, "SIGRTMIN+30"},
        {"RTMAX", 0, 64, "SIGRTMIN+30"},
        {"", -EINVAL, 0, NULL},
        {"0", -EINVAL, 0, NULL},
        {"65", -EINVAL, 0, NULL},
        {"-1", -EINVAL, 0, NULL},
        {"SIG", -EINVAL, 0, NULL},
        {"SIG15", -EINVAL, 0, NULL},
        {"RTMIN-1", -EINVAL, 0, NULL},
        {"RTMIN+31", -EINVAL, 0, NULL},
        {"RTMAX+1", -EINVAL, 0, NULL},
        {"RTMIN+", -EINVAL, 0, NULL},
        {"RTMIN+1x", -EINVAL, 0, NULL},
        {"15 ", -EINVAL, 0, NULL},
        {"99999999999999999999", -EINVAL, 0, NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int number = -7;
        char name[SIGNAL_NAME_MAX];
        assert_int_equal(signal_parse(rows[i].text, &number), rows[i].code);
        assert_int_equal(number, rows[i].code == 0 ? rows[i].number : -7);
        if (rows[i].code == 0)
            assert_string_equal(signal_name(number, name), rows[i].name);
    }
    for (int number = 1; number <= 64; number++) { /* every name is read back, but for the two without one */
        char name[SIGNAL_NAME_MAX];
        int back = 0;
        int code = signal_parse(signal_name(number, name), &back);
        assert_int_equal(code, number == 32 || number == 33 ? -EINVAL : 0);
        assert_int_equal(back, code == 0 ? number : 0);
    }
    char name[SIGNAL_NAME_MAX];
    assert_string_equal(signal_name(-5, name), "SIG-5");
}

static void test_rlimits(void **state)
{
    (void)state;
    int resource = -1;
    assert_int_equal(rlimit_parse("nofile", &resource), 0);
    assert_int_equal(resource, RLIMIT_NOFILE);
    resource = -1;
    assert_int_equal(rlimit_parse("NOFILE", &resource), -EINVAL);
    assert_int_equal(rlimit_parse("", &resource), -EINVAL);
    assert_int_equal(rlimit_parse("nofiles", &resource), -EINVAL);
    assert_int_equal(resource, -1);
    for (int i = 0; i < RLIMIT_NLIMITS; i++) {
        assert_non_null(rlimit_name(i));
        assert_int_equal(rlimit_parse(rlimit_name(i), &resource), 0);
        assert_int_equal(resource, i);
    }
    assert_null(rlimit_name(-1));
    assert_null(rlimit_name(RLIMIT_NLIMITS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_rlimits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
