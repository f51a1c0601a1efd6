#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/base.h"
#include "compose/arena.h"

enum { BLOCK_BYTES = 64 << 10 };

struct arena_block {
    struct arena_block *next;
    size_t used, room;
    max_align_t bytes[];
};

static struct arena_block *add_block(struct arena *arena, size_t bytes)
{
    size_t room = bytes > BLOCK_BYTES / 4 ? bytes : BLOCK_BYTES - sizeof(struct arena_block);
    size_t total = room + sizeof(struct arena_block);
    if (arena->limit != 0 && (total > arena->limit || arena->taken > arena->limit - total)) {
        arena->failed = arena->over_limit = true;
        return NULL;
    }
    struct arena_block *block = calloc(1, total);
    if (block == NULL) {
        arena->failed = true;
        return NULL;
    }
    arena->taken += total;
    block->room = room;
    if (bytes > BLOCK_BYTES / 4 && arena->blocks != NULL) { /* a block of its own: the half-full one stays in front */
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
    }
    return block;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) {
        arena->failed = true;
        return NULL;
    }
    size_t wanted = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->room - block->used < wanted)
        block = add_block(arena, wanted);
    if (block == NULL)
        return NULL;
    void *out = (char *)block->bytes + block->used;
    block->used += wanted;
    return out;
}

void *arena_array(struct arena *arena, size_t count, size_t item_bytes)
{
    if (item_bytes != 0 && count > SIZE_MAX / 2 / item_bytes) {
        arena->failed = true;
        return NULL;
    }
    return arena_alloc(arena, count * item_bytes);
}

char *arena_copy(struct arena *arena, const char *bytes, size_t count)
{
    char *out = arena_alloc(arena, count + 1);
    if (out != NULL && count > 0)
        memcpy(out, bytes, count);
    return out;
}

char *arena_string(struct arena *arena, const char *string)
{
    return arena_copy(arena, string, strlen(string));
}

char *arena_format(struct arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int count = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *out = count < 0 ? NULL : arena_alloc(arena, (size_t)count + 1);
    if (out != NULL)
        (void)vsnprintf(out, (size_t)count + 1, fmt, again);
    va_end(again);
    return out;
}

void arena_free(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    *arena = (struct arena){.limit = arena->limit};
}
