/* Reading by table, and the plain kinds of values. */
#include <errno.h>
#include <string.h>

#include "base/duration.h"
#include "compose/keys.h"
#include "compose/values.h"

char *keep(struct load *load, const char *text)
{
    char *copy = arena_string(load->arena, text);
    (void)load_got(load, copy);
    return copy;
}

bool take_kind(struct load *load, const struct place *at, const struct node *node, enum node_kind kind)
{
    if (node->kind == kind)
        return true;
    if (node->kind == NODE_SCALAR && node->type == TYPE_NULL)
        load_error(load, at, "has no value; it takes %s", kind == NODE_MAP ? "a mapping" : "a list");
    else
        load_error(load, at, "takes %s, not %s",
                   kind == NODE_MAP    ? "a mapping"
                   : kind == NODE_LIST ? "a list"
                                       : "text",
                   node_describe(node));
    return false;
}

bool take_scalar(struct load *load, const struct place *at, const struct node *node, const char **out)
{
    if (node->kind != NODE_SCALAR) {
        load_error(load, at, "takes one value, not %s", node_describe(node));
        return false;
    }
    if (node->type == TYPE_NULL) {
        load_error(load, at, "has no value");
        return false;
    }
    *out = node->text;
    return true;
}

bool take_text(struct load *load, const struct place *at, const struct node *node, const char **out)
{
    if (!take_scalar(load, at, node, out))
        return false;
    if (node->type != TYPE_STRING) {
        load_error(load, at, "%.60s is %s, where text belongs; put it in quotes", node->text, node_describe(node));
        return false;
    }
    return true;
}

bool take_flag(struct load *load, const struct place *at, const struct node *node, bool *out)
{
    const char *text;
    if (!take_scalar(load, at, node, &text))
        return false;
    if (value_bool(text, out) < 0) {
        load_error(load, at, "\"%.60s\" is neither true nor false", text);
        return false;
    }
    return true;
}

bool take_integer(struct load *load, const struct place *at, const struct node *node, int64_t min, int64_t max,
                  int64_t *out)
{
    const char *text;
    if (!take_scalar(load, at, node, &text))
        return false;
    int64_t value;
    int code = value_integer(text, &value);
    if (code == -EINVAL)
        load_error(load, at, "\"%.60s\" is not a whole number", text);
    else if (code < 0 || value < min || value > max)
        load_error(load, at, "%.60s is out of range; it goes from %lld to %lld", text, (long long)min, (long long)max);
    else
        *out = value;
    return code == 0 && value >= min && value <= max;
}

bool take_size(struct load *load, const struct place *at, const struct node *node, uint64_t *out_bytes)
{
    const char *text;
    if (!take_scalar(load, at, node, &text))
        return false;
    int64_t integer;
    if (node->type == TYPE_INT && value_integer(text, &integer) == 0 && integer >= 0) {
        *out_bytes = (uint64_t)integer; /* 0x4000000 too */
        return true;
    }
    int code = value_size(text, out_bytes);
    if (code == -ERANGE)
        load_error(load, at, "\"%.60s\" is too large for a size", text);
    else if (code < 0)
        load_error(load, at, "\"%.60s\" is not a size; write 64m, 1.5g or bytes", text);
    return code == 0;
}

bool take_duration(struct load *load, const struct place *at, const struct node *node, uint64_t *out_ms)
{
    const char *text;
    if (!take_scalar(load, at, node, &text))
        return false;
    int64_t integer;
    int code = duration_parse_ms(text, out_ms);
    if (code == -ERANGE)
        load_error(load, at, "\"%.60s\" is too long for a duration", text);
    else if (code < 0 && value_integer(text, &integer) == 0 && integer >= 0)
        load_error(load, at, "\"%.60s\" has no unit; write %.60ss or 1m30s", text, text);
    else if (code < 0)
        load_error(load, at, "\"%.60s\" is not a duration; write 500ms, 10s or 1m30s", text);
    return code == 0;
}

const char *nearest_word(const char *const *words, size_t count, const char *word, char out[120])
{
    const char *best = NULL;
    unsigned best_distance = (unsigned)strlen(word) / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = base_word_distance(words[i], word);
        if (distance < best_distance || (distance == best_distance && best == NULL)) {
            best = words[i];
            best_distance = distance;
        }
    }
    if (best == NULL)
        return "";
    (void)snprintf(out, 120, "; did you mean \"%.60s\"?", best);
    return out;
}

const char *nearest_key(const struct section *section, const char *word, char out[120])
{
    enum { MOST = 128 };
    const char *words[MOST];
    size_t count = section->count < MOST ? section->count : MOST;
    for (size_t i = 0; i < count; i++)
        words[i] = section->keys[i].name;
    return nearest_word(words, count, word, out);
}

static bool is_false(const struct node *value)
{
    bool flag;
    return value->kind == NODE_SCALAR && value->type != TYPE_NULL && value_bool(value->text, &flag) == 0 && !flag;
}

static void read_key(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    if (value->implied && key->read == NULL)
        return; /* nobody wrote it */
    if (key->read != NULL) {
        if (!node_is_null(value))
            key->read(load, at, key, value, object);
        else if (key->section != NULL && !value->implied)
            load_error(load, at, "has no value; it takes a mapping");
    } else if (key->false_is_fine && is_false(value)) {
        return;
    } else if (key->refused != NULL) {
        load_unsupported(load, at, "refused: %s", key->refused);
    } else {
        load_unsupported(load, at, "not carried out yet");
    }
}

