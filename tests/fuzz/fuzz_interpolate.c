#include <string.h>

#include "compose/interpolate.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static const char *look_up(void *data, const char *name)
{
    (void)data;
    return strcmp(name, "A") == 0 ? "value" : strcmp(name, "E") == 0 ? "" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct interpolation with = {.lookup = look_up, .budget = 1 << 20};
    struct text out = {0};
    shoal_error_t err = {0};
    int code = interpolate(&with, (const char *)bytes, count, &out, &err);
    if (code < 0 && err.text[0] == '\0')
        abort();
    if (code == 0 && memchr(bytes, '$', count) == NULL && (out.count != count || memcmp(out.bytes, bytes, count) != 0))
        abort(); /* nothing to replace: the text stays as it is */
    text_free(&out);
    return 0;
}
