#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/base.h"
#include "metrics/metrics.h"

enum writer_kind {
    WRITER_STREAM, /* pipe or terminal, an open file description of our own: non-blocking writes on the loop */
    WRITER_SOCKET, /* MSG_DONTWAIT; the description is shared and stays as it was */
    WRITER_DEVICE, /* /dev/null and its like: cannot be polled, never waits */
    WRITER_FILE,   /* may wait for a disk: a worker thread writes */
    WRITER_SHARED  /* a pipe or terminal that could not be opened anew: a worker asks poll(2) before each small write */
};

enum writer_state {
    WRITER_IDLE,    /* the ring is empty */
    WRITER_QUEUED,  /* the prepare handle will write what this turn of the loop gathers */
    WRITER_WAITING, /* the poll handle says when there is room */
    WRITER_WORKING, /* a worker thread writes: nothing else may touch what it was given */
    WRITER_PAUSED   /* the retry timer runs */
};

enum {
    TURN_BYTES = 256 << 10, /* written in one go; then others have their turn */
    REFUSED_MS = 1000,      /* a full disk is tried again after this time */
    SHARED_MS = 20          /* ... and a shared pipe without room after this one */
};

struct writer {
    uv_prepare_t prepare;
    uv_poll_t poll; /* initialised for WRITER_STREAM and WRITER_SOCKET */
    uv_timer_t retry, deadline;
    unsigned parts_open;
    uv_work_t work;
    struct { /* filled by the loop before and read after the work; the worker's own meanwhile */
        int fd;
        bool shared;
        struct iovec parts[2];
        size_t written;
        int code;
    } job;
    uv_loop_t *loop; /* outlives us */
    enum writer_kind kind;
    enum writer_state state;
    int fd;       /* owned */
    int ready_fd; /* owned; WRITER_SOCKET: an epoll over fd; else -1 */
    bool gone;    /* nobody will ever read what we write */
    bool closing, expired;
    void (*close_cb)(void *data);
    void *close_data;
    size_t room, head, count; /* the ring: count bytes from head on are not written yet */
    char bytes[];
};

static void settle(struct writer *w, int code);

/* The ring's first bytes, at most most of them, as one or two pieces. Returns how many pieces. */
static int ring_parts(struct writer *w, size_t most, struct iovec parts[2])
{
    size_t count = w->count < most ? w->count : most;
    size_t first = w->room - w->head < count ? w->room - w->head : count;
    parts[0] = (struct iovec){w->bytes + w->head, first};
    parts[1] = (struct iovec){w->bytes, count - first};
    return count > first ? 2 : 1;
}

static void ring_consume(struct writer *w, size_t count)
{
    w->count -= count;
    w->head = w->count == 0 ? 0 : (w->head + count) % w->room; /* an empty ring begins anew: untouched pages stay so */
}

/* Non-blocking. Returns 0 when all is written, -EAGAIN when the rest has to wait, or the error. */
static int write_now(struct writer *w)
{
    size_t left = w->kind == WRITER_DEVICE ? w->room : TURN_BYTES;
    while (w->count > 0 && left > 0) {
        struct iovec parts[2];
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)ring_parts(w, left, parts)};
        size_t asked = parts[0].iov_len + parts[1].iov_len;
        ssize_t n = w->kind == WRITER_SOCKET ? sendmsg(w->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
                                             : writev(w->fd, parts, (int)message.msg_iovlen);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        ring_consume(w, (size_t)n);
        left -= (size_t)n;
        if ((size_t)n < asked)
            break; /* full: asking again would only say so */
    }
    return w->count == 0 ? 0 : -EAGAIN;
}

/* Worker thread: sees the job alone. */
static void do_write(uv_work_t *work)
{
    struct writer *w = CONTAINER_OF(work, struct writer, work);
    for (int i = 0; i < 2; i++) {
        const char *bytes = w->job.parts[i].iov_base;
        size_t left = w->job.parts[i].iov_len;
        while (left > 0) {
            /* A pipe that polls as writable takes PIPE_BUF bytes without waiting, pipe(7). */
            struct pollfd ready = {.fd = w->job.fd, .events = POLLOUT};
            if (w->job.shared && poll(&ready, 1, 0) <= 0) {
                w->job.code = -EAGAIN;
                return;
            }
            ssize_t n = write(w->job.fd, bytes, w->job.shared && left > PIPE_BUF ? PIPE_BUF : left);
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0) {
                w->job.code = -errno;
                return;
            }
            bytes += n;
            left -= (size_t)n;
            w->job.written += (size_t)n;
        }
    }
}

static void on_written(uv_work_t *work, int status)
{
    struct writer *w = CONTAINER_OF(work, struct writer, work);
    w->state = WRITER_IDLE;
    ring_consume(w, w->job.written);
    int code = status < 0 ? -EAGAIN : w->job.code; /* status: cancelled before it began */
    settle(w, code < 0 || w->count == 0 ? code : -EAGAIN);
}

