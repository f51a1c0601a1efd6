/* Values as what they mean: numbers as numbers, sizes in bytes, lists where text was written, keys in the order of the
 * tables. The new tree is what `shoal config` prints and what the spec is read from; its nodes stand where the old ones
 * do. What Compose does not print is marked, not left out, so that it can still be named. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

/* A value that turned out to be nothing: left out. */
static struct node *const NOTHING = NULL;

static struct node *text_node(struct load *load, const struct node *at, const char *text)
{
    struct node *node = LOAD_GOT(load, text) ? node_new_text(&load->nodes, at, text) : NULL;
    return LOAD_GOT(load, node) ? node : NULL;
}

static struct node *scalar_node(struct load *load, const struct node *at, enum node_type type, const char *text)
{
    struct node *node = node_new_scalar(&load->nodes, at, type, text);
    return LOAD_GOT(load, node) ? node : NULL;
}

static struct node *int_node(struct load *load, const struct node *at, int64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    return scalar_node(load, at, TYPE_INT, text);
}

static void put(struct load *load, struct node *map, struct node *key, struct node *value, const struct key *row)
{
    if (value != NULL && !node_put_entry(&load->nodes, map, &(struct node_entry){key, value, row}))
        load->out_of_memory = true;
}

/* A scalar's text, as Compose makes text of values. buffer: 64 bytes. */
static const char *as_text(const struct node *node, char *buffer)
{
    if (node->type == TYPE_INT || node->type == TYPE_FLOAT)
        return node_number_text(node, buffer);
    if (node->type == TYPE_BOOL)
        return node->text[0] == 't' || node->text[0] == 'T' ? "true" : "false";
    return node->type == TYPE_NULL ? "" : node->text;
}

/* ---- scalars ---- */

/* Text is what it is: the node itself, which nobody else has. */
static struct node *same_text(struct load *load, struct node *node)
{
    char buffer[64];
    return node->kind == NODE_SCALAR && node->type == TYPE_STRING ? node : text_node(load, node, as_text(node, buffer));
}

static struct node *typed_text(struct load *load, struct node *node)
{
    char buffer[64];
    const char *text = as_text(node, buffer);
    if (node->type == TYPE_STRING)
        return text[0] == '\0' ? NOTHING : node;
    return text[0] == '\0' ? NOTHING : text_node(load, node, text);
}

static struct node *typed_flag(struct load *load, const struct place *at, const struct node *node, bool keep)
{
    bool flag;
    if (node->type == TYPE_BOOL) {
        flag = node->text[0] == 't' || node->text[0] == 'T';
    } else if (value_bool(node->text, &flag) < 0) {
        load_error(load, at, "\"%.60s\" is neither true nor false", node->text);
        return NOTHING;
    } else if (strcasecmp(node->text, "true") != 0 && strcasecmp(node->text, "false") != 0) {
        load_warning(load, at, "\"%.60s\" is text in YAML 1.2; write %s", node->text, flag ? "true" : "false");
    }
    return flag || keep ? scalar_node(load, node, TYPE_BOOL, flag ? "true" : "false") : NOTHING;
}

/* A decimal number in text, as Go reads one; a plain number may have a fraction, which is cut off. */
static bool take_count(struct load *load, const struct place *at, const struct kind *kind, const struct node *node,
                       int64_t *out)
{
    double number;
    int64_t value = 0;
    int code = 0;
    if (node->type == TYPE_FLOAT && node_float(node, &number) && fabs(number) < 9.2e18) {
        value = (int64_t)number;
    } else if (node->type == TYPE_INT) {
        code = value_integer(node->text, &value);
    } else {
        const char *digits = node->text + (node->text[0] == '-' || node->text[0] == '+');
        bool decimal = !kind->strict && digits[0] != '\0' && strspn(digits, "0123456789") == strlen(digits);
        while (decimal && digits[0] == '0' && digits[1] != '\0')
            digits++; /* 010 is ten, where plain YAML has eight */
        code = decimal ? value_integer(digits, &value) : -EINVAL;
        value = node->text[0] == '-' ? -value : value;
    }
    if (code == -EINVAL && kind->strict)
        load_error(load, at, "\"%.60s\" takes a number without quotes", node->text);
    else if (code == -EINVAL)
        load_error(load, at, "\"%.60s\" is not a whole number", node->text);
    else if (code < 0)
        load_error(load, at, "%.60s is out of range", node->text);
    else if (kind->unsigned_value && value < 0)
        load_error(load, at, "%.60s is negative", node->text);
    else if (kind->bounded && (value < kind->min || value > kind->max))
        load_error(load, at, "%.60s is out of range; it goes from %lld to %lld", node->text, (long long)kind->min,
                   (long long)kind->max);
    else {
        *out = value;
        return true;
    }
    return false;
}

