/* The way of a fleet: its files become trees (node.c), each expanded (expand.c), extended, included, merged, checked and
 * lengthened (model.c); names and defaults are put in (normalise.c), values become what they mean (typed.c), what is not
 * active goes out (select.c), and what is left must go together (consistency.c). From that the spec is read by the rows'
 * readers, or it is printed (config.c). */
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

enum {
    SPEC_BYTES = 64 << 20,      /* what a spec may take: 10,000 services take about 20 MiB */
    EXPANSION_BYTES = 16 << 20, /* what variables may expand to in all */
    ENVFILES_BYTES = 32 << 20,  /* what env_files may hold in all */
    NODES_BYTES = 160 << 20
};

/* What shoal_spec_free() gets back from the spec's address. */
struct spec_box {
    shoal_spec_t spec;
    struct arena arena;
};

void shoal_spec_free(shoal_spec_t *spec)
{
    if (spec == NULL)
        return;
    struct spec_box *box = CONTAINER_OF(spec, struct spec_box, spec);
    arena_free(&box->arena);
    free(box);
}

/* ---- the top level ---- */

static void read_services_later(struct load *load, const struct place *at, const struct key *key, struct node *value,
                                void *object)
{
    (void)key, (void)object;
    load->services = value;
    load->services_at = *at;
}

static void read_networks_key(struct load *load, const struct place *at, const struct key *key, struct node *value,
                              void *object)
{
    load->networks_at = *at;
    read_networks(load, at, key, value, object);
}

static void read_in_flight(struct load *load, const struct place *at, const struct key *key, struct node *value,
                           void *object)
{
    int64_t count;
    if (take_integer(load, at, value, key->min, key->max, &count))
        ((shoal_spec_t *)object)->starts_in_flight = (unsigned)count;
}

static void read_pool(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    int64_t count;
    if (!take_integer(load, at, value, key->min, key->max, &count))
        return;
    ((shoal_spec_t *)object)->pool_set = true;
    ((shoal_spec_t *)object)->pool = (unsigned)count;
}

static void read_fleet_restart(struct load *load, const struct place *at, const struct key *key, struct node *value,
                               void *object)
{
    (void)object;
    (void)read_section(load, at, key->section, value, &load->restart);
}

static const struct key fleet_x_keys[] = {
    {"degrade", .read = read_flag, .offset = offsetof(shoal_spec_t, degrade), .form = "bool",
     .doc = "Go on without the limits that this host cannot carry out, and say so. Default: refuse."},
    {"starts_in_flight", .read = read_in_flight, .min = 1, .max = 1024, .form = "number",
     .doc =
         "Containers that are started at the same time, 1 to 1024. Default: as many as shoal has processors, 2 to 8."},
    {"pool", .read = read_pool, .min = 0, .max = 64, .form = "number",
     .doc = "Network namespaces with their link that are kept ready, for each network, 0 to 64. Default: twice "
            "starts_in_flight, and no more than there are sandboxes on it."},
    {"groups", .reload = RELOAD_LIVE, .read = read_groups_later, .section = &group_section, .form = "mapping of names",
     .doc = "Groups of services with limits of their own, by path: _browsers_, _important/containers_."},
    {"budget", .reload = RELOAD_LIVE, .read = read_budget, .section = &group_section, .form = "mapping",
     .doc = "What all sandboxes of the project may use together."},
    {"profiles", .reload = RELOAD_LIVE, .read = read_profiles, .section = &profile_section, .form = "mapping of names",
     .doc = "Sets of limits by name, for services that say *x-shoal.profile*."},
    {"restart", .read = read_fleet_restart, .section = &restart_section, .form = "mapping",
     .doc = "How soon containers are started again; a service's own goes before it."},
    {"pressure", .read = read_fleet_rules, .section = &rule_section, .form = "list of mappings",
     .doc = "The same of the fleet as a whole, or of the host."},
    {"governor", .read = read_governor, .offset = offsetof(shoal_spec_t, governor), .section = &governor_section,
     .form = "mapping or off", .doc = "What starts pass, so that many at once do not stall the host."},
};
const struct section fleet_x_section = SECTION("x-shoal", "What Compose has no word for.", fleet_x_keys, false);

#define NAME "a-zA-Z0-9._-"

const struct kind service_kind = {TAKES_MAP, AS_SECTION, .section = &service_section};
static const struct kind services_kind = {TAKES_MAP, AS_NAMED, .values = &service_kind, .names = NAME};
static const struct kind network_kind = {TAKES_MAP | TAKES_NULL, AS_SECTION, .section = &network_section,
                                         .lengthen = lengthen_external};
