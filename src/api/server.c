/* libmicrohttpd on the loop: its epoll descriptor is polled, its time-outs are a timer, and it never has a thread. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "api/inside.h"

enum {
    CLIENTS_MAX = 16,
    CLIENT_BYTES = 32 << 10, /* MHD's memory for one connection */
    BODY_BYTES = 64 << 10,   /* of a request for a route that wants none: read and thrown away */
    SLICE_USEC = 500,        /* making answers, in one turn of the loop */
    PATIENCE_MS = 60000,     /* a connection that brings no request to its end for so long is cut off */
    LOOK_MS = 5000           /* ... and this often that is looked for */
};

/* One connection. */
struct client {
    struct client *next, **link;
    int fd; /* MHD's */
    uint64_t since_usec;
};

struct api {
    struct collector *collector; /* outlives us */
    struct listener listener;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t turn, look;
    struct client *clients;
    struct request *requests;
    uint64_t slice_until_usec;
    bool run_again; /* a client has gone in the run that is under way */
    bool closing;
    unsigned parts_open;
    void (*close_cb)(void *data);
    void *close_data;
};

/* The daemon's turns */

static void on_turn(uv_timer_t *turn);

static bool is_any(const struct api *api, int pace)
{
    for (const struct request *request = api->requests; request != NULL; request = request->next)
        if ((int)request->pace == pace)
            return true;
    return false;
}

static void resume_all(struct api *api, int pace)
{
    for (struct request *request = api->requests; request != NULL; request = request->next)
        if ((int)request->pace == pace) {
            request->pace = REQUEST_GOES_ON;
            mhd.resume_connection(request->connection);
        }
}

static void run(struct api *api)
{
    resume_all(api, REQUEST_PAUSED);
    api->slice_until_usec = base_monotonic_usec() + SLICE_USEC;
    api->run_again = false;
    (void)mhd.run(api->daemon);
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    if (!api->run_again && !is_any(api, REQUEST_PAUSED) && mhd.get_timeout(api->daemon, &wait_ms) != MHD_YES)
        (void)uv_timer_stop(&api->turn);
    else /* never 0: libuv would run the timer again before it looks at anything else */
        (void)uv_timer_start(&api->turn, on_turn, wait_ms > 0 ? wait_ms : 1, 0);
}

