/* A tree as YAML or JSON. Keys come in the order of the tables, free names and the top of JSON sorted: that is how typed
 * trees are, and what docker compose prints. */
#include <math.h>
#include <string.h>

#include "compose/config.h"
#include "compose/values.h"

struct printer {
    struct load *load;
    struct text *out;
    bool dollars, json, compact;
    bool sorted;                   /* all keys, also those of the tables */
    const struct node *sorted_map; /* this one's keys, too */
    size_t budget;                 /* bytes that may still come: indentation makes more of a text than it was */
};

static bool is_shown(const struct printer *p, const struct node *node)
{
    return p->sorted || (p->json ? !node->yaml_only : !node->json_only);
}

/* Entries in the order they are printed. */
static const struct node_entry **ordered(const struct printer *p, const struct node *map, size_t *out_count)
{
    bool rows = false;
    for (size_t i = 0; i < map->count && !rows && !p->sorted && map != p->sorted_map; i++)
        rows = map->entries[i].row != NULL && map->entries[i].row->kind != NULL;
    const struct node_entry **list;
    if (!rows) {
        list = p->json ? node_sorted(&p->load->nodes, map) : node_sorted_naturally(&p->load->nodes, map);
    } else {
        list = arena_array(&p->load->nodes, map->count, sizeof *list);
        for (size_t i = 0; list != NULL && i < map->count; i++)
            list[i] = &map->entries[i];
    }
    size_t used = 0;
    for (size_t i = 0; LOAD_GOT(p->load, list) && i < map->count; i++)
        if (is_shown(p, list[i]->value))
            list[used++] = list[i];
    *out_count = used;
    return list;
}

static const char *bool_text(const struct node *node)
{
    return node->text[0] == 't' || node->text[0] == 'T' ? "true" : "false";
}

/* 2026-01-31 is the midnight it begins with. */
static void put_time(struct text *out, const struct node *node)
{
    text_add_string(out, node->text);
    if (strlen(node->text) <= 10)
        text_add_string(out, "T00:00:00Z");
}

/* ---- JSON ---- */

static void put_json_string(struct printer *p, const char *text)
{
    struct text *out = p->out;
    text_add(out, "\"", 1);
    for (const char *s = text; *s != '\0';) {
        size_t plain = strcspn(s, "\"\\\n\r\t\b\f$<>&");
        for (size_t i = 0; i < plain; i++) {
            unsigned char c = (unsigned char)s[i];
            bool separator = c == 0xe2 && (unsigned char)s[i + 1] == 0x80 && ((unsigned char)s[i + 2] & 0xfe) == 0xa8;
            if (c >= 0x20 && !separator)
                continue;
            text_add(out, s, i);
            text_add_format(out, "\\u%04x", separator ? 0x2000u + ((unsigned char)s[i + 2] & 0x3fu) : c);
            s += i + (separator ? 3 : 1);
            plain -= i + (separator ? 3 : 1);
            i = (size_t)-1;
        }
        text_add(out, s, plain);
        s += plain;
        if (*s == '\0')
            break;
        static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
        const char *known = strchr(from, *s);
        if (known != NULL)
            text_add_format(out, "\\%c", to[known - from]);
        else if (*s == '$')
            text_add_string(out, p->dollars ? "$$" : "$");
        else
            text_add_format(out, "\\u%04x", (unsigned char)*s); /* as Go does, for HTML */
        s++;
    }
    text_add(out, "\"", 1);
}

/* Go's JSON has exponents below 1e-6 and from 1e21 on. */
static void put_json_number(struct printer *p, const struct node *node)
{
    char text[64];
    double number;
    if (node->type == TYPE_INT) {
        text_add_string(p->out, node_number_text(node, text));
        return;
    }
    if (!node_float(node, &number) || !isfinite(number)) {
        const struct place at = {.file = node->file, .line = node->line, .column = node->column};
        load_error(p->load, &at, "JSON has no word for %.20s", node->text);
        text_add_string(p->out, "null");
        return;
    }
    value_float_text(number, 64, 21, text);
    char *exponent = strstr(text, "e-0");
    text_add(p->out, text, exponent == NULL ? strlen(text) : (size_t)(exponent - text) + 2);
    text_add_string(p->out, exponent == NULL ? "" : exponent + 3); /* 1e-7, where Go's YAML has 1e-07 */
}

