/* UTF-16: RFC 2781. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "compose/utf16.h"

bool utf16_marked(const char *text, size_t count)
{
    const unsigned char *s = (const unsigned char *)text;
    return count >= 2 && ((s[0] == 0xff && s[1] == 0xfe) || (s[0] == 0xfe && s[1] == 0xff));
}

static size_t put_utf8(char *out, uint32_t point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t k = length - 1; k > 0; k--) {
        out[k] = (char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    out[0] = (char)((0xf00u >> length & 0xff) | point);
    return length;
}

int utf16_to_utf8(const char *text, size_t count, char **out, size_t *length)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t low = s[0] == 0xff ? 0 : 1;  /* where in a unit its low byte stands */
    char *utf8 = malloc(count / 2 * 3); /* a unit of two bytes gives three at most, a pair of units four */
    if (utf8 == NULL)
        return -ENOMEM;
    *out = utf8;
    *length = 0;
    for (size_t i = 2; i < count; i += 2) {
        if (count - i < 2)
            return -EILSEQ;
        uint32_t point = (uint32_t)s[i + 1 - low] << 8 | s[i + low];
        if (point >= 0xd800 && point <= 0xdfff) {
            if (point >= 0xdc00 || count - i < 4)
                return -EILSEQ;
            uint32_t second = (uint32_t)s[i + 3 - low] << 8 | s[i + 2 + low];
            if (second < 0xdc00 || second > 0xdfff)
                return -EILSEQ;
            point = 0x10000 + ((point & 0x3ff) << 10 | (second & 0x3ff));
            i += 2;
        }
        *length += put_utf8(utf8 + *length, point);
    }
    return 0;
}