static struct node *typed_count(struct load *load, const struct place *at, const struct kind *kind,
                                const struct node *node, bool keep)
{
    int64_t value;
    if (!take_count(load, at, kind, node, &value) || (value == 0 && !keep && !kind->keep_zero))
        return NOTHING;
    struct node *number = int_node(load, node, value);
    if (number != NULL && value == 0 && !keep)
        number->yaml_only = true, number->json_only = !kind->yaml_zero;
    if (number != NULL)
        number->decimal = node->type == TYPE_INT && node->text[0] != '0';
    return number;
}

static struct node *typed_float(struct load *load, const struct place *at, const struct node *node)
{
    char *end = NULL, text[64];
    double number = 0;
    int64_t integer;
    if (node->type == TYPE_FLOAT) {
        (void)node_float(node, &number);
    } else if (node->type == TYPE_INT && value_integer(node->text, &integer) == 0) {
        number = (double)integer;
    } else {
        number = strtod(node->text, &end);
        if (end == node->text || *end != '\0' || strpbrk(node->text, " \t\n") != NULL) {
            load_error(load, at, "\"%.60s\" is not a number", node->text);
            return NOTHING;
        }
    }
    if (!isfinite(number)) {
        load_error(load, at, "%.60s is not a number to count with", node->text);
        return NOTHING;
    }
    if (number == 0)
        return NOTHING;
    value_float_text((double)(float)number, 32, 21, text);
    return scalar_node(load, node, TYPE_FLOAT, text);
}

static struct node *typed_bytes(struct load *load, const struct place *at, const struct node *node, bool keep)
{
    uint64_t bytes = 0;
    int64_t integer = 0;
    char text[32];
    if (node->type == TYPE_INT) {
        (void)value_integer(node->text, &integer);
    } else if (node->type == TYPE_STRING) {
        int code = value_size(node->text, &bytes);
        if (code < 0) {
            load_error(load, at,
                       code == -ERANGE ? "\"%.60s\" is too large for a size"
                                       : "\"%.60s\" is not a size; write 64m, 1.5g or bytes",
                       node->text);
            return NOTHING;
        }
        integer = (int64_t)bytes;
    } else {
        load_unsupported(load, at, "%.60s has a fraction of a byte and counts as nothing; write 64m, 1.5g or bytes",
                         node->text);
    }
    if (integer == 0 && !keep)
        return NOTHING;
    (void)snprintf(text, sizeof text, "%lld", (long long)integer);
    return text_node(load, node, text);
}

static struct node *typed_duration(struct load *load, const struct place *at, const struct node *node, bool keep)
{
    int64_t ns, integer;
    char text[40];
    int code = value_duration(node->text, &ns);
    if (code == -ERANGE)
        load_error(load, at, "\"%.60s\" is too long for a duration", node->text);
    else if (code < 0 && value_integer(node->text, &integer) == 0 && integer >= 0)
        load_error(load, at, "\"%.60s\" has no unit; write %.60ss or 1m30s", node->text, node->text);
    else if (code < 0)
        load_error(load, at, "\"%.60s\" is not a duration; write 500ms, 10s or 1m30s", node->text);
    if (code < 0 || (ns == 0 && !keep))
        return NOTHING;
    value_duration_text(ns, text);
    return text_node(load, node, text);
}

