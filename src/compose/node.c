/* From libyaml's events to nodes. libyaml's own documents keep no duplicate keys, merge keys or alias budget. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <yaml.h>

#include "base/base.h"
#include "compose/names.h"
#include "compose/node.h"
#include "compose/utf16.h"

struct composer {
    yaml_parser_t parser;
    struct arena *arena;
    unsigned file;
    node_mistake_cb cb;
    void *data;
    struct names anchors;   /* number: index into anchored */
    struct node **anchored; /* owned */
    size_t anchored_count, anchored_room;
    struct node **pending; /* owned; children of the collections that are open, innermost last */
    size_t pending_count, pending_room;
    uint64_t values, text_bytes; /* of the whole document so far, aliases expanded */
};

static void mistake(struct composer *c, int line, int column, const char *fmt, ...) SHOAL_PRINTF(4, 5);
static void mistake(struct composer *c, int line, int column, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    c->cb(c->data, line, column, text);
}

static int mark_line(const yaml_mark_t *mark)
{
    return (int)mark->line + 1;
}

static int mark_column(const yaml_mark_t *mark)
{
    return (int)mark->column + 1;
}

/* One node's own share, or an alias's whole: -E2BIG ends the parse, for what comes behind would be as large. */
static int count_values(struct composer *c, const yaml_mark_t *at, uint64_t values, uint64_t text_bytes)
{
    c->values += values;
    c->text_bytes += text_bytes;
    if (c->values <= NODE_VALUES && c->text_bytes <= NODE_TEXT_BYTES)
        return 0;
    mistake(c, mark_line(at), mark_column(at), "the file holds more than %s, aliases counted as often as they are used",
            c->values > NODE_VALUES ? "600,000 values" : "32 MiB of text");
    return -E2BIG;
}

static struct node *new_node(struct composer *c, enum node_kind kind, const yaml_mark_t *at)
{
    struct node *node = arena_alloc(c->arena, sizeof *node);
    if (node == NULL)
        return NULL;
    node->kind = kind;
    node->file = (uint16_t)c->file;
    node->line = mark_line(at);
    node->column = mark_column(at);
    node->values = 1;
    return node;
}

static int push_pointer(struct node ***items, size_t *count, size_t *room, struct node *node)
{
    if (*count == *room) {
        size_t more = *room ? *room * 2 : 64;
        struct node **grown = reallocarray(*items, more, sizeof *grown);
        if (grown == NULL)
            return -ENOMEM;
        *items = grown;
        *room = more;
    }
    (*items)[(*count)++] = node;
    return 0;
}

static int push_pending(struct composer *c, struct node *node)
{
    return push_pointer(&c->pending, &c->pending_count, &c->pending_room, node);
}

static int remember_anchor(struct composer *c, const yaml_char_t *anchor, struct node *node)
{
    if (anchor == NULL)
        return 0;
    if (c->anchored_count == NODE_ANCHORS) {
        mistake(c, node->line, node->column, "the file holds more than %d anchors", NODE_ANCHORS);
        return -E2BIG;
    }
    char *name = arena_string(c->arena, (const char *)anchor);
    if (name == NULL || push_pointer(&c->anchored, &c->anchored_count, &c->anchored_room, node) < 0)
        return -ENOMEM;
    return names_replace(&c->anchors, name, c->anchored_count - 1);
}

/* Add a child's size to its parent's; the total was checked already, so that neither can overflow. */
static void add_size(struct node *parent, const struct node *child)
{
    parent->values += child->values;
    parent->text_bytes += child->text_bytes;
}

static bool is_tag(const yaml_char_t *tag, const char *suffix)
{
    return strcmp((const char *)tag, suffix) == 0;
}

static enum node_tag own_tag(const yaml_char_t *tag)
{
    if (tag == NULL)
        return TAG_NONE;
    return is_tag(tag, "!reset") ? TAG_RESET : is_tag(tag, "!override") ? TAG_OVERRIDE : TAG_NONE;
}

/* Local tags (!anything) say nothing to Compose. */
static void check_collection_tag(struct composer *c, const yaml_char_t *tag, const char *good, const yaml_mark_t *at)
{
    if (tag != NULL && tag[0] != '!' && !is_tag(tag, good))
        mistake(c, mark_line(at), mark_column(at), "the tag \"%.60s\" does not fit here", (const char *)tag);
}

