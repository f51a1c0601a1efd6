#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/base.h"
#include "compose/arena.h"

/* The first block is small; later ones are huge pages, for touching small ones is what a large fleet would spend most of
 * its load on. */
enum { FIRST_BYTES = 32 << 10, BLOCK_BYTES = 2 << 20 };

struct arena_block {
    struct arena_block *next;
    size_t used, room;
    size_t mapped; /* bytes of the mapping; 0: from the heap */
    max_align_t bytes[];
};

/* A huge page where there are some: its start must be a multiple of its size. */
static struct arena_block *map_block(size_t total)
{
    size_t extra = total == BLOCK_BYTES ? BLOCK_BYTES : 0;
    char *pages = mmap(NULL, total + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    size_t before = extra == 0 ? 0 : (BLOCK_BYTES - (uintptr_t)pages % BLOCK_BYTES) % BLOCK_BYTES;
    if (before > 0)
        (void)munmap(pages, before);
    if (extra > before)
        (void)munmap(pages + before + total, extra - before);
    (void)madvise(pages + before, total, MADV_HUGEPAGE); /* small ones do, too */
    struct arena_block *block = (void *)(pages + before);
    block->mapped = total;
    return block;
}

static struct arena_block *add_block(struct arena *arena, size_t bytes)
{
    bool first = arena->blocks == NULL;
    size_t usual = (first ? FIRST_BYTES : BLOCK_BYTES) - sizeof(struct arena_block);
    size_t room = bytes > usual / 4 ? bytes : usual;
    size_t total = room + sizeof(struct arena_block);
    if (arena->limit != 0 && (total > arena->limit || arena->taken > arena->limit - total)) {
        arena->failed = arena->over_limit = true;
        return NULL;
    }
    struct arena_block *block = total >= BLOCK_BYTES ? map_block(total) : calloc(1, total);
    if (block == NULL) {
        arena->failed = true;
        return NULL;
    }
    arena->taken += total;
    block->room = room;
    if (bytes > usual / 4 && !first) { /* a block of its own: the half-full one stays in front */
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
    }
    return block;
}

/* align: a power of two. */
static void *take(struct arena *arena, size_t bytes, size_t align)
{
    struct arena_block *block = arena->blocks;
    size_t used = block == NULL ? 0 : (block->used + align - 1) & ~(align - 1);
    if (bytes > SIZE_MAX / 2) {
        arena->failed = true;
        return NULL;
    }
    if (block == NULL || used > block->room || block->room - used < bytes) {
        block = add_block(arena, bytes == 0 ? 1 : bytes);
        used = 0;
    }
    if (block == NULL)
        return NULL;
    block->used = used + bytes;
    return (char *)block->bytes + used;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    return take(arena, bytes == 0 ? 1 : bytes, sizeof(max_align_t));
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
    char *out = count == SIZE_MAX ? NULL : take(arena, count + 1, 1);
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
    char *out = count < 0 ? NULL : take(arena, (size_t)count + 1, 1);
    if (out != NULL)
        (void)vsnprintf(out, (size_t)count + 1, fmt, again);
    va_end(again);
    return out;
}

void arena_free(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *next = arena->blocks->next;
        if (arena->blocks->mapped > 0)
            (void)munmap(arena->blocks, arena->blocks->mapped);
        else
            free(arena->blocks);
        arena->blocks = next;
    }
    *arena = (struct arena){.limit = arena->limit};
}
