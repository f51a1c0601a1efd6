/* Looking into an image as overlayfs will show it, without mounting it: the topmost layer that has a name decides; a
 * whiteout (a character device 0:0) or an opaque directory hides what lies below it. */
#ifndef IMAGE_LAYER_H
#define IMAGE_LAYER_H

#include <stdbool.h>

#include "base/base.h"
#include "image/image.h"

struct image {
    size_t layer_count;
    int layer_fds[]; /* O_PATH, 0 the lowest; owned */
};

/* Find path (relative, without "." and ".."). follow: symbolic links are followed as if the layer were the root, else a
 * link at the end is what is found and one on the way is -ELOOP. Returns an O_PATH descriptor, -ENOENT, -ELOOP. */
int layer_find(const struct image *image, const char *path, bool follow);

/* Read a regular file of at most max_bytes into text (NUL bytes end it early for who reads it as a string).
 * Returns 0, -ENOENT, -EFBIG, -ENOMEM, ...; err names the path. */
int layer_read(const struct image *image, const char *path, size_t max_bytes, struct text *text, shoal_error_t *err);

#endif
