/* One record as one line of JSON, as the "stdout" section of the interface has it. Values in, text out: no loop, no descriptor. */
#ifndef METRICS_NDJSON_H
#define METRICS_NDJSON_H

#include "base/base.h"
#include "metrics/lag.h"
#include "shoal/event.h"
#include "shoal/sample.h"

/* What the supervisor's process says of itself. SHOAL_ABSENT as everywhere. */
struct ndjson_supervisor {
    uint64_t time_usec;
    uint64_t rss_bytes, fds;
    struct lag_summary lag;
    uint64_t stdout_dropped; /* records that did not reach the reader */
    uint64_t log_dropped;    /* bytes of container output that could not be shown */
};

/* Each adds one line with its newline; out->failed says that memory ran out. */
void ndjson_host(struct text *out, const shoal_host_sample_t *host);
void ndjson_event(struct text *out, const shoal_event_t *event);
void ndjson_sample(struct text *out, const shoal_sample_t *sample);
void ndjson_fleet(struct text *out, const shoal_fleet_sample_t *fleet);
void ndjson_supervisor(struct text *out, const struct ndjson_supervisor *self);
/* Events from_seq to to_seq, both included, did not reach the reader. */
void ndjson_gap(struct text *out, uint64_t time_usec, uint64_t from_seq, uint64_t to_seq);

#endif
