/* The container as its owner sees it: the record, its states, stop and close. */
#include "container/container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>

#include "container/inside.h"
#include "kernel/caps.h"
#include "kernel/process.h"

static const char *const state_names[CONTAINER_STATE_COUNT] = {
    [CONTAINER_CREATED] = "created", [CONTAINER_STARTING] = "starting", [CONTAINER_RUNNING] = "running",
    [CONTAINER_PAUSED] = "paused",   [CONTAINER_STOPPING] = "stopping", [CONTAINER_EXITED] = "exited",
    [CONTAINER_BACKOFF] = "backoff", [CONTAINER_REMOVED] = "removed",
};

/* Every transition there is, and the one event that it publishes. */
static const struct transition {
    enum container_state from, to;
    bool silent; /* the way from a decision to its outcome: the outcome is the event */
    shoal_event_kind_t event;
} transitions[] = {
    {CONTAINER_CREATED, CONTAINER_STARTING, true, 0},
    {CONTAINER_EXITED, CONTAINER_STARTING, true, 0},
    {CONTAINER_BACKOFF, CONTAINER_STARTING, true, 0},
    {CONTAINER_STARTING, CONTAINER_RUNNING, false, SHOAL_EVENT_START},
    {CONTAINER_STARTING, CONTAINER_EXITED, false, SHOAL_EVENT_DIE},
    {CONTAINER_RUNNING, CONTAINER_STOPPING, false, SHOAL_EVENT_KILL},
    {CONTAINER_RUNNING, CONTAINER_EXITED, false, SHOAL_EVENT_DIE},
    {CONTAINER_RUNNING, CONTAINER_PAUSED, false, SHOAL_EVENT_PAUSE},
    {CONTAINER_PAUSED, CONTAINER_RUNNING, false, SHOAL_EVENT_UNPAUSE},
    {CONTAINER_PAUSED, CONTAINER_STOPPING, false, SHOAL_EVENT_KILL},
    {CONTAINER_PAUSED, CONTAINER_EXITED, false, SHOAL_EVENT_DIE},
    {CONTAINER_STOPPING, CONTAINER_EXITED, false, SHOAL_EVENT_DIE},
    {CONTAINER_EXITED, CONTAINER_BACKOFF, false, SHOAL_EVENT_BACKOFF},
    {CONTAINER_BACKOFF, CONTAINER_EXITED, false, SHOAL_EVENT_STOP},
    {CONTAINER_CREATED, CONTAINER_REMOVED, false, SHOAL_EVENT_DESTROY},
    {CONTAINER_EXITED, CONTAINER_REMOVED, false, SHOAL_EVENT_DESTROY},
    {CONTAINER_BACKOFF, CONTAINER_REMOVED, false, SHOAL_EVENT_DESTROY},
};

void container_set_state(struct container *c, enum container_state state, shoal_event_t *event)
{
    for (size_t i = 0; i < COUNT(transitions); i++) {
        const struct transition *transition = &transitions[i];
        if (transition->from != c->state || transition->to != state)
            continue;
        c->state = state;
        if (!transition->silent)
            container_publish(c, transition->event, event);
        return;
    }
    abort(); /* our own mistake: no such way */
}

void container_publish(struct container *c, shoal_event_kind_t kind, shoal_event_t *event)
{
    event->kind = kind;
    event->service = c->service->name;
    event->group = c->service->group == SHOAL_NO_GROUP ? NULL : c->spec->groups[c->service->group].name;
    event->container = c->name;
    event->id = c->id;
    event->pid = c->pid;
    c->owner->on_event(c->owner->data, c, event);
}

void container_warn(struct container *c, const char *fmt, ...)
{
    shoal_error_t line = {0};
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line.text, sizeof line.text, fmt, args);
    va_end(args);
    (void)shoal_within(&line, "%s", c->name);
    c->owner->on_warning(c->owner->data, line.text);
}

void container_settle(struct container *c)
{
    if (!c->settling || c->parts_open > 0 || c->links_pending > 0)
        return;
    c->settling = false;
    c->settled = true;
    if (c->namespace != NULL)
        net_stock_give(c->stock, c->namespace); /* the cgroup is gone: nobody is in it any more */
    c->namespace = NULL;
    c->owner->on_settled(c->owner->data, c); /* last: the owner may close c in here */
}