static enum node_type scalar_type(struct composer *c, const yaml_event_t *event, const char *text, size_t count)
{
    static const struct {
        const char *tag;
        enum node_type type;
    } tags[] = {{YAML_STR_TAG, TYPE_STRING}, {YAML_NULL_TAG, TYPE_NULL},   {YAML_BOOL_TAG, TYPE_BOOL},
                {YAML_INT_TAG, TYPE_INT},    {YAML_FLOAT_TAG, TYPE_FLOAT}, {YAML_TIMESTAMP_TAG, TYPE_TIME}};
    const yaml_char_t *tag = event->data.scalar.tag;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (tag == NULL || (plain && own_tag(tag) != TAG_NONE))
        return plain ? node_resolve(text, count) : TYPE_STRING;
    if (tag[0] == '!' || is_tag(tag, "tag:yaml.org,2002:merge") || is_tag(tag, "tag:yaml.org,2002:binary"))
        return TYPE_STRING;
    const yaml_mark_t *at = &event->start_mark;
    for (size_t i = 0; i < COUNT(tags); i++) {
        if (!is_tag(tag, tags[i].tag))
            continue;
        enum node_type plain_type = node_resolve(text, count);
        bool fits = tags[i].type == TYPE_STRING || tags[i].type == plain_type ||
                    (tags[i].type == TYPE_FLOAT && plain_type == TYPE_INT);
        if (!fits)
            mistake(c, mark_line(at), mark_column(at), "\"%.60s\" does not fit its tag !!%s", text,
                    strrchr(tags[i].tag, ':') + 1);
        return tags[i].type;
    }
    mistake(c, mark_line(at), mark_column(at), "the tag \"%.60s\" is unknown", (const char *)tag);
    return TYPE_STRING;
}

/* !!binary: base64 with blanks in it, RFC 4648. NULL and a mistake when it is none, or none of a text. */
static char *decode_binary(struct composer *c, const yaml_mark_t *at, const char *text, size_t *count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = arena_alloc(c->arena, *count + 1);
    uint32_t bits = 0;
    size_t have = 0, used = 0;
    const char *s = text;
    for (; out != NULL && *s != '\0' && *s != '='; s++) {
        const char *digit = strchr(digits, *s);
        if (strchr(" \n\r\t", *s) != NULL)
            continue;
        if (digit == NULL)
            break;
        bits = bits << 6 | (uint32_t)(digit - digits);
        have += 6;
        if (have >= 8)
            out[used++] = (char)(bits >> (have -= 8));
    }
    if (out != NULL && (s[strspn(s, "= \n\r\t")] != '\0' || memchr(out, '\0', used) != NULL)) {
        mistake(c, mark_line(at), mark_column(at), "the text is not base64 of a text, as its tag !!binary says");
        used = 0;
    }
    *count = used;
    return out;
}

static int compose_scalar(struct composer *c, const yaml_event_t *event, struct node **out)
{
    const yaml_mark_t *at = &event->start_mark;
    const char *text = (const char *)event->data.scalar.value;
    size_t count = event->data.scalar.length;
    if (memchr(text, '\0', count) != NULL) {
        mistake(c, mark_line(at), mark_column(at), "the text holds a NUL, which no value can");
        count = strlen(text);
    }
    int code = count_values(c, at, 1, count);
    if (code < 0)
        return code;
    struct node *node = new_node(c, NODE_SCALAR, at);
    if (node == NULL)
        return -ENOMEM;
    node->text = arena_copy(c->arena, text, count);
    if (node->text == NULL)
        return -ENOMEM;
    const yaml_char_t *tag = event->data.scalar.tag;
    if (tag != NULL && is_tag(tag, "tag:yaml.org,2002:binary") &&
        (node->text = decode_binary(c, at, node->text, &count)) == NULL)
        return -ENOMEM;
    node->count = node->text_bytes = (uint32_t)count;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->type = scalar_type(c, event, node->text, count);
    node->tag = own_tag(event->data.scalar.tag);
    code = remember_anchor(c, event->data.scalar.anchor, node);
    if (code == 0)
        *out = node;
    return code;
}

static int compose_alias(struct composer *c, const yaml_event_t *event, struct node **out)
{
    const yaml_mark_t *at = &event->start_mark;
    const char *name = (const char *)event->data.alias.anchor;
    size_t number;
    if (!names_get(&c->anchors, name, &number)) {
        mistake(c, mark_line(at), mark_column(at), "the alias *%.60s has no anchor &%.60s before it", name, name);
        return -EINVAL;
    }
    struct node *node = c->anchored[number];
    if (node->open) {
        mistake(c, mark_line(at), mark_column(at), "the alias *%.60s stands inside its own anchor", name);
        return -EINVAL;
    }
    int code = count_values(c, at, node->values, node->text_bytes);
    node->aliased = true;
    if (code == 0)
        *out = node;
    return code;
}

