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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
