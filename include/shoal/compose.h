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
    /* Lists end with NULL. */
    const char *const *files;     /* several files, each merged over those before; goes before `file` */
    const char *const *env_files; /* several, the later ones go before; goes before `env_file` */
    const char *const *profiles;  /* active ones; default: COMPOSE_PROFILES; "*" is all */
    const char *const *services;  /* these alone, and what they depend on; default: all */
} shoal_compose_options_t;

/** One finding. at: its position, at.line 0 where there is none.  text: "services.web.mem_limit: ... ; ..." without
 *  the position. Both are valid during the call only. */
typedef void (*shoal_diagnostic_cb)(void *data, shoal_severity_t severity, const shoal_position_t *at,
                                    const char *text);

/** Load, interpolate and check one fleet. Reports every mistake in the file through cb, in the order of the file.
 *  Returns the spec (free with shoal_spec_free), or NULL after at least one SHOAL_ERROR was reported. */
SHOAL_API shoal_spec_t *shoal_compose_load(const shoal_compose_options_t *options, shoal_diagnostic_cb cb, void *data);

/** What shoal_compose_config() prints: all of it, or one name a line. */
typedef enum shoal_config_part {
    SHOAL_CONFIG_ALL,
    SHOAL_CONFIG_NOTHING, /* errors alone */
    SHOAL_CONFIG_SERVICES,
    SHOAL_CONFIG_VOLUMES,
    SHOAL_CONFIG_NETWORKS,
    SHOAL_CONFIG_IMAGES,
    SHOAL_CONFIG_PROFILES,
    SHOAL_CONFIG_MODELS,
    SHOAL_CONFIG_HASH,       /* SERVICE SHA-256: changes when its containers would have to be made anew */
    SHOAL_CONFIG_ENVIRONMENT /* NAME=value: what interpolation sees */
} shoal_config_part_t;

typedef struct shoal_config_options {
    shoal_config_part_t part;
    bool json;               /* SHOAL_CONFIG_ALL: in place of YAML */
    bool no_interpolate;     /* variables stay as they are written */
    bool no_normalize;       /* nothing is added that is not written */
    bool no_consistency;     /* what refers to nothing is fine */
    bool no_paths;           /* relative paths stay so */
    bool no_env_files;       /* env_file stays, unread */
    const char *const *hash; /* SHOAL_CONFIG_HASH: these services; NULL: all */
} shoal_config_options_t;

/** Load one fleet and print it as docker compose config does; what shoal does not carry out is a warning here.
 *  Returns 0 and the text in out_text (free it), or -EINVAL after at least one SHOAL_ERROR was reported. */
SHOAL_API int shoal_compose_config(const shoal_compose_options_t *options, const shoal_config_options_t *config,
                                   shoal_diagnostic_cb cb, void *data, char **out_text, size_t *out_count);

/** Find the fleet file: compose.yaml, compose.yml, docker-compose.yaml, docker-compose.yml in dir or a parent of it.
 *  Returns 0 and the path in out_path (free it), -ENOENT, -ENOMEM. */
SHOAL_API int shoal_compose_find(const char *dir, char **out_path, shoal_error_t *err);

#endif
