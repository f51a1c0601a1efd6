/* A start, as a table of stages and one function that moves through it. Failure, a kill in the middle and a cancel take one
 * path: launch_fail(), which ends the child and lets exit.c release the run as after any other death.
 * c->launch lives from container_start() to execve or to the release of a failed start. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "container/fault.h"
#include "container/inside.h"
#include "kernel/mount.h"
#include "kernel/process.h"

enum { DEFAULT_PIDS = 4096 };

static void launch_continue(struct container *c, int result, shoal_error_t *err);

/* Stage rootfs: a worker makes the directory on disk, finds the user and the sources of the mounts. */

struct rootfs_work {
    uv_work_t request;
    struct container *container;
    struct image_file files[3];
    size_t file_count;
    char *hosts; /* owned: network_mode host has a copy of the host's */
    struct image_user user;
    struct bind *binds; /* owned until the stage takes them */
    int result;
    shoal_error_t error;
};

static void free_binds(struct bind *binds, size_t count)
{
    for (size_t i = 0; binds != NULL && i < count; i++)
        free(binds[i].path);
    free(binds);
}

static int find_bind(const struct container *c, const shoal_mount_t *mount, struct bind *out, shoal_error_t *err)
{
    if (mount->kind == SHOAL_MOUNT_TMPFS)
        return 0;
    if (mount->kind == SHOAL_MOUNT_VOLUME) {
        AUTO_FREE char *anonymous = NULL;
        const char *name;
        if (mount->volume >= 0) {
            name = c->spec->volumes[mount->volume].full_name;
        } else {
            uint64_t target = base_hash(mount->target, strlen(mount->target));
            name = anonymous = base_format("%.12s-%016llx", c->id, (unsigned long long)target);
            if (name == NULL)
                return shoal_fail(err, -ENOMEM, "volume of %s", mount->target);
        }
        return image_make_volume(c->root_dir, name, &out->path, err);
    }
    struct stat about;
    if (stat(mount->source, &about) < 0) {
        if (errno != ENOENT || !mount->create_host_path)
            return shoal_fail(err, -errno, "bind %s on %s", mount->source, mount->target);
        int code = image_make_directories(mount->source, 0755, err);
        if (code < 0)
            return code;
        about.st_mode = S_IFDIR;
    }
    out->is_file = !S_ISDIR(about.st_mode);
    out->path = base_format("%s", mount->source);
    return out->path != NULL ? 0 : shoal_fail(err, -ENOMEM, "bind %s", mount->source);
}

static char *read_hosts(const shoal_service_t *service)
{
    struct text text = {0};
    FILE *file = fopen("/etc/hosts", "re");
    char line[1024];
    while (file != NULL && fgets(line, sizeof line, file) != NULL && text.count < 1u << 20)
        text_add_string(&text, line);
    if (file != NULL)
        (void)fclose(file);
    for (size_t i = 0; i < service->extra_host_count; i++)
        text_add_format(&text, "%s\t%s\n", service->extra_hosts[i].value, service->extra_hosts[i].key);
    return text_take(&text);
}

static void rootfs_work(uv_work_t *request) /* on a worker thread; reads only what does not change during a launch */
{
    struct rootfs_work *work = CONTAINER_OF(request, struct rootfs_work, request);
    const struct container *c = work->container;
    const shoal_service_t *service = c->service;
    shoal_error_t *err = &work->error;
    work->result = image_find_user(c->image, service->user, &service->group_add, &work->user, err);
    work->binds = calloc(service->mount_count + 1, sizeof *work->binds);
    if (work->result == 0 && work->binds == NULL)
        work->result = shoal_fail(err, -ENOMEM, "mounts");
    for (size_t i = 0; i < service->mount_count && work->result == 0; i++)
        work->result = find_bind(c, &service->mounts[i], &work->binds[i], err);
    if (work->result == 0 && service->network_mode == SHOAL_NETWORK_HOST) {
        work->hosts = read_hosts(service);
        if (work->hosts == NULL)
            work->result = shoal_fail(err, -ENOMEM, "/etc/hosts");
        work->files[work->file_count++] = (struct image_file){"etc/hosts", work->hosts};
    }
    if (work->result == 0)
        work->result = image_make_rootfs(c->image, c->dir, c->first_id, work->files, work->file_count, err);
}

