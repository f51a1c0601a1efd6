/* The way of a file: bytes, nodes, variables, project, sections, checks, spec. */
#include <errno.h>
#include <string.h>

#include "compose/keys.h"

enum {
    SPEC_BYTES = 64 << 20,      /* what a spec may take: 10,000 services take about 20 MiB */
    EXPANSION_BYTES = 16 << 20, /* what variables may expand to in all */
    ENVFILES_BYTES = 32 << 20,  /* what env_files may hold in all */
    NODES_BYTES = 112 << 20
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

static void read_version(struct load *load, const struct place *at, const struct key *key, struct node *value,
                         void *object)
{
    (void)key, (void)value, (void)object;
    load_warning(load, at, "is obsolete and ignored; remove it");
}

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
     .doc = "Containers that are started at the same time, 1 to 1024."},
    {"pool", .read = read_pool, .min = 0, .max = 64, .form = "number",
     .doc = "Network namespaces with their link that are kept ready, for each network, 0 to 64. Default: twice "
            "starts_in_flight, and no more than there are sandboxes on it."},
    {"restart", .read = read_fleet_restart, .section = &restart_section, .form = "mapping",
     .doc = "How soon containers are started again; a service's own goes before it."},
    {"governor", .read = read_governor, .offset = offsetof(shoal_spec_t, governor), .section = &governor_section,
     .form = "mapping or off", .doc = "What starts pass, so that many at once do not stall the host."},
};
const struct section fleet_x_section = SECTION("x-shoal", "What Compose has no word for.", fleet_x_keys, false);

static const struct key fleet_keys[] = {
    {"name", .read = read_nothing, .form = "text",
     .doc = "The project; -p and COMPOSE_PROJECT_NAME go before it, the folder's name behind it."},
    {"services", .read = read_services_later, .needed = true, .form = "mapping", .doc = "What runs."},
    {"networks", .read = read_networks_key, .form = "mapping", .doc = "How it is connected."},
    {"volumes", .read = read_volumes, .form = "mapping", .doc = "What stays."},
    {"version", .read = read_version, .form = "text", .doc = "Obsolete; a warning."},
    {"x-shoal", .read = read_nested, .section = &fleet_x_section, .form = "mapping",
     .doc = "What Compose has no word for. Foreign x- keys may stand anywhere and are not read."},
    {"configs", .form = "mapping", .doc = "Files for services."},
    {"include", .form = "list", .doc = "Other Compose files."},
    {"models", .form = "mapping", .doc = "Language models."},
    {"secrets", .form = "mapping", .doc = "Secret files for services."},
};
const struct section fleet_section = SECTION("the file", NULL, fleet_keys, true);

static void on_mistake(void *data, int line, int column, const char *text)
{
    load_find(data, SHOAL_ERROR, line, column, text);
}

static const struct node_entry *find_entry(const struct node *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->entries[i].key->text, key) == 0)
            return &map->entries[i];
    return NULL;
}

static void read_root(struct load *load, struct node *root)
{
    const struct place top = {.line = root->line, .column = root->column};
    if (root->kind != NODE_MAP) {
        load_error(load, &top, "a fleet file is a mapping at its top, not %s", node_describe(root));
        return;
    }
    const struct node_entry *name = find_entry(root, "name");
    struct place name_at = name != NULL ? place_key(&top, name) : top;
    if (name != NULL)
        load_interpolate_name(load, &name_at, name->value);
    load_project(load, &name_at, name != NULL ? name->value : NULL);
    load_interpolate(load, root);
    (void)read_section(load, &top, &fleet_section, root, load->spec);
    if (load->services != NULL && !load->out_of_memory) {
        read_services(load);
        if (!load->out_of_memory)
            check_fleet(load);
    }
}

static void read_text_of(struct load *load, const char *text, size_t count)
{
    struct node *root = NULL;
    int code = node_parse(&load->nodes, text, count, on_mistake, load, &root);
    if (code == -ENOMEM)
        load->out_of_memory = true;
    if (code < 0)
        return;
    if (root == NULL || (root->kind == NODE_SCALAR && root->type == TYPE_NULL)) {
        const struct place nowhere = {.line = 1, .column = 1};
        load_error(load, &nowhere, "the file is empty");
        return;
    }
    read_root(load, root);
}

static void run(struct load *load)
{
    const shoal_compose_options_t *options = load->options;
    const char *const *variables = options->environ != NULL ? options->environ : (const char *const *)environ;
    load->file = keep(load, options->file == NULL             ? "compose.yaml"
                            : strcmp(options->file, "-") == 0 ? "stdin"
                                                              : options->file);
    if (environment_fill(&load->variables, variables) < 0)
        load->out_of_memory = true;
    load_directory(load);
    if (load->out_of_memory || load->directory == NULL)
        return;
    size_t count = options->text != NULL ? strlen(options->text) : 0;
    char *bytes = options->text == NULL ? load_fleet_text(load, &count) : NULL;
    if (bytes != NULL || options->text != NULL) {
        load_dotenv(load);
        read_text_of(load, options->text != NULL ? options->text : bytes, count);
    }
    free(bytes);
}

static void release(struct load *load)
{
    names_free(&load->warned);
    names_free(&load->service_names);
    names_free(&load->network_names);
    names_free(&load->volume_names);
    names_free(&load->container_names);
    environment_free(&load->variables);
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
    struct load load = {.options = options,
                        .read = read,
                        .spec = &box->spec,
                        .arena = &box->arena,
                        .nodes.limit = NODES_BYTES,
                        .interpolation_budget = EXPANSION_BYTES,
                        .envfile_budget = ENVFILES_BYTES,
                        .restart = {-1, -1, -1, -1, -1}};
    run(&load);
    bool failed = load.has_error || load.out_of_memory || box->arena.failed || load.nodes.failed;
    load_report(&load, cb, data);
    release(&load);
    if (!failed)
        return &box->spec;
    shoal_spec_free(&box->spec);
    return NULL;
}

shoal_spec_t *shoal_compose_load(const shoal_compose_options_t *options, shoal_diagnostic_cb cb, void *data)
{
    return compose_load(options, compose_read_file, cb, data);
}