static struct node *typed_mode(struct load *load, const struct place *at, const struct node *node)
{
    int64_t value = 0;
    char text[32];
    if (node->type == TYPE_STRING) {
        char *end;
        errno = 0;
        value = strtoll(node->text, &end, 8);
        if (end == node->text || *end != '\0' || errno != 0 || strpbrk(node->text, " +") != NULL) {
            load_error(load, at, "\"%.60s\" is not an octal mode; write 0440", node->text);
            return NOTHING;
        }
    } else if (node->type != TYPE_INT || value_integer(node->text, &value) < 0) {
        load_error(load, at, "%.60s is not an octal mode; write 0440", node->text);
        return NOTHING;
    }
    (void)snprintf(text, sizeof text, "0%llo", (unsigned long long)value);
    return text_node(load, node, text);
}

static struct node *typed_device_count(struct load *load, const struct place *at, const struct kind *kind,
                                       const struct node *node)
{
    if (node->type == TYPE_STRING && strcasecmp(node->text, "all") == 0)
        return int_node(load, node, -1);
    return typed_count(load, at, kind, node, false);
}

/* ---- lists of texts ---- */

static struct node *new_list(struct load *load, const struct node *at)
{
    struct node *list = node_new(&load->nodes, NODE_LIST, at);
    return LOAD_GOT(load, list) ? list : NULL;
}

static void append(struct load *load, struct node *list, struct node *item)
{
    if (item != NULL && !node_append(&load->nodes, list, item))
        load->out_of_memory = true;
}

/* A number with a fraction is no text to Compose, where a whole one is. */
static bool refuse_fraction(struct load *load, const struct place *at, const struct node *node)
{
    if (node->kind != NODE_SCALAR || node->type != TYPE_FLOAT)
        return false;
    load_error(load, at, "%.60s is a number with a fraction, where text belongs; put it in quotes", node->text);
    return true;
}

static struct node *typed_texts(struct load *load, struct node *node)
{
    struct node *list = new_list(load, node);
    if (list == NULL || node_is_null(node))
        return NOTHING;
    list->damaged = node->damaged;
    if (node->kind == NODE_SCALAR)
        append(load, list, same_text(load, node));
    for (size_t i = 0; node->kind == NODE_LIST && i < node->count; i++)
        if (node->items[i]->kind == NODE_SCALAR)
            append(load, list, same_text(load, node->items[i]));
    return list->count > 0 ? list : NOTHING;
}

/* Text is split like a shell's words. null is not there; an empty list is, and clears the image's. */
static struct node *typed_command(struct load *load, const struct place *at, struct node *node)
{
    struct node *list = new_list(load, node);
    if (list == NULL || node_is_null(node))
        return NOTHING;
    if (node->kind == NODE_LIST) {
        struct node *texts = typed_texts(load, node);
        return texts == NULL ? list : texts;
    }
    shoal_strings_t words = {0};
    const char *why;
    int code = value_split(&load->nodes, node->text, &words, &why);
    if (code == -ENOMEM)
        load->out_of_memory = true;
    else if (code < 0)
        load_error(load, at, "the command %s", why);
    else if (why != NULL)
        load_unsupported(load, at, "the command %s", why);
    for (size_t i = 0; code == 0 && i < words.count; i++)
        append(load, list, text_node(load, node, words.items[i]));
    return code == 0 ? list : NOTHING;
}

static struct node *typed_test(struct load *load, const struct place *at, struct node *node)
{
    (void)at;
    if (node->kind == NODE_LIST)
        return typed_texts(load, node);
    struct node *list = new_list(load, node);
    if (list == NULL)
        return NOTHING;
    append(load, list, text_node(load, node, "CMD-SHELL"));
    append(load, list, text_node(load, node, node->text));
    return list;
}

/* ---- names and values ---- */

static struct node *new_map(struct load *load, const struct node *at)
{
    struct node *map = node_new(&load->nodes, NODE_MAP, at);
    if (!LOAD_GOT(load, map))
        return NULL;
    map->damaged = at->damaged;
    return map;
}

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