static int compose_node(struct composer *c, yaml_event_t *event, unsigned depth, struct node **out);

static int next_event(struct composer *c, yaml_event_t *event)
{
    if (yaml_parser_parse(&c->parser, event) != 0)
        return 0;
    if (c->parser.error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    const yaml_mark_t *at = &c->parser.problem_mark;
    const char *problem = c->parser.problem != NULL ? c->parser.problem : "unreadable";
    if (c->parser.context != NULL)
        mistake(c, mark_line(at), mark_column(at), "%s %s", problem, c->parser.context);
    else
        mistake(c, mark_line(at), mark_column(at), "%s", problem);
    return -EINVAL;
}

/* Read children up to the end event onto the pending stack. */
static int compose_children(struct composer *c, yaml_event_type_t end, unsigned depth)
{
    for (;;) {
        yaml_event_t event;
        int code = next_event(c, &event);
        if (code < 0)
            return code;
        if (event.type == end) {
            yaml_event_delete(&event);
            return 0;
        }
        struct node *child = NULL;
        code = compose_node(c, &event, depth + 1, &child);
        if (code == 0)
            code = push_pending(c, child);
        if (code < 0)
            return code;
    }
}

static int compose_list(struct composer *c, struct node *list, unsigned depth)
{
    size_t from = c->pending_count;
    int code = compose_children(c, YAML_SEQUENCE_END_EVENT, depth);
    if (code < 0)
        return code;
    size_t count = c->pending_count - from;
    list->items = arena_array(c->arena, count, sizeof *list->items);
    if (list->items == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        list->items[i] = c->pending[from + i];
        add_size(list, list->items[i]);
    }
    list->count = list->room = (uint32_t)count;
    c->pending_count = from;
    return 0;
}

/* A map under construction: its entries, and which keys it has. */
struct building {
    struct node *map;
    size_t room;
    struct names keys; /* number: line of the key */
};

static int add_entry(struct composer *c, struct building *b, struct node *key, struct node *value)
{
    struct node *map = b->map;
    if (map->count == b->room) {
        size_t room = b->room * 2 + 4;
        struct node_entry *grown = arena_array(c->arena, room, sizeof *grown);
        if (grown == NULL)
            return -ENOMEM;
        if (map->count > 0)
            memcpy(grown, map->entries, map->count * sizeof *grown);
        map->entries = grown;
        b->room = room;
        map->room = (uint32_t)room;
    }
    map->entries[map->count++] = (struct node_entry){.key = key, .value = value};
    add_size(map, key);
    add_size(map, value);
    return 0;
}

/* Small maps are searched, large ones have a tree: both without a bad case. */
static int claim_key(struct building *b, const struct node *key, size_t *out_line)
{
    enum { SMALL = 12 };
    struct node *map = b->map;
    if (map->count <= SMALL && b->keys.count == 0) {
        for (size_t i = 0; i < map->count; i++) {
            if (strcmp(map->entries[i].key->text, key->text) != 0)
                continue;
            *out_line = (size_t)map->entries[i].key->line;
            return 0;
        }
        if (map->count < SMALL)
            return 1;
        for (size_t i = 0; i < map->count; i++)
            if (names_put(&b->keys, map->entries[i].key->text, (size_t)map->entries[i].key->line, NULL) < 0)
                return -ENOMEM;
    }
    return names_put(&b->keys, key->text, (size_t)key->line, out_line);
}

/* https://yaml.org/type/merge.html: keys of the map itself win, then those of the earlier maps in the list. */
static int merge_map(struct composer *c, struct building *b, const struct node *from, const struct node *at)
{
    if (from->kind != NODE_MAP) {
        mistake(c, at->line, at->column, "\"<<\" takes a mapping or a list of mappings, not %s", node_describe(from));
        return 0;
    }
    for (size_t i = 0; i < from->count; i++) {
        size_t line;
        int code = claim_key(b, from->entries[i].key, &line);
        if (code > 0) {
            from->entries[i].value->aliased = true; /* it stands in both mappings */
            code = add_entry(c, b, from->entries[i].key, from->entries[i].value);
        }
        if (code < 0)
            return code;
    }
    return 0;
}

static bool is_merge_key(const struct node *key)
{
    return !key->quoted && strcmp(key->text, "<<") == 0;
}

static int build_map(struct composer *c, struct building *b, size_t from)
{
    const struct node *merge = NULL, *merge_at = NULL;
    for (size_t i = from; i + 1 < c->pending_count; i += 2) {
        struct node *key = c->pending[i], *value = c->pending[i + 1];
        if (key->kind != NODE_SCALAR || key->type != TYPE_STRING) {
            if (key->kind != NODE_SCALAR)
                mistake(c, key->line, key->column, "a key cannot be %s", node_describe(key));
            else
                mistake(c, key->line, key->column, "the key %.60s is %s; put it in quotes",
                        key->text[0] == '\0' ? "of nothing" : key->text, node_describe(key));
            continue;
        }
        if (is_merge_key(key)) {
            if (merge != NULL)
                mistake(c, key->line, key->column, "the key \"<<\" was given before, on line %d", merge_at->line);
            merge = value;
            merge_at = key;
            continue;
        }
        size_t line;
        int code = claim_key(b, key, &line);
        if (code == 0)
            mistake(c, key->line, key->column, "the key \"%.60s\" was given before, on line %zu", key->text, line);
        else if (code > 0)
            code = add_entry(c, b, key, value);
        if (code < 0)
            return code;
    }
    if (merge == NULL)
        return 0;
    if (merge->kind != NODE_LIST)
        return merge_map(c, b, merge, merge_at);
    for (size_t i = 0; i < merge->count; i++) {
        int code = merge_map(c, b, merge->items[i], merge_at);
        if (code < 0)
            return code;
    }
    return 0;
}

static int compose_map(struct composer *c, struct node *map, unsigned depth)
{
    size_t from = c->pending_count;
    int code = compose_children(c, YAML_MAPPING_END_EVENT, depth);
    if (code < 0)
        return code;
    struct building b = {.map = map};
    b.room = (c->pending_count - from) / 2;
    map->room = (uint32_t)b.room;
    map->entries = arena_array(c->arena, b.room, sizeof *map->entries);
    code = map->entries == NULL ? -ENOMEM : build_map(c, &b, from);
    names_free(&b.keys);
    c->pending_count = from;
    return code;
}

static int compose_collection(struct composer *c, const yaml_event_t *event, unsigned depth, struct node **out)
{
    const yaml_mark_t *at = &event->start_mark;
    bool map = event->type == YAML_MAPPING_START_EVENT;
    if (depth > NODE_DEPTH) {
        mistake(c, mark_line(at), mark_column(at), "nested more than %d levels deep", NODE_DEPTH);
        return -EINVAL;
    }
    int code = count_values(c, at, 1, 0);
    if (code < 0)
        return code;
    if (map)
        check_collection_tag(c, event->data.mapping_start.tag, YAML_MAP_TAG, at);
    else
        check_collection_tag(c, event->data.sequence_start.tag, YAML_SEQ_TAG, at);
    struct node *node = new_node(c, map ? NODE_MAP : NODE_LIST, at);
    if (node == NULL)
        return -ENOMEM;
    node->tag = own_tag(map ? event->data.mapping_start.tag : event->data.sequence_start.tag);
    node->open = true;
    code = remember_anchor(c, map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor, node);
    if (code == 0)
        code = map ? compose_map(c, node, depth) : compose_list(c, node, depth);
    node->open = false;
    if (code == 0)
        *out = node;
    return code;
}

/* Takes the event. */
static int compose_node(struct composer *c, yaml_event_t *event, unsigned depth, struct node **out)
{
    int code = -EINVAL;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        code = compose_scalar(c, event, out);
        break;
    case YAML_ALIAS_EVENT:
        code = compose_alias(c, event, out);
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        code = compose_collection(c, event, depth, out);
        break;
    default:
        mistake(c, mark_line(&event->start_mark), mark_column(&event->start_mark), "unexpected end of a value");
        break;
    }
    yaml_event_delete(event);
    return code;
}

