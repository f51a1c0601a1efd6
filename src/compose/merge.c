/* One file's tree over another's, and lists without what is said twice. Compose's rules: the specification's page on
 * merging, and what its reference implementation does where the page says nothing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compose/language.h"

static struct node *merge_maps(struct load *load, const struct place *at, const struct kind *kind, struct node *base,
                               struct node *over);

static const struct kind *kind_below(const struct kind *kind, struct node_entry *entry)
{
    if (kind == NULL)
        return &kind_any;
    if (kind->section != NULL) {
        const struct key *row = find_row(kind->section, entry);
        return row == NULL || row->kind == NULL ? &kind_any : row->kind;
    }
    return kind->values != NULL ? kind->values : &kind_any;
}

static struct node *refuse_merge(struct load *load, const struct place *at, const struct node *base,
                                 const struct node *over)
{
    load_error(load, at, "%s cannot be merged over the %s at %s:%d:%d; write !override to replace it",
               node_describe(over), node_describe(base), load_file_name(load, base->file), base->line, base->column);
    return NULL;
}

/* ---- both as lists of NAME=value ---- */

static bool append_pair(struct load *load, struct node *list, const struct node_entry *entry, const struct node *value)
{
    char number[64];
    const char *text = value->kind != NODE_SCALAR || value->type == TYPE_NULL ? NULL
                       : value->type == TYPE_BOOL ? (value->text[0] == 't' || value->text[0] == 'T' ? "true" : "false")
                       : value->type == TYPE_INT || value->type == TYPE_FLOAT ? node_number_text(value, number)
                                                                              : value->text;
    char *line = text == NULL ? arena_string(&load->nodes, entry->key->text)
                              : arena_format(&load->nodes, "%s=%s", entry->key->text, text);
    struct node *item = line == NULL ? NULL : node_new_scalar(&load->nodes, value, TYPE_STRING, line);
    if (item != NULL) {
        item->line = entry->key->line;
        item->column = entry->key->column;
        item->file = entry->key->file;
    }
    return LOAD_GOT(load, item) && load_got(load, node_append(&load->nodes, list, item) ? item : NULL);
}

static struct node *to_list(struct load *load, struct node *node)
{
    if (node->kind == NODE_LIST)
        return node;
    struct node *list = node_new(&load->nodes, NODE_LIST, node);
    if (!LOAD_GOT(load, list))
        return NULL;
    list->damaged = node->damaged;
    if (node->kind == NODE_SCALAR) {
        if (node->type == TYPE_STRING)
            (void)load_got(load, node_append(&load->nodes, list, node) ? list : NULL);
        return list;
    }
    const struct node_entry **sorted = node_sorted(&load->nodes, node);
    for (size_t i = 0; LOAD_GOT(load, sorted) && i < node->count; i++) {
        const struct node *value = sorted[i]->value;
        bool several = value->kind == NODE_LIST;
        for (size_t k = 0; k < (several ? value->count : 1); k++)
            if (!append_pair(load, list, sorted[i], several ? value->items[k] : value))
                return NULL;
    }
    return list;
}

static struct node *append_all(struct load *load, struct node *list, const struct node *more)
{
    if (list == NULL || more == NULL)
        return NULL;
    for (size_t i = 0; i < more->count; i++)
        if (!load_got(load, node_append(&load->nodes, list, more->items[i]) ? list : NULL))
            return NULL;
    return list;
}

static struct node *merge_hosts(struct load *load, struct node *base, struct node *over)
{
    struct node *list = to_list(load, base), *more = to_list(load, over);
    if (list == NULL || more == NULL)
        return NULL;
    struct names known = {0};
    size_t before = list->count, number;
    for (size_t i = 0; i < before; i++)
        if (list->items[i]->kind == NODE_SCALAR && names_put(&known, list->items[i]->text, i, NULL) < 0)
            load->out_of_memory = true;
    for (size_t i = 0; i < more->count; i++) {
        const struct node *item = more->items[i];
        bool there = item->kind == NODE_SCALAR && names_get(&known, item->text, &number);
        if (!there && !node_append(&load->nodes, list, more->items[i]))
            load->out_of_memory = true;
    }
    names_free(&known);
    return list;
}

/* ---- both as mappings ---- */

static struct node *to_map(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    return node->kind == NODE_LIST ? lengthen(load, at, kind, node) : node;
}

static struct node *merge_lengthened(struct load *load, const struct place *at, const struct kind *kind,
                                     struct node *base, struct node *over)
{
    struct node *a = to_map(load, at, kind, base), *b = to_map(load, at, kind, over);
    if (a == NULL || b == NULL)
        return NULL;
    if (a->kind != NODE_MAP || b->kind != NODE_MAP)
        return b;
    return merge_maps(load, at, kind, a, b);
}

