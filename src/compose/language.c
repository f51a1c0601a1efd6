/* Sections of the language that no other file carries out. */
#include "compose/language.h"

#define DOC(written, words) .form = written, .doc = words

/* ---- build ---- */

static const struct kind context = {TAKES_TEXT, AS_TEXT, .path = PATH_CONTEXT};
static const struct kind context_pair = {TAKES_NULL | TAKES_BOOL | TAKES_NUMBER | TAKES_TEXT, AS_WRITTEN,
                                         .path = PATH_CONTEXT};
static const struct kind contexts = {TAKES_MAP | TAKES_LIST,
                                     AS_PAIRS,
                                     .items = &kind_text,
                                     .values = &context_pair,
                                     .unique = true,
                                     .merge = MERGE_PAIRS,
                                     .same = SAME_NAME,
                                     .lengthen = lengthen_contexts,
                                     .what = "a mapping or a list of NAME=context"};
static const struct kind ssh_value = {TAKES_NULL | TAKES_BOOL | TAKES_NUMBER | TAKES_TEXT, AS_WRITTEN,
                                      .path = PATH_UNIX};
static const struct kind ssh = {TAKES_MAP | TAKES_LIST,
                                AS_SSH,
                                .items = &kind_text,
                                .values = &ssh_value,
                                .unique = true,
                                .lengthen = lengthen_ssh,
                                .what = "a mapping or a list of ID=path"};
static const struct kind attestation = {TAKES_TEXT | TAKES_BOOL, AS_TEXT, .lengthen = lengthen_text};
static const struct kind build_grant = {TAKES_TEXT | TAKES_MAP, AS_SECTION, .section = &grant_section,
                                        .lengthen = lengthen_grant};
static const struct kind build_grants = {TAKES_LIST, AS_LIST, .items = &build_grant};
static const struct kind build_ulimit = {TAKES_INTEGER | TAKES_TEXT | TAKES_MAP, AS_ULIMIT, .section = &ulimit_section,
                                         .lengthen = lengthen_ulimit};
static const struct kind build_ulimits = {TAKES_MAP, AS_NAMED, .values = &build_ulimit};

static const struct key build_keys[] = {
    {"context", &context, DOC("path or URL", "What is sent to the builder.")},
    {"dockerfile", &kind_text, DOC("path", "The instructions; relative to the context.")},
    {"dockerfile_inline", &kind_text, DOC("text", "The instructions themselves.")},
    {"entitlements", &kind_texts, DOC("list", "Extra rights of the build.")},
    {"args", &kind_variables, DOC("mapping or list", "Variables of the build.")},
    {"provenance", &attestation, DOC("text or bool", "Attestation of the source.")},
    {"sbom", &attestation, DOC("text or bool", "Attestation of the contents.")},
    {"ssh", &ssh, DOC("mapping or list", "SSH keys that the build may use.")},
    {"labels", &kind_labels, DOC("mapping or list", "Labels of the image.")},
    {"cache_from", &kind_texts, DOC("list", "Where cached layers come from.")},
    {"cache_to", &kind_texts, DOC("list", "Where layers are cached.")},
    {"no_cache", &kind_flag, DOC("bool", "Build without a cache.")},
    {"additional_contexts", &contexts, DOC("mapping or list", "More contexts by name.")},
    {"pull", &kind_flag, DOC("bool", "Pull the base image always.")},
    {"extra_hosts", &kind_hosts, DOC("mapping or list", "Hosts that the build knows.")},
    {"isolation", &kind_text, DOC("text", "Kind of isolation of the build.")},
    {"network", &kind_text, DOC("text", "Network of the build.")},
    {"target", &kind_text, DOC("text", "Stage to build.")},
    {"secrets", &build_grants, DOC("list", "Secrets that the build may use.")},
    {"shm_size", &kind_bytes, DOC("size", "Of the build's /dev/shm.")},
    {"tags", &kind_texts_named, DOC("list", "More names of the image.")},
    {"ulimits", &build_ulimits, DOC("mapping", "Limits of the build.")},
    {"platforms", &kind_texts, DOC("list", "Platforms to build for.")},
    {"privileged", &kind_flag, DOC("bool", "Build with all rights.")},
};
const struct section build_section = SECTION(
    "services.NAME.build", "Images are made elsewhere: `up` refuses a service that is to be built.", build_keys, true);

/* ---- develop ---- */