static int add_document(struct composer *c, struct node_documents *documents, size_t *room, struct node *root)
{
    if (documents->count == *room) {
        size_t more = *room * 2 + 1;
        struct node **grown = arena_array(c->arena, more, sizeof(struct node *));
        if (grown == NULL)
            return -ENOMEM;
        if (documents->count > 0)
            memcpy(grown, documents->roots, documents->count * sizeof(struct node *));
        documents->roots = grown;
        *room = more;
    }
    documents->roots[documents->count++] = root;
    return 0;
}

static int compose_stream(struct composer *c, struct node_documents *out)
{
    struct node_documents documents = {0};
    size_t room = 0;
    for (;;) {
        yaml_event_t event;
        int code = next_event(c, &event);
        if (code < 0)
            return code;
        yaml_event_type_t type = event.type;
        if (type == YAML_STREAM_END_EVENT || type == YAML_NO_EVENT) {
            yaml_event_delete(&event);
            break;
        }
        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT || type == YAML_DOCUMENT_END_EVENT) {
            names_free(&c->anchors); /* an anchor is known in its own document */
            yaml_event_delete(&event);
            continue;
        }
        struct node *root = NULL;
        code = compose_node(c, &event, 0, &root);
        if (code == 0)
            code = add_document(c, &documents, &room, root);
        if (code < 0)
            return code;
    }
    *out = documents;
    return 0;
}