static struct node *merge_builds(struct load *load, const struct place *at, const struct kind *kind, struct node *base,
                                 struct node *over)
{
    struct node *a = node_is(base, TYPE_STRING) ? lengthen(load, at, kind, base) : base;
    struct node *b = node_is(over, TYPE_STRING) ? lengthen(load, at, kind, over) : over;
    if (a == NULL || b == NULL)
        return NULL;
    return a->kind == NODE_MAP && b->kind == NODE_MAP ? merge_maps(load, at, kind, a, b) : node_is_null(b) ? a : b;
}

static const char *driver_of(const struct node *logging)
{
    const struct node *driver = node_get(logging, "driver");
    return driver == NULL || driver->kind != NODE_SCALAR ? NULL : driver->text;
}

static struct node *merge_loggings(struct load *load, const struct place *at, const struct kind *kind,
                                   struct node *base, struct node *over)
{
    const char *a = driver_of(base), *b = driver_of(over);
    if (base->kind != NODE_MAP || over->kind != NODE_MAP || (a != NULL && b != NULL && strcmp(a, b) != 0))
        return over;
    return merge_maps(load, at, kind, base, over);
}

/* ---- pools of addresses, by subnet ---- */

static const char *subnet_of(const struct node *pool)
{
    const struct node *subnet = node_get(pool, "subnet");
    return subnet == NULL || subnet->kind != NODE_SCALAR ? "" : subnet->text;
}

static struct node *merge_pools(struct load *load, const struct place *at, const struct kind *kind, struct node *base,
                                struct node *over)
{
    if (base->kind != NODE_LIST || over->kind != NODE_LIST)
        return over;
    if (base->count == 0 || over->count == 0) {
        base->count = 0; /* nothing meets nothing: Compose keeps what both have */
        return base;
    }
    struct node *out = node_new(&load->nodes, NODE_LIST, base);
    for (size_t i = 0; i < base->count; i++) {
        for (size_t k = 0; k < over->count; k++) {
            bool same = strcmp(subnet_of(base->items[i]), subnet_of(over->items[k])) == 0, there = false;
            struct node *pool = over->items[k];
            if (same && base->items[i]->kind == NODE_MAP && pool->kind == NODE_MAP)
                pool = merge_maps(load, at, kind->items, base->items[i], pool);
            for (size_t n = 0; LOAD_GOT(load, out) && pool != NULL && n < out->count; n++) {
                if (strcmp(subnet_of(out->items[n]), subnet_of(pool)) != 0)
                    continue;
                there = true;
                if (same)
                    out->items[n] = pool;
            }
            if (!there && LOAD_GOT(load, out) && pool != NULL && !node_append(&load->nodes, out, pool))
                load->out_of_memory = true;
        }
    }
    return out;
}

/* ---- the tree ---- */

static struct node *merge_maps(struct load *load, const struct place *at, const struct kind *kind, struct node *base,
                               struct node *over)
{
    struct node_index index;
    int code = node_index_init(&index, base);
    base->checked = false;
    base->damaged = base->damaged || over->damaged;
    for (size_t i = 0; code == 0 && i < over->count; i++) {
        struct node_entry *entry = &over->entries[i];
        struct node_entry *before = node_index_find(&index, entry->key->text);
        if (before == NULL) {
            code = node_index_put(&load->nodes, &index, entry);
            continue;
        }
        struct place inner = place_key(at, entry);
        struct node *merged = merge_nodes(load, &inner, kind_below(kind, entry), before->value, entry->value);
        if (merged != NULL && merged != before->value) {
            before->value = merged;
            before->key = entry->key;
        }
        base->damaged = base->damaged || merged == NULL;
    }
    node_index_fini(&index);
    if (code < 0)
        load->out_of_memory = true;
    return base;
}

static struct node *merge_deep(struct load *load, const struct place *at, const struct kind *kind, struct node *base,
                               struct node *over)
{
    if (node_is_null(over))
        return base;
    if (base->kind == NODE_MAP)
        return over->kind == NODE_MAP ? merge_maps(load, at, kind, base, over) : refuse_merge(load, at, base, over);
    if (base->kind == NODE_LIST)
        return over->kind == NODE_LIST ? append_all(load, base, over) : refuse_merge(load, at, base, over);
    return over;
}

struct node *merge_nodes(struct load *load, const struct place *at, const struct kind *kind, struct node *base,
                         struct node *over)
{
    switch (kind->merge) {
    case MERGE_REPLACE:
        return over;
    case MERGE_PAIRS:
        return append_all(load, to_list(load, base), to_list(load, over));
    case MERGE_HOSTS:
        return merge_hosts(load, base, over);
    case MERGE_BUILD:
        return merge_builds(load, at, kind, base, over);
    case MERGE_DEPENDS:
    case MERGE_NAMES:
        return node_is_null(over) ? base : node_is_null(base) ? over : merge_lengthened(load, at, kind, base, over);
    case MERGE_LOGGING:
        return merge_loggings(load, at, kind, base, over);
    case MERGE_POOLS:
        return merge_pools(load, at, kind, base, over);
    case MERGE_DEEP:
        break;
    }
    return merge_deep(load, at, kind, base, over);
}

