#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "supervisor/inside.h"

/* The owner of a lease is a directory: while it is there, a lease that nobody locks is still its own. */
static char owner[] = "/tmp/shoal-idrange-XXXXXX";
static char other[] = "/tmp/shoal-idrange-XXXXXX";

static int make_owners(void **state)
{
    (void)state;
    return mkdtemp(owner) == NULL || mkdtemp(other) == NULL;
}

static int remove_owners(void **state)
{
    (void)state;
    return rmdir(owner) | rmdir(other);
}

static void ranges_never_overlap(void **state)
{
    (void)state;
    struct idranges *ranges = NULL;
    shoal_error_t error;
    assert_int_equal(idranges_open(&ranges, owner, 300, &error), 0);
    uint32_t firsts[512];
    for (size_t i = 0; i < COUNT(firsts); i++) {
        assert_int_equal(idranges_take(ranges, &firsts[i]), 0);
        assert_int_equal(firsts[i] % CONTAINER_IDS, 0);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(firsts[i], firsts[k]);
    }
    uint32_t none = 7;
    assert_int_equal(idranges_take(ranges, &none), -28 /* ENOSPC */);
    assert_int_equal(none, 7);
    idranges_give(ranges, firsts[100]);
    assert_int_equal(idranges_take(ranges, &none), 0);
    assert_int_equal(none, firsts[100]);
    idranges_close(ranges);
}

static void a_free_range_rests(void **state)
{
    (void)state;
    struct idranges *ranges = NULL;
    shoal_error_t error;
    assert_int_equal(idranges_open(&ranges, owner, 1, &error), 0);
    uint32_t first, second;
    assert_int_equal(idranges_take(ranges, &first), 0);
    idranges_give(ranges, first);
    assert_int_equal(idranges_take(ranges, &second), 0);
    assert_int_not_equal(first, second);
    idranges_close(ranges);
}

static void two_owners_get_different_blocks(void **state)
{
    (void)state;
    struct idranges *a = NULL, *b = NULL;
    shoal_error_t error;
    assert_int_equal(idranges_open(&a, owner, 1, &error), 0);
    assert_int_equal(idranges_open(&b, other, 1, &error), 0);
    uint32_t of_a, of_b;
    assert_int_equal(idranges_take(a, &of_a), 0);
    assert_int_equal(idranges_take(b, &of_b), 0);
    assert_true(of_a / CONTAINER_IDS / 256 != of_b / CONTAINER_IDS / 256);
    idranges_close(a);
    idranges_close(b);
}

static void a_killed_owner_keeps_its_lease(void **state)
{
    (void)state;
    pid_t pid = fork(); /* dies with the lease, as a supervisor does by kill -9 */
    if (pid == 0) {
        struct idranges *ranges = NULL;
        _exit(idranges_open(&ranges, owner, 1, NULL) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    struct idranges *mine = NULL, *back = NULL;
    shoal_error_t error;
    assert_int_equal(idranges_open(&mine, other, 1, &error), 0);
    assert_int_equal(idranges_open(&back, owner, 1, &error), 0);
    uint32_t of_other, of_owner;
    assert_int_equal(idranges_take(mine, &of_other), 0);
    assert_int_equal(idranges_take(back, &of_owner), 0);
    assert_true(of_owner < of_other); /* the owner got the block that it had, the stranger the next */
    idranges_close(mine);
    idranges_close(back);
}

static void too_many_is_refused_with_numbers(void **state)
{
    (void)state;
    struct idranges *ranges = NULL;
    shoal_error_t error;
    assert_int_equal(idranges_open(&ranges, owner, 1000000, &error), -28 /* ENOSPC */);
    assert_null(ranges);
    assert_non_null(strstr(error.text, "1000000 sandboxes"));
    assert_int_equal(idranges_open(&ranges, owner, 1, &error), 0); /* nothing stayed leased */
    idranges_close(ranges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_never_overlap),
        cmocka_unit_test(a_free_range_rests),
        cmocka_unit_test(two_owners_get_different_blocks),
        cmocka_unit_test(a_killed_owner_keeps_its_lease),
        cmocka_unit_test(too_many_is_refused_with_numbers),
    };
    return cmocka_run_group_tests(tests, make_owners, remove_owners);
}