static struct node *typed_pairs(struct load *load, const struct place *at, const struct kind *kind,
                                const struct node *node)
{
    bool keep_none = kind->becomes == AS_VARIABLES;
    struct node *map = new_map(load, node);
    struct node_index index;
    if (map == NULL || node->kind == NODE_SCALAR || node_index_init(&index, map) < 0)
        return NOTHING;
    for (size_t i = 0; i < node->count; i++) {
        char buffer[64];
        bool list = node->kind == NODE_LIST;
        struct node *value = list ? node->items[i] : node->entries[i].value;
        if (value->kind != NODE_SCALAR)
            continue;
        const char *text = as_text(value, buffer);
        struct node *key = list ? NULL : node->entries[i].key;
        bool none = list ? strchr(text, '=') == NULL : node_is_null(value);
        if (list) {
            struct place item = place_item(at, node, i);
            size_t count = strcspn(text, "=");
            if (keep_none && count > 0 && strchr(" \t\n\r\v\f", text[count - 1]) != NULL)
                load_error(load, &item, "the variable's name \"%.*s\" ends in a blank", (int)(count < 60 ? count : 60),
                           text);
            key = text_node(load, value, arena_copy(&load->nodes, text, count));
            text += count + (text[count] == '=');
        }
        struct node *out = none && keep_none                     ? scalar_node(load, value, TYPE_NULL, "")
                           : !list && value->type == TYPE_STRING ? value
                                                                 : text_node(load, value, none ? "" : text);
        put_pair(load, &index, key, out);
    }
    node_index_fini(&index);
    return map->count > 0 ? map : NOTHING;
}

/* id, or "id: path". */
static struct node *typed_keys(struct load *load, const struct node *node)
{
    char buffer[64];
    struct node *list = new_list(load, node);
    const struct node_entry **sorted = node->kind == NODE_MAP ? node_sorted(&load->nodes, node) : NULL;
    for (size_t i = 0; list != NULL && sorted != NULL && i < node->count; i++) {
        const char *path = as_text(sorted[i]->value, buffer);
        append(load, list,
               text_node(load, sorted[i]->value,
                         path[0] == '\0' ? sorted[i]->key->text
                                         : arena_format(&load->nodes, "%s: %s", sorted[i]->key->text, path)));
    }
    return list != NULL && list->count > 0 ? list : NOTHING;
}

static struct node *typed_option_lists(struct load *load, const struct node *node)
{
    char buffer[64];
    struct node *map = new_map(load, node);
    for (size_t i = 0; map != NULL && i < node->count; i++) {
        const struct node *value = node->entries[i].value;
        struct node *list = new_list(load, value);
        for (size_t k = 0; list != NULL && k < (value->kind == NODE_LIST ? value->count : 1); k++)
            append(load, list,
                   text_node(load, value, as_text(value->kind == NODE_LIST ? value->items[k] : value, buffer)));
        put(load, map, node->entries[i].key, list, NULL);
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
    append(load, list,
           text_node(
               load, where,
               arena_format(&load->nodes, "%s=%.*s", name, (int)(count - 2 * (size_t)brackets), address + brackets)));
}

static void append_hosts(struct load *load, const struct place *at, struct node *list, const struct node *item)
{
    char buffer[64];
    const char *text = as_text(item, buffer);
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

static struct node *typed_hosts(struct load *load, const struct place *at, const struct node *node)
{
    struct node *list = new_list(load, node);
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
            append_host(load, &inner, list, address, inner.word, as_text(address, buffer));
        }
    }
    if (list == NULL || list->count == 0)
        return NOTHING;
    qsort(list->items, list->count, sizeof(struct node *), compare_texts);
    return list;
}

/* ---- sections ---- */