static void on_rootfs_made(uv_work_t *request, int status)
{
    struct rootfs_work *work = CONTAINER_OF(request, struct rootfs_work, request);
    struct container *c = work->container;
    shoal_error_t error = work->error;
    int result = status < 0 ? shoal_fail(&error, status, "worker") : work->result;
    if (result == 0) {
        c->user = work->user;
        c->binds = work->binds;
        work->binds = NULL;
        c->rootfs_made = true;
    }
    free_binds(work->binds, c->service->mount_count);
    free((void *)(uintptr_t)work->files[0].text);
    free(work->hosts);
    free(work);
    launch_continue(c, result < 0 ? result : 1, &error);
}

static int rootfs_enter(struct container *c, shoal_error_t *err)
{
    if (c->rootfs_made)
        return 1;
    struct rootfs_work *work = calloc(1, sizeof *work);
    const char *hostname = c->service->hostname != NULL ? c->service->hostname : c->name;
    char *line = base_format("%s\n", hostname);
    if (work == NULL || line == NULL) {
        free(work);
        free(line);
        return shoal_fail(err, -ENOMEM, "root file system");
    }
    work->container = c;
    work->files[work->file_count++] = (struct image_file){"etc/hostname", line};
    work->files[work->file_count++] = (struct image_file){"etc/resolv.conf", c->kit->resolv};
    int code = uv_queue_work(c->loop, &work->request, rootfs_work, on_rootfs_made);
    if (code < 0) {
        free(line);
        free(work);
        return shoal_fail(err, code, "queue work");
    }
    return 0;
}

/* Stage cgroup. */

static void on_cgroup_event(void *data, enum cgroup_event event, uint64_t count)
{
    struct container *c = data;
    shoal_event_t published = {.count = count};
    switch (event) {
    case CGROUP_EVENT_EMPTY:
        break; /* the pidfd tells the end; cgroup_remove() waits for this by itself */
    case CGROUP_EVENT_OOM_KILL:
        c->oom_kills = count;
        container_publish(c, SHOAL_EVENT_OOM, &published);
        break;
    case CGROUP_EVENT_PIDS_MAX:
        container_publish(c, SHOAL_EVENT_LIMIT, &published);
        break;
    }
}

static int cgroup_enter(struct container *c, shoal_error_t *err)
{
    int code = cgroup_create(c->cgroups, c->name, c->service, DEFAULT_PIDS, on_cgroup_event, c, &c->cgroup, err);
    return code < 0 ? code : 1;
}

/* Stage clone. */

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

static int send_fds(int channel, const int *fds, size_t count, shoal_error_t *err)
{
    char byte = 'F';
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * PLAN_FDS_MAX)];
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        memset(control, 0, sizeof control);
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

/* Open every gift, send them in one message, close ours. */
static int send_gifts(struct container *c, struct launch *launch, shoal_error_t *err)
{
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
    for (size_t i = 0; i < count; i++)
        (void)close(fds[i]);
    return code;
}

