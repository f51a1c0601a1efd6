/* cmd: the `shoal` program. One file per subcommand, one table in main.c; the only room that exits and writes to stderr. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>
#include <stdint.h>

#include "shoal.h"

enum { EXIT_STATUS_FAILED = 1, EXIT_STATUS_USAGE = 2 };

enum metrics_format { METRICS_NDJSON, METRICS_OFF };

/* What was typed. Everything is borrowed from argv. */
struct cmd_options {
    const char *file, *project, *project_directory, *env_file, *root_dir, *run_dir, *exit_code_from;
    enum metrics_format metrics;
    uint64_t interval_ms;
    uint64_t descriptors; /* soft RLIMIT_NOFILE as it was */
    bool abort_on_exit, logs;
    const char *const *arguments; /* behind the verb; NULL-terminated */
};

/* up.c: load and check the fleet file; findings go to stderr. NULL: there were errors, or a service that was named is not
 * in it. */
shoal_spec_t *cmd_load(const struct cmd_options *options);
int cmd_up(const struct cmd_options *options);
int cmd_preflight(const struct cmd_options *options);
int cmd_version(const struct cmd_options *options);

#endif
