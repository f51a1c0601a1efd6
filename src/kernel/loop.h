/* A file as a block device, loop(4). */
#ifndef KERNEL_LOOP_H
#define KERNEL_LOOP_H

#include "shoal/error.h"

enum { LOOP_PATH = 32 };

/* Attach the file to a free loop device, whose path comes in out. The device lets go of the file by itself when its last user
 * (the returned descriptor, a mount) has gone. Returns the device's descriptor, or a negative errno. */
int loop_attach(int file_fd, char out[LOOP_PATH], shoal_error_t *err);

#endif
