/* The kernel's words on whom the OOM killer chose, and lines that only look like them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "kernel/kmsg.h"

#define TAIL                                                                                                           \
    " total-vm:13204kB, anon-rss:11000kB, file-rss:4kB, shmem-rss:0kB, UID:100000 pgtables:60kB oom_score_adj:0\n"

static void victims(void **state)
{
    (void)state;
    static const struct {
        const char *record;
        bool is;
        pid_t pid;
        uint32_t uid;
        const char *comm;
    } rows[] = {
        {"3,812,5140900,-;Memory cgroup out of memory: Killed process 4711 (sh)" TAIL, true, 4711, 100000, "sh"},
        {"3,812,5140900,-,caller=T1;Out of memory: Killed process 9 (a b)" TAIL, true, 9, 100000, "a b"},
        {"3,812,5140900,-;Out of memory: Killed process 9 (a) total-vm:)" TAIL, true, 9, 100000, "a) total-vm:"},
        {"3,812,5140900,-;Out of memory: Killed process 9 (\\x1b\\x1b\\x1b\\x1b\\x1b\\x1b\\x1b)" TAIL, true, 9, 100000,
         "\\x1b\\x1b\\x1b\\x1b\\x1b\\x1"},
        {"3,812,5140900,-;Out of memory: Killed process 9 ()" TAIL, true, 9, 100000, ""},
        /* said by a program through /dev/kmsg: the facility is not the kernel's */
        {"11,812,5140900,-;Out of memory: Killed process 9 (sh)" TAIL, false, 0, 0, ""},
        {"3,812,5140900,-;Out of memory: Killed process 9 (sh) and no more", false, 0, 0, ""},
        {"3,812,5140900,-;Out of memory: Killed process x (sh)" TAIL, false, 0, 0, ""},
        {"3,812,5140900,-;Out of memory: Killed process 0 (sh)" TAIL, false, 0, 0, ""},
        {"3,812,5140900,-;Out of memory: Killed process 9 (sh) total-vm:1kB, UID:x", false, 0, 0, ""},
        {"3,812,5140900,-;oom-kill:constraint=CONSTRAINT_MEMCG,task=sh,pid=4711,uid=100000", false, 0, 0, ""},
        {"Killed process 9 (sh)" TAIL, false, 0, 0, ""},
        {"", false, 0, 0, ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kmsg_victim victim = {0};
        bool is = kmsg_parse_victim(rows[i].record, &victim);
        if (is != rows[i].is || victim.pid != rows[i].pid || victim.uid != rows[i].uid ||
            strcmp(victim.comm, rows[i].comm) != 0)
            fail_msg("row %zu: %d pid %d uid %u comm '%s'", i, is, victim.pid, victim.uid, victim.comm);
        assert_int_equal(victim.time_usec, is ? 5140900 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(victims)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
