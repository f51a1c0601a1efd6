/* What the fleet asks, held against what the host and its images have, before anything is started. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cgroup/cgroup.h"
#include "kernel/devices.h"
#include "kernel/process.h"
#include "supervisor/inside.h"

/* The keys of the fleet that need one controller. */
struct need {
    const char *where, *service, *key; /* where: what stands before the service; "" for a group */
    const shoal_position_t *at;
    size_t count;
};

static void add_need(struct need *need, const char *where, const char *service, const char *key,
                     const shoal_position_t *at)
{
    if (need->count++ == 0) {
        need->where = where;
        need->service = service;
        need->key = key;
        need->at = at;
    }
}

static void collect_limits(const shoal_limits_t *limits, const char *where, const char *name,
                           struct need needs[CGROUP_CONTROLLER_COUNT])
{
    for (int kind = 0; kind < SHOAL_LIMIT_COUNT; kind++)
        if (limits->items[kind].set)
            add_need(&needs[cgroup_limit_controller((shoal_limit_kind_t)kind)], where, name, limits->items[kind].key,
                     &limits->items[kind].at);
    for (size_t k = 0; k < limits->device_count; k++)
        add_need(&needs[CGROUP_IO], where, name, "blkio_config", &limits->devices[k].at);
}

static void collect(const shoal_spec_t *spec, struct need needs[CGROUP_CONTROLLER_COUNT])
{
    collect_limits(&spec->budget, "x-shoal.", "budget", needs);
    for (size_t i = 0; i < spec->group_count; i++)
        collect_limits(&spec->groups[i].limits, "x-shoal.groups.", spec->groups[i].name, needs);
    for (size_t i = 0; i < spec->service_count; i++)
        collect_limits(&spec->services[i].limits, "services.", spec->services[i].name, needs);
}

/* "file:line:column: ", empty where a value comes from no file. */
struct place {
    char text[300];
};

static struct place place_of(const shoal_position_t *at)
{
    struct place place = {""};
    if (at->line > 0)
        (void)snprintf(place.text, sizeof place.text, "%s:%d:%d: ", at->file, at->line, at->column);
    return place;
}

/* What a sandbox gets where its file says nothing. */
static const struct cgroup_limit_defaults defaults = {.pids = 4096, .oom_group = true};

/* The limits as the kernel takes them, which asks the host for every device that they name. */
static int make_limits(shoal_supervisor_t *s, const shoal_spec_t *spec, struct cgroup_limits **out, shoal_error_t *err)
{
    int code = 0;
    for (size_t i = 0; i < spec->service_count; i++) {
        const shoal_service_t *service = &spec->services[i];
        const shoal_position_t *at = &service->at;
        struct cgroup_limits *limits = NULL;
        shoal_error_t error;
        int result = cgroup_limits_new(&limits, s->cgroups, &service->limits, &defaults, &at, &error);
        if (result < 0) {
            struct place place = place_of(at);
            supervisor_message(s, SHOAL_ERROR, "%sservices.%s.blkio_config: %s", place.text, service->name, error.text);
            code = shoal_refuse(err, result == -ENOMEM ? -ENOMEM : -ENOTSUP,
                                "the host lacks what the fleet needs; nothing was started");
        }
        if (out != NULL)
            out[i] = limits;
        else
            cgroup_limits_unref(limits); /* it was asked whether they can be made */
    }
    return code;
}

