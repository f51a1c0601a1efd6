/* The supervisor from its caller's side: open, start, stop, close. What moves in between is in fleet.c. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "supervisor/fleet.h"
#include "supervisor/inside.h"

/* The loop's own part of a start (clone3, netlink) takes about a millisecond, and what it has started competes with it for the
 * processors: more at once than there are make nothing faster and the loop's turns longer. */
enum { STARTS_LEAST = 2, STARTS_MOST = 8 };

static unsigned default_starts(void)
{
    cpu_set_t ours;
    int count = sched_getaffinity(0, sizeof ours, &ours) == 0 ? CPU_COUNT(&ours) : STARTS_LEAST;
    return count < STARTS_LEAST ? STARTS_LEAST : count > STARTS_MOST ? STARTS_MOST : (unsigned)count;
}

unsigned supervisor_in_flight(const shoal_spec_t *spec)
{
    return spec->starts_in_flight > 0 ? spec->starts_in_flight : default_starts();
}

int shoal_process_isolate(shoal_error_t *err)
{
    if (unshare(CLONE_NEWNS) < 0)
        return shoal_fail(err, -errno, "mount namespace");
    /* Slave: what the host unmounts goes here too and is not held; what we mount stays here. */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return shoal_fail(err, -errno, "make / a slave mount");
    return 0;
}

uint64_t shoal_process_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    uint64_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* nobody may forbid it up to the hard limit */
    return before;
}

const char *shoal_version(void)
{
    return SHOAL_VERSION;
}

