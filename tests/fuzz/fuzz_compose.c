/* The whole loader from text, with an empty environment; no other file is read: env_file gets a fixed text. */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "compose/compose.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static int read_fixed(const char *path, size_t limit, char **out_bytes, size_t *out_count, shoal_error_t *err)
{
    static const char text[] = "A=1\nB=\"two $A\"\nexport C='x'\nD\n";
    (void)limit;
    size_t length = strlen(path);
    if (length < 4 || strcmp(path + length - 4, ".txt") != 0)
        return shoal_fail(err, -ENOENT, "open");
    *out_bytes = strdup(text);
    *out_count = sizeof text - 1;
    return *out_bytes == NULL ? -ENOMEM : 0;
}

struct seen {
    const char *file;
    int line, column;
    bool error;
};

/* Findings come in the order of the file and are one line of text each. */
static void check_finding(void *data, shoal_severity_t severity, const shoal_position_t *at, const char *text)
{
    struct seen *seen = data;
    if (text[0] == '\0' || strchr(text, '\n') != NULL)
        abort();
    if (seen->file != at->file)
        seen->line = seen->column = 0; /* one file after the other */
    seen->file = at->file;
    if (at->line != 0 && (at->line < seen->line || (at->line == seen->line && at->column < seen->column)))
        abort();
    seen->line = at->line;
    seen->column = at->column;
    seen->error = seen->error || severity == SHOAL_ERROR;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const char *const nothing[] = {NULL};
    AUTO_FREE char *text = malloc(count + 1);
    if (text == NULL)
        return 0;
    memcpy(text, bytes, count);
    text[count] = '\0';
    const shoal_compose_options_t options = {
        .file = "fleet.yaml", .text = text, .project_directory = "/fleet", .environ = nothing};
    struct seen seen = {0};
    shoal_spec_t *spec = compose_load(&options, read_fixed, check_finding, &seen);
    if ((spec == NULL) != seen.error)
        abort();
    shoal_spec_free(spec);
    return 0;
}
