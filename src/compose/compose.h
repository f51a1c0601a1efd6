/* compose: from a fleet file in the Compose specification's YAML to a spec (include/shoal/spec.h).
 * It knows the language: nodes with line and column, interpolation, one key table per section, what follows from
 * what. It refuses to know the host: no controller, image or device is looked for here, so that a file can be checked
 * anywhere; it reads the fleet file, .env and env_file, and nothing else. It owns nothing beyond the call, but the
 * spec that it returns. */
#ifndef COMPOSE_COMPOSE_H
#define COMPOSE_COMPOSE_H

#include <stdio.h>

#include "shoal/compose.h"

/* How .env and env_file are read: at most limit bytes of a regular file into *out_bytes (malloc, NUL behind them).
 * Returns 0, -ENOENT, -EFBIG, -EINVAL not a regular file, or another negative errno. */
typedef int (*compose_read_cb)(const char *path, size_t limit, char **out_bytes, size_t *out_count, shoal_error_t *err);
int compose_read_file(const char *path, size_t limit, char **out_bytes, size_t *out_count, shoal_error_t *err);

/* shoal_compose_load() with the reading of .env and env_file in the caller's hand. */
shoal_spec_t *compose_load(const shoal_compose_options_t *options, compose_read_cb read, shoal_diagnostic_cb cb,
                           void *data);

int compose_config(const shoal_compose_options_t *options, const shoal_config_options_t *config, compose_read_cb read,
                   shoal_diagnostic_cb cb, void *data, char **out_text, size_t *out_count);

/* From the key tables: shoal-compose(5) as scdoc source, docs/compose.md, the JSON schema of x-shoal. */
void compose_print_manual(FILE *out);
void compose_print_markdown(FILE *out);
void compose_print_schema(FILE *out);

#endif
