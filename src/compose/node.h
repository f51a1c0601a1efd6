/* YAML as trees of nodes with positions. What node_parse() gives shares its anchors' nodes; from expand.c on a tree is a
 * load's own, without shared parts, and is changed in place (tree.c). */
#ifndef COMPOSE_NODE_H
#define COMPOSE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compose/arena.h"

/* What a file may hold, aliases counted as often as they are used: what bounds time and memory of everything behind. */
enum {
    NODE_FILE_BYTES = 10 << 20,
    NODE_VALUES = 600000,
    NODE_TEXT_BYTES = 32 << 20,
    NODE_ANCHORS = 100000,
    NODE_DEPTH = 64
};

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

/* Of a scalar, by the core schema of YAML 1.2 as Go's YAML library (and so Compose) resolves it. */
enum node_type { TYPE_STRING, TYPE_NULL, TYPE_BOOL, TYPE_INT, TYPE_FLOAT, TYPE_TIME };

/* Compose's own tags: of an override, whose base's value goes away. */
enum node_tag { TAG_NONE, TAG_RESET, TAG_OVERRIDE };

struct node;
struct key;
struct node_entry {
    struct node *key, *value;
    const struct key *row; /* of the language's tables, once it was looked up */
};

struct node {
    uint8_t kind, type, tag;
    bool quoted : 1;                   /* in the file */
    bool aliased : 1;                  /* an alias names it: it stands in several places */
    bool open : 1;                     /* its end has not been read: an alias to it would be a circle */
    bool checked : 1;                  /* it and what is below fits the language (schema.c) */
    bool damaged : 1;                  /* something below was wrong, which was said, and taken away */
    bool decimal : 1;                  /* a number that was written without a leading 0 */
    bool profiled : 1;                 /* a key that a service got from a profile: it stands there */
    bool implied : 1;                  /* not written: it follows from something else */
    bool json_only : 1, yaml_only : 1; /* of a typed tree (typed.c): in which of the two forms it is printed */
    uint16_t file;                     /* index into the load's files */
    uint32_t count;                    /* bytes of text, items, entries */
    uint32_t room;                     /* items, entries that fit */
    int line, column;
    uint32_t values, text_bytes; /* of it and all below it, aliases expanded, as parsed */
    const char *variable;        /* that its text came from, NULL: none */
    union {
        const char *text; /* NUL-terminated, holds no NUL */
        struct node **items;
        struct node_entry *entries;
    };
};

/* One mistake at a position; text is valid during the call only. */
typedef void (*node_mistake_cb)(void *data, int line, int column, const char *text);

/* The documents of one file. Empty ones are NULL. */
struct node_documents {
    size_t count;
    struct node **roots; /* in the arena */
};

/* Parse a file in UTF-8, or in UTF-16 with its byte order mark; its nodes get the number `file`. Mistakes go to cb;
 * those that leave the tree readable do not end the parse. Returns 0, -EINVAL unreadable, -ENOMEM. */
int node_parse(struct arena *arena, unsigned file, const char *text, size_t count, node_mistake_cb cb, void *data,
               struct node_documents *out);

/* "a mapping", "a list", "text", "a number", ... */
const char *node_describe(const struct node *node);

/* Type of a plain scalar. */
enum node_type node_resolve(const char *text, size_t count);

/* A number's text as Compose hands it on: 0x10 is 16, 1.10 is 1.1, 1e8 is 1e+08. out: 64 bytes. Returns out, or the
 * text itself where it is no number. */
const char *node_number_text(const struct node *scalar, char out[64]);
bool node_float(const struct node *scalar, double *out); /* of TYPE_FLOAT */

static inline bool node_is(const struct node *node, enum node_type type)
{
    return node->kind == NODE_SCALAR && node->type == type;
}

static inline bool node_is_null(const struct node *node)
{
    return node == NULL || node_is(node, TYPE_NULL);
}

/* ---- tree.c: changing a tree. All take memory from the arena and return NULL or false when it is refused. ---- */

struct node *node_new(struct arena *arena, enum node_kind kind, const struct node *at); /* empty; at: its position */
struct node *node_new_text(struct arena *arena, const struct node *at, const char *text);
struct node *node_new_scalar(struct arena *arena, const struct node *at, enum node_type type, const char *text);
struct node *node_clone(struct arena *arena, const struct node *node); /* all of it */

/* The value of a key, or NULL. Walks: for many look-ups in one map there is struct node_index. */
struct node *node_get(const struct node *map, const char *key);
struct node_entry *node_find(const struct node *map, const char *key);
/* Put a value; the key's old value goes away. The key stands where its value does. */
bool node_put(struct arena *arena, struct node *map, const char *key, struct node *value);
bool node_put_entry(struct arena *arena, struct node *map, const struct node_entry *entry); /* the key is new */
void node_remove(struct node *map, const struct node_entry *entry);
bool node_append(struct arena *arena, struct node *list, struct node *item);
bool node_equal(const struct node *a, const struct node *b); /* in what they say, not where; order of keys is nothing */

/* Keys of one map by name, for as long as the map is not changed but by node_index_put(). Small maps are walked. */
struct names;
struct node_index {
    struct node *map;
    struct names *names; /* owned; NULL: walk */
};
int node_index_init(struct node_index *index, struct node *map); /* 0 or -ENOMEM */
int node_index_expect(struct node_index *index, size_t count);   /* so many will be put; 0 or -ENOMEM */
struct node_entry *node_index_find(const struct node_index *index, const char *key);
int node_index_put(struct arena *arena, struct node_index *index, const struct node_entry *entry); /* 0 or -ENOMEM */
void node_index_fini(struct node_index *index);

/* ---- order.c: a map's entries sorted by name: an array of count pointers in the arena, NULL when it is refused ---- */

const struct node_entry **node_sorted(struct arena *arena, const struct node *map);
/* As Go's YAML library does it: web2 before web10, WEB_A before WEBS. */
const struct node_entry **node_sorted_naturally(struct arena *arena, const struct node *map);
int node_compare_naturally(const char *s, const char *t);

#endif
