#include <float.h>
#include <math.h>
#include <string.h>

#include "base/base.h"

/* Length of the valid UTF-8 sequence at s (at most left bytes), 0 when it is none. RFC 3629. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    size_t count = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || count > left)
        return 0;
    for (size_t i = 1; i < count; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return count;
}

static void put_quoted(struct text *out, const char *bytes, size_t count)
{
    const unsigned char *s = (const unsigned char *)bytes;
    text_add(out, "\"", 1);
    size_t i = 0;
    while (i < count) {
        size_t plain = i; /* the longest run that stands for itself goes out in one piece */
        while (plain < count && s[plain] >= 0x20 && s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\')
            plain++;
        text_add(out, bytes + i, plain - i);
        i = plain;
        if (i == count)
            break;
        size_t length = utf8_length(s + i, count - i);
        if (length > 1)
            text_add(out, bytes + i, length);
        else if (length == 0)
            text_add_string(out, "\\ufffd");
        else if (s[i] == '"' || s[i] == '\\')
            text_add(out, (char[]){'\\', (char)s[i]}, 2);
        else if (s[i] == '\n')
            text_add_string(out, "\\n");
        else
            text_add_format(out, "\\u%04x", s[i]);
        i += length ? length : 1;
    }
    text_add(out, "\"", 1);
}

static void put_key(struct json *json, const char *key)
{
    if (json->comma)
        text_add(json->out, ",", 1);
    json->comma = true;
    if (key != NULL) {
        put_quoted(json->out, key, strlen(key));
        text_add(json->out, ":", 1);
    }
}

void json_open(struct json *json, const char *key, char bracket)
{
    put_key(json, key);
    text_add(json->out, &bracket, 1);
    json->comma = false;
}

void json_close(struct json *json, char bracket)
{
    text_add(json->out, &bracket, 1);
    json->comma = true;
}

void json_bytes(struct json *json, const char *key, const char *bytes, size_t count)
{
    put_key(json, key);
    put_quoted(json->out, bytes, count);
}

void json_string(struct json *json, const char *key, const char *value)
{
    if (value != NULL)
        json_bytes(json, key, value, strlen(value));
}

void json_uint(struct json *json, const char *key, uint64_t value)
{
    put_key(json, key);
    char digits[20]; /* 2^64 has twenty */
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    text_add(json->out, digits + at, sizeof digits - at);
}

void json_int(struct json *json, const char *key, int64_t value)
{
    put_key(json, key);
    text_add_format(json->out, "%lld", (long long)value);
}

void json_double(struct json *json, const char *key, double value)
{
    if (!isfinite(value))
        return;
    char words[DBL_MAX_10_EXP + 16];
    int count = snprintf(words, sizeof words, "%.2f", value);
    put_key(json, key);
    text_add(json->out, words, strspn(words, "-0123456789"));
    text_add(json->out, ".", 1); /* printf would take it from the host program's locale */
    text_add(json->out, words + count - 2, 2);
}

void json_bool(struct json *json, const char *key, bool value)
{
    put_key(json, key);
    text_add_string(json->out, value ? "true" : "false");
}
