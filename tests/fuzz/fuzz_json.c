/* Whatever bytes a container says: what we write is one line of valid JSON in valid UTF-8, and reading it back gives the same
 * bytes, but for U+FFFD in place of what was no UTF-8. */
#include <ctype.h>
#include <string.h>

#include "base/base.h"

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Decode one UTF-8 character the slow and plain way. Returns its length, 0 when there is none. RFC 3629. */
static size_t decode(const unsigned char *s, size_t left, uint32_t *out)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t i = 0; i < COUNT(forms); i++) {
        if ((s[0] & forms[i].mask) != forms[i].lead)
            continue;
        if (left < i + 1)
            return 0;
        uint32_t c = s[0] & (unsigned char)~forms[i].mask;
        for (size_t j = 1; j <= i; j++) {
            if ((s[j] & 0xc0) != 0x80)
                return 0;
            c = c << 6 | (s[j] & 0x3f);
        }
        if (c < forms[i].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return 0;
        *out = c;
        return i + 1;
    }
    return 0;
}

/* Read the string that begins at *at; returns its characters, *at is behind it. RFC 8259, section 7. */
static size_t parse_string(const unsigned char *bytes, size_t count, size_t *at, uint32_t *out)
{
    size_t characters = 0, i = *at;
    check(i < count && bytes[i] == '"');
    for (i++;; characters++) {
        check(i < count);
        if (bytes[i] == '"')
            break;
        if (bytes[i] != '\\') {
            size_t length = decode(bytes + i, count - i, &out[characters]);
            check(length > 0 && bytes[i] >= 0x20);
            i += length;
            continue;
        }
        check(i + 1 < count);
        static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
        const char *letter = bytes[i + 1] != '\0' ? strchr(letters, bytes[i + 1]) : NULL;
        if (letter != NULL) {
            out[characters] = (unsigned char)values[letter - letters];
            i += 2;
            continue;
        }
        check(bytes[i + 1] == 'u' && i + 6 <= count);
        char digits[5] = {0};
        for (size_t j = 0; j < 4; j++) {
            check(isxdigit(bytes[i + 2 + j]));
            digits[j] = (char)bytes[i + 2 + j];
        }
        out[characters] = (uint32_t)strtoul(digits, NULL, 16);
        check(out[characters] < 0xd800 || out[characters] > 0xdfff);
        i += 6;
    }
    *at = i + 1;
    return characters;
}

static void skip_word(const unsigned char *bytes, size_t count, size_t *at, const char *word)
{
    check(count - *at >= strlen(word) && memcmp(bytes + *at, word, strlen(word)) == 0);
    *at += strlen(word);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text out = {0};
    struct json json = {.out = &out};
    json_open(&json, NULL, '[');
    json_open(&json, NULL, '{');
    json_bytes(&json, "log", (const char *)data, size);
    double number = 0;
    if (size >= sizeof number)
        memcpy(&number, data, sizeof number);
    json_double(&json, "number", number);
    json_close(&json, '}');
    json_close(&json, ']');
    check(!out.failed);

    const unsigned char *bytes = (const unsigned char *)out.bytes;
    AUTO_FREE uint32_t *found = malloc((out.count + 1) * sizeof *found);
    check(found != NULL && memchr(bytes, '\n', out.count) == NULL);
    size_t at = 0;
    skip_word(bytes, out.count, &at, "[{\"log\":");
    size_t characters = parse_string(bytes, out.count, &at, found);

    size_t n = 0;
    for (size_t i = 0; i < size; n++) {
        uint32_t wanted = 0xfffd;
        size_t length = decode(data + i, size - i, &wanted);
        check(n < characters && found[n] == wanted);
        i += length ? length : 1;
    }
    check(n == characters);

    if (number - number == 0) { /* finite: -?digits.dd */
        skip_word(bytes, out.count, &at, ",\"number\":");
        at += bytes[at] == '-';
        check(isdigit(bytes[at]) && (bytes[at] != '0' || bytes[at + 1] == '.'));
        while (isdigit(bytes[at]))
            at++;
        check(bytes[at] == '.' && isdigit(bytes[at + 1]) && isdigit(bytes[at + 2]));
        at += 3;
    }
    skip_word(bytes, out.count, &at, "}]");
    check(at == out.count);
    text_free(&out);
    return 0;
}
