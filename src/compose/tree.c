/* Changing a tree of nodes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compose/names.h"
#include "compose/node.h"

struct node *node_new(struct arena *arena, enum node_kind kind, const struct node *at)
{
    struct node *node = arena_alloc(arena, sizeof *node);
    if (node == NULL)
        return NULL;
    node->kind = (uint8_t)kind;
    if (at != NULL) {
        node->file = at->file;
        node->line = at->line;
        node->column = at->column;
        node->variable = at->variable;
    }
    return node;
}

struct node *node_new_scalar(struct arena *arena, const struct node *at, enum node_type type, const char *text)
{
    struct node *node = node_new(arena, NODE_SCALAR, at);
    if (node == NULL)
        return NULL;
    node->type = (uint8_t)type;
    node->count = (uint32_t)strlen(text);
    node->text = arena_copy(arena, text, node->count);
    return node->text == NULL ? NULL : node;
}

struct node *node_new_text(struct arena *arena, const struct node *at, const char *text)
{
    return node_new_scalar(arena, at, TYPE_STRING, text);
}

struct node *node_clone(struct arena *arena, const struct node *node)
{
    struct node *copy = arena_alloc(arena, sizeof *copy);
    if (copy == NULL)
        return NULL;
    *copy = *node;
    if (node->kind == NODE_SCALAR)
        return copy; /* a text is never changed in place */
    copy->room = node->count;
    if (node->kind == NODE_LIST) {
        copy->items = arena_array(arena, node->count, sizeof *copy->items);
        for (size_t i = 0; copy->items != NULL && i < node->count; i++)
            if ((copy->items[i] = node_clone(arena, node->items[i])) == NULL)
                return NULL;
        return copy->items == NULL ? NULL : copy;
    }
    copy->entries = arena_array(arena, node->count, sizeof *copy->entries);
    for (size_t i = 0; copy->entries != NULL && i < node->count; i++) {
        copy->entries[i] = node->entries[i];
        if ((copy->entries[i].value = node_clone(arena, node->entries[i].value)) == NULL)
            return NULL;
    }
    return copy->entries == NULL ? NULL : copy;
}

struct node_entry *node_find(const struct node *map, const char *key)
{
    if (map == NULL || map->kind != NODE_MAP)
        return NULL;
    size_t count = strlen(key);
    for (size_t i = 0; i < map->count; i++)
        if (map->entries[i].key->count == count && memcmp(map->entries[i].key->text, key, count) == 0)
            return &map->entries[i];
    return NULL;
}

struct node *node_get(const struct node *map, const char *key)
{
    const struct node_entry *entry = node_find(map, key);
    return entry == NULL ? NULL : entry->value;
}

/* Room for one more item or entry. */
static bool grow(struct arena *arena, struct node *node, size_t item_bytes)
{
    if (node->count < node->room)
        return true;
    if (node->room > UINT32_MAX / 2 - 4)
        return false;
    uint32_t room = node->room * 2 + 4;
    void *grown = arena_array(arena, room, item_bytes);
    if (grown == NULL)
        return false;
    const void *old = node->kind == NODE_LIST ? (const void *)node->items : node->entries;
    if (node->count > 0)
        memcpy(grown, old, node->count * item_bytes);
    if (node->kind == NODE_LIST)
        node->items = grown;
    else
        node->entries = grown;
    node->room = room;
    return true;
}

bool node_put_entry(struct arena *arena, struct node *map, const struct node_entry *entry)
{
    const struct node_entry copy = *entry; /* it may lie in what grows */
    if (!grow(arena, map, sizeof *map->entries))
        return false;
    map->entries[map->count++] = copy;
    map->checked = false;
    return true;
}

bool node_put(struct arena *arena, struct node *map, const char *key, struct node *value)
{
    struct node_entry *entry = node_find(map, key);
    if (value == NULL)
        return false;
    map->checked = false;
    if (entry != NULL) {
        entry->value = value;
        return true;
    }
    struct node *name = node_new_text(arena, value, key);
    return name != NULL && node_put_entry(arena, map, &(struct node_entry){.key = name, .value = value});
}

void node_remove(struct node *map, const struct node_entry *entry)
{
    size_t at = (size_t)(entry - map->entries);
    memmove(&map->entries[at], &map->entries[at + 1], (map->count - at - 1) * sizeof *map->entries);
    map->count--;
}

bool node_append(struct arena *arena, struct node *list, struct node *item)
{
    if (item == NULL || !grow(arena, list, sizeof(struct node *)))
        return false;
    list->items[list->count++] = item;
    list->checked = false;
    return true;
}

static bool scalars_equal(const struct node *a, const struct node *b)
{
    char first[64], second[64];
    bool numbers = (a->type == TYPE_INT || a->type == TYPE_FLOAT) && (b->type == TYPE_INT || b->type == TYPE_FLOAT);
    if (numbers)
        return strcmp(node_number_text(a, first), node_number_text(b, second)) == 0;
    if (a->type != b->type)
        return false;
    if (a->type == TYPE_BOOL)
        return (a->text[0] | 0x20) == (b->text[0] | 0x20);
    return a->type == TYPE_NULL || strcmp(a->text, b->text) == 0;
}

bool node_equal(const struct node *a, const struct node *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == NODE_SCALAR)
        return scalars_equal(a, b);
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct node *other = a->kind == NODE_LIST ? b->items[i] : node_get(b, a->entries[i].key->text);
        if (other == NULL || !node_equal(a->kind == NODE_LIST ? a->items[i] : a->entries[i].value, other))
            return false;
    }
    return true;
}

/* ---- an index ---- */

enum { SMALL = 16 };

static int build_index(struct node_index *index, size_t expected)
{
    index->names = calloc(1, sizeof *index->names);
    if (index->names == NULL || names_reserve(index->names, index->map->count + expected) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < index->map->count; i++)
        if (names_put(index->names, index->map->entries[i].key->text, i, NULL) < 0)
            return -ENOMEM;
    return 0;
}

int node_index_init(struct node_index *index, struct node *map)
{
    *index = (struct node_index){.map = map};
    return map->count > SMALL ? build_index(index, 0) : 0;
}

int node_index_expect(struct node_index *index, size_t count)
{
    if (index->names != NULL)
        return names_reserve(index->names, index->map->count + count);
    return index->map->count + count > SMALL ? build_index(index, count) : 0;
}

struct node_entry *node_index_find(const struct node_index *index, const char *key)
{
    size_t number;
    if (index->names == NULL)
        return node_find(index->map, key);
    return names_get(index->names, key, &number) ? &index->map->entries[number] : NULL;
}

int node_index_put(struct arena *arena, struct node_index *index, const struct node_entry *entry)
{
    if (!node_put_entry(arena, index->map, entry))
        return -ENOMEM;
    size_t last = index->map->count - 1;
    if (index->names != NULL)
        return names_put(index->names, index->map->entries[last].key->text, last, NULL) < 0 ? -ENOMEM : 0;
    return index->map->count > SMALL ? build_index(index, 0) : 0;
}

void node_index_fini(struct node_index *index)
{
    if (index->names != NULL)
        names_free(index->names);
    free(index->names);
    index->names = NULL;
}
