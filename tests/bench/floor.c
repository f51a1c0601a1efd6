/* The floor: the kernel work of one sandbox's start and end, one after the other, without anybody who supervises. What shoal
 * takes beyond this is its own. What comes into being is the same: clone3 into a cgroup with all namespaces, id maps, an
 * idmapped layer under an overlay with hostname, hosts and resolv.conf, the same mounts, masks and sysctls, a veth pair on a
 * bridge, capabilities, the same system call filter, execve of busybox true.
 *
 *   floor FIRST COUNT NONCE IMAGE_DIR WORK_DIR CGROUP_DIR BRIDGE_INDEX [kill]
 * N goes from FIRST on. Each runs "/marker NONCE-N /bin/busybox true", whose marker comes on the same stdout. Behind it one JSON
 * line each: begin_usec (realtime), exec_usec from the decision to execve, life_usec to the reaped child. BRIDGE_INDEX 0: an empty
 * network namespace. kill: it runs "sleep" instead, and is killed; kill_usec from that to its pidfd. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "kernel/caps.h"
#include "kernel/mount.h"
#include "kernel/process.h"
#include "kernel/raw.h"
#include "kernel/seccomp.h"
#include "net/inside.h"
#include "shoal/supervisor.h"

enum { FIRST_ID = 0x60000000, IDS = 65536, CAPABILITIES = 41, MESSAGES = 4 };
enum { LAYER, DEV, HOSTS, FDS }; /* what the child gets */

static void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Everything that the child uses, made before it starts: it shares our memory. */
struct job {
    const char *dir, *nonce;
    int channel;
    bool linked, sleeps;
    struct sock_fprog filter;
    struct nl_msg *messages[MESSAGES];
    long failed_at, code;
};

static long step(struct job *job, long number, long a, long b, long c, long d, long e)
{
    long result = raw_syscall(number, a, b, c, d, e, 0);
    job->failed_at++;
    if (result < 0 && job->code == 0 && result != -ENOENT && result != -EEXIST &&
        !(number == SYS_mount && result == -EINVAL)) {
        job->code = result;
        for (;;)
            (void)raw_syscall(SYS_exit_group, 99, 0, 0, 0, 0, 0);
    }
    return result;
}

static void receive(struct job *job, int fds[FDS])
{
    char byte, control[256];
    struct iovec part = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    (void)step(job, SYS_recvmsg, job->channel, (long)&message, MSG_CMSG_CLOEXEC, 0, 0);
    if (fds != NULL)
        for (int i = 0; i < FDS; i++)
            fds[i] = ((int *)(void *)CMSG_DATA((struct cmsghdr *)(void *)control))[i];
}

static void write_sysctl(struct job *job, const char *path, const char *value, size_t count)
{
    int fd = (int)step(job, SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CLOEXEC, 0, 0);
    (void)step(job, SYS_write, fd, (long)value, (long)count, 0, 0);
    (void)step(job, SYS_close, fd, 0, 0, 0, 0);
}

