/* What follows from what is written: dependencies from links and shared namespaces, the default network, full names;
 * values that come from the environment; and what fits the tables, but not together. */
#include <errno.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

typedef void (*each_fn)(struct load *load, const struct place *at, struct node *node, void *data);

/* Each mapping or null of a top-level section. */
static void each_of(struct load *load, struct node *root, const char *section, each_fn fn, void *data)
{
    const struct place top = {.file = root->file, .line = root->line, .column = root->column};
    const struct node_entry *entry = node_find(root, section);
    if (entry == NULL || entry->value->kind != NODE_MAP)
        return;
    struct place outer = place_key(&top, entry);
    for (size_t i = 0; i < entry->value->count; i++) {
        struct place inner = place_key(&outer, &entry->value->entries[i]);
        fn(load, &inner, entry->value->entries[i].value, data);
    }
}

static const char *text_of(const struct node *map, const char *key)
{
    const struct node *node = node_get(map, key);
    return node == NULL || node->kind != NODE_SCALAR || node->type == TYPE_NULL ? NULL : node->text;
}

static struct place place_of(const struct place *outer, const struct node *map, const char *key)
{
    const struct node_entry *entry = node_find(map, key);
    return entry == NULL ? *outer : place_key(outer, entry);
}

/* ---- what is written, but does not go together ---- */

static void check_external_volume(struct load *load, const struct place *at, struct node *volume, void *data)
{
    (void)data;
    const struct node *external = node_get(volume, "external");
    bool yes = false;
    if (external == NULL || external->kind != NODE_SCALAR)
        return;
    if (value_go_bool(external->text, &yes) < 0 || !yes)
        return;
    for (size_t i = 0; i < volume->count; i++) {
        const char *key = volume->entries[i].key->text;
        struct place inner = place_key(at, &volume->entries[i]);
        if (strcmp(key, "name") != 0 && strcmp(key, "external") != 0 && !is_extension(key))
            load_error(load, &inner,
                       "cannot stand together with external: true, which leaves all but the name to "
                       "whoever made it");
    }
}

/* A secret or config has exactly one source. */
static void check_source(struct load *load, const struct place *at, struct node *node, void *data)
{
    static const char *const keys[] = {"file", "environment", "content"};
    size_t most = *(const size_t *)data, count = 0;
    if (node->kind != NODE_MAP)
        return;
    for (size_t i = 0; i < most && i < COUNT(keys); i++)
        count += node_get(node, keys[i]) != NULL;
    if (count > 1)
        load_error(load, at, "has %zu sources; one of file, environment%s is its content", count,
                   most == 3 ? ", content" : "");
    else if (count == 0 && !node->damaged && node_get(node, "driver") == NULL && node_get(node, "external") == NULL)
        load_error(load, at, "has no source; one of file, environment%s must be there", most == 3 ? ", content" : "");
}

static void check_request(struct load *load, const struct place *at, const struct node *list)
{
    for (size_t i = 0; list != NULL && list->kind == NODE_LIST && i < list->count; i++) {
        struct place item = place_item(at, list, i);
        if (node_get(list->items[i], "count") != NULL && node_get(list->items[i], "device_ids") != NULL)
            load_error(load, &item, "count and device_ids cannot stand together");
    }
}

static void check_service_parts(struct load *load, const struct place *at, struct node *service, void *data)
{
    (void)data;
    if (service->kind != NODE_MAP)
        return;
    const struct node *ports = node_get(service, "ports");
    struct place ports_at = place_of(at, service, "ports");
    for (size_t i = 0; ports != NULL && ports->kind == NODE_LIST && i < ports->count; i++) {
        struct place item = place_item(&ports_at, ports, i);
        const char *ip = text_of(ports->items[i], "host_ip");
        if (ip != NULL && !value_is_ip(ip))
            load_error(load, &item, "\"%.60s\" is not an address", ip);
    }
    struct place gpus_at = place_of(at, service, "gpus");
    check_request(load, &gpus_at, node_get(service, "gpus"));
    const struct node *deploy = node_get(service, "deploy");
    struct place deploy_at = place_of(at, service, "deploy");
    check_request(load, &deploy_at, node_get(node_get(node_get(deploy, "resources"), "reservations"), "devices"));
    const struct node *watch = node_get(node_get(service, "develop"), "watch");
    struct place develop_at = place_of(at, service, "develop");
    for (size_t i = 0; watch != NULL && watch->kind == NODE_LIST && i < watch->count; i++) {
        struct place item = place_item(&develop_at, watch, i);
        const char *path = text_of(watch->items[i], "path");
        if (path != NULL && path[0] == '\0')
            load_error(load, &item, "the path is empty");
    }
}

void check_written(struct load *load, struct node *root)
{
    size_t secret = 2, config = 3;
    each_of(load, root, "volumes", check_external_volume, NULL);
    each_of(load, root, "configs", check_source, &config);
    each_of(load, root, "secrets", check_source, &secret);
    each_of(load, root, "services", check_service_parts, NULL);
}