int check_controllers(shoal_supervisor_t *s, const shoal_spec_t *spec, struct cgroup_limits **out_limits,
                      shoal_error_t *err)
{
    struct need needs[CGROUP_CONTROLLER_COUNT] = {{0}};
    collect(spec, needs);
    int code = 0;
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
        enum cgroup_controller controller = (enum cgroup_controller)i;
        const struct need *need = &needs[i];
        if (need->count == 0 || cgroup_root_has(s->cgroups, controller))
            continue;
        char more[48] = "";
        if (need->count > 1)
            (void)snprintf(more, sizeof more, " and %zu more keys", need->count - 1);
        struct place place = place_of(need->at);
        const char *name = cgroup_controller_name(controller), *why = cgroup_root_why_not(s->cgroups, controller);
        if (s->spec->degrade) {
            supervisor_message(s, SHOAL_WARNING, "%s%s%s.%s%s: not carried out: no %s controller (%s); x-shoal.degrade",
                               place.text, need->where, need->service, need->key, more, name, why);
        } else {
            code = shoal_refuse(
                err, -ENOTSUP,
                "%s%s%s.%s%s: needs the %s controller of cgroup v2, which this host lacks (%s); provide "
                "it, or go on without by x-shoal: {degrade: true}",
                place.text, need->where, need->service, need->key, more, name, why);
            supervisor_message(s, SHOAL_ERROR, "%s", err->text);
        }
    }
    /* What is only a default of ours goes without, and says so once. */
    bool pids = cgroup_root_has(s->cgroups, CGROUP_PIDS), memory = cgroup_root_has(s->cgroups, CGROUP_MEMORY);
    if (code == 0 && (!pids || !memory))
        supervisor_message(s, SHOAL_WARNING, "this host's cgroup v2 has no %s controller: sandboxes run without %s",
                           pids     ? "memory"
                           : memory ? "pids"
                                    : "memory and pids",
                           pids     ? "memory.oom.group"
                           : memory ? "the default limit on processes"
                                    : "memory.oom.group and the default limit on processes");
    if (code < 0)
        return shoal_refuse(err, code, "the host lacks what the fleet needs; nothing was started");
    return make_limits(s, spec, out_limits, err);
}

/* The default list of devices, for all sandboxes without one of their own. look_only: nothing is attached. */
static int guard_devices(shoal_supervisor_t *s, bool look_only, shoal_error_t *err)
{
    size_t count;
    const shoal_device_rule_t *rules = devices_default_rules(&count);
    AUTO_FD fd = devices_load(rules, count, err);
    if (fd < 0)
        return fd;
    return look_only ? cgroup_root_may_set_devices(s->cgroups, err) : cgroup_root_set_devices(s->cgroups, fd, err);
}

static int refuse_devices(shoal_supervisor_t *s, const shoal_service_t *service, const char *why)
{
    bool rules = service->device_count == 0;
    struct place place = place_of(rules ? &service->device_rules[0].at : &service->devices[0].at);
    const char *key = rules ? "device_cgroup_rules" : "devices";
    if (s->spec->degrade)
        supervisor_message(s, SHOAL_WARNING,
                           "%sservices.%s.%s: what may be done with them is not restricted: %s; x-shoal.degrade",
                           place.text, service->name, key, why);
    else
        supervisor_message(s, SHOAL_ERROR,
                           "%sservices.%s.%s: needs a device program on its cgroup, which this host does not take: %s; "
                           "provide it, or go on without by x-shoal: {degrade: true}",
                           place.text, service->name, key, why);
    return s->spec->degrade ? 0 : -ENOTSUP;
}

int check_devices(shoal_supervisor_t *s, bool look_only, shoal_error_t *err)
{
    shoal_error_t why, error;
    int code = 0;
    bool said = false;
    s->no_device_lists = guard_devices(s, look_only, &why) < 0;
    for (size_t i = 0; i < s->spec->service_count; i++) {
        const shoal_service_t *service = &s->spec->services[i];
        size_t index;
        if (s->no_device_lists && service->device_count + service->device_rule_count > 0) {
            int result = refuse_devices(s, service, why.text);
            code = code < 0 ? code : result;
            said = true;
        }
        int result = sandbox_find_devices(service, &index, &error);
        if (result < 0) {
            struct place place = place_of(&service->devices[index].at);
            supervisor_message(s, SHOAL_ERROR, "%sservices.%s.devices.%zu: %s", place.text, service->name, index,
                               error.text);
            code = result == -ENOMEM ? result : -ENOTSUP;
        }
    }
    if (s->no_device_lists && !said)
        supervisor_message(s, SHOAL_WARNING, "what devices sandboxes may use is not restricted by a program: %s",
                           why.text);
    if (code < 0)
        return shoal_refuse(err, code, "the host lacks what the fleet needs; nothing was started");
    return 0;
}

