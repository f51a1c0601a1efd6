/* One line of the stream, parsed: the only place that knows the JSON library. Whatever is asked for and is not there, or is of
 * another kind, is NULL or NaN. */
#ifndef TOP_RECORD_H
#define TOP_RECORD_H

#include <stddef.h>

struct record;                                               /* an object */
struct record *record_parse(const char *line, size_t count); /* NULL: no JSON object, or out of memory */
void record_free(struct record *record);                     /* NULL is fine */
const char *record_text(const struct record *record, const char *key);
double record_number(const struct record *record, const char *key);
const struct record *record_object(const struct record *record, const char *key); /* borrowed */
const struct record *record_first(const struct record *record, const char *key);  /* of an array of objects; borrowed */

const char *record_text_at(const struct record *record, const char *key, size_t index); /* of an array of texts */

#endif
