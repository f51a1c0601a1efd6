#include <stdarg.h>
#include <string.h>

#include "base/base.h"

static bool text_reserve(struct text *text, size_t more)
{
    if (text->failed)
        return false;
    if (text->room - text->count > more)
        return true;
    size_t room = text->room ? text->room : 64;
    while (room - text->count <= more) {
        if (room > SIZE_MAX / 2) {
            text->failed = true;
            return false;
        }
        room *= 2;
    }
    char *bytes = realloc(text->bytes, room);
    if (bytes == NULL) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->room = room;
    return true;
}

void text_add(struct text *text, const void *bytes, size_t count)
{
    if (!text_reserve(text, count))
        return;
    if (count > 0)
        memcpy(text->bytes + text->count, bytes, count);
    text->count += count;
    text->bytes[text->count] = '\0';
}

void text_add_string(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void text_add_format(struct text *text, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int count = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (count < 0)
        text->failed = true;
    else if (text_reserve(text, (size_t)count)) {
        (void)vsnprintf(text->bytes + text->count, (size_t)count + 1, fmt, again);
        text->count += (size_t)count;
    }
    va_end(again);
}

char *text_take(struct text *text)
{
    if (!text->failed && text->bytes == NULL)
        text_add(text, "", 0);
    char *bytes = text->failed ? NULL : text->bytes;
    if (text->failed)
        free(text->bytes);
    *text = (struct text){0};
    return bytes;
}

void text_free(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}

char *base_format(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *out = NULL;
    int count = vasprintf(&out, fmt, args);
    va_end(args);
    return count < 0 ? NULL : out;
}

unsigned base_word_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t a_count = strlen(a), b_count = strlen(b);
    if (a_count > LONGEST || b_count > LONGEST)
        return LONGEST;
    unsigned rows[3][LONGEST + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_count; j++)
        above[j] = before[j] = (unsigned)j;
    for (size_t i = 1; i <= a_count; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_count; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        unsigned *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b_count];
}

uint64_t base_hash(const void *bytes, size_t count)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
    return hash;
}
