/* The filter, twice: run by a small interpreter for every call number of every machine, and by the kernel on a child.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/base.h"
#include "kernel/caps.h"
#include "kernel/seccomp.h"

#define BIT(n) (UINT64_C(1) << (n))
#define ALLOW SECCOMP_RET_ALLOW
#define ERRNO(code) (SECCOMP_RET_ERRNO | (code))

struct program {
    struct sock_filter *code;
    unsigned short count;
};

static struct program compile(uint64_t capabilities)
{
    shoal_error_t err = {0};
    struct program p = {0};
    if (seccomp_compile(capabilities, &p.code, &p.count, &err) < 0)
        fail_msg("%s", err.text);
    return p;
}

/* The instructions libseccomp and we use, as Documentation/networking/filter.rst defines them. */
static uint32_t run(const struct program *p, const struct seccomp_data *data, unsigned *out_steps)
{
    uint32_t a = 0, memory[BPF_MEMWORDS] = {0};
    unsigned steps = 0;
    for (size_t pc = 0; pc < p->count; pc++, steps++) {
        const struct sock_filter *i = &p->code[pc];
        bool taken;
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&a, (const char *)data + i->k, sizeof a);
            continue;
        case BPF_LD | BPF_MEM:
            a = memory[i->k];
            continue;
        case BPF_ST:
            memory[i->k] = a;
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            continue;
        case BPF_JMP | BPF_JA:
            pc += i->k;
            continue;
        case BPF_JMP | BPF_JEQ | BPF_K:
            taken = a == i->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            taken = a >= i->k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            taken = a > i->k;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            taken = (a & i->k) != 0;
            break;
        case BPF_RET | BPF_K:
            if (out_steps)
                *out_steps = steps + 1;
            return i->k;
        default:
            fail_msg("instruction 0x%x", i->code);
            return 0;
        }
        pc += taken ? i->jt : i->jf;
    }
    fail_msg("fell off the end");
    return 0;
}

static uint32_t ask(const struct program *p, uint32_t arch, uint32_t number, uint64_t first)
{
    struct seccomp_data data = {.nr = (int)number, .arch = arch, .args = {first}};
    return run(p, &data, NULL);
}

#if defined(__x86_64__)
enum { X32 = 0x40000000 };

static bool has_word(const char *words, const char *word)
{
    size_t count = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += count) {
        if ((at == words || at[-1] == ' ') && (at[count] == ' ' || at[count] == '\0'))
            return true;
    }
    return false;
}

/* Every call that the profile does not let through for a sandbox with the default capabilities and argument 0 of 0. */
static const char refused_words[] =
    "_sysctl acct add_key afs_syscall bdflush bpf break clock_settime clock_settime64 create_module delete_module "
    "fanotify_init finit_module fsconfig fsmount fsopen fspick ftime get_kernel_syms get_mempolicy getpmsg gtty "
    "idle init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load "
    "keyctl lock lookup_dcookie mbind migrate_pages mount mount_setattr move_mount move_pages mpx nfsservctl nice "
    "oldfstat oldlstat oldstat open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root process_madvise "
    "prof profil putpmsg query_module quotactl quotactl_fd readdir reboot request_key security set_mempolicy "
    "set_mempolicy_home_node setdomainname sethostname setns settimeofday sgetmask ssetmask stime stty swapoff "
    "swapon sysfs syslog tuxcall ulimit umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old "
    "vserver";

static void test_every_number(void **state)
{
    (void)state;
    struct program p = compile(caps_default());
    print_message("%u instructions\n", p.count);
    static const struct {
        uint32_t arch, token;
    } machines[] = {{AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64}, {AUDIT_ARCH_I386, SCMP_ARCH_X86}};
    unsigned longest = 0;
    for (size_t m = 0; m < COUNT(machines); m++) {
        for (uint32_t number = 0; number < 600; number++) {
            if (number == 451)
                number = 512; /* the new calls between are test_new_calls' */
            char *name = seccomp_syscall_resolve_num_arch(machines[m].token, (int)number);
            struct seccomp_data data = {.nr = (int)number, .arch = machines[m].arch};
            unsigned steps = 0;
            uint32_t got = run(&p, &data, &steps);
            longest = steps > longest ? steps : longest;
            uint32_t want = name == NULL || has_word(refused_words, name) ? ERRNO(EPERM) : ALLOW;
            if (number >= 512)
                want = ERRNO(ENOSYS);
            if (name && strcmp(name, "clone3") == 0)
                want = ERRNO(ENOSYS);
            if (got != want)
                fail_msg("machine %zu: %u %s: 0x%x, not 0x%x", m, number, name ? name : "(none)", got, want);
            free(name);
        }
    }
    print_message("longest way: %u instructions\n", longest);
    free(p.code);
}

