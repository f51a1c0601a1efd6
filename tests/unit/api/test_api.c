#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "api/inside.h"

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool fits;
    } rows[] = {
        {"127.0.0.1:9323", true},
        {"localhost:0", true},
        {":9323", true},
        {"[::1]:9323", true},
        {"unix:/run/x.sock", true},
        {"unix:x", true},
        {"", false},
        {"9323", false},
        {":", false},
        {"127.0.0.1:", false},
        {"127.0.0.1:65536", false},
        {"127.0.0.1:99999999999", false},
        {"127.0.0.1:+1", false},
        {"example.org:80", false}, /* would have to be looked up */
        {"::1:9323", false},
        {"[127.0.0.1]:1", false},
        {"[:1", false},
        {"unix:", false},
        {"unix:/a-path-that-is-long-a-path-that-is-longer-than-what-a-socket-address-can-hold/"
         "a-path-that-is-longer-than-what-a-socket-address",
         false},
        {"0123456789012345678901234567890123456789012345678901234567890123:1", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        shoal_error_t error = {0};
        int code = api_parse_address(rows[i].text, &error);
        if (code != (rows[i].fits ? 0 : -EINVAL) || (code < 0 && error.text[0] == '\0'))
            fail_msg("%s: %d %s", rows[i].text, code, error.text);
    }
}

static void routes_are_found(void **state)
{
    (void)state;
    unsigned status;
    const char *text;
    for (size_t i = 0; i < route_count; i++)
        assert_ptr_equal(route_find(routes[i].method, routes[i].path, &status, &text), &routes[i]);
    assert_ptr_equal(route_find("HEAD", "/metrics", &status, &text), route_find("GET", "/metrics", &status, &text));
    assert_null(route_find("POST", "/metrics", &status, &text));
    assert_int_equal(status, 405);
    assert_null(route_find("GET", "/metrics/", &status, &text));
    assert_int_equal(status, 404);
}

static void clients_choose_their_dialect(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        enum openmetrics_dialect dialect;
    } rows[] = {
        {NULL, OPENMETRICS_TEXT_0},
        {"", OPENMETRICS_TEXT_0},
        {"*/*", OPENMETRICS_TEXT_0},
        {"text/plain", OPENMETRICS_TEXT_0},
        {"application/openmetrics-text", OPENMETRICS_1_0},
        {"Application/OpenMetrics-Text; version=1.0.0", OPENMETRICS_1_0},
        {"application/openmetrics-text;q=0", OPENMETRICS_TEXT_0},
        {"application/openmetrics-text;q=0.3,text/plain;q=0.4", OPENMETRICS_TEXT_0},
        {"text/plain;q=0.4, application/openmetrics-text; q=0.41", OPENMETRICS_1_0},
        /* Prometheus 2.42 and 3.0 */
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         OPENMETRICS_1_0},
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/"
         "openmetrics-text;version=0.0.1;"
         "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         OPENMETRICS_1_0},
        {",,,;q=,q=;;", OPENMETRICS_TEXT_0},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (scrape_dialect(rows[i].accept) != rows[i].dialect)
            fail_msg("%s", rows[i].accept);
}

static void a_socket_file_that_nobody_serves_is_replaced(void **state)
{
    (void)state;
    char folder[] = "/tmp/shoal-api-XXXXXX";
    assert_non_null(mkdtemp(folder));
    AUTO_FREE char *address = base_format("unix:%s/s", folder);
    struct listener first, second, third;
    shoal_error_t error;
    assert_int_equal(listener_open(&first, address, &error), 0);
    assert_string_equal(first.url, address);
    assert_int_equal(listener_open(&second, address, &error), -EADDRINUSE);
    assert_non_null(strstr(error.text, address));
    base_close_fd(&first.fd); /* its program ends without a word */
    first.fd = -1;
    assert_int_equal(listener_open(&third, address, &error), 0);
    listener_close(&third);
    assert_int_equal(access(address + strlen("unix:"), F_OK), -1);
    listener_close(&first);

    FILE *file = fopen(address + strlen("unix:"), "w"); /* what is no socket is somebody's */
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(listener_open(&third, address, &error), -EADDRINUSE);
    assert_int_equal(unlink(address + strlen("unix:")), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(routes_are_found),
        cmocka_unit_test(clients_choose_their_dialect),
        cmocka_unit_test(a_socket_file_that_nobody_serves_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
