/* Long forms of what may be written short. */
#include <errno.h>
#include <string.h>

#include "compose/language.h"

static struct node *new_map(struct load *load, const struct node *at)
{
    struct node *map = node_new(&load->nodes, NODE_MAP, at);
    return LOAD_GOT(load, map) ? map : NULL;
}

static void put_text(struct load *load, struct node *map, const struct node *at, const char *key, const char *text)
{
    struct node *value = text == NULL ? NULL : node_new_text(&load->nodes, at, text);
    if (LOAD_GOT(load, value) && !node_put(&load->nodes, map, key, value))
        load->out_of_memory = true;
}

static void put_flag(struct load *load, struct node *map, const struct node *at, const char *key, bool flag)
{
    struct node *value = node_new_scalar(&load->nodes, at, TYPE_BOOL, flag ? "true" : "false");
    if (LOAD_GOT(load, value) && !node_put(&load->nodes, map, key, value))
        load->out_of_memory = true;
}

static struct node *text_under(struct load *load, struct node *text, const char *key)
{
    struct node *map = new_map(load, text);
    if (map != NULL && !node_put(&load->nodes, map, key, text))
        load->out_of_memory = true;
    return map;
}

struct node *lengthen_to_list(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    if (value->kind != NODE_SCALAR || value->type != TYPE_STRING)
        return value;
    struct node *list = node_new(&load->nodes, NODE_LIST, value);
    if (LOAD_GOT(load, list) && !node_append(&load->nodes, list, value))
        load->out_of_memory = true;
    return list;
}

struct node *lengthen_search(struct load *load, const struct place *at, struct node *value)
{
    return load->no_interpolation ? value : lengthen_to_list(load, at, value);
}

/* Empty items come from variables that are not set. */
struct node *lengthen_dns(struct load *load, const struct place *at, struct node *value)
{
    struct node *list = lengthen_to_list(load, at, value);
    size_t used = 0;
    for (size_t i = 0; list != NULL && list->kind == NODE_LIST && i < list->count; i++)
        if (list->items[i]->kind != NODE_SCALAR || list->items[i]->count > 0)
            list->items[used++] = list->items[i];
    if (list != NULL && list->kind == NODE_LIST)
        list->count = (uint32_t)used;
    return list;
}

struct node *lengthen_grant(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    return value->kind == NODE_SCALAR ? text_under(load, value, "source") : value;
}

struct node *lengthen_env_file(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    struct node *map = value->kind == NODE_SCALAR ? text_under(load, value, "path") : value;
    if (map != NULL && map->kind == NODE_MAP && node_get(map, "required") == NULL)
        put_flag(load, map, value, "required", true);
    return map;
}

struct node *lengthen_build(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    return value->kind == NODE_SCALAR ? text_under(load, value, "context") : value;
}

struct node *lengthen_extends(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    return value->kind == NODE_SCALAR ? text_under(load, value, "service") : value;
}

struct node *lengthen_gpus(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    if (value->kind != NODE_SCALAR)
        return value;
    struct node *list = node_new(&load->nodes, NODE_LIST, value), *map = new_map(load, value);
    if (!LOAD_GOT(load, list) || map == NULL)
        return NULL;
    put_text(load, map, value, "count", "all");
    if (!node_append(&load->nodes, list, map))
        load->out_of_memory = true;
    return list;
}

/* One more mapping of what `model` holds: the list may be long, so its keys and values are shared. */
static struct node *like(struct load *load, const struct node *at, const struct node *model)
{
    struct node *map = new_map(load, at);
    if (map == NULL)
        return NULL;
    map->entries = arena_array(&load->nodes, model->count, sizeof *map->entries);
    if (!LOAD_GOT(load, map->entries))
        return NULL;
    memcpy(map->entries, model->entries, model->count * sizeof *map->entries);
    map->count = map->room = model->count;
    return map;
}

