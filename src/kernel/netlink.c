#include "kernel/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "base/base.h"

enum { BUCKETS = 256, RECEIVE_BYTES = 4 << 20, ANSWER_BYTES = 32 << 10, BATCH_MAX = 16 };

struct netlink {
    uv_poll_t poll;
    int fd;
    uint32_t last_seq;
    size_t under_way; /* only then does the socket keep the loop going */
    struct netlink_request *buckets[BUCKETS];
    void (*close_cb)(void *data);
    void *close_data;
};

static int open_socket(int flags, shoal_error_t *err)
{
    AUTO_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);
    if (fd < 0)
        return shoal_fail(err, -errno, "netlink socket");
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return shoal_fail(err, -errno, "netlink bind");
    int room = RECEIVE_BYTES, on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room); /* without CAP_NET_ADMIN: the default size */
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);   /* answers need not repeat the question */
    return take_fd(&fd);
}

static struct netlink_request **find(struct netlink *netlink, uint32_t seq)
{
    struct netlink_request **at = &netlink->buckets[seq % BUCKETS];
    while (*at != NULL && (*at)->seq != seq)
        at = &(*at)->next;
    return at;
}

static void take_out(struct netlink *netlink, struct netlink_request **at)
{
    struct netlink_request *request = *at;
    *at = request->next;
    request->seq = 0;
    if (--netlink->under_way == 0)
        uv_unref((uv_handle_t *)&netlink->poll);
}

static void finish(struct netlink *netlink, struct netlink_request **at, int status)
{
    struct netlink_request *request = *at;
    take_out(netlink, at);
    request->done(request, status);
}

/* The kernel had no room for answers: which, nobody knows, so every question counts as unanswered. */
static void fail_all(struct netlink *netlink)
{
    struct netlink_request *all = NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        while (netlink->buckets[i] != NULL) {
            struct netlink_request *request = netlink->buckets[i];
            netlink->buckets[i] = request->next;
            request->next = all;
            all = request;
        }
    /* They stand in one bucket while they are told, so that one may cancel another. */
    netlink->buckets[0] = all;
    for (struct netlink_request *at = all; at != NULL; at = at->next)
        at->seq = BUCKETS * (at->seq / BUCKETS + 1);
    while (netlink->buckets[0] != NULL)
        finish(netlink, &netlink->buckets[0], -ENOBUFS);
}

static void on_message(struct netlink *netlink, const struct nlmsghdr *header)
{
    struct netlink_request **at = find(netlink, header->nlmsg_seq);
    if (*at == NULL)
        return; /* cancelled */
    if (header->nlmsg_type == NLMSG_ERROR ||
        header->nlmsg_type == NLMSG_DONE) { /* both begin with a negative errno or 0 */
        const int *answer = NLMSG_DATA(header);
        finish(netlink, at, header->nlmsg_len >= NLMSG_LENGTH(sizeof *answer) ? *answer : -EBADMSG);
    } else if ((*at)->on_reply != NULL) {
        (*at)->on_reply(*at, header);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct netlink *netlink = poll->data;
    _Alignas(struct nlmsghdr) char buffer[ANSWER_BYTES];
    ssize_t count = recv(netlink->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count < 0 && errno == ENOBUFS) {
        fail_all(netlink);
        return;
    }
    int left = (int)count;
    for (const struct nlmsghdr *header = (const void *)buffer; count > 0 && NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left))
        on_message(netlink, header);
}

int netlink_open(struct netlink **out, uv_loop_t *loop, shoal_error_t *err)
{
    struct netlink *netlink = calloc(1, sizeof *netlink);
    if (netlink == NULL)
        return shoal_fail(err, -ENOMEM, "netlink");
    netlink->fd = open_socket(SOCK_NONBLOCK, err);
    int code = netlink->fd < 0 ? netlink->fd : uv_poll_init(loop, &netlink->poll, netlink->fd);
    if (code < 0) {
        if (netlink->fd >= 0)
            (void)shoal_fail(err, code, "watch netlink");
        base_close_fd(&netlink->fd);
        free(netlink);
        return code;
    }
    netlink->poll.data = netlink;
    (void)uv_poll_start(&netlink->poll, UV_READABLE, on_readable);
    uv_unref(
        (uv_handle_t *)&netlink->poll); /* whoever waits for an answer keeps the loop going by something of its own */
    *out = netlink;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct netlink *netlink = handle->data;
    void (*cb)(void *) = netlink->close_cb;
    void *data = netlink->close_data;
    base_close_fd(&netlink->fd);
    free(netlink);
    cb(data);
}