static void push(struct writer *w)
{
    if (w->kind != WRITER_FILE && w->kind != WRITER_SHARED) {
        settle(w, write_now(w));
        return;
    }
    w->job.fd = w->fd;
    w->job.shared = w->kind == WRITER_SHARED;
    w->job.written = 0;
    w->job.code = 0;
    (void)ring_parts(w, w->room, w->job.parts);
    w->state = WRITER_WORKING;
    (void)uv_queue_work(w->loop, &w->work, do_write, on_written); /* fails without a work function alone */
}

static void on_prepare(uv_prepare_t *prepare)
{
    (void)uv_prepare_stop(prepare);
    push(CONTAINER_OF(prepare, struct writer, prepare));
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status; /* an error too is best asked of the write itself */
    (void)events;
    (void)uv_poll_stop(poll);
    push(CONTAINER_OF(poll, struct writer, poll));
}

static void on_retry(uv_timer_t *retry)
{
    push(CONTAINER_OF(retry, struct writer, retry));
}

static void on_part_closed(uv_handle_t *part)
{
    struct writer *w = part->data;
    if (--w->parts_open > 0)
        return;
    base_close_fd(&w->ready_fd);
    base_close_fd(&w->fd);
    void (*cb)(void *) = w->close_cb;
    void *data = w->close_data;
    free(w);
    if (cb != NULL)
        cb(data);
}

static void close_parts(struct writer *w)
{
    if (w->kind == WRITER_STREAM || w->kind == WRITER_SOCKET)
        uv_close((uv_handle_t *)&w->poll, on_part_closed);
    uv_close((uv_handle_t *)&w->prepare, on_part_closed);
    uv_close((uv_handle_t *)&w->retry, on_part_closed);
    uv_close((uv_handle_t *)&w->deadline, on_part_closed);
}

/* A refusal that can end: the disk is full, a quota or size limit is reached, the kernel is short of memory. Files may
 * recover from more (EIO, ESTALE of a network file system); elsewhere every other error means that the reader is gone. */
static bool may_recover(const struct writer *w, int code)
{
    if (code == -ENOSPC || code == -EDQUOT || code == -EFBIG || code == -ENOMEM || code == -ENOBUFS)
        return true;
    return w->kind == WRITER_FILE && code != -EBADF && code != -EINVAL && code != -EPIPE;
}

/* The one place that decides what happens after a write, and the only one that leaves a state for WAITING or PAUSED. */
static void settle(struct writer *w, int code)
{
    bool refused = false;
    w->state = WRITER_IDLE;
    if (code < 0 && code != -EAGAIN) {
        refused = may_recover(w, code);
        w->gone = !refused;
        if (w->gone)
            w->head = w->count = 0;
    }
    if (w->closing && (w->count == 0 || w->expired || refused)) {
        close_parts(w);
    } else if (w->count > 0) {
        if (!refused && w->kind == WRITER_FILE) {
            push(w); /* only hands the next piece to a worker */
        } else if (!refused && (w->kind == WRITER_STREAM || w->kind == WRITER_SOCKET)) {
            w->state = WRITER_WAITING;
            (void)uv_poll_start(&w->poll, w->kind == WRITER_SOCKET ? UV_READABLE : UV_WRITABLE, on_ready);
        } else {
            w->state = WRITER_PAUSED;
            (void)uv_timer_start(&w->retry, on_retry, refused ? REFUSED_MS : SHARED_MS, 0);
        }
    }
}

/* An open file description of our own for what fd is, so that O_NONBLOCK does not reach the others who share it.
 * Returns the descriptor or -errno. */
static int open_anew(int fd, mode_t type)
{
    unsigned number;
    if (S_ISCHR(type) && ioctl(fd, TIOCGPTN, &number) == 0)
        return -ENOTSUP; /* the master of a terminal: to open it makes another terminal, pts(4) */
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return own < 0 ? -errno : own;
}

