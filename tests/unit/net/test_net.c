/* The room against the kernel, in a network namespace of the test's own. Stand-ins for sandboxes are processes parked in
 * namespaces of theirs, which carry out the messages that a sandbox's child would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "net/inside.h"

/* A process in a network namespace of its own. */
struct guest {
    pid_t pid;
    int in, out; /* what it is told, what it says */
};

static void run_messages(int channel)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    char bytes[1024], answer[4096];
    ssize_t count;
    while ((count = recv(channel, bytes, sizeof bytes, 0)) > 1) {
        int code = -1;
        if (send(fd, bytes, (size_t)count, 0) == count && recv(fd, answer, sizeof answer, 0) > 0)
            code = ((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)(void *)answer))->error;
        (void)!send(channel, &code, sizeof code, 0);
    }
}

/* Serve one UDP datagram, or send one and wait for the echo. */
static void serve_or_ask(int channel)
{
    struct {
        char serve;
        uint32_t address;
    } order;
    while (recv(channel, &order, sizeof order, 0) == sizeof order) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(order.address)};
        char text[8] = "echo";
        int code = 0;
        if (order.serve) {
            code = bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ? -errno : 0;
            (void)!send(channel, &code, sizeof code, 0);
            socklen_t length = sizeof at;
            if (recvfrom(fd, text, sizeof text, 0, (struct sockaddr *)&at, &length) > 0)
                (void)!sendto(fd, text, sizeof text, 0, (struct sockaddr *)&at, length);
        } else {
            struct timeval patience = {.tv_sec = 0, .tv_usec = 300000};
            (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
            code = connect(fd, (struct sockaddr *)&at, sizeof at) < 0 || send(fd, text, sizeof text, 0) < 0 ||
                           recv(fd, text, sizeof text, 0) < 0
                       ? -errno
                       : 0;
            (void)!send(channel, &code, sizeof code, 0);
        }
        (void)close(fd);
    }
}

static struct guest start_guest(void)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        char ready = unshare(CLONE_NEWNET) == 0;
        (void)!send(ends[1], &ready, 1, 0);
        run_messages(ends[1]);
        serve_or_ask(ends[1]);
        _exit(0);
    }
    (void)close(ends[1]);
    char ready = 0;
    assert_int_equal(recv(ends[0], &ready, 1, 0), 1);
    assert_int_equal(ready, 1);
    return (struct guest){.pid = pid, .in = ends[0]};
}

static void end_guest(struct guest *guest)
{
    (void)close(guest->in);
    (void)kill(guest->pid, SIGKILL);
    (void)waitpid(guest->pid, NULL, 0);
}

static int tell(const struct guest *guest, const void *bytes, size_t count)
{
    int code = -1;
    assert_int_equal(send(guest->in, bytes, count, 0), (ssize_t)count);
    assert_int_equal(recv(guest->in, &code, sizeof code, 0), sizeof code);
    return code;
}

static void configure(const struct guest *guest, struct net_endpoint *endpoint)
{
    struct net_message messages[NET_MESSAGES_MAX];
    size_t count = 0;
    shoal_error_t error;
    assert_int_equal(net_endpoint_messages(endpoint, "eth0", true, messages, &count, &error), 0);
    for (size_t i = 0; i < count; i++) {
        int code = tell(guest, messages[i].bytes, messages[i].count);
        if (code != 0)
            fail_msg("%s: %s", messages[i].what, strerror(-code));
    }
    char end = 0;
    assert_int_equal(send(guest->in, &end, 1, 0), 1);
}

static int order(const struct guest *guest, char serve, uint32_t address)
{
    struct {
        char serve;
        uint32_t address;
    } order;
    memset(&order, 0, sizeof order);
    order.serve = serve;
    order.address = address;
    return tell(guest, &order, sizeof order);
}

/* Several tries: a bridge forwards to a new port only when the kernel has noticed its carrier. */
static bool reaches(const struct guest *from, const struct guest *to, uint32_t address)
{
    assert_int_equal(order(to, 1, address), 0);
    for (int i = 0; i < 100; i++)
        if (order(from, 0, address) == 0)
            return true;
    return false;
}

static int enter_namespace(void **state)
{
    (void)state;
    uv_loop_t loop; /* libuv keeps two descriptors from its first loop on */
    return uv_loop_init(&loop) | uv_loop_close(&loop) | unshare(CLONE_NEWNET);
}