static void on_channel_closed(uv_handle_t *handle)
{
    struct launch *launch = handle->data;
    struct container *c = launch->container;
    base_close_fd(&launch->channel);
    process_free_stack(launch->stack);
    plan_fini(&launch->plan);
    free(launch);
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

/* The child has executed, or is gone: what the launch held is no longer in use by it. */
static void launch_free(struct container *c)
{
    struct launch *launch = c->launch;
    if (launch == NULL)
        return;
    c->launch = NULL;
    for (size_t i = 0; i < launch->gift_count; i++)
        if (launch->gifts[i].kind == GIFT_DESCRIPTOR)
            base_close_fd(&launch->gifts[i].fd);
    for (int i = 0; i < 2; i++)
        base_close_fd(&launch->child_outputs[i]);
    release_slot(c, launch);
    if (launch->poll_open) {
        uv_close((uv_handle_t *)&launch->poll, on_channel_closed);
        return;
    }
    base_close_fd(&launch->channel);
    process_free_stack(launch->stack);
    plan_fini(&launch->plan);
    free(launch);
}

/* One message of the child. Returns whether there may be another. */
static bool read_channel(struct container *c)
{
    struct launch *launch = c->launch;
    struct child_report report = {0};
    ssize_t count = recv(launch->channel, &report, sizeof report, MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == ECONNRESET)) /* reset: it left our message unread; its own come next */
        return true;
    if (count < 0 && errno == EAGAIN)
        return false;
    if (count == 1) { /* CHILD_READY */
        release_slot(c, launch);
        return true;
    }
    (void)uv_poll_stop(&launch->poll);
    if (launch->error.code != 0)
        return false; /* it ends because we ended it: why is known */
    launch->child_spoke = true;
    shoal_error_t error;
    uint32_t at = __atomic_load_n(&launch->plan.at, __ATOMIC_RELAXED);
    if (count == sizeof report)
        (void)shoal_fail(&error, report.code, "%s", plan_step_words(&launch->plan, report.step));
    else if (at + 1 < launch->plan.count)
        (void)shoal_refuse(&error, -ECHILD, "killed at the step: %s", plan_step_words(&launch->plan, at));
    else
        error.code = 1; /* end of file behind the last step: execve worked */
    launch_continue(c, error.code, &error);
    return false;
}

static void on_channel(uv_poll_t *poll, int status, int events)
{
    (void)status; /* an error shows in recv(2) too */
    (void)events;
    struct launch *launch = poll->data;
    while (read_channel(launch->container))
        ;
}

void launch_drain(struct container *c)
{
    if (c->launch->error.code != 0)
        return;
    release_slot(c, c->launch);
    while (read_channel(c))
        ;
}