const struct key *find_key(const struct section *section, const char *name)
{
    for (size_t i = 0; i < section->count; i++)
        if (section->keys[i].name[0] == name[0] && strcmp(section->keys[i].name, name) == 0)
            return &section->keys[i];
    return NULL;
}

const struct key *find_row(const struct section *section, struct node_entry *entry)
{
    if (entry->row == NULL)
        entry->row = find_key(section, entry->key->text);
    return entry->row;
}

bool is_extension(const char *name)
{
    return name[0] == 'x' && name[1] == '-';
}

bool read_section(struct load *load, const struct place *at, const struct section *section, const struct node *map,
                  void *object)
{
    char hint[120];
    if (!take_kind(load, at, map, NODE_MAP))
        return false;
    for (size_t i = 0; i < map->count; i++) {
        struct node_entry *entry = &map->entries[i];
        struct place inner = place_key(at, entry);
        const struct key *key = find_row(section, entry);
        if (key != NULL)
            read_key(load, &inner, key, entry->value, object);
        else if (!section->extensions || !is_extension(entry->key->text))
            load_error(load, &inner, "unknown key%s",
                       load_is_full(load) ? "" : nearest_key(section, entry->key->text, hint));
    }
    return true;
}

void read_nested(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)read_section(load, at, key->section, value, object);
}

void read_nothing(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)load, (void)at, (void)key, (void)value, (void)object;
}

void read_text(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    const char *text;
    if (take_text(load, at, value, &text))
        *(char **)((char *)object + key->offset) = keep(load, text);
}

void read_flag(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)take_flag(load, at, value, (bool *)((char *)object + key->offset));
}

void read_size(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)take_size(load, at, value, (uint64_t *)(void *)((char *)object + key->offset));
}

void read_duration(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    uint64_t ms;
    if (!take_duration(load, at, value, &ms))
        return;
    if (key->max > 0 && (ms < (uint64_t)key->min || ms > (uint64_t)key->max))
        load_error(load, at, "\"%.60s\" is out of range; it goes from %lld ms to %lld ms", value->text,
                   (long long)key->min, (long long)key->max);
    else if (ms < (uint64_t)key->min)
        load_error(load, at, "\"%.60s\" is too short; write at least %lld ms", value->text, (long long)key->min);
    else
        *(int64_t *)(void *)((char *)object + key->offset) = (int64_t)ms;
}

void read_strings(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    shoal_strings_t list = {.items = arena_array(load->arena, value->count + (size_t)1, sizeof *list.items)};
    if (!LOAD_GOT(load, list.items))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place item = place_item(at, value, i);
        const char *text;
        if (take_text(load, &item, value->items[i], &text))
            list.items[list.count++] = keep(load, text);
    }
    *(shoal_strings_t *)(void *)((char *)object + key->offset) = list;
}

static void list_pair(struct load *load, const struct place *at, const char *text, const char *separators, pair_fn fn,
                      void *data)
{
    size_t name_count = strcspn(text, separators);
    char *name = arena_copy(&load->nodes, text, name_count);
    if (LOAD_GOT(load, name))
        fn(load, at, name, text[name_count] == '\0' ? NULL : text + name_count + 1, data);
}

void each_pair(struct load *load, const struct place *at, const struct node *node, const char *separators, pair_fn fn,
               void *data)
{
    if (node->kind == NODE_SCALAR) {
        if (node->type == TYPE_NULL)
            load_error(load, at, "has no value; it takes a mapping or a list");
        else
            load_error(load, at, "takes a mapping or a list, not %s", node_describe(node));
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (node->kind == NODE_LIST) {
            struct place item = place_item(at, node, i);
            const char *text;
            if (take_text(load, &item, node->items[i], &text))
                list_pair(load, &item, text, separators, fn, data);
            continue;
        }
        struct place inner = place_key(at, &node->entries[i]);
        const struct node *value = node->entries[i].value;
        char number[64];
        const char *text = NULL;
        if (value->kind == NODE_SCALAR && value->type == TYPE_NULL) {
            fn(load, &inner, inner.word, NULL, data);
            continue;
        }
        if (!take_scalar(load, &inner, value, &text))
            continue;
        bool flag;
        if (value->type == TYPE_BOOL && value_bool(text, &flag) == 0)
            text = flag ? "true" : "false";
        else if (value->type == TYPE_INT || value->type == TYPE_FLOAT)
            text = node_number_text(value, number);
        fn(load, &inner, inner.word, text, data);
    }
}

bool check_name(struct load *load, const struct place *at, const char *what, const char *name)
{
    size_t count = strlen(name);
    bool good = count > 0 && count <= 100 && name[0] != '.' && name[0] != '-';
    for (size_t i = 0; good && i < count; i++)
        good = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
               (name[i] >= '0' && name[i] <= '9') || name[i] == '.' || name[i] == '_' || name[i] == '-';
    if (!good)
        load_error(
            load, at,
            "\"%.100s\" is not a name for a %s; it takes up to 100 of a-z A-Z 0-9 . _ - and begins with no . or -",
            name, what);
    return good;
}

bool check_host(struct load *load, const struct place *at, const char *name)
{
    size_t count = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    bool good = count > 0 && count <= 253 && name[count] == '\0' && name[0] != '-' && name[0] != '.';
    if (!good)
        load_error(load, at, "\"%.100s\" is not a host name", name);
    return good;
}
