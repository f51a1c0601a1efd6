/* Load a fleet from text and say in one text what came of it: the findings, or the spec's values. */
#ifndef TESTS_COMPOSE_LOADING_H
#define TESTS_COMPOSE_LOADING_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "compose/compose.h"

static const char *const test_environ[] = {"HOME=/home/me", "USER=me", "EMPTY=", NULL};

/* /fleet/.env and /fleet/NAME are these; everything else is not there. */
static inline int read_fake(const char *path, size_t limit, char **out_bytes, size_t *out_count, shoal_error_t *err)
{
    static const struct {
        const char *path, *text;
    } files[] = {{"/fleet/.env", "DOTENV=from-dotenv\nUSER=not-me\n"},
                 {"/fleet/a.env", "A=1\nB=\"two $A\"\nUSER\nUNKNOWN\n"},
                 {"/fleet/b.env", "B=3 # comment\n"},
                 {"/fleet/bad.env", "A=1\nB='x\n"}};
    (void)limit;
    for (size_t i = 0; i < COUNT(files); i++) {
        if (strcmp(path, files[i].path) != 0)
            continue;
        *out_bytes = strdup(files[i].text);
        *out_count = strlen(files[i].text);
        return 0;
    }
    return shoal_fail(err, -ENOENT, "open");
}

static inline void note_finding(void *data, shoal_severity_t severity, const shoal_position_t *at, const char *text)
{
    text_add_format(data, "%d:%d: %s: %s\n", at->line, at->column, severity == SHOAL_ERROR ? "error" : "warning", text);
}

/* findings: one line each; free it. */
static inline shoal_spec_t *load_text(const char *yaml, char **out_findings)
{
    const shoal_compose_options_t options = {
        .file = "fleet.yaml", .text = yaml, .project_directory = "/fleet", .environ = test_environ};
    struct text findings = {0};
    shoal_spec_t *spec = compose_load(&options, read_fake, note_finding, &findings);
    *out_findings = text_take(&findings);
    assert_true(spec != NULL || strstr(*out_findings, "error: ") != NULL);
    return spec;
}

#endif