static void test_new_calls(void **state)
{
    (void)state;
    struct program p = compile(caps_default()), admin = compile(caps_default() | BIT(CAP_SYS_ADMIN));
    for (uint32_t number = 451; number < 512; number++) {
        bool lsm = number >= 459 && number <= 461;
        uint32_t plain = number <= 466 && !lsm ? ALLOW : ERRNO(ENOSYS);
        assert_int_equal(ask(&p, AUDIT_ARCH_X86_64, number, 0), plain);
        assert_int_equal(ask(&p, AUDIT_ARCH_I386, number, 0), plain);
        assert_int_equal(ask(&admin, AUDIT_ARCH_X86_64, number, 0), lsm ? ALLOW : plain);
    }
    for (uint32_t number = 0; number < 600; number++) /* x32 is a machine that is not there */
        assert_int_equal(ask(&admin, AUDIT_ARCH_X86_64, number | X32, 0), ERRNO(ENOSYS));
    assert_int_equal(ask(&p, AUDIT_ARCH_X86_64, UINT32_MAX, 0), ERRNO(ENOSYS)); /* what a tracer skips by */
    assert_int_equal(ask(&p, AUDIT_ARCH_AARCH64, 64, 0), ERRNO(ENOSYS));        /* a machine we do not know */
    free(p.code);
    free(admin.code);
}

static void test_arguments(void **state)
{
    (void)state;
    static const uint64_t high = UINT64_C(0x100000000); /* what the kernel cuts off an int argument */
    static const uint64_t families_refused[] = {AF_ALG, AF_VSOCK, AF_MAX, 1000};
    static const uint64_t namespaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                          CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
    static const uint64_t personalities[] = {0, 8, 0x20000, 0x20008, 0xffffffff, UINT64_MAX};
    static const uint64_t personalities_refused[] = {ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, 1, 0x20001, 0xfffffffe};
    static const struct {
        uint32_t arch, socket, clone, personality;
    } machines[] = {
        {AUDIT_ARCH_X86_64, SYS_socket, SYS_clone, SYS_personality},
        {AUDIT_ARCH_I386, 359, 120, 136},
    };
    struct program p = compile(caps_default());
    for (size_t m = 0; m < COUNT(machines); m++) {
        uint32_t arch = machines[m].arch;
        for (uint64_t family = 0; family < AF_MAX; family++) {
            uint32_t want = family == AF_ALG || family == AF_VSOCK ? ERRNO(EPERM) : ALLOW;
            assert_int_equal(ask(&p, arch, machines[m].socket, family), want);
            if (arch != AUDIT_ARCH_I386)
                assert_int_equal(ask(&p, arch, machines[m].socket, family | high), want);
        }
        for (size_t i = 0; i < COUNT(families_refused); i++)
            assert_int_equal(ask(&p, arch, machines[m].socket, families_refused[i]), ERRNO(EPERM));
        assert_int_equal(ask(&p, arch, machines[m].clone, CLONE_VM | CLONE_VFORK | SIGCHLD), ALLOW);
        assert_int_equal(ask(&p, arch, machines[m].clone, 0x3d0f00), ALLOW); /* pthread_create */
        for (size_t i = 0; i < COUNT(namespaces); i++)
            assert_int_equal(ask(&p, arch, machines[m].clone, namespaces[i] | SIGCHLD), ERRNO(EPERM));
        for (size_t i = 0; i < COUNT(personalities); i++)
            assert_int_equal(ask(&p, arch, machines[m].personality, personalities[i]), ALLOW);
        for (size_t i = 0; i < COUNT(personalities_refused); i++)
            assert_int_equal(ask(&p, arch, machines[m].personality, personalities_refused[i]), ERRNO(EPERM));
    }
    free(p.code);
}