static const struct kind networks_kind = {TAKES_MAP, AS_NAMED, .values = &network_kind};
static const struct kind volume_kind = {TAKES_MAP | TAKES_NULL, AS_SECTION, .section = &volume_section,
                                        .lengthen = lengthen_external};
static const struct kind volumes_kind = {TAKES_MAP, AS_NAMED, .values = &volume_kind, .names = NAME};
static const struct kind secret_kind = {TAKES_MAP, AS_SECTION, .section = &secret_section,
                                        .lengthen = lengthen_external};
static const struct kind secrets_kind = {TAKES_MAP, AS_NAMED, .values = &secret_kind, .names = NAME};
static const struct kind config_kind = {TAKES_MAP, AS_SECTION, .section = &config_section,
                                        .lengthen = lengthen_external};
static const struct kind configs_kind = {TAKES_MAP, AS_NAMED, .values = &config_kind, .names = NAME};
static const struct kind model_kind = {TAKES_MAP, AS_SECTION, .section = &model_section};
static const struct kind models_kind = {TAKES_MAP, AS_NAMED, .values = &model_kind};
static const struct kind include_kind = {TAKES_TEXT | TAKES_MAP, AS_SECTION, .section = &include_section};
const struct kind includes_kind = {TAKES_LIST, AS_LIST, .items = &include_kind};
static const struct kind version_kind = {TAKES_TEXT, AS_NOTHING};

static const struct key fleet_keys[] = {
    {"name", &kind_text, .read = read_nothing, .form = "text",
     .doc = "The project; -p and COMPOSE_PROJECT_NAME go before it, the folder's name behind it."},
    {"services", &services_kind, .reload = RELOAD_LIVE, .read = read_services_later, .form = "mapping",
     .doc = "What runs."},
    {"networks", &networks_kind, .read = read_networks_key, .form = "mapping", .doc = "How it is connected."},
    {"volumes", &volumes_kind, .read = read_volumes, .form = "mapping", .doc = "What stays."},
    {"secrets", &secrets_kind, .section = &secret_section, .form = "mapping", .doc = "Secret files for services."},
    {"configs", &configs_kind, .section = &config_section, .form = "mapping", .doc = "Files for services."},
    {"models", &models_kind, .section = &model_section, .form = "mapping", .doc = "Language models."},
    {"include", &includes_kind, .read = read_nothing, .section = &include_section, .form = "list",
     .doc =
         "Other fleets that belong to this one. What their *x-shoal* says, this one's may only say alike; groups and "
         "profiles come together by name. Foreign x- keys at their top stay behind."},
    {"version", &version_kind, .reload = RELOAD_LIVE, .read = read_nothing, .form = "text",
     .doc = "Obsolete; a warning."},
    {"x-shoal", &kind_any, .reload = RELOAD_INSIDE, .read = read_nested, .section = &fleet_x_section, .form = "mapping",
     .doc = "What Compose has no word for. Foreign x- keys may stand anywhere and are not read."},
};
const struct section fleet_section = SECTION("the file", NULL, fleet_keys, true);

const struct kind fleet_kind = {TAKES_MAP, AS_SECTION, .section = &fleet_section};

/* ---- what the stages keep in the load ---- */

/* Patterns of the tables, compiled when they are first met. */
struct regex_store {
    struct regex_store *next;
    const char *pattern;
    regex_t compiled;
};

