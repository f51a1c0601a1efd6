/* $NAME and ${NAME...} in a text: the forms of the Compose specification's interpolation page. */
#ifndef COMPOSE_INTERPOLATE_H
#define COMPOSE_INTERPOLATE_H

#include <stddef.h>

#include "base/base.h"

struct interpolation {
    void *data;
    /* The value of a variable, or NULL when it is not set. name is valid during the call only. */
    const char *(*lookup)(void *data, const char *name);
    /* Told of each plain $NAME that is not set. May be NULL. */
    void (*unset)(void *data, const char *name);
    size_t budget; /* bytes that may still be put out; shared by all calls */
};

/* Append text with its variables replaced to out. Returns 0, -EINVAL (err says what and why), -E2BIG, -ENOMEM. */
int interpolate(struct interpolation *with, const char *text, size_t count, struct text *out, shoal_error_t *err);

#endif
