#include "kernel/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/base.h"

int loop_attach(int file_fd, char out[LOOP_PATH], shoal_error_t *err)
{
    enum { ATTEMPTS = 64 };
    AUTO_FD control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        return shoal_fail(err, -errno, "open /dev/loop-control");
    for (int i = 0; i < ATTEMPTS; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0)
            return shoal_fail(err, -errno, "find a free loop device");
        (void)snprintf(out, LOOP_PATH, "/dev/loop%d", number);
        AUTO_FD fd = open(out, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            return shoal_fail(err, -errno, "open %s", out);
        /* Direct: what is written is not in the page cache twice. */
        struct loop_config config = {.fd = (unsigned)file_fd, .info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO};
        if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
            return take_fd(&fd);
        if (errno != EBUSY) /* somebody else was faster */
            return shoal_fail(err, -errno, "attach to %s", out);
    }
    return shoal_fail(err, -EBUSY, "find a free loop device");
}