static int compare_rows(const void *a, const void *b)
{
    const struct node_entry *x = a, *y = b;
    if (x->row == NULL || y->row == NULL)
        return x->row == y->row ? strcmp(x->key->text, y->key->text) : x->row == NULL ? 1 : -1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* JSON has some keys even when they are not written. */
static void add_always(struct load *load, const struct section *section, struct node *map, const struct node *at)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct key *row = &section->keys[i];
        bool command = row->kind != NULL && row->kind->becomes == AS_COMMAND;
        bool always = row->kind != NULL && row->kind->becomes == AS_SECTION_ALWAYS;
        if ((!command && !always && !row->always) || node_get(map, row->name) != NULL)
            continue;
        bool text = row->always && row->kind->becomes != AS_COUNT;
        struct node *value = command       ? scalar_node(load, at, TYPE_NULL, "")
                             : row->always ? scalar_node(load, at, text ? TYPE_STRING : TYPE_INT,
                                                         row->kind->becomes == AS_TEXT ? "" : "0")
                                           : new_map(load, at);
        struct node *key = text_node(load, at, row->name);
        if (value == NULL || key == NULL)
            return;
        value->implied = true;
        value->json_only = !row->always;
        if (always)
            add_always(load, row->kind->section, value, at);
        put(load, map, key, value, row);
    }
}

static struct node *typed_section(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    struct node *map = new_map(load, node);
    if (map == NULL)
        return NOTHING;
    for (size_t i = 0; node->kind == NODE_MAP && i < node->count; i++) {
        struct node_entry *entry = &node->entries[i];
        struct place inner = place_key(at, entry);
        const struct key *row = find_row(kind->section, entry);
        bool extension = row == NULL || is_extension(row->name);
        if (extension) {
            struct node *copy = node_clone(&load->nodes, entry->value);
            if (LOAD_GOT(load, copy))
                copy->yaml_only = true;
            put(load, map, entry->key, copy, row);
            continue;
        }
        struct node *value = typed(load, &inner, row->kind, entry->value);
        put(load, map, entry->key, value, row);
        map->damaged = map->damaged || (value != NULL && value->damaged);
    }
    if (map->count > 1)
        qsort(map->entries, map->count, sizeof *map->entries, compare_rows);
    size_t written = 0;
    for (size_t i = 0; i < map->count; i++)
        written += !map->entries[i].value->json_only && !map->entries[i].value->yaml_only;
    if (kind->becomes == AS_SECTION_ALWAYS && written == 0)
        map->json_only = true;
    add_always(load, kind->section, map, node);
    if (map->count > 1)
        qsort(map->entries, map->count, sizeof *map->entries, compare_rows);
    return map;
}

static struct node *typed_ulimit(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    if (node->kind == NODE_MAP)
        return typed_section(load, at, kind, node);
    if (node->type == TYPE_STRING && strcmp(node->text, "-1") == 0)
        return int_node(load, node, -1);
    struct node *number = typed_count(load, at, kind, node, true);
    if (number == NULL || strcmp(number->text, "0") != 0)
        return number;
    struct node *map = new_map(load, node); /* Compose cannot tell 0 from nothing, and prints {} */
    static const char *const ends[] = {"soft", "hard"};
    for (size_t i = 0; map != NULL && i < COUNT(ends); i++) {
        struct node *zero = int_node(load, node, 0);
        if (zero != NULL)
            zero->yaml_only = true;
        put(load, map, text_node(load, node, ends[i]), zero, find_key(&ulimit_section, ends[i]));
    }
    return map;
}

static struct node *typed_list(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    struct node *list = new_list(load, node);
    if (list == NULL || node->kind != NODE_LIST)
        return NOTHING;
    list->damaged = node->damaged;
    for (size_t i = 0; i < node->count; i++) {
        struct place item = place_item(at, node, i);
        struct node *value = typed(load, &item, kind->items, node->items[i]);
        append(load, list, value);
        list->damaged = list->damaged || value == NULL || value->damaged;
    }
    return list->count > 0 ? list : NOTHING;
}