void supervisor_message(shoal_supervisor_t *s, shoal_severity_t severity, const char *fmt, ...)
{
    if (s->options.on_message == NULL)
        return;
    char line[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    s->options.on_message(s->options.data, severity, line);
}

void shoal_supervisor_subscribe(shoal_supervisor_t *s, shoal_subscriber_t *subscriber)
{
    subscriber->next = s->subscribers;
    s->subscribers = subscriber;
}

void shoal_supervisor_unsubscribe(shoal_supervisor_t *s, shoal_subscriber_t *subscriber)
{
    for (shoal_subscriber_t **at = &s->subscribers; *at != NULL; at = &(*at)->next)
        if (*at == subscriber) {
            *at = subscriber->next;
            return;
        }
}

void supervisor_publish(shoal_supervisor_t *s, shoal_event_t *event)
{
    event->seq = ++*s->state.seq;
    event->time_usec = base_realtime_usec();
    event->project = s->spec->project;
    for (shoal_subscriber_t *at = s->subscribers, *next; at != NULL; at = next) {
        next = at->next; /* it may unsubscribe in its call */
        if (at->on_event != NULL)
            at->on_event(at->data, event);
    }
}

/* Absolute, so that it means the same wherever the host program goes. */
static char *make_absolute(const char *path)
{
    if (path[0] == '/')
        return base_format("%s", path);
    AUTO_FREE char *here = get_current_dir_name();
    return here != NULL ? base_format("%s/%s", here, path) : NULL;
}

static int open_directories(shoal_supervisor_t *s, shoal_error_t *err)
{
    const shoal_supervisor_options_t *options = &s->options;
    s->root_dir = make_absolute(options->root_dir != NULL ? options->root_dir : "/var/lib/shoal");
    s->run_dir = make_absolute(options->run_dir != NULL ? options->run_dir : "/run/shoal");
    if (s->root_dir == NULL || s->run_dir == NULL)
        return shoal_fail(err, -ENOMEM, "directories");
    int code = state_open(&s->state, s->run_dir, s->spec->project, err);
    static const char *const parts[] = {"containers", "logs", "volumes", "images"};
    for (size_t i = 0; i < COUNT(parts) && code == 0; i++) {
        AUTO_FREE char *path = base_format("%s/%s", s->root_dir, parts[i]);
        code = path != NULL ? image_make_directories(path, i == 0 ? 0700 : 0755, err)
                            : shoal_fail(err, -ENOMEM, "root");
    }
    return code;
}

static void on_leftover(void *data, const char *name)
{
    supervisor_message(data, SHOAL_WARNING, "%s: left by a supervisor that was killed: ended and cleared away", name);
}

/* Start and recovery are one path: whatever an earlier supervisor of this project left goes first. */
static int clear_leftovers(shoal_supervisor_t *s, shoal_error_t *err)
{
    int code = cgroup_root_open(&s->cgroups, s->loop, s->spec->project, s->run_dir, on_leftover, s, err);
    if (code < 0)
        return code;
    s->cgroups_opened = true; /* the project is ours on this host: so is its directory */
    AUTO_FREE char *path = base_format("%s/containers/%s", s->root_dir, s->spec->project);
    if (path == NULL)
        return shoal_fail(err, -ENOMEM, "containers");
    code = image_disk_end_all(path, err);
    if (code == 0)
        code = image_remove_tree(path, err);
    return code < 0 ? code : image_make_directories(path, 0700, err);
}

static int open_images(shoal_supervisor_t *s, shoal_error_t *err)
{
    for (size_t i = 0; i < s->spec->service_count; i++) {
        const shoal_service_t *service = &s->spec->services[i];
        int code = image_open(&s->groups[i].image, &service->image, s->root_dir, err);
        if (code < 0) {
            (void)shoal_within(err, "services.%s", service->name);
            return code;
        }
    }
    return 0;
}

static int open_net(shoal_supervisor_t *s, shoal_error_t *err)
{
    if (s->spec->network_count == 0)
        return 0;
    AUTO_FREE size_t *expected = calloc(s->spec->network_count, sizeof *expected);
    if (expected == NULL)
        return shoal_fail(err, -ENOMEM, "networks");
    for (size_t i = 0; i < s->spec->service_count; i++) {
        const shoal_service_t *service = &s->spec->services[i];
        for (size_t k = 0; k < service->attachment_count; k++)
            expected[service->attachments[k].network] += service->replicas;
    }
    struct net_options options = {
        .tag = s->state.tag,
        .networks = s->spec->networks,
        .expected = expected,
        .network_count = s->spec->network_count,
    };
    return net_open(&s->net, s->loop, &options, err);
}

size_t supervisor_stock_wanted(const shoal_supervisor_t *s, size_t *wanted)
{
    enum { SANDBOX_FDS = 4, OWN_FDS = 128 };
    size_t none = s->spec->network_count, total = 0, fds = OWN_FDS + NET_STOCK_LENT_MOST;
    for (size_t i = 0; i < s->spec->service_count; i++) {
        const shoal_service_t *service = &s->spec->services[i];
        fds += SANDBOX_FDS * service->replicas;
        bool bridge = service->network_mode == SHOAL_NETWORK_BRIDGES && service->attachment_count == 1 &&
                      service->net.egress_bits == 0 && service->net.ingress_bits == 0;
        if (bridge)
            wanted[service->attachments[0].network] += service->replicas;
        else if (service->network_mode == SHOAL_NETWORK_NONE)
            wanted[none] += service->replicas;
    }
    size_t most = s->spec->pool_set ? s->spec->pool : 2 * s->in_flight_max;
    for (size_t i = 0; i <= none; i++) {
        wanted[i] = wanted[i] < most ? wanted[i] : most;
        total += wanted[i];
    }
    struct rlimit limit;
    fds += 2 * total * NET_STOCK_READY_FDS;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= fds)
        return total;
    memset(wanted, 0, (none + 1) * sizeof *wanted);
    return 0;
}

static void on_pool_trouble(void *data, int code, const char *step, uint64_t delay_ms)
{
    shoal_supervisor_t *s = data;
    shoal_error_t error = {0};
    if (code < 0)
        (void)shoal_fail(&error, code, "pool: make a network namespace: %s", step);
    if (code < 0 && !s->pool_fails)
        supervisor_message(s, SHOAL_WARNING, "%s; starts make their own until it works again", error.text);
    s->pool_fails = code < 0;
    shoal_event_t event = {
        .kind = SHOAL_EVENT_POOL, .error = code < 0 ? error.text : NULL, .delay_usec = delay_ms * 1000};
    supervisor_publish(s, &event);
}

static int open_stock(shoal_supervisor_t *s, shoal_error_t *err)
{
    AUTO_FREE size_t *wanted = calloc(s->spec->network_count + 1, sizeof *wanted);
    if (wanted == NULL)
        return shoal_fail(err, -ENOMEM, "stock of network namespaces");
    size_t total = supervisor_stock_wanted(s, wanted);
    struct net_stock_options options = {
        .net = s->net,
        .wanted = wanted,
        .network_count = s->spec->network_count,
        .on_trouble = on_pool_trouble,
        .data = s,
    };
    return total > 0 ? net_stock_open(&s->stock, s->loop, &options, err) : 0;
}

