/* What refers to what, and what goes together, of the services that are active. Trees are typed ones. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

struct fleet {
    struct load *load;
    const struct node *root, *services;
    struct place services_at;
    struct names numbers, inactive; /* of services, of those that are not active */
    struct names known[5];          /* names of sections */
};

enum { NETWORKS, VOLUMES, SECRETS, CONFIGS, MODELS };
static const char *const sections[] = {"networks", "volumes", "secrets", "configs", "models"};
static const char *const singular[] = {"network", "volume", "secret", "config", "model"};

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

static void index_keys(struct fleet *f, struct names *names, const struct node *map)
{
    for (size_t i = 0; map != NULL && map->kind == NODE_MAP && i < map->count; i++)
        if (names_put(names, map->entries[i].key->text, i, NULL) < 0)
            f->load->out_of_memory = true;
}

/* "; did you mean "x"?" of a tree of names, by walking the mapping they came from. */
static const char *nearest_in(const struct node *map, const char *word, char out[120])
{
    enum { MOST = 256 };
    const char *words[MOST];
    size_t count = 0;
    for (size_t i = 0; map != NULL && map->kind == NODE_MAP && i < map->count && count < MOST; i++)
        words[count++] = map->entries[i].key->text;
    return nearest_word(words, count, word, out);
}

static void check_known(const struct fleet *f, const struct place *at, unsigned section, const char *name)
{
    size_t number;
    char hint[120];
    if (name == NULL || names_get(&f->known[section], name, &number))
        return;
    load_error(f->load, at, "the %s \"%.100s\" is not defined under %s%s%s", singular[section], name, sections[section],
               section == VOLUMES ? "; a path begins with / ./ or ~" : "",
               load_is_full(f->load) ? "" : nearest_in(node_get(f->root, sections[section]), name, hint));
}

static void check_sources(const struct fleet *f, const struct place *at, const struct node *service, const char *key,
                          unsigned section)
{
    const struct node *list = node_get(service, key);
    struct place outer = place_of(at, service, key);
    for (size_t i = 0; list != NULL && list->kind == NODE_LIST && i < list->count; i++) {
        struct place item = place_item(&outer, list, i);
        const char *name = text_of(list->items[i], "source");
        check_known(f, &item, section, name == NULL ? "" : name);
    }
}

static void check_keys(const struct fleet *f, const struct place *at, const struct node *service, const char *key,
                       unsigned section)
{
    const struct node *map = node_get(service, key);
    struct place outer = place_of(at, service, key);
    for (size_t i = 0; map != NULL && map->kind == NODE_MAP && i < map->count; i++) {
        struct place inner = place_key(&outer, &map->entries[i]);
        check_known(f, &inner, section, map->entries[i].key->text);
    }
}

/* ---- mounts ---- */

static void check_mounts(const struct fleet *f, const struct place *at, const struct node *service)
{
    const struct node *tmpfs = node_get(service, "tmpfs"), *mounts = node_get(service, "volumes");
    struct place tmpfs_at = place_of(at, service, "tmpfs"), mounts_at = place_of(at, service, "volumes");
    struct names targets = {0};
    size_t count = (tmpfs == NULL ? 0 : tmpfs->count) + (mounts == NULL ? 0 : mounts->count), taken = 0;
    if (names_reserve(&targets, count) < 0)
        f->load->out_of_memory = true;
    for (size_t i = 0; i < count && !f->load->out_of_memory; i++) {
        bool is_tmpfs = tmpfs != NULL && i < tmpfs->count;
        size_t number = is_tmpfs || tmpfs == NULL ? i : i - tmpfs->count, line = 0;
        struct place item = is_tmpfs ? place_item(&tmpfs_at, tmpfs, number) : place_item(&mounts_at, mounts, number);
        const struct node *mount = is_tmpfs ? NULL : mounts->items[number];
        const char *target = is_tmpfs ? arena_copy(&f->load->nodes, tmpfs->items[number]->text,
                                                   strcspn(tmpfs->items[number]->text, ":"))
                                      : text_of(mount, "target");
        const char *type = is_tmpfs ? NULL : text_of(mount, "type"),
                   *source = is_tmpfs ? NULL : text_of(mount, "source");
        if (type != NULL && strcmp(type, "volume") == 0 && source != NULL)
            check_known(f, &item, VOLUMES, source);
        int code = target == NULL ? 1 : names_put(&targets, target, (size_t)item.line, &line);
        if (code < 0)
            f->load->out_of_memory = true;
        else if (code == 0)
            load_error(f->load, &item, "%.200s is mounted on already, on line %zu", target, line);
        taken += code > 0;
    }
    names_free(&targets);
}

