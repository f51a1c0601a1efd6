#include <errno.h>
#include <string.h>

#include "compose/envfile.h"

struct reader {
    struct envfile *file;
    const char *at, *end;
    int line;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && is_blank(*r->at))
        r->at++;
}

static void skip_line(struct reader *r)
{
    while (r->at < r->end && *r->at != '\n')
        r->at++;
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-' || c == '[' || c == ']';
}

/* One escape of a double-quoted value, at->text behind the backslash. A dollar becomes $$ for the interpolation that
 * follows; a backslash before anything else stands for itself. Returns how many bytes were read. */
static size_t put_escape(struct text *out, const char *at, const char *end)
{
    static const char from[] = "abfnrtv\"\\", to[] = "\a\b\f\n\r\t\v\"\\";
    const char *known = at < end && *at != '\0' ? strchr(from, *at) : NULL;
    if (known != NULL) {
        text_add(out, &to[known - from], 1);
        return 1;
    }
    if (at < end && *at == '$') {
        text_add(out, "$$", 2);
        return 1;
    }
    if (at < end && *at == '0') {
        unsigned value = 0;
        size_t used = 1;
        while (used < 4 && at + used < end && at[used] >= '0' && at[used] <= '7')
            value = value * 8 + (unsigned)(at[used++] - '0');
        if (value > 0 && value < 256) {
            text_add(out, &(char){(char)value}, 1);
            return used;
        }
    }
    text_add(out, "\\", 1);
    return 0;
}

/* At the opening quote. The value may run over several lines. raw: before interpolation. */
static int read_quoted(struct reader *r, struct text *raw, shoal_error_t *err)
{
    char quote = *r->at++;
    int first = r->line;
    text_add(raw, "", 0);
    while (r->at < r->end && *r->at != quote) {
        char c = *r->at++;
        if (c == '\n')
            r->line++;
        if (c == '\\' && quote == '"')
            r->at += put_escape(raw, r->at, r->end);
        else if (c == '\\' && r->at < r->end && (*r->at == quote || *r->at == '\\')) {
            if (*r->at == '\\')
                text_add(raw, "\\", 1); /* two stay two, but the second one escapes nothing */
            text_add(raw, r->at++, 1);
        } else
            text_add(raw, &c, 1);
    }
    if (r->at == r->end)
        return shoal_refuse(err, -EINVAL, "line %d: the quote %c is not closed", first, quote);
    r->at++;
    skip_blanks(r);
    if (r->at < r->end && *r->at != '\n' && *r->at != '#')
        return shoal_refuse(err, -EINVAL, "line %d: unexpected text behind the closing quote", r->line);
    skip_line(r);
    return 0;
}

/* Up to the end of the line, or to a comment: a '#' behind a space. */
static void read_plain(struct reader *r, struct text *raw)
{
    const char *start = r->at;
    skip_line(r);
    const char *end = r->at;
    for (const char *s = start; s < end; s++) {
        if (*s == '#' && s > start && s[-1] == ' ') {
            end = s;
            break;
        }
    }
    while (end > start && is_blank(end[-1]))
        end--;
    text_add(raw, start, (size_t)(end - start));
}

static int read_value(struct reader *r, const char *name, shoal_error_t *err)
{
    struct text raw = {0}, value = {0};
    int code = 0, line = r->line;
    skip_blanks(r);
    bool single = r->at < r->end && *r->at == '\'';
    if (single || (r->at < r->end && *r->at == '"'))
        code = read_quoted(r, &raw, err);
    else
        read_plain(r, &raw);
    if (code == 0 && raw.failed)
        code = shoal_fail(err, -ENOMEM, "environment file");
    if (code == 0 && !single) {
        code = interpolate(&r->file->with, raw.bytes, raw.count, &value, err);
        if (code < 0 && code != -ENOMEM)
            shoal_within(err, "line %d", line);
    }
    if (code == 0) {
        code = r->file->put(r->file->with.data, name, single ? raw.bytes : value.bytes);
        if (code < 0)
            shoal_fail(err, code, "environment file");
    }
    text_free(&raw);
    text_free(&value);
    return code;
}

/* [export] NAME, then '=' or ':' and a value, or the end of the line. */
static int read_statement(struct reader *r, shoal_error_t *err)
{
    enum { LONGEST = 256 };
    if (r->end - r->at > 7 && memcmp(r->at, "export", 6) == 0 && is_blank(r->at[6])) {
        r->at += 6;
        skip_blanks(r);
    }
    const char *start = r->at;
    while (r->at < r->end && is_name_byte(*r->at))
        r->at++;
    size_t length = (size_t)(r->at - start);
    skip_blanks(r);
    char next = r->at < r->end ? *r->at : '\n';
    if (length == 0 || (next != '=' && next != ':' && next != '\n' && next != '#'))
        return shoal_refuse(err, -EINVAL, "line %d: unexpected character %s in a variable's name", r->line,
                            next == '\n' ? "at the end"
                                         : ((char[]){'\'', next >= ' ' && next < 0x7f ? next : '?', '\'', 0}));
    if (length > LONGEST)
        return shoal_refuse(err, -EINVAL, "line %d: a variable's name is longer than %d bytes", r->line, LONGEST);
    char name[LONGEST + 1];
    memcpy(name, start, length);
    name[length] = '\0';
    if (next == '=' || next == ':') {
        r->at++;
        return read_value(r, name, err);
    }
    skip_line(r);
    int code = r->file->put(r->file->with.data, name, NULL);
    return code < 0 ? shoal_fail(err, code, "environment file") : 0;
}

/* NAME=value, all of it behind the first '='; NAME alone; comments on lines of their own. */
static int read_raw_line(struct reader *r, shoal_error_t *err)
{
    const char *start = r->at;
    skip_line(r);
    const char *end = r->at > start && r->at[-1] == '\r' ? r->at - 1 : r->at;
    const char *equals = memchr(start, '=', (size_t)(end - start));
    size_t length = (size_t)((equals != NULL ? equals : end) - start);
    for (size_t i = 0; i < length; i++)
        if (is_blank(start[i]))
            return shoal_refuse(err, -EINVAL, "line %d: a blank in a variable's name", r->line);
    if (length == 0)
        return shoal_refuse(err, -EINVAL, "line %d: no name before the =", r->line);
    char *name = strndup(start, length);
    char *value = equals == NULL ? NULL : strndup(equals + 1, (size_t)(end - equals - 1));
    int code = name == NULL || (equals != NULL && value == NULL) ? -ENOMEM
                                                                 : r->file->put(r->file->with.data, name, value);
    free(name);
    free(value);
    return code < 0 ? shoal_fail(err, code, "environment file") : 0;
}

int envfile_parse(struct envfile *file, const char *text, size_t count, shoal_error_t *err)
{
    struct reader r = {.file = file, .at = text, .end = text + count, .line = 1};
    if (count >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        r.at += 3; /* byte order mark */
    const char *nul = memchr(text, '\0', count);
    if (nul != NULL) {
        for (const char *s = text; s < nul; s++)
            r.line += *s == '\n';
        return shoal_refuse(err, -EINVAL, "line %d: holds a NUL byte", r.line);
    }
    while (r.at < r.end) {
        skip_blanks(&r);
        if (r.at == r.end)
            break;
        if (*r.at == '\n') {
            r.line++;
            r.at++;
            continue;
        }
        if (*r.at == '#') {
            skip_line(&r);
            continue;
        }
        int code = file->raw ? read_raw_line(&r, err) : read_statement(&r, err);
        if (code < 0)
            return code;
    }
    return 0;
}
