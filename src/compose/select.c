/* Which services are part of it: by profile, by name, and what those need. Trees are typed ones. */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "compose/language.h"

static const char *text_of(const struct node *map, const char *key)
{
    const struct node *node = node_get(map, key);
    return node == NULL || node->kind != NODE_SCALAR ? NULL : node->text;
}

static bool has_text(const struct node *list, const char *text)
{
    for (size_t i = 0; list != NULL && list->kind == NODE_LIST && i < list->count; i++)
        if (strcmp(list->items[i]->text, text) == 0)
            return true;
    return false;
}

static bool is_active(const struct load *load, const struct node *service)
{
    const struct node *profiles = node_get(service, "profiles");
    if (profiles == NULL || profiles->count == 0)
        return true;
    for (size_t i = 0; i < load->profile_count; i++)
        if (strcmp(load->profiles[i], "*") == 0 || has_text(profiles, load->profiles[i]))
            return true;
    return false;
}

static void put(struct load *load, struct node *map, const struct node_entry *entry)
{
    if (!node_put_entry(&load->nodes, map, entry))
        load->out_of_memory = true;
}

/* The services of other profiles go to load->inactive, for what is said of them. */
void select_profiles(struct load *load, struct node *root)
{
    struct node *services = node_get(root, "services");
    load->inactive = node_new(&load->nodes, NODE_MAP, root);
    if (services == NULL || !LOAD_GOT(load, load->inactive))
        return;
    size_t used = 0;
    for (size_t i = 0; i < services->count; i++) {
        if (is_active(load, services->entries[i].value))
            services->entries[used++] = services->entries[i];
        else
            put(load, load->inactive, &services->entries[i]);
    }
    services->count = (uint32_t)used;
}

/* Services that are named are active whatever their profile is; the profile is then active for others, too. */
void activate_named(struct load *load, struct node *root, const char *const *names)
{
    bool more = false;
    for (; names != NULL && *names != NULL; names++) {
        const struct node *service = node_get(load->inactive, *names), *profiles = node_get(service, "profiles");
        for (size_t i = 0; profiles != NULL && i < profiles->count; i++)
            more = load_add_profile(load, profiles->items[i]->text) || more;
    }
    struct node *services = node_get(root, "services"), *inactive = load->inactive;
    if (!more || services == NULL)
        return;
    for (size_t i = 0; i < inactive->count; i++)
        put(load, services, &inactive->entries[i]);
    select_profiles(load, root);
}

/* ---- the named ones and what they depend on ---- */

struct selection {
    struct node *services;
    struct names numbers; /* of services */
    bool *chosen;
    size_t *stack, depth;
};

static void choose(struct selection *s, size_t number)
{
    if (!s->chosen[number])
        s->stack[s->depth++] = number;
    s->chosen[number] = true;
}

static bool choose_by_name(struct load *load, struct selection *s, const char *const *names)
{
    const struct place nowhere = {0};
    bool all = true;
    for (; *names != NULL; names++) {
        bool any = false;
        for (size_t i = 0; i < s->services->count; i++) {
            if (fnmatch(*names, s->services->entries[i].key->text, 0) != 0)
                continue;
            choose(s, i);
            any = true;
        }
        if (!any)
            load_error(load, &nowhere, "no such service: %.100s", *names);
        all = all && any;
    }
    return all;
}

static void choose_needed(struct selection *s)
{
    while (s->depth > 0) {
        const struct node *service = s->services->entries[s->stack[--s->depth]].value;
        const struct node *dependencies = node_get(service, "depends_on");
        size_t number;
        for (size_t i = 0; dependencies != NULL && i < dependencies->count; i++)
            if (names_get(&s->numbers, dependencies->entries[i].key->text, &number))
                choose(s, number);
    }
}

bool select_services(struct load *load, struct node *root, const char *const *names)
{
    struct selection s = {.services = node_get(root, "services")};
    if (names == NULL || *names == NULL)
        return true;
    if (s.services == NULL) {
        const struct place nowhere = {0};
        load_error(load, &nowhere, "no such service: %.100s", *names);
        return false;
    }
    s.chosen = arena_array(&load->nodes, s.services->count, sizeof *s.chosen);
    s.stack = arena_array(&load->nodes, s.services->count, sizeof *s.stack);
    if (!LOAD_GOT(load, s.chosen) || !LOAD_GOT(load, s.stack))
        return false;
    for (size_t i = 0; i < s.services->count; i++)
        if (names_put(&s.numbers, s.services->entries[i].key->text, i, NULL) < 0)
            load->out_of_memory = true;
    bool good = choose_by_name(load, &s, names);
    choose_needed(&s);
    names_free(&s.numbers);
    size_t used = 0;
    for (size_t i = 0; i < s.services->count; i++) {
        if (s.chosen[i])
            s.services->entries[used++] = s.services->entries[i];
        else
            put(load, load->inactive, &s.services->entries[i]);
    }
    s.services->count = (uint32_t)used;
    return good;
}

/* ---- what no service uses ---- */

static void use(struct load *load, struct names *used, const char *name)
{
    if (name != NULL && names_put(used, name, 0, NULL) < 0)
        load->out_of_memory = true;
}

static void use_sources(struct load *load, struct names *used, const struct node *list)
{
    for (size_t i = 0; list != NULL && list->kind == NODE_LIST && i < list->count; i++)
        use(load, used, text_of(list->items[i], "source"));
}

static void use_keys(struct load *load, struct names *used, const struct node *map)
{
    for (size_t i = 0; map != NULL && map->kind == NODE_MAP && i < map->count; i++)
        use(load, used, map->entries[i].key->text);
}

static void keep_used(struct node *root, const char *section, const struct names *used)
{
    struct node_entry *entry = node_find(root, section);
    size_t kept = 0, number;
    if (entry == NULL)
        return;
    struct node *map = entry->value;
    for (size_t i = 0; i < map->count; i++)
        if (names_get(used, map->entries[i].key->text, &number))
            map->entries[kept++] = map->entries[i];
    map->count = (uint32_t)kept;
    if (kept == 0)
        node_remove(root, entry);
}

void drop_unneeded(struct load *load, struct node *root)
{
    enum { NETWORKS, VOLUMES, SECRETS, CONFIGS, MODELS, ALL };
    static const char *const sections[ALL] = {"networks", "volumes", "secrets", "configs", "models"};
    struct names used[ALL] = {0};
    const struct node *services = node_get(root, "services");
    for (size_t i = 0; services != NULL && i < services->count; i++) {
        const struct node *service = services->entries[i].value, *mounts = node_get(service, "volumes");
        use_keys(load, &used[NETWORKS], node_get(service, "networks"));
        use_keys(load, &used[MODELS], node_get(service, "models"));
        use_sources(load, &used[SECRETS], node_get(service, "secrets"));
        use_sources(load, &used[SECRETS], node_get(node_get(service, "build"), "secrets"));
        use_sources(load, &used[CONFIGS], node_get(service, "configs"));
        for (size_t k = 0; mounts != NULL && k < mounts->count; k++) {
            const char *type = text_of(mounts->items[k], "type");
            if (type != NULL && strcmp(type, "volume") == 0)
                use(load, &used[VOLUMES], text_of(mounts->items[k], "source"));
        }
    }
    for (size_t i = 0; i < ALL; i++) {
        keep_used(root, sections[i], &used[i]);
        names_free(&used[i]);
    }
}
