/* The parent's side of a start: the struct launch, the socket to the child, what is sent over it. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "container/inside.h"
#include "kernel/mount.h"
#include "kernel/process.h"

struct launch *launch_new(struct container *c)
{
    struct sandbox_kit *kit = c->kit;
    struct launch *launch = kit->spare_launches;
    if (launch != NULL) {
        kit->spare_launches = launch->next_spare;
        kit->spare_launch_count--;
    } else {
        launch = calloc(1, sizeof *launch);
        if (launch == NULL)
            return NULL;
        plan_init(&launch->plan);
        launch->stack = process_make_stack();
        if (launch->stack == NULL) {
            free(launch);
            return NULL;
        }
    }
    launch->container = c;
    launch->next_spare = NULL;
    launch->channel = launch->slot = launch->child_outputs[0] = launch->child_outputs[1] = -1;
    launch->gift_count = 0;
    launch->devices = NULL;
    launch->poll_open = launch->sent = launch->park = launch->child_spoke = false;
    launch->hold = launch->held = launch->let_go = launch->awaits_rootfs = false;
    launch->error = (shoal_error_t){0};
    return launch;
}

void launch_destroy(struct launch *launch)
{
    process_free_stack(launch->stack);
    plan_fini(&launch->plan);
    free(launch);
}

/* A stack and a plan whose pages are there already save their faults at the next start: a few are kept. */
static void put_away(struct sandbox_kit *kit, struct launch *launch)
{
    if (kit->spare_launch_count >= kit->slot_count) {
        launch_destroy(launch);
        return;
    }
    plan_reset(&launch->plan);
    launch->next_spare = kit->spare_launches;
    kit->spare_launches = launch;
    kit->spare_launch_count++;
}

static void on_channel_closed(uv_handle_t *handle)
{
    struct launch *launch = handle->data;
    struct container *c = launch->container;
    base_close_fd(&launch->channel);
    put_away(c->kit, launch);
    c->parts_open--;
    container_settle(c);
}

/* Our copy of the child's end must go as soon as the child has its own, or its end of file would never be seen. */
static void release_slot(struct container *c, struct launch *launch)
{
    if (launch->slot < 0)
        return;
    kit_give_slot_fd(c->kit, launch->slot);
    kit_free_slot(c->kit, launch->slot);
    launch->slot = -1;
}

void launch_release(struct container *c)
{
    struct launch *launch = c->launch;
    c->stage = -1;
    if (launch == NULL)
        return;
    c->launch = NULL;
    for (size_t i = 0; i < launch->gift_count; i++)
        if (launch->gifts[i].kind == GIFT_DESCRIPTOR)
            base_close_fd(&launch->gifts[i].fd);
    for (int i = 0; i < 2; i++)
        base_close_fd(&launch->child_outputs[i]);
    devices_free(launch->devices);
    launch->devices = NULL;
    release_slot(c, launch);
    if (launch->poll_open) {
        uv_close((uv_handle_t *)&launch->poll, on_channel_closed);
        return;
    }
    base_close_fd(&launch->channel);
    put_away(c->kit, launch);
}

/* What the child has said. Returns false while it may have more to say, else how its start went: out->code 1 or its failure. */
static bool hear(struct container *c, shoal_error_t *out)
{
    struct launch *launch = c->launch;
    union {
        struct child_report report;
        char byte;
    } said;
    ssize_t count;
    for (;;) {
        memset(&said, 0, sizeof said);
        count = recv(launch->channel, &said, sizeof said, MSG_DONTWAIT);
        if (count < 0 && errno == EAGAIN)
            return false;
        if (count == 1 && said.byte == CHILD_HELD)
            launch->held = true;
        else if (count == 1) /* CHILD_READY */
            release_slot(c, launch);
        else if (count >= 0 ||
                 (errno != EINTR && errno != ECONNRESET)) /* reset: it left our message; its own come next */
            break;
    }
    (void)uv_poll_stop(&launch->poll);
    launch->child_spoke = true;
    uint32_t at = __atomic_load_n(&launch->plan.at, __ATOMIC_RELAXED);
    if (count == sizeof said.report)
        (void)shoal_fail(out, said.report.code, "%s", plan_step_words(&launch->plan, said.report.step));
    else if (!launch->sent)
        (void)shoal_refuse(out, -ECHILD, "killed before its first step");
    else if (at + 1 < launch->plan.count || (launch->hold && !launch->let_go))
        (void)shoal_refuse(out, -ECHILD, "killed at the step: %s", plan_step_words(&launch->plan, at));
    else
        out->code = 1; /* end of file behind the last step: execve worked */
    return true;
}