/* ---- what is said twice ---- */

static const char *text_of(const struct node *map, const char *key, const char *otherwise)
{
    const struct node *node = node_get(map, key);
    return node == NULL || node->kind != NODE_SCALAR || node->type == TYPE_NULL ? otherwise : node->text;
}

/* Where a short mount is mounted. */
static const char *short_target(struct load *load, const char *text)
{
    const char *source = text;
    size_t first = strcspn(text, ":");
    if (first == 1 && ((text[0] | 0x20) >= 'a' && (text[0] | 0x20) <= 'z')) /* C:\... */
        first += 1 + strcspn(text + 2, ":");
    if (source[first] == '\0')
        return text;
    const char *target = source + first + 1;
    return arena_copy(&load->nodes, target, strcspn(target, ":"));
}

static const char *short_device(struct load *load, const char *text)
{
    const char *colon = strchr(text, ':');
    return colon == NULL ? text : arena_copy(&load->nodes, colon + 1, strcspn(colon + 1, ":"));
}

static const char *grant_target(struct load *load, const struct node *item, const char *folder)
{
    if (item->kind == NODE_SCALAR)
        return arena_format(&load->nodes, "%s/%s", folder, item->text);
    const struct node *target = node_get(item, "target");
    if (target != NULL && target->kind == NODE_SCALAR)
        return target->text;
    return arena_format(&load->nodes, "%s/%s", folder, text_of(item, "source", "<nil>"));
}

/* A port that is published as a number is another one than one published as text: so Compose has it. */
static const char *port_identity(struct load *load, const struct node *item)
{
    const struct node *published = node_get(item, "published");
    const char *mark = published != NULL && node_is(published, TYPE_INT) ? "number " : "";
    return arena_format(&load->nodes, "%s:%s%s:%s/%s", text_of(item, "host_ip", "0.0.0.0"), mark,
                        text_of(item, "published", "<nil>"), text_of(item, "target", ""),
                        text_of(item, "protocol", "tcp"));
}

/* What tells an item from others; NULL: nothing does. */
static const char *identity(struct load *load, enum same same, const struct node *item)
{
    bool scalar = item->kind == NODE_SCALAR;
    if (item->kind == NODE_LIST || (scalar && item->type != TYPE_STRING && item->type != TYPE_INT))
        return NULL;
    switch (same) {
    case SAME_NAME:
        return scalar ? arena_copy(&load->nodes, item->text, strcspn(item->text, "=")) : NULL;
    case SAME_TARGET:
        return scalar ? short_target(load, item->text) : text_of(item, "target", NULL);
    case SAME_DEVICE:
        return scalar ? short_device(load, item->text) : text_of(item, "target", NULL);
    case SAME_FILE:
        return scalar ? item->text : text_of(item, "path", NULL);
    case SAME_VALUE:
        return scalar ? item->text : NULL;
    case SAME_PORT:
        return scalar ? item->text : port_identity(load, item);
    case SAME_CONFIG:
        return grant_target(load, item, "");
    case SAME_SECRET:
        return grant_target(load, item, "/run/secrets");
    case SAME_NEVER:
        break;
    }
    return NULL;
}

static void drop_from_list(struct load *load, const struct kind *kind, struct node *list)
{
    struct names seen = {0};
    size_t used = 0;
    if (list->count < 2)
        return;
    if (names_reserve(&seen, list->count) < 0)
        load->out_of_memory = true;
    for (size_t i = 0; i < list->count && !load->out_of_memory; i++) {
        const char *name = identity(load, kind->same, list->items[i]);
        size_t before = 0;
        int code = name == NULL ? 1 : names_put(&seen, name, used, &before);
        if (code < 0)
            load->out_of_memory = true;
        if (code == 0)
            list->items[before] = list->items[i];
        else
            list->items[used++] = list->items[i];
    }
    list->count = (uint32_t)used;
    names_free(&seen);
}

void drop_repeated(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    if (node->kind == NODE_SCALAR || kind == NULL)
        return;
    if (node->kind == NODE_LIST) {
        if (kind->same != SAME_NEVER)
            drop_from_list(load, kind, node);
        return; /* Compose does not look into lists here */
    }
    if (kind->section == NULL && kind->values == NULL)
        return;
    for (size_t i = 0; i < node->count; i++) {
        struct place inner = place_key(at, &node->entries[i]);
        drop_repeated(load, &inner, kind_below(kind, &node->entries[i]), node->entries[i].value);
    }
}
