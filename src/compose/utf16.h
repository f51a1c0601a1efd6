/* UTF-16 as some editors save it, into the UTF-8 that all else in this room reads. */
#ifndef COMPOSE_UTF16_H
#define COMPOSE_UTF16_H

#include <stdbool.h>
#include <stddef.h>

/* Does the text begin with the byte order mark of UTF-16? */
bool utf16_marked(const char *text, size_t count);

/* A marked text in UTF-8, without its mark. *out is the caller's to free(), also after -EILSEQ: then it holds what came
 * before the units that are no character. Returns 0, -EILSEQ, -ENOMEM (nothing to free). */
int utf16_to_utf8(const char *text, size_t count, char **out, size_t *length);

#endif
