/* The services section: its key table, and what is about services among each other: how many, in which order, names. */
#include <errno.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

/* ---- how many ---- */

static void read_replicas(struct load *load, const struct place *at, const struct key *key, struct node *value,
                          void *object)
{
    int64_t count;
    if (value->text[0] == '-')
        return; /* which was said */
    if (take_integer(load, at, value, key->min, key->max, &count))
        ((shoal_service_t *)object)->replicas = (unsigned)count;
}

static void read_container_name(struct load *load, const struct place *at, const struct key *key, struct node *value,
                                void *object)
{
    const char *text;
    if (take_text(load, at, value, &text) && check_name(load, at, "container", text))
        *AT(char *, object, key->offset) = keep(load, text);
}

static void read_mode(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    (void)key, (void)object;
    const char *text;
    if (take_text(load, at, value, &text) && strcmp(text, "replicated") != 0)
        load_error(load, at, "the mode \"%.60s\" is not supported yet; replicated is", text);
}

/* ---- order ---- */

struct dependency_draft {
    shoal_dependency_t dependency;
    bool condition_set;
};

static void read_condition(struct load *load, const struct place *at, const struct key *key, struct node *value,
                           void *object)
{
    (void)key;
    struct dependency_draft *draft = object;
    const char *text;
    if (!take_text(load, at, value, &text))
        return;
    if (strcmp(text, "service_started") == 0)
        draft->dependency.condition = SHOAL_CONDITION_STARTED;
    else if (strcmp(text, "service_completed_successfully") == 0)
        draft->dependency.condition = SHOAL_CONDITION_COMPLETED_SUCCESSFULLY;
    else if (strcmp(text, "service_healthy") == 0)
        load_error(load, at,
                   "service_healthy is not supported yet; service_started and "
                   "service_completed_successfully are");
    else
        load_error(load, at, "\"%.60s\" is not a condition; write service_started or service_completed_successfully",
                   text);
}

static const char *const conditions[] = {"service_started", "service_healthy", "service_completed_successfully", NULL};
static const struct kind condition_kind = {TAKES_TEXT, AS_TEXT, .words = conditions};
static const struct kind required_kind = {TAKES_BOOL, AS_FLAG_SET, .what = "true or false, without quotes"};

static const struct key depends_keys[] = {
    {"condition", &condition_kind, .read = read_condition, .needed = true, .form = "text",
     .doc = "*service_started* or *service_completed_successfully*; *service_healthy* is not supported yet."},
    {"restart", &kind_flag, .false_is_fine = true, .form = "bool",
     .doc = "Start again when the other is started again."},
    {"required", &required_kind, .read = read_flag, .offset = offsetof(struct dependency_draft, dependency.required),
     .form = "bool", .doc = "false: a service that is not there or fails does not hold this one. Default true."},
};
const struct section depends_section = SECTION("services.NAME.depends_on.NAME", NULL, depends_keys, true);

static void read_depends_on(struct load *load, const struct place *at, const struct key *key, struct node *value,
                            void *object)
{
    (void)key;
    shoal_service_t *service = object;
    if (!take_kind(load, at, value, NODE_MAP))
        return;
    service->dependencies = arena_array(load->arena, value->count, sizeof *service->dependencies);
    for (size_t i = 0; i < value->count && LOAD_GOT(load, service->dependencies); i++) {
        struct dependency_draft draft = {.dependency.required = true};
        struct place inner = place_key(at, &value->entries[i]);
        if (!read_section(load, &inner, &depends_section, value->entries[i].value, &draft) ||
            !names_get(&load->service_names, inner.word, &draft.dependency.service))
            continue; /* one that is not required may be absent; others were said */
        draft.dependency.at = place_position(load, &inner);
        service->dependencies[service->dependency_count++] = draft.dependency;
    }
}

/* ---- names ---- */

/* "name=address", sorted. */
static void read_extra_hosts(struct load *load, const struct place *at, const struct key *key, struct node *value,
                             void *object)
{
    (void)key;
    shoal_service_t *service = object;
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    service->extra_hosts = arena_array(load->arena, value->count, sizeof *service->extra_hosts);
    for (size_t i = 0; i < value->count && LOAD_GOT(load, service->extra_hosts); i++) {
        struct place item = place_item(at, value, i);
        const char *text = value->items[i]->text, *address = strchr(text, '=') + 1;
        const char *name = arena_copy(&load->nodes, text, (size_t)(address - text) - 1);
        if (!LOAD_GOT(load, name) || !check_host(load, &item, name))
            continue;
        if (strcmp(address, "host-gateway") == 0)
            load_unsupported(load, &item, "host-gateway is not supported yet; write an address");
        else if (!value_is_ip(address))
            load_error(load, &item, "\"%.60s\" is not an address; write %.60s=10.0.0.1", address, name);
        else
            service->extra_hosts[service->extra_host_count++] = (shoal_pair_t){keep(load, name), keep(load, address),
                                                                               place_position(load, &item)};
    }
}

