/* The YAML file as a tree of nodes with positions. Aliases share their anchor's node; merge keys are carried out. */
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
enum node_type { TYPE_STRING, TYPE_NULL, TYPE_BOOL, TYPE_INT, TYPE_FLOAT };

struct node;
struct node_entry {
    struct node *key, *value;
};

struct node {
    uint8_t kind, type;
    bool interpolated; /* was looked at; a scalar that changed is text that may be read as any type (`loose`) */
    bool loose;
    bool quoted;    /* in the file */
    bool broken;    /* its variables are wrong, which was said: it is no value */
    bool open;      /* its end has not been read: an alias to it would be a circle */
    uint32_t count; /* bytes of text, items, entries */
    int line, column;
    uint32_t values, text_bytes; /* of it and all below it, aliases expanded */
    union {
        const char *text; /* NUL-terminated, holds no NUL */
        struct node **items;
        struct node_entry *entries;
    };
};

/* One mistake at a position; text is valid during the call only. */
typedef void (*node_mistake_cb)(void *data, int line, int column, const char *text);

/* Parse one document. Mistakes go to cb; those that leave the tree readable do not end the parse.
 * Returns 0 and *out_root, the empty document giving NULL there; -EINVAL unreadable; -ENOMEM. */
int node_parse(struct arena *arena, const char *text, size_t count, node_mistake_cb cb, void *data,
               struct node **out_root);

/* The value of a key, or NULL. For maps with few lookups: it walks. */
struct node *node_get(const struct node *map, const char *key);

/* "a mapping", "a list", "text", "a number", ... */
const char *node_describe(const struct node *node);

/* Type of a plain scalar. */
enum node_type node_resolve(const char *text, size_t count);

/* A number's text in the one form Compose hands on: 0x10 is 16, 1.10 is 1.1, 1e3 is 1000. out: 64 bytes.
 * Returns out, or text itself where that form is longer than a double is exact. */
const char *node_number_text(const struct node *scalar, char out[64]);

#endif
