/* The services section: its key table, and what is about services among each other: how many, in which order, names. */
#include <errno.h>
#include <string.h>

#include "compose/keys.h"
#include "compose/values.h"

/* ---- how many ---- */

static void read_replicas(struct load *load, const struct place *at, const struct key *key, struct node *value,
                          void *object)
{
    shoal_service_t *service = object;
    struct draft *draft = load->draft;
    const char *name = key->full != NULL ? key->full : key->name;
    int64_t count;
    if (!take_integer(load, at, value, key->min, key->max, &count))
        return;
    if (draft->replicas_key != NULL && service->replicas != (unsigned)count)
        load_error(load, at, "can't set distinct values on 'scale' and 'deploy.replicas'");
    service->replicas = (unsigned)count;
    draft->replicas_key = name;
}

static void read_container_name(struct load *load, const struct place *at, const struct key *key, struct node *value,
                                void *object)
{
    const char *text;
    if (!take_text(load, at, value, &text) || !check_name(load, at, "container", text))
        return;
    load->draft->container_name_at = *at;
    char *kept = *AT(char *, object, key->offset) = keep(load, text);
    size_t line = 0;
    int code = kept == NULL ? -ENOMEM : names_put(&load->container_names, kept, (size_t)at->line, &line);
    if (code == -ENOMEM)
        load->out_of_memory = true;
    else if (code == 0)
        load_error(load, at, "the name \"%.100s\" is taken by another service, on line %zu", text, line);
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

static const struct key depends_keys[] = {
    {"condition", .read = read_condition, .needed = true, .form = "text",
     .doc = "*service_started* or *service_completed_successfully*; *service_healthy* is not supported yet."},
    {"required", .read = read_flag, .offset = offsetof(struct dependency_draft, dependency.required), .form = "bool",
     .doc = "false: a service that is not there or fails does not hold this one. Default true."},
    {"restart", .false_is_fine = true, .form = "bool", .doc = "Start again when the other is started again."},
};
const struct section depends_section = SECTION("services.NAME.depends_on.NAME", NULL, depends_keys, true);

static void add_dependency(struct load *load, const struct place *at, const char *name, shoal_dependency_t dependency,
                           shoal_service_t *service)
{
    if (!names_get(&load->service_names, name, &dependency.service)) {
        if (dependency.required)
            load_error(load, at, "there is no service \"%.100s\"", name);
        return; /* one that is not required may be absent */
    }
    dependency.at = place_position(load, at);
    service->dependencies[service->dependency_count++] = dependency;
}

static void read_depends_on(struct load *load, const struct place *at, const struct key *key, struct node *value,
                            void *object)
{
    (void)key;
    shoal_service_t *service = object;
    struct names seen = {0};
    if (value->kind == NODE_SCALAR) {
        load_error(load, at, "takes a list or a mapping of services");
        return;
    }
    service->dependencies = arena_array(load->arena, value->count, sizeof *service->dependencies);
    for (size_t i = 0; i < value->count && LOAD_GOT(load, service->dependencies); i++) {
        struct dependency_draft draft = {.dependency.required = true};
        bool map = value->kind == NODE_MAP;
        struct place inner = map ? place_key(at, &value->entries[i]) : place_item(at, value, i);
        const char *name = inner.word;
        if (map ? !read_section(load, &inner, &depends_section, value->entries[i].value, &draft)
                : !take_text(load, &inner, value->items[i], &name))
            continue;
        int code = names_put(&seen, name, 0, NULL);
        if (code < 0)
            load->out_of_memory = true;
        else if (code == 0)
            load_error(load, &inner, "the service \"%.100s\" is named twice", name);
        else
            add_dependency(load, &inner, name, draft.dependency, service);
    }
    names_free(&seen);
}

/* ---- names ---- */

static void add_host(struct load *load, const struct place *at, const char *name, const char *value, void *data)
{
    shoal_service_t *service = data;
    char address[64] = "";
    size_t count = value == NULL ? 0 : strlen(value);
    bool brackets = count > 2 && value[0] == '[' && value[count - 1] == ']'; /* name:[::1] */
    if (value != NULL && count < sizeof address) {
        memcpy(address, value + brackets, count - 2 * (size_t)brackets);
        address[count - 2 * (size_t)brackets] = '\0';
    }
    if (!check_host(load, at, name))
        return;
    if (value != NULL && strcmp(value, "host-gateway") == 0)
        load_error(load, at, "host-gateway is not supported yet; write an address");
    else if (!value_is_ip(address))
        load_error(load, at, "\"%.60s\" is not an address; write %.60s=10.0.0.1", value == NULL ? "" : value, name);
    else
        service->extra_hosts[service->extra_host_count++] = (shoal_pair_t){keep(load, name), keep(load, address),
                                                                           place_position(load, at)};
}

/* A host of the mapping form may have several addresses. */
static void read_extra_hosts(struct load *load, const struct place *at, const struct key *key, struct node *value,
                             void *object)
{
    (void)key;
    shoal_service_t *service = object;
    size_t room = value->kind == NODE_SCALAR ? 0 : value->values; /* as many as there are values below */
    service->extra_hosts = arena_array(load->arena, room, sizeof *service->extra_hosts);
    if (!LOAD_GOT(load, service->extra_hosts))
        return;
    if (value->kind != NODE_MAP) {
        each_pair(load, at, value, ":=", add_host, service);
        return;
    }
    for (size_t i = 0; i < value->count; i++) {
        struct place inner = place_key(at, &value->entries[i]);
        const struct node *addresses = value->entries[i].value;
        const char *text;
        if (addresses->kind != NODE_LIST) {
            if (take_text(load, &inner, addresses, &text))
                add_host(load, &inner, inner.word, text, service);
            continue;
        }
        for (size_t k = 0; k < addresses->count; k++) {
            struct place item = place_item(&inner, addresses, k);
            if (take_text(load, &item, addresses->items[k], &text))
                add_host(load, &item, inner.word, text, service);
        }
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

static const struct key resources_keys[] = {
    {"limits", .read = read_nested, .section = &limits_section, .form = "mapping", .doc = "What it may use."},
    {"reservations", .read = read_nested, .section = &reservations_section, .form = "mapping",
     .doc = "What is kept for it."},
};
static const struct section resources_section = SECTION("services.NAME.deploy.resources", NULL, resources_keys, true);

static const struct key deploy_keys[] = {
    {"mode", .read = read_mode, .form = "text", .doc = "*replicated* alone."},
    {"replicas", "deploy.replicas", .read = read_replicas, .max = 100000, .form = "number",
     .doc = "How many containers; like *scale*."},
    {"resources", .read = read_nested, .section = &resources_section, .form = "mapping", .doc = "Limits."},
    {"restart_policy", .read = read_restart_policy, .section = &policy_section, .form = "mapping",
     .doc = "When it is started again."},
    {"endpoint_mode", .form = "text", .doc = "How clients of a cluster reach it."},
    {"labels", .form = "mapping or list", .doc = "Labels of a cluster's service."},
    {"placement", .form = "mapping", .doc = "On which hosts of a cluster."},
    {"rollback_config", .form = "mapping", .doc = "How a failed update is undone."},
    {"update_config", .form = "mapping", .doc = "How it is updated."},
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

static const struct key service_x_keys[] = {
    {"warm", .read = read_warm, .min = 0, .max = 10000, .form = "number",
     .doc =
         "So many of the containers that wait for their start (for a dependency, or in backoff) are kept parked just "
         "before *execve*(2): their start is then one wake-up. Default: 0."},
    {"restart", .read = read_x_restart, .section = &restart_section, .form = "mapping",
     .doc = "How soon it is started again."},
};
const struct section service_x_section = SECTION("services.NAME.x-shoal", "What Compose has no word for.",
                                                 service_x_keys, false);

/* ---- the table ---- */

#define FIELD(member) .offset = offsetof(shoal_service_t, member)

static const struct key service_keys[] = {
    {"blkio_config", .read = read_nested, .section = &blkio_section, .form = "mapping",
     .doc = "Rates of block devices."},
    {"cap_add", .read = read_capabilities, FIELD(cap_add), .form = "list",
     .doc = "Capabilities besides the default ones: NET_ADMIN, CAP_NET_ADMIN; ALL."},
    {"cap_drop", .read = read_capabilities, FIELD(cap_drop), .form = "list",
     .doc = "Default capabilities to leave out; ALL leaves those of *cap_add*."},
    {"command", .read = read_command, FIELD(command), .form = "text or list",
     .doc =
         "The program's arguments, or the program where the image has no entrypoint. Text is split at blanks; quotes "
         "and backslashes keep them; there is no shell. An empty list clears the image's."},
    {"container_name", .read = read_container_name, FIELD(container_name), .form = "text",
     .doc = "In place of PROJECT-SERVICE-N; for one container alone."},
    {"cpu_shares", .read = read_cpu_shares, .offset = SHOAL_LIMIT_CPU_SHARES, .form = "number",
     .doc = "Share of the CPUs when they are scarce, 2 to 262144; others have 1024 (cpu.weight)."},
    {"cpus", .read = read_cpus, .offset = SHOAL_LIMIT_CPUS, .form = "number",
     .doc = "How many CPUs' time, from 0.01 (cpu.max)."},
    {"cpuset", .read = read_cpuset, .offset = SHOAL_LIMIT_CPUSET, .form = "text",
     .doc = "On which CPUs: 0-3,7 (cpuset.cpus)."},
    {"depends_on", .read = read_depends_on, .form = "list or mapping",
     .doc = "Services that are started before this one and stopped after it."},
    {"deploy", .read = read_nested, .section = &deploy_section, .form = "mapping",
     .doc = "How many, how large, how restarted."},
    {"domainname", .read = read_host_name, FIELD(domainname), .form = "text", .doc = "NIS domain name."},
    {"entrypoint", .read = read_command, FIELD(entrypoint), .form = "text or list",
     .doc = "The program, read like *command*. An empty list clears the image's."},
    {"env_file", .read = read_env_file_later, .form = "text or list",
     .doc = "Files of NAME=value lines; later ones and *environment* go before."},
    {"environment", .read = read_environment_later, .form = "mapping or list",
     .doc = "Variables. A name without a value is taken from the environment, if it is there."},
    {"extra_hosts", .read = read_extra_hosts, .form = "list or mapping",
     .doc = "Lines of /etc/hosts: name=address. host-gateway is not supported yet."},
    {"group_add", .read = read_groups, FIELD(group_add), .form = "list", .doc = "More groups, by name or number."},
    {"hostname", .read = read_host_name, FIELD(hostname), .form = "text",
     .doc = "Default: the start of the container's id."},
    {"image", .read = read_image, .form = "text",
     .doc =
         "*builtin:busybox*, made of the host's static busybox; *dir:/path*, a directory as it is; *dir:/base:/more*, "
         "later ones on top. Relative paths start at the project's directory. Registries are not supported yet."},
    {"init", .read = read_flag, FIELD(init), .form = "bool",
     .doc = "A small process 1 that reaps and forwards signals."},
    {"labels", .read = read_labels, .form = "mapping or list", .doc = "Words for others to read."},
    {"logging", .read = read_logging, .section = &logging_section, .form = "mapping", .doc = "Where output goes."},
    {"mem_limit", .read = read_memory_limit, .offset = SHOAL_LIMIT_MEMORY, .min = 6 << 20, .form = "size",
     .doc = "From 6m; 0 is none (memory.max)."},
    {"mem_reservation", .read = read_memory_limit, .offset = SHOAL_LIMIT_MEMORY_RESERVATION, .min = 6 << 20,
     .form = "size", .doc = "Kept for it as long as possible (memory.low)."},
    {"memswap_limit", .read = read_memory_swap, .offset = SHOAL_LIMIT_MEMORY_SWAP, .form = "size or -1",
     .doc = "Memory and swap together; needs *mem_limit*; -1 is unlimited (memory.swap.max)."},
    {"network_mode", .read = read_network_mode, .form = "text",
     .doc = "*none*: loopback alone. *host*: the host's network. Others are not supported yet."},
    {"networks", .read = read_networks_later, .form = "list or mapping",
     .doc = "The networks it is on; default: the network *default*."},
    {"pids_limit", .read = read_pids, .offset = SHOAL_LIMIT_PIDS, .form = "number",
     .doc = "Processes and threads; -1 or 0 is unlimited (pids.max)."},
    {"privileged", .refused = "a sandbox is not privileged here; name what it needs with cap_add and security_opt",
     .false_is_fine = true, .form = "bool", .doc = "All rights on the host."},
    {"read_only", .read = read_flag, FIELD(read_only), .form = "bool",
     .doc = "The root file system cannot be written."},
    {"restart", .read = read_restart, .form = "text",
     .doc = "*no* (default), *always*, *on-failure*, *on-failure:N* or *unless-stopped*."},
    {"scale", "scale", .read = read_replicas, .max = 100000, .form = "number",
     .doc = "How many containers. Default 1."},
    {"security_opt", .read = read_security_opt, .form = "list",
     .doc =
         "*no-new-privileges* is the default here, *no-new-privileges:false* clears it; *seccomp=unconfined* takes the "
         "system call filter away. Others are not supported yet."},
    {"shm_size", .read = read_size, FIELD(shm_bytes), .form = "size", .doc = "Of /dev/shm. Default 64m."},
    {"stop_grace_period", .read = read_duration, FIELD(stop_grace_ms), .form = "duration",
     .doc = "From the stop signal to the kill. Default 10s."},
    {"stop_signal", .read = read_stop_signal, FIELD(stop_signal), .form = "text",
     .doc = "Name or number. Default SIGTERM."},
    {"sysctls", .read = read_sysctls, .form = "mapping or list",
     .doc = "Namespaced ones: net.\\*, fs.mqueue.\\*, kernel.sem, kernel.msg\\*, kernel.shm\\*."},
    {"tmpfs", .read = read_tmpfs, .form = "text or list", .doc = "/path or /path:size=64m,mode=1777."},
    {"ulimits", .read = read_ulimits, .section = &ulimit_section, .form = "mapping",
     .doc =
         "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack: a number, "
         "or *soft* and *hard*."},
    {"user", .read = read_user, FIELD(user), .form = "text", .doc = "1000, 1000:1000, name or name:group."},
    {"volumes", .read = read_mounts, .form = "list", .doc = "SOURCE:TARGET[:ro], TARGET, or the long form."},
    {"working_dir", .read = read_directory, FIELD(working_dir), .form = "path", .doc = "Absolute."},
    {"x-shoal", .read = read_nested, .section = &service_x_section, .form = "mapping",
     .doc = "What Compose has no word for."},

    {"annotations", .form = "mapping or list", .doc = "Words for the runtime."},
    {"attach", .form = "bool", .doc = "Whether its output is shown."},
    {"build", .form = "text or mapping", .doc = "How to build the image."},
    {"cgroup", .form = "text", .doc = "Whose cgroup namespace."},
    {"cgroup_parent", .form = "text", .doc = "Where its cgroup lies."},
    {"configs", .form = "list", .doc = "Files from *configs*."},
    {"cpu_count", .form = "number", .doc = "How many CPUs."},
    {"cpu_percent", .form = "number", .doc = "Percentage of the CPUs."},
    {"cpu_period", .form = "number", .doc = "Period of the CPU quota."},
    {"cpu_quota", .form = "number", .doc = "CPU quota."},
    {"cpu_rt_period", .form = "duration", .doc = "Period of the real-time quota."},
    {"cpu_rt_runtime", .form = "duration", .doc = "Real-time quota."},
    {"credential_spec", .form = "mapping", .doc = "Credentials of a managed account."},
    {"develop", .form = "mapping", .doc = "Rebuild while files change."},
    {"device_cgroup_rules", .form = "list", .doc = "Which devices may be used."},
    {"devices", .form = "list", .doc = "Devices of the host."},
    {"dns", .form = "text or list", .doc = "Name servers."},
    {"dns_opt", .form = "list", .doc = "Options of the resolver."},
    {"dns_search", .form = "text or list", .doc = "Search domains."},
    {"expose", .form = "list", .doc = "Ports for other services."},
    {"extends", .form = "text or mapping", .doc = "Another service to begin from."},
    {"external_links", .form = "list", .doc = "Containers of others to reach by name."},
    {"gpus", .form = "list", .doc = "GPUs."},
    {"healthcheck", .form = "mapping", .doc = "How to see that it works."},
    {"ipc", .form = "text", .doc = "Whose IPC namespace."},
    {"isolation", .form = "text", .doc = "Kind of isolation on Windows."},
    {"label_file", .form = "text or list", .doc = "Labels from files."},
    {"links", .form = "list", .doc = "Services to reach by other names."},
    {"mac_address", .form = "text", .doc = "A fixed MAC address."},
    {"mem_swappiness", .form = "number", .doc = "How readily it is swapped."},
    {"models", .form = "list or mapping", .doc = "Language models."},
    {"oom_kill_disable", .false_is_fine = true, .form = "bool", .doc = "No killing for lack of memory."},
    {"oom_score_adj", .form = "number", .doc = "Who is killed first for lack of memory."},
    {"pid", .form = "text", .doc = "Whose PID namespace."},
    {"platform", .form = "text", .doc = "Which platform's image."},
    {"ports", .form = "list", .doc = "Ports that the host forwards."},
    {"post_start", .form = "list", .doc = "Commands after the start."},
    {"pre_stop", .form = "list", .doc = "Commands before the stop."},
    {"profiles", .form = "list", .doc = "When the service is part of the fleet."},
    {"provider", .form = "mapping", .doc = "Another program that provides the service."},
    {"pull_policy", .form = "text", .doc = "When the image is pulled."},
    {"pull_refresh_after", .form = "duration", .doc = "When the image is pulled again."},
    {"runtime", .form = "text", .doc = "Which OCI runtime."},
    {"secrets", .form = "list", .doc = "Files from *secrets*."},
    {"stdin_open", .false_is_fine = true, .form = "bool", .doc = "Keep standard input open."},
    {"storage_opt", .form = "mapping", .doc = "Options of the storage driver."},
    {"tty", .false_is_fine = true, .form = "bool", .doc = "A terminal."},
    {"use_api_socket", .false_is_fine = true, .form = "bool", .doc = "The engine's socket inside."},
    {"userns_mode", .form = "text", .doc = "Whose user namespace."},
    {"uts", .form = "text", .doc = "Whose UTS namespace."},
    {"volumes_from", .form = "list", .doc = "The mounts of another service."},
};
const struct section service_section = SECTION("services.NAME", "One service: so many containers of one kind.",
                                               service_keys, true);

static void read_service(struct load *load, const struct place *at, const struct node *node, shoal_service_t *service)
{
    const struct restart_draft unset = {-1, -1, -1, -1, -1};
    struct draft draft = {.at = at, .delay_ms = -1, .restart = unset};
    draft.has_image = node_get(node, "image") != NULL || node_get(node, "build") != NULL;
    load->draft = &draft;
    service->name = keep(load, at->word);
    service->at = place_position(load, at);
    service->replicas = 1;
    service->stop_signal = 15;
    service->stop_grace_ms = 10000;
    service->no_new_privileges = true;
    service->log.max_files = 1;
    if (read_section(load, at, &service_section, node, service)) {
        read_environment(load, service);
        read_service_networks(load, service);
        finish_restart(load, service);
        check_service(load, service);
    }
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
