/* Bytes to lines to the model. A line that is too long or no record is counted and costs nothing but itself. */
#ifndef TOP_READER_H
#define TOP_READER_H

#include "top/model.h"

enum { READER_LINE_MAX = 256 << 10 };

struct reader {
    struct text line; /* what has no end yet */
    bool skipping;    /* ... and was too long */
};

void reader_feed(struct reader *reader, struct model *model, const char *bytes, size_t count);
void reader_end(struct reader *reader, struct model *model); /* the stream is over: what has no newline is a line too */
void reader_fini(struct reader *reader);

#endif