static const char *const actions[] = {"rebuild", "sync", "restart", "sync+restart", "sync+exec", NULL};
static const struct kind action = {TAKES_TEXT, AS_TEXT, .words = actions};
static const struct kind watched_path = {TAKES_TEXT, AS_TEXT, .path = PATH_LINK};
static const struct kind patterns = {TAKES_TEXT | TAKES_LIST,      AS_TEXTS,
                                     .items = &kind_text,          .unique = true,
                                     .lengthen = lengthen_to_list, .what = "text or a list of texts"};
static const struct kind exec_hook = {TAKES_MAP, AS_SECTION_ALWAYS, .section = &hook_section};
static const struct key watch_keys[] = {
    {"path", &watched_path, .needed = true, DOC("path", "What is watched.")},
    {"action", &action, .needed = true, DOC("text", "What a change does.")},
    {"target", &kind_text, DOC("path", "Where it goes inside.")},
    {"exec", &exec_hook, DOC("mapping", "Command after a change.")},
    {"include", &patterns, DOC("text or list", "Patterns of files that count.")},
    {"ignore", &patterns, DOC("text or list", "Patterns of files that do not.")},
    {"initial_sync", &kind_strict_flag, DOC("bool", "Copy at the start, too.")},
};
const struct section watch_section = SECTION("services.NAME.develop.watch.N", NULL, watch_keys, true);
static const struct kind watch_rule = {TAKES_MAP, AS_SECTION, .section = &watch_section};
static const struct kind watch_rules = {TAKES_LIST, AS_LIST, .items = &watch_rule};
static const struct key develop_keys[] = {
    {"watch", &watch_rules, .section = &watch_section, DOC("list", "Files whose changes count.")},
};
const struct section develop_section = SECTION("services.NAME.develop", NULL, develop_keys, true);

/* ---- hooks, health, provider, models ---- */

static const struct key hook_keys[] = {
    {"command", &kind_command, .needed = true, DOC("text or list", "What is run inside.")},
    {"user", &kind_text, DOC("text", "As whom.")},
    {"privileged", &kind_flag, DOC("bool", "With all rights.")},
    {"working_dir", &kind_text, DOC("path", "Where.")},
    {"environment", &kind_variables, DOC("mapping or list", "Variables besides the container's.")},
};
const struct section hook_section = SECTION("services.NAME.post_start.N, services.NAME.pre_stop.N", NULL, hook_keys,
                                            true);

static const struct kind test = {TAKES_TEXT | TAKES_LIST, AS_TEST, .items = &kind_text, .merge = MERGE_REPLACE,
                                 .what = "text or a list of texts"};
static const struct key health_keys[] = {
    {"test", &test, DOC("text or list", "A command; as a list it begins with CMD, CMD-SHELL or NONE.")},
    {"timeout", &kind_duration, DOC("duration", "How long a check may take.")},
    {"interval", &kind_duration, DOC("duration", "Between two checks.")},
    {"retries", &kind_count_unsigned, DOC("number", "Failures in a row that count.")},
    {"start_period", &kind_duration, DOC("duration", "Failures that early do not count.")},
    {"start_interval", &kind_duration, DOC("duration", "Between two checks that early.")},
    {"disable", &kind_flag, DOC("bool", "No check, not the image's either.")},
};
const struct section health_section = SECTION("services.NAME.healthcheck", NULL, health_keys, true);

static const struct kind provider_scalar = {TAKES_TEXT | TAKES_NUMBER | TAKES_BOOL, AS_WRITTEN};
static const struct kind provider_value = {TAKES_TEXT | TAKES_NUMBER | TAKES_BOOL | TAKES_LIST, AS_WRITTEN,
                                           .items = &provider_scalar};
static const struct kind provider_options = {TAKES_MAP, AS_OPTION_LISTS, .values = &provider_value};
static const struct key provider_keys[] = {
    {"type", &kind_text, .needed = true, DOC("text", "The program.")},
    {"options", &provider_options, DOC("mapping", "What it is told.")},
};
const struct section provider_section = SECTION("services.NAME.provider", NULL, provider_keys, true);

static const struct key service_model_keys[] = {
    {"endpoint_var", &kind_text, DOC("text", "Variable that gets the model's address.")},
    {"model_var", &kind_text, DOC("text", "Variable that gets the model's name.")},
};
const struct section service_model_section = SECTION("services.NAME.models.NAME", NULL, service_model_keys, true);

static const struct kind strict_count = {TAKES_INTEGER, AS_COUNT};
static const struct key model_keys[] = {
    {"name", &kind_text, DOC("text", "Its name.")},
    {"model", &kind_text, .needed = true, DOC("text", "Which one.")},
    {"context_size", &strict_count, DOC("number", "Tokens of context.")},
    {"runtime_flags", &kind_texts, DOC("list", "Flags of the runtime.")},
};
const struct section model_section = SECTION("models.NAME", NULL, model_keys, true);

