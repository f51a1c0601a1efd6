/* shoal-init as a file without a name. Parent side: nothing here runs between clone and execve. */
#ifndef CHILD_INIT_IMAGE_H
#define CHILD_INIT_IMAGE_H

#include "shoal/error.h"

/* The program's bytes, from child_init_image up to child_init_image_end. */
extern const unsigned char child_init_image[] __attribute__((visibility("hidden")));
extern const unsigned char child_init_image_end[] __attribute__((visibility("hidden")));

/* Make a sealed, executable memfd of it for execveat(fd, "", argv, envp, AT_EMPTY_PATH). One serves any number of
 * sandboxes. argv: "shoal-init", the decimal number of an inherited status descriptor, the mode, the command and its arguments.
 * Returns the descriptor (close-on-exec; the caller closes it), -ENOMEM, -EMFILE, -EACCES (vm.memfd_noexec=2). */
int child_init_open(shoal_error_t *err);

#endif