/* libyaml stops at such bytes too, but says only their offset. Allowed: c-printable of YAML 1.2, 5.1. */
static int check_bytes(struct composer *c, const char *text, size_t count)
{
    const unsigned char *s = (const unsigned char *)text;
    int line = 1, column = 1;
    for (size_t i = 0; i < count;) {
        if (s[i] >= 0x20 && s[i] < 0x7f) {
            i++;
            column++;
            continue;
        }
        size_t length = s[i] < 0x80 ? 1 : s[i] >= 0xf0 ? 4 : s[i] >= 0xe0 ? 3 : 2;
        uint32_t point = length == 1 ? s[i] : s[i] & (0xffu >> (length + 1));
        bool valid = s[i] < 0x80 || (s[i] >= 0xc2 && s[i] <= 0xf4 && length <= count - i);
        for (size_t k = 1; valid && k < length; k++) {
            valid = (s[i + k] & 0xc0) == 0x80;
            point = point << 6 | (s[i + k] & 0x3f);
        }
        if (!valid || (length == 3 && point < 0x800) || (length == 4 && (point < 0x10000 || point > 0x10ffff)) ||
            (point >= 0xd800 && point <= 0xdfff)) {
            mistake(c, line, column, "the byte 0x%02x is not UTF-8; the file must be", s[i]);
            return -EINVAL;
        }
        bool printable = point == '\t' || point == '\n' || point == '\r' || point == 0x85 ||
                         (point >= 0xa0 && point <= 0xfffd) || point >= 0x10000;
        if (!printable) {
            mistake(c, line, column, "the file holds %s, which YAML does not allow",
                    point == 0 ? "a NUL byte" : "a control character");
            return -EINVAL;
        }
        i += length;
        column++;
        if (point == '\n') {
            line++;
            column = 1;
        }
    }
    return 0;
}

static int parse_utf8(struct composer *c, const char *text, size_t count, struct node_documents *out)
{
    int code = check_bytes(c, text, count);
    if (code < 0)
        return code;
    if (yaml_parser_initialize(&c->parser) == 0)
        return -ENOMEM;
    yaml_parser_set_encoding(&c->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&c->parser, (const unsigned char *)text, count);
    code = compose_stream(c, out);
    yaml_parser_delete(&c->parser);
    names_free(&c->anchors);
    free(c->anchored);
    free(c->pending);
    return code == -ENOMEM ? code : code < 0 ? -EINVAL : 0;
}

static int parse_utf16(struct composer *c, const char *text, size_t count, struct node_documents *out)
{
    AUTO_FREE char *utf8 = NULL;
    size_t length = 0;
    int code = utf16_to_utf8(text, count, &utf8, &length);
    if (code != -EILSEQ)
        return code < 0 ? code : parse_utf8(c, utf8, length, out);
    int line = 1, column = 1;
    for (size_t i = 0; i < length; i++) {
        column += (utf8[i] & 0xc0) != 0x80;
        if (utf8[i] == '\n') {
            line++;
            column = 1;
        }
    }
    mistake(c, line, column, "the bytes are not UTF-16, whose byte order mark the file begins with");
    return -EINVAL;
}

int node_parse(struct arena *arena, unsigned file, const char *text, size_t count, node_mistake_cb cb, void *data,
               struct node_documents *out)
{
    struct composer c = {.arena = arena, .file = file, .cb = cb, .data = data};
    if (count > NODE_FILE_BYTES) {
        mistake(&c, 0, 0, "the file is larger than 10 MiB");
        return -EINVAL;
    }
    return utf16_marked(text, count) ? parse_utf16(&c, text, count, out) : parse_utf8(&c, text, count, out);
}

const char *node_describe(const struct node *node)
{
    static const char *const types[] = {
        [TYPE_STRING] = "text",  [TYPE_NULL] = "empty",     [TYPE_BOOL] = "true or false",
        [TYPE_INT] = "a number", [TYPE_FLOAT] = "a number", [TYPE_TIME] = "a date"};
    if (node->kind == NODE_SCALAR)
        return types[node->type];
    return node->kind == NODE_LIST ? "a list" : "a mapping";
}
