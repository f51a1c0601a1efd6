#include "base/decimal.h"

#include <errno.h>
#include <stdbool.h>

int decimal_read(const char *text, unsigned places, uint64_t *out, const char **rest)
{
    const char *s = text;
    uint64_t value = 0;
    unsigned digits = 0;
    for (; *s >= '0' && *s <= '9'; s++, digits++) {
        if (value > (UINT64_MAX - 9) / 10)
            return -ERANGE;
        value = value * 10 + (uint64_t)(*s - '0');
    }
    bool point = *s == '.';
    s += point;
    unsigned left = places;
    for (; left > 0; left--) {
        bool more = point && *s >= '0' && *s <= '9';
        if (value > (UINT64_MAX - 9) / 10)
            return -ERANGE;
        value = value * 10 + (more ? (uint64_t)(*s - '0') : 0);
        digits += more;
        s += more;
    }
    if (point && *s >= '0' && *s <= '9') {
        value += *s >= '5';
        while (*s >= '0' && *s <= '9') {
            s++;
            digits++;
        }
    }
    if (digits == 0)
        return -EINVAL;
    *out = value;
    *rest = s;
    return 0;
}