static void add_label(struct load *load, const struct place *at, const char *name, const char *value, void *data)
{
    shoal_service_t *service = data;
    if (name[0] == '\0')
        load_error(load, at, "a label needs a name");
    else
        service->labels[service->label_count++] = (shoal_pair_t){
            keep(load, name), keep(load, value == NULL ? "" : value), place_position(load, at)};
}

static void read_labels(struct load *load, const struct place *at, const struct key *key, struct node *value,
                        void *object)
{
    (void)key;
    shoal_service_t *service = object;
    service->labels = arena_array(load->arena, value->kind == NODE_SCALAR ? 0 : value->count, sizeof *service->labels);
    if (LOAD_GOT(load, service->labels))
        each_pair(load, at, value, "=", add_label, service);
}

static void read_network_mode(struct load *load, const struct place *at, const struct key *key, struct node *value,
                              void *object)
{
    (void)key;
    shoal_service_t *service = object;
    const char *text;
    if (!take_text(load, at, value, &text))
        return;
    if (strcmp(text, "none") == 0)
        service->network_mode = SHOAL_NETWORK_NONE;
    else if (strcmp(text, "host") == 0)
        service->network_mode = SHOAL_NETWORK_HOST;
    else
        load_error(load, at, "the mode \"%.60s\" is not supported yet; none and host are", text);
}

static void read_networks_later(struct load *load, const struct place *at, const struct key *key, struct node *value,
                                void *object)
{
    (void)key, (void)object;
    load->draft->networks = value;
    load->draft->networks_at = *at;
}

/* ---- deploy, x-shoal ---- */

static const struct kind limits_kind = {TAKES_MAP, AS_SECTION, .section = &limits_section};
static const struct kind reservations_kind = {TAKES_MAP, AS_SECTION, .section = &reservations_section};

static const struct key resources_keys[] = {
    {"limits", &limits_kind, .reload = RELOAD_LIVE, .read = read_nested, .section = &limits_section, .form = "mapping",
     .doc = "What it may use."},
    {"reservations", &reservations_kind, .reload = RELOAD_INSIDE, .read = read_nested, .section = &reservations_section,
     .form = "mapping", .doc = "What is kept for it."},
};
static const struct section resources_section = SECTION("services.NAME.deploy.resources", NULL, resources_keys, true);

static const struct kind update_kind = {TAKES_MAP, AS_SECTION, .section = &update_section};
static const struct kind resources_kind = {TAKES_MAP, AS_SECTION_ALWAYS, .section = &resources_section};
static const struct kind policy_kind = {TAKES_MAP, AS_SECTION, .section = &policy_section};
static const struct kind placement_kind = {TAKES_MAP, AS_SECTION_ALWAYS, .section = &placement_section};

static const struct key deploy_keys[] = {
    {"mode", &kind_text, .read = read_mode, .form = "text", .doc = "*replicated* alone."},
    {"replicas", &kind_count_set, .full = "deploy.replicas", .read = read_replicas, .max = 100000, .form = "number",
     .doc = "How many containers; like *scale*."},
    {"labels", &kind_labels, .form = "mapping or list", .doc = "Labels of a cluster's service."},
    {"update_config", &update_kind, .section = &update_section, .form = "mapping", .doc = "How it is updated."},
    {"rollback_config", &update_kind, .section = &update_section, .form = "mapping",
     .doc = "How a failed update is undone."},
    {"resources", &resources_kind, .reload = RELOAD_INSIDE, .read = read_nested, .section = &resources_section,
     .form = "mapping", .doc = "Limits."},
    {"restart_policy", &policy_kind, .read = read_restart_policy, .section = &policy_section, .form = "mapping",
     .doc = "When it is started again."},
    {"placement", &placement_kind, .section = &placement_section, .form = "mapping",
     .doc = "On which hosts of a cluster."},
    {"endpoint_mode", &kind_text, .form = "text", .doc = "How clients of a cluster reach it."},
};
const struct section deploy_section = SECTION("services.NAME.deploy", NULL, deploy_keys, true);

static void read_x_restart(struct load *load, const struct place *at, const struct key *key, struct node *value,
                           void *object)
{
    (void)object;
    (void)read_section(load, at, key->section, value, &load->draft->restart);
}

static void read_warm(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    int64_t count;
    if (take_integer(load, at, value, key->min, key->max, &count))
        ((shoal_service_t *)object)->warm = (unsigned)count;
}

/* As Docker on Linux: what says that nothing is to be different is fine. */
static void read_isolation(struct load *load, const struct place *at, const struct key *key, struct node *value,
                           void *object)
{
    (void)object;
    if (strcasecmp(value->text, "default") != 0)
        load_unsupported(load, at, "refused: %s", key->refused);
}