/* ---- one service's keys among each other ---- */

static bool differ(const struct node *a, const struct node *b)
{
    bool zero_a = a == NULL || (a->json_only && a->yaml_only), zero_b = b == NULL || (b->json_only && b->yaml_only);
    return zero_a != zero_b || (!zero_a && strcmp(a->text, b->text) != 0);
}

/* Compose compares as soon as there is a section for the long form, even when that has not this key. */
static void check_limits(const struct fleet *f, const struct place *at, const struct node *service)
{
    static const struct {
        const char *key, *section, *inner, *full;
    } rows[] = {{"cpus", "limits", "cpus", "deploy.resources.limits.cpus"},
                {"mem_limit", "limits", "memory", "deploy.resources.limits.memory"},
                {"mem_reservation", "reservations", "memory", "deploy.resources.reservations.memory"},
                {"pids_limit", "limits", "pids", "deploy.resources.limits.pids"}};
    const struct node *resources = node_get(node_get(service, "deploy"), "resources");
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct node *section = node_get(resources, rows[i].section), *value = node_get(service, rows[i].key);
        if (value == NULL || value->json_only || section == NULL || section->damaged ||
            !differ(value, node_get(section, rows[i].inner)))
            continue;
        struct place inner = place_of(at, service, rows[i].key);
        load_error(f->load, &inner, "can't set distinct values on '%s' and '%s'", rows[i].key, rows[i].full);
    }
}

static void check_count(const struct fleet *f, const struct place *at, const struct node *service)
{
    const struct node *scale = node_get(service, "scale"), *deploy = node_get(service, "deploy");
    const struct node *replicas = node_get(deploy, "replicas");
    const char *count = scale != NULL ? scale->text : replicas != NULL ? replicas->text : "1";
    struct place scale_at = place_of(at, service, "scale"), deploy_at = place_of(at, service, "deploy");
    struct place replicas_at = place_of(&deploy_at, deploy, "replicas");
    const char *name = text_of(service, "container_name");
    if (scale != NULL && replicas != NULL && strcmp(scale->text, replicas->text) != 0)
        load_error(f->load, &scale_at, "can't set distinct values on 'scale' and 'deploy.replicas'");
    if (count[0] == '-')
        load_error(f->load, scale != NULL ? &scale_at : &replicas_at, "%s is negative", count);
    else if (name != NULL && strcmp(count, "0") != 0 && strcmp(count, "1") != 0) {
        struct place name_at = place_of(at, service, "container_name");
        load_error(f->load, &name_at, "one name cannot be that of %s containers (%s)", count,
                   scale != NULL ? "scale" : "deploy.replicas");
    }
}

static void check_build(const struct fleet *f, const struct place *at, const struct node *service)
{
    const struct node *build = node_get(service, "build"), *contexts = node_get(build, "additional_contexts");
    const struct node *platforms = node_get(build, "platforms");
    const char *platform = text_of(service, "platform");
    struct place build_at = place_of(at, service, "build");
    if (build == NULL)
        return;
    if (node_get(build, "dockerfile") != NULL && node_get(build, "dockerfile_inline") != NULL)
        load_error(f->load, &build_at, "dockerfile and dockerfile_inline cannot stand together");
    struct place contexts_at = place_of(&build_at, build, "additional_contexts");
    for (size_t i = 0; contexts != NULL && i < contexts->count; i++) {
        struct place inner = place_key(&contexts_at, &contexts->entries[i]);
        const char *text = contexts->entries[i].value->text;
        size_t number;
        if (strncmp(text, "service:", 8) != 0)
            continue;
        if (!names_get(&f->numbers, text + 8, &number))
            load_error(f->load, &inner, "there is no service \"%.100s\"", text + 8);
        else if (node_get(f->services->entries[number].value, "build") == NULL)
            load_error(f->load, &inner, "the service \"%.100s\" is not built", text + 8);
    }
    bool found = platform == NULL || platforms == NULL || platforms->count == 0;
    for (size_t i = 0; !found && i < platforms->count; i++)
        found = strcmp(platforms->items[i]->text, platform) == 0;
    if (!found)
        load_error(f->load, &build_at, "platforms has not the service's platform, %.60s", platform);
    check_sources(f, &build_at, build, "secrets", SECRETS);
}

