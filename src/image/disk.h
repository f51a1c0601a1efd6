/* What image_make_rootfs() needs of disk.c. */
#ifndef IMAGE_DISK_H
#define IMAGE_DISK_H

#include "image/image.h"

/* Bound the container's place, before anything is made in it: in dir_fd, of path dir. Sets what disk says of itself. Returns the
 * directory that is bounded, opened, where upper and work belong; or a negative errno, and image_disk_end() has to be called. */
int disk_begin(struct image_disk *disk, int dir_fd, const char *dir, uint32_t base_id, shoal_error_t *err);

#endif