static const struct key service_x_keys[] = {
    {"pressure", .read = read_service_rules, .section = &rule_section, .form = "list of mappings",
     .doc = "What is told, and done, when a container's tasks wait too long for a resource. Default: nothing; a rule "
            "costs a descriptor and a thread of the kernel for each container."},
    {"memory_high", .reload = RELOAD_LIVE, .full = "x-shoal.memory_high", .read = read_memory_limit,
     .offset = SHOAL_LIMIT_MEMORY_HIGH, .min = 6 << 20, .form = "size",
     .doc = "Above it the sandbox is slowed down and its memory reclaimed; nobody is killed (memory.high)."},
    {"oom", .reload = RELOAD_LIVE, .full = "x-shoal.oom", .read = read_oom, .offset = SHOAL_LIMIT_OOM_GROUP,
     .form = "text",
     .doc = "Whom the kernel kills at *mem_limit*: _group_, all of the sandbox (default), or one _process_ "
            "(memory.oom.group)."},
    {"cpu_weight", .reload = RELOAD_LIVE, .full = "x-shoal.cpu_weight", .read = read_limit_number,
     .offset = SHOAL_LIMIT_CPU_WEIGHT, .min = 1, .max = 10000, .form = "number",
     .doc = "*cpu_shares* in the kernel's own measure, 1 to 10000; others have 100 (cpu.weight)."},
    {"cpu_idle", .reload = RELOAD_LIVE, .full = "x-shoal.cpu_idle", .read = read_limit_flag,
     .offset = SHOAL_LIMIT_CPU_IDLE, .form = "bool",
     .doc = "Only the time of the CPUs that nobody else wants; not with a weight (cpu.idle)."},
    {"cpu_burst", .reload = RELOAD_LIVE, .full = "x-shoal.cpu_burst", .read = read_limit_duration,
     .offset = SHOAL_LIMIT_CPU_BURST, .form = "duration",
     .doc = "Time of the CPUs that may be saved from earlier periods and used on top; needs *cpus* or *cpu_quota*, at "
            "most its time in a period (cpu.max.burst)."},
    {"cpuset_mems", .reload = RELOAD_LIVE, .full = "x-shoal.cpuset_mems", .read = read_cpuset,
     .offset = SHOAL_LIMIT_CPUSET_MEMS, .form = "text", .doc = "On which nodes of memory: 0-1 (cpuset.mems)."},
    {"hugetlb", .reload = RELOAD_LIVE, .read = read_hugetlb, .form = "mapping",
     .doc = "Bytes at most in huge pages of each size, as the kernel names it: {2MB: 64m} (hugetlb.2MB.max and "
            "hugetlb.2MB.rsvd.max)."},
    {"rdma", .reload = RELOAD_LIVE, .read = read_rdma, .section = &rdma_section, .form = "mapping of names",
     .doc = "What it may take of each RDMA device: {mlx5_0: {hca_handle: 2, hca_object: 2000}} (rdma.max)."},
    {"misc", .reload = RELOAD_LIVE, .read = read_misc, .form = "mapping",
     .doc = "How much it may take of each resource that misc.capacity lists: {sev: 1} (misc.max)."},
    {"limits", .read = read_nested, .section = &deadline_section, .form = "mapping",
     .doc = "How long and how much a run may be."},
    {"warm", .read = read_warm, .min = 0, .max = 10000, .form = "number",
     .doc =
         "So many of the containers that wait for their start (for a dependency, or in backoff) are kept parked just "
         "before *execve*(2): their start is then one wake-up. Default: 0."},
    {"group", .read = read_group_name, .form = "text",
     .doc = "The group of *x-shoal.groups* whose limits it shares with all others in it."},
    {"disk", .reload = RELOAD_INSIDE, .read = read_disk, .section = &disk_section, .form = "mapping or size",
     .doc = "How much its writable layer may hold. A reload changes it, but neither begins nor ends it."},
    {"net", .read = read_net, .section = &net_section, .form = "mapping", .doc = "How fast its link is."},
    {"profile", .reload = RELOAD_LIVE, .read = read_nothing, .form = "text",
     .doc = "The limits of the profile of that name; what the service says itself goes before them, key by key."},
    {"restart", .read = read_x_restart, .section = &restart_section, .form = "mapping",
     .doc = "How soon it is started again."},
};
const struct section service_x_section = SECTION("services.NAME.x-shoal", "What Compose has no word for.",
                                                 service_x_keys, false);

/* ---- the table ---- */

/* kernel/sched/core.c, max_cfs_runtime */
#define CPU_QUOTA_MOST ((INT64_C(1) << 44) - 1)

#define FIELD(member) .offset = offsetof(shoal_service_t, member)

static const struct kind pids_limit_kind = {TAKES_NUMBER | TAKES_TEXT, AS_COUNT, .keep_zero = true, .what = "a number"};
static const struct kind dropped_text = {TAKES_TEXT, AS_NOTHING};
static const struct kind build_kind = {TAKES_TEXT | TAKES_MAP,     AS_SECTION,
                                       .section = &build_section,  .merge = MERGE_BUILD,
                                       .lengthen = lengthen_build, .complete = complete_build,
                                       .what = "text or a mapping"};
