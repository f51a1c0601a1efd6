/* Types of plain scalars, and the text of numbers. */
#include <ctype.h>
#include <errno.h>
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

enum node_type node_resolve(const char *text, size_t count)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    static const char *const floats[] = {".inf",  ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
                                         "-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL};
    if (count > 5 && !isdigit((unsigned char)text[0]) && strchr("+-.", text[0]) == NULL)
        return TYPE_STRING; /* most text ends here */
    if (is_one_of(text, nulls))
        return TYPE_NULL;
    if (is_one_of(text, bools))
        return TYPE_BOOL;
    int64_t number;
    if (value_integer(text, &number) != -EINVAL)
        return TYPE_INT;
    return is_decimal(text) || is_one_of(text, floats) ? TYPE_FLOAT : TYPE_STRING;
}

/* The digits of a decimal number without leading and trailing zeros, and where its point stands. */
struct decimal {
    bool negative;
    char digits[20];
    size_t count;
    long point; /* value = 0.digits * 10^point */
};

static bool parse_decimal(const char *text, struct decimal *out)
{
    struct decimal d = {.negative = *text == '-'};
    bool fraction = false;
    const char *s = text + (*text == '-' || *text == '+');
    for (; isdigit((unsigned char)*s) || *s == '.'; s++) {
        if (*s == '.') {
            fraction = true;
            continue;
        }
        if (d.count == 0 && *s == '0') {
            d.point -= fraction;
            continue;
        }
        if (d.count == sizeof d.digits)
            return false;
        d.digits[d.count++] = *s;
        d.point += !fraction;
    }
    if (*s == 'e' || *s == 'E') {
        long exponent = strtol(s + 1, NULL, 10);
        if (exponent > 300 || exponent < -300)
            return false;
        d.point += exponent;
    }
    while (d.count > 0 && d.digits[d.count - 1] == '0')
        d.count--;
    if (d.count > 15 || d.point > 300 || d.point < -300)
        return false; /* 15 digits are what a double always keeps */
    *out = d;
    return true;
}

/* As Go prints a float64: plain from 1e-4 up to 1e21, else with an exponent. */
static void print_decimal(const struct decimal *d, char out[64])
{
    struct text text = {.bytes = out, .room = 64}; /* 63 bytes hold the longest: it never grows */
    if (d->count == 0) {
        text_add_string(&text, d->negative ? "-0" : "0");
        return;
    }
    if (d->negative)
        text_add(&text, "-", 1);
    long exponent = d->point - 1;
    if (exponent < -4 || exponent >= 21) {
        text_add(&text, d->digits, 1);
        if (d->count > 1) {
            text_add(&text, ".", 1);
            text_add(&text, d->digits + 1, d->count - 1);
        }
        text_add_format(&text, "e%c%02ld", exponent < 0 ? '-' : '+', labs(exponent));
        return;
    }
    if (d->point <= 0)
        text_add_string(&text, "0");
    for (long i = 0; i < d->point; i++)
        text_add(&text, i < (long)d->count ? &d->digits[i] : "0", 1);
    if (d->point < (long)d->count) {
        text_add(&text, ".", 1);
        for (long i = d->point; i < 0; i++)
            text_add(&text, "0", 1);
        size_t from = d->point > 0 ? (size_t)d->point : 0;
        text_add(&text, d->digits + from, d->count - from);
    }
}

const char *node_number_text(const struct node *scalar, char out[64])
{
    int64_t integer;
    if (scalar->type == TYPE_INT && value_integer(scalar->text, &integer) == 0) {
        (void)snprintf(out, 64, "%lld", (long long)integer);
        return out;
    }
    struct decimal decimal;
    if (scalar->type == TYPE_FLOAT && is_decimal(scalar->text) && parse_decimal(scalar->text, &decimal)) {
        print_decimal(&decimal, out);
        return out;
    }
    return scalar->text;
}
