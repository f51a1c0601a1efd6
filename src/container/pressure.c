/* x-shoal.pressure: the triggers of one run, and what follows when the kernel tells that it waits too long. */
#include <errno.h>
#include <fcntl.h>

#include "container/fault.h"
#include "container/inside.h"
#include "kernel/pressure.h"

enum { FROZEN_WINDOWS = 5, SHRINK_PART = 10 };

struct watched_rule {
    struct pressure_trigger trigger;
    struct pressure_watch *watch;
    const shoal_pressure_rule_t *rule;
};

struct pressure_watch {
    struct container *container;
    uv_timer_t thaw;
    bool frozen; /* by us */
    unsigned parts_open;
    size_t count;
    struct watched_rule rules[];
};

static const char *const action_names[SHOAL_PRESSURE_ACTION_COUNT] = {
    [SHOAL_PRESSURE_EVENT] = "event", [SHOAL_PRESSURE_FREEZE] = "freeze", [SHOAL_PRESSURE_RESTART] = "restart",
    [SHOAL_PRESSURE_KILL] = "kill",   [SHOAL_PRESSURE_SHRINK] = "shrink",
};

shoal_stall_t container_describe_stall(const char *scope, const shoal_pressure_rule_t *rule)
{
    return (shoal_stall_t){
        .scope = scope,
        .share = rule->full ? "full" : "some",
        .stall_usec = rule->stall_usec,
        .window_usec = rule->window_usec,
        .action = action_names[rule->action],
    };
}

/* Reclaim waits for disks: a worker writes. */
struct shrink_work {
    uv_work_t request;
    struct sandbox_kit *kit;
    struct container *container;
    int fd; /* owned */
    uint64_t bytes;
};

static void shrink_work(uv_work_t *request)
{
    struct shrink_work *work = CONTAINER_OF(request, struct shrink_work, request);
    char text[24];
    int count = snprintf(text, sizeof text, "%llu", (unsigned long long)work->bytes);
    (void)!write(work->fd, text, (size_t)count); /* EAGAIN: there was not so much to be had, which is fine */
}

static void on_shrunk(uv_work_t *request, int status)
{
    (void)status;
    struct shrink_work *work = CONTAINER_OF(request, struct shrink_work, request);
    struct container *c = work->container;
    work->kit->shrinking = false;
    base_close_fd(&work->fd);
    free(work);
    c->parts_open--;
    container_settle(c);
}

static void shrink(struct container *c)
{
    shoal_error_t error;
    if (c->kit->shrinking)
        return; /* the kernel tells again while it lasts */
    uint64_t current = cgroup_read_number(c->cgroup, "memory.current");
    int fd = cgroup_open_file(c->cgroup, "memory.reclaim", O_WRONLY, &error);
    struct shrink_work *work = malloc(sizeof *work);
    if (fd < 0 || work == NULL || current == SHOAL_ABSENT) {
        container_warn(c, "its memory cannot be reclaimed: %s", fd < 0 ? error.text : "out of memory");
        base_close_fd(&fd);
        free(work);
        return;
    }
    *work = (struct shrink_work){.kit = c->kit, .container = c, .fd = fd, .bytes = current / SHRINK_PART + 1};
    c->kit->shrinking = true;
    c->parts_open++;
    (void)uv_queue_work(c->loop, &work->request, shrink_work, on_shrunk); /* fails without a function alone */
}

static void on_thaw(uv_timer_t *timer)
{
    struct pressure_watch *watch = timer->data;
    struct container *c = watch->container;
    shoal_error_t error;
    watch->frozen = false;
    if ((c->frozen_for & FREEZE_PRESSURE) && freeze_drop(c, FREEZE_PRESSURE, &error) < 0)
        container_warn(c, "%s", error.text);
}