static void put_json(struct printer *p, const struct node *node, unsigned depth);

static void put_break(struct printer *p, unsigned depth)
{
    if (p->compact)
        return;
    text_add_string(p->out, "\n");
    for (unsigned i = 0; i < depth; i++)
        text_add_string(p->out, "  ");
}

/* Variables are not looked for in keys: their dollar signs stay single. */
static void put_key(struct printer *p, void (*put)(struct printer *, const char *), const char *key)
{
    bool dollars = p->dollars;
    p->dollars = false;
    put(p, key);
    p->dollars = dollars;
}

/* Compose makes commands a list of its own, which is none where they are empty. */
static bool is_empty_command(const struct node_entry *entry)
{
    const struct kind *kind = entry->row == NULL ? NULL : entry->row->kind;
    return kind != NULL && (kind->becomes == AS_COMMAND || kind->becomes == AS_TEST) &&
           entry->value->kind == NODE_LIST && entry->value->count == 0;
}

static void put_json_map(struct printer *p, const struct node *map, unsigned depth)
{
    size_t count = 0;
    const struct node_entry **entries = ordered(p, map, &count);
    text_add_string(p->out, "{");
    for (size_t i = 0; entries != NULL && i < count; i++) {
        const struct key *row = entries[i]->row;
        text_add_string(p->out, i > 0 ? "," : "");
        put_break(p, depth + 1);
        bool renamed = row != NULL && row->json_name != NULL && !p->sorted;
        put_key(p, put_json_string, renamed ? row->json_name : entries[i]->key->text);
        text_add_string(p->out, p->compact ? ":" : ": ");
        if (p->sorted && is_empty_command(entries[i]))
            text_add_string(p->out, "null");
        else
            put_json(p, entries[i]->value, depth + 1);
    }
    if (count > 0)
        put_break(p, depth);
    text_add_string(p->out, "}");
}

static void put_json_list(struct printer *p, const struct node *list, unsigned depth)
{
    text_add_string(p->out, "[");
    for (size_t i = 0; i < list->count; i++) {
        text_add_string(p->out, i > 0 ? "," : "");
        put_break(p, depth + 1);
        put_json(p, list->items[i], depth + 1);
    }
    if (list->count > 0)
        put_break(p, depth);
    text_add_string(p->out, "]");
}

static void put_json(struct printer *p, const struct node *node, unsigned depth)
{
    if (node->kind == NODE_MAP)
        put_json_map(p, node, depth);
    else if (node->kind == NODE_LIST)
        put_json_list(p, node, depth);
    else if (node->type == TYPE_NULL)
        text_add_string(p->out, "null");
    else if (node->type == TYPE_BOOL)
        text_add_string(p->out, bool_text(node));
    else if (node->type == TYPE_INT || node->type == TYPE_FLOAT)
        put_json_number(p, node);
    else if (node->type == TYPE_TIME) {
        text_add_string(p->out, "\"");
        put_time(p->out, node);
        text_add_string(p->out, "\"");
    } else
        put_json_string(p, node->text);
}

void print_json(struct load *load, struct text *out, const struct node *root, enum print_form form)
{
    struct printer p = {.load = load,
                        .out = out,
                        .dollars = form == PRINT_TYPED,
                        .sorted = form == PRINT_RAW,
                        .sorted_map = form == PRINT_TYPED ? root : NULL,
                        .compact = form == PRINT_COMPACT,
                        .json = true};
    put_json(&p, root, 0);
    if (form != PRINT_COMPACT)
        text_add_string(out, "\n");
}