static struct node *typed_named(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    struct node *map = new_map(load, node);
    if (map == NULL || node->kind != NODE_MAP)
        return NOTHING;
    for (size_t i = 0; i < node->count; i++) {
        struct place inner = place_key(at, &node->entries[i]);
        struct node *old = node->entries[i].value;
        bool top = kind->values != NULL && (kind->values->takes & TAKES_NULL) != 0 && at->outer != NULL &&
                   at->outer->outer == NULL;
        struct node *value = !node_is_null(old) ? typed(load, &inner, kind->values, old)
                             : top              ? typed_section(load, &inner, kind->values, old)
                                                : scalar_node(load, old, TYPE_NULL, "");
        if (value != NULL)
            value->implied = value->implied || old->implied;
        put(load, map, node->entries[i].key, value, NULL);
    }
    return map->count > 0 ? map : NOTHING;
}

static struct node *as_written(struct load *load, struct node *node, bool hidden)
{
    struct node *copy = node_clone(&load->nodes, node);
    if (!LOAD_GOT(load, copy))
        return NOTHING;
    if (hidden)
        copy->json_only = copy->yaml_only = true; /* in neither */
    return copy;
}

static struct node *convert(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    switch (kind->becomes) {
    case AS_TEXT:
        return typed_text(load, node);
    case AS_FLAG:
    case AS_FLAG_SET:
        return typed_flag(load, at, node, kind->becomes == AS_FLAG_SET);
    case AS_COUNT:
    case AS_COUNT_SET:
        return typed_count(load, at, kind, node, kind->becomes == AS_COUNT_SET);
    case AS_FLOAT:
        return typed_float(load, at, node);
    case AS_BYTES:
    case AS_BYTES_SET:
        return typed_bytes(load, at, node, kind->becomes == AS_BYTES_SET);
    case AS_DURATION:
    case AS_DURATION_SET:
        return typed_duration(load, at, node, kind->becomes == AS_DURATION_SET);
    case AS_MODE:
        return typed_mode(load, at, node);
    case AS_DEVICE_COUNT:
        return typed_device_count(load, at, kind, node);
    case AS_TEXTS:
        for (size_t i = 0; node->kind == NODE_LIST && i < node->count; i++) {
            struct place item = place_item(at, node, i);
            if (refuse_fraction(load, &item, node->items[i]))
                return NOTHING;
        }
        return typed_texts(load, node);
    case AS_COMMAND:
        return typed_command(load, at, node);
    case AS_TEST:
        return typed_test(load, at, node);
    case AS_PAIRS:
    case AS_VARIABLES:
    case AS_OPTIONS:
        return typed_pairs(load, at, kind, node);
    case AS_STRICT_OPTIONS:
        for (size_t i = 0; i < node->count; i++) {
            struct place inner = place_key(at, &node->entries[i]);
            const struct node *value = node->entries[i].value;
            if (value->kind == NODE_SCALAR && value->type != TYPE_FLOAT && value->type != TYPE_BOOL)
                continue;
            load_error(load, &inner, "takes text, not %s; put it in quotes", node_describe(value));
            return NOTHING;
        }
        return typed_pairs(load, at, kind, node);
    case AS_SSH:
        return typed_keys(load, node);
    case AS_OPTION_LISTS:
        return typed_option_lists(load, node);
    case AS_HOSTS:
        return typed_hosts(load, at, node);
    case AS_ULIMIT:
        return typed_ulimit(load, at, kind, node);
    case AS_SECTION:
    case AS_SECTION_ALWAYS:
        return typed_section(load, at, kind, node);
    case AS_LIST:
        return typed_list(load, at, kind, node);
    case AS_NAMED:
        return typed_named(load, at, kind, node);
    case AS_WRITTEN:
    case AS_NOTHING:
        break;
    }
    return as_written(load, node, kind->becomes == AS_NOTHING);
}

struct node *typed(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    if (load->out_of_memory)
        return NOTHING;
    if (node_is_null(node) && kind->becomes != AS_WRITTEN)
        return NOTHING;
    struct node *out = convert(load, at, kind, node);
    if (out != NULL && node->implied)
        out->implied = true;
    return out;
}
