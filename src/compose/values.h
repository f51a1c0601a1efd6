/* Text to value. Nothing here knows of nodes or keys. All return 0, -EINVAL not of this form, -ERANGE too large. */
#ifndef COMPOSE_VALUES_H
#define COMPOSE_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compose/arena.h"
#include "shoal/spec.h"

int value_integer(const char *text, int64_t *out);                  /* 12, -1, 0x1f, 0o17, 017, 0b101, 1_000 */
int value_decimal(const char *text, unsigned places, int64_t *out); /* "0.5" with 3 places: 500; rounds; not negative */
int value_bool(const char *text, bool *out);           /* true, false; and yes, no, on, off, y, n; in any case */
int value_go_bool(const char *text, bool *out);        /* 1 t T TRUE true True 0 f F FALSE false False alone */
int value_size(const char *text, uint64_t *out_bytes); /* 64, 64b, 1.5g, 10kb, 2GiB; steps of 1024 */
int value_rate(const char *text,
               uint64_t *out_bits);               /* bits a second: 10mbit, 2.5gbit; steps of 1000. -EINVAL, -ERANGE */
int value_count(const char *text, uint64_t *out); /* 50000, 100k, 1.5m; steps of 1000 */
int value_cpu_list(const char *text);             /* 0-3,7 */
int value_address(const char *text, uint32_t *out); /* IPv4, host byte order */
int value_subnet(const char *text, uint32_t *out, unsigned *out_prefix);
int value_mode(const char *text, uint32_t *out); /* octal: 1777 */
bool value_is_ip(const char *text);              /* IPv4 or IPv6 */

/* The shortest text that reads back as the same number of so many bits (32, 64), as Go prints it: with an exponent
 * below 1e-4 and from 10 to the `exponent_from` on. */
void value_float_text(double number, unsigned bits, int exponent_from, char out[64]);

/* Durations of Compose: 1m30s, 1.5h, 500ms, and days and weeks; may be negative. out: nanoseconds. The text is Go's. */
int value_duration(const char *text, int64_t *out_ns);
void value_duration_text(int64_t ns, char out[40]);

/* Split a command as Compose does: at blanks, with quotes and backslashes, into items of the arena. -EINVAL and *out_why
 * when a quote is not closed; -ENOMEM. 0 and *out_why: it is meant for a shell, which Compose does not see: out is what it
 * makes of it. */
int value_split(struct arena *arena, const char *text, shoal_strings_t *out, const char **out_why);

/* Make a path lexically clean ("/a/./b/../c" is "/a/c"), relative ones starting at dir, which is absolute. */
char *value_path(struct arena *arena, const char *dir, const char *path);

/* The same of a path alone, which stays relative when it is: "a//b/../c" is "a/c", "" is ".". */
char *value_clean_path(struct arena *arena, const char *path);

#endif
