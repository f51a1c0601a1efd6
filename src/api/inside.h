/* What the files of this room share. */
#ifndef API_INSIDE_H
#define API_INSIDE_H

#include "api/api.h"
#include "api/mhd.h"
#include "base/base.h"
#include "metrics/openmetrics.h"

/* listen.c */
struct listener {
    int fd;     /* owned; -1 none */
    char *path; /* owned: of a socket file; NULL: it is none of the file system's */
    char *url;  /* owned */
};
int listener_open(struct listener *listener, const char *address, shoal_error_t *err);
void listener_close(struct listener *listener); /* the file goes; the descriptor is closed unless it was taken */

/* One request, from its head to its answer. */
struct request {
    struct api *api;
    struct MHD_Connection *connection;
    const struct route *route; /* NULL: refused with status and text */
    unsigned status;
    const char *text;
    size_t body_bytes;                                                /* read and thrown away */
    enum { REQUEST_GOES_ON, REQUEST_SUSPENDED, REQUEST_PAUSED } pace; /* request_resume or the next turn ends it */
    struct request *next, **link;                                     /* all of api's */
    void *state;                                                      /* the route's own */
};

/* route.c: what can be asked. */
struct route {
    const char *method, *path;
    const char *doc;
    /* Called with the whole request, and again each time it is resumed: either answers or suspends.
     * Returns MHD_NO when the connection cannot be served. */
    enum MHD_Result (*handle)(struct request *request);
    void (*fini)(struct request *request); /* frees state, also in the middle; NULL: nothing to free */
};
extern const struct route routes[];
extern const size_t route_count;
/* The route; NULL with what to answer. HEAD is asked like GET. */
const struct route *route_find(const char *method, const char *path, unsigned *out_status, const char **out_text);

/* server.c */
enum MHD_Result request_answer(struct request *request, unsigned status, const char *text);
void request_suspend(struct request *request);
void request_resume(struct request *request); /* from the loop, outside of handle */
/* For a reader of content: this turn's time is used up; the connection was suspended for a moment and 0 is to be returned. */
bool request_pause(struct request *request);
struct collector *request_collector(const struct request *request);
bool request_is_cancelled(const struct request *request); /* the server ends */

/* scrape.c: GET /metrics */
enum MHD_Result scrape_handle(struct request *request);
void scrape_fini(struct request *request);
enum openmetrics_dialect scrape_dialect(const char *accept); /* of an Accept header; NULL: none was sent */

#endif
