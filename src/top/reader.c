#include "top/reader.h"

#include <string.h>

static void end_line(struct reader *reader, struct model *model)
{
    if (reader->skipping || reader->line.failed) {
        model->lines++;
        model->garbage++;
    } else if (reader->line.count > 0) {
        (void)model_take(model, reader->line.bytes, reader->line.count);
    }
    if (reader->line.failed)
        text_free(&reader->line);
    reader->line.count = 0;
    reader->skipping = false;
}

void reader_feed(struct reader *reader, struct model *model, const char *bytes, size_t count)
{
    while (count > 0) {
        const char *end = memchr(bytes, '\n', count);
        size_t part = end != NULL ? (size_t)(end - bytes) : count;
        if (end != NULL && reader->line.count == 0 && !reader->skipping && part > 0 && part <= READER_LINE_MAX) {
            (void)model_take(model, bytes, part); /* a whole line: most are */
        } else {
            if (part > READER_LINE_MAX - reader->line.count) {
                reader->skipping = true;
                reader->line.count = 0;
            }
            if (!reader->skipping)
                text_add(&reader->line, bytes, part);
            if (end != NULL)
                end_line(reader, model);
        }
        bytes += part + (end != NULL);
        count -= part + (end != NULL);
    }
}

void reader_end(struct reader *reader, struct model *model)
{
    if (reader->line.count > 0 || reader->skipping)
        end_line(reader, model);
}

void reader_fini(struct reader *reader)
{
    text_free(&reader->line);
}
