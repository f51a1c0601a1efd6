/* What `shoal config` prints. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compose/config.h"

static const char *text_of(const struct node *map, const char *key)
{
    const struct node *node = node_get(map, key);
    return node == NULL || node->kind != NODE_SCALAR || node->type == TYPE_NULL ? NULL : node->text;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* One a line, sorted. */
static void put_lines(struct text *out, const char **lines, size_t count, bool once)
{
    if (count > 1)
        qsort(lines, count, sizeof *lines, compare_texts);
    for (size_t i = 0; i < count; i++)
        if (!once || i == 0 || strcmp(lines[i], lines[i - 1]) != 0)
            text_add_format(out, "%s\n", lines[i]);
}

static void put_keys(struct load *load, struct text *out, const struct node *map)
{
    size_t count = map == NULL || map->kind != NODE_MAP ? 0 : map->count;
    const char **lines = arena_array(&load->nodes, count, sizeof *lines);
    for (size_t i = 0; LOAD_GOT(load, lines) && i < count; i++)
        lines[i] = map->entries[i].key->text;
    if (lines != NULL)
        put_lines(out, lines, count, true);
}

/* One for each service, also where several have the same. */
static void put_images(struct load *load, struct text *out, const struct node *services)
{
    size_t count = services == NULL ? 0 : services->count;
    const char **lines = arena_array(&load->nodes, count, sizeof *lines);
    for (size_t i = 0; LOAD_GOT(load, lines) && i < count; i++) {
        const char *image = text_of(services->entries[i].value, "image");
        lines[i] = image != NULL ? image
                                 : arena_format(&load->nodes, "%s-%s", load->project == NULL ? "" : load->project,
                                                services->entries[i].key->text);
        if (!LOAD_GOT(load, lines[i]))
            return;
    }
    if (lines != NULL)
        put_lines(out, lines, count, false);
}

static size_t collect_profiles(const struct node *services, const char **lines)
{
    size_t count = 0;
    for (size_t i = 0; services != NULL && i < services->count; i++) {
        const struct node *profiles = node_get(services->entries[i].value, "profiles");
        for (size_t k = 0; profiles != NULL && k < profiles->count; k++, count++)
            if (lines != NULL)
                lines[count] = profiles->items[k]->text;
    }
    return count;
}

static void put_profiles(struct load *load, struct text *out, const struct node *services)
{
    size_t active = collect_profiles(services, NULL), count = active + collect_profiles(load->inactive, NULL);
    const char **lines = arena_array(&load->nodes, count, sizeof *lines);
    if (!LOAD_GOT(load, lines))
        return;
    (void)collect_profiles(services, lines);
    (void)collect_profiles(load->inactive, lines + active);
    put_lines(out, lines, count, true);
}

static void put_environment(struct load *load, struct text *out)
{
    const struct environment *own = load->variables, *process = own->outer;
    size_t count = 0;
    const char **lines = arena_array(&load->nodes, own->count + process->count + 1, sizeof *lines);
    for (const struct environment *e = process; LOAD_GOT(load, lines) && e != NULL; e = e == process ? own : NULL) {
        for (size_t i = 0; i < e->count; i++) {
            const char *name = e->list[i].name;
            if (strcmp(name, "COMPOSE_PROJECT_NAME") == 0 || (e == own && environment_get(process, name) != NULL))
                continue;
            lines[count++] = arena_format(&load->nodes, "%s=%s", name, e->list[i].value);
        }
    }
    if (lines == NULL)
        return;
    lines[count++] = arena_format(&load->nodes, "COMPOSE_PROJECT_NAME=%s", load->project == NULL ? "" : load->project);
    for (size_t i = 0; i < count; i++)
        if (!LOAD_GOT(load, lines[i]))
            return;
    put_lines(out, lines, count, true);
}

/* ---- hash ---- */

static void without(struct node *map, const char *key)
{
    struct node_entry *entry = node_find(map, key);
    if (entry != NULL)
        node_remove(map, entry);
}

/* A file that must be there is printed as its path alone. */
static void shorten_env_files(const struct node *service)
{
    struct node *files = node_get(service, "env_file");
    for (size_t i = 0; files != NULL && i < files->count; i++) {
        const char *required = text_of(files->items[i], "required");
        struct node *path = node_get(files->items[i], "path");
        if (path != NULL && required != NULL && strcmp(required, "true") == 0)
            files->items[i] = path;
    }
}

/* What may change while a container stays what it is, goes out. */
static void put_hash(struct load *load, struct text *out, const char *name, const struct node *service)
{
    static const char *const left_out[] = {"build", "pull_policy", "scale", "depends_on", "profiles"};
    struct node *copy = node_clone(&load->nodes, service);
    struct text json = {0};
    char hash[65];
    if (!LOAD_GOT(load, copy))
        return;
    for (size_t i = 0; i < COUNT(left_out); i++)
        without(copy, left_out[i]);
    without(node_get(copy, "deploy"), "replicas");
    shorten_env_files(copy);
    print_json(load, &json, copy, PRINT_COMPACT);
    if (LOAD_GOT(load, json.failed ? NULL : json.bytes)) {
        base_sha256(json.bytes, json.count, hash);
        text_add_format(out, "%s %s\n", name, hash);
    }
    text_free(&json);
}

