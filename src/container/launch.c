/* A start, as a table of stages and one function that moves through it. Failure, a kill in the middle and a cancel take one
 * path: launch_fail(), which ends the child and lets exit.c release the run as after any other death.
 * c->launch lives from container_start() to execve or to the release of a failed start. */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include "container/fault.h"
#include "container/inside.h"
#include "kernel/process.h"

static void on_cgroup_event(void *data, enum cgroup_event event, uint64_t count)
{
    struct container *c = data;
    shoal_event_t published = {.count = count};
    published.limit = cgroup_event_limit(event, &published.counter);
    switch (event) {
    case CGROUP_EVENT_EMPTY:
        break; /* the pidfd tells the end; cgroup_remove() waits for this by itself */
    case CGROUP_EVENT_FROZEN:
    case CGROUP_EVENT_THAWED:
        freeze_on_change(c, event == CGROUP_EVENT_FROZEN);
        break;
    case CGROUP_EVENT_OOM_KILL:
        oom_seen(c, count);
        break;
    case CGROUP_EVENT_MEMORY_LOW:
    case CGROUP_EVENT_MEMORY_HIGH:
    case CGROUP_EVENT_MEMORY_MAX:
    case CGROUP_EVENT_MEMORY_OOM:
    case CGROUP_EVENT_PIDS_MAX:
        container_publish(c, SHOAL_EVENT_LIMIT, &published);
        break;
    }
}

static int cgroup_enter(struct container *c, shoal_error_t *err)
{
    const char *group = c->service->group != SHOAL_NO_GROUP ? c->spec->groups[c->service->group].name : NULL;
    AUTO_FREE char *name = group != NULL ? base_format("%s/%s", group, c->name) : base_format("%s", c->name);
    if (name == NULL)
        return shoal_fail(err, -ENOMEM, "cgroup");
    int code = cgroup_create(c->cgroups, name, c->limits, on_cgroup_event, c, &c->cgroup, err);
    if (code == 0)
        code = pressure_begin(c, err);
    return code < 0 ? code : 1;
}

/* The child waits for its first message, so that it can be made before it is known what it shall do. */
struct cloning {
    struct container *container;
    shoal_error_t *err;
};

static int start_child(void *data)
{
    const struct cloning *cloning = data;
    struct container *c = cloning->container;
    bool new_net = c->namespace == NULL && c->service->network_mode != SHOAL_NETWORK_HOST;
    struct process_start how = {
        .namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWTIME |
                      (new_net ? CLONE_NEWNET : 0),
        .cgroup_fd = cgroup_fd(c->cgroup),
        .stack = c->launch->stack,
        .body = child_walk,
        .argument = &c->launch->plan,
    };
    return process_start(&how, &c->pid, &c->pid_fd, cloning->err);
}

static void take_namespace(struct container *c)
{
    if (c->stock == NULL)
        return;
    size_t network = c->endpoint_count > 0 ? net_endpoint_network(c->endpoints[0]) : c->spec->network_count;
    c->namespace = net_stock_take(c->stock, network);
}

static int clone_enter(struct container *c, shoal_error_t *err)
{
    int code = channel_open(c, err);
    if (code < 0)
        return code;
    take_namespace(c);
    struct cloning cloning = {c, err};
    code = c->namespace != NULL ? net_namespace_enter(c->namespace, start_child, &cloning, err) : start_child(&cloning);
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
    if (code < 0)
        return code;
    c->mount_fd = process_open_mount_namespace(c->pid, err);
    return c->mount_fd < 0 ? c->mount_fd : 1;
}

/* The plan and what it needs; from here on the child walks. */
static int mount_enter(struct container *c, shoal_error_t *err)
{
    struct launch *launch = c->launch;
    int code = output_open(c, launch->child_outputs, err);
    if (code == 0)
        code = sandbox_plan(c, launch, err);
    if (code < 0)
        return code;
    launch->plan.fail_at = fault_child_step(c, launch->plan.count);
    code = channel_send_gifts(c, err);
    return code < 0 ? code : 1;
}

/* One netlink request per network, all at once, while the child mounts. */

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
    for (size_t i = 0; i < c->endpoint_count;
         i++) { /* in a namespace of the stock there is one, and its link is there */
        int code = c->namespace != NULL
                       ? net_namespace_connect(c->namespace, c->endpoints[i], on_linked, c, err)
                       : net_endpoint_link(c->endpoints[i], c->pid, interface_name(i).text, on_linked, c, err);
        if (code < 0)
            return code;
        c->links_pending++;
    }
    return c->links_pending > 0 ? 0 : 1;
}

/* The last message to a child that waits before execve, or in shoal-init. */
static int let_go(struct container *c, shoal_error_t *err)
{
    struct launch *launch = c->launch;
    const shoal_service_t *service = c->service;
    int score = service->oom_score_adj_set ? service->oom_score_adj : c->kit->oom_score_adj;
    int code = cgroup_let_go(c->cgroup, c->limits, err);
    if (code == 0 && launch->hold)
        code = process_set_oom_score_adj(c->pid, score, err);
    if (code == 0)
        code = channel_wake(c, err);
    launch->let_go = code == 0;
    return code;
}

void launch_on_held(struct container *c)
{
    shoal_error_t error;
    if (c->preparing)
        c->owner->on_parked(c->owner->data, c);
    else if (let_go(c, &error) < 0)
        launch_continue(c, error.code, &error);
}