static const struct kind develop_kind = {TAKES_MAP | TAKES_NULL, AS_SECTION, .section = &develop_section};
static const struct kind blkio_config_kind = {TAKES_MAP, AS_SECTION, .section = &blkio_section};
static const char *const cgroups[] = {"host", "private", NULL};
static const struct kind cgroup_kind = {TAKES_TEXT, AS_TEXT, .words = cgroups};
static const struct kind cpu_count_kind = {TAKES_INTEGER | TAKES_TEXT, AS_COUNT, .bounded = true, .max = INT64_MAX};
static const struct kind cpu_percent_kind = {TAKES_INTEGER | TAKES_TEXT, AS_FLOAT, .bounded = true, .max = 100};
static const struct kind oom_score_adj_kind = {TAKES_INTEGER | TAKES_TEXT, AS_COUNT, .bounded = true, .min = -1000,
                                               .max = 1000};
static const struct kind container_name_kind = {TAKES_TEXT, AS_TEXT, .pattern = "[a-zA-Z0-9][a-zA-Z0-9_.-]+"};
static const struct kind pull_policy_kind = {
    TAKES_TEXT, AS_TEXT,
    .pattern = "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+"};
static const struct kind credential_spec_kind = {TAKES_MAP, AS_SECTION, .section = &credential_section};
static const struct kind dependency = {TAKES_MAP, AS_SECTION, .section = &depends_section};
static const struct kind depends_on_kind = {TAKES_LIST | TAKES_MAP,
                                            AS_NAMED,
                                            .items = &kind_text,
                                            .values = &dependency,
                                            .names = "a-zA-Z0-9._-",
                                            .unique = true,
                                            .merge = MERGE_DEPENDS,
                                            .lengthen = lengthen_depends,
                                            .what = "a list or a mapping of services"};
static const struct kind deploy_kind = {TAKES_MAP | TAKES_NULL, AS_SECTION, .section = &deploy_section};
static const struct kind device = {TAKES_TEXT | TAKES_MAP, AS_SECTION, .section = &device_section,
                                   .lengthen = lengthen_device};
static const struct kind devices_kind = {TAKES_LIST, AS_LIST, .items = &device, .same = SAME_DEVICE};
static const struct kind provider_kind = {TAKES_MAP, AS_SECTION, .section = &provider_section};
static const struct kind exposed = {TAKES_TEXT | TAKES_NUMBER, AS_WRITTEN, .what = "a port"};
static const struct kind expose_kind = {TAKES_LIST, AS_TEXTS, .items = &exposed, .unique = true, .same = SAME_VALUE};
static const struct kind extends_kind = {TAKES_TEXT | TAKES_MAP, AS_SECTION, .section = &extends_section,
                                         .lengthen = lengthen_extends};
static const struct kind group = {TAKES_TEXT | TAKES_NUMBER, AS_WRITTEN, .what = "a name or a number"};
static const struct kind group_add_kind = {TAKES_LIST, AS_TEXTS, .items = &group, .unique = true};
static const struct kind gpu = {TAKES_MAP, AS_SECTION, .section = &gpu_section, .complete = complete_device_request};
static const char *const all_gpus[] = {"all", NULL};
static const struct kind gpus_kind = {
    TAKES_TEXT | TAKES_LIST, AS_LIST, .items = &gpu, .words = all_gpus, .lengthen = lengthen_gpus,
    .what = "all or a list"};
static const struct kind healthcheck_kind = {TAKES_MAP, AS_SECTION, .section = &health_section};
static const struct kind logging_kind = {TAKES_MAP, AS_SECTION, .section = &logging_section, .merge = MERGE_LOGGING};
static const struct kind service_model = {TAKES_MAP | TAKES_NULL, AS_SECTION, .section = &service_model_section};
static const struct kind models_kind = {TAKES_LIST | TAKES_MAP,
                                        AS_NAMED,
                                        .items = &kind_text,
                                        .values = &service_model,
                                        .unique = true,
                                        .merge = MERGE_NAMES,
                                        .lengthen = lengthen_names,
                                        .what = "a list or a mapping of models"};
static const struct kind attachment = {TAKES_MAP | TAKES_NULL, AS_SECTION, .section = &attachment_section};
static const struct kind networks_kind = {TAKES_LIST | TAKES_MAP,
                                          AS_NAMED,
                                          .items = &kind_text,
                                          .values = &attachment,
                                          .names = "a-zA-Z0-9._-",
                                          .unique = true,
                                          .merge = MERGE_NAMES,
                                          .lengthen = lengthen_names,
                                          .what = "a list or a mapping of networks"};
static const struct kind port = {TAKES_NUMBER | TAKES_TEXT | TAKES_MAP, AS_SECTION, .section = &port_section,
                                 .complete = complete_port, .what = "a port, text or a mapping"};
