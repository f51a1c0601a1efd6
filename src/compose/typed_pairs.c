/* Names with values, as what they mean: variables, labels, options, hosts. */
#include <stdlib.h>
#include <string.h>

#include "compose/typed.h"

/* Put a name; the last one of several holds. */
static void put_pair(struct load *load, struct node_index *index, struct node *key, struct node *value)
{
    struct node_entry *before = key == NULL ? NULL : node_index_find(index, key->text);
    if (key == NULL || value == NULL)
        return;
    if (before != NULL)
        before->value = value;
    else if (node_index_put(&load->nodes, index, &(struct node_entry){.key = key, .value = value}) < 0)
        load->out_of_memory = true;
}

struct node *typed_pairs(struct load *load, const struct place *at, const struct kind *kind, const struct node *node)
{
    bool keep_none = kind->becomes == AS_VARIABLES;
    struct node *map = typed_new_map(load, node);
    struct node_index index;
    if (map == NULL || node->kind == NODE_SCALAR || node_index_init(&index, map) < 0)
        return NOTHING;
    if (node_index_expect(&index, node->count) < 0)
        load->out_of_memory = true;
    for (size_t i = 0; i < node->count; i++) {
        char buffer[64];
        bool list = node->kind == NODE_LIST;
        struct node *value = list ? node->items[i] : node->entries[i].value;
        if (value->kind != NODE_SCALAR)
            continue;
        const char *text = typed_as_text(value, buffer);
        struct node *key = list ? NULL : node->entries[i].key;
        bool none = list ? strchr(text, '=') == NULL : node_is_null(value);
        if (list) {
            struct place item = place_item(at, node, i);
            size_t count = strcspn(text, "=");
            if (keep_none && count > 0 && strchr(" \t\n\r\v\f", text[count - 1]) != NULL)
                load_error(load, &item, "the variable's name \"%.*s\" ends in a blank", (int)(count < 60 ? count : 60),
                           text);
            key = typed_new_text(load, value, arena_copy(&load->nodes, text, count));
            text += count + (text[count] == '=');
        }
        struct node *out = none && keep_none                     ? typed_new_scalar(load, value, TYPE_NULL, "")
                           : !list && value->type == TYPE_STRING ? value
                                                                 : typed_new_text(load, value, none ? "" : text);
        put_pair(load, &index, key, out);
    }
    node_index_fini(&index);
    return map->count > 0 ? map : NOTHING;
}

/* id, or "id: path". */
struct node *typed_keys(struct load *load, const struct node *node)
{
    char buffer[64];
    struct node *list = typed_new_list(load, node);
    const struct node_entry **sorted = node->kind == NODE_MAP ? node_sorted(&load->nodes, node) : NULL;
    for (size_t i = 0; list != NULL && sorted != NULL && i < node->count; i++) {
        const char *path = typed_as_text(sorted[i]->value, buffer);
        typed_append(load, list,
                     typed_new_text(load, sorted[i]->value,
                                    path[0] == '\0'
                                        ? sorted[i]->key->text
                                        : arena_format(&load->nodes, "%s: %s", sorted[i]->key->text, path)));
    }
    return list != NULL && list->count > 0 ? list : NOTHING;
}

struct node *typed_option_lists(struct load *load, const struct node *node)
{
    char buffer[64];
    struct node *map = typed_new_map(load, node);
    for (size_t i = 0; map != NULL && i < node->count; i++) {
        const struct node *value = node->entries[i].value;
        struct node *list = typed_new_list(load, value);
        for (size_t k = 0; list != NULL && k < (value->kind == NODE_LIST ? value->count : 1); k++)
            typed_append(
                load, list,
                typed_new_text(load, value, typed_as_text(value->kind == NODE_LIST ? value->items[k] : value, buffer)));
        if (list != NULL && !node_put_entry(&load->nodes, map, &(struct node_entry){node->entries[i].key, list, NULL}))
            load->out_of_memory = true;
    }
    return map != NULL && map->count > 0 ? map : NOTHING;
}

/* One host's addresses as NAME=address items; brackets around an IPv6 address go away. */
static void append_host(struct load *load, const struct place *at, struct node *list, const struct node *where,
                        const char *name, const char *address)
{
    size_t count = strlen(address);
    bool brackets = count > 2 && address[0] == '[' && address[count - 1] == ']';
    if (name[0] == '\0' || strpbrk(name, ":=") != NULL) {
        load_error(load, at, "\"%.60s\" is not a host name", name);
        return;
    }
    typed_append(load, list,
                 typed_new_text(load, where,
                                arena_format(&load->nodes, "%s=%.*s", name, (int)(count - 2 * (size_t)brackets),
                                             address + brackets)));
}

static void append_hosts(struct load *load, const struct place *at, struct node *list, const struct node *item)
{
    char buffer[64];
    const char *text = typed_as_text(item, buffer);
    const char *mark = strchr(text, '=');
    mark = mark == NULL ? strchr(text, ':') : mark;
    if (mark == NULL) {
        load_error(load, at, "\"%.60s\" has no address; write NAME=10.0.0.1", text);
        return;
    }
    const char *name = arena_copy(&load->nodes, text, (size_t)(mark - text));
    for (const char *s = mark + 1; LOAD_GOT(load, name);) {
        size_t count = strcspn(s, ",");
        const char *address = arena_copy(&load->nodes, s, count);
        if (LOAD_GOT(load, address))
            append_host(load, at, list, item, name, address);
        if (s[count] == '\0')
            break;
        s += count + 1;
    }
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp((*(const struct node *const *)a)->text, (*(const struct node *const *)b)->text);
}

struct node *typed_hosts(struct load *load, const struct place *at, const struct node *node)
{
    struct node *list = typed_new_list(load, node);
    char buffer[64];
    for (size_t i = 0; list != NULL && node->kind != NODE_SCALAR && i < node->count; i++) {
        if (node->kind == NODE_LIST) {
            struct place item = place_item(at, node, i);
            append_hosts(load, &item, list, node->items[i]);
            continue;
        }
        struct place inner = place_key(at, &node->entries[i]);
        const struct node *value = node->entries[i].value;
        for (size_t k = 0; k < (value->kind == NODE_LIST ? value->count : 1); k++) {
            const struct node *address = value->kind == NODE_LIST ? value->items[k] : value;
            append_host(load, &inner, list, address, inner.word, typed_as_text(address, buffer));
        }
    }
    if (list == NULL || list->count == 0)
        return NOTHING;
    qsort(list->items, list->count, sizeof(struct node *), compare_texts);
    return list;
}