/* ---- from the environment ---- */

static void resolve_listed(struct load *load, const struct place *at, struct node *service, void *data)
{
    (void)at, (void)data;
    struct node *list = node_get(service, "environment");
    for (size_t i = 0; list != NULL && list->kind == NODE_LIST && i < list->count; i++) {
        struct node *item = list->items[i];
        const char *value = item->kind == NODE_SCALAR ? load_variable(load, item->text) : NULL;
        if (value == NULL || strchr(item->text, '=') != NULL)
            continue;
        const char *line = arena_format(&load->nodes, "%s=%s", item->text, value);
        if (!LOAD_GOT(load, line))
            return;
        item->text = line;
        item->count = (uint32_t)strlen(line);
    }
}

void resolve_from_environment(struct load *load, struct node *root)
{
    if (!load->no_interpolation)
        each_of(load, root, "services", resolve_listed, NULL);
}

/* ---- services ---- */

struct network_use {
    bool of_default;
};

static void put(struct load *load, struct node *map, const char *key, struct node *value)
{
    if (LOAD_GOT(load, value) && !node_put(&load->nodes, map, key, value))
        load->out_of_memory = true;
}

static struct node *new_implied(struct load *load, enum node_kind kind, const struct node *at)
{
    struct node *node = node_new(&load->nodes, kind, at);
    if (LOAD_GOT(load, node))
        node->implied = true;
    return node;
}

static struct node *new_null(struct load *load, const struct node *at)
{
    struct node *node = node_new_scalar(&load->nodes, at, TYPE_NULL, "");
    if (LOAD_GOT(load, node))
        node->implied = true;
    return node;
}

static void depend_on(struct load *load, struct node_index *dependencies, const struct node *at, const char *name,
                      bool restart)
{
    if (node_index_find(dependencies, name) != NULL)
        return;
    struct node *dependency = new_implied(load, NODE_MAP, at);
    if (dependency == NULL)
        return;
    put(load, dependency, "condition", node_new_text(&load->nodes, at, "service_started"));
    struct node *flag = node_new_scalar(&load->nodes, at, TYPE_BOOL, restart ? "true" : "false");
    if (LOAD_GOT(load, flag))
        flag->implied = true;
    put(load, dependency, "restart", flag);
    put(load, dependency, "required", node_new_scalar(&load->nodes, at, TYPE_BOOL, "true"));
    struct node *key = node_new_text(&load->nodes, at, name);
    if (LOAD_GOT(load, key) &&
        node_index_put(&load->nodes, dependencies, &(struct node_entry){.key = key, .value = dependency}) < 0)
        load->out_of_memory = true;
}

static void follow_links(struct load *load, struct node *service)
{
    struct node *dependencies = node_get(service, "depends_on");
    struct node_index index;
    bool written = dependencies != NULL;
    if (written && dependencies->kind != NODE_MAP)
        return;
    if (!written)
        dependencies = new_implied(load, NODE_MAP, service);
    if (dependencies == NULL)
        return;
    if (node_index_init(&index, dependencies) < 0) {
        load->out_of_memory = true;
        node_index_fini(&index);
        return;
    }
    static const char *const namespaces[] = {"network_mode", "ipc", "pid", "uts", "cgroup"};
    const struct node *links = node_get(service, "links"), *from = node_get(service, "volumes_from");
    for (size_t i = 0; links != NULL && links->kind == NODE_LIST && i < links->count; i++) {
        const char *text = links->items[i]->text, *colon = strchr(text, ':');
        bool alias = colon != NULL && strchr(colon + 1, ':') == NULL;
        const char *name = alias ? arena_copy(&load->nodes, text, (size_t)(colon - text)) : text;
        if (LOAD_GOT(load, name))
            depend_on(load, &index, links->items[i], name, true);
    }
    for (size_t i = 0; i < COUNT(namespaces); i++) {
        const struct node *node = node_get(service, namespaces[i]);
        if (node != NULL && node->kind == NODE_SCALAR && strncmp(node->text, "service:", 8) == 0)
            depend_on(load, &index, node, node->text + 8, true);
    }
    for (size_t i = 0; from != NULL && from->kind == NODE_LIST && i < from->count; i++) {
        const char *text = from->items[i]->text;
        const char *name = arena_copy(&load->nodes, text, strcspn(text, ":"));
        if (LOAD_GOT(load, name) && strncmp(text, "container:", 10) != 0)
            depend_on(load, &index, from->items[i], name, false);
    }
    node_index_fini(&index);
    if (!written && dependencies->count > 0)
        put(load, service, "depends_on", dependencies);
}

static void put_text_if_missing(struct load *load, struct node *map, const char *key, const char *text)
{
    if (node_get(map, key) != NULL)
        return;
    struct node *value = node_new_text(&load->nodes, map, text);
    if (LOAD_GOT(load, value))
        value->implied = true;
    put(load, map, key, value);
}