static const struct kind ports_kind = {TAKES_LIST,     AS_LIST,           .items = &port,
                                       .unique = true, .same = SAME_PORT, .lengthen = lengthen_ports};
static const struct kind storage_opt_kind = {TAKES_MAP, AS_STRICT_OPTIONS, .values = &kind_any};
static const struct kind mount = {TAKES_TEXT | TAKES_MAP, AS_SECTION, .section = &mount_section,
                                  .lengthen = lengthen_mount, .what = "text or a mapping"};
static const struct kind volumes_kind = {TAKES_LIST, AS_LIST, .items = &mount, .unique = true, .same = SAME_TARGET};
static const struct kind hook = {TAKES_MAP, AS_SECTION, .section = &hook_section};
static const struct kind hooks_kind = {TAKES_LIST, AS_LIST, .items = &hook};
static const struct kind dns_opt_kind = {TAKES_LIST,           AS_TEXTS,         .items = &kind_text, .unique = true,
                                         .merge = MERGE_PAIRS, .same = SAME_NAME};
static const struct kind dns_kind = {
    TAKES_TEXT | TAKES_LIST, AS_TEXTS,          .items = &kind_text,      .unique = true,
    .merge = MERGE_PAIRS,    .same = SAME_NAME, .lengthen = lengthen_dns, .what = "text or a list of texts"};
static const struct kind plain_path = {TAKES_TEXT, AS_TEXT, .path = PATH_PLAIN};
static const struct kind label_file_kind = {TAKES_TEXT | TAKES_LIST,      AS_TEXTS,
                                            .items = &plain_path,         .merge = MERGE_PAIRS,
                                            .lengthen = lengthen_to_list, .what = "a path or a list of paths"};
static const struct kind tmpfs_kind = {TAKES_TEXT | TAKES_LIST,
                                       AS_TEXTS,
                                       .items = &kind_text,
                                       .unique = true,
                                       .merge = MERGE_PAIRS,
                                       .same = SAME_NAME,
                                       .what = "text or a list of texts"};