static size_t count_fds(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

static size_t count_links(void)
{
    struct if_nameindex *list = if_nameindex();
    size_t count = 0;
    for (size_t i = 0; list[i].if_index != 0; i++)
        count += strncmp(list[i].if_name, "sh", 2) == 0 || strncmp(list[i].if_name, "sv", 2) == 0;
    if_freenameindex(list);
    return count;
}

static bool has_table(const char *tag)
{
    AUTO_FREE char *command = base_format("nft list table inet shoal_%s >/dev/null 2>&1", tag);
    return system(command) == 0;
}

static char front[] = "front", back[] = "back";
static shoal_network_t two[] = {{.name = front}, {.name = back}};

static struct net *open_net(uv_loop_t *loop, const char *tag, const shoal_network_t *networks, size_t count,
                            size_t expected)
{
    struct net *net = NULL;
    shoal_error_t error;
    size_t each[2] = {expected, expected};
    struct net_options options = {.tag = tag, .networks = networks, .expected = each, .network_count = count};
    if (net_open(&net, loop, &options, &error) < 0)
        fail_msg("%s", error.text);
    return net;
}

static void on_closed(void *data)
{
    *(bool *)data = true;
}

static void close_net(struct net *net, uv_loop_t *loop)
{
    bool closed = false;
    net_close(net, on_closed, &closed);
    assert_false(closed);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(uv_loop_close(loop), 0);
}

struct answers {
    unsigned good, bad;
    int status;
};

static void on_linked(void *data, int status, const shoal_error_t *err)
{
    struct answers *answers = data;
    if (status == 0)
        answers->good++;
    else {
        answers->bad++;
        answers->status = status;
        assert_true(err->text[0] != '\0');
    }
}

static struct net_endpoint *link_guest(struct net *net, uv_loop_t *loop, size_t network, const struct guest *guest)
{
    struct net_endpoint *endpoint = NULL;
    shoal_error_t error;
    struct answers answers = {0};
    assert_int_equal(net_endpoint_reserve(net, network, &endpoint, &error), 0);
    if (net_endpoint_link(endpoint, guest->pid, "eth0", on_linked, &answers, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(answers.good + answers.bad, 0); /* never from inside the call */
    while (answers.good + answers.bad == 0)
        (void)uv_run(loop, UV_RUN_NOWAIT);
    assert_int_equal(answers.status, 0);
    configure(guest, endpoint);
    return endpoint;
}

static void networks_reach_themselves_only(void **state)
{
    (void)state;
    size_t fds = count_fds();
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct net *net = open_net(&loop, "0a0001", two, 2, 4);
    struct guest guests[3] = {start_guest(), start_guest(), start_guest()};
    struct net_endpoint *a = link_guest(net, &loop, 0, &guests[0]), *b = link_guest(net, &loop, 0, &guests[1]),
                        *other = link_guest(net, &loop, 1, &guests[2]);
    assert_true(reaches(&guests[0], &guests[1], net_endpoint_address(b)));
    assert_false(reaches(&guests[0], &guests[2], net_endpoint_address(other)));
    for (size_t i = 0; i < 3; i++)
        end_guest(&guests[i]);
    net_endpoint_release(a);
    net_endpoint_release(b);
    net_endpoint_release(other);
    close_net(net, &loop);
    assert_int_equal(count_links(), 0);
    assert_false(has_table("0a0001"));
    assert_int_equal(count_fds(), fds);
}

static void shards_are_one_network(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    shoal_network_t sharded = {.name = front, .shard_ports = 1};
    struct net *net = open_net(&loop, "0a0002", &sharded, 1, 3);
    assert_int_equal(count_links(), 3 + 2 * 2);
    struct guest guests[3] = {start_guest(), start_guest(), start_guest()};
    struct net_endpoint *endpoints[3];
    for (size_t i = 0; i < 3; i++)
        endpoints[i] = link_guest(net, &loop, 0, &guests[i]);
    assert_true(reaches(&guests[1], &guests[2], net_endpoint_address(endpoints[2])));
    shoal_error_t error;
    struct net_endpoint *none = NULL;
    assert_int_equal(net_endpoint_reserve(net, 0, &none, &error), -ENOSPC);
    for (size_t i = 0; i < 3; i++) {
        end_guest(&guests[i]);
        net_endpoint_release(endpoints[i]);
    }
    close_net(net, &loop);
    assert_int_equal(count_links(), 0);
}

static void a_dead_process_is_no_place_for_a_link(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct net *net = open_net(&loop, "0a0003", two, 1, 4);
    struct guest guest = start_guest();
    end_guest(&guest);
    struct net_endpoint *endpoint = NULL;
    shoal_error_t error;
    assert_int_equal(net_endpoint_reserve(net, 0, &endpoint, &error), 0);
    assert_int_equal(net_endpoint_link(endpoint, guest.pid, "eth0", on_linked, NULL, &error), -ENOENT);
    net_endpoint_release(endpoint);
    close_net(net, &loop);
    assert_int_equal(count_links(), 0);
}

static void released_while_asked_is_cancelled(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct net *net = open_net(&loop, "0a0004", two, 1, 4);
    struct guest guest = start_guest();
    struct net_endpoint *endpoint = NULL;
    struct answers answers = {0};
    shoal_error_t error;
    assert_int_equal(net_endpoint_reserve(net, 0, &endpoint, &error), 0);
    assert_int_equal(net_endpoint_link(endpoint, guest.pid, "eth0", on_linked, &answers, &error), 0);
    net_endpoint_release(endpoint);
    assert_int_equal(answers.status, -ECANCELED);
    end_guest(&guest);
    close_net(net, &loop);
}

static void on_stats(void *data, int status)
{
    assert_int_equal(status, 0);
    *(bool *)data = true;
}

static void counts_what_the_sandbox_sent(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct net *net = open_net(&loop, "0a0005", two, 1, 4);
    struct guest guests[2] = {start_guest(), start_guest()};
    struct net_endpoint *a = link_guest(net, &loop, 0, &guests[0]), *b = link_guest(net, &loop, 0, &guests[1]);
    assert_true(reaches(&guests[0], &guests[1], net_endpoint_address(b)));
    uint64_t counted[6] = {0}; /* received and sent: bytes, packets, dropped */
    bool read = false;
    assert_false(net_endpoint_get_stats(a, counted));
    assert_int_equal(net_read_stats(net, on_stats, &read), 0);
    assert_int_equal(net_read_stats(net, on_stats, &read), -EALREADY);
    while (!read)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_true(net_endpoint_get_stats(a, counted));
    assert_in_range(counted[4], 2, 10); /* an ARP request and a datagram at least */
    assert_in_range(counted[1], 2, 10);
    assert_int_equal(net_read_stats(net, on_stats, &read), 0); /* it is closed in the middle of it */
    for (size_t i = 0; i < 2; i++)
        end_guest(&guests[i]);
    net_endpoint_release(a);
    net_endpoint_release(b);
    close_net(net, &loop);
}

static void a_crash_is_cleared_by_the_next_open(void **state)
{
    (void)state;
    pid_t pid = fork(); /* a supervisor that is killed: nothing of it is closed */
    if (pid == 0) {
        uv_loop_t loop;
        (void)uv_loop_init(&loop);
        (void)open_net(&loop, "0a0006", two, 2, 4);
        _exit(0);
    }
    (void)waitpid(pid, NULL, 0);
    assert_int_equal(count_links(), 2);
    assert_true(has_table("0a0006"));
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct net *net = open_net(&loop, "0a0006", two, 1, 4);
    assert_int_equal(count_links(), 1);
    close_net(net, &loop);
    assert_int_equal(count_links(), 0);
    assert_false(has_table("0a0006"));
}

static void what_cannot_be_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(
        system("ip link add host0 type bridge && ip addr add 192.0.2.1/24 dev host0 && ip link set host0 up"), 0);
    static const struct {
        shoal_network_t network;
        size_t expected;
        int code;
        const char *words;
    } rows[] = {
        {{.name = front, .subnet = 0xc0000280, .prefix = 25}, 1, -EADDRINUSE, "192.0.2.128/25 overlaps 192.0.2.0/24"},
        {{.name = front, .subnet = 0x0a4d0000, .prefix = 29}, 6, -ENOSPC, "6 sandboxes need more than the 5 addresses"},
        {{.name = front, .subnet = 0x0a4d0000, .prefix = 16, .shard_ports = 1000}, 30000, -ENOSPC, "1023 ports"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uv_loop_t loop;
        assert_int_equal(uv_loop_init(&loop), 0);
        struct net *net = NULL;
        shoal_error_t error;
        struct net_options options = {
            .tag = "0a0007", .networks = &rows[i].network, .expected = &rows[i].expected, .network_count = 1};
        int code = net_open(&net, &loop, &options, &error);
        if (code != rows[i].code || strstr(error.text, rows[i].words) == NULL)
            fail_msg("row %zu: %d %s", i, code, code < 0 ? error.text : "");
        assert_null(net);
        assert_int_equal(count_links(), 0);
        assert_false(has_table("0a0007"));
        assert_int_equal(uv_loop_close(&loop), 0);
    }
    assert_int_equal(system("ip link del host0"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_reach_themselves_only),
        cmocka_unit_test(shards_are_one_network),
        cmocka_unit_test(a_dead_process_is_no_place_for_a_link),
        cmocka_unit_test(released_while_asked_is_cancelled),
        cmocka_unit_test(counts_what_the_sandbox_sent),
        cmocka_unit_test(a_crash_is_cleared_by_the_next_open),
        cmocka_unit_test(what_cannot_be_is_refused_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