/* A list of names as a mapping of them to nothing, or to what `model` holds. */
static struct node *names_to_map(struct load *load, struct node *list, const struct node *model)
{
    if (list->kind != NODE_LIST)
        return list;
    struct node *map = new_map(load, list);
    if (map == NULL)
        return NULL;
    map->damaged = list->damaged;
    struct node_index index;
    int code = node_index_init(&index, map);
    for (size_t i = 0; code == 0 && i < list->count; i++) {
        struct node *name = list->items[i];
        if (name->kind != NODE_SCALAR || node_index_find(&index, name->text) != NULL)
            continue;
        struct node *value = model != NULL ? like(load, name, model)
                                           : node_new_scalar(&load->nodes, name, TYPE_NULL, "");
        code = value == NULL ? -ENOMEM
                             : node_index_put(&load->nodes, &index, &(struct node_entry){.key = name, .value = value});
    }
    node_index_fini(&index);
    if (code < 0)
        load->out_of_memory = true;
    return map;
}

static void fill_dependency(struct load *load, struct node *map, const struct node *at)
{
    if (node_get(map, "condition") == NULL)
        put_text(load, map, at, "condition", "service_started");
    if (node_get(map, "required") == NULL)
        put_flag(load, map, at, "required", true);
}

struct node *lengthen_depends(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    if (value->kind == NODE_LIST) {
        struct node *model = new_map(load, value);
        if (model != NULL)
            fill_dependency(load, model, value);
        return model == NULL ? NULL : names_to_map(load, value, model);
    }
    for (size_t i = 0; value->kind == NODE_MAP && i < value->count; i++)
        if (value->entries[i].value->kind == NODE_MAP)
            fill_dependency(load, value->entries[i].value, value->entries[i].value);
    return value;
}

struct node *lengthen_names(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    return names_to_map(load, value, NULL);
}

struct node *lengthen_device(struct load *load, const struct place *at, struct node *value)
{
    if (value->kind != NODE_SCALAR)
        return value;
    struct node *map = new_map(load, value);
    const char *parts[3] = {value->text, "", "rwm"};
    size_t count = 0;
    if (map == NULL)
        return NULL;
    for (const char *s = value->text;; s++) {
        size_t length = strcspn(s, ":");
        if (count == COUNT(parts)) {
            if (load->no_interpolation) { /* Compose has an empty one then */
                parts[0] = parts[1] = "";
                parts[2] = "rwm";
                break;
            }
            load_error(load, at,
                       "\"%.100s\" has too many colons; write SOURCE:TARGET:rwm, or source: and target:", value->text);
            return NULL;
        }
        parts[count++] = arena_copy(&load->nodes, s, length);
        s += length;
        if (*s == '\0')
            break;
    }
    put_text(load, map, value, "source", parts[0]);
    put_text(load, map, value, "target", parts[1] == NULL || parts[1][0] == '\0' ? parts[0] : parts[1]);
    put_text(load, map, value, "permissions", parts[2]);
    return map;
}

struct node *lengthen_contexts(struct load *load, const struct place *at, struct node *value)
{
    if (value->kind != NODE_LIST)
        return value;
    struct node *map = new_map(load, value);
    for (size_t i = 0; map != NULL && i < value->count; i++) {
        const struct node *item = value->items[i];
        struct place inner = place_item(at, value, i);
        size_t name = item->kind == NODE_SCALAR ? strcspn(item->text, "=") : 0;
        if (item->kind != NODE_SCALAR || item->text[name] == '\0') {
            load_error(load, &inner, "is not NAME=context");
            return NULL;
        }
        const char *key = arena_copy(&load->nodes, item->text, name);
        if (LOAD_GOT(load, key))
            put_text(load, map, item, key, item->text + name + 1);
    }
    return map;
}

