/* Types of plain scalars, and the text of numbers. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "compose/node.h"
#include "compose/values.h"

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_decimal(const char *text)
{
    const char *s = text + (*text == '-' || *text == '+');
    size_t whole = strspn(s, "0123456789");
    s += whole;
    if (*s == '.') {
        size_t fraction = strspn(++s, "0123456789");
        if (whole + fraction == 0)
            return false;
        s += fraction;
    } else if (whole == 0) {
        return false;
    }
    if (*s == 'e' || *s == 'E') {
        s += 1 + (s[1] == '-' || s[1] == '+');
        size_t digits = strspn(s, "0123456789");
        if (digits == 0)
            return false;
        s += digits;
    }
    return *s == '\0';
}

static const char *const special_floats[] = {".inf",  ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
                                             "-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL};

static bool is_decimal_with_underscores(const char *text, size_t count)
{
    char plain[400];
    size_t used = 0;
    if (count >= sizeof plain)
        return is_decimal(text);
    for (const char *s = text; *s != '\0'; s++)
        if (*s != '_')
            plain[used++] = *s;
    plain[used] = '\0';
    return is_decimal(plain);
}

/* Decimal, and no larger than 64 bits without a sign hold. */
static bool fits_unsigned(const char *text)
{
    const char *s = text + (*text == '+');
    if (*s == '\0' || strspn(s, "0123456789") != strlen(s))
        return false;
    errno = 0;
    (void)strtoull(s, NULL, 10);
    return errno == 0;
}

/* Up to `most` digits below or at `max`; moves on. */
static bool take_digits(const char **at, size_t least, size_t most, unsigned max)
{
    size_t count = strspn(*at, "0123456789");
    unsigned value = 0;
    if (count < least || count > most)
        return false;
    for (size_t i = 0; i < count; i++)
        value = value * 10 + (unsigned)((*at)[i] - '0');
    *at += count;
    return value <= max;
}

static bool take_byte(const char **at, char byte)
{
    bool there = **at == byte;
    *at += there;
    return there;
}

/* 2026-1-31, 2026-01-31T12:00:00.5Z (or +01:00), 2026-01-31 12:00:00: what Go's YAML library makes a time of. */
static bool is_time(const char *text)
{
    const char *s = text;
    if (!take_digits(&s, 4, 4, 9999) || !take_byte(&s, '-') || !take_digits(&s, 1, 2, 12) || !take_byte(&s, '-') ||
        !take_digits(&s, 1, 2, 31))
        return false;
    if (*s == '\0')
        return true;
    bool zoned = *s == 'T' || *s == 't';
    if (!zoned && *s != ' ')
        return false;
    s++;
    if (!take_digits(&s, 1, 2, 23) || !take_byte(&s, ':') || !take_digits(&s, 1, 2, 59) || !take_byte(&s, ':') ||
        !take_digits(&s, 1, 2, 59))
        return false;
    if (take_byte(&s, '.') && !take_digits(&s, 1, 9, UINT_MAX))
        return false;
    if (!zoned || take_byte(&s, 'Z'))
        return *s == '\0';
    return (take_byte(&s, '+') || take_byte(&s, '-')) && take_digits(&s, 2, 2, 23) && take_byte(&s, ':') &&
           take_digits(&s, 2, 2, 59) && *s == '\0';
}

enum node_type node_resolve(const char *text, size_t count)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    if (count > 0 && strchr(count > 5 ? "0123456789+-." : "0123456789+-.~nNtTfF", text[0]) == NULL)
        return TYPE_STRING; /* most text ends here */
    if (is_one_of(text, nulls))
        return TYPE_NULL;
    if (is_one_of(text, bools))
        return TYPE_BOOL;
    int64_t number;
    int code = value_integer(text, &number);
    if (code == 0 || (code == -ERANGE && fits_unsigned(text)))
        return TYPE_INT;
    if (is_decimal_with_underscores(text, count) || is_one_of(text, special_floats))
        return TYPE_FLOAT;
    return is_time(text) ? TYPE_TIME : TYPE_STRING;
}

const char *node_number_text(const struct node *scalar, char out[64])
{
    int64_t integer;
    if (scalar->type == TYPE_INT && value_integer(scalar->text, &integer) == 0) {
        (void)snprintf(out, 64, "%lld", (long long)integer);
        return out;
    }
    double number;
    if (scalar->type == TYPE_FLOAT && node_float(scalar, &number)) {
        value_float_text(number, 64, 6, out);
        return out;
    }
    return scalar->text;
}

bool node_float(const struct node *scalar, double *out)
{
    char plain[400];
    size_t used = 0;
    for (const char *s = scalar->text; *s != '\0' && used + 1 < sizeof plain; s++)
        if (*s != '_')
            plain[used++] = *s;
    plain[used] = '\0';
    if (is_decimal(plain)) {
        *out = strtod(plain, NULL);
        return true;
    }
    if (!is_one_of(scalar->text, special_floats))
        return false;
    const char *word = scalar->text + (scalar->text[0] != '.');
    bool nan = word[1] == 'n' || word[1] == 'N';
    *out = nan ? (double)NAN : scalar->text[0] == '-' ? -(double)INFINITY : (double)INFINITY;
    return true;
}