static void put_hashes(struct load *load, struct text *out, const struct node *services, const char *const *names)
{
    const struct place nowhere = {0};
    const struct node_entry **sorted = services == NULL ? NULL : node_sorted(&load->nodes, services);
    for (size_t i = 0; names == NULL && sorted != NULL && i < services->count; i++)
        put_hash(load, out, sorted[i]->key->text, sorted[i]->value);
    size_t count = 0;
    while (names != NULL && names[count] != NULL)
        count++;
    const char **wanted = arena_array(&load->nodes, count, sizeof *wanted);
    for (size_t i = 0; LOAD_GOT(load, wanted) && i < count; i++)
        wanted[i] = names[i];
    if (wanted != NULL && count > 1)
        qsort(wanted, count, sizeof *wanted, compare_texts);
    for (size_t i = 0; wanted != NULL && i < count; i++) {
        const struct node *service = node_get(services, wanted[i]);
        if (service != NULL)
            put_hash(load, out, wanted[i], service);
        else
            load_error(load, &nowhere, "no such service: %.100s", wanted[i]);
    }
}

/* ---- all ---- */

/* Rows come in their order, keys of no table behind them. */
static bool is_behind(const struct node_entry *entry, const struct key *row)
{
    return entry->row == NULL || entry->row->kind == NULL || entry->row > row;
}

/* Compose prints services even when there are none, foreign keys of the top in both forms, and no models in JSON. */
static void shape_top(struct load *load, struct node *model)
{
    struct node *models = node_get(model, "models");
    if (models != NULL)
        models->yaml_only = true;
    for (size_t i = 0; i < model->count; i++)
        if (is_extension(model->entries[i].key->text))
            model->entries[i].value->yaml_only = false;
    if (node_get(model, "services") != NULL)
        return;
    struct node *services = node_new(&load->nodes, NODE_MAP, model),
                *key = node_new_text(&load->nodes, model, "services");
    if (!LOAD_GOT(load, services) || !LOAD_GOT(load, key))
        return;
    const struct node_entry entry = {key, services, find_key(&fleet_section, "services")};
    if (!node_put_entry(&load->nodes, model, &entry))
        load->out_of_memory = true;
    for (size_t i = model->count - 1; i > 0 && is_behind(&model->entries[i - 1], entry.row); i--) {
        model->entries[i] = model->entries[i - 1];
        model->entries[i - 1] = entry;
    }
}

static void print_part(struct load *load, const shoal_config_options_t *config, struct node *model, struct text *out)
{
    const struct node *services = node_get(model, "services");
    enum print_form form = config->no_interpolate ? PRINT_RAW : PRINT_TYPED;
    switch (config->part) {
    case SHOAL_CONFIG_ALL:
        if (!config->no_interpolate)
            shape_top(load, model);
        for (size_t i = 0; config->no_env_files && services != NULL && i < services->count; i++)
            shorten_env_files(services->entries[i].value);
        if (config->json)
            print_json(load, out, model, form);
        else
            print_yaml(load, out, model, form);
        break;
    case SHOAL_CONFIG_NOTHING:
        break;
    case SHOAL_CONFIG_SERVICES:
        put_keys(load, out, services);
        break;
    case SHOAL_CONFIG_VOLUMES:
        put_keys(load, out, node_get(model, "volumes"));
        break;
    case SHOAL_CONFIG_NETWORKS:
        put_keys(load, out, node_get(model, "networks"));
        break;
    case SHOAL_CONFIG_MODELS:
        put_keys(load, out, node_get(model, "models"));
        break;
    case SHOAL_CONFIG_IMAGES:
        put_images(load, out, services);
        break;
    case SHOAL_CONFIG_PROFILES:
        put_profiles(load, out, services);
        break;
    case SHOAL_CONFIG_HASH:
        put_hashes(load, out, services, config->hash);
        break;
    case SHOAL_CONFIG_ENVIRONMENT:
        put_environment(load, out);
        break;
    }
}

static void run(struct load *load, const shoal_config_options_t *config, struct text *out)
{
    load_open(load);
    load->no_interpolation = config->no_interpolate;
    load->no_normalization = config->no_normalize;
    load->keep_paths = config->no_paths;
    bool files = (config->part == SHOAL_CONFIG_ALL || config->part == SHOAL_CONFIG_NOTHING ||
                  config->part == SHOAL_CONFIG_ENVIRONMENT) &&
                 !config->no_env_files;
    if (load->out_of_memory)
        return;
    struct node *model = load_fleet(load, load->options->services, !config->no_normalize, !config->no_consistency,
                                    files, false);
    if (model == NULL || load->has_error)
        return;
    print_part(load, config, model, out);
    if (!config->no_interpolate && !config->no_env_files &&
        (config->part == SHOAL_CONFIG_ALL || config->part == SHOAL_CONFIG_NOTHING) && !load->has_error)
        read_spec(load, model); /* for what is said of it */
}

int compose_config(const shoal_compose_options_t *options, const shoal_config_options_t *config, compose_read_cb read,
                   shoal_diagnostic_cb cb, void *data, char **out_text, size_t *out_count)
{
    enum { SPEC_BYTES = 64 << 20 };
    shoal_spec_t spec = {0};
    struct arena arena = {.limit = SPEC_BYTES};
    struct text out = {0};
    struct load load = {.options = options, .read = read, .spec = &spec, .arena = &arena, .lenient = true};
    text_add(&out, "", 0);
    run(&load, config, &out);
    bool failed = load.has_error || load.out_of_memory || arena.failed || load.nodes.failed || out.failed;
    load.out_of_memory = load.out_of_memory || out.failed;
    load_report(&load, cb, data);
    load_close(&load);
    arena_free(&arena);
    if (!failed) {
        *out_count = out.count;
        *out_text = text_take(&out);
    }
    text_free(&out);
    return failed ? -EINVAL : 0;
}

int shoal_compose_config(const shoal_compose_options_t *options, const shoal_config_options_t *config,
                         shoal_diagnostic_cb cb, void *data, char **out_text, size_t *out_count)
{
    return compose_config(options, config, compose_read_file, cb, data, out_text, out_count);
}
