/* Addresses and the socket that listens on one. No name is ever looked up: that would wait for somebody else. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "api/inside.h"

enum { BACKLOG = 64 };

union address {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
    struct sockaddr_un path;
};

static int refuse(const char *text, shoal_error_t *err)
{
    return shoal_refuse(err, -EINVAL,
                        "\"%s\" is no address to listen on; write 127.0.0.1:9323, :9323 or unix:/run/x.sock", text);
}

static int parse_path(const char *text, union address *out, shoal_error_t *err)
{
    const char *path = text + strlen("unix:");
    if (path[0] == '\0')
        return refuse(text, err);
    if (strlen(path) >= sizeof out->path.sun_path)
        return shoal_refuse(err, -EINVAL, "%s: a socket's path has at most %zu bytes", text,
                            sizeof out->path.sun_path - 1);
    *out = (union address){.path = {.sun_family = AF_UNIX}};
    memcpy(out->path.sun_path, path, strlen(path) + 1);
    return 0;
}

static int parse(const char *text, union address *out, shoal_error_t *err)
{
    if (strncmp(text, "unix:", 5) == 0)
        return parse_path(text, out, err);
    const char *colon = strrchr(text, ':');
    char host[64] = "";
    size_t count = colon != NULL ? (size_t)(colon - text) : sizeof host;
    if (count >= sizeof host || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strlen(colon + 1) > 5 || strtoul(colon + 1, NULL, 10) > UINT16_MAX)
        return refuse(text, err);
    bool bracket = text[0] == '[' && count > 1 && text[count - 1] == ']';
    memcpy(host, text + bracket, count - 2 * (size_t)bracket);
    if (strcmp(host, "localhost") == 0)
        (void)strcpy(host, "127.0.0.1");
    struct addrinfo wanted = {.ai_family = bracket           ? AF_INET6
                                           : host[0] == '\0' ? AF_INET6
                                                             : AF_INET,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE},
                    *found;
    if (getaddrinfo(host[0] != '\0' ? host : NULL, colon + 1, &wanted, &found) != 0)
        return refuse(text, err);
    memcpy(out, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

int api_parse_address(const char *text, shoal_error_t *err)
{
    union address address;
    return parse(text, &address, err);
}

static socklen_t size_of(const union address *address)
{
    return address->any.sa_family == AF_UNIX    ? sizeof address->path
           : address->any.sa_family == AF_INET6 ? sizeof address->ip6
                                                : sizeof address->ip4;
}

/* A socket file whose program has ended goes on lying there. Whoever listens answers a connect. */
static void remove_stale(const union address *address)
{
    struct stat about;
    if (lstat(address->path.sun_path, &about) < 0 || !S_ISSOCK(about.st_mode))
        return;
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, &address->any, sizeof address->path) < 0 && errno == ECONNREFUSED)
        (void)unlink(address->path.sun_path); /* bind says what is wrong then */
}

static int open_socket(const union address *address, shoal_error_t *err)
{
    AUTO_FD fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return shoal_fail(err, -errno, "socket");
    const int one = 1, zero = 0;
    if (address->any.sa_family == AF_UNIX) {
        remove_stale(address);
        if (fchmod(fd, 0660) < 0) /* the mode that bind gives to the file, unix(7) */
            return shoal_fail(err, -errno, "mode");
    } else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0) {
        return shoal_fail(err, -errno, "SO_REUSEADDR");
    }
    if (address->any.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero) < 0)
        return shoal_fail(err, -errno, "IPV6_V6ONLY");
    if (bind(fd, &address->any, size_of(address)) < 0)
        return shoal_fail(err, -errno, "bind");
    if (listen(fd, BACKLOG) < 0)
        return shoal_fail(err, -errno, "listen");
    return take_fd(&fd);
}

static char *make_url(int fd, const union address *wanted)
{
    union address address;
    socklen_t size = sizeof address;
    char host[64], port[8];
    if (wanted->any.sa_family == AF_UNIX)
        return base_format("unix:%s", wanted->path.sun_path);
    if (getsockname(fd, &address.any, &size) < 0 ||
        getnameinfo(&address.any, size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return NULL;
    bool ip6 = strchr(host, ':') != NULL;
    return base_format("http://%s%s%s:%s", ip6 ? "[" : "", host, ip6 ? "]" : "", port);
}

int listener_open(struct listener *listener, const char *text, shoal_error_t *err)
{
    union address address = {0};
    int code = parse(text, &address, err);
    if (code < 0)
        return code;
    AUTO_FD fd = open_socket(&address, err);
    if (fd == -EAFNOSUPPORT && text[0] == ':') { /* every address of a kernel without IPv6 */
        in_port_t port = address.ip6.sin6_port;
        address = (union address){.ip4 = {.sin_family = AF_INET, .sin_port = port}};
        fd = open_socket(&address, err);
    }
    if (fd < 0) {
        code = fd;
        fd = -1;
        (void)shoal_within(err, "listen on %s", text);
        return code;
    }
    *listener = (struct listener){.fd = -1, .url = make_url(fd, &address)};
    if (address.any.sa_family == AF_UNIX)
        listener->path = base_format("%s", address.path.sun_path);
    listener->fd = take_fd(&fd);
    if (listener->url != NULL && (address.any.sa_family != AF_UNIX || listener->path != NULL))
        return 0;
    listener_close(listener);
    return shoal_fail(err, -ENOMEM, "listen on %s", text);
}

void listener_close(struct listener *listener)
{
    if (listener->path != NULL)
        (void)unlink(listener->path); /* gone already: all the better */
    base_close_fd(&listener->fd);
    free(listener->path);
    free(listener->url);
    listener->path = listener->url = NULL;
}
