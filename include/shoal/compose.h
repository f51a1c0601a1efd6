/* From the Compose specification's YAML to a spec. Blocking (reads files): call it before the loop runs. */
#ifndef SHOAL_COMPOSE_H
#define SHOAL_COMPOSE_H

#include "spec.h"

/** What to load. Every pointer is borrowed for the call; NULL or 0 means the default. */
typedef struct shoal_compose_options {
    const char *file;              /* path of the fleet file; "-" is stdin */
    const char *text;              /* the file's text in memory, in place of reading `file` (then only its name) */
    const char *project;           /* -p: overrides `name:` and COMPOSE_PROJECT_NAME */
    const char *project_directory; /* base of relative paths; default: the file's folder */
    const char *env_file;          /* default: .env in the project directory, if there */
    const char *const *environ;    /* "NAME=value" list that interpolation reads; default: the process's */
} shoal_compose_options_t;

/** One finding. at: its position, at.line 0 where there is none.  text: "services.web.mem_limit: ... ; ..." without
 *  the position. Both are valid during the call only. */
typedef void (*shoal_diagnostic_cb)(void *data, shoal_severity_t severity, const shoal_position_t *at,
                                    const char *text);

/** Load, interpolate and check one fleet. Reports every mistake in the file through cb, in the order of the file.
 *  Returns the spec (free with shoal_spec_free), or NULL after at least one SHOAL_ERROR was reported. */
SHOAL_API shoal_spec_t *shoal_compose_load(const shoal_compose_options_t *options, shoal_diagnostic_cb cb, void *data);

/** Find the fleet file: compose.yaml, compose.yml, docker-compose.yaml, docker-compose.yml in dir or a parent of it.
 *  Returns 0 and the path in out_path (free it), -ENOENT, -ENOMEM. */
SHOAL_API int shoal_compose_find(const char *dir, char **out_path, shoal_error_t *err);

#endif
