/* libmicrohttpd, loaded when somebody is to be served. Its TLS libraries take more time to load than all else of the program,
 * and a fleet that nobody scrapes has no use for them. */
#ifndef API_MHD_H
#define API_MHD_H

#include <microhttpd.h>

#include "base/base.h"

#define MHD_FUNCTIONS(X)                                                                                               \
    X(add_response_header)                                                                                             \
    X(create_response_from_buffer)                                                                                     \
    X(create_response_from_callback)                                                                                   \
    X(destroy_response)                                                                                                \
    X(get_connection_info)                                                                                             \
    X(get_connection_values)                                                                                           \
    X(get_daemon_info)                                                                                                 \
    X(get_timeout)                                                                                                     \
    X(lookup_connection_value)                                                                                         \
    X(queue_response)                                                                                                  \
    X(resume_connection)                                                                                               \
    X(run)                                                                                                             \
    X(start_daemon)                                                                                                    \
    X(stop_daemon)                                                                                                     \
    X(suspend_connection)

/* MHD_run() is mhd.run(). */
#define MHD_MEMBER(name) __typeof__(MHD_##name) *name;
struct mhd {
    MHD_FUNCTIONS(MHD_MEMBER)
};
#undef MHD_MEMBER

extern struct mhd mhd; /* nothing of it before mhd_load() */
/* Before the loop has something to do: it reads files. Again: nothing. Returns 0, -ELIBACC. */
int mhd_load(shoal_error_t *err);

#endif
