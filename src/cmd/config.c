/* shoal config: check a fleet and print it as it was understood. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "cmd/cmd.h"

enum config_option {
    CONFIG_FORMAT,
    CONFIG_QUIET,
    CONFIG_OUTPUT,
    CONFIG_NO_INTERPOLATE,
    CONFIG_NO_NORMALIZE,
    CONFIG_NO_CONSISTENCY,
    CONFIG_NO_PATHS,
    CONFIG_NO_ENV,
    CONFIG_HASH,
    CONFIG_PARTS /* and above: what is printed, PARTS + shoal_config_part_t */
};

static const struct row {
    const char *name, *argument, *doc;
    int value;
} rows[] = {
    {"format", "yaml|json", "form of what is printed (default: yaml; deaths: text|json)", CONFIG_FORMAT},
    {"quiet", NULL, "print nothing but what is wrong", CONFIG_QUIET},
    {"output", "FILE", "print to a file", CONFIG_OUTPUT},
    {"no-interpolate", NULL, "leave variables as they are written", CONFIG_NO_INTERPOLATE},
    {"no-normalize", NULL, "add nothing that is not written", CONFIG_NO_NORMALIZE},
    {"no-consistency", NULL, "let names refer to nothing", CONFIG_NO_CONSISTENCY},
    {"no-path-resolution", NULL, "leave relative paths as they are", CONFIG_NO_PATHS},
    {"no-env-resolution", NULL, "leave env_file unread", CONFIG_NO_ENV},
    {"hash", "'*'|SERVICE,...", "print a hash of what makes a service's containers", CONFIG_HASH},
    {"services", NULL, "print the services' names", CONFIG_PARTS + SHOAL_CONFIG_SERVICES},
    {"volumes", NULL, "print the volumes' names", CONFIG_PARTS + SHOAL_CONFIG_VOLUMES},
    {"networks", NULL, "print the networks' names", CONFIG_PARTS + SHOAL_CONFIG_NETWORKS},
    {"images", NULL, "print the images", CONFIG_PARTS + SHOAL_CONFIG_IMAGES},
    {"profiles", NULL, "print the profiles' names", CONFIG_PARTS + SHOAL_CONFIG_PROFILES},
    {"models", NULL, "print the models' names", CONFIG_PARTS + SHOAL_CONFIG_MODELS},
    {"environment", NULL, "print the variables that ${...} sees", CONFIG_PARTS + SHOAL_CONFIG_ENVIRONMENT},
};
_Static_assert(COUNT(rows) < CMD_CONFIG_OPTIONS, "room in main.c");

void cmd_config_options(struct option *out, int first)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool quiet = rows[i].value == CONFIG_QUIET; /* it has a letter */
        out[i] = (struct option){rows[i].name, rows[i].argument == NULL ? no_argument : required_argument, NULL,
                                 quiet ? 'q' : first + (int)i};
    }
}

void cmd_config_help(FILE *out)
{
    fputs("\noptions of config:\n", out);
    for (size_t i = 0; i < COUNT(rows); i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "--%s%s%s", rows[i].name, rows[i].argument ? " " : "",
                       rows[i].argument ? rows[i].argument : "");
        fprintf(out, "  %s %-26s %s\n", rows[i].value == CONFIG_QUIET ? "-q," : "   ", name, rows[i].doc);
    }
}

int cmd_config_option(struct cmd_config *config, int number, const char *text)
{
    int value = number < 0 ? CONFIG_QUIET : rows[number].value;
    shoal_config_options_t *what = &config->what;
    switch (value) {
    case CONFIG_FORMAT:
        config->format = text;
        return 0;
    case CONFIG_QUIET:
        what->part = SHOAL_CONFIG_NOTHING;
        return 0;
    case CONFIG_OUTPUT:
        config->out_path = text;
        return 0;
    case CONFIG_NO_INTERPOLATE:
        what->no_interpolate = true;
        return 0;
    case CONFIG_NO_NORMALIZE:
        what->no_normalize = true;
        return 0;
    case CONFIG_NO_CONSISTENCY:
        what->no_consistency = true;
        return 0;
    case CONFIG_NO_PATHS:
        what->no_paths = true;
        return 0;
    case CONFIG_NO_ENV:
        what->no_env_files = true;
        return 0;
    case CONFIG_HASH:
        what->part = SHOAL_CONFIG_HASH;
        config->hash = text;
        config->hash_all = strcmp(text, "*") == 0;
        return 0;
    default:
        what->part = (shoal_config_part_t)(value - CONFIG_PARTS);
        return 0;
    }
}

static int write_all(const char *path, const char *bytes, size_t count, shoal_error_t *err)
{
    AUTO_FD file = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int fd = path == NULL ? STDOUT_FILENO : file;
    if (fd < 0)
        return shoal_fail(err, -errno, "%s: open", path);
    while (count > 0) {
        ssize_t n = write(fd, bytes, count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return shoal_fail(err, -errno, "%s: write", path == NULL ? "stdout" : path);
        bytes += n;
        count -= (size_t)n;
    }
    return 0;
}

int cmd_format_is_json(const struct cmd_options *options, const char *other, bool *out)
{
    const char *format = options->config.format;
    *out = format != NULL && strcmp(format, "json") == 0;
    if (format == NULL || *out || strcmp(format, other) == 0)
        return 0;
    fprintf(stderr, "shoal: --format '%s': it is %s or json\n", format, other);
    return -EINVAL;
}

/* "a,b" as a list; NULL when there is no memory. */
static const char **split(char *text)
{
    size_t count = 2, used = 0;
    for (const char *s = text; *s != '\0'; s++)
        count += *s == ',';
    const char **list = calloc(count, sizeof *list);
    for (char *s = text; list != NULL && s != NULL;)
        list[used++] = strsep(&s, ",");
    return list;
}

int cmd_config(const struct cmd_options *options)
{
    const struct cmd_config *config = &options->config;
    shoal_compose_options_t wanted = cmd_compose_options(options);
    shoal_config_options_t what = config->what;
    shoal_error_t err;
    AUTO_FREE char *bytes = NULL;
    AUTO_FREE char *names = config->hash == NULL || config->hash_all ? NULL : strdup(config->hash);
    AUTO_FREE const char **list = names == NULL ? NULL : split(names);
    size_t count = 0;
    if (cmd_format_is_json(options, "yaml", &what.json) < 0)
        return EXIT_STATUS_USAGE;
    what.hash = list;
    if (what.part != SHOAL_CONFIG_ALL && what.part != SHOAL_CONFIG_NOTHING)
        wanted.services = what.part == SHOAL_CONFIG_HASH ? NULL : wanted.services;
    struct text findings = {0};
    int code = shoal_compose_config(&wanted, &what, cmd_diagnose, &findings, &bytes, &count);
    cmd_print_findings(&findings);
    if (code < 0)
        return EXIT_STATUS_USAGE;
    if (write_all(config->out_path, bytes, count, &err) == 0)
        return 0;
    fprintf(stderr, "shoal: %s\n", err.text);
    return EXIT_STATUS_FAILED;
}
