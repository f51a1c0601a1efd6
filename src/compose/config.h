/* `shoal config`: the fleet as it was understood. */
#ifndef COMPOSE_CONFIG_H
#define COMPOSE_CONFIG_H

#include "compose/language.h"

/* TYPED: a typed tree in the form of docker compose, with dollar signs doubled, so that what is printed can be read again.
 * RAW: a tree with variables as they are written; all keys sorted. COMPACT: JSON on one line. */
enum print_form { PRINT_TYPED, PRINT_RAW, PRINT_COMPACT };

/* print.c */
void print_yaml(struct load *load, struct text *out, const struct node *root, enum print_form form);
void print_json(struct load *load, struct text *out, const struct node *root, enum print_form form);

#endif
