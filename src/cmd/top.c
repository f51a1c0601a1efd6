/* shoal top: find the stream and the terminal, hand both to top/. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/base.h"
#include "cmd/cmd.h"
#include "top/top.h"

static int open_socket(const char *path, shoal_error_t *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return shoal_fail(err, -ENAMETOOLONG, "%s", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return shoal_fail(err, -errno, "%s: connect", path);
    return take_fd(&fd);
}

/* "-" or nothing: what stdin is. Returns a descriptor of our own. */
static int open_stream(const char *path, shoal_error_t *err)
{
    struct stat about;
    if (path == NULL || strcmp(path, "-") == 0) {
        if (isatty(STDIN_FILENO))
            return shoal_refuse(
                err, -EINVAL,
                "a terminal is no stream of records; write: shoal up ... | shoal top, or name a file or socket");
        int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        return fd >= 0 ? fd : shoal_fail(err, -errno, "stdin");
    }
    if (strncmp(path, "unix:", 5) == 0)
        return open_socket(path + 5, err);
    if (stat(path, &about) == 0 && S_ISSOCK(about.st_mode))
        return open_socket(path, err);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return fd >= 0 ? fd : shoal_fail(err, -errno, "%s", path);
}

int cmd_top(const struct cmd_options *options)
{
    const char *path = options->arguments[0];
    if (path != NULL && options->arguments[1] != NULL) {
        fprintf(stderr, "shoal: top '%s': one stream at a time\n", options->arguments[1]);
        return EXIT_STATUS_USAGE;
    }
    shoal_error_t error;
    AUTO_FD stream_fd = open_stream(path, &error);
    if (stream_fd < 0) {
        fprintf(stderr, "shoal: %s\n", error.text);
        return stream_fd == -EINVAL ? EXIT_STATUS_USAGE : EXIT_STATUS_FAILED;
    }
    int code;
    if (isatty(STDOUT_FILENO)) {
        AUTO_FD tty_fd = open("/dev/tty",
                              O_RDWR | O_CLOEXEC); /* stdin may be the stream: keys come from the terminal itself */
        code = tty_fd < 0 ? shoal_fail(&error, -errno, "/dev/tty") : top_show(stream_fd, tty_fd, stdout, &error);
    } else {
        code = top_print(stream_fd, stdout, &error);
    }
    if (code == 0)
        return 0;
    fprintf(stderr, "shoal: top: %s\n", error.text);
    return EXIT_STATUS_FAILED;
}
