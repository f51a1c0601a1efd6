#include <errno.h>
#include <string.h>

#include "compose/interpolate.h"

enum { DEEPEST = 32 }; /* defaults within defaults */

static bool is_name_start(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t name_length(const char *s, size_t left)
{
    size_t count = 0;
    if (left == 0 || !is_name_start(s[0]))
        return 0;
    while (count < left && (is_name_start(s[count]) || (s[count] >= '0' && s[count] <= '9')))
        count++;
    return count;
}

static int put(struct interpolation *with, const char *bytes, size_t count, struct text *out, shoal_error_t *err)
{
    if (count > with->budget)
        return shoal_refuse(err, -E2BIG, "the variables expand to more than a fleet file may hold");
    with->budget -= count;
    text_add(out, bytes, count);
    return out->failed ? shoal_fail(err, -ENOMEM, "interpolation") : 0;
}

static int expand(struct interpolation *with, const char *text, size_t count, unsigned depth, struct text *out,
                  shoal_error_t *err);

/* The end of the braces that open before text[0]: the '}' that belongs to them; count when there is none. */
static size_t find_end(const char *text, size_t count)
{
    size_t depth = 1;
    for (size_t i = 0; i < count; i++) {
        if (text[i] == '{')
            depth++;
        else if (text[i] == '}' && --depth == 0)
            return i;
    }
    return count;
}

/* ${NAME:?message}: the message is interpolated too. */
static int refuse_missing(struct interpolation *with, const char *name, const char *message, size_t count,
                          unsigned depth, shoal_error_t *err)
{
    struct text words = {0};
    int code = expand(with, message, count, depth + 1, &words, err);
    if (code == 0 && words.count > 0)
        code = shoal_refuse(err, -EINVAL, "required variable %s is missing a value: %s", name, words.bytes);
    else if (code == 0)
        code = shoal_refuse(err, -EINVAL, "required variable %s is missing a value", name);
    text_free(&words);
    return code;
}

/* What stands behind ${NAME: an operator and its word, or nothing. */
static int expand_operator(struct interpolation *with, const char *name, const char *rest, size_t count, unsigned depth,
                           struct text *out, shoal_error_t *err)
{
    const char *value = with->lookup(with->data, name);
    bool colon = count > 0 && rest[0] == ':'; /* ':' makes empty count as unset */
    char op = count > (size_t)colon ? rest[colon] : '\0';
    const char *word = rest + colon + 1;
    size_t word_count = count > (size_t)colon + 1 ? count - colon - 1 : 0;
    bool has_value = value != NULL && !(colon && value[0] == '\0');

    if (count == 0) {
        if (value == NULL && with->unset != NULL)
            with->unset(with->data, name);
        return value == NULL ? 0 : put(with, value, strlen(value), out, err);
    }
    switch (op) {
    case '-':
        return has_value ? put(with, value, strlen(value), out, err)
                         : expand(with, word, word_count, depth + 1, out, err);
    case '+':
        return has_value ? expand(with, word, word_count, depth + 1, out, err) : 0;
    case '?':
        return has_value ? put(with, value, strlen(value), out, err)
                         : refuse_missing(with, name, word, word_count, depth, err);
    default:
        return shoal_refuse(err, -EINVAL, "\"%.*s\" behind ${%.60s is none of :- - :? ? :+ +",
                            (int)(count < 20 ? count : 20), rest, name);
    }
}

/* At text[0] == '$'. *out_used: bytes of text that were read. */
static int expand_dollar(struct interpolation *with, const char *text, size_t count, unsigned depth, struct text *out,
                         size_t *out_used, shoal_error_t *err)
{
    if (count > 1 && text[1] == '$') {
        *out_used = 2;
        return put(with, "$", 1, out, err);
    }
    bool braces = count > 1 && text[1] == '{';
    const char *start = text + 1 + braces;
    size_t left = count - 1 - braces;
    size_t length = name_length(start, left);
    size_t end = braces ? find_end(start, left) : length;
    if (braces && end == left)
        return shoal_refuse(err, -EINVAL, "\"%.*s\" has no closing brace; write $$ for a dollar sign",
                            (int)(count < 40 ? count : 40), text);
    if (length == 0 && !braces) { /* a dollar before anything else is one */
        *out_used = 1;
        return put(with, "$", 1, out, err);
    }
    if (length == 0)
        return shoal_refuse(err, -EINVAL, "\"%.*s\" names no variable; write $$ for a dollar sign",
                            (int)(count < 20 ? count : 20), text);
    char *name = strndup(start, length);
    if (name == NULL)
        return shoal_fail(err, -ENOMEM, "interpolation");
    int code = expand_operator(with, name, start + length, end - length, depth, out, err);
    free(name);
    *out_used = (size_t)(start - text) + end + braces;
    return code;
}

static int expand(struct interpolation *with, const char *text, size_t count, unsigned depth, struct text *out,
                  shoal_error_t *err)
{
    if (depth > DEEPEST)
        return shoal_refuse(err, -EINVAL, "defaults are nested more than %d deep", DEEPEST);
    while (count > 0) {
        const char *dollar = memchr(text, '$', count);
        size_t plain = dollar == NULL ? count : (size_t)(dollar - text);
        int code = put(with, text, plain, out, err);
        text += plain;
        count -= plain;
        size_t used = 0;
        if (code == 0 && count > 0)
            code = expand_dollar(with, text, count, depth, out, &used, err);
        if (code < 0)
            return code;
        text += used;
        count -= used;
    }
    return 0;
}

int interpolate(struct interpolation *with, const char *text, size_t count, struct text *out, shoal_error_t *err)
{
    text_add(out, "", 0);
    return expand(with, text, count, 0, out, err);
}
