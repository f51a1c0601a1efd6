#include "kernel/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/base.h"

#define BIT(n) (UINT64_C(1) << (n))

/* The mask of clone(2)'s flags that make a namespace. CLONE_NEWTIME is not among them: clone(2) has no room for it. */
#define CLONE_NAMESPACES                                                                                               \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/* What is allowed, by reason. A group is let through when the process has one of its capabilities, or always (0).
 * Names are the kernel's; those of one machine alone (chown32, time64 variants) are skipped on the others.
 *
 * Not here, and so refused: io_uring_* (a second way to most system calls, past this filter), keyctl add_key
 * request_key (keys are not in a namespace), userfaultfd (holds the kernel in the middle of a copy), kexec_*, swapon
 * swapoff, nfsservctl, uselib, ustat, sysfs, vm86*, _sysctl, get_kernel_syms and friends, pivot_root, move_pages
 * migrate_pages. */
static const struct group {
    const char *reason;
    uint64_t capabilities;
    const char *calls; /* separated by spaces */
} groups[] = {
    {"files: open, read, write, change", 0,
     "access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 "
     "fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchown fchown32 fchownat fcntl fcntl64 fdatasync "
     "flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents "
     "getdents64 ioctl lchown lchown32 link linkat _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat "
     "name_to_handle_at newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read "
     "readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 splice stat stat64 "
     "statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink "
     "unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev"},
    {"extended attributes", 0,
     "fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr lsetxattr "
     "removexattr setxattr"},
    {"events: epoll, inotify, eventfd, signalfd, timerfd", 0,
     "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old "
     "eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch _newselect "
     "pause poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4 timerfd_create "
     "timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64"},
    {"asynchronous files, the old way", 0,
     "io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit"},
    {"memory", 0,
     "brk madvise membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap "
     "msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages"},
    {"processes and threads", 0,
     "arch_prctl execve execveat exit exit_group fork futex futex_time64 futex_waitv get_robust_list "
     "get_thread_area getcpu getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid gettid "
     "ioprio_get ioprio_set kill modify_ldt pidfd_open pidfd_send_signal prctl prlimit64 restart_syscall rseq "
     "sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam "
     "sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr "
     "sched_setparam sched_setscheduler sched_yield set_robust_list set_thread_area set_tid_address setpgid "
     "setpriority setrlimit setsid tgkill times tkill ugetrlimit vfork wait4 waitid waitpid"},
    {"signals", 0,
     "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
     "rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaction sigaltstack signal sigpending sigprocmask sigreturn "
     "sigsuspend"},
    {"identity", 0,
     "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid "
     "getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 "
     "setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 "
     "setuid setuid32"},
    /* adjtimex and its like read the clock's state; to change it takes a capability that the kernel asks for itself */
    {"clocks and timers", 0,
     "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 "
     "clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create "
     "timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64"},
    {"sockets and pipes; socket(2) itself has a rule by family", 0,
     "accept accept4 bind connect getpeername getsockname getsockopt listen pipe pipe2 recv recvfrom recvmmsg "
     "recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair"},
    {"System V and POSIX IPC", 0,
     "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 "
     "mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt "
     "shmget"},
    {"the machine's name, load and randomness", 0, "getrandom olduname oldolduname sysinfo uname"},
    {"restricting oneself further", 0, "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp"},
    /* within the sandbox's own processes; the hole that made it dangerous under a filter is closed since Linux 4.8 */
    {"debugging", 0, "process_vm_readv process_vm_writev ptrace"},

    {"past file permissions by handle", BIT(CAP_DAC_READ_SEARCH), "open_by_handle_at"},
    {"namespaces and mounts", BIT(CAP_SYS_ADMIN),
     "clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount "
     "open_tree quotactl quotactl_fd setdomainname sethostname setns umount umount2 unshare"},
    {"programs in the kernel", BIT(CAP_SYS_ADMIN) | BIT(CAP_BPF), "bpf"},
    {"performance counters", BIT(CAP_SYS_ADMIN) | BIT(CAP_PERFMON), "perf_event_open"},
    {"the kernel's log", BIT(CAP_SYS_ADMIN) | BIT(CAP_SYSLOG), "syslog"},
    {"restart of the machine", BIT(CAP_SYS_BOOT), "reboot"},
    {"another root directory", BIT(CAP_SYS_CHROOT), "chroot"},
    {"kernel modules", BIT(CAP_SYS_MODULE), "delete_module finit_module init_module"},
    {"process accounting", BIT(CAP_SYS_PACCT), "acct"},
    {"other processes' insides", BIT(CAP_SYS_PTRACE), "kcmp pidfd_getfd process_madvise"},
    {"ports of the machine", BIT(CAP_SYS_RAWIO), "ioperm iopl"},
    {"setting clocks", BIT(CAP_SYS_TIME), "clock_settime clock_settime64 settimeofday stime"},
    {"terminals of others", BIT(CAP_SYS_TTY_CONFIG), "vhangup"},
    {"memory placement", BIT(CAP_SYS_NICE), "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
};

/* Calls from 451 (Linux 6.5) on have one number on every machine, and libseccomp learns them late (2.5.4 knows none):
 * the filter decides them itself, before libseccomp's part. What is not in here gets ENOSYS, not EPERM: a C library
 * that finds a new call missing takes the old one, and one that finds it forbidden fails (glibc 2.39: fchmodat2). */
enum { FIRST_NEW_CALL = 451, FIRST_X32_CALL = 512, LAST_X32_CALL = 547 }; /* x32 has these numbers to itself */
static const struct range {
    uint32_t first, last;
    uint64_t capabilities; /* as above */
} new_calls[] = {
    {451, 451, 0},                  /* cachestat */
    {452, 452, 0},                  /* fchmodat2 */
    {453, 453, 0},                  /* map_shadow_stack */
    {454, 456, 0},                  /* futex_wake, futex_wait, futex_requeue */
    {457, 458, 0},                  /* statmount, listmount */
    {459, 461, BIT(CAP_SYS_ADMIN)}, /* lsm_get_self_attr, lsm_set_self_attr, lsm_list_modules */
    {462, 462, 0},                  /* mseal */
    {463, 466, 0},                  /* setxattrat, getxattrat, listxattrat, removexattrat */
};

/* Address families that are not the sandbox's: AF_VSOCK talks to the hypervisor and has no namespace; AF_ALG hands the
 * kernel's cipher code to everyone. */
static bool is_family_denied(unsigned family)
{
    return family == AF_VSOCK || family == AF_ALG;
}
enum { FAMILIES = 64 }; /* a power of two above AF_MAX; higher ones do not exist and are refused here too */

/* personality(2) values that weaken nothing: Linux, 32-bit Linux, each also with the old version number; the query. */
static const uint32_t personalities[] = {PER_LINUX, PER_LINUX32, UNAME26, UNAME26 | PER_LINUX32, 0xffffffff};

static bool is_granted(uint64_t needed, uint64_t capabilities)
{
    return needed == 0 || (needed & capabilities) != 0;
}

/* One more allowed (call, argument 0 & mask == value); mask 0: whatever the arguments. All comparisons have masks of 32
 * bits: the kernel takes int arguments from the lower half of the register, but a filter sees all 64 bits. */
static int allow(scmp_filter_ctx filter, const char *name, uint32_t mask, uint32_t value, shoal_error_t *err)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR)
        return 0; /* a libseccomp older than the call: it stays refused */
    const struct scmp_arg_cmp compare = {.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
    int code = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, mask ? 1 : 0, mask ? &compare : NULL);
    return code < 0 ? shoal_fail(err, code, "rule for %s", name) : 0;
}