/* Names without a value come from the environment; keep: those that are not there stay, as null. */
static void resolve_variables(struct load *load, struct node *map, const char *key, bool keep)
{
    struct node *variables = node_get(map, key);
    if (variables == NULL || variables->kind == NODE_SCALAR)
        return;
    size_t used = 0;
    for (size_t i = 0; i < variables->count; i++) {
        bool list = variables->kind == NODE_LIST;
        struct node *node = list ? variables->items[i] : variables->entries[i].value;
        const char *name = list ? node->text : variables->entries[i].key->text;
        bool bare = list ? strchr(name, '=') == NULL : node_is_null(node);
        const char *value = bare && !load->no_interpolation ? load_variable(load, name) : NULL;
        if (value != NULL) {
            const char *text = list ? arena_format(&load->nodes, "%s=%s", name, value) : value;
            node = LOAD_GOT(load, text) ? node_new_text(&load->nodes, node, text) : NULL;
            if (!LOAD_GOT(load, node))
                return;
        }
        if (bare && value == NULL && !keep)
            continue;
        if (list) {
            variables->items[used++] = node;
        } else {
            variables->entries[used] = variables->entries[i];
            variables->entries[used++].value = node;
        }
    }
    variables->count = (uint32_t)used;
}

static void normalise_service(struct load *load, const struct place *at, struct node *service, void *data)
{
    (void)at;
    struct network_use *use = data;
    if (service->kind != NODE_MAP)
        return;
    struct node *networks = node_get(service, "networks"), *build = node_get(service, "build");
    struct node *policy = node_get(service, "pull_policy"), *mounts = node_get(service, "volumes");
    if (node_get(service, "provider") == NULL && node_get(service, "network_mode") == NULL) {
        if (networks == NULL || (networks->kind == NODE_MAP && networks->count == 0)) {
            networks = new_implied(load, NODE_MAP, service);
            if (networks != NULL) {
                put(load, networks, "default", new_null(load, service));
                put(load, service, "networks", networks);
            }
        }
        use->of_default = use->of_default || node_get(networks, "default") != NULL;
    }
    if (policy != NULL && policy->kind == NODE_SCALAR && strcmp(policy->text, "if_not_present") == 0)
        put(load, service, "pull_policy", node_new_text(&load->nodes, policy, "missing"));
    if (build != NULL && build->kind == NODE_MAP) {
        put_text_if_missing(load, build, "context", ".");
        if (node_get(build, "dockerfile_inline") == NULL)
            put_text_if_missing(load, build, "dockerfile", "Dockerfile");
        resolve_variables(load, build, "args", false);
    }
    resolve_variables(load, service, "environment", true);
    follow_links(load, service);
    for (size_t i = 0; mounts != NULL && mounts->kind == NODE_LIST && i < mounts->count; i++) {
        struct node *target = node_get(mounts->items[i], "target");
        const char *clean = target == NULL || target->kind != NODE_SCALAR
                                ? NULL
                                : value_clean_path(&load->nodes, target->text);
        if (clean != NULL)
            put(load, mounts->items[i], "target", node_new_text(&load->nodes, target, clean));
    }
}

/* ---- names ---- */

static void name_all(struct load *load, struct node *root, const char *section)
{
    struct node *map = node_get(root, section);
    for (size_t i = 0; map != NULL && map->kind == NODE_MAP && i < map->count; i++) {
        struct node *value = map->entries[i].value;
        const char *key = map->entries[i].key->text;
        bool external = false;
        if (value->kind != NODE_MAP) {
            value = new_implied(load, NODE_MAP, map->entries[i].key);
            if (value == NULL)
                return;
            map->entries[i].value = value;
        }
        if (!node_is_null(node_get(value, "name")))
            continue;
        const char *written = text_of(value, "external");
        if (written != NULL && value_go_bool(written, &external) < 0)
            external = false;
        const char *name = external
                               ? key
                               : arena_format(&load->nodes, "%s_%s", load->project == NULL ? "" : load->project, key);
        if (LOAD_GOT(load, name)) {
            struct node *text = node_new_text(&load->nodes, value, name);
            if (LOAD_GOT(load, text))
                text->implied = true;
            put(load, value, "name", text);
        }
    }
}

void normalise(struct load *load, struct node *root)
{
    static const char *const sections[] = {"networks", "volumes", "configs", "secrets"};
    struct network_use use = {false};
    each_of(load, root, "services", normalise_service, &use);
    struct node *networks = node_get(root, "networks");
    if (use.of_default && networks == NULL) {
        networks = new_implied(load, NODE_MAP, root);
        put(load, root, "networks", networks);
    }
    if (use.of_default && networks != NULL && networks->kind == NODE_MAP && node_get(networks, "default") == NULL)
        put(load, networks, "default", new_null(load, root));
    for (size_t i = 0; i < COUNT(sections); i++)
        name_all(load, root, sections[i]);
}
