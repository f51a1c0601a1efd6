#include "kernel/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/base.h"

enum { RECEIVE_BYTES = 4 << 20, ANSWER_BYTES = 32 << 10, BATCH_MAX = 16 };

/* What one call of netlink_send() asked. */
struct netlink_batch {
    struct netlink_batch *next;
    size_t count;
    struct netlink_request *requests[BATCH_MAX]; /* the loop's; NULL: cancelled */
    bool wants_replies;
    int fd;      /* of another socket than netlink's; -1 */
    int keep_fd; /* owned: stays open until it is carried out; -1 */
    int status[BATCH_MAX];
    size_t lengths[BATCH_MAX];
    struct text replies; /* messages one behind the other; their nlmsg_seq is the place of the request */
    size_t byte_count;
    _Alignas(struct nlmsghdr) char bytes[];
};

struct netlink {
    uv_async_t async;
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t work_there;
    struct netlink_batch *todo, **todo_end, *done, **done_end; /* guarded by mutex */
    bool stopping, stopped;                                    /* guarded by mutex */
    int fd;                                                    /* the thread's, as last_seq is */
    uint32_t last_seq;
    size_t under_way; /* only then does it keep the loop going */
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

/* The thread. Whoever changes links holds a mutex of the kernel, and while network namespaces die by the hundred it is held for
 * half a second and longer: that is not waited for on the loop. */

static void keep_reply(struct netlink_batch *batch, size_t place, const struct nlmsghdr *header)
{
    if (!batch->wants_replies)
        return;
    size_t at = batch->replies.count;
    text_add(&batch->replies, header, NLMSG_ALIGN(header->nlmsg_len)); /* recv(2) gives whole aligned messages */
    if (!batch->replies.failed)
        ((struct nlmsghdr *)(void *)(batch->replies.bytes + at))->nlmsg_seq = (uint32_t)place;
}

/* Returns how many requests of the batch this message answers for good: 0 or 1. */
static size_t take_answer(struct netlink_batch *batch, uint32_t first_seq, const struct nlmsghdr *header)
{
    size_t place = header->nlmsg_seq - first_seq;
    if (place >= batch->count || batch->status[place] <= 0)
        return 0; /* of another time */
    if (header->nlmsg_type != NLMSG_ERROR && header->nlmsg_type != NLMSG_DONE) {
        keep_reply(batch, place, header);
        return 0;
    }
    const int *answer = NLMSG_DATA(header); /* both begin with a negative errno or 0 */
    batch->status[place] = header->nlmsg_len >= NLMSG_LENGTH(sizeof *answer) ? *answer : -EBADMSG;
    return 1;
}

static void fail_open(struct netlink_batch *batch, int code)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->status[i] > 0)
            batch->status[i] = code;
}

static void carry_out(struct netlink *netlink, struct netlink_batch *batch)
{
    int fd = batch->fd >= 0 ? batch->fd : netlink->fd;
    uint32_t first_seq = netlink->last_seq + 1;
    char *at = batch->bytes;
    for (size_t i = 0; i < batch->count; i++) {
        struct nlmsghdr *header = (void *)at;
        header->nlmsg_seq = ++netlink->last_seq;
        batch->status[i] = 1; /* open */
        at += batch->lengths[i];
    }
    ssize_t sent = send(fd, batch->bytes, batch->byte_count, 0);
    if (sent < 0)
        fail_open(batch, -errno);
    for (size_t left = sent < 0 ? 0 : batch->count; left > 0;) {
        _Alignas(struct nlmsghdr) char buffer[ANSWER_BYTES];
        ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) { /* the kernel had no room for answers: which, nobody knows */
            fail_open(batch, -errno);
            break;
        }
        int rest = (int)got;
        for (const struct nlmsghdr *header = (const void *)buffer; NLMSG_OK(header, rest);
             header = NLMSG_NEXT(header, rest))
            left -= take_answer(batch, first_seq, header);
    }
    base_close_fd(&batch->keep_fd);
}

static bool is_cancelled(const struct netlink_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->requests[i] != NULL)
            return false;
    return true;
}

