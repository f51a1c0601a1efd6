/* What of a fleet cannot change while it runs: each such key by what it says, so that two specs can be held against each
 * other without the trees they came from. The rows say which keys are live (struct key, `reload`). */
#include <string.h>

#include "compose/keys.h"

static uint64_t mix(uint64_t a, uint64_t b)
{
    return (a ^ b) * 0x9e3779b97f4a7c15u ^ a >> 29;
}

/* The order of a mapping's keys says nothing. */
static uint64_t what_it_says(const struct node *node)
{
    uint64_t hash = mix(node->kind + 1u, node->kind == NODE_SCALAR ? node->type : node->count);
    for (uint32_t i = 0; node->kind == NODE_LIST && i < node->count; i++)
        hash = mix(hash, what_it_says(node->items[i]));
    for (uint32_t i = 0; node->kind == NODE_MAP && i < node->count; i++) {
        const struct node *key = node->entries[i].key;
        hash += mix(base_hash(key->text, key->count), what_it_says(node->entries[i].value));
    }
    return node->kind == NODE_SCALAR ? mix(hash, base_hash(node->text, node->count)) : hash;
}

struct list {
    struct load *load;
    shoal_fixed_t *items; /* NULL: counted only */
    size_t count;
};

static void add_section(struct list *list, const struct place *at, const struct section *section,
                        const struct node *map, const char *before);

static void add_key(struct list *list, const struct place *at, const struct section *section,
                    const struct node_entry *entry, const char *before)
{
    const struct key *row = find_key(section, entry->key->text);
    if (row == NULL || row->reload == RELOAD_LIVE)
        return; /* a foreign x- key */
    if (entry->value->json_only && entry->value->count == 0)
        return; /* it is there for the form's sake */
    struct place inner = place_key(at, entry);
    if (row->reload == RELOAD_INSIDE && entry->value->kind == NODE_SCALAR)
        return; /* a short form of what is live, or null: nothing is said */
    bool outermost = before[0] == '\0';
    char *path = NULL;
    if (list->items != NULL || row->reload == RELOAD_INSIDE) {
        path = outermost ? (char *)(uintptr_t)row->name : arena_format(list->load->arena, "%s.%s", before, row->name);
        if (!LOAD_GOT(list->load, path))
            return;
    }
    if (row->reload == RELOAD_INSIDE && entry->value->kind == NODE_MAP) {
        add_section(list, &inner, row->section, entry->value, path);
        return;
    }
    if (list->items != NULL)
        list->items[list->count] = (shoal_fixed_t){path, what_it_says(entry->value),
                                                   place_position(list->load, &inner)};
    list->count++;
}

static void add_section(struct list *list, const struct place *at, const struct section *section,
                        const struct node *map, const char *before)
{
    for (uint32_t i = 0; i < map->count && !list->load->out_of_memory; i++)
        add_key(list, at, section, &map->entries[i], before);
}

static void collect(struct load *load, const struct place *at, const struct section *section, const struct node *map,
                    size_t *out_count, shoal_fixed_t **out)
{
    if (map->kind != NODE_MAP)
        return;
    struct list list = {.load = load};
    add_section(&list, at, section, map, "");
    list.items = arena_array(load->arena, list.count + 1, sizeof *list.items);
    if (!LOAD_GOT(load, list.items))
        return;
    list.count = 0;
    add_section(&list, at, section, map, "");
    *out = list.items;
    *out_count = list.count;
}

void read_fixed(struct load *load, const struct place *at, const struct node *model)
{
    shoal_spec_t *spec = load->spec;
    collect(load, at, &fleet_section, model, &spec->fixed_count, &spec->fixed);
    for (size_t i = 0; i < spec->service_count && !load->out_of_memory; i++) {
        const struct node_entry *entry = &load->services->entries[i];
        struct place inner = place_key(&load->services_at, entry);
        collect(load, &inner, &service_section, entry->value, &spec->services[i].fixed_count, &spec->services[i].fixed);
    }
}
