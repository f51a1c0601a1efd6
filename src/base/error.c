#include <stdarg.h>
#include <string.h>

#include "base/base.h"

/* The length that vsnprintf wanted; none for a format that cannot be carried out (the code still says what went wrong). */
static size_t words_wanted(shoal_error_t *err, int wanted)
{
    if (wanted < 0)
        err->text[0] = '\0';
    return wanted < 0 ? 0 : (size_t)wanted;
}

/* Add ": words" where there is room; returns the length that all of it wanted. */
static size_t add_words(shoal_error_t *err, size_t used, const char *words)
{
    if (used < sizeof err->text)
        (void)snprintf(err->text + used, sizeof err->text - used, ": %s", words);
    return used + 2 + strlen(words);
}

/* Keep the promises of the header: one line, and "..." where it was cut, never in the middle of a character. */
static void finish(shoal_error_t *err, size_t wanted)
{
    for (char *c = err->text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' '; /* a name from a file or a sandbox may hold a newline or a terminal's escape */
    if (wanted < sizeof err->text)
        return;
    size_t cut = sizeof err->text - 4;
    while (cut > 0 && ((unsigned char)err->text[cut] & 0xc0) == 0x80)
        cut--;
    memcpy(err->text + cut, "...", 4);
}

int shoal_fail(shoal_error_t *err, int code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, fmt);
    size_t wanted = words_wanted(err, vsnprintf(err->text, sizeof err->text, fmt, args));
    va_end(args);
    err->code = code;
    if (code < 0) {
        char words[96];
        wanted = add_words(err, wanted, strerror_r(-code, words, sizeof words)); /* GNU form: returns the text */
    }
    finish(err, wanted);
    return code;
}

int shoal_refuse(shoal_error_t *err, int code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, fmt);
    size_t wanted = words_wanted(err, vsnprintf(err->text, sizeof err->text, fmt, args));
    va_end(args);
    err->code = code;
    finish(err, wanted);
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
    size_t wanted = words_wanted(err, vsnprintf(err->text, sizeof err->text, fmt, args));
    va_end(args);
    finish(err, add_words(err, wanted, inner));
    return err->code;
}