/* The child goes on; the channel tells how it went, or that it waits once more. */
static int exec_enter(struct container *c, shoal_error_t *err)
{
    bool waits = c->launch->park || c->launch->hold;
    int code = waits ? 0 : cgroup_let_go(c->cgroup, c->limits, err);
    return code < 0 ? code : channel_wake(c, err);
}

static const struct stage {
    const char *name;
    int (*enter)(struct container *c, shoal_error_t *err); /* 0 an event goes on, 1 done already, < 0 failed */
} stages[] = {
    {"rootfs", rootfs_begin}, /* a worker thread makes it while the loop clones */
    {"cgroup", cgroup_enter},   {"clone", clone_enter}, {"rootfs", rootfs_enter}, /* now it has to be there */
    {"devices", devices_enter}, {"mount", mount_enter}, {"link", link_enter},     {"exec", exec_enter},
};

static void launch_succeed(struct container *c)
{
    (void)prctl(PR_SET_DUMPABLE, c->kit->dumpable);
    launch_release(c);
    cgroup_close_fd(c->cgroup);
    c->started_usec = base_monotonic_usec();
    shoal_event_t event = {.took_usec = c->started_usec - c->decided_usec, .attempt = c->attempt};
    container_set_state(c, CONTAINER_RUNNING, &event);
    deadline_begin(c);
    if (c->frozen_since_usec != 0)
        freeze_on_change(c, true); /* somebody did so right behind execve, and we heard of that first */
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

void launch_continue(struct container *c, int result, shoal_error_t *err) /* the only writer of c->stage on the way */
{
    shoal_error_t own = {0};
    if (err == NULL)
        err = &own;
    if (c->cancelled && result > 0)
        result = shoal_refuse(err, -ECANCELED, "stopped while it was started");
    while (result > 0 && c->stage + 1 < (int)COUNT(stages)) {
        c->stage++;
        result = fault_stage(c, stages[c->stage].name, err);
        if (result >= 0)
            result = stages[c->stage].enter(c, err);
    }
    if (result == 0)
        return; /* an event calls us again */
    if (result > 0) {
        launch_succeed(c);
        return;
    }
    if (!c->cancelled)
        channel_ask_why(c, err);
    (void)shoal_within(err, "%s: %s", c->name,
                       c->stage < 0 || c->launch->child_spoke ? "start" : stages[c->stage].name);
    launch_fail(c, err);
}

static void on_begin(uv_timer_t *timer)
{
    launch_continue(timer->data, 1, NULL);
}

/* Callbacks never come from inside the call that asked: the timer's is the first that may tell something. */
static int begin(struct container *c, shoal_error_t *err)
{
    bool startable = c->state == CONTAINER_CREATED || c->state == CONTAINER_EXITED || c->state == CONTAINER_BACKOFF;
    if (!startable || !c->settled)
        return shoal_refuse(err, -EINVAL, "%s: start: it is %s", c->name, container_state_name(c->state));
    c->launch = launch_new(c);
    if (c->launch == NULL)
        return shoal_fail(err, -ENOMEM, "%s: start", c->name);
    c->launch->hold = c->kit->guarded || c->service->oom_score_adj_set;
    c->started_usec = 0;
    c->settled = c->stop_asked = c->kill_asked = c->grace_over = c->cancelled = false;
    c->killed = c->forced = c->lost = c->freezing = c->thawing = false;
    c->born_paused_usec += c->paused_usec;
    c->frozen_since_usec = c->paused_usec = 0;
    c->frozen_for = 0;
    c->command_signal = 0;
    c->printed_bytes = 0;
    c->stage = -1;
    (void)uv_timer_start(&c->grace, on_begin, 0, 0);
    return 0;
}

/* The other way round: the launch is where a preparation left it, and whoever waits for it is us. */
static void on_wake(uv_timer_t *timer)
{
    struct container *c = timer->data;
    shoal_error_t error;
    bool waits = c->launch != NULL && c->launch->error.code == 0 && c->launch->held &&
                 !c->launch->let_go; /* else it is yet to come there, or came there before this timer */
    if (waits && let_go(c, &error) < 0)
        launch_continue(c, error.code, &error);
}

int container_start(struct container *c, unsigned attempt, shoal_error_t *err)
{
    bool prepared = container_is_prepared(c);
    int code = prepared ? 0 : begin(c, err);
    if (code < 0)
        return code;
    c->preparing = false;
    c->attempt = attempt;
    c->decided_usec = base_monotonic_usec();
    container_set_state(c, CONTAINER_STARTING, NULL);
    if (prepared && c->stage >= 0) /* else the timer is about to begin */
        (void)uv_timer_start(&c->grace, on_wake, 0, 0);
    return 0;
}

int container_prepare(struct container *c, shoal_error_t *err)
{
    int code = begin(c, err);
    if (code < 0)
        return code;
    c->preparing = c->launch->park = true;
    return 0;
}

bool container_is_prepared(const struct container *c)
{
    return c->preparing && !c->cancelled && c->launch != NULL && c->launch->error.code == 0;
}

void launch_cancel(struct container *c)
{
    c->cancelled = true;
    if (c->pid != 0)
        (void)process_signal(c->pid_fd, SIGKILL, NULL);
}
