/* Images that need no download: made once from what the host has. */
#ifndef IMAGE_BUILTIN_H
#define IMAGE_BUILTIN_H

#include "shoal/error.h"

/* Make the builtin image name below root_dir/images unless it is there, made from the very same program; any number of
 * processes may do so at once. Ones made from an older program stay: a running sandbox may stand on them.
 * out_path: its directory, owned by the caller. Returns 0, -ENOENT no such image, or no static busybox here, ... */
int builtin_make(const char *name, const char *root_dir, char **out_path, shoal_error_t *err);

#endif
