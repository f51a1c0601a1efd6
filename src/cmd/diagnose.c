/* Findings on stderr. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "cmd/cmd.h"

/* The line of a regular file, without its end; NULL when it cannot be shown. */
static char *read_line(const char *path, int wanted, size_t *out_count)
{
    enum { LONGEST = 4096 };
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t count = 0;
    for (int i = 0; file != NULL && i < wanted && count >= 0; i++)
        count = getline(&line, &room, file);
    if (file != NULL)
        (void)fclose(file);
    if (file == NULL || count <= 0 || count > LONGEST || memchr(line, '\0', (size_t)count) != NULL) {
        free(line);
        return NULL;
    }
    *out_count = (size_t)count - (line[count - 1] == '\n');
    line[*out_count] = '\0';
    return line;
}

/* The line and a mark below the column; columns count characters, as libyaml does. */
static void show_line(struct text *out, const shoal_position_t *at)
{
    size_t count = 0;
    AUTO_FREE char *line = read_line(at->file, at->line, &count);
    if (line == NULL)
        return;
    struct text mark = {0};
    int column = 1;
    for (const char *s = line; *s != '\0' && column < at->column; s++) {
        if (((unsigned char)*s & 0xc0) == 0x80)
            continue;
        text_add(&mark, *s == '\t' ? "\t" : " ", 1);
        column++;
    }
    for (char *s = line; *s != '\0'; s++)
        if ((unsigned char)*s < ' ' && *s != '\t')
            *s = '?'; /* nothing of a file may move a terminal's cursor */
    if (!mark.failed)
        text_add_format(out, "%6d | %s\n       | %s^\n", at->line, line, mark.bytes == NULL ? "" : mark.bytes);
    text_free(&mark);
}

static bool is_terminal(void)
{
    static int known = -1; /* a file may have a thousand findings */
    if (known < 0)
        known = isatty(STDERR_FILENO);
    return known;
}

void cmd_diagnose(void *data, shoal_severity_t severity, const shoal_position_t *at, const char *text)
{
    struct text *out = data;
    const char *word = severity == SHOAL_WARNING ? "warning: " : "";
    const char *file = at->file == NULL ? "" : at->file;
    if (at->line <= 0) {
        text_add_format(out, "shoal: %s%s%s%s\n", file, file[0] != '\0' ? ": " : "", word, text);
        return;
    }
    text_add_format(out, "%s:%d:%d: %s%s\n", file, at->line, at->column, word, text);
    if (is_terminal())
        show_line(out, at);
}

void cmd_print_findings(struct text *findings)
{
    if (findings->failed)
        fputs("shoal: out of memory\n", stderr);
    else if (findings->count > 0)
        (void)fwrite(findings->bytes, 1, findings->count, stderr); /* if stderr is gone nobody can be told */
    text_free(findings);
}

shoal_compose_options_t cmd_compose_options(const struct cmd_options *options)
{
    return (shoal_compose_options_t){.files = options->files[0] == NULL ? NULL : options->files,
                                     .env_files = options->env_files[0] == NULL ? NULL : options->env_files,
                                     .profiles = options->profiles[0] == NULL ? NULL : options->profiles,
                                     .services = options->arguments[0] == NULL ? NULL : options->arguments,
                                     .project = options->project,
                                     .project_directory = options->project_directory};
}
