#include "kernel/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>

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

/* Calls from 451 (Linux 6.5) on have one number on every machine, and libseccomp learns their names late (2.5.4 knows
 * none). Whatever is newer than this table gets ENOSYS, not EPERM: a C library that finds a new call missing takes the
 * old one, and one that finds it forbidden fails (glibc 2.39: fchmodat2). */
enum { FIRST_NEW_CALL = 451, NUMBERS = 512 };
static const struct new_calls {
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

/* What is said of one call number of one machine. */
enum verdict {
    VERDICT_EPERM, /* of every number that nothing below speaks of */
    VERDICT_ENOSYS,
    VERDICT_ALLOW,
    VERDICT_SOCKET, /* these three look at argument 0 */
    VERDICT_CLONE,
    VERDICT_PERSONALITY
};

struct machine {
    uint32_t arch, token; /* AUDIT_ARCH_*, SCMP_ARCH_* */
    enum verdict verdicts[NUMBERS];
};

static bool is_granted(uint64_t needed, uint64_t capabilities)
{
    return needed == 0 || (needed & capabilities) != 0;
}

static bool has_word(const char *words, const char *word)
{
    size_t count = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += count)
        if ((at == words || at[-1] == ' ') && (at[count] == ' ' || at[count] == '\0'))
            return true;
    return false;
}

static enum verdict judge(const char *name, uint64_t capabilities)
{
    if (strcmp(name, "personality") == 0)
        return VERDICT_PERSONALITY;
    if (strcmp(name, "socket") == 0)
        return VERDICT_SOCKET;
    if (!is_granted(BIT(CAP_SYS_ADMIN), capabilities)) {
        if (strcmp(name, "clone") == 0)
            return VERDICT_CLONE;
        if (strcmp(name, "clone3") == 0)
            return VERDICT_ENOSYS;
    }
    for (size_t i = 0; i < COUNT(groups); i++)
        if (is_granted(groups[i].capabilities, capabilities) && has_word(groups[i].calls, name))
            return VERDICT_ALLOW;
    return VERDICT_EPERM;
}

static void decide(struct machine *machine, uint64_t capabilities)
{
    for (uint32_t number = 0; number < FIRST_NEW_CALL; number++) {
        AUTO_FREE char *name = seccomp_syscall_resolve_num_arch(machine->token, (int)number);
        if (name != NULL) /* else no call of that machine, or one that this libseccomp does not know */
            machine->verdicts[number] = judge(name, capabilities);
    }
    for (uint32_t number = FIRST_NEW_CALL; number < NUMBERS; number++)
        machine->verdicts[number] = VERDICT_ENOSYS;
    for (size_t i = 0; i < COUNT(new_calls); i++)
        for (uint32_t number = new_calls[i].first; number <= new_calls[i].last; number++)
            if (is_granted(new_calls[i].capabilities, capabilities))
                machine->verdicts[number] = VERDICT_ALLOW;
}

/* The program under construction. Both machines' trees have some 250 instructions. */
struct program {
    struct sock_filter code[BPF_MAXINSNS];
    size_t count;
    bool full;
};

static void put(struct program *program, struct sock_filter instruction)
{
    if (program->count < BPF_MAXINSNS)
        program->code[program->count++] = instruction;
    else
        program->full = true;
}

#define PUT_STMT(program, code, k) put(program, (struct sock_filter)BPF_STMT(code, k))
#define PUT_JUMP(program, code, k, jt, jf) put(program, (struct sock_filter)BPF_JUMP(code, k, jt, jf))

static void put_answer(struct program *program, uint32_t answer)
{
    PUT_STMT(program, BPF_RET | BPF_K, answer);
}

/* The kernel takes int arguments from the lower half of the register; this machine has it first. */
static void put_load_argument(struct program *program)
{
    PUT_STMT(program, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]));
}