static const struct key credential_keys[] = {
    {"config", &kind_text, DOC("text", "From *configs*.")},
    {"file", &kind_text, DOC("path", "From a file.")},
    {"registry", &kind_text, DOC("text", "From the Windows registry.")},
};
const struct section credential_section = SECTION("services.NAME.credential_spec", NULL, credential_keys, true);

/* ---- ports, requests for devices ---- */

static const struct kind published = {TAKES_TEXT | TAKES_INTEGER, AS_TEXT, .what = "a port or a range"};
static const struct kind target = {TAKES_INTEGER | TAKES_TEXT, AS_COUNT, .unsigned_value = true, .what = "a port"};
static const struct key port_keys[] = {
    {"name", &kind_text, DOC("text", "For people.")},
    {"mode", &kind_text, DOC("text", "*ingress* or *host*.")},
    {"host_ip", &kind_text, DOC("address", "Where the host listens.")},
    {"target", &target, .needed = true, DOC("number", "The port inside.")},
    {"published", &published, DOC("number or text", "The host's port, or a range to take one of.")},
    {"protocol", &kind_text, DOC("text", "*tcp* or *udp*.")},
    {"app_protocol", &kind_text, DOC("text", "What is spoken.")},
};
const struct section port_section = SECTION("services.NAME.ports.N", NULL, port_keys, true);

static const struct kind device_count = {TAKES_TEXT | TAKES_INTEGER, AS_DEVICE_COUNT};
static const struct kind request_options = {TAKES_MAP | TAKES_LIST, AS_PAIRS, .items = &kind_text, .unique = true};
static const struct key gpu_keys[] = {
    {"capabilities", &kind_texts_unique, DOC("list", "What it must be able to.")},
    {"driver", &kind_text, DOC("text", "Whose.")},
    {"count", &device_count, DOC("number or all", "How many.")},
    {"device_ids", &kind_texts_unique, DOC("list", "Which.")},
    {"options", &request_options, DOC("mapping or list", "Of the driver.")},
};
const struct section gpu_section = SECTION("services.NAME.gpus.N", NULL, gpu_keys, true);
static const struct key reserved_device_keys[] = {
    {"capabilities", &kind_texts_unique, .needed = true, DOC("list", "What it must be able to.")},
    {"driver", &kind_text, DOC("text", "Whose.")},
    {"count", &device_count, DOC("number or all", "How many.")},
    {"device_ids", &kind_texts_unique, DOC("list", "Which.")},
    {"options", &request_options, DOC("mapping or list", "Of the driver.")},
};
const struct section reserved_device_section = SECTION("services.NAME.deploy.resources.reservations.devices.N", NULL,
                                                       reserved_device_keys, true);

/* ---- deploy ---- */

static const struct key preference_keys[] = {
    {"spread", &kind_text, DOC("text", "By which label of a host.")},
};
const struct section preference_section = SECTION("services.NAME.deploy.placement.preferences.N", NULL, preference_keys,
                                                  true);
static const struct kind preference = {TAKES_MAP, AS_SECTION, .section = &preference_section};
static const struct kind preferences = {TAKES_LIST, AS_LIST, .items = &preference};
static const struct kind placed = {TAKES_INTEGER | TAKES_TEXT, AS_COUNT, .unsigned_value = true,
                                   .what = "a whole number"};
static const struct key placement_keys[] = {
    {"constraints", &kind_texts, DOC("list", "What a host must be.")},
    {"preferences", &preferences, DOC("list", "Where they are spread.")},
    {"max_replicas_per_node", &placed, DOC("number", "At most so many on one host.")},
};
const struct section placement_section = SECTION("services.NAME.deploy.placement", NULL, placement_keys, true);

static const char *const orders[] = {"start-first", "stop-first", NULL};
static const struct kind order = {TAKES_TEXT, AS_TEXT, .words = orders};
static const struct kind parallelism = {TAKES_INTEGER | TAKES_TEXT, AS_COUNT_SET, .unsigned_value = true,
                                        .what = "a whole number"};
