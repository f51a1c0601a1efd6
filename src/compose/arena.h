/* Memory that is given back all at once. A spec lives in one arena, the nodes of a file in another. The limit bounds
 * what a hostile file can take; `failed` is set by the first allocation that was refused and stays set. */
#ifndef COMPOSE_ARENA_H
#define COMPOSE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "shoal/error.h"

struct arena_block;
struct arena {
    struct arena_block *blocks; /* owned; the newest first */
    size_t taken, limit;        /* bytes asked of malloc, and how many may be; 0: no limit */
    bool failed, over_limit;
};

void *arena_alloc(struct arena *arena, size_t bytes); /* zeroed, aligned for any type; NULL when refused */
void *arena_array(struct arena *arena, size_t count,
                  size_t item_bytes); /* the same; never NULL for count 0 but refused */
char *arena_copy(struct arena *arena, const char *bytes, size_t count); /* with a NUL behind it */
char *arena_string(struct arena *arena, const char *string);
char *arena_format(struct arena *arena, const char *fmt, ...) SHOAL_PRINTF(2, 3);
void arena_free(struct arena *arena);

#endif