static void on_turn(uv_timer_t *turn)
{
    run(turn->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

/* Connections */

static void on_look(uv_timer_t *look)
{
    struct api *api = look->data;
    uint64_t now = base_monotonic_usec();
    for (const struct client *client = api->clients; client != NULL; client = client->next)
        if (now - client->since_usec > PATIENCE_MS * UINT64_C(1000))
            (void)shutdown(client->fd,
                           SHUT_RDWR); /* MHD reads the end of it and closes: its own time-out hears any byte */
}

static void on_connection(void *data, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode code)
{
    struct api *api = data;
    struct client *client = *state;
    /* With as many clients as are let in the daemon does not listen; it does again at the beginning of a run, and clients go at
     * the end of one. */
    api->run_again |= code == MHD_CONNECTION_NOTIFY_CLOSED;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = mhd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        client = info != NULL ? calloc(1, sizeof *client) : NULL;
        if (client == NULL)
            return; /* no memory to watch it: MHD's own time-out remains */
        *client = (struct client){
            .next = api->clients, .link = &api->clients, .fd = info->connect_fd, .since_usec = base_monotonic_usec()};
        if (api->clients != NULL)
            api->clients->link = &client->next;
        api->clients = client;
        *state = client;
        if (client->next == NULL)
            (void)uv_timer_start(&api->look, on_look, LOOK_MS, LOOK_MS);
    } else if (client != NULL) {
        *client->link = client->next;
        if (client->next != NULL)
            client->next->link = client->link;
        free(client);
        if (api->clients == NULL)
            (void)uv_timer_stop(&api->look);
    }
}

/* Requests */

struct head {
    unsigned lengths, encodings;
    bool doubtful;
};

static enum MHD_Result on_header(void *data, enum MHD_ValueKind kind, const char *key, const char *value)
{
    (void)kind;
    struct head *head = data;
    if (strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        head->lengths++;
        head->doubtful |= value == NULL || value[0] == '\0' || value[strspn(value, "0123456789")] != '\0';
    } else if (strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        head->encodings++;
        head->doubtful |= value == NULL || strcasecmp(value, "chunked") != 0;
    }
    return MHD_YES;
}

/* Where a request ends has to be beyond doubt: MHD takes one of several lengths, another reader may take another one.
 * Source: RFC 9112, 6.3 and 11.2 */
static bool is_doubtful(struct MHD_Connection *connection)
{
    struct head head = {0};
    (void)mhd.get_connection_values(connection, MHD_HEADER_KIND, on_header, &head);
    return head.doubtful || head.lengths + head.encodings > 1;
}

static struct request *begin_request(struct api *api, struct MHD_Connection *connection, const char *method,
                                     const char *path)
{
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    *request = (struct request){.api = api, .connection = connection, .next = api->requests, .link = &api->requests};
    if (api->requests != NULL)
        api->requests->link = &request->next;
    api->requests = request;
    if (is_doubtful(connection)) {
        request->status = MHD_HTTP_BAD_REQUEST;
        request->text = "the length of this request is in doubt\n";
    } else {
        request->route = route_find(method, path, &request->status, &request->text);
    }
    return request;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *body, size_t *body_count, void **state)
{
    (void)version;
    (void)body;
    struct request *request = *state;
    if (request == NULL) {
        request = *state = begin_request(data, connection, method, path);
        if (request == NULL)
            return MHD_NO;
        return request->status == MHD_HTTP_BAD_REQUEST ? request_answer(request, request->status, request->text)
                                                       : MHD_YES;
    }
    if (*body_count > 0) {
        request->body_bytes += *body_count;
        *body_count = 0;
        return request->body_bytes <= BODY_BYTES ? MHD_YES : MHD_NO;
    }
    if (request->route == NULL)
        return request_answer(request, request->status, request->text);
    return request->route->handle(request);
}

static void on_request_over(void *data, struct MHD_Connection *connection, void **state,
                            enum MHD_RequestTerminationCode code)
{
    (void)data;
    (void)code;
    struct request *request = *state;
    if (request == NULL)
        return;
    *state = NULL;
    const union MHD_ConnectionInfo *info = mhd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct client *client = info != NULL ? info->socket_context : NULL;
    if (client != NULL)
        client->since_usec = base_monotonic_usec();
    if (request->route != NULL && request->route->fini != NULL)
        request->route->fini(request);
    *request->link = request->next;
    if (request->next != NULL)
        request->next->link = request->link;
    free(request);
}

enum MHD_Result request_answer(struct request *request, unsigned status, const char *text)
{
    struct MHD_Response *response = mhd.create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                                    MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result = mhd.add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                                     "text/plain; charset=utf-8");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED && result == MHD_YES)
        result = mhd.add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (status == MHD_HTTP_BAD_REQUEST && result == MHD_YES) /* nobody knows where the next request begins */
        result = mhd.add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (result == MHD_YES)
        result = mhd.queue_response(request->connection, status, response);
    mhd.destroy_response(response);
    return result;
}

void request_suspend(struct request *request)
{
    request->pace = REQUEST_SUSPENDED;
    mhd.suspend_connection(request->connection);
}

void request_resume(struct request *request)
{
    if (request->pace != REQUEST_SUSPENDED)
        return;
    request->pace = REQUEST_GOES_ON;
    mhd.resume_connection(request->connection);
    (void)uv_timer_start(&request->api->turn, on_turn, 0, 0);
}

bool request_pause(struct request *request)
{
    if (base_monotonic_usec() < request->api->slice_until_usec)
        return false;
    request->pace = REQUEST_PAUSED;
    mhd.suspend_connection(request->connection);
    return true;
}