static int make_id(char out[CONTAINER_ID_TEXT], shoal_error_t *err)
{
    unsigned char bytes[(CONTAINER_ID_TEXT - 1) / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return shoal_fail(err, -errno, "getrandom");
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static void on_log_room(void *data)
{
    output_resume(data);
}

static int open_log(struct container *c, const struct container_options *options, shoal_error_t *err)
{
    if (c->service->log.driver == SHOAL_LOG_NONE)
        return 0;
    AUTO_FREE char *path = base_format("%s/logs/%s/%s-json.log", c->root_dir, options->spec->project, c->name);
    if (path == NULL)
        return shoal_fail(err, -ENOMEM, "log");
    return log_open(&c->log, c->loop, path, c->service->log.max_bytes, c->service->log.max_files, on_log_room, c, err);
}

static bool has_rates(const struct container *c)
{
    return c->service->net.egress_bits > 0 || c->service->net.ingress_bits > 0;
}

static int reserve_endpoints(struct container *c, struct net *net, shoal_error_t *err)
{
    if (c->service->network_mode != SHOAL_NETWORK_BRIDGES)
        return 0;
    c->endpoints = calloc(c->service->attachment_count + 1, sizeof *c->endpoints);
    if (c->endpoints == NULL)
        return shoal_fail(err, -ENOMEM, "endpoints");
    for (size_t i = 0; i < c->service->attachment_count; i++) {
        int code = net_endpoint_reserve(net, c->service->attachments[i].network, &c->endpoints[i], err);
        if (code < 0)
            return code;
        c->endpoint_count++;
        if (has_rates(c))
            code = net_endpoint_set_rates(c->endpoints[i],
                                          &(struct net_rates){.egress = c->service->net.egress_bits / 8,
                                                              .ingress = c->service->net.ingress_bits / 8},
                                          err);
        if (code < 0)
            return code;
    }
    return 0;
}

/* In a namespace of the stock nobody can hold a capability over the network, nor mount a sysfs, nor set a sysctl of it; and its
 * link has no rates, which would have to be taken off it again. */
static bool can_use_stock(const struct container *c)
{
    const shoal_service_t *service = c->service;
    static const unsigned needed[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BROADCAST, CAP_SYS_ADMIN};
    uint64_t capabilities = caps_resolve(service->cap_add, service->cap_drop);
    for (size_t i = 0; i < COUNT(needed); i++)
        if (capabilities >> needed[i] & 1)
            return false;
    for (size_t i = 0; i < service->sysctl_count; i++)
        if (strncmp(service->sysctls[i].key, "net.", 4) == 0)
            return false;
    return service->network_mode != SHOAL_NETWORK_HOST && c->endpoint_count <= 1 && !has_rates(c);
}

static void publish_network(struct container *c, shoal_event_kind_t kind)
{
    for (size_t i = 0; i < c->endpoint_count; i++) {
        shoal_event_t event = {
            .network = c->spec->networks[net_endpoint_network(c->endpoints[i])].name,
            .address = net_endpoint_address(c->endpoints[i]),
        };
        container_publish(c, kind, &event);
    }
}

static void free_record(struct container *c)
{
    for (size_t i = 0; i < c->endpoint_count; i++)
        net_endpoint_release(c->endpoints[i]);
    free(c->endpoints);
    for (size_t i = 0; c->binds != NULL && i < c->service->mount_count; i++)
        free(c->binds[i].path);
    free(c->binds);
    cgroup_limits_unref(c->limits);
    free(c->dir);
    free(c->name);
    free(c);
}

int container_open(struct container **out, const struct container_options *options, shoal_error_t *err)
{
    struct container *c = calloc(1, sizeof *c);
    if (c == NULL)
        return shoal_fail(err, -ENOMEM, "%s", options->name);
    c->owner = options->owner;
    c->loop = options->loop;
    c->kit = options->kit;
    c->spec = options->spec;
    c->service = options->service;
    c->image = options->image;
    c->cgroups = options->cgroups;
    c->limits = cgroup_limits_ref(options->limits);
    c->disk_bounded = options->disk != NULL;
    if (options->disk != NULL)
        c->disk = *options->disk;
    c->root_dir = options->root_dir;
    c->hosts_path = options->hosts_path;
    c->data = options->data;
    c->first_id = options->first_id;
    c->pid_fd = c->mount_fd = -1;
    c->stage = -1;
    c->settled = true;
    for (int i = 0; i < 2; i++)
        c->outputs[i] = (struct output){.container = c, .fd = -1, .stream = i + 1};
    int code = make_id(c->id, err);
    c->name = base_format("%s", options->name);
    c->dir = base_format("%s/containers/%s/%s", options->root_dir, options->spec->project, c->id);
    if (code == 0 && (c->name == NULL || c->dir == NULL))
        code = shoal_fail(err, -ENOMEM, "%s", options->name);
    if (code == 0)
        code = reserve_endpoints(c, options->net, err);
    if (can_use_stock(c))
        c->stock = options->stock;
    if (code == 0)
        code = open_log(c, options, err);
    if (code < 0) {
        (void)shoal_within(err, "%s: create", options->name);
        free_record(c);
        return code;
    }
    (void)uv_timer_init(c->loop, &c->grace);
    c->grace.data = c;
    *out = c;
    shoal_event_t event = {0};
    container_publish(c, SHOAL_EVENT_CREATE, &event);
    publish_network(c, SHOAL_EVENT_NETWORK_CONNECT);
    return 0;
}

static void on_grace_over(uv_timer_t *timer)
{
    struct container *c = timer->data;
    c->grace_over = true;
    shoal_event_t event = {.signal = SIGKILL};
    container_publish(c, SHOAL_EVENT_KILL, &event);
    container_kill(c);
}

void container_stop(struct container *c, int signal, uint64_t grace_ms)
{
    if (c->state == CONTAINER_STARTING) {
        c->stop_asked = true;
        launch_cancel(c);
        return;
    }
    if (c->preparing)
        launch_cancel(c);
    if ((c->state != CONTAINER_RUNNING && c->state != CONTAINER_PAUSED) || c->ending != NULL)
        return;
    c->stop_asked = true;
    c->stop_usec = base_monotonic_usec();
    /* A first process that neither handles nor awaits the signal would never see it: the kernel drops it there. Anywhere
     * else its default action would end the process at once, so that is what happens here. */
    bool heard = signal != SIGKILL && process_hears(c->pid, signal);
    shoal_event_t event = {.signal = heard ? signal : SIGKILL};
    container_set_state(c, CONTAINER_STOPPING, &event);
    shoal_error_t error;
    if (!heard) {
        container_kill(c);
    } else if ((process_signal(c->pid_fd, signal, &error) < 0 && error.code != -ESRCH) ||
               container_thaw(c, &error) < 0) {
        container_warn(c, "%s", error.text);
        container_kill(c);
    } else {
        (void)uv_timer_start(&c->grace, on_grace_over, grace_ms, 0);
    }
}

void container_kill(struct container *c)
{
    shoal_error_t error;
    c->killed |= c->pid != 0;
    if (c->cgroup != NULL && cgroup_kill(c->cgroup, &error) < 0)
        container_warn(c, "%s", error.text);
    /* Beside the cgroup's kill, which a child in the middle of its start may not have reached yet. */
    if (c->pid != 0)
        (void)process_signal(c->pid_fd, SIGKILL, NULL);
}

void container_end(struct container *c, shoal_cause_t cause)
{
    bool runs = c->state == CONTAINER_RUNNING || c->state == CONTAINER_PAUSED;
    if ((!runs && c->state != CONTAINER_STOPPING) || c->pid == 0 || c->forced)
        return;
    c->forced = true;
    c->forced_cause = cause;
    container_kill(c);
    shoal_event_t event = {.signal = SIGKILL};
    if (runs)
        container_set_state(c, CONTAINER_STOPPING, &event);
}

int container_signal(struct container *c, int signal, shoal_error_t *err)
{
    bool runs = c->state == CONTAINER_RUNNING || c->state == CONTAINER_PAUSED || c->state == CONTAINER_STOPPING;
    if (!runs || c->pid == 0)
        return shoal_refuse(err, -EINVAL, "%s: kill: it is %s", c->name, container_state_name(c->state));
    int code = signal == SIGKILL ? 0 : process_signal(c->pid_fd, signal, err);
    if (code < 0) {
        (void)shoal_within(err, "%s: kill", c->name);
        return code;
    }
    shoal_event_t event = {.signal = signal};
    if (signal != SIGKILL) {
        container_publish(c, SHOAL_EVENT_KILL, &event);
        return 0;
    }
    container_kill(c);
    if (c->state == CONTAINER_STOPPING) { /* its stop takes no longer */
        container_publish(c, SHOAL_EVENT_KILL, &event);
        return 0;
    }
    c->stop_asked = c->kill_asked = true;
    container_set_state(c, CONTAINER_STOPPING, &event);
    return 0;
}

void container_end_backoff(struct container *c)
{
    shoal_event_t event = {.exit_code = c->exit_code, .signal = c->signal, .cause = SHOAL_CAUSE_STOP};
    container_set_state(c, CONTAINER_EXITED, &event);
}

void container_set_backoff(struct container *c, uint64_t delay_usec, unsigned attempt)
{
    shoal_event_t event = {.delay_usec = delay_usec, .attempt = attempt};
    container_set_state(c, CONTAINER_BACKOFF, &event);
}

void container_set_limits(struct container *c, struct cgroup_limits *limits)
{
    struct cgroup_limits *old = c->limits;
    c->limits = cgroup_limits_ref(limits);
    cgroup_limits_unref(old);
}

void container_set_disk(struct container *c, const struct image_disk *disk)
{
    c->disk.bytes = disk->bytes;
    c->disk.inodes = disk->inodes;
}

bool container_get_disk(const struct container *c, struct image_disk *out, const char **out_dir)
{
    if (!c->disk_bounded || !c->rootfs_made)
        return false;
    *out = c->disk;
    *out_dir = c->dir;
    return true;
}

void container_set_disk_use(struct container *c, const struct image_disk_use *use)
{
    c->disk_use = *use;
}

struct cgroup *container_cgroup_in_use(const struct container *c)
{
    return c->cgroup != NULL && cgroup_serial(c->cgroup) != 0 ? c->cgroup : NULL;
}

void container_tell_update(struct container *c, const shoal_change_t *changes, size_t count)
{
    shoal_event_t event = {.changes = changes, .change_count = count};
    container_publish(c, SHOAL_EVENT_UPDATE, &event);
}

const char *container_state_name(enum container_state state)
{
    return state_names[state];
}

const char *container_name(const struct container *c)
{
    return c->name;
}

const char *container_id(const struct container *c)
{
    return c->id;
}

const shoal_service_t *container_service(const struct container *c)
{
    return c->service;
}

enum container_state container_get_state(const struct container *c)
{
    return c->state;
}

bool container_is_settled(const struct container *c)
{
    return c->settled;
}

uint32_t container_address(const struct container *c, size_t network)
{
    for (size_t i = 0; i < c->endpoint_count; i++)
        if (net_endpoint_network(c->endpoints[i]) == network)
            return net_endpoint_address(c->endpoints[i]);
    return 0;
}

void *container_get_data(const struct container *c)
{
    return c->data;
}

/* Close: the log is written out, the timer closed, the directory removed by a worker; then the record goes. */

struct remove_work {
    uv_work_t request;
    struct container *container;
    char *dir; /* owned */
    bool bounded;
    int result;
    shoal_error_t error;
};

static void close_finish(struct container *c)
{
    void (*cb)(void *) = c->close_cb;
    void *data = c->close_data;
    publish_network(c, SHOAL_EVENT_NETWORK_DISCONNECT);
    shoal_event_t event = {0};
    container_set_state(c, CONTAINER_REMOVED, &event);
    free_record(c);
    cb(data);
}

static void close_part_done(void *data)
{
    struct container *c = data;
    if (--c->parts_open == 0)
        close_finish(c);
}

static void on_timer_closed(uv_handle_t *handle)
{
    close_part_done(handle->data);
}

static void remove_work(uv_work_t *request) /* on a worker thread */
{
    struct remove_work *work = CONTAINER_OF(request, struct remove_work, request);
    work->result = work->bounded ? image_disk_end(work->dir, &work->error) : 0;
    if (work->result == 0)
        work->result = image_remove_tree(work->dir, &work->error);
}

static void on_removed(uv_work_t *request, int status)
{
    struct remove_work *work = CONTAINER_OF(request, struct remove_work, request);
    struct container *c = work->container;
    if (status == 0 && work->result < 0)
        container_warn(c, "%s", work->error.text);
    free(work->dir);
    free(work);
    close_part_done(c);
}

void container_close(struct container *c, void (*cb)(void *data), void *data)
{
    c->close_cb = cb;
    c->close_data = data;
    if (!c->rootfs_pending) /* else there will be more to remove */
        container_close_go_on(c);
}

void container_close_go_on(struct container *c)
{
    c->parts_open = 1; /* the timer is always there; its callback comes after everything below was counted */
    uv_close((uv_handle_t *)&c->grace, on_timer_closed);
    if (c->log != NULL) {
        c->parts_open++;
        log_close(c->log, close_part_done, c);
        c->log = NULL;
    }
    if (!c->rootfs_made)
        return;
    struct remove_work *work = calloc(1, sizeof *work);
    if (work != NULL)
        *work = (struct remove_work){.container = c, .dir = c->dir, .bounded = c->disk_bounded};
    if (work == NULL || uv_queue_work(c->loop, &work->request, remove_work, on_removed) < 0) {
        free(work);
        container_warn(c, "%s: left behind: out of memory", c->dir);
        return;
    }
    c->dir = NULL; /* the work's now */
    c->parts_open++;
}