static const struct key service_keys[] = {
    {"profiles", &kind_texts_named, .read = read_nothing, .form = "list",
     .doc = "The service is part of the fleet when one of these is active: --profile, COMPOSE_PROFILES. None: always."},
    {"annotations", &kind_pairs, .form = "mapping or list", .doc = "Words for the runtime."},
    {"attach", &kind_flag_set, .form = "bool", .doc = "Whether its output is shown."},
    {"build", &build_kind, .refused = "images are made elsewhere; build it with another tool and write its image",
     .section = &build_section, .form = "text or mapping", .doc = "How to build the image."},
    {"develop", &develop_kind, .section = &develop_section, .form = "mapping", .doc = "Rebuild while files change."},
    {"blkio_config", &blkio_config_kind, .reload = RELOAD_LIVE, .read = read_nested, .section = &blkio_section,
     .form = "mapping", .doc = "Rates and weights of block devices."},
    {"cap_add", &kind_texts_named, .read = read_capabilities, FIELD(cap_add), .form = "list",
     .doc = "Capabilities besides the default ones: NET_ADMIN, CAP_NET_ADMIN; ALL."},
    {"cap_drop", &kind_texts_named, .read = read_capabilities, FIELD(cap_drop), .form = "list",
     .doc = "Default capabilities to leave out; ALL leaves those of *cap_add*."},
    {"cgroup_parent", &kind_text, .form = "text", .doc = "Where its cgroup lies."},
    {"cgroup", &cgroup_kind, .form = "text", .doc = "Whose cgroup namespace."},
    {"cpu_count", &cpu_count_kind, .refused = "only Windows has it; write cpus", .form = "number",
     .doc = "How many CPUs a container of Windows has."},
    {"cpu_percent", &cpu_percent_kind, .refused = "only Windows has it; write cpus", .form = "number",
     .doc = "Percentage of the CPUs that a container of Windows has."},
    {"cpu_period", &kind_count_number, .reload = RELOAD_LIVE, .read = read_cpu_time, .offset = SHOAL_LIMIT_CPU_PERIOD,
     .max = 1000000, .form = "number",
     .doc = "In microseconds, 1000 to 1000000, that in which *cpu_quota* counts; 0 is the default, 100000 (cpu.max)."},
    {"cpu_quota", &kind_count_number, .reload = RELOAD_LIVE, .read = read_cpu_time, .offset = SHOAL_LIMIT_CPU_QUOTA,
     .min = -1, .max = CPU_QUOTA_MOST, .form = "number",
     .doc = "Microseconds of CPU time in each *cpu_period*, from 1000; -1 or 0 is unlimited; not with *cpus* "
            "(cpu.max)."},
    {"cpu_rt_period", &kind_count_number, .refused = "cgroup v2 has no real-time quota, only v1 had",
     .form = "duration", .doc = "Period of the real-time quota."},
    {"cpu_rt_runtime", &kind_count_number, .refused = "cgroup v2 has no real-time quota, only v1 had",
     .form = "duration", .doc = "Real-time quota."},
    {"cpus", &kind_float, .reload = RELOAD_LIVE, .read = read_cpus, .offset = SHOAL_LIMIT_CPUS, .form = "number",
     .doc = "How many CPUs' time, from 0.01 (cpu.max)."},
    {"cpuset", &kind_text, .reload = RELOAD_LIVE, .read = read_cpuset, .offset = SHOAL_LIMIT_CPUSET, .form = "text",
     .doc = "On which CPUs: 0-3,7 (cpuset.cpus)."},
    {"cpu_shares", &kind_count_number, .reload = RELOAD_LIVE, .read = read_cpu_shares, .offset = SHOAL_LIMIT_CPU_SHARES,
     .form = "number", .doc = "Share of the CPUs when they are scarce, 2 to 262144; others have 1024 (cpu.weight)."},
    {"command", &kind_command, .read = read_command, FIELD(command), .form = "text or list",
     .doc =
         "The program's arguments, or the program where the image has no entrypoint. Text is split at blanks; quotes "
         "and backslashes keep them; there is no shell. An empty list clears the image's."},
    {"configs", &kind_grants_config, .form = "list", .doc = "Files from *configs*."},
    {"container_name", &container_name_kind, .read = read_container_name, FIELD(container_name), .form = "text",
     .doc = "In place of PROJECT-SERVICE-N; for one container alone."},
    {"credential_spec", &credential_spec_kind, .section = &credential_section, .form = "mapping",
     .doc = "Credentials of a managed account."},
    {"depends_on", &depends_on_kind, .read = read_depends_on, .form = "list or mapping",
     .doc = "Services that are started before this one and stopped after it."},
    {"deploy", &deploy_kind, .reload = RELOAD_INSIDE, .read = read_nested, .section = &deploy_section,
     .form = "mapping", .doc = "How many, how large, how restarted."},
    {"device_cgroup_rules", &kind_texts_unique, .read = read_device_rules, .form = "list",
     .doc = "What may be done with devices beyond those of *devices* and of every sandbox (null, zero, full, random, "
            "urandom, tty, terminals): _c 10:200 rwm_, _b 8:\\* r_, _a \\*:\\* rwm_; a is b and c. It makes no node."},
    {"devices", &devices_kind, .read = read_devices, .section = &device_section, .form = "list",
     .doc = "Devices of the host: SOURCE:TARGET:rwm, SOURCE:TARGET, SOURCE, or the long form."},
    {"dns", &dns_kind, .form = "text or list", .doc = "Name servers."},
    {"dns_opt", &dns_opt_kind, .form = "list", .doc = "Options of the resolver."},
    {"dns_search", &kind_texts_or_one, .form = "text or list", .doc = "Search domains."},
    {"domainname", &kind_text, .read = read_host_name, FIELD(domainname), .form = "text", .doc = "NIS domain name."},
    {"entrypoint", &kind_command, .read = read_command, FIELD(entrypoint), .form = "text or list",
     .doc = "The program, read like *command*. An empty list clears the image's."},
    {"provider", &provider_kind, .section = &provider_section, .form = "mapping",
     .doc = "Another program that provides the service."},
    {"environment", &kind_variables, .read = read_environment, .form = "mapping or list",
     .doc = "Variables. A name without a value is taken from the environment, if it is there."},
    {"env_file", &kind_env_file, .read = read_nothing, .form = "text or list",
     .doc = "Files of NAME=value lines; later ones and *environment* go before."},
    {"expose", &expose_kind, .form = "list", .doc = "Ports for other services."},
    {"extends", &extends_kind, .read = read_nothing, .section = &extends_section, .form = "text or mapping",
     .doc = "Another service to begin from: its name, or *service* and *file*."},
    {"external_links", &kind_texts_unique, .form = "list", .doc = "Containers of others to reach by name."},
    {"extra_hosts", &kind_hosts, .read = read_extra_hosts, .form = "list or mapping",
     .doc = "Lines of /etc/hosts: name=address. host-gateway is not supported yet."},
    {"group_add", &group_add_kind, .read = read_groups, FIELD(group_add), .form = "list",
     .doc = "More groups, by name or number."},
    {"gpus", &gpus_kind, .form = "list", .doc = "GPUs."},
    {"hostname", &kind_text, .read = read_host_name, FIELD(hostname), .form = "text",
     .doc = "Default: the start of the container's id."},
    {"healthcheck", &healthcheck_kind, .section = &health_section, .form = "mapping",
     .doc = "How to see that it works."},
    {"image", &kind_text, .read = read_image, .form = "text",
     .doc =
         "*builtin:busybox*, made of the host's static busybox; *dir:/path*, a directory as it is; *dir:/base:/more*, "
         "later ones on top. Relative paths start at the project's directory. Registries are not supported yet."},
    {"init", &kind_flag_set, .read = read_flag, FIELD(init), .form = "bool",
     .doc = "A small process 1 that reaps and forwards signals."},
    {"ipc", &kind_text, .form = "text", .doc = "Whose IPC namespace."},
    {"isolation", &kind_text, .refused = "only Windows has kinds of it", .read = read_isolation, .form = "text",
     .doc = "Kind of isolation on Windows. _default_ is accepted."},
    {"labels", &kind_labels, .read = read_labels, .form = "mapping or list", .doc = "Words for others to read."},
    {"label_file", &label_file_kind, .read = read_nothing, .form = "text or list", .doc = "Labels from files."},
    {"links", &kind_texts_named, .form = "list", .doc = "Services to reach by other names."},
    {"logging", &logging_kind, .read = read_logging, .section = &logging_section, .form = "mapping",
     .doc = "Where output goes."},
    {"mem_limit", &kind_bytes_number, .reload = RELOAD_LIVE, .read = read_memory_limit, .offset = SHOAL_LIMIT_MEMORY,
     .min = 6 << 20, .form = "size", .doc = "From 6m; 0 is none (memory.max)."},
    {"mem_reservation", &kind_bytes, .reload = RELOAD_LIVE, .read = read_memory_limit,
     .offset = SHOAL_LIMIT_MEMORY_RESERVATION, .min = 6 << 20, .form = "size",
     .doc = "Kept for it as long as possible (memory.low)."},
    {"memswap_limit", &kind_bytes_number, .reload = RELOAD_LIVE, .read = read_memory_swap,
     .offset = SHOAL_LIMIT_MEMORY_SWAP, .form = "size or -1",
     .doc = "Memory and swap together; needs *mem_limit*; -1 is unlimited (memory.swap.max)."},
    {"mem_swappiness", &kind_bytes, .refused = "cgroup v2 has no swappiness of its own; limit swap by memswap_limit",
     .form = "number", .doc = "How readily it is swapped."},
    {"mac_address", &kind_text, .form = "text", .doc = "A fixed MAC address."},
    {"models", &models_kind, .form = "list or mapping", .doc = "Language models."},
    {"network_mode", &kind_text, .read = read_network_mode, .form = "text",
     .doc = "*none*: loopback alone. *host*: the host's network. Others are not supported yet."},
    {"networks", &networks_kind, .read = read_networks_later, .form = "list or mapping",
     .doc = "The networks it is on; default: the network *default*."},
    {"oom_kill_disable", &kind_flag,
     .refused = "cgroup v2 cannot; x-shoal.memory_high slows a sandbox down before anybody is killed",
     .false_is_fine = true, .form = "bool", .doc = "No killing for lack of memory."},
    {"oom_score_adj", &oom_score_adj_kind, .read = read_oom_score_adj, .form = "number",
     .doc = "Who is killed first for lack of memory: -1000 never, 1000 first. Below the supervisor's own it needs "
            "CAP_SYS_RESOURCE."},
    {"pid", &kind_text_null, .form = "text", .doc = "Whose PID namespace."},
    {"pids_limit", &pids_limit_kind, .reload = RELOAD_LIVE, .read = read_pids, .offset = SHOAL_LIMIT_PIDS,
     .form = "number", .doc = "Processes and threads; -1 or 0 is unlimited (pids.max)."},
    {"platform", &kind_text, .form = "text", .doc = "Which platform's image."},
    {"ports", &ports_kind, .form = "list", .doc = "Ports that the host forwards."},
    {"privileged", &kind_flag,
     .refused = "a sandbox is not privileged here; name what it needs with cap_add and security_opt",
     .false_is_fine = true, .form = "bool", .doc = "All rights on the host."},
    {"pull_policy", &pull_policy_kind, .form = "text", .doc = "When the image is pulled."},
    {"pull_refresh_after", &dropped_text, .form = "duration", .doc = "When the image is pulled again."},
    {"read_only", &kind_flag, .read = read_flag, FIELD(read_only), .form = "bool",
     .doc = "The root file system cannot be written."},
    {"restart", &kind_text, .read = read_restart, .form = "text",
     .doc = "*no* (default), *always*, *on-failure*, *on-failure:N* or *unless-stopped*."},
    {"runtime", &kind_text, .form = "text", .doc = "Which OCI runtime."},
    {"scale", &kind_count_set, .full = "scale", .read = read_replicas, .max = 100000, .form = "number",
     .doc = "How many containers. Default 1."},
    {"secrets", &kind_grants_secret, .form = "list", .doc = "Files from *secrets*."},
    {"security_opt", &kind_texts_unique, .read = read_security_opt, .form = "list",
     .doc =
         "*no-new-privileges* is the default here, *no-new-privileges:false* clears it; *seccomp=unconfined* takes the "
         "system call filter away. Others are not supported yet."},
    {"shm_size", &kind_bytes_number, .read = read_size, FIELD(shm_bytes), .form = "size",
     .doc = "Of /dev/shm. Default 64m."},
    {"stdin_open", &kind_flag, .false_is_fine = true, .form = "bool", .doc = "Keep standard input open."},
    {"stop_grace_period", &kind_duration, .read = read_duration, FIELD(stop_grace_ms), .form = "duration",
     .doc = "From the stop signal to the kill. Default 10s."},
    {"stop_signal", &kind_text, .read = read_stop_signal, FIELD(stop_signal), .form = "text",
     .doc = "Name or number. Default SIGTERM."},
    {"storage_opt", &storage_opt_kind, .reload = RELOAD_LIVE, .read = read_storage_opt, .form = "mapping",
     .doc = "*size*: what the writable layer may hold, as *x-shoal.disk*. Other options are not carried out."},
    {"sysctls", &kind_pairs, .read = read_sysctls, .form = "mapping or list",
     .doc = "Namespaced ones: net.\\*, fs.mqueue.\\*, kernel.sem, kernel.msg\\*, kernel.shm\\*."},
    {"tmpfs", &tmpfs_kind, .read = read_tmpfs, .form = "text or list", .doc = "/path or /path:size=64m,mode=1777."},
    {"tty", &kind_flag, .false_is_fine = true, .form = "bool", .doc = "A terminal."},
    {"ulimits", &kind_ulimits, .read = read_ulimits, .section = &ulimit_section, .form = "mapping",
     .doc =
         "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack: a number, "
         "or *soft* and *hard*."},
    {"use_api_socket", &kind_strict_flag, .false_is_fine = true, .form = "bool", .doc = "The engine's socket inside."},
    {"user", &kind_text, .read = read_user, FIELD(user), .form = "text", .doc = "1000, 1000:1000, name or name:group."},
    {"userns_mode", &kind_text, .form = "text", .doc = "Whose user namespace."},
    {"uts", &kind_text, .form = "text", .doc = "Whose UTS namespace."},
    {"volumes", &volumes_kind, .read = read_mounts, .form = "list",
     .doc = "SOURCE:TARGET[:ro], TARGET, or the long form."},
    {"volumes_from", &kind_texts_unique, .form = "list", .doc = "The mounts of another service."},
    {"working_dir", &kind_text, .read = read_directory, FIELD(working_dir), .form = "path", .doc = "Absolute."},
    {"post_start", &hooks_kind, .form = "list", .doc = "Commands after the start."},
    {"pre_stop", &hooks_kind, .form = "list", .doc = "Commands before the stop."},
    {"x-shoal", &kind_any, .reload = RELOAD_INSIDE, .read = read_nested, .section = &service_x_section,
     .form = "mapping", .doc = "What Compose has no word for."},
};
const struct section service_section = SECTION("services.NAME", "One service: so many containers of one kind.",
                                               service_keys, true);