/* Rates of links: tried out once for all of them. */
int check_rates(shoal_supervisor_t *s, shoal_error_t *err)
{
    const shoal_service_t *first = NULL;
    struct net_rates rates = {0};
    for (size_t i = 0; i < s->spec->service_count; i++) {
        const shoal_service_t *service = &s->spec->services[i];
        if (service->net.egress_bits == 0 && service->net.ingress_bits == 0)
            continue;
        first = first != NULL ? first : service;
        rates.egress += service->net.egress_bits;
        rates.ingress += service->net.ingress_bits;
    }
    shoal_error_t why;
    if (first == NULL || net_try_rates(&rates, &why) == 0)
        return 0;
    struct place place = place_of(&first->net.at);
    (void)shoal_refuse(err, -ENOTSUP, "%sservices.%s.x-shoal.net: %s; provide it, or leave the key out", place.text,
                       first->name, why.text);
    supervisor_message(s, SHOAL_ERROR, "%s", err->text);
    return shoal_refuse(err, -ENOTSUP, "the host lacks what the fleet needs; nothing was started");
}

/* The lowest of them, tried out on ourselves for a moment. */
int check_oom_scores(shoal_supervisor_t *s, shoal_error_t *err)
{
    const shoal_service_t *lowest = NULL;
    for (size_t i = 0; i < s->spec->service_count; i++) {
        const shoal_service_t *service = &s->spec->services[i];
        if (service->oom_score_adj_set && (lowest == NULL || service->oom_score_adj < lowest->oom_score_adj))
            lowest = service;
    }
    int own;
    int code = lowest != NULL ? process_get_oom_score_adj(0, &own, err) : 0;
    if (lowest == NULL || code < 0 || lowest->oom_score_adj >= own)
        return code;
    code = process_set_oom_score_adj(0, lowest->oom_score_adj, NULL);
    if (code == 0)
        return process_set_oom_score_adj(0, own, err);
    struct place place = place_of(&lowest->oom_score_adj_at);
    (void)shoal_refuse(err, -ENOTSUP,
                       "%sservices.%s.oom_score_adj: %d: %s; below %d, the supervisor's own, it needs CAP_SYS_RESOURCE",
                       place.text, lowest->name, lowest->oom_score_adj, strerror(-code), own);
    supervisor_message(s, SHOAL_ERROR, "%s", err->text);
    return shoal_refuse(err, -ENOTSUP, "the host lacks what the fleet needs; nothing was started");
}

/* A trigger like it, of the host, for a moment: what the kernel refuses there it refuses of a cgroup too. */
static int try_rule(const shoal_supervisor_t *s, const shoal_pressure_rule_t *rule, shoal_error_t *err)
{
    char path[32], text[64];
    (void)snprintf(path, sizeof path, "/proc/pressure/%s", rule->resource);
    AUTO_FD fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return shoal_refuse(err, -ENOTSUP, "this kernel tells no pressure (%s: %s)", path, strerror(errno));
    int count = snprintf(text, sizeof text, "%s %llu %llu", rule->full ? "full" : "some",
                         (unsigned long long)rule->stall_usec, (unsigned long long)rule->window_usec);
    int code = write(fd, text, (size_t)count + 1) < 0 ? errno : 0;
    if (code == EINVAL)
        return shoal_refuse(err, -ENOTSUP,
                            "the kernel takes no such window: without CAP_SYS_RESOURCE it is 2s, 4s, 6s, 8s or 10s");
    if (code != 0)
        return shoal_refuse(err, -ENOTSUP, "this kernel tells no pressure (%s: %s)", path, strerror(code));
    if (rule->action == SHOAL_PRESSURE_SHRINK && !cgroup_root_has(s->cgroups, CGROUP_MEMORY))
        return shoal_refuse(err, -ENOTSUP,
                            "shrink needs the memory controller of cgroup v2, which this host lacks (%s)",
                            cgroup_root_why_not(s->cgroups, CGROUP_MEMORY));
    return 0;
}

