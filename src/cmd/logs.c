#include "cmd/logs.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "metrics/metrics.h"

enum { ROOM_BYTES = 1 << 20, FLUSH_MS = 1000, LINE_BYTES = 16 << 10 };

/* A stream whose last line has no end yet. */
struct partial {
    struct partial *next;
    char *container; /* owned */
    int stream;
    struct text line;
};

struct logs {
    struct writer *writer;
    struct partial *partials;
};

int logs_open(struct logs **out, uv_loop_t *loop, shoal_error_t *err)
{
    struct logs *logs = calloc(1, sizeof *logs);
    if (logs == NULL)
        return shoal_fail(err, -ENOMEM, "stderr");
    int code = writer_open(&logs->writer, loop, STDERR_FILENO, ROOM_BYTES, err);
    if (code < 0) {
        free(logs);
        return code;
    }
    *out = logs;
    return 0;
}

void logs_text(struct logs *logs, const char *text, size_t count)
{
    (void)writer_put(logs->writer, text, count); /* stderr is full or gone: nobody is left to tell */
}

void logs_message(struct logs *logs, const char *text)
{
    AUTO_FREE char *line = base_format("shoal: %s\n", text);
    if (line != NULL)
        (void)writer_put(logs->writer, line, strlen(line)); /* stderr is full or gone: nobody is left to tell */
}

static struct partial *find_partial(struct logs *logs, const char *container, int stream)
{
    for (struct partial *at = logs->partials; at != NULL; at = at->next)
        if (at->stream == stream && strcmp(at->container, container) == 0)
            return at;
    struct partial *partial = calloc(1, sizeof *partial);
    char *name = base_format("%s", container);
    if (partial == NULL || name == NULL) {
        free(partial);
        free(name);
        return NULL;
    }
    *partial = (struct partial){.next = logs->partials, .container = name, .stream = stream};
    logs->partials = partial;
    return partial;
}

static void free_partial(struct logs *logs, struct partial *partial)
{
    struct partial **at = &logs->partials;
    while (*at != partial)
        at = &(*at)->next;
    *at = partial->next;
    text_free(&partial->line);
    free(partial->container);
    free(partial);
}

static size_t put_line(struct logs *logs, const char *container, const struct text *line)
{
    AUTO_FREE char *whole = base_format("%s  | %s\n", container, line->bytes != NULL ? line->bytes : "");
    return whole != NULL && writer_put(logs->writer, whole, strlen(whole)) == 0 ? 0 : line->count;
}

size_t logs_output(struct logs *logs, const char *container, int stream, const char *bytes, size_t count)
{
    struct partial *partial = find_partial(logs, container, stream);
    if (partial == NULL)
        return count;
    size_t lost = 0;
    while (count > 0) {
        const char *end = memchr(bytes, '\n', count);
        size_t part = end != NULL ? (size_t)(end - bytes) : count;
        text_add(&partial->line, bytes, part);
        if (end != NULL || partial->line.count >= LINE_BYTES) {
            lost += partial->line.failed ? part : put_line(logs, container, &partial->line);
            partial->line.count = 0;
            if (partial->line.bytes != NULL)
                partial->line.bytes[0] = '\0';
        }
        bytes += part + (end != NULL);
        count -= part + (end != NULL);
    }
    if (partial->line.count == 0)
        free_partial(logs, partial);
    return lost;
}

void logs_close(struct logs *logs, void (*cb)(void *data), void *data)
{
    while (logs->partials != NULL) {
        (void)put_line(logs, logs->partials->container, &logs->partials->line);
        free_partial(logs, logs->partials);
    }
    writer_close(logs->writer, FLUSH_MS, cb, data);
    free(logs);
}
