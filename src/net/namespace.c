/* One namespace of the stock: made, used, scrubbed. What waits for the kernel is done by the stock's own thread, which goes into
 * the namespace for it: setns(2) is per thread. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "net/inside.h"

/* The one link inside. Its index is the one that an endpoint's first link has too. */
static const char link_name[] = "eth0";

static int ask(int fd, struct nl_msg *message)
{
    int code = message != NULL ? netlink_ask(fd, message) : -ENOMEM;
    nlmsg_free(message);
    return code;
}

static int ask_no_ipv6(int fd, const char *name)
{
    int code = ask(fd, message_no_ipv6(name));
    return code == -EAFNOSUPPORT || code == -EOPNOTSUPP ? 0 : code; /* a kernel without it: nothing to switch off */
}

static int write_file(const char *path, const char *value)
{
    AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

/* Unprivileged ICMP echo sockets and low ports, as a namespace of the sandbox's own gets them. Groups are the host's here, and
 * every sandbox's range of ids lies between: to the largest that the kernel takes (GID_T_MAX in net/ipv4). */
static int write_sysctls(void)
{
    int code = write_file("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
    return code < 0 ? code : write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
}

/* A sysfs shows the namespace of whoever made it. In a user namespace that does not own it nobody could mount it. */
static int make_sysfs(void)
{
    AUTO_FD fs_fd = fsopen("sysfs", FSOPEN_CLOEXEC);
    if (fs_fd < 0 || fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    int fd = fsmount(fs_fd, FSMOUNT_CLOEXEC,
                     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    return fd < 0 ? -errno : fd;
}

static int set_loopback_up(int socket_fd)
{
    return ask(socket_fd, message_up(NULL, 1)); /* lo is the first of every namespace */
}

static int make_link(const struct net_namespace *namespace, int host_socket_fd)
{
    AUTO_FD ns_fd = ioctl(namespace->socket_fd, SIOCGSKNS);
    if (ns_fd < 0)
        return -errno;
    struct veth veth = {
        .name = namespace->host_name,
        .peer = link_name,
        .index = namespace->host_index,
        .peer_index = INSIDE_INDEX,
        .master = namespace->master,
        .group = namespace->group,
        .peer_ns_fd = ns_fd,
    };
    int code = ask(host_socket_fd, message_new_veth(&veth));
    if (code == 0)
        code = ask_no_ipv6(host_socket_fd, namespace->host_name);
    if (code == 0)
        code = ask(host_socket_fd, message_up(NULL, namespace->host_index));
    return code == 0 ? ask_no_ipv6(namespace->socket_fd, link_name) : code;
}

void namespace_make(struct net_namespace *namespace, int host_socket_fd)
{
    namespace->step = "unshare (sysctl user.max_net_namespaces)";
    int code = unshare(CLONE_NEWNET) < 0 ? -errno : 0;
    if (code == 0) {
        namespace->step = "lo";
        namespace->socket_fd = netlink_open_blocking(NULL);
        code = namespace->socket_fd < 0 ? -EMFILE : set_loopback_up(namespace->socket_fd);
    }
    if (code == 0) {
        namespace->step = "sysctls";
        code = write_sysctls();
    }
    if (code == 0 && namespace->shard != NULL) {
        namespace->step = namespace->host_name;
        code = make_link(namespace, host_socket_fd);
    }
    if (code == 0) {
        namespace->step = "sysfs";
        code = namespace->sysfs_fd = make_sysfs();
    }
    namespace->failed = code < 0 ? code : 0;
}

/* Nothing of the last tenant may be left: connections that the kernel winds down, or a socket that the tenant has handed to
 * somebody outside, who could listen to the next one with it. Every socket counts as "used"; one is ours. */
static int check_sockets(void)
{
    FILE *file = fopen("/proc/thread-self/net/sockstat", "re");
    if (file == NULL)
        return -errno;
    char line[256];
    int used = -1, orphans = 0, winding_down = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "sockets: used %d", &used);
        (void)sscanf(line, "TCP: inuse %*d orphan %d tw %d", &orphans, &winding_down);
    }
    (void)fclose(file);
    return used == 1 && orphans == 0 && winding_down == 0 ? 0 : -EBUSY;
}

static void on_stats(void *data, const struct nlmsghdr *reply)
{
    struct net_namespace *namespace = data;
    int index;
    (void)message_read_stats(reply, &index, namespace->base);
}

static int read_base(struct net_namespace *namespace, int host_socket_fd)
{
    struct nl_msg *message = message_get_stats(namespace->host_index);
    int code = message != NULL ? netlink_ask_reply(host_socket_fd, message, on_stats, namespace) : -ENOMEM;
    nlmsg_free(message);
    return code;
}

static int scrub_link(struct net_namespace *namespace, int host_socket_fd)
{
    int fd = namespace->socket_fd;
    int code = ask(fd, message_down(INSIDE_INDEX)); /* takes routes and neighbours with it */
    if (code == 0 && namespace->address != 0)
        code = ask(fd, message_delete_address(INSIDE_INDEX, namespace->address, namespace->prefix));
    namespace->address = 0;
    return code == 0 ? read_base(namespace, host_socket_fd) : code;
}

void namespace_scrub(struct net_namespace *namespace, int host_socket_fd)
{
    AUTO_FD ns_fd = ioctl(namespace->socket_fd, SIOCGSKNS);
    namespace->step = "scrub";
    int code = ns_fd < 0 || setns(ns_fd, CLONE_NEWNET) < 0 ? -errno : check_sockets();
    if (code == 0 && namespace->shard != NULL)
        code = scrub_link(namespace, host_socket_fd);
    if (code == 0 && namespace->sysfs_fd < 0)
        code = namespace->sysfs_fd = make_sysfs();
    namespace->failed = code < 0 ? code : 0;
}

void namespace_drop(struct net_namespace *namespace)
{
    base_close_fd(&namespace->sysfs_fd);
    base_close_fd(&namespace->socket_fd);
}

int net_namespace_take_sysfs(struct net_namespace *namespace)
{
    return take_fd(&namespace->sysfs_fd);
}

int net_namespace_enter(struct net_namespace *namespace, int (*start)(void *data), void *data, shoal_error_t *err)
{
    AUTO_FD ns_fd = ioctl(namespace->socket_fd, SIOCGSKNS);
    AUTO_FD home_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (ns_fd < 0 || home_fd < 0 || setns(ns_fd, CLONE_NEWNET) < 0)
        return shoal_fail(err, -errno, "enter a network namespace of the stock");
    int code = start(data);
    if (setns(home_fd, CLONE_NEWNET) < 0)
        abort(); /* cannot be: the way in has shown the right to it. To go on would be to work in a sandbox's network */
    return code;
}
