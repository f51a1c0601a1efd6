/* Values as what they mean: numbers as numbers, sizes in bytes, lists where text was written, keys in the order of the
 * tables. The new tree is what `shoal config` prints and what the spec is read from; its nodes stand where the old ones
 * do. What Compose does not print is marked, not left out, so that it can still be named. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compose/typed.h"
#include "compose/values.h"

struct node *typed_new_text(struct load *load, const struct node *at, const char *text)
{
    struct node *node = LOAD_GOT(load, text) ? node_new_text(&load->nodes, at, text) : NULL;
    return LOAD_GOT(load, node) ? node : NULL;
}

struct node *typed_new_scalar(struct load *load, const struct node *at, enum node_type type, const char *text)
{
    struct node *node = node_new_scalar(&load->nodes, at, type, text);
    return LOAD_GOT(load, node) ? node : NULL;
}

static struct node *int_node(struct load *load, const struct node *at, int64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    return typed_new_scalar(load, at, TYPE_INT, text);
}

static void put(struct load *load, struct node *map, struct node *key, struct node *value, const struct key *row)
{
    if (value != NULL && !node_put_entry(&load->nodes, map, &(struct node_entry){key, value, row}))
        load->out_of_memory = true;
}

/* A scalar's text, as Compose makes text of values. buffer: 64 bytes. */
const char *typed_as_text(const struct node *node, char *buffer)
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
    return node->kind == NODE_SCALAR && node->type == TYPE_STRING
               ? node
               : typed_new_text(load, node, typed_as_text(node, buffer));
}

static struct node *typed_text(struct load *load, struct node *node)
{
    char buffer[64];
    const char *text = typed_as_text(node, buffer);
    if (node->type == TYPE_STRING)
        return text[0] == '\0' ? NOTHING : node;
    return text[0] == '\0' ? NOTHING : typed_new_text(load, node, text);
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
    return flag || keep ? typed_new_scalar(load, node, TYPE_BOOL, flag ? "true" : "false") : NOTHING;
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
    return typed_new_scalar(load, node, TYPE_FLOAT, text);
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
    return typed_new_text(load, node, text);
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
    return typed_new_text(load, node, text);
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
    return typed_new_text(load, node, text);
}

static struct node *typed_device_count(struct load *load, const struct place *at, const struct kind *kind,
                                       const struct node *node)
{
    if (node->type == TYPE_STRING && strcasecmp(node->text, "all") == 0)
        return int_node(load, node, -1);
    return typed_count(load, at, kind, node, false);
}

/* ---- lists of texts ---- */

struct node *typed_new_list(struct load *load, const struct node *at)
{
    struct node *list = node_new(&load->nodes, NODE_LIST, at);
    return LOAD_GOT(load, list) ? list : NULL;
}

void typed_append(struct load *load, struct node *list, struct node *item)
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
    struct node *list = typed_new_list(load, node);
    if (list == NULL || node_is_null(node))
        return NOTHING;
    list->damaged = node->damaged;
    if (node->kind == NODE_SCALAR)
        typed_append(load, list, same_text(load, node));
    for (size_t i = 0; node->kind == NODE_LIST && i < node->count; i++)
        if (node->items[i]->kind == NODE_SCALAR)
            typed_append(load, list, same_text(load, node->items[i]));
    return list->count > 0 ? list : NOTHING;
}

/* Text is split like a shell's words. null is not there; an empty list is, and clears the image's. */
static struct node *typed_command(struct load *load, const struct place *at, struct node *node)
{
    struct node *list = typed_new_list(load, node);
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
        typed_append(load, list, typed_new_text(load, node, words.items[i]));
    return code == 0 ? list : NOTHING;
}

static struct node *typed_test(struct load *load, const struct place *at, struct node *node)
{
    (void)at;
    if (node->kind == NODE_LIST)
        return typed_texts(load, node);
    struct node *list = typed_new_list(load, node);
    if (list == NULL)
        return NOTHING;
    typed_append(load, list, typed_new_text(load, node, "CMD-SHELL"));
    typed_append(load, list, typed_new_text(load, node, node->text));
    return list;
}

struct node *typed_new_map(struct load *load, const struct node *at)
{
    struct node *map = node_new(&load->nodes, NODE_MAP, at);
    if (!LOAD_GOT(load, map))
        return NULL;
    map->damaged = at->damaged;
    return map;
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
        struct node *value = command       ? typed_new_scalar(load, at, TYPE_NULL, "")
                             : row->always ? typed_new_scalar(load, at, text ? TYPE_STRING : TYPE_INT,
                                                              row->kind->becomes == AS_TEXT ? "" : "0")
                                           : typed_new_map(load, at);
        struct node *key = typed_new_text(load, at, row->name);
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
    struct node *map = typed_new_map(load, node);
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
    if (node->kind == NODE_MAP) {
        struct node *ends = typed_section(load, at, kind, node);
        for (size_t i = ends == NULL ? 0 : ends->count; i > 0; i--)
            if (is_extension(ends->entries[i - 1].key->text)) /* in neither form */
                node_remove(ends, &ends->entries[i - 1]);
        return ends;
    }
    if (node->type == TYPE_STRING && strcmp(node->text, "-1") == 0)
        return int_node(load, node, -1);
    struct node *number = typed_count(load, at, kind, node, true);
    if (number == NULL || strcmp(number->text, "0") != 0)
        return number;
    struct node *map = typed_new_map(load, node); /* Compose cannot tell 0 from nothing, and prints {} */
    static const char *const ends[] = {"soft", "hard"};
    for (size_t i = 0; map != NULL && i < COUNT(ends); i++) {
        struct node *zero = int_node(load, node, 0);
        if (zero != NULL)
            zero->yaml_only = true;
        put(load, map, typed_new_text(load, node, ends[i]), zero, find_key(&ulimit_section, ends[i]));
    }
    return map;
}

static struct node *typed_list(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    struct node *list = typed_new_list(load, node);
    if (list == NULL || node->kind != NODE_LIST)
        return NOTHING;
    list->damaged = node->damaged;
    for (size_t i = 0; i < node->count; i++) {
        struct place item = place_item(at, node, i);
        struct node *value = typed(load, &item, kind->items, node->items[i]);
        typed_append(load, list, value);
        list->damaged = list->damaged || value == NULL || value->damaged;
    }
    return list->count > 0 ? list : NOTHING;
}

static struct node *typed_named(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    struct node *map = typed_new_map(load, node);
    if (map == NULL || node->kind != NODE_MAP)
        return NOTHING;
    for (size_t i = 0; i < node->count; i++) {
        struct place inner = place_key(at, &node->entries[i]);
        struct node *old = node->entries[i].value;
        bool top = kind->values != NULL && (kind->values->takes & TAKES_NULL) != 0 && at->outer != NULL &&
                   at->outer->outer == NULL;
        struct node *value = !node_is_null(old) ? typed(load, &inner, kind->values, old)
                             : top              ? typed_section(load, &inner, kind->values, old)
                                                : typed_new_scalar(load, old, TYPE_NULL, "");
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