/* ---- YAML ---- */

/* Words that YAML 1.1 readers take for true, false or nothing: quoted, for them. */
static bool is_old_word(const char *text)
{
    if (strchr("yYnNoO<=", text[0]) == NULL || strlen(text) > 3)
        return false;
    static const char *const words[] = {"y",  "Y",  "yes", "Yes", "YES", "n",   "N",  "no", "No", "NO",
                                        "on", "On", "ON",  "off", "Off", "OFF", "<<", "=",  NULL};
    for (size_t i = 0; words[i] != NULL; i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

/* 1:30 is a number to the base of 60 in YAML 1.1, 1:75 is not. */
static bool is_base_60(const char *text)
{
    const char *s = text + (*text == '-' || *text == '+');
    if (*s < '0' || *s > '9')
        return false;
    s += strspn(s, "0123456789_");
    if (*s != ':')
        return false;
    while (*s == ':') {
        size_t digits = strspn(++s, "0123456789");
        if (digits == 0 || digits > 2 || (digits == 2 && *s > '5'))
            return false;
        s += digits;
    }
    return *s == '\0' || (*s == '.' && strspn(s + 1, "0123456789_") == strlen(s + 1));
}

static bool is_plain(const char *text)
{
    size_t count = strlen(text);
    if (count == 0 || node_resolve(text, count) != TYPE_STRING || is_old_word(text) || is_base_60(text))
        return false;
    if (strchr("-?:,[]{}#&*!|>'\"%@` \t", text[0]) != NULL) {
        bool word = (text[0] == '-' || text[0] == '?' || text[0] == ':') && text[1] != '\0' && text[1] != ' ' &&
                    strchr(",[]{}", text[1]) == NULL;
        if (!word || strncmp(text, "---", 3) == 0)
            return false;
    }
    if (strncmp(text, "...", 3) == 0 || text[count - 1] == ' ' || text[count - 1] == ':')
        return false;
    for (const char *s = text; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20 || c == 0x7f || (c == ':' && s[1] == ' ') || (c == '#' && s > text && s[-1] == ' '))
            return false;
        if (c == 0xc2 && (unsigned char)s[1] < 0xa0)
            return false; /* control characters of Latin 1, and the line break 0x85 */
        if (c == 0xe2 && (unsigned char)s[1] == 0x80 && ((unsigned char)s[2] & 0xfe) == 0xa8)
            return false; /* line and paragraph separator */
        if (c == 0xef && (unsigned char)s[1] == 0xbb && (unsigned char)s[2] == 0xbf)
            return false; /* byte order mark */
        if (c >= 0xf0)
            return false; /* beyond 16 bits, which Go's library writes as \U */
    }
    return true;
}

/* Several lines, each of printable text, none of them only blank at its end in a way a block would lose. */
static bool is_block(const char *text)
{
    if (strchr(text, '\n') == NULL || text[0] == '\t')
        return false;
    for (const char *s = text; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            return false;
        if (c == ' ' && s[1] == '\n')
            return false;
        if ((c == 0xc2 && (unsigned char)s[1] < 0xa0) ||
            (c == 0xe2 && (unsigned char)s[1] == 0x80 && ((unsigned char)s[2] & 0xfe) == 0xa8) ||
            (c == 0xef && (unsigned char)s[1] == 0xbb && (unsigned char)s[2] == 0xbf) || c >= 0xf0)
            return false;
    }
    return text[strlen(text) - 1] != ' ';
}

static void put_dollars(struct printer *p, const char *text, size_t count)
{
    for (size_t i = 0; i < count;) {
        const char *dollar = p->dollars ? memchr(text + i, '$', count - i) : NULL;
        size_t plain = dollar == NULL ? count - i : (size_t)(dollar - text) - i;
        text_add(p->out, text + i, plain);
        i += plain;
        if (i < count) {
            text_add_string(p->out, "$$");
            i++;
        }
    }
}

static void put_double_quoted(struct printer *p, const char *text)
{
    text_add_string(p->out, "\"");
    for (const char *s = text; *s != '\0'; s++) {
        static const char from[] = "\"\\\n\r\t\b\f\a\v\x1b", to[] = "\"\\nrtbfave";
        unsigned char c = (unsigned char)*s, next = (unsigned char)s[1];
        const char *known = strchr(from, *s);
        if (known != NULL)
            text_add_format(p->out, "\\%c", to[known - from]);
        else if (c < 0x20 || c == 0x7f)
            text_add_format(p->out, "\\x%02X", c);
        else if (c == 0xc2 && next < 0xa0)
            text_add_format(p->out, "\\x%02X", (unsigned)next), s++;
        else if (c == 0xe2 && next == 0x80 && ((unsigned char)s[2] & 0xfe) == 0xa8)
            text_add_format(p->out, "\\u%04X", 0x2000u + ((unsigned char)s[2] & 0x3fu)), s += 2;
        else if (c == 0xef && next == 0xbb && (unsigned char)s[2] == 0xbf)
            text_add_string(p->out, "\\uFEFF"), s += 2;
        else if (c >= 0xf0)
            text_add_format(p->out, "\\U%08X",
                            (c & 7u) << 18 | (next & 0x3fu) << 12 | ((unsigned char)s[2] & 0x3fu) << 6 |
                                ((unsigned char)s[3] & 0x3fu)),
                s += 3;
        else
            put_dollars(p, s, 1);
    }
    text_add_string(p->out, "\"");
}

static void put_indent(struct printer *p, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        text_add_string(p->out, "  ");
}

static void put_block(struct printer *p, const char *text, unsigned depth)
{
    size_t count = strlen(text);
    bool ended = text[count - 1] == '\n', several = ended && (count == 1 || text[count - 2] == '\n');
    text_add_string(
        p->out, text[0] == ' ' || text[0] == '\n' ? "|2" : "|"); /* how deep it stands can not be seen behind blanks */
    text_add_string(p->out, several ? "+\n" : ended ? "\n" : "-\n");
    for (const char *s = text; *s != '\0';) {
        size_t line = strcspn(s, "\n");
        if (line > 0)
            put_indent(p, depth);
        put_dollars(p, s, line);
        s += line;
        if (*s == '\n') {
            text_add_string(p->out, "\n");
            s++;
        } else {
            text_add_string(p->out, "\n");
        }
    }
}

static bool quotes_are_enough(const char *text)
{
    for (const char *s = text; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)s[1] < 0xa0) ||
            (c == 0xe2 && (unsigned char)s[1] == 0x80 && ((unsigned char)s[2] & 0xfe) == 0xa8) ||
            (c == 0xef && (unsigned char)s[1] == 0xbb && (unsigned char)s[2] == 0xbf) || c >= 0xf0)
            return false;
    }
    return true;
}

