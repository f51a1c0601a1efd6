#include "base/duration.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "base/decimal.h"

int duration_parse_ms(const char *text, uint64_t *out_ms)
{
    static const struct {
        const char *unit;
        uint64_t nanoseconds;
    } units[] = {
        {"ns", 1},           {"us", 1000},          {"\xc2\xb5s", 1000},    {"ms", 1000000},        {"s", 1000000000u},
        {"m", 60000000000u}, {"h", 3600000000000u}, {"d", 86400000000000u}, {"w", 604800000000000u}};
    if (strcmp(text, "0") == 0) {
        *out_ms = 0;
        return 0;
    }
    if (*text == '\0')
        return -EINVAL;
    unsigned __int128 total = 0;
    for (const char *s = text; *s != '\0';) {
        uint64_t scaled;
        int code = decimal_read(s, 6, &scaled, &s);
        if (code < 0)
            return code;
        size_t best = COUNT(units), length = 0;
        for (size_t i = 0; i < COUNT(units); i++) {
            size_t count = strlen(units[i].unit);
            if (count > length && strncmp(s, units[i].unit, count) == 0) {
                best = i;
                length = count;
            }
        }
        if (best == COUNT(units))
            return -EINVAL;
        total += (unsigned __int128)scaled * units[best].nanoseconds;
        s += length;
        if (total / 1000000u > INT64_MAX)
            return -ERANGE;
    }
    /* total: 10^-6 nanoseconds */
    *out_ms = (uint64_t)((total + 999999999999u) / 1000000000000u);
    return 0;
}
