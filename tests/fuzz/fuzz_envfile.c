#include <string.h>

#include "compose/envfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static const char *look_up(void *data, const char *name)
{
    (void)data;
    return strcmp(name, "A") == 0 ? "value" : NULL;
}

static int put(void *data, const char *name, const char *value)
{
    (void)data;
    if (name[0] == '\0' || strchr(name, '=') != NULL || (value != NULL && strlen(value) > (1 << 20)))
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct envfile file = {.with = {.lookup = look_up, .budget = 1 << 20}, .raw = count % 2 == 1, .put = put};
    shoal_error_t err = {0};
    if (envfile_parse(&file, (const char *)bytes, count, &err) < 0 && err.text[0] == '\0')
        abort();
    return 0;
}
