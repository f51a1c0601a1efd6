/* The end of a run: the pidfd is readable, the process is reaped, its output drained, its totals read, one DIE published; then
 * the run's parts are released in reverse order and the owner is told when the last one is gone. */
#include <errno.h>
#include <signal.h>

#include "container/inside.h"
#include "kernel/process.h"

static shoal_cause_t find_cause(const struct container *c, uint64_t oom_kills)
{
    if (c->stop_asked)
        return c->grace_over ? SHOAL_CAUSE_TIMEOUT : SHOAL_CAUSE_STOP;
    if (c->launch != NULL)
        return SHOAL_CAUSE_FAILED;
    bool killed = c->signal == SIGKILL ||
                  c->exit_code == 128 + SIGKILL; /* the latter is what an init says of its child */
    if (killed && oom_kills > 0 && oom_kills != SHOAL_ABSENT)
        return SHOAL_CAUSE_OOM;
    return c->signal != 0 ? SHOAL_CAUSE_SIGNAL : SHOAL_CAUSE_EXIT;
}

static void on_cgroup_removed(void *data, int status)
{
    struct container *c = data;
    if (status < 0)
        container_warn(c, "its cgroup could not be removed: %s", uv_strerror(status));
    c->parts_open--;
    container_settle(c);
}

/* The last descriptor of a mount namespace takes its mounts with it: the kernel waits for a grace period, and writes what
 * the overlay's upper layer has dirty. A worker waits for that. */
struct unmount_work {
    uv_work_t request;
    struct container *container;
    int fd; /* owned */
};

static void unmount_work(uv_work_t *request)
{
    struct unmount_work *work = CONTAINER_OF(request, struct unmount_work, request);
    base_close_fd(&work->fd);
}

static void on_unmounted(uv_work_t *request, int status)
{
    (void)status;
    struct unmount_work *work = CONTAINER_OF(request, struct unmount_work, request);
    struct container *c = work->container;
    free(work);
    c->parts_open--;
    container_settle(c);
}

static void unmount(struct container *c)
{
    if (c->mount_fd < 0)
        return;
    int fd = take_fd(&c->mount_fd);
    struct unmount_work *work = malloc(sizeof *work);
    if (work != NULL)
        *work = (struct unmount_work){.container = c, .fd = fd};
    if (work == NULL || uv_queue_work(c->loop, &work->request, unmount_work, on_unmounted) < 0) {
        free(work);
        (void)close(fd); /* no worker to be had: better late on the loop than mounted for ever */
        return;
    }
    c->parts_open++;
}

void exit_release(struct container *c)
{
    if (c->thawing)
        freeze_on_change(c, false); /* it ended so soon that we have not heard of it yet */
    struct cgroup_totals totals = {SHOAL_ABSENT, SHOAL_ABSENT, SHOAL_ABSENT, SHOAL_ABSENT};
    if (c->cgroup != NULL)
        cgroup_read_totals(c->cgroup, &totals);
    if (c->cgroup != NULL && c->launch == NULL && c->owner->on_ended != NULL)
        c->owner->on_ended(c->owner->data, c);
    output_drain(c);
    (void)uv_timer_stop(&c->grace);
    const shoal_error_t failure = c->launch != NULL ? c->launch->error : (shoal_error_t){0};
    shoal_event_t event = {
        .cause = find_cause(c, totals.oom_kills),
        .usage_usec = totals.usage_usec,
        .peak_bytes = totals.peak_bytes,
        .attempt = c->attempt,
    };
    if (failure.code != 0) { /* it never ran: the codes of docker run */
        c->signal = event.cause == SHOAL_CAUSE_FAILED ? 0 : SIGKILL;
        c->exit_code = c->signal != 0 ? 128 + c->signal : failure.code == -ENOENT ? 127 : 126;
        event.error = event.cause == SHOAL_CAUSE_FAILED ? failure.text : NULL; /* a start that we ended is no failure */
    } else {
        event.wall_usec = base_monotonic_usec() - c->started_usec;
    }
    event.exit_code = c->exit_code;
    event.signal = c->signal;
    launch_release(c);
    if (c->cgroup != NULL) {
        c->parts_open++;
        cgroup_remove(c->cgroup, on_cgroup_removed, c);
        c->cgroup = NULL;
    }
    c->settling = true;
    if (c->preparing) { /* nobody has asked for a start yet: no death to tell of, but not in silence */
        c->preparing = false;
        if (failure.code != -ECANCELED && !c->cancelled)
            container_warn(c, "could not be prepared: %s", failure.text);
    } else {
        bool asked = c->stop_asked && !c->kill_asked;
        container_set_state(c, CONTAINER_EXITED, &event);
        if (asked)
            container_publish(c, SHOAL_EVENT_STOP, &event);
    }
    unmount(c);
    container_settle(c);
}

static void on_pid_closed(uv_handle_t *handle)
{
    struct container *c = handle->data;
    base_close_fd(&c->pid_fd);
    c->parts_open--;
    container_settle(c);
}

static void on_exited(uv_poll_t *poll, int status, int events);

static void look(struct container *c)
{
    shoal_error_t error;
    int reaped = process_reap(c->pid_fd, &c->exit_code, &c->signal, &error);
    if (reaped == 0) { /* not yet: once more when it is told again */
        (void)uv_poll_start(&c->pid_poll, UV_READABLE, on_exited);
        return;
    }
    if (reaped < 0) { /* somebody else reaped our child: its status is lost, its end is not */
        container_warn(c, "%s", error.text);
        c->exit_code = -1;
        c->signal = 0;
    }
    if (c->launch != NULL)
        launch_drain(c); /* it may have executed and ended before we looked */
    c->pid = 0;
    uv_close((uv_handle_t *)&c->pid_poll, on_pid_closed);
    exit_release(c);
}

/* One death takes the fraction of a millisecond, and a thousand may come in one turn of the loop: they stand in a line, and
 * each turn sees to as many as fit in a slice. */
void exit_look_at_some(struct sandbox_kit *kit)
{
    enum { SLICE_USEC = 1000 };
    uint64_t until = base_monotonic_usec() + SLICE_USEC;
    do {
        struct container *c = kit->ended;
        kit->ended = c->next_ended;
        if (kit->ended == NULL)
            kit->ended_end = &kit->ended;
        look(c);
    } while (kit->ended != NULL && base_monotonic_usec() < until);
}

static void on_exited(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct container *c = poll->data;
    struct sandbox_kit *kit = c->kit;
    (void)uv_poll_stop(poll);
    c->next_ended = NULL;
    *kit->ended_end = c;
    kit->ended_end = &c->next_ended;
    kit_wake(kit);
}

int exit_watch(struct container *c, shoal_error_t *err)
{
    int code = uv_poll_init(c->loop, &c->pid_poll, c->pid_fd);
    if (code < 0)
        return shoal_fail(err, code, "watch the pidfd");
    c->pid_poll.data = c;
    c->parts_open++;
    (void)uv_poll_start(&c->pid_poll, UV_READABLE, on_exited);
    return 0;
}