void netlink_close(struct netlink *netlink, void (*cb)(void *data), void *data)
{
    netlink->close_cb = cb;
    netlink->close_data = data;
    uv_close((uv_handle_t *)&netlink->poll, on_closed);
}

int netlink_send(struct netlink *netlink, struct nl_msg *const *messages, struct netlink_request *const *requests,
                 size_t count, shoal_error_t *err)
{
    struct iovec parts[BATCH_MAX];
    if (count > BATCH_MAX)
        return shoal_fail(err, -E2BIG, "netlink: %zu messages at once", count);
    for (size_t i = 0; i < count; i++) {
        struct nlmsghdr *header = nlmsg_hdr(messages[i]);
        if (++netlink->last_seq == 0)
            netlink->last_seq = 1;
        header->nlmsg_seq = requests[i]->seq = netlink->last_seq;
        bool dump = (header->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
        header->nlmsg_flags |= dump ? NLM_F_REQUEST : NLM_F_REQUEST | NLM_F_ACK;
        header->nlmsg_pid = 0;
        parts[i] = (struct iovec){.iov_base = header, .iov_len = NLMSG_ALIGN(header->nlmsg_len)};
    }
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct msghdr message = {.msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = parts, .msg_iovlen = count};
    if (sendmsg(netlink->fd, &message, MSG_DONTWAIT) < 0) {
        for (size_t i = 0; i < count; i++)
            requests[i]->seq = 0;
        return shoal_fail(err, -errno, "netlink: send");
    }
    for (size_t i = 0; i < count; i++) {
        struct netlink_request **bucket = &netlink->buckets[requests[i]->seq % BUCKETS];
        requests[i]->next = *bucket;
        *bucket = requests[i];
    }
    netlink->under_way += count;
    uv_ref((uv_handle_t *)&netlink->poll);
    return 0;
}

void netlink_cancel(struct netlink *netlink, struct netlink_request *request)
{
    if (request->seq == 0)
        return;
    struct netlink_request **at = find(netlink, request->seq);
    while (*at != request)
        at = &(*at)->next;
    take_out(netlink, at);
}

int netlink_open_blocking(shoal_error_t *err)
{
    return open_socket(0, err);
}

/* Read until the ACK or the end of a dump. */
static int read_answers(int fd, void (*on_reply)(void *data, const struct nlmsghdr *reply), void *data)
{
    _Alignas(struct nlmsghdr) char buffer[ANSWER_BYTES];
    for (;;) {
        ssize_t count = recv(fd, buffer, sizeof buffer, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        int left = (int)count;
        for (const struct nlmsghdr *header = (const void *)buffer; NLMSG_OK(header, left);
             header = NLMSG_NEXT(header, left)) {
            if (header->nlmsg_type == NLMSG_ERROR)
                return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
            if (header->nlmsg_type == NLMSG_DONE)
                return 0;
            if (on_reply != NULL)
                on_reply(data, header);
        }
    }
}

static int send_blocking(int fd, struct nl_msg *message, int flags)
{
    struct nlmsghdr *header = nlmsg_hdr(message);
    header->nlmsg_flags |= NLM_F_REQUEST | flags;
    header->nlmsg_seq = 1;
    header->nlmsg_pid = 0;
    return send(fd, header, header->nlmsg_len, 0) < 0 ? -errno : 0;
}

int netlink_ask_reply(int fd, struct nl_msg *message, void (*on_reply)(void *data, const struct nlmsghdr *reply),
                      void *data)
{
    int code = send_blocking(fd, message, NLM_F_ACK);
    return code < 0 ? code : read_answers(fd, on_reply, data);
}

int netlink_ask(int fd, struct nl_msg *message)
{
    return netlink_ask_reply(fd, message, NULL, NULL);
}

int netlink_dump(int fd, struct nl_msg *message, void (*on_reply)(void *data, const struct nlmsghdr *reply), void *data)
{
    int code = send_blocking(fd, message, NLM_F_DUMP);
    return code < 0 ? code : read_answers(fd, on_reply, data);
}