static int make_members(shoal_supervisor_t *s, shoal_error_t *err)
{
    size_t count = 0;
    for (size_t i = 0; i < s->spec->service_count; i++) {
        s->groups[i].first = count;
        s->groups[i].count = s->spec->services[i].replicas;
        count += s->groups[i].count;
    }
    s->members = calloc(count + 1, sizeof *s->members);
    if (s->members == NULL)
        return shoal_fail(err, -ENOMEM, "containers");
    s->member_count = count;
    for (size_t i = 0; i < s->spec->service_count; i++)
        for (size_t k = 0; k < s->groups[i].count; k++)
            s->members[s->groups[i].first + k] = (struct member){.boss = s, .service = i, .number = (unsigned)k + 1};
    return 0;
}

/* Also the groups, which get theirs at once. */
static int make_limits(shoal_supervisor_t *s, shoal_error_t *err)
{
    size_t services = s->spec->service_count, all = services + s->spec->group_count + 1;
    struct cgroup_limits **limits = calloc(all, sizeof(struct cgroup_limits *));
    if (limits == NULL)
        return shoal_fail(err, -ENOMEM, "limits");
    int code = check_controllers(s, s->spec, limits, err);
    for (size_t i = 0; i < services; i++) {
        s->groups[i].limits = limits[i];
        s->groups[i].said = &s->spec->services[i].limits;
    }
    if (code == 0)
        code = groups_open(s, limits + services, err);
    for (size_t i = services; i < all; i++)
        cgroup_limits_unref(limits[i]);
    free(limits);
    return code;
}

static int open_disks(shoal_supervisor_t *s, shoal_error_t *err)
{
    AUTO_FREE struct image_disk *disks = calloc(s->spec->service_count + 1, sizeof *disks);
    if (disks == NULL)
        return shoal_fail(err, -ENOMEM, "disks");
    int code = check_disks(s, s->spec, disks, err);
    for (size_t i = 0; i < s->spec->service_count; i++)
        s->groups[i].disk = disks[i];
    return code;
}

static int open_parts(shoal_supervisor_t *s, shoal_error_t *err)
{
    int code = check_commands(s, err);
    if (code == 0)
        code = open_directories(s, err);
    if (code == 0)
        code = clear_leftovers(s, err);
    if (code == 0)
        code = make_limits(s, err);
    if (code == 0)
        code = check_devices(s, false, err);
    if (code == 0)
        code = check_pressure(s, err);
    if (code == 0)
        code = check_rates(s, err);
    if (code == 0)
        code = check_oom_scores(s, err);
    if (code == 0)
        code = open_disks(s, err);
    if (code == 0) /* behind the leftovers: what they held is free again */
        code = check_limits(s, NULL, NULL, err);
    if (code == 0)
        code = open_images(s, err);
    if (code == 0)
        code = make_members(s, err);
    if (code == 0)
        code = idranges_open(&s->ids, s->state.dir, s->member_count, err);
    if (code == 0) {
        struct sandbox_kit_options kit = {
            .loop = s->loop,
            .state_dir = s->state.dir,
            .starts_in_flight = s->in_flight_max,
            .descriptors = s->options.descriptors,
            .no_pressure = s->no_pressure,
            .guard = groups_share_memory(s, s->spec),
            .no_device_lists = s->no_device_lists,
        };
        code = sandbox_kit_open(&s->kit, &kit, err);
        if (code == 0 && kit.guard && !sandbox_kit_is_guarded(s->kit))
            supervisor_message(s, SHOAL_WARNING,
                               "oom_score_adj -1000 of this process: %s; when the memory of a group runs out during a "
                               "start, the kernel may kill it, and with it the fleet",
                               strerror(EACCES));
    }
    for (size_t i = 0; i < s->spec->service_count && code == 0; i++)
        code = sandbox_kit_add(s->kit, &s->spec->services[i], err);
    if (code == 0)
        code = open_net(s, err);
    if (code == 0)
        code = culprits_open(&s->culprits, s, err);
    if (code == 0)
        code = s->no_pressure ? 0 : stalls_open(&s->stalls, s, err);
    if (code == 0)
        code = open_stock(s, err);
    if (code == 0)
        code = hosts_open(&s->hosts, s, err);
    return code == 0 ? resources_open(&s->resources, s, err) : code;
}

/* Parts are closed one after the other, each step called back by the one before. */

