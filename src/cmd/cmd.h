/* cmd: the `shoal` program. One file per subcommand, one table in main.c; the only room that exits and writes to stderr. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "shoal.h"

#define CMD_ROOT_DIR "/var/lib/shoal" /* --root where none is given */

enum { EXIT_STATUS_FAILED = 1, EXIT_STATUS_USAGE = 2 };

enum metrics_format { METRICS_NDJSON, METRICS_OPENMETRICS, METRICS_OFF };

enum { CMD_LIST_MAX = 255, CMD_CONFIG_OPTIONS = 17 };

/* The options of `config`. */
struct cmd_config {
    shoal_config_options_t what;
    const char *format;   /* --format as given, which `deaths` has too; NULL: none */
    bool hash_all;        /* --hash '*' */
    const char *hash;     /* SERVICE,SERVICE */
    const char *out_path; /* NULL: stdout */
};

/* What was typed. Everything is borrowed from argv. */
struct cmd_options {
    const char *files[CMD_LIST_MAX + 1], *env_files[CMD_LIST_MAX + 1], *profiles[CMD_LIST_MAX + 1];
    const char *project, *project_directory, *root_dir, *run_dir, *exit_code_from;
    enum metrics_format metrics;
    const char *metrics_listen; /* NULL: nobody may ask */
    uint64_t interval_ms;
    uint64_t descriptors; /* soft RLIMIT_NOFILE as it was */
    bool abort_on_exit, logs;
    struct cmd_config config;
    const char *const *arguments; /* behind the verb; NULL-terminated */
};

/* up.c: load and check the fleet file; findings go to stderr. NULL: there were errors, or a service that was named is not
 * in it. */
shoal_spec_t *cmd_load(const struct cmd_options *options);
int cmd_up(const struct cmd_options *options);
int cmd_preflight(const struct cmd_options *options);
int cmd_top(const struct cmd_options *options);
int cmd_deaths(const struct cmd_options *options);
int cmd_version(const struct cmd_options *options);

/* config.c. Its options are numbered from `first` on, in the order of its table; number: the distance from it. */
int cmd_config(const struct cmd_options *options);
void cmd_config_options(struct option *out, int first);
int cmd_config_option(struct cmd_config *config, int number, const char *text);
void cmd_config_help(FILE *out);
/* Whether --format says json; it may say `other`, too, which is the default. -EINVAL: something else, which was told. */
int cmd_format_is_json(const struct cmd_options *options, const char *other, bool *out);

/* diagnose.c: findings, a line each, with the line they are about when stderr is a terminal. A shoal_diagnostic_cb;
 * data: a struct text, for cmd_print_findings() to write and free. */
void cmd_diagnose(void *data, shoal_severity_t severity, const shoal_position_t *at, const char *text);
struct text;
void cmd_print_findings(struct text *findings);
/* The part of what to load that every verb takes. */
shoal_compose_options_t cmd_compose_options(const struct cmd_options *options);

#endif
