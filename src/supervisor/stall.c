/* x-shoal.pressure of the file: triggers on the fleet's cgroup and on the host. Without such rules there is nothing. */
#include <errno.h>
#include <fcntl.h>

#include "kernel/pressure.h"
#include "supervisor/inside.h"

enum { SHRINK_PART = 10 };

struct watched {
    struct pressure_trigger trigger;
    struct stalls *stalls;
    const shoal_pressure_rule_t *rule;
};

struct stalls {
    shoal_supervisor_t *boss;
    uv_work_t work; /* reclaims memory of the fleet */
    int reclaim_fd; /* owned by the worker while it is at it; -1 */
    uint64_t reclaim_bytes;
    bool working, closing;
    unsigned parts_open;
    void (*close_cb)(void *data);
    void *close_data;
    size_t count;
    struct watched watched[];
};

static void finish_close(struct stalls *stalls)
{
    if (!stalls->closing || stalls->working || stalls->parts_open > 0)
        return;
    stalls->boss->stalls = NULL;
    void (*cb)(void *) = stalls->close_cb;
    void *data = stalls->close_data;
    free(stalls);
    cb(data);
}

static void reclaim_work(uv_work_t *request) /* on a worker thread: reclaim waits for disks */
{
    struct stalls *stalls = CONTAINER_OF(request, struct stalls, work);
    char text[24];
    int count = snprintf(text, sizeof text, "%llu", (unsigned long long)stalls->reclaim_bytes);
    (void)!write(stalls->reclaim_fd, text, (size_t)count); /* EAGAIN: there was not so much to be had */
}

static void on_reclaimed(uv_work_t *request, int status)
{
    (void)status;
    struct stalls *stalls = CONTAINER_OF(request, struct stalls, work);
    base_close_fd(&stalls->reclaim_fd);
    stalls->working = false;
    finish_close(stalls);
}

static void shrink(struct stalls *stalls)
{
    shoal_supervisor_t *s = stalls->boss;
    if (stalls->working)
        return; /* the kernel tells again while it lasts */
    shoal_error_t error;
    uint64_t current = cgroup_root_read_number(s->cgroups, "memory.current");
    stalls->reclaim_fd = cgroup_root_open_file(s->cgroups, "memory.reclaim", O_WRONLY, &error);
    if (stalls->reclaim_fd < 0 || current == SHOAL_ABSENT) {
        supervisor_message(s, SHOAL_WARNING, "memory of the fleet cannot be reclaimed: %s",
                           stalls->reclaim_fd < 0 ? error.text : "memory.current is not there");
        base_close_fd(&stalls->reclaim_fd);
        return;
    }
    stalls->reclaim_bytes = current / SHRINK_PART + 1;
    stalls->working = true;
    (void)uv_queue_work(s->loop, &stalls->work, reclaim_work, on_reclaimed); /* fails without a function alone */
}

static void on_stall(void *data)
{
    const struct watched *watched = data;
    shoal_stall_t stall = container_describe_stall(watched->rule->host ? "host" : "fleet", watched->rule);
    shoal_event_t event = {.kind = SHOAL_EVENT_PRESSURE, .resource = watched->rule->resource, .stall = &stall};
    supervisor_publish(watched->stalls->boss, &event);
    if (watched->rule->action == SHOAL_PRESSURE_SHRINK)
        shrink(watched->stalls);
}

static int open_rule(struct stalls *stalls, struct watched *watched, shoal_error_t *err)
{
    const shoal_supervisor_t *s = stalls->boss;
    const shoal_pressure_rule_t *rule = watched->rule;
    char path[48];
    int fd;
    if (rule->host) {
        (void)snprintf(path, sizeof path, "/proc/pressure/%s", rule->resource);
        fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            (void)shoal_fail(err, -errno, "open");
    } else {
        (void)snprintf(path, sizeof path, "%s.pressure", rule->resource);
        fd = cgroup_root_open_file(s->cgroups, path, O_RDWR | O_NONBLOCK, err);
    }
    int code = fd < 0 ? err->code
                      : pressure_trigger_open(&watched->trigger, s->loop, fd, rule->full, rule->stall_usec,
                                              rule->window_usec, on_stall, watched, err);
    return code < 0 ? shoal_within(err, "x-shoal.pressure: %s", path) : 0;
}

int stalls_open(struct stalls **out, shoal_supervisor_t *s, shoal_error_t *err)
{
    size_t count = s->spec->pressure_rule_count;
    if (count == 0)
        return 0;
    struct stalls *stalls = calloc(1, sizeof *stalls + count * sizeof *stalls->watched);
    if (stalls == NULL)
        return shoal_fail(err, -ENOMEM, "x-shoal.pressure");
    stalls->boss = s;
    stalls->reclaim_fd = -1;
    *out = stalls; /* also half open: it closes over the loop */
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++) {
        stalls->watched[i] = (struct watched){.stalls = stalls, .rule = &s->spec->pressure_rules[i]};
        code = open_rule(stalls, &stalls->watched[i], err);
        stalls->count += code == 0;
        stalls->parts_open += code == 0;
    }
    return code;
}

static void on_trigger_closed(void *data)
{
    const struct watched *watched = data;
    watched->stalls->parts_open--;
    finish_close(watched->stalls);
}

void stalls_close(struct stalls *stalls, void (*cb)(void *data), void *data)
{
    stalls->closing = true;
    stalls->close_cb = cb;
    stalls->close_data = data;
    for (size_t i = 0; i < stalls->count; i++)
        pressure_trigger_close(&stalls->watched[i].trigger, on_trigger_closed);
    finish_close(stalls); /* none was open */
}
