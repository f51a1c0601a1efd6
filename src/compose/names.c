#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/base.h"
#include "compose/names.h"

struct name_slot {
    const char *name; /* NULL: free */
    size_t number;
    uint64_t hash;
};

/* The place of name, or the free one that it would take. The table is never full. */
static struct name_slot *look(const struct names *names, const char *name, uint64_t hash)
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
static uint64_t hash_of(const char *name)
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
    return hash;
}

static int grow(struct names *names)
{
    struct names grown = {.room = names->room == 0 ? 16 : names->room * 2, .count = names->count};
    grown.slots = calloc(grown.room, sizeof *grown.slots);
    if (grown.slots == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < names->room; i++)
        if (names->slots[i].name != NULL)
            *look(&grown, names->slots[i].name, names->slots[i].hash) = names->slots[i];
    free(names->slots);
    *names = grown;
    return 0;
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
    if (4 * (names->count + 1) > 3 * names->room && grow(names) < 0)
        return -ENOMEM;
    uint64_t hash = hash_of(name);
    struct name_slot *slot = look(names, name, hash);
    if (slot->name == NULL) {
        *slot = (struct name_slot){name, number, hash};
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
    free(names->slots);
    *names = (struct names){0};
}