static void test_capabilities(void **state)
{
    (void)state;
    static const struct {
        unsigned capability;
        uint32_t number;
        uint64_t first;
        uint32_t without;
    } rows[] = {
        {CAP_SYS_ADMIN, SYS_mount, 0, ERRNO(EPERM)},
        {CAP_SYS_ADMIN, SYS_unshare, 0, ERRNO(EPERM)},
        {CAP_SYS_ADMIN, SYS_clone, CLONE_NEWUSER, ERRNO(EPERM)},
        {CAP_SYS_ADMIN, SYS_clone3, 0, ERRNO(ENOSYS)},
        {CAP_SYS_ADMIN, SYS_bpf, 0, ERRNO(EPERM)},
        {CAP_BPF, SYS_bpf, 0, ERRNO(EPERM)},
        {CAP_SYS_ADMIN, SYS_perf_event_open, 0, ERRNO(EPERM)},
        {CAP_PERFMON, SYS_perf_event_open, 0, ERRNO(EPERM)},
        {CAP_SYS_ADMIN, SYS_syslog, 0, ERRNO(EPERM)},
        {CAP_SYSLOG, SYS_syslog, 0, ERRNO(EPERM)},
        {CAP_SYS_BOOT, SYS_reboot, 0, ERRNO(EPERM)},
        {CAP_SYS_CHROOT, SYS_chroot, 0, ERRNO(EPERM)},
        {CAP_SYS_MODULE, SYS_init_module, 0, ERRNO(EPERM)},
        {CAP_SYS_PACCT, SYS_acct, 0, ERRNO(EPERM)},
        {CAP_SYS_PTRACE, SYS_pidfd_getfd, 0, ERRNO(EPERM)},
        {CAP_SYS_RAWIO, SYS_iopl, 0, ERRNO(EPERM)},
        {CAP_SYS_TIME, SYS_clock_settime, 0, ERRNO(EPERM)},
        {CAP_SYS_TTY_CONFIG, SYS_vhangup, 0, ERRNO(EPERM)},
        {CAP_SYS_NICE, SYS_mbind, 0, ERRNO(EPERM)},
        {CAP_DAC_READ_SEARCH, SYS_open_by_handle_at, 0, ERRNO(EPERM)},
    };
    struct program none = compile(0), all = compile(UINT64_MAX);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct program one = compile(BIT(rows[i].capability));
        assert_int_equal(ask(&none, AUDIT_ARCH_X86_64, rows[i].number, rows[i].first), rows[i].without);
        assert_int_equal(ask(&one, AUDIT_ARCH_X86_64, rows[i].number, rows[i].first), ALLOW);
        free(one.code);
    }
    static const uint32_t never[] = {SYS_keyctl,     SYS_add_key, SYS_request_key, SYS_io_uring_setup, SYS_userfaultfd,
                                     SYS_kexec_load, SYS_swapon,  SYS_pivot_root,  SYS_nfsservctl};
    for (size_t i = 0; i < COUNT(never); i++)
        assert_int_equal(ask(&all, AUDIT_ARCH_X86_64, never[i], 0), ERRNO(EPERM));
    free(none.code);
    free(all.code);
}
#endif

/* ---- and now the kernel ---- */

static int call(long number, long a, long b, long c, long d)
{
    long result = syscall(number, a, b, c, d);
    return result < 0 ? -errno : (int)result;
}

/* Ends with 0, or with the line of the first call whose answer was not the wanted one. */
#define EXPECT(want, got)                                                                                              \
    do {                                                                                                               \
        if ((got) != (want))                                                                                           \
            _exit(__LINE__ % 255 + 1);                                                                                 \
    } while (0)

static _Noreturn void filtered_child(const struct program *p)
{
    const struct sock_fprog program = {.len = p->count, .filter = p->code};
    EXPECT(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    EXPECT(0, (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));

    EXPECT(-EPERM, call(SYS_mount, 0, 0, 0, 0)); /* -EFAULT without a filter; arguments are harmless throughout */
    EXPECT(-EPERM, call(SYS_umount2, (long)"/no/such/place", 0, 0, 0));
    EXPECT(-EPERM, call(SYS_reboot, 1, 2, 3, 0)); /* -EINVAL: no magic */
    EXPECT(-EPERM, call(SYS_bpf, -1, 0, 0, 0));
    EXPECT(-EPERM, call(SYS_keyctl, -1, 0, 0, 0));
    EXPECT(-EPERM, call(SYS_unshare, 0, 0, 0, 0)); /* 0: no change at all */
    EXPECT(-EPERM, call(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0));
    EXPECT(-ENOSYS, call(SYS_clone3, 0, 0, 0, 0));
    EXPECT(-EPERM, call(SYS_personality, ADDR_NO_RANDOMIZE, 0, 0, 0));
    EXPECT(-EPERM, call(SYS_io_uring_setup, 1, 0, 0, 0));
    EXPECT(-EPERM, call(SYS_init_module, 0, 0, 0, 0));
    EXPECT(-EPERM, call(SYS_setns, -1, 0, 0, 0));
    EXPECT(-EPERM, call(SYS_socket, AF_VSOCK, SOCK_STREAM, 0, 0));
    EXPECT(-EPERM, call(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0, 0));
    EXPECT(-ENOSYS, call(511, 0, 0, 0, 0));

    EXPECT(0, call(SYS_personality, PER_LINUX, 0, 0, 0));
    int fd = call(SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0);
    EXPECT(true, fd >= 0);
    EXPECT(0, close(fd));
    fd = call(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0);
    EXPECT(true, fd >= 0);
    EXPECT(0, close(fd));
    EXPECT(-EBADF, call(452, -1, (long)"x", 0, 0) == -ENOSYS ? -EBADF : call(452, -1, (long)"x", 0, 0)); /* fchmodat2 */
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 ? 5 : 6);
    int status = 0;
    EXPECT(pid, waitpid(pid, &status, 0));
    EXPECT(5, WEXITSTATUS(status));
    _exit(0);
}

static void test_kernel(void **state)
{
    (void)state;
    struct program p = compile(caps_default());
    pid_t pid = fork();
    if (pid == 0)
        filtered_child(&p);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("status 0x%x: see the line after %d (modulo 255)", status, WEXITSTATUS(status) - 2);
    free(p.code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#if defined(__x86_64__)
        cmocka_unit_test(test_every_number),
        cmocka_unit_test(test_new_calls),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_capabilities),
#endif
        cmocka_unit_test(test_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