static void freeze(struct pressure_watch *watch, const shoal_pressure_rule_t *rule)
{
    struct container *c = watch->container;
    shoal_error_t error;
    if (watch->frozen || c->state != CONTAINER_RUNNING)
        return;
    if (freeze_add(c, FREEZE_PRESSURE, &error) < 0) {
        container_warn(c, "%s", error.text);
        return;
    }
    watch->frozen = true;
    (void)uv_timer_start(&watch->thaw, on_thaw, FROZEN_WINDOWS * rule->window_usec / 1000, 0);
}

static void on_stall(void *data)
{
    const struct watched_rule *watched = data;
    const shoal_pressure_rule_t *rule = watched->rule;
    struct container *c = watched->watch->container;
    if (c->state != CONTAINER_RUNNING || c->pid == 0)
        return; /* what is being stopped, or frozen, has heard enough */
    shoal_stall_t stall = container_describe_stall("container", rule);
    shoal_event_t event = {.resource = rule->resource, .stall = &stall};
    container_publish(c, SHOAL_EVENT_PRESSURE, &event);
    switch (rule->action) {
    case SHOAL_PRESSURE_EVENT:
    case SHOAL_PRESSURE_ACTION_COUNT:
        break;
    case SHOAL_PRESSURE_FREEZE:
        freeze(watched->watch, rule);
        break;
    case SHOAL_PRESSURE_RESTART:
        if (c->owner->on_restart_wanted != NULL)
            c->owner->on_restart_wanted(c->owner->data, c);
        break;
    case SHOAL_PRESSURE_KILL:
        c->pressed_for = rule->resource;
        container_end(c, SHOAL_CAUSE_PRESSURE);
        break;
    case SHOAL_PRESSURE_SHRINK:
        shrink(c);
        break;
    }
}

static void drop_part(struct pressure_watch *watch)
{
    if (--watch->parts_open > 0)
        return;
    struct container *c = watch->container;
    free(watch);
    c->parts_open--;
    container_settle(c);
}

static void on_trigger_closed(void *data)
{
    const struct watched_rule *watched = data;
    drop_part(watched->watch);
}

static void on_timer_closed(uv_handle_t *handle)
{
    drop_part(handle->data);
}

static int open_rule(struct container *c, struct watched_rule *watched, shoal_error_t *err)
{
    const shoal_pressure_rule_t *rule = watched->rule;
    char file[32];
    (void)snprintf(file, sizeof file, "%s.pressure", rule->resource);
    int fd = cgroup_open_file(c->cgroup, file, O_RDWR | O_NONBLOCK, err);
    int code = fd < 0 ? fd
                      : pressure_trigger_open(&watched->trigger, c->loop, fd, rule->full, rule->stall_usec,
                                              rule->window_usec, on_stall, watched, err);
    return code < 0 ? shoal_within(err, "x-shoal.pressure: %s", file) : 0;
}

int pressure_begin(struct container *c, shoal_error_t *err)
{
    size_t count = c->service->pressure_rule_count;
    if (count == 0 || c->kit->no_pressure)
        return 0;
    struct pressure_watch *watch = calloc(1, sizeof *watch + count * sizeof *watch->rules);
    if (watch == NULL)
        return shoal_fail(err, -ENOMEM, "x-shoal.pressure");
    watch->container = c;
    (void)uv_timer_init(c->loop, &watch->thaw);
    watch->thaw.data = watch;
    watch->parts_open = 1;
    c->parts_open++;
    c->pressure = watch;
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++) {
        watch->rules[i] = (struct watched_rule){.watch = watch, .rule = &c->service->pressure_rules[i]};
        code = open_rule(c, &watch->rules[i], err);
        watch->count += code == 0;
        watch->parts_open += code == 0;
        if (code == 0)
            code = fault_stage(c, "pressure", err);
    }
    return code; /* what is open is closed with the run */
}

void pressure_end(struct container *c)
{
    struct pressure_watch *watch = c->pressure;
    if (watch == NULL)
        return;
    c->pressure = NULL;
    for (size_t i = 0; i < watch->count; i++)
        pressure_trigger_close(&watch->rules[i].trigger, on_trigger_closed);
    uv_close((uv_handle_t *)&watch->thaw, on_timer_closed);
}
