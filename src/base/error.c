#include <stdarg.h>
#include <string.h>

#include "base/base.h"

static void put_errno(shoal_error_t *err, size_t used)
{
    char words[96];
    const char *text = strerror_r(-err->code, words, sizeof words); /* GNU form: returns the text */
    if (used < sizeof err->text)
        (void)snprintf(err->text + used, sizeof err->text - used, ": %s", text);
}

static void mark_cut(shoal_error_t *err, size_t wanted)
{
    if (wanted >= sizeof err->text)
        memcpy(err->text + sizeof err->text - 4, "...", 4);
}

int shoal_fail(shoal_error_t *err, int code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, fmt);
    int used = vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    err->code = code;
    if (code < 0 && used >= 0)
        put_errno(err, (size_t)used);
    mark_cut(err, used < 0 ? 0 : (size_t)used);
    return code;
}

int shoal_refuse(shoal_error_t *err, int code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, fmt);
    int used = vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    err->code = code;
    mark_cut(err, used < 0 ? 0 : (size_t)used);
    return code;
}

int shoal_within(shoal_error_t *err, const char *fmt, ...)
{
    if (err == NULL)
        return 0;
    char inner[sizeof err->text];
    memcpy(inner, err->text, sizeof inner);
    va_list args;
    va_start(args, fmt);
    int used = vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    size_t at = used < 0 ? 0 : (size_t)used;
    if (at < sizeof err->text) {
        int more = snprintf(err->text + at, sizeof err->text - at, ": %s", inner);
        at += more < 0 ? 0 : (size_t)more;
    }
    mark_cut(err, at);
    return err->code;
}