static void check_health(const struct fleet *f, const struct place *at, const struct node *service)
{
    const struct node *health = node_get(service, "healthcheck"), *test = node_get(health, "test");
    if (test == NULL || test->count == 0)
        return;
    const char *first = test->items[0]->text;
    struct place health_at = place_of(at, service, "healthcheck"), test_at = place_of(&health_at, health, "test");
    if (strcmp(first, "CMD") != 0 && strcmp(first, "CMD-SHELL") != 0 && strcmp(first, "NONE") != 0)
        load_error(f->load, &test_at, "\"%.60s\" comes first; a list begins with CMD, CMD-SHELL or NONE", first);
}

static void check_watch(const struct fleet *f, const struct place *at, const struct node *service)
{
    const struct node *develop = node_get(service, "develop"), *watch = node_get(develop, "watch");
    struct place develop_at = place_of(at, service, "develop"), watch_at = place_of(&develop_at, develop, "watch");
    for (size_t i = 0; watch != NULL && i < watch->count; i++) {
        const char *action = text_of(watch->items[i], "action");
        struct place item = place_item(&watch_at, watch, i);
        if (action != NULL && text_of(watch->items[i], "target") == NULL && strcmp(action, "rebuild") != 0 &&
            strcmp(action, "restart") != 0)
            load_error(f->load, &item, "the action %.60s needs a target", action);
    }
}

static void check_references(const struct fleet *f, const struct place *at, const struct node *service)
{
    const struct node *networks = node_get(service, "networks"), *dependencies = node_get(service, "depends_on");
    const char *mode = text_of(service, "network_mode");
    struct place mode_at = place_of(at, service, "network_mode");
    struct place dependencies_at = place_of(at, service, "depends_on");
    size_t number;
    char hint[120];
    if (mode != NULL && networks != NULL && networks->count > 0) {
        struct place networks_at = place_of(at, service, "networks");
        load_error(f->load, &networks_at, "cannot stand together with network_mode");
    }
    check_keys(f, at, service, "networks", NETWORKS);
    check_keys(f, at, service, "models", MODELS);
    check_sources(f, at, service, "configs", CONFIGS);
    check_sources(f, at, service, "secrets", SECRETS);
    for (size_t i = 0; dependencies != NULL && i < dependencies->count; i++) {
        const struct node_entry *entry = &dependencies->entries[i];
        struct place inner = place_key(&dependencies_at, entry);
        const char *required = text_of(entry->value, "required");
        bool optional = required != NULL && strcmp(required, "false") == 0;
        bool inactive = names_get(&f->inactive, entry->key->text, &number);
        if (names_get(&f->numbers, entry->key->text, &number) || (optional && inactive))
            continue;
        if (inactive)
            load_error(f->load, &inner, "the service \"%.100s\" is not active: none of its profiles is",
                       entry->key->text);
        else
            load_error(f->load, &inner, "there is no service \"%.100s\"%s", entry->key->text,
                       load_is_full(f->load) ? "" : nearest_in(f->services, entry->key->text, hint));
    }
    if (mode != NULL && strncmp(mode, "service:", 8) == 0 && node_get(dependencies, mode + 8) == NULL &&
        !names_get(&f->numbers, mode + 8, &number))
        load_error(f->load, &mode_at, "there is no service \"%.100s\"", mode + 8);
}

static void check_one(const struct fleet *f, const struct place *at, const struct node *service)
{
    if (!service->damaged && node_get(service, "image") == NULL && node_get(service, "build") == NULL &&
        node_get(service, "provider") == NULL)
        load_error(f->load, at, "has neither image nor build; write image: builtin:busybox or dir:/path");
    check_build(f, at, service);
    check_references(f, at, service);
    check_health(f, at, service);
    check_mounts(f, at, service);
    check_limits(f, at, service);
    check_count(f, at, service);
    check_watch(f, at, service);
}

/* ---- order: no service may wait for itself ---- */

enum colour { WHITE, GREY, BLACK };
struct step {
    size_t service, next; /* next: the dependency to follow */
};

