/* What the fleet asks, held against what the host and its images have, before anything is started. Limits: fit.c. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cgroup/cgroup.h"
#include "kernel/process.h"
#include "supervisor/inside.h"

struct supervisor_place supervisor_place(const shoal_position_t *at)
{
    struct supervisor_place place = {""};
    if (at->line > 0)
        (void)snprintf(place.text, sizeof place.text, "%s:%d:%d: ", at->file, at->line, at->column);
    return place;
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
    struct supervisor_place place = supervisor_place(&first->net.at);
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
    struct supervisor_place place = supervisor_place(&lowest->oom_score_adj_at);
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
        struct supervisor_place place = supervisor_place(&rules[i].at);
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
        struct supervisor_place place = supervisor_place(&service->at);
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
