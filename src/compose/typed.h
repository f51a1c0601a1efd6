/* What typed.c and typed_pairs.c share. A NULL is out of memory, which is noted, or: nothing. */
#ifndef COMPOSE_TYPED_H
#define COMPOSE_TYPED_H

#include "compose/language.h"

/* A value that turned out to be nothing: left out. */
#define NOTHING ((struct node *)NULL)

struct node *typed_new_text(struct load *load, const struct node *at, const char *text);
struct node *typed_new_scalar(struct load *load, const struct node *at, enum node_type type, const char *text);
struct node *typed_new_list(struct load *load, const struct node *at);
struct node *typed_new_map(struct load *load, const struct node *at);       /* as damaged as what it is made of */
void typed_append(struct load *load, struct node *list, struct node *item); /* item: may be NULL */
/* A scalar's text, as Compose makes text of values. buffer: 64 bytes. */
const char *typed_as_text(const struct node *node, char *buffer);

/* typed_pairs.c, by becomes: AS_PAIRS, AS_VARIABLES, AS_OPTIONS; AS_SSH; AS_OPTION_LISTS; AS_HOSTS. */
struct node *typed_pairs(struct load *load, const struct place *at, const struct kind *kind, const struct node *node);
struct node *typed_keys(struct load *load, const struct node *node);
struct node *typed_option_lists(struct load *load, const struct node *node);
struct node *typed_hosts(struct load *load, const struct place *at, const struct node *node);

#endif
