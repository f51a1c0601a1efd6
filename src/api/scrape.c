/* GET /metrics: a snapshot that is not older than a second, rendered as the client takes it. */
#include <string.h>

#include "api/inside.h"

enum {
    FRESH_MS = 1000,        /* however often they ask: one round of samples a second at most */
    BLOCK_BYTES = 16 << 10, /* what MHD asks for in one go at most */
    CHUNK_BYTES = 8 << 10
};

struct scrape {
    struct collector_request waiting;
    struct request *request;
    bool asked, answered;
    struct snapshot *snapshot; /* owned; NULL: none could be made */
};

/* What is rendered for one answer. MHD frees it with the response, which may outlive the request. */
struct stream {
    struct request *request;   /* for as long as the connection reads */
    struct snapshot *snapshot; /* owned */
    enum openmetrics_dialect dialect;
    struct openmetrics_cursor cursor;
    struct text chunk;
    size_t taken; /* bytes of the chunk that are gone already */
};

/* "q=0.75" among an entry's parameters; 1 without. */
static double read_quality(const char *entry, size_t count)
{
    for (size_t i = 0; i + 2 < count; i++)
        if ((entry[i] == ';' || entry[i] == ' ') && entry[i + 1] == 'q' && entry[i + 2] == '=') {
            double value = 0, scale = 1;
            bool point = false;
            for (i += 3; i < count && (entry[i] == '.' || (entry[i] >= '0' && entry[i] <= '9')); i++) {
                if (entry[i] == '.')
                    point = true;
                else
                    value = point ? value + (entry[i] - '0') * (scale /= 10) : value * 10 + (entry[i] - '0');
            }
            return value;
        }
    return 1;
}

enum openmetrics_dialect scrape_dialect(const char *accept)
{
    static const char openmetrics[] = "application/openmetrics-text", text[] = "text/plain";
    double newer = 0, older = 0;
    for (const char *at = accept; at != NULL && *at != '\0';) {
        at += strspn(at, " \t,");
        size_t count = strcspn(at, ",");
        double quality = read_quality(at, count);
        if (strncasecmp(at, openmetrics, sizeof openmetrics - 1) == 0)
            newer = quality > newer ? quality : newer;
        else if (strncasecmp(at, text, sizeof text - 1) == 0)
            older = quality > older ? quality : older;
        at += count;
    }
    return newer > 0 && newer >= older ? OPENMETRICS_1_0 : OPENMETRICS_TEXT_0;
}

static ssize_t read_stream(void *data, uint64_t position, char *out, size_t room)
{
    (void)position;
    struct stream *stream = data;
    if (stream->taken == stream->chunk.count) {
        if (stream->cursor.ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (request_pause(stream->request))
            return 0;
        stream->chunk.count = stream->taken = 0;
        (void)openmetrics_render(stream->snapshot, stream->dialect, &stream->cursor, CHUNK_BYTES, &stream->chunk);
        if (stream->chunk.failed)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t left = stream->chunk.count - stream->taken, count = left < room ? left : room;
    memcpy(out, stream->chunk.bytes + stream->taken, count);
    stream->taken += count;
    return (ssize_t)count;
}

static void free_stream(void *data)
{
    struct stream *stream = data;
    snapshot_drop(stream->snapshot);
    text_free(&stream->chunk);
    free(stream);
}

static enum MHD_Result answer(struct request *request, struct snapshot *snapshot)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return MHD_NO;
    const char *accept = mhd.lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
    *stream = (struct stream){
        .request = request, .snapshot = snapshot_share(snapshot), .dialect = scrape_dialect(accept)};
    struct MHD_Response *response = mhd.create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream,
                                                                      stream, free_stream);
    if (response == NULL) {
        free_stream(stream);
        return MHD_NO;
    }
    enum MHD_Result result = mhd.add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                                     openmetrics_content_type(stream->dialect));
    if (result == MHD_YES)
        result = mhd.queue_response(request->connection, MHD_HTTP_OK, response);
    mhd.destroy_response(response); /* the connection has its own hold of it */
    return result;
}

static void on_snapshot(struct collector_request *waiting, struct snapshot *snapshot)
{
    struct scrape *scrape = CONTAINER_OF(waiting, struct scrape, waiting);
    scrape->answered = true;
    scrape->snapshot = snapshot != NULL ? snapshot_share(snapshot) : NULL;
    request_resume(scrape->request);
}

enum MHD_Result scrape_handle(struct request *request)
{
    struct scrape *scrape = request->state;
    if (scrape == NULL) {
        scrape = request->state = calloc(1, sizeof *scrape);
        if (scrape == NULL)
            return MHD_NO;
        scrape->request = request;
        scrape->waiting.cb = on_snapshot;
        collector_ask(request_collector(request), &scrape->waiting, FRESH_MS);
        request_suspend(request);
        return MHD_YES;
    }
    if (scrape->snapshot == NULL || request_is_cancelled(request))
        return request_answer(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the counters cannot be read just now\n");
    return answer(request, scrape->snapshot);
}

void scrape_fini(struct request *request)
{
    struct scrape *scrape = request->state;
    if (scrape == NULL)
        return;
    if (!scrape->answered)
        collector_cancel(request_collector(request), &scrape->waiting);
    snapshot_drop(scrape->snapshot);
    free(scrape);
}