static void read_service(struct load *load, const struct place *at, const struct node *node, shoal_service_t *service)
{
    const struct restart_draft unset = {-1, -1, -1, -1, -1};
    struct draft draft = {.at = at, .delay_ms = -1, .restart = unset};
    load->draft = &draft;
    service->name = keep(load, at->word);
    service->at = place_position(load, at);
    service->replicas = 1;
    service->group = SHOAL_NO_GROUP;
    service->stop_signal = 15;
    service->stop_grace_ms = 10000;
    service->no_new_privileges = true;
    service->log.max_files = 1;
    if (read_section(load, at, &service_section, node, service)) {
        read_service_networks(load, service);
        finish_restart(load, service);
        finish_service(load, service);
    }
    names_free(&draft.mount_targets);
    names_free(&draft.sysctl_names);
    load->draft = NULL;
}

void read_scratch_service(struct load *load, const struct place *at, const struct node *map, shoal_service_t *service)
{
    const struct restart_draft unset = {-1, -1, -1, -1, -1};
    struct draft draft = {.at = at, .delay_ms = -1, .restart = unset};
    load->draft = &draft;
    (void)read_section(load, at, &service_section, map, service);
    names_free(&draft.mount_targets);
    names_free(&draft.sysctl_names);
    load->draft = NULL;
}

void read_services(struct load *load)
{
    const struct node *map = load->services;
    if (!take_kind(load, &load->services_at, map, NODE_MAP))
        return;
    if (map->count == 0)
        load_error(load, &load->services_at, "there is no service in it");
    shoal_spec_t *spec = load->spec;
    spec->services = arena_array(load->arena, map->count, sizeof *spec->services);
    if (!LOAD_GOT(load, spec->services))
        return;
    for (size_t i = 0; i < map->count; i++)
        if (names_put(&load->service_names, map->entries[i].key->text, i, NULL) < 0)
            load->out_of_memory = true;
    spec->service_count = map->count;
    for (size_t i = 0; i < map->count; i++) {
        struct place inner = place_key(&load->services_at, &map->entries[i]);
        if (check_name(load, &inner, "service", inner.word))
            read_service(load, &inner, map->entries[i].value, &spec->services[i]);
    }
}