static void run(void *data)
{
    struct netlink *netlink = data;
    uv_mutex_lock(&netlink->mutex);
    while (!netlink->stopping) {
        struct netlink_batch *batch = netlink->todo;
        if (batch == NULL) {
            uv_cond_wait(&netlink->work_there, &netlink->mutex);
            continue;
        }
        netlink->todo = batch->next;
        if (netlink->todo == NULL)
            netlink->todo_end = &netlink->todo;
        bool wanted = !is_cancelled(batch);
        uv_mutex_unlock(&netlink->mutex);
        if (wanted)
            carry_out(netlink, batch);
        uv_mutex_lock(&netlink->mutex);
        batch->next = NULL;
        *netlink->done_end = batch;
        netlink->done_end = &batch->next;
        (void)uv_async_send(&netlink->async);
    }
    netlink->stopped = true;
    if (netlink->close_cb != NULL)
        (void)uv_async_send(&netlink->async);
    uv_mutex_unlock(&netlink->mutex);
}

/* The loop. */

static void free_batch(struct netlink_batch *batch)
{
    base_close_fd(&batch->keep_fd);
    text_free(&batch->replies);
    free(batch);
}

static void free_batches(struct netlink_batch *batch)
{
    while (batch != NULL) {
        struct netlink_batch *next = batch->next;
        free_batch(batch);
        batch = next;
    }
}

static void free_netlink(struct netlink *netlink)
{
    free_batches(netlink->todo);
    free_batches(netlink->done);
    base_close_fd(&netlink->fd);
    uv_cond_destroy(&netlink->work_there);
    uv_mutex_destroy(&netlink->mutex);
    free(netlink);
}

static void take_out(struct netlink *netlink, struct netlink_request *request)
{
    request->batch = NULL;
    if (--netlink->under_way == 0)
        uv_unref((uv_handle_t *)&netlink->async);
}

static void hand_replies(const struct netlink_batch *batch)
{
    int rest = (int)batch->replies.count;
    for (const struct nlmsghdr *header = (const void *)batch->replies.bytes; rest > 0 && NLMSG_OK(header, rest);
         header = NLMSG_NEXT(header, rest)) {
        struct netlink_request *request = batch->requests[header->nlmsg_seq];
        if (request != NULL && request->on_reply != NULL)
            request->on_reply(request, header);
    }
}

static void finish(struct netlink *netlink, struct netlink_batch *batch)
{
    if (!batch->replies.failed)
        hand_replies(batch);
    for (size_t i = 0; i < batch->count; i++) {
        struct netlink_request *request = batch->requests[i];
        if (request == NULL)
            continue;
        batch->requests[i] = NULL;
        take_out(netlink, request);
        request->done(request, batch->replies.failed ? -ENOMEM : batch->status[i]); /* may cancel one behind it */
    }
    free_batch(batch);
}

static void on_closed(uv_handle_t *handle)
{
    struct netlink *netlink = handle->data;
    void (*cb)(void *) = netlink->close_cb;
    void *data = netlink->close_data;
    free_netlink(netlink);
    cb(data);
}

static void on_done(uv_async_t *async)
{
    struct netlink *netlink = async->data;
    uv_mutex_lock(&netlink->mutex);
    struct netlink_batch *done = netlink->done;
    netlink->done = NULL;
    netlink->done_end = &netlink->done;
    bool stopped = netlink->stopped;
    uv_mutex_unlock(&netlink->mutex);
    while (done != NULL) {
        struct netlink_batch *batch = done;
        done = batch->next;
        finish(netlink, batch);
    }
    if (stopped) { /* the thread has left its last word behind it: no wait */
        (void)uv_thread_join(&netlink->thread);
        uv_close((uv_handle_t *)async, on_closed);
    }
}

static void tell_to_stop(struct netlink *netlink)
{
    uv_mutex_lock(&netlink->mutex);
    netlink->stopping = true;
    uv_cond_signal(&netlink->work_there);
    uv_mutex_unlock(&netlink->mutex);
}