__attribute__((no_sanitize("address", "undefined"))) static void child(void *argument)
{
    struct job *job = argument;
    int fds[FDS];
    const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    (void)step(job, SYS_close_range, job->channel + 1, ~0u, CLOSE_RANGE_UNSHARE, 0, 0);
    (void)step(job, SYS_write, job->channel, (long)"R", 1, 0, 0); /* the parent may close its copy now */
    receive(job, fds);
    (void)step(job, SYS_chdir, (long)job->dir, 0, 0, 0, 0);
    (void)step(job, SYS_setresgid, 0, 0, 0, 0, 0);
    (void)step(job, SYS_setgroups, 0, 0, 0, 0, 0);
    (void)step(job, SYS_setresuid, 0, 0, 0, 0, 0);
    (void)step(job, SYS_unshare, CLONE_NEWCGROUP, 0, 0, 0, 0);
    (void)step(job, SYS_keyctl, 1, 0, 0, 0, 0);
    (void)step(job, SYS_move_mount, fds[LAYER], (long)"", AT_FDCWD, (long)"l0", MOVE_MOUNT_F_EMPTY_PATH);
    (void)step(job, SYS_mount, (long)"overlay", (long)"root", (long)"overlay", 0,
               (long)"lowerdir=l0,upperdir=upper,workdir=work,userxattr");
    (void)step(job, SYS_chdir, (long)"root", 0, 0, 0, 0);
    (void)step(job, SYS_pivot_root, (long)".", (long)".", 0, 0, 0);
    (void)step(job, SYS_chdir, (long)"/", 0, 0, 0, 0);
    (void)step(job, SYS_mount, (long)"proc", (long)"/proc", (long)"proc", (long)plain, 0);
    (void)step(job, SYS_mount, (long)"sysfs", (long)"/sys", (long)"sysfs", (long)(plain | MS_RDONLY), 0);
    (void)step(job, SYS_mount, (long)"cgroup2", (long)"/sys/fs/cgroup", (long)"cgroup2", (long)(plain | MS_RDONLY), 0);
    (void)step(job, SYS_move_mount, fds[DEV], (long)"", AT_FDCWD, (long)"/dev", MOVE_MOUNT_F_EMPTY_PATH);
    (void)step(job, SYS_mount, (long)"devpts", (long)"/dev/pts", (long)"devpts", MS_NOSUID | MS_NOEXEC,
               (long)"newinstance,ptmxmode=0666,mode=0620,gid=5");
    (void)step(job, SYS_mount, (long)"tmpfs", (long)"/dev/shm", (long)"tmpfs", (long)plain,
               (long)"mode=1777,size=67108864");
    (void)step(job, SYS_mount, (long)"mqueue", (long)"/dev/mqueue", (long)"mqueue", (long)plain, 0);
    int made = (int)step(job, SYS_openat, AT_FDCWD, (long)"/etc/hosts", O_WRONLY | O_CREAT | O_CLOEXEC, 0644, 0);
    (void)step(job, SYS_close, made, 0, 0, 0, 0);
    (void)step(job, SYS_move_mount, fds[HOSTS], (long)"", AT_FDCWD, (long)"/etc/hosts", MOVE_MOUNT_F_EMPTY_PATH);
    receive(job, NULL);
    int netlink = (int)step(job, SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE, 0, 0);
    struct net_message up = net_loopback_message();
    char answer[1024];
    (void)raw_syscall(SYS_sendto, netlink, (long)up.bytes, (long)up.count, 0, 0, 0);
    (void)raw_syscall(SYS_recvfrom, netlink, (long)answer, sizeof answer, 0, 0, 0);
    for (int i = 0; job->linked && i < MESSAGES; i++) {
        const struct nlmsghdr *header = nlmsg_hdr(job->messages[i]);
        (void)raw_syscall(SYS_sendto, netlink, (long)header, header->nlmsg_len, 0, 0, 0);
        (void)raw_syscall(SYS_recvfrom, netlink, (long)answer, sizeof answer, 0, 0, 0);
        if (((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)(void *)answer))->error != 0)
            (void)step(job, -1, 0, 0, 0, 0, 0);
    }
    write_sysctl(job, "/proc/sys/net/ipv4/ping_group_range", "0 65535", 7);
    write_sysctl(job, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0", 1);
    (void)step(job, SYS_sethostname, (long)"floor", 5, 0, 0, 0);
    const char *const files[] = {"/proc/kcore",       "/proc/keys",        "/proc/latency_stats", "/proc/timer_list",
                                 "/proc/timer_stats", "/proc/sched_debug", "/proc/interrupts"};
    for (unsigned i = 0; i < COUNT(files); i++)
        (void)step(job, SYS_mount, (long)"/dev/null", (long)files[i], 0, MS_BIND, 0);
    const char *const dirs[] = {"/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware",
                                "/sys/devices/virtual/powercap"};
    for (unsigned i = 0; i < COUNT(dirs); i++)
        (void)step(job, SYS_mount, (long)"tmpfs", (long)dirs[i], (long)"tmpfs", (long)(plain | MS_RDONLY),
                   (long)"mode=555,size=0,nr_inodes=2");
    const char *const fixed[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    for (unsigned i = 0; i < COUNT(fixed); i++) {
        (void)step(job, SYS_mount, (long)fixed[i], (long)fixed[i], 0, MS_BIND, 0);
        (void)step(job, SYS_mount, 0, (long)fixed[i], 0, (long)(MS_BIND | MS_REMOUNT | MS_RDONLY | plain), 0);
    }
    (void)step(job, SYS_umount2, (long)"/", MNT_DETACH, 0, 0, 0);
    (void)step(job, SYS_chdir, (long)"/", 0, 0, 0, 0);
    (void)step(job, SYS_setsid, 0, 0, 0, 0, 0);
    (void)step(job, SYS_umask, 022, 0, 0, 0, 0);
    for (unsigned bit = 14; bit < CAPABILITIES; bit++)
        (void)step(job, SYS_prctl, PR_CAPBSET_DROP, bit, 0, 0, 0);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {{.effective = 0x3fff, .permitted = 0x3fff}};
    (void)step(job, SYS_capset, (long)&header, (long)sets, 0, 0, 0);
    (void)step(job, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    uint64_t none = 0;
    (void)step(job, SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8, 0);
    (void)step(job, SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&job->filter, 0, 0);
    const char *const argv[] = {
        "/marker", job->nonce, "/bin/busybox", job->sleeps ? "sleep" : "true", job->sleeps ? "1000000" : NULL, NULL};
    const char *const envp[] = {"PATH=/bin", NULL};
    (void)step(job, SYS_execve, (long)argv[0], (long)argv, (long)envp, 0, 0);
    job->code = -ENOENT;
    (void)raw_syscall(SYS_exit_group, 98, 0, 0, 0, 0, 0);
}

static int make_dev(const char *path)
{
    shoal_error_t error;
    int fd = mount_make_tmpfs("0755", &error);
    if (fd < 0 || (mkdir(path, 0755) < 0 && errno != EEXIST) ||
        mknodat(fd, "null", S_IFCHR | 0666, makedev(1, 3)) < 0 || mkdirat(fd, "pts", 0755) < 0 ||
        mkdirat(fd, "shm", 0755) < 0 || mkdirat(fd, "mqueue", 0755) < 0 ||
        move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        die("dev");
    return fd;
}

static const struct {
    const char *path, *text;
} files[] = {{"/upper/etc/hostname", "floor\n"}, {"/upper/etc/resolv.conf", "nameserver 192.0.2.1\n"}};

static void make_dirs(const char *dir)
{
    static const char *const parts[] = {"", "/l0", "/upper", "/work", "/root", "/upper/etc"};
    for (size_t i = 0; i < COUNT(parts); i++) {
        AUTO_FREE char *path = base_format("%s%s", dir, parts[i]);
        if (mkdir(path, 0755) < 0 || chown(path, FIRST_ID, FIRST_ID) < 0)
            die(path);
    }
    for (size_t i = 0; i < COUNT(files); i++) {
        AUTO_FREE char *path = base_format("%s%s", dir, files[i].path);
        AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        ssize_t count = (ssize_t)strlen(files[i].text);
        if (fd < 0 || write(fd, files[i].text, (size_t)count) != count || fchown(fd, FIRST_ID, FIRST_ID) < 0)
            die(path);
    }
}

static void remove_dirs(const char *dir)
{
    static const char *const parts[] = {"/root", "/work/work", "/work", "/upper/etc", "/upper", "/l0", ""};
    for (size_t i = 0; i <= COUNT(files); i++) {
        AUTO_FREE char *path = base_format("%s%s", dir, i < COUNT(files) ? files[i].path : "/upper/etc/hosts");
        if (unlink(path) < 0 && errno != ENOENT) /* hosts: where the image has none */
            die(path);
    }
    for (size_t i = 0; i < COUNT(parts); i++) {
        AUTO_FREE char *path = base_format("%s%s", dir, parts[i]);
        if (rmdir(path) < 0)
            die(path);
    }
}

static void send_to(int channel, const int *fds, size_t count)
{
    char byte = 'F';
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS * sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, count * sizeof(int));
    }
    if (sendmsg(channel, &message, MSG_NOSIGNAL) < 0)
        die("sendmsg");
}

static void link_child(int netlink, pid_t pid, int bridge, unsigned number)
{
    char name[IFNAMSIZ];
    (void)snprintf(name, sizeof name, "fl%u", number);
    struct veth veth = {.name = name,
                        .peer = "eth0",
                        .index = 1 << 29 | (int)number,
                        .peer_index = 100,
                        .master = bridge,
                        .group = 7,
                        .peer_pid = pid,
                        .peer_address = 0x0ac80002};
    struct nl_msg *messages[] = {message_new_veth(&veth), message_no_ipv6(name), message_up(NULL, veth.index)};
    for (size_t i = 0; i < COUNT(messages); i++) {
        int code = netlink_ask(netlink, messages[i]);
        if (code < 0) {
            errno = -code;
            die("veth");
        }
        nlmsg_free(messages[i]);
    }
}

/* When it sleeps: a moment after its start. */
static uint64_t kill_it(int pid_fd)
{
    enum { MOMENT_USEC = 20000 };
    (void)usleep(MOMENT_USEC);
    uint64_t begin = base_monotonic_usec();
    struct pollfd watched = {.fd = pid_fd, .events = POLLIN};
    if (process_signal(pid_fd, SIGKILL, NULL) < 0 || poll(&watched, 1, -1) != 1)
        die("kill");
    return base_monotonic_usec() - begin;
}

int main(int argc, char **argv)
{
    if (argc != 8 && argc != 9) {
        fprintf(stderr, "usage: floor FIRST COUNT NONCE IMAGE_DIR WORK_DIR CGROUP_DIR BRIDGE_INDEX [kill]\n");
        return 2;
    }
    unsigned first = (unsigned)strtoul(argv[1], NULL, 10), count = (unsigned)strtoul(argv[2], NULL, 10);
    const char *image_dir = argv[4], *work_dir = argv[5], *cgroup_dir = argv[6];
    int bridge = (int)strtol(argv[7], NULL, 10);
    shoal_error_t error;
    if (shoal_process_isolate(&error) < 0)
        die(error.text);
    AUTO_FREE char *dev_path = base_format("%s/dev%u", work_dir, first);
    int image = open(image_dir, O_PATH | O_DIRECTORY | O_CLOEXEC), dev = make_dev(dev_path);
    int netlink = netlink_open_blocking(&error);
    struct job job = {.linked = bridge != 0, .sleeps = argc == 9};
    if (seccomp_compile(caps_default(), &job.filter.filter, &job.filter.len, &error) < 0)
        die(error.text);
    struct nl_msg *inside[MESSAGES] = {message_no_ipv6("eth0"), message_add_address(100, 0x0ac80002, 16),
                                       message_up(NULL, 100), message_default_route(100, 0x0ac80001)};
    for (int i = 0; i < MESSAGES; i++) {
        nlmsg_hdr(inside[i])->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
        job.messages[i] = inside[i];
    }
    void *stack = process_make_stack();
    AUTO_FREE char *hosts = base_format("%s/hosts%u", work_dir, first);
    int hosts_fd = open(hosts, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (hosts_fd < 0 || write(hosts_fd, "127.0.0.1\tlocalhost\n", 20) != 20)
        die(hosts);
    (void)close(hosts_fd);
    for (unsigned i = first; i < first + count; i++) {
        AUTO_FREE char *dir = base_format("%s/%u", work_dir, i);
        AUTO_FREE char *cgroup = base_format("%s/%u", cgroup_dir, i);
        AUTO_FREE char *nonce = base_format("%s-%u", argv[3], i);
        uint64_t begin_realtime = base_realtime_usec(), begin = base_monotonic_usec();
        make_dirs(dir);
        if (mkdir(cgroup, 0755) < 0)
            die(cgroup);
        AUTO_FD cgroup_fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
            die("socketpair");
        job.dir = dir;
        job.nonce = nonce;
        job.channel = ends[1];
        job.failed_at = job.code = 0;
        struct process_start how = {.namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID |
                                                  CLONE_NEWUSER | CLONE_NEWTIME | CLONE_NEWNET,
                                    .cgroup_fd = cgroup_fd,
                                    .stack = stack,
                                    .body = child,
                                    .argument = &job};
        pid_t pid;
        int pid_fd;
        if (process_start(&how, &pid, &pid_fd, &error) < 0 || process_write_id_maps(pid, FIRST_ID, IDS, &error) < 0)
            die(error.text);
        int user = process_open_user_namespace(pid, &error);
        struct mount_clone layer = {.read_only = true, .user_fd = user}, plain = {.read_only = true, .user_fd = -1};
        int fds[FDS] = {mount_clone(image, "", &layer, &error), mount_clone(dev, "", &plain, &error),
                        mount_clone(AT_FDCWD, hosts, &layer, &error)};
        for (size_t k = 0; k < FDS; k++)
            if (fds[k] < 0)
                die(error.text);
        send_to(ends[0], fds, FDS);
        if (bridge != 0)
            link_child(netlink, pid, bridge, i);
        send_to(ends[0], NULL, 0);
        char byte;
        (void)!recv(ends[0], &byte, 1, 0);
        (void)close(ends[1]);
        (void)!recv(ends[0], &byte, 1, 0); /* end of file: execve, or the end */
        uint64_t executed = base_monotonic_usec();
        uint64_t kill_usec = job.sleeps ? kill_it(pid_fd) : 0;
        siginfo_t info;
        (void)waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED | __WALL);
        uint64_t reaped = base_monotonic_usec();
        bool well = job.sleeps ? info.si_code == CLD_KILLED : info.si_code == CLD_EXITED && info.si_status == 0;
        if (job.code != 0 || !well) {
            fprintf(stderr, "floor: step %ld: %s; exit %d\n", job.failed_at, strerror((int)-job.code), info.si_status);
            return 1;
        }
        printf("{\"begin_usec\":%llu,\"exec_usec\":%llu,\"life_usec\":%llu,\"kill_usec\":%llu}\n",
               (unsigned long long)begin_realtime, (unsigned long long)(executed - begin),
               (unsigned long long)(reaped - begin), (unsigned long long)kill_usec);
        (void)fflush(stdout); /* the markers come by the same way */
        const int open_fds[] = {ends[0], pid_fd, user, fds[LAYER], fds[DEV], fds[HOSTS]};
        for (size_t k = 0; k < COUNT(open_fds); k++)
            (void)close(open_fds[k]);
        while (rmdir(cgroup) < 0 && errno == EBUSY)
            ; /* outside of what is measured */
        remove_dirs(dir);
    }
    (void)unlink(hosts);
    (void)umount2(dev_path, MNT_DETACH);
    (void)rmdir(dev_path);
    for (int i = 0; i < MESSAGES; i++)
        nlmsg_free(inside[i]);
    free(job.filter.filter);
    process_free_stack(stack);
    const int open_fds[] = {image, dev, netlink};
    for (size_t i = 0; i < COUNT(open_fds); i++)
        (void)close(open_fds[i]);
    return 0;
}