static int allow_words(scmp_filter_ctx filter, const char *words, shoal_error_t *err)
{
    for (;;) {
        char name[48];
        size_t count = strcspn(words, " ");
        (void)snprintf(name, sizeof name, "%.*s", (int)count, words);
        int code = allow(filter, name, 0, 0, err);
        if (code < 0 || words[count] == '\0')
            return code;
        words += count + 1;
    }
}

/* Allow socket(2) for the families [first, first + count) but the denied ones: whole aligned blocks where it can be,
 * since rules can only be alternatives of one masked comparison each. */
static int allow_families(scmp_filter_ctx filter, unsigned first, unsigned count, shoal_error_t *err)
{
    bool denied = false;
    for (unsigned family = first; family < first + count; family++)
        denied |= is_family_denied(family);
    if (!denied)
        return allow(filter, "socket", ~(uint32_t)(count - 1), first, err);
    if (count == 1)
        return 0;
    int code = allow_families(filter, first, count / 2, err);
    return code < 0 ? code : allow_families(filter, first + count / 2, count / 2, err);
}

static int add_rules(scmp_filter_ctx filter, uint64_t capabilities, shoal_error_t *err)
{
    int code = 0;
    for (size_t i = 0; i < COUNT(groups) && code == 0; i++) {
        if (is_granted(groups[i].capabilities, capabilities))
            code = allow_words(filter, groups[i].calls, err);
        if (code < 0)
            (void)shoal_within(err, "%s", groups[i].reason);
    }
    for (size_t i = 0; i < COUNT(personalities) && code == 0; i++)
        code = allow(filter, "personality", UINT32_MAX, personalities[i], err);
    if (code == 0)
        code = allow_families(filter, 0, FAMILIES, err);
    if (code < 0 || is_granted(BIT(CAP_SYS_ADMIN), capabilities))
        return code;

    code = allow(filter, "clone", CLONE_NAMESPACES, 0, err);
    if (code == 0)
        code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return code < 0 ? shoal_fail(err, code, "rule for clone") : 0;
}

