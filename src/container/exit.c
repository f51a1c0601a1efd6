/* The end of a run: the pidfd is readable, the process is reaped, its output drained, its totals read, one DIE published; then
 * the run's parts are released in reverse order and the owner is told when the last one is gone. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "child/report.h"
#include "container/inside.h"
#include "kernel/process.h"

/* What an end waits for, between the reaping and the DIE: its links' last counters from the thread of netlink, and an OOM's
 * victim from a worker. Where many end at once the kernel has no answer for long, while their network namespaces go: then a
 * DIE says what the last round of samples has read, and waits for nothing. */
enum { LINKS_ASKED_MOST = 4 };
struct ending {
    shoal_sample_t sample;
    unsigned links_waiting;
    bool in_line; /* all is there: it stands in the kit's line again */
};

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

/* The DIE of a run, with its certificate. */
static void publish_death(struct container *c, const shoal_sample_t *sample)
{
    char why[DEATH_WHY], output[TAIL_BYTES];
    shoal_cause_t cause = death_find_cause(c);
    death_explain(c, cause, sample, why);
    shoal_death_t death = {
        .why = why,
        .by = death_find_by(c, cause),
        .oom = cause == SHOAL_CAUSE_OOM && c->oom != NULL ? &c->oom->about : NULL,
        .sample = sample,
        .output = output,
        .output_count = output_tail(c, output),
    };
    shoal_event_t event = {
        .cause = cause,
        .exit_code = c->exit_code,
        .signal = c->signal,
        .usage_usec = sample->cpu.usage_usec,
        .peak_bytes = sample->memory.peak,
        .wall_usec = c->died_usec - c->started_usec,
        .attempt = c->attempt,
        .death = &death,
    };
    bool asked = c->stop_asked && !c->kill_asked;
    container_set_state(c, CONTAINER_EXITED, &event);
    if (asked)
        container_publish(c, SHOAL_EVENT_STOP, &event);
}

/* It never ran. The codes are those of docker run. */
static void publish_failure(struct container *c, const shoal_error_t *failure)
{
    bool asked = c->stop_asked; /* a start that we ended is no failure */
    c->signal = asked ? SIGKILL : 0;
    c->exit_code = asked ? 128 + SIGKILL : failure->code == -ENOENT ? 127 : 126;
    shoal_event_t event = {
        .cause = asked ? SHOAL_CAUSE_STOP : SHOAL_CAUSE_FAILED,
        .error = asked ? NULL : failure->text,
        .exit_code = c->exit_code,
        .signal = c->signal,
        .usage_usec = SHOAL_ABSENT,
        .peak_bytes = SHOAL_ABSENT,
        .attempt = c->attempt,
    };
    container_set_state(c, CONTAINER_EXITED, &event);
    if (asked)
        container_publish(c, SHOAL_EVENT_STOP, &event);
}

static void free_run(struct container *c)
{
    free(c->oom);
    free(c->ending);
    free(c->tail);
    c->oom = NULL;
    c->ending = NULL;
    c->tail = NULL;
}

/* sample: the last one of a run; NULL where it never ran. */
static void release(struct container *c, const shoal_sample_t *sample)
{
    if (c->thawing)
        freeze_on_change(c, false); /* it ended so soon that we have not heard of it yet */
    (void)uv_timer_stop(&c->grace);
    const shoal_error_t failure = c->launch != NULL ? c->launch->error : (shoal_error_t){0};
    output_drain(c);
    launch_release(c);
    pressure_end(c); /* before its cgroup goes */
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
    } else if (sample == NULL) {
        publish_failure(c, &failure);
    } else {
        if (c->owner->on_ended != NULL)
            c->owner->on_ended(c->owner->data, c, sample);
        publish_death(c, sample);
    }
    free_run(c);
    unmount(c);
    container_settle(c);
}

void exit_release(struct container *c)
{
    release(c, NULL);
}

