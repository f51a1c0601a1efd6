#include "child/init_image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/base.h"

#ifndef MFD_EXEC /* Linux 6.3 */
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_EXEC /* Linux 6.3 */
#define F_SEAL_EXEC 0x0020
#endif

__asm__(".pushsection .rodata\n"
        ".hidden child_init_image\n.hidden child_init_image_end\n"
        ".global child_init_image\n.global child_init_image_end\n"
        ".balign 16\n"
        "child_init_image:\n.incbin \"" SHOAL_INIT_IMAGE "\"\n"
        "child_init_image_end:\n"
        ".popsection\n");

static int write_all(int fd, const unsigned char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0)
            return -errno;
        bytes += written;
        count -= (size_t)written;
    }
    return 0;
}

int child_init_open(shoal_error_t *err)
{
    AUTO_FD fd = memfd_create("shoal-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) /* before 6.3 every memfd is executable */
        fd = memfd_create("shoal-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return shoal_fail(err, -errno, "shoal-init: memfd_create%s",
                          errno == EACCES ? " (sysctl vm.memfd_noexec=2 forbids executable ones)" : "");
    int code = write_all(fd, child_init_image, (uintptr_t)child_init_image_end - (uintptr_t)child_init_image);
    if (code < 0)
        return shoal_fail(err, code, "shoal-init: write");
    if (fchmod(fd, 0555) < 0)
        return shoal_fail(err, -errno, "shoal-init: chmod");

    /* Sealed, because a sandbox could otherwise reach it by /proc/1/exe and write into all others' init. */
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    if (fcntl(fd, F_ADD_SEALS, seals | F_SEAL_EXEC) < 0 && (errno != EINVAL || fcntl(fd, F_ADD_SEALS, seals) < 0))
        return shoal_fail(err, -errno, "shoal-init: seal");
    return take_fd(&fd);
}
