/* Limits of the fleet, held against the host: its controllers, its devices, its CPUs. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "cgroup/cgroup.h"
#include "supervisor/inside.h"

/* Whose limits: "services." and "web". */
struct owner {
    const char *where, *name;
    const shoal_position_t *at;
    const shoal_limits_t *limits;
};

/* index: as in check_controllers(). */
static void each_owner(const shoal_spec_t *spec, void (*fn)(void *data, const struct owner *owner, size_t index),
                       void *data)
{
    static const shoal_position_t nowhere;
    size_t services = spec->service_count, groups = spec->group_count;
    fn(data, &(struct owner){"x-shoal.", "budget", &nowhere, &spec->budget}, services + groups);
    for (size_t i = 0; i < groups; i++) {
        const shoal_group_t *group = &spec->groups[i];
        fn(data, &(struct owner){"x-shoal.groups.", group->name, &group->at, &group->limits}, services + i);
    }
    for (size_t i = 0; i < services; i++) {
        const shoal_service_t *service = &spec->services[i];
        fn(data, &(struct owner){"services.", service->name, &service->at, &service->limits}, i);
    }
}

/* ---- controllers ---- */

/* The keys of the fleet that need one controller. */
struct need {
    struct owner owner; /* of the first */
    const char *key;
    const shoal_position_t *at;
    size_t count;
};

static void add_need(struct need *need, const struct owner *owner, const char *key, const shoal_position_t *at)
{
    if (need->count++ == 0) {
        need->owner = *owner;
        need->key = key;
        need->at = at;
    }
}

static void collect(void *data, const struct owner *owner, size_t index)
{
    (void)index;
    struct need *needs = data;
    const shoal_limits_t *limits = owner->limits;
    for (int kind = 0; kind < SHOAL_LIMIT_COUNT; kind++)
        if (limits->items[kind].set)
            add_need(&needs[cgroup_limit_controller((shoal_limit_kind_t)kind)], owner, limits->items[kind].key,
                     &limits->items[kind].at);
    for (size_t i = 0; i < limits->device_count; i++) {
        const shoal_io_limit_t *device = &limits->devices[i];
        add_need(&needs[CGROUP_IO], owner, "blkio_config", &device->at);
        if (device->weight > 0)
            add_need(&needs[CGROUP_IO_WEIGHT], owner, "blkio_config", &device->at);
    }
    for (size_t i = 0; i < limits->named_count; i++)
        add_need(&needs[cgroup_named_controller(limits->named[i].kind)], owner, limits->named[i].key,
                 &limits->named[i].at);
}

/* What is only a default of ours goes without, and says so once. */
static void warn_of_defaults(shoal_supervisor_t *s)
{
    bool pids = cgroup_root_has(s->cgroups, CGROUP_PIDS), memory = cgroup_root_has(s->cgroups, CGROUP_MEMORY);
    if (!pids || !memory)
        supervisor_message(s, SHOAL_WARNING, "this host's cgroup v2 has no %s controller: sandboxes run without %s",
                           pids     ? "memory"
                           : memory ? "pids"
                                    : "memory and pids",
                           pids     ? "memory.oom.group"
                           : memory ? "the default limit on processes"
                                    : "memory.oom.group and the default limit on processes");
}

static int check_needs(shoal_supervisor_t *s, const struct need needs[CGROUP_NEED_COUNT])
{
    int code = 0;
    for (int i = 0; i < CGROUP_NEED_COUNT; i++) {
        enum cgroup_controller controller = (enum cgroup_controller)i;
        const struct need *need = &needs[i];
        if (need->count == 0 || cgroup_root_use(s->cgroups, controller))
            continue;
        char more[48] = "";
        if (need->count > 1)
            (void)snprintf(more, sizeof more, " and %zu more keys", need->count - 1);
        struct supervisor_place place = supervisor_place(need->at);
        const char *words = cgroup_controller_words(controller), *why = cgroup_root_why_not(s->cgroups, controller);
        if (s->spec->degrade) {
            supervisor_message(s, SHOAL_WARNING,
                               "%s%s%s.%s%s: not carried out: this host lacks %s of cgroup v2 (%s); x-shoal.degrade",
                               place.text, need->owner.where, need->owner.name, need->key, more, words, why);
            continue;
        }
        supervisor_message(s, SHOAL_ERROR,
                           "%s%s%s.%s%s: needs %s of cgroup v2, which this host lacks (%s); provide it, or go on "
                           "without by x-shoal: {degrade: true}",
                           place.text, need->owner.where, need->owner.name, need->key, more, words, why);
        code = -ENOTSUP;
    }
    return code;
}

/* ---- values ---- */

struct fitting {
    shoal_supervisor_t *boss;
    const shoal_spec_t *spec;
    struct cgroup_limits **out;  /* NULL: it is only asked whether they can be made */
    long cpus;                   /* that we may run on */
    char cpuset[512], mems[512]; /* that sandboxes may have */
    int code;
};

static void refuse(struct fitting *fitting, const struct owner *owner, const char *key, const shoal_position_t *at,
                   const char *why)
{
    struct supervisor_place place = supervisor_place(at);
    supervisor_message(fitting->boss, SHOAL_ERROR, "%s%s%s%s%s: %s", place.text, owner->where, owner->name,
                       key[0] != '\0' ? "." : "", key, why);
    fitting->code = fitting->code == -ENOMEM ? -ENOMEM : -ENOTSUP;
}