struct node *lengthen_ssh(struct load *load, const struct place *at, struct node *value)
{
    if (value->kind != NODE_LIST)
        return value;
    struct node *map = new_map(load, value);
    for (size_t i = 0; map != NULL && i < value->count; i++) {
        const struct node *item = value->items[i];
        struct place inner = place_item(at, value, i);
        size_t name = item->kind == NODE_SCALAR ? strcspn(item->text, "=") : 0;
        if (item->kind != NODE_SCALAR || (item->text[name] == '\0' && strcmp(item->text, "default") != 0)) {
            load_error(load, &inner, "is not a key; write default or ID=path");
            return NULL;
        }
        const char *key = arena_copy(&load->nodes, item->text, name);
        struct node *path = item->text[name] == '\0' ? node_new_scalar(&load->nodes, item, TYPE_NULL, "")
                                                     : node_new_text(&load->nodes, item, item->text + name + 1);
        if (LOAD_GOT(load, key) && LOAD_GOT(load, path) && !node_put(&load->nodes, map, key, path))
            load->out_of_memory = true;
    }
    return map;
}

struct node *lengthen_ulimit(struct load *load, const struct place *at, struct node *value)
{
    if (value->kind == NODE_SCALAR && value->type == TYPE_STRING) {
        load_error(load, at, "takes a whole number without quotes here, or soft and hard");
        return NULL;
    }
    return value;
}

/* true stands for "true" where Compose keeps text. */
struct node *lengthen_text(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    if (value->kind != NODE_SCALAR || value->type != TYPE_BOOL)
        return value;
    bool yes = value->text[0] == 't' || value->text[0] == 'T';
    struct node *text = node_new_text(&load->nodes, value, yes ? "true" : "false");
    return LOAD_GOT(load, text) ? text : NULL;
}

/* external: {name: x} is name: x and external: true. */
struct node *lengthen_external(struct load *load, const struct place *at, struct node *value)
{
    struct node *external = node_get(value, "external");
    if (external == NULL || external->kind != NODE_MAP)
        return value;
    struct node *inner = node_get(external, "name"), *name = node_get(value, "name");
    put_flag(load, value, external, "external", true);
    if (inner == NULL)
        return value;
    load_warning(load, at, "external.name is deprecated; write name: and external: true");
    if (name != NULL && !node_equal(name, inner)) {
        load_error(load, at, "name and external.name differ; write name: and external: true");
        return NULL;
    }
    if (name == NULL && !node_put(&load->nodes, value, "name", inner))
        load->out_of_memory = true;
    return value;
}

static struct node *lengthen_below(struct load *load, const struct place *at, const struct kind *kind,
                                   struct node *node)
{
    if (node->kind == NODE_SCALAR || (kind->section == NULL && kind->values == NULL && kind->items == NULL))
        return node;
    size_t used = 0;
    for (size_t i = 0; i < node->count; i++) {
        bool list = node->kind == NODE_LIST;
        struct place inner = list ? place_item(at, node, i) : place_key(at, &node->entries[i]);
        const struct key *row = list || kind->section == NULL ? NULL : find_row(kind->section, &node->entries[i]);
        const struct kind *below = list                    ? kind->items
                                   : kind->section != NULL ? (row == NULL ? NULL : row->kind)
                                                           : kind->values;
        struct node *child = list ? node->items[i] : node->entries[i].value;
        if (below != NULL)
            child = lengthen(load, &inner, below, child);
        node->damaged = node->damaged || child == NULL;
        if (child == NULL)
            continue;
        if (list) {
            node->items[used++] = child;
        } else {
            node->entries[used] = node->entries[i];
            node->entries[used++].value = child;
        }
    }
    node->count = (uint32_t)used;
    return node;
}

struct node *lengthen(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    if (kind->lengthen != NULL) {
        bool damaged = node->damaged;
        node = kind->lengthen(load, at, node);
        if (node == NULL)
            return NULL;
        node->damaged = node->damaged || damaged;
    }
    return lengthen_below(load, at, kind, node);
}