static const struct key update_keys[] = {
    {"parallelism", &parallelism, DOC("number", "How many at once.")},
    {"delay", &kind_duration_zero, DOC("duration", "Between two groups.")},
    {"failure_action", &kind_text, DOC("text", "What a failure does.")},
    {"monitor", &kind_duration_zero, DOC("duration", "How long a failure counts.")},
    {"max_failure_ratio", &kind_float, DOC("number", "How many failures are tolerated.")},
    {"order", &order, DOC("text", "*start-first* or *stop-first*.")},
};
const struct section update_section = SECTION("services.NAME.deploy.update_config, rollback_config", NULL, update_keys,
                                              true);

static const struct kind resource_value = {TAKES_NUMBER | TAKES_TEXT, AS_COUNT};
static const struct key discrete_keys[] = {
    {"kind", &kind_text, .always = true, DOC("text", "Which one.")},
    {"value", &resource_value, .always = true, DOC("number", "How many.")},
};
const struct section discrete_section = SECTION(
    "services.NAME.deploy.resources.reservations.generic_resources.N.discrete_resource_spec", NULL, discrete_keys,
    true);
static const struct kind discrete = {TAKES_MAP, AS_SECTION, .section = &discrete_section};
static const struct key resource_keys[] = {
    {"discrete_resource_spec", &discrete, .section = &discrete_section, DOC("mapping", "One that is counted.")},
};
const struct section resource_section = SECTION("services.NAME.deploy.resources.reservations.generic_resources.N", NULL,
                                                resource_keys, true);

/* ---- files: configs, secrets; include, extends ---- */

static const struct key grant_keys[] = {
    {"source", &kind_text, DOC("text", "Its name under *configs* or *secrets*.")},
    {"target", &kind_text, DOC("path", "Where it is inside.")},
    {"uid", &kind_text, DOC("text", "Whose.")},
    {"gid", &kind_text, DOC("text", "Of which group.")},
    {"mode", &kind_mode, DOC("octal", "Its mode.")},
};
const struct section grant_section = SECTION("services.NAME.configs.N, services.NAME.secrets.N", NULL, grant_keys,
                                             true);

static const struct kind driver_options = {TAKES_MAP, AS_STRICT_OPTIONS, .values = &kind_any};
static const struct key secret_keys[] = {
    {"name", &kind_text, DOC("text", "Its name on this host, in place of PROJECT_KEY.")},
    {"file", &kind_path, DOC("path", "Its content is in a file.")},
    {"environment", &kind_text, DOC("text", "Its content is in a variable.")},
    {"external", &kind_external, DOC("bool", "Made by others.")},
    {"labels", &kind_labels, DOC("mapping or list", "Labels of it.")},
    {"driver", &kind_text, DOC("text", "Who keeps it.")},
    {"driver_opts", &driver_options, DOC("mapping", "Options of the driver.")},
    {"template_driver", &kind_text, DOC("text", "Who fills it in.")},
};
const struct section secret_section = SECTION("secrets.NAME", NULL, secret_keys, true);
static const struct key config_keys[] = {
    {"name", &kind_text, DOC("text", "Its name on this host, in place of PROJECT_KEY.")},
    {"file", &kind_path, DOC("path", "Its content is in a file.")},
    {"environment", &kind_text, DOC("text", "Its content is in a variable.")},
    {"content", &kind_text, DOC("text", "Its content.")},
    {"external", &kind_external, DOC("bool", "Made by others.")},
    {"labels", &kind_labels, DOC("mapping or list", "Labels of it.")},
    {"template_driver", &kind_text, DOC("text", "Who fills it in.")},
};
const struct section config_section = SECTION("configs.NAME", NULL, config_keys, true);

static const struct kind include_files = {TAKES_TEXT | TAKES_LIST,      AS_TEXTS,
                                          .items = &kind_text,          .unique = true,
                                          .lengthen = lengthen_to_list, .what = "text or a list of texts"};
static const struct key include_keys[] = {
    {"path", &include_files, .read = read_nothing,
     DOC("path or list", "The file; further ones are merged over it. Relative to this file.")},
    {"project_directory", &kind_text, .read = read_nothing,
     DOC("path", "Base of its relative paths. Default: the file's folder.")},
    {"env_file", &include_files, .read = read_nothing,
     DOC("path or list", "Its variables. Default: .env in that folder.")},
};
const struct section include_section = SECTION("include.N", "Another fleet whose services and all belong to this one.",
                                               include_keys, false);

static const struct key extends_keys[] = {
    {"file", &kind_text, .read = read_nothing, DOC("path", "Where it is. Default: this file.")},
    {"service", &kind_text, .read = read_nothing, .needed = true, DOC("text", "Which one.")},
};
const struct section extends_section = SECTION("services.NAME.extends", "Another service to begin from.", extends_keys,
                                               false);