static void listen_to_child(struct container *c)
{
    shoal_error_t error;
    bool ending = c->launch->error.code != 0; /* because we ended it: why is known */
    bool was_held = c->launch->held;
    if (hear(c, &error) && !ending)
        launch_continue(c, error.code, &error);
    else if (!ending && c->launch->held && !was_held)
        launch_on_held(c);
}

static void on_channel(uv_poll_t *poll, int status, int events)
{
    (void)status; /* an error shows in recv(2) too */
    (void)events;
    struct launch *launch = poll->data;
    listen_to_child(launch->container);
}

void launch_drain(struct container *c)
{
    if (c->launch->error.code != 0)
        return;
    release_slot(c, c->launch);
    listen_to_child(c);
}

void channel_ask_why(struct container *c, shoal_error_t *err)
{
    shoal_error_t error;
    if (c->pid != 0 && !c->launch->child_spoke && hear(c, &error) && error.code < 0)
        *err = error;
}

int channel_open(struct container *c, shoal_error_t *err)
{
    struct launch *launch = c->launch;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return shoal_fail(err, -errno, "socketpair");
    launch->channel = ends[0];
    launch->slot = kit_take_slot(c->kit, ends[1]);
    (void)close(ends[1]);
    if (launch->slot < 0)
        return shoal_refuse(err, -EBUSY, "more starts in flight than launch slots");
    launch->plan.channel = c->kit->slots[launch->slot];
    int code = uv_poll_init(c->loop, &launch->poll, launch->channel);
    if (code < 0)
        return shoal_fail(err, code, "watch the child's channel");
    launch->poll.data = launch;
    launch->poll_open = true;
    c->parts_open++;
    (void)uv_poll_start(&launch->poll, UV_READABLE | UV_DISCONNECT, on_channel);
    return 0;
}

/* One message: a byte and count descriptors. */
static int send_fds(int channel, const int *fds, size_t count, shoal_error_t *err)
{
    char byte = 'F';
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * PLAN_FDS_MAX)];
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        memset(control, 0, CMSG_SPACE(sizeof(int) * count));
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
    }
    if (sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return shoal_fail(err, -errno, "send to the child");
    return 0;
}

int channel_wake(struct container *c, shoal_error_t *err)
{
    return send_fds(c->launch->channel, NULL, 0, err);
}

static int open_gift(struct container *c, const struct gift *gift, int user_fd, shoal_error_t *err)
{
    if (gift->kind == GIFT_DESCRIPTOR)
        return gift->fd;
    struct mount_clone how = {
        .recursive = gift->recursive,
        .read_only = gift->read_only,
        .user_fd = gift->idmapped ? user_fd : -1,
    };
    int fd = mount_clone(gift->fd, gift->path, &how, err);
    if (fd == -EINVAL && gift->idmap_optional) {
        how.user_fd = -1;
        fd = mount_clone(gift->fd, gift->path, &how, err);
        if (fd >= 0 && gift->what != NULL)
            container_warn(c, "the file system of %s cannot be idmapped: inside, its files belong to nobody",
                           gift->what);
    }
    if (fd < 0) {
        if (fd == -EINVAL && gift->idmapped)
            (void)shoal_refuse(err, fd,
                               "%s: its file system cannot be idmapped by this kernel; put it on ext4, xfs or btrfs",
                               gift->what);
        else
            (void)shoal_within(err, "%s", gift->what != NULL ? gift->what : gift->path);
    }
    return fd;
}

int channel_send_gifts(struct container *c, shoal_error_t *err)
{
    struct launch *launch = c->launch;
    AUTO_FD user_fd = process_open_user_namespace(c->pid, err);
    if (user_fd < 0)
        return user_fd;
    int fds[PLAN_FDS_MAX];
    size_t count = 0;
    int code = 0;
    while (count < launch->gift_count && code == 0) {
        int fd = open_gift(c, &launch->gifts[count], user_fd, err);
        if (fd < 0) {
            code = fd;
        } else {
            launch->gifts[count].fd = -1; /* it is in fds now */
            fds[count++] = fd;
        }
    }
    if (code == 0)
        code = send_fds(launch->channel, fds, count, err);
    launch->sent = code == 0;
    for (size_t i = 0; i < count; i++)
        (void)close(fds[i]);
    return code;
}