static void report_circle(const struct fleet *f, const struct step *stack, size_t count, size_t closing,
                          const struct node_entry *entry)
{
    struct text words = {0};
    size_t from = count, shown = 0;
    while (from > 0 && stack[from - 1].service != closing)
        from--;
    for (size_t i = from - 1; i < count; i++) {
        if (++shown <= 8)
            text_add_format(&words, "%.100s -> ", f->services->entries[stack[i].service].key->text);
        else if (shown == 9)
            text_add_string(&words, "... -> ");
    }
    text_add_string(&words, f->services->entries[closing].key->text);
    const struct node_entry *service = &f->services->entries[stack[count - 1].service];
    struct place service_at = place_key(&f->services_at, service);
    struct place outer = place_of(&service_at, service->value, "depends_on");
    struct place at = place_key(&outer, entry);
    if (LOAD_GOT(f->load, words.failed ? NULL : words.bytes))
        load_error(f->load, &at, "services wait for each other: %s", words.bytes);
    text_free(&words);
}

/* Depth first without recursion: a chain may be as long as the fleet. */
static void check_order(const struct fleet *f)
{
    size_t count = f->services->count;
    unsigned char *colours = arena_array(&f->load->nodes, count, 1);
    struct step *stack = arena_array(&f->load->nodes, count, sizeof *stack);
    if (!LOAD_GOT(f->load, colours) || !LOAD_GOT(f->load, stack))
        return;
    for (size_t root = 0; root < count; root++) {
        size_t depth = 0;
        if (colours[root] == WHITE)
            stack[depth++] = (struct step){root, 0};
        colours[root] = colours[root] == WHITE ? GREY : colours[root];
        while (depth > 0) {
            struct step *top = &stack[depth - 1];
            const struct node *dependencies = node_get(f->services->entries[top->service].value, "depends_on");
            if (dependencies == NULL || dependencies->kind != NODE_MAP || top->next == dependencies->count) {
                colours[top->service] = BLACK;
                depth--;
                continue;
            }
            const struct node_entry *entry = &dependencies->entries[top->next++];
            size_t number;
            if (!names_get(&f->numbers, entry->key->text, &number))
                continue;
            if (colours[number] == GREY) {
                report_circle(f, stack, depth, number, entry);
            } else if (colours[number] == WHITE) {
                colours[number] = GREY;
                stack[depth++] = (struct step){number, 0};
            }
        }
    }
}

/* ---- all ---- */

static void check_secrets(const struct fleet *f, const struct place *top)
{
    const struct node *map = node_get(f->root, "secrets");
    struct place outer = place_of(top, f->root, "secrets");
    for (size_t i = 0; map != NULL && i < map->count; i++) {
        const struct node *secret = map->entries[i].value;
        struct place at = place_key(&outer, &map->entries[i]);
        if (!secret->damaged && node_get(secret, "external") == NULL && node_get(secret, "file") == NULL &&
            node_get(secret, "environment") == NULL)
            load_error(f->load, &at, "has no source; one of file, environment must be there");
    }
}

void check_consistency(struct load *load, const struct node *root)
{
    const struct place top = {.file = root->file, .line = root->line, .column = root->column};
    struct fleet f = {.load = load, .root = root, .services = node_get(root, "services")};
    f.services_at = place_of(&top, root, "services");
    index_keys(&f, &f.numbers, f.services);
    index_keys(&f, &f.inactive, load->inactive);
    for (size_t i = 0; i < COUNT(sections); i++)
        index_keys(&f, &f.known[i], node_get(root, sections[i]));
    for (size_t i = 0; f.services != NULL && i < f.services->count && !load->out_of_memory; i++) {
        struct place at = place_key(&f.services_at, &f.services->entries[i]);
        check_one(&f, &at, f.services->entries[i].value);
    }
    check_secrets(&f, &top);
    if (f.services != NULL && !load->out_of_memory)
        check_order(&f);
    names_free(&f.numbers);
    names_free(&f.inactive);
    for (size_t i = 0; i < COUNT(sections); i++)
        names_free(&f.known[i]);
}

void check_container_names(struct load *load, const struct node *root)
{
    const struct place top = {.file = root->file, .line = root->line, .column = root->column};
    const struct node *services = node_get(root, "services");
    struct place outer = place_of(&top, root, "services");
    struct names names = {0};
    for (size_t i = 0; services != NULL && i < services->count; i++) {
        struct place service_at = place_key(&outer, &services->entries[i]);
        const char *name = text_of(services->entries[i].value, "container_name");
        if (name == NULL)
            continue;
        struct place at = place_of(&service_at, services->entries[i].value, "container_name");
        size_t line = 0;
        int code = names_put(&names, name, (size_t)at.line, &line);
        if (code < 0)
            load->out_of_memory = true;
        else if (code == 0)
            load_error(load, &at, "the name \"%.100s\" is taken by another service, on line %zu", name, line);
    }
    names_free(&names);
}