static void on_pid_closed(uv_handle_t *handle)
{
    struct container *c = handle->data;
    base_close_fd(&c->pid_fd);
    c->parts_open--;
    container_settle(c);
}

static void on_exited(uv_poll_t *poll, int status, int events);

static void stand_in_line(struct container *c)
{
    struct sandbox_kit *kit = c->kit;
    c->next_ended = NULL;
    *kit->ended_end = c;
    kit->ended_end = &c->next_ended;
    kit_wake(kit);
}

void exit_go_on(struct container *c)
{
    struct ending *ending = c->ending;
    if (ending == NULL || ending->in_line || ending->links_waiting > 0 || (c->oom != NULL && c->oom->pending))
        return;
    ending->in_line = true;
    stand_in_line(c);
}

static void on_link_read(void *data)
{
    struct container *c = data;
    if (--c->ending->links_waiting == 0)
        c->kit->links_asked--;
    exit_go_on(c);
}

/* What a run leaves to be known of it. Its links are asked at once: their namespace goes with the last process. */
static void gather(struct container *c)
{
    struct ending *ending = calloc(1, sizeof *ending);
    if (ending == NULL) { /* no memory to wait with: told at once, without its links */
        shoal_sample_t sample;
        sample_read_final(c, &sample);
        release(c, &sample);
        return;
    }
    sample_read_final(c, &ending->sample);
    c->ending = ending;
    for (size_t i = 0; i < c->endpoint_count && c->kit->links_asked < LINKS_ASKED_MOST; i++)
        ending->links_waiting += net_endpoint_read_stats(c->endpoints[i], on_link_read, c) == 0;
    c->kit->links_asked += ending->links_waiting > 0;
    if (c->cgroup != NULL) { /* notices may still be on the way */
        cgroup_tell_hits(c->cgroup);
        oom_seen(c, ending->sample.memory.events.oom_kill);
    }
    exit_go_on(c);
}

/* shoal-init ends as its command did, and says in its name when that was by a signal. */
int exit_find_command_signal(const struct container *c)
{
    static const char prefix[] = REPORT_COMM_SIGNAL;
    char name[PROCESS_COMM];
    if (!c->service->init || !process_read_comm(c->pid, name) || strncmp(name, prefix, sizeof prefix - 1) != 0)
        return 0;
    long number = strtol(name + sizeof prefix - 1, NULL, 10);
    return number > 0 && number <= SIGRTMAX ? (int)number : 0;
}

static void release_gathered(struct container *c)
{
    sample_read_links(c,
                      &c->ending->sample); /* where a link was faster: what the last round of samples has read of it */
    release(c, &c->ending->sample);
}

static void look(struct container *c)
{
    if (c->ending != NULL) {
        release_gathered(c);
        return;
    }
    shoal_error_t error;
    int command_signal = exit_find_command_signal(c);
    int reaped = process_reap(c->pid_fd, &c->exit_code, &c->signal, &error);
    if (reaped == 0) { /* not yet: once more when it is told again */
        (void)uv_poll_start(&c->pid_poll, UV_READABLE, on_exited);
        return;
    }
    c->lost = reaped < 0;
    if (c->lost) { /* somebody else reaped our child: its status is lost, its end is not */
        container_warn(c, "%s", error.text);
        c->exit_code = -1;
        c->signal = 0;
    }
    if (c->signal == 0 && command_signal > 0 && c->exit_code == 128 + command_signal)
        c->signal = c->command_signal = command_signal;
    if (c->launch != NULL)
        launch_drain(c); /* it may have executed and ended before we looked */
    c->pid = 0;
    c->died_usec = base_monotonic_usec();
    (void)uv_timer_stop(&c->grace); /* that it is over is nothing to be told late */
    deadline_end(c);
    uv_close((uv_handle_t *)&c->pid_poll, on_pid_closed);
    if (c->launch != NULL)
        exit_release(c);
    else
        gather(c);
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
    (void)uv_poll_stop(poll);
    stand_in_line(poll->data);
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
