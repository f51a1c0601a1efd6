/* The format of .env and env_file: NAME=value lines, quotes, escapes, comments, interpolation. */
#ifndef COMPOSE_ENVFILE_H
#define COMPOSE_ENVFILE_H

#include <stdbool.h>

#include "compose/interpolate.h"

struct envfile {
    struct interpolation with; /* its lookup sees the variables already put */
    bool raw;                  /* lines as they are: no quotes, comments behind values, escapes, variables */
    /* A variable; value NULL: the line names it alone, so that it comes from the environment. Returns 0 or -ENOMEM. */
    int (*put)(void *data, const char *name, const char *value);
};

/* Parse text. Returns 0; -EINVAL (err: "line 3: ..."); -ENOMEM, -E2BIG. with.data is handed to put, too. */
int envfile_parse(struct envfile *file, const char *text, size_t count, shoal_error_t *err);

#endif