static int start_thread(struct netlink *netlink, uv_loop_t *loop, shoal_error_t *err)
{
    int code = uv_thread_create(&netlink->thread, run, netlink);
    if (code < 0)
        return shoal_fail(err, code, "thread for netlink");
    code = uv_async_init(loop, &netlink->async, on_done); /* not used before there is work */
    if (code < 0) {
        tell_to_stop(netlink);
        (void)uv_thread_join(&netlink->thread);
        return shoal_fail(err, code, "netlink");
    }
    return 0;
}

int netlink_open(struct netlink **out, uv_loop_t *loop, shoal_error_t *err)
{
    struct netlink *netlink = calloc(1, sizeof *netlink);
    if (netlink == NULL || uv_mutex_init(&netlink->mutex) < 0) {
        free(netlink);
        return shoal_fail(err, -ENOMEM, "netlink");
    }
    (void)uv_cond_init(&netlink->work_there); /* with glibc it cannot fail */
    netlink->todo_end = &netlink->todo;
    netlink->done_end = &netlink->done;
    netlink->fd = open_socket(0, err);
    int code = netlink->fd < 0 ? netlink->fd : start_thread(netlink, loop, err);
    if (code < 0) {
        free_netlink(netlink);
        return code;
    }
    netlink->async.data = netlink;
    uv_unref((uv_handle_t *)&netlink->async); /* as long as nobody waits for an answer it keeps no loop going */
    *out = netlink;
    return 0;
}

void netlink_close(struct netlink *netlink, void (*cb)(void *data), void *data)
{
    netlink->close_cb = cb;
    netlink->close_data = data;
    uv_ref((uv_handle_t *)&netlink->async);
    tell_to_stop(netlink);
}

int netlink_send(struct netlink *netlink, struct nl_msg *const *messages, struct netlink_request *const *requests,
                 size_t count, int fd, int keep_fd, shoal_error_t *err)
{
    struct netlink_batch *batch = NULL;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += NLMSG_ALIGN(nlmsg_hdr(messages[i])->nlmsg_len);
    if (count <= BATCH_MAX)
        batch = malloc(sizeof *batch + bytes);
    if (batch == NULL) {
        if (keep_fd >= 0)
            (void)close(keep_fd);
        return shoal_fail(err, count > BATCH_MAX ? -E2BIG : -ENOMEM, "netlink: %zu messages at once", count);
    }
    *batch = (struct netlink_batch){.count = count, .byte_count = bytes, .fd = fd, .keep_fd = keep_fd};
    char *at = batch->bytes;
    for (size_t i = 0; i < count; i++) {
        struct nlmsghdr *header = nlmsg_hdr(messages[i]);
        bool dump = (header->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
        header->nlmsg_flags |= dump ? NLM_F_REQUEST : NLM_F_REQUEST | NLM_F_ACK;
        header->nlmsg_pid = 0;
        batch->lengths[i] = NLMSG_ALIGN(header->nlmsg_len);
        memset(at + batch->lengths[i] - NLMSG_ALIGNTO, 0, NLMSG_ALIGNTO);
        memcpy(at, header, header->nlmsg_len);
        at += batch->lengths[i];
        batch->requests[i] = requests[i];
        batch->wants_replies |= requests[i]->on_reply != NULL;
        requests[i]->batch = batch;
    }
    netlink->under_way += count;
    uv_ref((uv_handle_t *)&netlink->async);
    uv_mutex_lock(&netlink->mutex);
    *netlink->todo_end = batch;
    netlink->todo_end = &batch->next;
    uv_cond_signal(&netlink->work_there);
    uv_mutex_unlock(&netlink->mutex);
    return 0;
}

void netlink_cancel(struct netlink *netlink, struct netlink_request *request)
{
    struct netlink_batch *batch = request->batch;
    if (batch == NULL)
        return;
    uv_mutex_lock(&netlink->mutex); /* the thread asks whether anybody waits for it still */
    for (size_t i = 0; i < batch->count; i++)
        if (batch->requests[i] == request)
            batch->requests[i] = NULL;
    uv_mutex_unlock(&netlink->mutex);
    take_out(netlink, request);
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
