/* Every text-to-value parser of the fleet file, on one text. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/capability.h"
#include "base/duration.h"
#include "base/rlimit.h"
#include "base/signal.h"
#include "compose/node.h"
#include "compose/values.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check_path(struct arena *arena, const char *text)
{
    const char *path = value_path(arena, "/base/dir", text);
    if (path == NULL || path[0] != '/' || strstr(path, "//") != NULL || strstr(path, "/../") != NULL ||
        strstr(path, "/./") != NULL)
        abort();
}

static void check_split(struct arena *arena, const char *text)
{
    shoal_strings_t words;
    const char *why;
    if (value_split(arena, text, &words, &why) != 0)
        return;
    for (size_t i = 0; i < words.count; i++)
        if (words.items[i] == NULL)
            abort();
    if (words.items != NULL && words.items[words.count] != NULL)
        abort();
}

/* A duration's own text is the same duration. */
static void check_duration(const char *text)
{
    int64_t ns, again;
    char printed[40];
    if (value_duration(text, &ns) < 0)
        return;
    value_duration_text(ns, printed);
    if (value_duration(printed, &again) < 0 || again != ns)
        abort();
}

/* The shortest text of a number reads back as the number. */
static void check_float(const uint8_t *bytes, size_t count)
{
    double number;
    char printed[64];
    if (count < sizeof number)
        return;
    memcpy(&number, bytes, sizeof number);
    if (!isfinite(number))
        return;
    value_float_text(number, 64, 21, printed);
    if (strtod(printed, NULL) != number || strlen(printed) > 40)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    AUTO_FREE char *text = malloc(count + 1);
    if (text == NULL)
        return 0;
    memcpy(text, bytes, count);
    text[count] = '\0';
    check_duration(text);
    check_float(bytes, count);
    int64_t integer;
    uint64_t large;
    uint32_t word;
    unsigned prefix;
    bool flag;
    int number;
    char out[64];
    struct arena arena = {0};
    (void)value_decimal(text, 3, &integer);
    if (value_decimal(text, 6, &integer) == 0 && integer < 0)
        abort();
    (void)value_bool(text, &flag);
    (void)value_size(text, &large);
    if (value_count(text, &large) == 0 && large > INT64_MAX)
        abort();
    (void)duration_parse_ms(text, &large);
    (void)value_cpu_list(text);
    (void)value_is_ip(text);
    (void)value_mode(text, &word);
    (void)rlimit_parse(text, &number);
    if (value_subnet(text, &word, &prefix) == 0 && prefix > 32)
        abort();
    if (signal_parse(text, &number) == 0 && (number < 1 || number > 64))
        abort();
    if (capability_parse(text, &prefix) == 0 && prefix > 40)
        abort();
    const struct node node = {.type = (uint8_t)node_resolve(text, strlen(text)), .text = text};
    (void)node_number_text(&node, out);
    check_path(&arena, text);
    check_split(&arena, text);
    arena_free(&arena);
    return 0;
}
