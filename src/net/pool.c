#include <errno.h>

#include "net/inside.h"

uint64_t pool_capacity(unsigned prefix)
{
    uint64_t size = UINT64_C(1) << (32 - prefix);
    return size > 3 ? size - 3 : 0; /* network, broadcast and gateway */
}

static void mark(struct pool *pool, uint32_t at)
{
    pool->taken[at / 64] |= UINT64_C(1) << at % 64;
}

int pool_init(struct pool *pool, uint32_t subnet, unsigned prefix, uint32_t gateway)
{
    uint32_t size = (uint32_t)1 << (32 - prefix);
    *pool = (struct pool){.subnet = subnet, .size = size, .next = 2};
    pool->taken = calloc((size + 63) / 64, sizeof *pool->taken);
    if (pool->taken == NULL)
        return -ENOMEM;
    mark(pool, 0);
    mark(pool, size - 1);
    mark(pool, gateway - subnet);
    return 0;
}

void pool_fini(struct pool *pool)
{
    free(pool->taken);
    *pool = (struct pool){0};
}

int pool_take(struct pool *pool, uint32_t *out_address)
{
    for (uint32_t i = 0; i < pool->size; i++) {
        uint32_t at = (pool->next + i) % pool->size;
        if (pool->taken[at / 64] >> at % 64 & 1)
            continue;
        mark(pool, at);
        pool->next = at + 1;
        *out_address = pool->subnet + at;
        return 0;
    }
    return -ENOSPC;
}

void pool_give(struct pool *pool, uint32_t address)
{
    uint32_t at = address - pool->subnet;
    pool->taken[at / 64] &= ~(UINT64_C(1) << at % 64);
}