/* What would be no text without quotes gets double ones, what is text all the same single ones: as Go's library does. */
static void put_yaml_text(struct printer *p, const char *text, bool key, unsigned depth)
{
    if (!key && is_block(text) && p->budget > depth * 2 * (size_t)64) {
        size_t lines = 1;
        for (const char *s = text; *s != '\0'; s++)
            lines += *s == '\n';
        if (lines * depth * 2 < p->budget) {
            p->budget -= lines * depth * 2;
            put_block(p, text, depth);
            return;
        }
    }
    if (is_plain(text)) {
        put_dollars(p, text, strlen(text));
    } else if (text[0] == '\0' || node_resolve(text, strlen(text)) != TYPE_STRING || is_old_word(text) ||
               is_base_60(text) || !quotes_are_enough(text)) {
        put_double_quoted(p, text);
    } else {
        text_add_string(p->out, "'");
        for (const char *s = text; *s != '\0';) {
            size_t plain = strcspn(s, "'");
            put_dollars(p, s, plain);
            s += plain;
            if (*s == '\'') {
                text_add_string(p->out, "''");
                s++;
            }
        }
        text_add_string(p->out, "'");
    }
    if (!key)
        text_add_string(p->out, "\n");
}

static void put_yaml_key(struct printer *p, const char *text)
{
    put_yaml_text(p, text, true, 0);
}

