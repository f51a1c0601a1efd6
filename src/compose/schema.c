/* What may be written where, by the kinds of the tables. What may not is said and taken away, so that the later stages
 * meet nothing unexpected and still find what else is wrong. */
#include <errno.h>
#include <math.h>
#include <regex.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

static unsigned bit_of(const struct node *node)
{
    double number;
    if (node->kind == NODE_LIST)
        return TAKES_LIST;
    if (node->kind == NODE_MAP)
        return TAKES_MAP;
    switch ((enum node_type)node->type) {
    case TYPE_NULL:
        return TAKES_NULL;
    case TYPE_BOOL:
        return TAKES_BOOL;
    case TYPE_INT:
        return TAKES_INTEGER;
    case TYPE_FLOAT:
        return node_float(node, &number) && isfinite(number) && number == floor(number) ? TAKES_INTEGER
                                                                                        : TAKES_NUMBER & ~TAKES_INTEGER;
    case TYPE_TIME:
        return 0;
    case TYPE_STRING:
        break;
    }
    return TAKES_TEXT;
}

static void describe(unsigned takes, char out[120])
{
    static const struct {
        unsigned bit;
        const char *words;
    } names[] = {{TAKES_TEXT, "text"},
                 {TAKES_NUMBER & ~TAKES_INTEGER, "a number"},
                 {TAKES_INTEGER, "a whole number"},
                 {TAKES_BOOL, "true or false"},
                 {TAKES_LIST, "a list"},
                 {TAKES_MAP, "a mapping"}};
    struct text text = {.bytes = out, .room = 120}; /* all of them are 60 bytes: it never grows */
    bool number = (takes & TAKES_NUMBER) == TAKES_NUMBER;
    for (size_t i = 0; i < COUNT(names); i++) {
        if ((takes & names[i].bit) == 0 || (number && names[i].bit == TAKES_INTEGER))
            continue;
        if (text.count > 0)
            text_add_string(&text, " or ");
        text_add_string(&text, names[i].words);
    }
}

static bool refuse_type(struct load *load, const struct place *at, const struct kind *kind, const struct node *node)
{
    char words[120];
    describe(kind->takes, words);
    const char *wanted = kind->what != NULL ? kind->what : words;
    if (node_is_null(node))
        load_error(load, at, "has no value; it takes %s", wanted);
    else if (node->kind == NODE_SCALAR && node->type != TYPE_STRING && (kind->takes & TAKES_TEXT) != 0 &&
             kind->becomes != AS_FLAG && kind->becomes != AS_FLAG_SET)
        load_error(load, at, "%.60s is %s, where %s belongs; put it in quotes", node->text, node_describe(node),
                   (kind->takes & (TAKES_LIST | TAKES_MAP)) != 0 ? "text" : wanted);
    else if (node->kind == NODE_SCALAR)
        load_error(load, at, "takes %s, not %s \"%.60s\"", wanted, node_describe(node), node->text);
    else
        load_error(load, at, "takes %s, not %s", wanted, node_describe(node));
    return false;
}

static bool check_words(struct load *load, const struct place *at, const struct kind *kind, const struct node *node)
{
    char hint[120];
    struct text words = {0};
    size_t count = 0;
    for (; kind->words[count] != NULL; count++) {
        if (strcmp(kind->words[count], node->text) == 0) {
            text_free(&words);
            return true;
        }
        text_add_format(&words, "%s%s", count > 0 ? ", " : "", kind->words[count]);
    }
    if (LOAD_GOT(load, words.failed ? NULL : words.bytes))
        load_error(load, at, "\"%.60s\" is none of %s%s", node->text, words.bytes,
                   nearest_word(kind->words, count, node->text, hint));
    text_free(&words);
    return false;
}

static bool check_pattern(struct load *load, const struct place *at, const struct kind *kind, const struct node *node)
{
    regex_t *pattern = load_pattern(load, kind->pattern);
    if (pattern == NULL || regexec(pattern, node->text, 0, NULL, 0) == 0)
        return true;
    load_error(load, at, "\"%.60s\" does not fit; it holds %s", node->text, kind->pattern);
    return false;
}

static bool check_bounds(struct load *load, const struct place *at, const struct kind *kind, const struct node *node)
{
    int64_t value;
    double number;
    bool large = node->type == TYPE_FLOAT && node_float(node, &number) &&
                 (number < (double)kind->min || number > (double)kind->max);
    if (!large && (value_integer(node->text, &value) < 0 || (value >= kind->min && value <= kind->max)))
        return true; /* text that is no number is said when it is read */
    load_error(load, at, "%.60s is out of range; it goes from %lld to %lld", node->text, (long long)kind->min,
               (long long)kind->max);
    return false;
}

static bool check_scalar(struct load *load, const struct place *at, const struct kind *kind, const struct node *node)
{
    if (kind->bounded && !check_bounds(load, at, kind, node))
        return false;
    if (node->type != TYPE_STRING)
        return true;
    if (kind->words != NULL && !check_words(load, at, kind, node))
        return false;
    return kind->pattern == NULL || check_pattern(load, at, kind, node);
}

/* ---- lists ---- */

