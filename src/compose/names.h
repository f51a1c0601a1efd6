/* Names to numbers of 32 bits. Names are borrowed. */
#ifndef COMPOSE_NAMES_H
#define COMPOSE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct names {
    struct name_slot *slots; /* owned */
    size_t count, room;      /* room: a power of two */
};

int names_reserve(struct names *names, size_t count); /* room for so many from the start; 0 or -ENOMEM */
/* Put name in. Returns 1 it is new, 0 it was there (its number then stands in *out_before and stays), -ENOMEM. */
int names_put(struct names *names, const char *name, size_t number, size_t *out_before);
int names_replace(struct names *names, const char *name, size_t number); /* 0 or -ENOMEM */
bool names_get(const struct names *names, const char *name, size_t *out_number);
void names_free(struct names *names);

#endif
