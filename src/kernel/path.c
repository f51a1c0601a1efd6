#include "kernel/path.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/base.h"

int path_open(int dir_fd, const char *path, uint64_t flags, uint64_t resolve)
{
    enum { ATTEMPTS = 128 };
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
    for (int i = 0; i < ATTEMPTS; i++) {
        long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR) /* EAGAIN: something was renamed while ".." was looked up, openat2(2) */
            return -errno;
    }
    return -EAGAIN;
}

int path_make_parents(const char *path)
{
    AUTO_FREE char *folder = strdup(path);
    if (folder == NULL)
        return -ENOMEM;
    for (char *slash = folder; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}