/* Scalars by a tree, so that a long list costs little; the few lists of mappings by comparing each with each. */
static void check_unique(struct load *load, const struct place *at, const struct node *list)
{
    struct names seen = {0};
    if (names_reserve(&seen, list->count) < 0)
        load->out_of_memory = true;
    for (size_t i = 0; i < list->count && !load->out_of_memory; i++) {
        const struct node *item = list->items[i];
        struct place inner = place_item(at, list, i);
        size_t before = 0;
        int code = 1;
        if (item->kind == NODE_SCALAR) {
            code = names_put(&seen, item->text, i, &before);
            code = code == 0 && !node_equal(item, list->items[before]) ? 1 : code;
        } else if (list->count <= 1000) {
            for (before = 0; code > 0 && before < i; before++)
                code = node_equal(item, list->items[before]) ? 0 : 1;
        }
        if (code < 0)
            load->out_of_memory = true;
        if (code == 0 && item->kind == NODE_SCALAR)
            load_error(load, &inner, "\"%.100s\" is in the list already", item->text);
        else if (code == 0)
            load_error(load, &inner, "is in the list already");
    }
    names_free(&seen);
}

static void check_list(struct load *load, const struct place *at, const struct kind *kind, struct node *list)
{
    size_t used = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct place item = place_item(at, list, i);
        if (kind->items == NULL || check_kind(load, &item, kind->items, list->items[i])) {
            list->damaged = list->damaged || list->items[i]->damaged;
            list->items[used++] = list->items[i];
        } else {
            list->damaged = true;
        }
    }
    list->count = (uint32_t)used;
    if (kind->unique)
        check_unique(load, at, list);
}

/* ---- mappings ---- */

static bool fits_names(const char *names, const char *word)
{
    if (names == NULL)
        return word[0] != '\0';
    const char *s = word;
    for (; *s != '\0'; s++) {
        bool fits = false;
        for (const char *n = names; *n != '\0' && !fits; n++) {
            bool range = n[1] == '-' && n[2] != '\0';
            fits = range ? *s >= n[0] && *s <= n[2] : *s == *n;
            n += range ? 2 : 0;
        }
        if (!fits)
            return false;
    }
    return s != word;
}

static bool check_name_of(struct load *load, const struct place *at, const struct kind *kind, const char *name)
{
    if (fits_names(kind->names, name))
        return true;
    struct text words = {0};
    for (const char *n = kind->names; n != NULL && *n != '\0';) {
        size_t count = n[1] == '-' && n[2] != '\0' ? 3 : 1;
        text_add_format(&words, "%s%.*s", n == kind->names ? "" : " ", (int)count, n);
        n += count;
    }
    load_error(load, at, "\"%.100s\" is not a name; it takes %s", name, words.count == 0 ? "text" : words.bytes);
    text_free(&words);
    return false;
}

/* Is the value good where it stands? */
static bool check_value(struct load *load, const struct place *at, const struct kind *kind, struct node_entry *entry)
{
    char hint[120];
    if (kind->section == NULL) {
        bool named = kind->becomes == AS_NAMED || kind->becomes == AS_PAIRS || kind->becomes == AS_VARIABLES ||
                     kind->becomes == AS_HOSTS;
        return (!named || check_name_of(load, at, kind, entry->key->text)) &&
               check_kind(load, at, kind->values == NULL ? &kind_any : kind->values, entry->value);
    }
    const struct key *row = find_row(kind->section, entry);
    if (row != NULL)
        return row->kind == NULL || check_kind(load, at, row->kind, entry->value);
    if (is_extension(entry->key->text) && kind->section->extensions)
        return true;
    load_error(load, at, "unknown key%s", load_is_full(load) ? "" : nearest_key(kind->section, entry->key->text, hint));
    return false;
}

static bool check_map(struct load *load, const struct place *at, const struct kind *kind, struct node *map)
{
    size_t used = 0;
    for (size_t i = 0; i < map->count; i++) {
        struct place inner = place_key(at, &map->entries[i]);
        bool good = check_value(load, &inner, kind, &map->entries[i]);
        map->damaged = map->damaged || !good || map->entries[i].value->damaged;
        if (good)
            map->entries[used++] = map->entries[i];
    }
    map->count = (uint32_t)used;
    bool whole = true;
    for (size_t i = 0; kind->section != NULL && i < kind->section->count; i++) {
        const struct key *row = &kind->section->keys[i];
        if (!row->needed || node_get(map, row->name) != NULL)
            continue;
        if (!map->damaged)
            load_error(load, at, "the key \"%s\" is missing", row->name);
        whole = false;
    }
    return whole;
}

bool check_kind(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    if (node->checked)
        return true;
    unsigned bit = bit_of(node);
    if ((kind->takes & bit) == 0 && !(bit == 0 && kind == &kind_any))
        return refuse_type(load, at, kind, node);
    bool good = true;
    if (node->kind == NODE_LIST)
        check_list(load, at, kind, node);
    else if (node->kind == NODE_MAP)
        good = (kind->section == NULL && kind->values == NULL) || check_map(load, at, kind, node);
    else
        good = check_scalar(load, at, kind, node);
    node->checked = good;
    return good;
}
