/* api: HTTP on a socket of the loop. It knows addresses, requests, answers and one table of routes; it does not know how
 * numbers are made or what a container is. A client costs a bounded amount of memory, time and connections, however slow or
 * hostile it is, and never makes the loop wait. It owns its listening socket and its clients' connections. */
#ifndef API_API_H
#define API_API_H

#include <uv.h>

#include "metrics/metrics.h"

struct api;

struct api_options {
    const char *address;         /* HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH; a host is a number or "localhost" */
    struct collector *collector; /* answers GET /metrics; outlives the api */
};

/* Whether text is an address at all. Returns 0, -EINVAL. Touches nothing. */
int api_parse_address(const char *text, shoal_error_t *err);
/* Listen and answer. A socket file that nobody listens on is replaced.
 * Returns 0, -EINVAL, -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -ENOMEM, ... */
int api_open(struct api **out, uv_loop_t *loop, const struct api_options *options, shoal_error_t *err);
/* "http://127.0.0.1:9323", with the port that the kernel chose for 0; "unix:/run/x.sock". Borrowed. */
const char *api_url(const struct api *api);
/* Answer who waits with 503, cut the others off. cb: once, from the loop. */
void api_close(struct api *api, void (*cb)(void *data), void *data);

#endif