static void free_supervisor(void *data)
{
    shoal_supervisor_t *s = data;
    resources_close(s->resources);
    idranges_close(s->ids);
    for (size_t i = 0; i < s->spec->service_count; i++) {
        image_free(s->groups[i].image);
        cgroup_limits_unref(s->groups[i].limits);
    }
    if (s->root_dir != NULL && s->cgroups_opened) {
        AUTO_FREE char *path = base_format("%s/containers/%s", s->root_dir, s->spec->project);
        if (path != NULL)
            (void)rmdir(path); /* not empty: a removal failed and was reported */
    }
    state_close(&s->state);
    free(s->members);
    free(s->groups);
    free(s->root_dir);
    free(s->run_dir);
    void (*cb)(void *) = s->close_cb;
    void *cb_data = s->close_data;
    free(s);
    cb(cb_data);
}

static void close_timers_done(uv_handle_t *handle)
{
    shoal_supervisor_t *s = handle->data;
    if (--s->timers_open > 0)
        return;
    if (s->kit != NULL)
        sandbox_kit_close(s->kit, free_supervisor, s);
    else
        free_supervisor(s);
}

static void close_timers(void *data)
{
    shoal_supervisor_t *s = data;
    s->cgroups = NULL;
    uv_close((uv_handle_t *)&s->pump, close_timers_done);
    uv_close((uv_handle_t *)&s->sample_timer, close_timers_done);
    gate_close(s, close_timers_done);
}

static void close_culprits(void *data)
{
    shoal_supervisor_t *s = data;
    if (s->culprits != NULL)
        culprits_close(s->culprits, close_timers, s);
    else
        close_timers(s);
}

static void close_cgroups_alone(void *data)
{
    shoal_supervisor_t *s = data;
    groups_close(s);
    if (s->cgroups != NULL)
        cgroup_root_close(s->cgroups, close_culprits, s);
    else
        close_culprits(s);
}

static void close_cgroups(void *data)
{
    shoal_supervisor_t *s = data;
    s->net = NULL;
    if (s->stalls != NULL) /* its triggers go before their cgroup */
        stalls_close(s->stalls, close_cgroups_alone, s);
    else
        close_cgroups_alone(s);
}

static void close_net(void *data)
{
    shoal_supervisor_t *s = data;
    s->stock = NULL;
    if (s->net != NULL)
        net_close(s->net, close_cgroups, s);
    else
        close_cgroups(s);
}

static void close_stock(void *data)
{
    shoal_supervisor_t *s = data;
    s->hosts = NULL;
    if (s->stock != NULL)
        net_stock_close(s->stock, close_net, s);
    else
        close_net(s);
}

void supervisor_close_parts(shoal_supervisor_t *s)
{
    if (s->hosts != NULL)
        hosts_close(s->hosts, close_stock, s);
    else
        close_stock(s);
}

static void on_failed_open_closed(void *data)
{
    *(bool *)data = true;
}

int shoal_supervisor_open(shoal_supervisor_t **out, uv_loop_t *loop, const shoal_spec_t *spec,
                          const shoal_supervisor_options_t *options, shoal_error_t *err)
{
    shoal_supervisor_t *s = calloc(1, sizeof *s);
    if (s == NULL)
        return shoal_fail(err, -ENOMEM, "supervisor");
    s->groups = calloc(spec->service_count + 1, sizeof *s->groups);
    if (s->groups == NULL) {
        free(s);
        return shoal_fail(err, -ENOMEM, "supervisor");
    }
    s->loop = loop;
    s->spec = spec;
    s->options = *options;
    s->state.lock_fd = -1;
    s->in_flight_max = supervisor_in_flight(spec);
    fleet_init(s);
    int code = open_parts(s, err);
    if (code == 0) {
        *out = s;
        return 0;
    }
    /* What was opened closes over the loop; nothing of the caller's is run meanwhile but what it had ready anyway. */
    bool closed = false;
    s->close_cb = on_failed_open_closed;
    s->close_data = &closed;
    supervisor_close_parts(s);
    while (!closed)
        (void)uv_run(loop, UV_RUN_ONCE);
    return code;
}

int shoal_supervisor_exit_code(const shoal_supervisor_t *s, const char *service, int *out_code)
{
    for (size_t i = 0; i < s->spec->service_count; i++) {
        if (strcmp(s->spec->services[i].name, service) != 0)
            continue;
        if (!s->groups[i].has_exit_code)
            return -EAGAIN;
        *out_code = s->groups[i].exit_code;
        return 0;
    }
    return -ENOENT;
}
