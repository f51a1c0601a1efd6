#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/base.h"
#include "metrics/process.h"
#include "shoal/sample.h"

static void counts_descriptors(void **state)
{
    (void)state;
    uint64_t counted = process_count_fds(), said = process_stat_fds();
    assert_true(said == SHOAL_ABSENT || said == counted);
    int fds[100];
    for (size_t i = 0; i < COUNT(fds); i++)
        assert_true((fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    assert_int_equal(process_count_fds(), counted + COUNT(fds));
    said = process_stat_fds();
    assert_true(said == SHOAL_ABSENT || said == counted + COUNT(fds));
    for (size_t i = 0; i < COUNT(fds); i++)
        (void)close(fds[i]);
    assert_int_equal(process_count_fds(), counted);
}

static void reads_cpu_time(void **state)
{
    (void)state;
    uint64_t user = 0, system = 0, user_before, system_before;
    process_read_cpu_usec(&user_before, &system_before);
    while (user + system < user_before + system_before + 10000)
        process_read_cpu_usec(&user, &system);
    assert_true(user >= user_before && system >= system_before);
}

static void reads_rss(void **state)
{
    (void)state;
    enum { MORE = 32 << 20 };
    uint64_t before = process_read_rss_bytes();
    assert_in_range(before, 100 << 10, 4ull << 30);
    void *memory = mmap(NULL, MORE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    assert_true(memory != MAP_FAILED);
    uint64_t after = process_read_rss_bytes();
    assert_in_range(after - before, MORE - (4 << 20), MORE + (4 << 20)); /* the kernel's own counters are rounded */
    (void)munmap(memory, MORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_descriptors), cmocka_unit_test(reads_rss),
                                       cmocka_unit_test(reads_cpu_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
