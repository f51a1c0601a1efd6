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
    int code = unshare(CLONE_NEWNET) < 0 ? -errno : 0;
    if (code == 0) {
        namespace->socket_fd = netlink_open_blocking(NULL);
        code = namespace->socket_fd < 0 ? -EMFILE : set_loopback_up(namespace->socket_fd);
    }
    if (code == 0)
        code = write_sysctls();
    if (code == 0 && namespace->shard != NULL)
        code = make_link(namespace, host_socket_fd);
    if (code == 0)
        code = namespace->sysfs_fd = make_sysfs();
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
    namespace->sysfs_fd = namespace->socket_fd = -1;
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

/* The kernel carries out all of a sendmsg(2) within it, so that the answers are there when it returns. */
static int ask_all(int fd, struct nl_msg *const *messages, size_t count)
{
    struct iovec parts[8];
    for (size_t i = 0; i < count; i++) {
        struct nlmsghdr *header = nlmsg_hdr(messages[i]);
        header->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
        header->nlmsg_seq = (uint32_t)i + 1;
        header->nlmsg_pid = 0;
        parts[i] = (struct iovec){.iov_base = header, .iov_len = NLMSG_ALIGN(header->nlmsg_len)};
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    if (sendmsg(fd, &message, 0) < 0)
        return -errno;
    size_t answered = 0;
    while (answered < count) {
        _Alignas(struct nlmsghdr) char buffer[4096];
        ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got < 0)
            return -errno;
        int left = (int)got;
        for (const struct nlmsghdr *header = (const void *)buffer; NLMSG_OK(header, left);
             header = NLMSG_NEXT(header, left)) {
            if (header->nlmsg_type != NLMSG_ERROR)
                return -EBADMSG;
            int code = ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
            if (code < 0)
                return code;
            answered++;
        }
    }
    return 0;
}

int net_namespace_connect(struct net_namespace *namespace, struct net_endpoint *endpoint, shoal_error_t *err)
{
    uint32_t subnet, gateway;
    net_read_subnet(namespace->net, namespace->network, &subnet, &namespace->prefix, &gateway);
    namespace->address = net_endpoint_address(endpoint);
    struct nl_msg *messages[] = {
        message_set_mac(INSIDE_INDEX, namespace->address),
        message_add_address(INSIDE_INDEX, namespace->address, namespace->prefix),
        message_up(NULL, INSIDE_INDEX),
        message_default_route(INSIDE_INDEX, gateway),
    };
    int code = 0;
    for (size_t i = 0; i < COUNT(messages); i++)
        if (messages[i] == NULL)
            code = -ENOMEM;
    if (code == 0)
        code = ask_all(namespace->socket_fd, messages, COUNT(messages));
    for (size_t i = 0; i < COUNT(messages); i++)
        nlmsg_free(messages[i]);
    if (code < 0)
        return shoal_fail(err, code, "address %s on %s", subnet_format(namespace->address, namespace->prefix).text,
                          link_name);
    net_endpoint_adopt(endpoint, namespace->host_index, namespace->base);
    return 0;
}
