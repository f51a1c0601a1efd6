#include "base/duration.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/base.h"

static const struct {
    const char *name;
    double ms;
} units[] = {{"us", 0.001}, {"\xc2\xb5s", 0.001}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

/* The unit that text begins with, the longest first where one begins another ("m", "ms"). */
static int find_unit(const char *text, size_t *out_length)
{
    size_t length = 0;
    while (text[length] != '\0' && !isdigit((unsigned char)text[length]) && text[length] != '.')
        length++;
    for (size_t i = 0; i < COUNT(units); i++)
        if (strlen(units[i].name) == length && memcmp(units[i].name, text, length) == 0) {
            *out_length = length;
            return (int)i;
        }
    return -EINVAL;
}

int duration_parse_ms(const char *text, uint64_t *out_ms)
{
    double total = 0;
    if (*text == '\0')
        return -EINVAL;
    while (*text != '\0') {
        double number = 0, scale = 1;
        size_t digits = 0;
        for (; isdigit((unsigned char)*text); text++, digits++)
            number = number * 10 + (*text - '0');
        if (*text == '.')
            for (text++; isdigit((unsigned char)*text); text++, digits++)
                number += (*text - '0') * (scale /= 10);
        size_t length = 0;
        int unit = digits > 0 ? find_unit(text, &length) : -EINVAL;
        if (unit < 0)
            return -EINVAL;
        total += number * units[unit].ms;
        text += length;
    }
    if (total > 9007199254740992.0)
        return -ERANGE;
    *out_ms = (uint64_t)total;
    return 0;
}