/* More CPUs than there are: as Docker's daemon says it. */
static void check_cpus(struct fitting *fitting, const struct owner *owner)
{
    const shoal_limit_t *limit = &owner->limits->items[SHOAL_LIMIT_CPUS];
    if (!limit->set || limit->value <= fitting->cpus * 1000 || !cgroup_root_has(fitting->boss->cgroups, CGROUP_CPU))
        return;
    char why[128];
    (void)snprintf(why, sizeof why, "%.2f CPUs are more than this host has; it goes from 0.01 to %ld",
                   (double)limit->value / 1000, fitting->cpus);
    refuse(fitting, owner, limit->key, &limit->at, why);
}

static void check_list(struct fitting *fitting, const struct owner *owner, shoal_limit_kind_t kind, const char *there,
                       const char *what)
{
    const shoal_limit_t *limit = &owner->limits->items[kind];
    if (!limit->set || there[0] == '\0' || cgroup_list_holds(there, limit->text))
        return;
    char why[240];
    (void)snprintf(why, sizeof why, "\"%.60s\" names %s that are not there; this host has %.100s", limit->text, what,
                   there);
    refuse(fitting, owner, limit->key, &limit->at, why);
}

static void check_weights(struct fitting *fitting, const struct owner *owner)
{
    shoal_supervisor_t *s = fitting->boss;
    shoal_error_t error;
    for (size_t i = 0; i < owner->limits->device_count && cgroup_root_has(s->cgroups, CGROUP_IO_WEIGHT); i++) {
        const shoal_io_limit_t *device = &owner->limits->devices[i];
        if (device->weight == 0 || cgroup_check_weight(s->cgroups, device->path, &error) == 0)
            continue;
        if (!s->spec->degrade) {
            refuse(fitting, owner, "blkio_config.weight_device", &device->at, error.text);
            continue;
        }
        struct supervisor_place place = supervisor_place(&device->at);
        supervisor_message(s, SHOAL_WARNING, "%s%s%s.blkio_config.weight_device: not carried out: %s; x-shoal.degrade",
                           place.text, owner->where, owner->name, error.text);
    }
}

/* What a sandbox gets where its file says nothing. */
static const struct cgroup_limit_defaults defaults = {.pids = 4096, .oom_group = true};

/* As the kernel takes them, which asks the host for everything that they name. */
static void fit(void *data, const struct owner *owner, size_t index)
{
    struct fitting *fitting = data;
    check_cpus(fitting, owner);
    check_list(fitting, owner, SHOAL_LIMIT_CPUSET, fitting->cpuset, "CPUs");
    check_list(fitting, owner, SHOAL_LIMIT_CPUSET_MEMS, fitting->mems, "nodes of memory");
    check_weights(fitting, owner);
    struct cgroup_limits *limits = NULL;
    struct cgroup_culprit culprit = {"", owner->at};
    shoal_error_t error;
    int result = cgroup_limits_new(&limits, fitting->boss->cgroups, owner->limits,
                                   index < fitting->spec->service_count ? &defaults : NULL, &culprit, &error);
    if (result < 0)
        refuse(fitting, owner, culprit.key, culprit.at, error.text);
    if (result == -ENOMEM)
        fitting->code = -ENOMEM;
    if (fitting->out != NULL)
        fitting->out[index] = limits;
    else
        cgroup_limits_unref(limits);
}

static void warn_of_weight(shoal_supervisor_t *s, const struct need *need)
{
    shoal_error_t error;
    if (need->count == 0 || !cgroup_root_has(s->cgroups, CGROUP_IO_WEIGHT) ||
        cgroup_check_weight(s->cgroups, NULL, &error) == 0)
        return;
    struct supervisor_place place = supervisor_place(need->at);
    supervisor_message(s, SHOAL_WARNING, "%s%s%s.%s: has no effect now: %s", place.text, need->owner.where,
                       need->owner.name, need->key, error.text);
}

int check_controllers(shoal_supervisor_t *s, const shoal_spec_t *spec, struct cgroup_limits **out_limits,
                      shoal_error_t *err)
{
    struct need needs[CGROUP_NEED_COUNT] = {{.count = 0}};
    each_owner(spec, collect, needs);
    int code = check_needs(s, needs);
    if (code == 0) {
        warn_of_defaults(s);
        warn_of_weight(s, &needs[CGROUP_IO_WEIGHT]);
        struct fitting fitting = {.boss = s, .spec = spec, .out = out_limits};
        cpu_set_t own;
        fitting.cpus = sched_getaffinity(0, sizeof own, &own) == 0 ? CPU_COUNT(&own) : sysconf(_SC_NPROCESSORS_ONLN);
        if (cgroup_root_has(s->cgroups, CGROUP_CPUSET)) {
            cgroup_read_cpuset(s->cgroups, "cpuset.cpus.effective", fitting.cpuset, sizeof fitting.cpuset);
            cgroup_read_cpuset(s->cgroups, "cpuset.mems.effective", fitting.mems, sizeof fitting.mems);
        }
        each_owner(spec, fit, &fitting);
        code = fitting.code;
    }
    return code == 0 ? 0 : shoal_refuse(err, code, "the host lacks what the fleet needs; nothing was started");
}