static int open_channel(struct container *c, struct launch *launch, shoal_error_t *err)
{
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

static int start_child(struct container *c, struct launch *launch, shoal_error_t *err)
{
    struct process_start how = {
        .namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWTIME |
                      (c->service->network_mode == SHOAL_NETWORK_HOST ? 0 : CLONE_NEWNET),
        .cgroup_fd = cgroup_fd(c->cgroup),
        .stack = launch->stack,
        .body = child_walk,
        .argument = &launch->plan,
    };
    int code = process_start(&how, &c->pid, &c->pid_fd, err);
    if (code < 0)
        return code;
    code = exit_watch(c, err);
    if (code < 0) { /* nobody would ever tell us of its end: it ends here and now */
        process_end(c->pid_fd);
        base_close_fd(&c->pid_fd);
        c->pid = 0;
        return code;
    }
    code = process_write_id_maps(c->pid, c->first_id, CONTAINER_IDS, err);
    return code == 0 ? send_gifts(c, launch, err) : code;
}

static int clone_enter(struct container *c, shoal_error_t *err)
{
    struct launch *launch = c->launch;
    launch->stack = process_make_stack();
    if (launch->stack == NULL)
        return shoal_fail(err, -errno, "stack");
    int code = open_channel(c, launch, err);
    if (code == 0)
        code = output_open(c, launch->child_outputs, err);
    if (code == 0)
        code = sandbox_plan(c, launch, err);
    if (code == 0) {
        launch->plan.fail_at = fault_child_step(c, launch->plan.count);
        code = start_child(c, launch, err);
    }
    return code < 0 ? code : 1;
}

/* Stage link: one netlink request per network, all at once. */

static void on_linked(void *data, int status, const shoal_error_t *err)
{
    struct container *c = data;
    c->links_pending--;
    if (c->launch != NULL && c->launch->error.code == 0 && (status < 0 || c->links_pending == 0)) {
        shoal_error_t error = status < 0 ? *err : (shoal_error_t){0};
        launch_continue(c, status < 0 ? status : 1, &error);
    } else {
        container_settle(c);
    }
}

static int link_enter(struct container *c, shoal_error_t *err)
{
    for (size_t i = 0; i < c->endpoint_count; i++) {
        int code = net_endpoint_link(c->endpoints[i], c->pid, interface_name(i).text, on_linked, c, err);
        if (code < 0)
            return code;
        c->links_pending++;
    }
    return c->links_pending > 0 ? 0 : 1;
}

/* Stage exec: let the child go on; the channel tells how it went. */

static int exec_enter(struct container *c, shoal_error_t *err)
{
    return send_fds(c->launch->channel, NULL, 0, err);
}

static const struct stage {
    const char *name;
    int (*enter)(struct container *c, shoal_error_t *err); /* 0 an event goes on, 1 done already, < 0 failed */
} stages[] = {
    {"rootfs", rootfs_enter}, {"cgroup", cgroup_enter}, {"clone", clone_enter},
    {"link", link_enter},     {"exec", exec_enter},
};

static void launch_succeed(struct container *c)
{
    (void)prctl(PR_SET_DUMPABLE, c->kit->dumpable);
    launch_free(c);
    c->stage = -1;
    c->started_usec = base_monotonic_usec();
    shoal_event_t event = {.took_usec = c->started_usec - c->decided_usec, .attempt = c->attempt};
    container_set_state(c, CONTAINER_RUNNING, &event);
}

/* The one way back: publish why, end the child if there is one, release the run. */
static void launch_fail(struct container *c, const shoal_error_t *err)
{
    (void)prctl(PR_SET_DUMPABLE, c->kit->dumpable);
    c->launch->error = *err;
    if (c->pid != 0) {
        (void)process_signal(c->pid_fd, SIGKILL, NULL); /* -ESRCH: it is gone by itself */
        return;                                         /* exit.c goes on when it has been reaped */
    }
    exit_release(c);
}

static void launch_continue(struct container *c, int result, shoal_error_t *err) /* the only writer of c->stage */
{
    shoal_error_t own = {0};
    if (err == NULL)
        err = &own;
    if (c->cancelled && result > 0)
        result = shoal_refuse(err, -ECANCELED, "stopped while it was started");
    while (result > 0 && c->stage + 1 < (int)COUNT(stages)) {
        c->stage++;
        result = fault_stage(stages[c->stage].name, err);
        if (result >= 0)
            result = stages[c->stage].enter(c, err);
    }
    if (result == 0)
        return; /* an event calls us again */
    if (result > 0) {
        launch_succeed(c);
        return;
    }
    (void)shoal_within(err, "%s: %s", c->name,
                       c->stage < 0 || c->launch->child_spoke ? "start" : stages[c->stage].name);
    launch_fail(c, err);
}

static void on_begin(uv_timer_t *timer)
{
    launch_continue(timer->data, 1, NULL);
}

int container_start(struct container *c, unsigned attempt, shoal_error_t *err)
{
    bool startable = c->state == CONTAINER_CREATED || c->state == CONTAINER_EXITED || c->state == CONTAINER_BACKOFF;
    if (!startable || !c->settled)
        return shoal_refuse(err, -EINVAL, "%s: start: it is %s", c->name, container_state_name(c->state));
    struct launch *launch = calloc(1, sizeof *launch);
    if (launch == NULL)
        return shoal_fail(err, -ENOMEM, "%s: start", c->name);
    plan_init(&launch->plan);
    launch->container = c;
    launch->channel = launch->slot = launch->child_outputs[0] = launch->child_outputs[1] = -1;
    c->launch = launch;
    c->decided_usec = base_monotonic_usec();
    c->started_usec = 0;
    c->attempt = attempt;
    c->settled = c->stop_asked = c->grace_over = c->cancelled = false;
    c->oom_kills = 0;
    c->stage = -1;
    container_set_state(c, CONTAINER_STARTING, NULL);
    (void)uv_timer_start(&c->grace, on_begin, 0, 0); /* callbacks never come from inside this call */
    return 0;
}

void launch_cancel(struct container *c)
{
    c->cancelled = true;
    if (c->pid != 0)
        (void)process_signal(c->pid_fd, SIGKILL, NULL);
}

void launch_release(struct container *c)
{
    launch_free(c);
    c->stage = -1;
}