/* libuv sets O_NONBLOCK on what it polls; an epoll in between keeps it off the socket that others share. */
static int make_ready_fd(int fd)
{
    AUTO_FD ready_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLOUT};
    if (ready_fd < 0 || epoll_ctl(ready_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    return take_fd(&ready_fd);
}

/* Find out what fd is; fills kind, fd and, where it has one, ready_fd and poll. */
static int choose_kind(struct writer *w, int fd, shoal_error_t *err)
{
    struct stat about;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &about) < 0)
        return shoal_fail(err, -errno, "descriptor %d", fd);
    if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_PATH))
        return shoal_refuse(err, -EBADF, "descriptor %d is not open for writing", fd);
    if (S_ISSOCK(about.st_mode)) {
        int type = 0;
        socklen_t size = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
            return shoal_fail(err, -errno, "descriptor %d: getsockopt SO_TYPE", fd);
        if (type != SOCK_STREAM)
            return shoal_refuse(err, -EPROTOTYPE, "descriptor %d is a socket that takes no stream of lines", fd);
        w->kind = WRITER_SOCKET;
    } else if (S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode)) {
        int own = open_anew(fd, about.st_mode);
        w->kind = own < 0 ? WRITER_SHARED : WRITER_STREAM;
        w->gone = own == -ENXIO && S_ISFIFO(about.st_mode); /* a pipe without a reader */
        w->fd = own < 0 ? -1 : own;
    } else {
        w->kind = WRITER_FILE;
    }
    if (w->fd < 0 && (w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0)
        return shoal_fail(err, -errno, "descriptor %d: dup", fd);
    if (w->kind == WRITER_SOCKET && (w->ready_fd = make_ready_fd(w->fd)) < 0)
        return shoal_fail(err, w->ready_fd, "descriptor %d: epoll", fd);
    if (w->kind != WRITER_STREAM && w->kind != WRITER_SOCKET)
        return 0;
    int code = uv_poll_init(w->loop, &w->poll, w->kind == WRITER_SOCKET ? w->ready_fd : w->fd);
    if (code == -EPERM && w->kind == WRITER_STREAM) {
        w->kind = WRITER_DEVICE; /* epoll_ctl(2): does not support epoll, which means that it never waits */
        return 0;
    }
    return code < 0 ? shoal_fail(err, code, "descriptor %d: poll", fd) : 0;
}

static void add_part(struct writer *w, uv_handle_t *part)
{
    part->data = w;
    w->parts_open++;
}

int writer_open(struct writer **out, uv_loop_t *loop, int fd, size_t room_bytes, shoal_error_t *err)
{
    struct writer *w = room_bytes > SIZE_MAX - sizeof *w ? NULL : malloc(sizeof *w + room_bytes);
    if (w == NULL)
        return shoal_fail(err, -ENOMEM, "writer of %zu bytes", room_bytes);
    *w = (struct writer){.loop = loop, .fd = -1, .ready_fd = -1, .room = room_bytes};
    int code = choose_kind(w, fd, err);
    if (code < 0) {
        base_close_fd(&w->ready_fd);
        base_close_fd(&w->fd);
        free(w);
        return code;
    }
    if (w->kind == WRITER_STREAM || w->kind == WRITER_SOCKET)
        add_part(w, (uv_handle_t *)&w->poll);
    (void)uv_prepare_init(loop, &w->prepare); /* these cannot fail */
    add_part(w, (uv_handle_t *)&w->prepare);
    (void)uv_timer_init(loop, &w->retry);
    add_part(w, (uv_handle_t *)&w->retry);
    (void)uv_timer_init(loop, &w->deadline);
    add_part(w, (uv_handle_t *)&w->deadline);
    *out = w;
    return 0;
}

size_t writer_room(const struct writer *writer)
{
    return writer->gone || writer->closing ? 0 : writer->room - writer->count;
}

int writer_put(struct writer *w, const char *bytes, size_t count)
{
    if (w->gone || w->closing)
        return -EPIPE;
    if (count > w->room - w->count)
        return -ENOBUFS;
    if (count == 0)
        return 0;
    size_t tail = (w->head + w->count) % w->room;
    size_t first = w->room - tail < count ? w->room - tail : count;
    memcpy(w->bytes + tail, bytes, first);
    memcpy(w->bytes, bytes + first, count - first);
    w->count += count;
    if (w->state == WRITER_IDLE) {
        w->state = WRITER_QUEUED;
        (void)uv_prepare_start(&w->prepare, on_prepare); /* before the loop sleeps: all lines of a turn in one write */
    }
    return 0;
}

static void on_deadline(uv_timer_t *deadline)
{
    struct writer *w = CONTAINER_OF(deadline, struct writer, deadline);
    w->expired = true;
    if (w->state == WRITER_WORKING)
        (void)uv_cancel((uv_req_t *)&w->work); /* one that runs already has to be waited for */
    else
        close_parts(w);
}

void writer_close(struct writer *w, unsigned flush_ms, void (*cb)(void *data), void *data)
{
    w->close_cb = cb;
    w->close_data = data;
    w->closing = true;
    w->expired = flush_ms == 0;
    bool hopeless = w->count == 0 || (w->state == WRITER_PAUSED && w->kind != WRITER_SHARED);
    if (w->state != WRITER_WORKING && (hopeless || (w->expired && w->state != WRITER_QUEUED))) {
        close_parts(w);
        return;
    }
    if (!w->expired)
        (void)uv_timer_start(&w->deadline, on_deadline, flush_ms, 0);
    if (w->state == WRITER_QUEUED) {
        (void)uv_prepare_stop(&w->prepare);
        push(w);
    }
}