static int set_up(scmp_filter_ctx filter, shoal_error_t *err)
{
    static const struct {
        enum scmp_filter_attr name;
        uint32_t value;
    } attributes[] = {
        {SCMP_FLTATR_CTL_OPTIMIZE, 2}, /* a tree: at installation the kernel runs it once for every call number */
        {SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)},
    };
    for (size_t i = 0; i < COUNT(attributes); i++) {
        int code = seccomp_attr_set(filter, attributes[i].name, attributes[i].value);
        if (code < 0)
            return shoal_fail(err, code, "attribute %d", (int)attributes[i].name);
    }
    if (seccomp_arch_native() != SCMP_ARCH_X86_64)
        return 0;
    int code = seccomp_arch_add(filter, SCMP_ARCH_X86);
    if (code == 0)
        code = seccomp_arch_add(filter, SCMP_ARCH_X32);
    return code < 0 ? shoal_fail(err, code, "second machine") : 0;
}

/* A jump counts from the next instruction. */
static unsigned char jump(size_t from, size_t to)
{
    return (unsigned char)(to - from - 1);
}

/* Write the part of the filter that decides the new calls; what is older jumps over it to the instruction behind.
 * Returns the number of instructions, at most HEAD_ROOM. */
enum { HEAD_ROOM = 5 + 2 * COUNT(new_calls) + 2 };
static size_t write_head(struct sock_filter head[HEAD_ROOM], uint64_t capabilities)
{
    size_t count = 0;
    head[count++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    head[count++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~UINT32_C(0x40000000)); /* the x32 bit */
    size_t is_new = count++, is_x32 = count++, is_x32_too = count++, ranges = count;
    for (size_t i = 0; i < COUNT(new_calls); i++) {
        const struct range *range = &new_calls[i];
        if (!is_granted(range->capabilities, capabilities))
            continue;
        head[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, range->first, 0, 1);
        head[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, range->last, 0, 0);
    }
    size_t refuse = count++, let = count++;
    head[refuse] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    head[let] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

    for (size_t i = ranges + 1; i < refuse; i += 2)
        head[i].jf = jump(i, let); /* not above the range's end */
    head[is_new] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_NEW_CALL, 0, jump(is_new, count));
    head[is_x32] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_X32_CALL, 0, jump(is_x32, ranges));
    head[is_x32_too] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_X32_CALL, jump(is_x32_too, refuse),
                                                    jump(is_x32_too, count));
    return count;
}

/* Read the exported program from fd and put the head in front: jumps are relative, so it may move as a whole. */
static int read_program(int fd, uint64_t capabilities, struct sock_filter **out, unsigned short *out_count,
                        shoal_error_t *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return shoal_fail(err, -errno, "stat of the exported filter");
    size_t bytes = (size_t)st.st_size;
    struct sock_filter head[HEAD_ROOM];
    size_t head_count = write_head(head, capabilities), count = head_count + bytes / sizeof **out;
    if (count > BPF_MAXINSNS)
        return shoal_fail(err, -E2BIG, "filter of %zu instructions", count);
    AUTO_FREE struct sock_filter *program = calloc(count, sizeof *program);
    if (program == NULL)
        return shoal_fail(err, -ENOMEM, "filter");
    memcpy(program, head, head_count * sizeof *program);
    if (pread(fd, program + head_count, bytes, 0) != (ssize_t)bytes)
        return shoal_fail(err, -EIO, "read of the exported filter");
    *out = program;
    *out_count = (unsigned short)count;
    program = NULL;
    return 0;
}

int seccomp_compile(uint64_t capabilities, struct sock_filter **out, unsigned short *out_count, shoal_error_t *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return shoal_fail(err, -ENOMEM, "filter");
    int code = set_up(filter, err);
    if (code == 0)
        code = add_rules(filter, capabilities, err);
    AUTO_FD fd = -1;
    if (code == 0) {
        fd = memfd_create("seccomp", MFD_CLOEXEC);
        code = fd < 0 ? shoal_fail(err, -errno, "memfd_create") : 0;
    }
    if (code == 0) {
        code = seccomp_export_bpf(filter, fd);
        code = code < 0 ? shoal_fail(err, code, "export") : 0;
    }
    seccomp_release(filter);
    if (code == 0)
        code = read_program(fd, capabilities, out, out_count, err);
    if (code < 0)
        (void)shoal_within(err, "seccomp");
    return code;
}