static void put_yaml_scalar(struct printer *p, const struct node *node, unsigned depth)
{
    char number[64];
    if (node->type == TYPE_STRING) {
        put_yaml_text(p, node->text, false, depth);
        return;
    }
    double value;
    if (node->type == TYPE_NULL)
        text_add_string(p->out, "null");
    else if (node->type == TYPE_BOOL)
        text_add_string(p->out, bool_text(node));
    else if (node->type == TYPE_TIME)
        put_time(p->out, node);
    else if (node->type == TYPE_FLOAT && node_float(node, &value) && !isfinite(value))
        text_add_string(p->out, isnan(value) ? ".nan" : value < 0 ? "-.inf" : ".inf");
    else if (node->type == TYPE_FLOAT && node_float(node, &value) && value == 0 && signbit(value))
        text_add_string(p->out, "-0.0"); /* -0 would be a whole number, and those have no sign then */
    else
        text_add_string(p->out, node_number_text(node, number));
    text_add_string(p->out, "\n");
}

static void put_yaml(struct printer *p, const struct node *node, unsigned depth, bool in_list);

static bool is_empty(const struct printer *p, const struct node *node)
{
    size_t shown = node->kind == NODE_SCALAR ? 1 : 0;
    for (size_t i = 0; i < node->count && shown == 0; i++)
        shown += node->kind == NODE_LIST || is_shown(p, node->entries[i].value);
    return shown == 0;
}

/* What stands behind "key:" or "-". */
static void put_yaml_child(struct printer *p, const struct node *node, unsigned depth, bool in_list)
{
    if (node->kind == NODE_SCALAR) {
        text_add_string(p->out, " ");
        put_yaml_scalar(p, node, depth);
    } else if (is_empty(p, node)) {
        text_add_string(p->out, node->kind == NODE_LIST ? " []\n" : " {}\n");
    } else if (in_list) {
        text_add_string(p->out, " ");
        put_yaml(p, node, depth, true);
    } else {
        text_add_string(p->out, "\n");
        put_yaml(p, node, depth, false);
    }
}

/* inside: the first line stands behind a "- ". */
static void put_yaml(struct printer *p, const struct node *node, unsigned depth, bool inside)
{
    if (node->kind == NODE_LIST) {
        for (size_t i = 0; i < node->count; i++) {
            if (i > 0 || !inside)
                put_indent(p, depth);
            text_add_string(p->out, "-");
            put_yaml_child(p, node->items[i], depth + 1, true);
        }
        return;
    }
    size_t count = 0;
    const struct node_entry **entries = ordered(p, node, &count);
    for (size_t i = 0; entries != NULL && i < count; i++) {
        if (i > 0 || !inside)
            put_indent(p, depth);
        bool long_key = entries[i]->key->count > 300; /* libyaml's limit is 1,024 characters, escapes and all */
        text_add_string(p->out, long_key ? "? " : "");
        put_key(p, put_yaml_key, entries[i]->key->text);
        if (long_key) {
            text_add_string(p->out, "\n");
            put_indent(p, depth);
        }
        text_add_string(p->out, ":");
        put_yaml_child(p, entries[i]->value, depth + 1, false);
    }
}

void print_yaml(struct load *load, struct text *out, const struct node *root, enum print_form form)
{
    struct printer p = {.load = load,
                        .out = out,
                        .dollars = form == PRINT_TYPED,
                        .sorted = form == PRINT_RAW,
                        .budget = (size_t)64 << 20};
    if (is_empty(&p, root))
        text_add_string(out, "{}\n");
    else
        put_yaml(&p, root, 0, false);
}