struct collector *request_collector(const struct request *request)
{
    return request->api->collector;
}

bool request_is_cancelled(const struct request *request)
{
    return request->api->closing;
}

/* The server */

static void release(struct api *api)
{
    listener_close(&api->listener);
    void (*cb)(void *) = api->close_cb;
    void *data = api->close_data;
    free(api);
    if (cb != NULL)
        cb(data);
}

static void on_part_closed(uv_handle_t *part)
{
    struct api *api = part->data;
    if (--api->parts_open > 0)
        return;
    mhd.stop_daemon(api->daemon); /* behind the poll handle that watched its epoll; closes what clients are left */
    release(api);
}

static int start_daemon(struct api *api, shoal_error_t *err)
{
    /* No logger: a message of MHD's would be written to stderr, which may wait. */
    api->daemon = mhd.start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, api,
                                   MHD_OPTION_LISTEN_SOCKET, api->listener.fd, MHD_OPTION_CONNECTION_LIMIT,
                                   (unsigned)CLIENTS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CLIENT_BYTES,
                                   MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(PATIENCE_MS / 1000),
                                   MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, on_request_over, api,
                                   MHD_OPTION_NOTIFY_CONNECTION, on_connection, api, MHD_OPTION_END);
    if (api->daemon == NULL)
        return shoal_fail(err, errno != 0 ? -errno : -ENOMEM, "listen on %s: libmicrohttpd", api->listener.url);
    (void)take_fd(&api->listener.fd); /* the daemon's now */
    return 0;
}

int api_open(struct api **out, uv_loop_t *loop, const struct api_options *options, shoal_error_t *err)
{
    struct api *api = calloc(1, sizeof *api);
    if (api == NULL)
        return shoal_fail(err, -ENOMEM, "listen on %s", options->address);
    api->collector = options->collector;
    int code = mhd_load(err);
    if (code < 0)
        (void)shoal_within(err, "listen on %s", options->address);
    else
        code = listener_open(&api->listener, options->address, err);
    if (code < 0) {
        free(api);
        return code;
    }
    code = start_daemon(api, err);
    const union MHD_DaemonInfo *info = code == 0 ? mhd.get_daemon_info(api->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (code == 0)
        code = info == NULL ? -ENOTSUP : uv_poll_init(loop, &api->poll, info->epoll_fd);
    if (code < 0) {
        if (api->daemon != NULL) {
            mhd.stop_daemon(api->daemon);
            (void)shoal_fail(err, code, "listen on %s: epoll", options->address);
        }
        release(api);
        return code;
    }
    (void)uv_timer_init(loop, &api->turn); /* neither can fail */
    (void)uv_timer_init(loop, &api->look);
    uv_handle_t *parts[] = {(uv_handle_t *)&api->poll, (uv_handle_t *)&api->turn, (uv_handle_t *)&api->look};
    for (size_t i = 0; i < COUNT(parts); i++) {
        parts[i]->data = api;
        uv_unref(parts[i]); /* a loop that has nothing else to do may end */
        api->parts_open++;
    }
    (void)uv_poll_start(&api->poll, UV_READABLE, on_ready);
    *out = api;
    return 0;
}

const char *api_url(const struct api *api)
{
    return api->listener.url;
}

void api_close(struct api *api, void (*cb)(void *data), void *data)
{
    api->close_cb = cb;
    api->close_data = data;
    api->closing = true;
    resume_all(api, REQUEST_SUSPENDED);
    resume_all(api, REQUEST_PAUSED);
    (void)mhd.run(api->daemon); /* they get their answer, as far as the socket takes it at once */
    resume_all(api, REQUEST_PAUSED);
    uv_close((uv_handle_t *)&api->poll, on_part_closed);
    uv_close((uv_handle_t *)&api->turn, on_part_closed);
    uv_close((uv_handle_t *)&api->look, on_part_closed);
}