regex_t *load_pattern(struct load *load, const char *pattern)
{
    for (struct regex_store *s = load->patterns; s != NULL; s = s->next)
        if (s->pattern == pattern)
            return &s->compiled;
    struct regex_store *store = calloc(1, sizeof *store);
    if (!LOAD_GOT(load, store))
        return NULL;
    if (regcomp(&store->compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        free(store); /* out of memory: the tables' patterns are right, which a test sees to */
        load->out_of_memory = true;
        return NULL;
    }
    store->pattern = pattern;
    store->next = load->patterns;
    load->patterns = store;
    return &store->compiled;
}

/* A service by name, of a map that keeps its keys while it is asked. */
struct node_entry *load_find_service(struct load *load, struct node *services, const char *name)
{
    if (load->indexed != services) {
        node_index_fini(&load->service_index);
        load->indexed = services;
        if (node_index_init(&load->service_index, services) < 0)
            load->out_of_memory = true;
    }
    return load->out_of_memory ? NULL : node_index_find(&load->service_index, name);
}

/* ---- the stages ---- */

/* From files to what is active, as typed nodes; NULL and findings. Of a load with no_interpolation the tree is as
 * written, in long forms. unneeded: what no service uses stays. */
struct node *load_fleet(struct load *load, const char *const *services, bool normalised, bool consistent,
                        bool environment, bool unneeded)
{
    const char **files = load_files(load);
    if (files == NULL || load->out_of_memory)
        return NULL;
    load_directory(load, files[0]);
    if (load->out_of_memory || load->directory == NULL)
        return NULL;
    load_dotenv(load);
    if (load->has_error || load->out_of_memory)
        return NULL; /* without its variables a fleet is another one */
    load->main_text_unread = load->options->text != NULL;
    struct node *root = load_main(load, files);
    if (root == NULL || load->out_of_memory)
        return NULL;
    if (normalised)
        normalise(load, root);
    if (load->no_interpolation || load->out_of_memory)
        return load->out_of_memory ? NULL : root;
    const struct place top = {.file = root->file, .line = root->line, .column = root->column};
    struct node *model = typed(load, &top, &fleet_kind, root);
    if (model == NULL || load->out_of_memory)
        return NULL;
    load_profiles(load);
    select_profiles(load, model);
    if (consistent)
        check_consistency(load, model);
    if (environment)
        resolve_env_files(load, model);
    resolve_label_files(load, model);
    activate_named(load, model, services);
    if (!load->has_error && !select_services(load, model, services))
        return NULL;
    if (!unneeded)
        drop_unneeded(load, model);
    if (consistent)
        check_container_names(load, model);
    return load->out_of_memory ? NULL : model;
}

void load_open(struct load *load)
{
    const char *const *variables = load->options->environ != NULL ? load->options->environ
                                                                  : (const char *const *)environ;
    struct environment *process = arena_alloc(&load->nodes, sizeof *process);
    struct environment *own = arena_alloc(&load->nodes, sizeof *own);
    load->interpolation_budget = EXPANSION_BYTES;
    load->envfile_budget = ENVFILES_BYTES;
    load->port_budget = LOAD_PORTS;
    load->nodes.limit = NODES_BYTES;
    load->restart = (struct restart_draft){-1, -1, -1, -1, -1};
    load->touches_files = load->read == compose_read_file;
    if (!LOAD_GOT(load, process) || !LOAD_GOT(load, own))
        return;
    own->outer = process;
    own->next_owned = process;
    load->variables = load->owned_variables = own;
    if (environment_fill(process, variables) < 0)
        load->out_of_memory = true;
}

static void run(struct load *load)
{
    load_open(load);
    if (load->out_of_memory)
        return;
    struct node *model = load_fleet(load, load->options->services, true, true, true, true);
    if (model != NULL)
        read_spec(load, model);
}

/* The spec of a model. Its rows read what they carry out and name what they do not. */
void read_spec(struct load *load, struct node *model)
{
    const struct place top = {.file = model->file, .line = model->line, .column = model->column};
    load->reading_spec = true;
    load->spec->project = load->project == NULL ? NULL : keep(load, load->project);
    (void)read_section(load, &top, &fleet_section, model, load->spec);
    if (load->services != NULL && !load->out_of_memory) {
        read_services(load);
        settle_groups(load);
        if (!load->out_of_memory)
            check_fleet(load);
        if (!load->has_error && !load->out_of_memory)
            read_fixed(load, &top, model);
    } else if (!model->damaged && !load->has_error) {
        load_unsupported(load, &top, "there is no service in it");
    }
}

void load_close(struct load *load)
{
    names_free(&load->warned);
    names_free(&load->service_names);
    names_free(&load->network_names);
    names_free(&load->volume_names);
    node_index_fini(&load->service_index);
    while (load->owned_variables != NULL) {
        struct environment *e = load->owned_variables;
        load->owned_variables = e->next_owned;
        environment_free(e);
    }
    while (load->patterns != NULL) {
        struct regex_store *store = load->patterns;
        load->patterns = store->next;
        regfree(&store->compiled);
        free(store);
    }
    arena_free(&load->nodes);
    load_free_findings(load);
}

shoal_spec_t *compose_load(const shoal_compose_options_t *options, compose_read_cb read, shoal_diagnostic_cb cb,
                           void *data)
{
    struct spec_box *box = calloc(1, sizeof *box);
    if (box == NULL) {
        shoal_position_t nowhere = {options->file, 0, 0};
        cb(data, SHOAL_ERROR, &nowhere, "out of memory");
        return NULL;
    }
    box->arena.limit = SPEC_BYTES;
    struct load load = {.options = options, .read = read, .spec = &box->spec, .arena = &box->arena};
    run(&load);
    bool failed = load.has_error || load.out_of_memory || box->arena.failed || load.nodes.failed;
    load_report(&load, cb, data);
    load_close(&load);
    if (!failed)
        return &box->spec;
    shoal_spec_free(&box->spec);
    return NULL;
}

shoal_spec_t *shoal_compose_load(const shoal_compose_options_t *options, shoal_diagnostic_cb cb, void *data)
{
    return compose_load(options, compose_read_file, cb, data);
}
