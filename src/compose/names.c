#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/base.h"
#include "compose/names.h"

struct name_slot {
    const char *name; /* NULL: free */
    uint32_t number, hash;
};

/* Names lie all over a table: a large one is of huge pages, where there are some, for each name would cost a walk of the
 * page tables. */
enum { LARGE_BYTES = 2 << 20 };

static struct name_slot *new_slots(size_t room)
{
    size_t bytes = room * sizeof(struct name_slot);
    if (bytes < LARGE_BYTES)
        return calloc(1, bytes);
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    (void)madvise(pages, bytes, MADV_HUGEPAGE); /* small ones do, too */
    return pages;
}

static void free_slots(struct name_slot *slots, size_t room)
{
    if (room * sizeof *slots < LARGE_BYTES)
        free(slots);
    else
        (void)munmap(slots, room * sizeof *slots);
}

/* The place of name, or the free one that it would take. The table is never full. */
static struct name_slot *look(const struct names *names, const char *name, uint32_t hash)
{
    size_t mask = names->room - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct name_slot *slot = &names->slots[i];
        if (slot->name == NULL || (slot->hash == hash && strcmp(slot->name, name) == 0))
            return slot;
    }
}

/* A polynomial of the bytes at a point that each process draws for itself, modulo the prime 2^61 - 1: names can not be
 * chosen so that many fall together. Source: Carter and Wegman, Universal classes of hash functions (1979) */
static uint32_t hash_of(const char *name)
{
    static const uint64_t prime = (UINT64_C(1) << 61) - 1;
    static uint64_t point;
    if (point == 0) {
        (void)!getrandom(&point, sizeof point, GRND_NONBLOCK); /* early at boot nothing may come of it */
        point = point % (prime - 256) + 256;
    }
    uint64_t hash = 1;
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        unsigned __int128 product = (unsigned __int128)hash * point + *c;
        hash = (uint64_t)(product & prime) + (uint64_t)(product >> 61);
        hash = hash >= prime ? hash - prime : hash;
    }
    return (uint32_t)(hash ^ hash >> 29);
}

static int grow(struct names *names, size_t room)
{
    struct names grown = {.room = room, .count = names->count};
    grown.slots = new_slots(room);
    if (grown.slots == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < names->room; i++)
        if (names->slots[i].name != NULL)
            *look(&grown, names->slots[i].name, names->slots[i].hash) = names->slots[i];
    free_slots(names->slots, names->room);
    *names = grown;
    return 0;
}

int names_reserve(struct names *names, size_t count)
{
    size_t room = 16;
    while (4 * count > 3 * room)
        room *= 2;
    return room > names->room ? grow(names, room) : 0;
}

static struct name_slot *find(const struct names *names, const char *name)
{
    if (names->count == 0)
        return NULL;
    struct name_slot *slot = look(names, name, hash_of(name));
    return slot->name == NULL ? NULL : slot;
}

int names_put(struct names *names, const char *name, size_t number, size_t *out_before)
{
    if (4 * (names->count + 1) > 3 * names->room && grow(names, names->room == 0 ? 16 : names->room * 2) < 0)
        return -ENOMEM;
    uint32_t hash = hash_of(name);
    struct name_slot *slot = look(names, name, hash);
    if (slot->name == NULL) {
        *slot = (struct name_slot){name, (uint32_t)number, hash};
        names->count++;
        return 1;
    }
    if (out_before != NULL)
        *out_before = slot->number;
    return 0;
}

int names_replace(struct names *names, const char *name, size_t number)
{
    int code = names_put(names, name, number, NULL);
    if (code == 0)
        find(names, name)->number = number;
    return code < 0 ? code : 0;
}

bool names_get(const struct names *names, const char *name, size_t *out_number)
{
    const struct name_slot *slot = find(names, name);
    if (slot != NULL)
        *out_number = slot->number;
    return slot != NULL;
}

void names_free(struct names *names)
{
    free_slots(names->slots, names->room);
    *names = (struct names){0};
}