static int check_rules(shoal_supervisor_t *s, const char *service, const shoal_pressure_rule_t *rules, size_t count)
{
    int code = 0;
    for (size_t i = 0; i < count; i++) {
        shoal_error_t error;
        if (try_rule(s, &rules[i], &error) == 0)
            continue;
        struct place place = place_of(&rules[i].at);
        bool degrade = s->spec->degrade;
        supervisor_message(s, degrade ? SHOAL_WARNING : SHOAL_ERROR, "%s%s%s%sx-shoal.pressure.%zu: %s%s", place.text,
                           service != NULL ? "services." : "", service != NULL ? service : "",
                           service != NULL ? "." : "", i, degrade ? "no rule is carried out: " : "", error.text);
        code = -ENOTSUP;
    }
    return code;
}

int check_pressure(shoal_supervisor_t *s, shoal_error_t *err)
{
    int code = check_rules(s, NULL, s->spec->pressure_rules, s->spec->pressure_rule_count);
    for (size_t i = 0; i < s->spec->service_count; i++) {
        const shoal_service_t *service = &s->spec->services[i];
        int result = check_rules(s, service->name, service->pressure_rules, service->pressure_rule_count);
        code = code < 0 ? code : result;
    }
    s->no_pressure = code < 0;
    if (code == 0 || s->spec->degrade)
        return 0;
    return shoal_refuse(err, code, "the host lacks what the fleet needs; nothing was started");
}

/* Directories and builtin images name no command of their own. */
int check_commands(shoal_supervisor_t *s, shoal_error_t *err)
{
    int code = 0;
    for (size_t i = 0; i < s->spec->service_count; i++) {
        const shoal_service_t *service = &s->spec->services[i];
        if (service->entrypoint.count + service->command.count > 0)
            continue;
        struct place place = place_of(&service->at);
        supervisor_message(s, SHOAL_ERROR,
                           "%sservices.%s: no command: image %s has none of its own; write command or entrypoint",
                           place.text, service->name, service->image.text);
        code = shoal_refuse(err, -EINVAL, "a service without a command; nothing was started");
    }
    return code;
}

/* "12,092", or "11.7 GiB". */
struct amount {
    char text[40];
};

static struct amount amount_of(uint64_t value, bool bytes)
{
    struct amount out;
    if (bytes)
        (void)snprintf(out.text, sizeof out.text, "%.1f MiB", (double)value / (1 << 20));
    else
        (void)snprintf(out.text, sizeof out.text, "%llu", (unsigned long long)value);
    return out;
}

static void say_limit(shoal_supervisor_t *s, const shoal_resource_t *resource, shoal_verdict_t verdict)
{
    struct amount needed = amount_of(resource->needed, resource->bytes);
    struct amount used = amount_of(resource->used != SHOAL_ABSENT ? resource->used : 0, resource->bytes);
    struct amount limit = amount_of(resource->limit, resource->bytes);
    supervisor_message(s, verdict == SHOAL_LACKS ? SHOAL_ERROR : SHOAL_WARNING,
                       "%s%s%s%s: %s: the fleet needs %s, %s of %s are in use; %s",
                       resource->network != NULL ? "network " : "", resource->network != NULL ? resource->network : "",
                       resource->network != NULL ? ": " : "", resource->name, resource->what, needed.text, used.text,
                       limit.text, resource->advice);
}

int check_limits(shoal_supervisor_t *s, shoal_resource_cb cb, void *data, shoal_error_t *err)
{
    struct resources *resources;
    int code = resources_open(&resources, s, err);
    if (code < 0)
        return code;
    resources_read(resources);
    size_t count;
    const shoal_resource_t *items = resources_get(resources, &count);
    for (size_t i = 0; i < count; i++) {
        if (items[i].limit == SHOAL_ABSENT)
            continue;
        shoal_verdict_t verdict = resources_judge(&items[i], resources_is_estimate(resources, i));
        if (cb != NULL) /* who asks for all of them says it in its own way */
            cb(data, &items[i], verdict);
        else if (verdict != SHOAL_FITS)
            say_limit(s, &items[i], verdict);
        if (verdict == SHOAL_LACKS)
            code = shoal_refuse(err, -ENOTSUP, "the host cannot hold the fleet; nothing was started");
    }
    resources_close(resources);
    return code;
}