static void put_verdict(struct program *program, enum verdict verdict)
{
    const uint32_t refused = SECCOMP_RET_ERRNO | EPERM;
    switch (verdict) {
    case VERDICT_EPERM:
        put_answer(program, refused);
        return;
    case VERDICT_ENOSYS:
        put_answer(program, SECCOMP_RET_ERRNO | ENOSYS);
        return;
    case VERDICT_ALLOW:
        put_answer(program, SECCOMP_RET_ALLOW);
        return;
    case VERDICT_SOCKET:
        /* AF_VSOCK talks to the hypervisor and has no namespace; AF_ALG hands the kernel's cipher code to everyone. */
        put_load_argument(program);
        PUT_JUMP(program, BPF_JMP | BPF_JEQ | BPF_K, AF_VSOCK, 3, 0);
        PUT_JUMP(program, BPF_JMP | BPF_JEQ | BPF_K, AF_ALG, 2, 0);
        PUT_JUMP(program, BPF_JMP | BPF_JGE | BPF_K, AF_MAX, 1, 0);
        put_answer(program, SECCOMP_RET_ALLOW);
        put_answer(program, refused);
        return;
    case VERDICT_CLONE:
        put_load_argument(program);
        PUT_JUMP(program, BPF_JMP | BPF_JSET | BPF_K, CLONE_NAMESPACES, 1, 0);
        put_answer(program, SECCOMP_RET_ALLOW);
        put_answer(program, refused);
        return;
    case VERDICT_PERSONALITY:
        /* What weakens nothing: Linux, 32-bit Linux, each also with the old version number; the query. */
        put_load_argument(program);
        PUT_JUMP(program, BPF_JMP | BPF_JEQ | BPF_K, UINT32_MAX, 2, 0);
        PUT_STMT(program, BPF_ALU | BPF_AND | BPF_K, ~(uint32_t)(PER_LINUX32 | UNAME26));
        PUT_JUMP(program, BPF_JMP | BPF_JEQ | BPF_K, PER_LINUX, 0, 1);
        put_answer(program, SECCOMP_RET_ALLOW);
        put_answer(program, refused);
        return;
    }
}

/* Consecutive numbers of one verdict; the last range of a machine is open at its end. */
struct range {
    uint32_t first;
    enum verdict verdict;
};

/* Put a jump in front of all from begin to the end, over them: when the accumulator is >= k. They may move as a whole, as
 * every jump among them is relative. A conditional jump reaches 255 instructions, BPF_JA all. */
enum { FARTHEST_JUMP = 255 };
static void put_before(struct program *program, size_t begin, uint32_t k)
{
    size_t over = program->count - begin, room = over <= FARTHEST_JUMP ? 1 : 2;
    for (size_t i = 0; i < room; i++)
        put_answer(program, 0); /* at the end, where there is room */
    if (program->full)
        return;
    struct sock_filter *code = program->code + begin;
    memmove(code + room, code, over * sizeof *code);
    if (room == 1) {
        code[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, k, (unsigned char)over, 0);
    } else {
        code[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, k, 0, 1);
        code[1] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)over);
    }
}

/* A binary search for the number in the accumulator. */
static void put_tree(struct program *program, const struct range *ranges, size_t count)
{
    if (count == 1) {
        put_verdict(program, ranges[0].verdict);
        return;
    }
    size_t middle = count / 2, lower = program->count;
    put_tree(program, ranges, middle);
    put_before(program, lower, ranges[middle].first);
    put_tree(program, ranges + middle, count - middle);
}

static void put_machine(struct program *program, const struct machine *machine)
{
    struct range ranges[NUMBERS + 1] = {{0, machine->verdicts[0]}};
    size_t count = 1;
    for (uint32_t number = 1; number < NUMBERS; number++)
        if (ranges[count - 1].verdict != machine->verdicts[number])
            ranges[count++] = (struct range){number, machine->verdicts[number]};
    if (ranges[count - 1].verdict != VERDICT_ENOSYS) /* x32's numbers too, which have bit 30 set */
        ranges[count++] = (struct range){NUMBERS, VERDICT_ENOSYS};
    PUT_STMT(program, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    put_tree(program, ranges, count);
}

static void put_program(struct program *program, uint64_t capabilities)
{
    static const struct {
        uint32_t arch, token;
    } known[] = {{AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64}, {AUDIT_ARCH_I386, SCMP_ARCH_X86}};
    PUT_STMT(program, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    for (size_t i = 0; i < COUNT(known); i++) {
        struct machine machine = {.arch = known[i].arch, .token = known[i].token};
        decide(&machine, capabilities);
        PUT_JUMP(program, BPF_JMP | BPF_JEQ | BPF_K, machine.arch, 1, 0);
        size_t over = program->count;
        PUT_STMT(program, BPF_JMP | BPF_JA, 0);
        put_machine(program, &machine);
        if (!program->full)
            program->code[over].k = (uint32_t)(program->count - over - 1);
    }
    put_answer(program, SECCOMP_RET_ERRNO | ENOSYS); /* another machine */
}

int seccomp_compile(uint64_t capabilities, struct sock_filter **out, unsigned short *out_count, shoal_error_t *err)
{
    AUTO_FREE struct program *program = calloc(1, sizeof *program);
    if (program == NULL)
        return shoal_fail(err, -ENOMEM, "seccomp");
    put_program(program, capabilities);
    if (program->full)
        return shoal_fail(err, -E2BIG, "seccomp: filter");
    *out = malloc(program->count * sizeof **out);
    if (*out == NULL)
        return shoal_fail(err, -ENOMEM, "seccomp");
    memcpy(*out, program->code, program->count * sizeof **out);
    *out_count = (unsigned short)program->count;
    return 0;
}
