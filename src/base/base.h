/* base: values only. Errors, growable text, arrays, word tables, numbers and durations, JSON out.
 * It knows no kernel interface, no loop and nothing of containers; it owns nothing beyond the call. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shoal/error.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* A descriptor closed once, on every return; take_fd() moves it out. */
static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}
static inline void base_close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(take_fd(fd)); /* nothing written through it that a failure here could lose */
}
static inline void base_free(void *pointer)
{
    free(*(void **)pointer);
}
#define AUTO_FD __attribute__((cleanup(base_close_fd))) int
#define AUTO_FREE __attribute__((cleanup(base_free)))

/* Growable text; always NUL-terminated once something was added. A failed allocation sets `failed` and later additions
 * do nothing, so that a chain of additions is checked once, at its end. */
struct text {
    char *bytes; /* owned */
    size_t count, room;
    bool failed;
};
void text_add(struct text *text, const void *bytes, size_t count);
void text_add_string(struct text *text, const char *string);
void text_add_format(struct text *text, const char *fmt, ...) SHOAL_PRINTF(2, 3);
char *text_take(struct text *text); /* the bytes move to the caller (never NULL unless failed); text is empty again */
void text_free(struct text *text);

/* asprintf that returns NULL when out of memory. */
char *base_format(const char *fmt, ...) SHOAL_PRINTF(1, 2);

/* Monotonic and wall clock, microseconds. */
uint64_t base_monotonic_usec(void);
uint64_t base_realtime_usec(void);

/* RFC 3339, UTC, microseconds: "2026-01-31T12:00:00.000001Z". out: at least 32 bytes. */
void base_format_time(uint64_t realtime_usec, char out[32]);

/* Streaming JSON into a text: commas are put in by it. Invalid UTF-8 becomes U+FFFD. Keys may be NULL inside arrays. */
struct json {
    struct text *out;
    bool comma;
};
void json_open(struct json *json, const char *key, char bracket);        /* '{' or '[' */
void json_close(struct json *json, char bracket);                        /* '}' or ']' */
void json_string(struct json *json, const char *key, const char *value); /* value NULL: the member is left out */
void json_bytes(struct json *json, const char *key, const char *bytes, size_t count);
void json_uint(struct json *json, const char *key, uint64_t value);
void json_int(struct json *json, const char *key, int64_t value);
void json_double(struct json *json, const char *key, double value); /* two decimals; not finite: left out */
void json_bool(struct json *json, const char *key, bool value);

/* Edit distance of two words (insert, delete, replace, swap of neighbours), for "did you mean". */
unsigned base_word_distance(const char *a, const char *b);

/* SHA-256 as 64 hexadecimal digits, FIPS 180-4. */
void base_sha256(const void *bytes, size_t count, char out[65]);

/* FNV-1a, 64 bits. */
uint64_t base_hash(const void *bytes, size_t count);

#endif
