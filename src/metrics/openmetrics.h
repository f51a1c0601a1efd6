/* A snapshot as text that Prometheus and its like read. One table of families, in pieces as small as the caller likes.
 * Source: OpenMetrics 1.0 (github.com/OpenObservability/OpenMetrics); names are cAdvisor's where it has one. */
#ifndef METRICS_OPENMETRICS_H
#define METRICS_OPENMETRICS_H

#include "metrics/snapshot.h"

enum openmetrics_dialect {
    OPENMETRICS_1_0,   /* counters' families without _total, units, "# EOF" */
    OPENMETRICS_TEXT_0 /* the older Prometheus text format 0.0.4 */
};
const char *openmetrics_content_type(enum openmetrics_dialect dialect);

/* Where to go on; begins as zeros. */
struct openmetrics_cursor {
    size_t family, row;
    bool headed; /* the family's head is written */
    bool ended;
};

/* Add whole lines until about most bytes are reached: at least one row, and never more than a row beyond them. Returns whether there is
 * more to come. out->failed says that memory ran out. */
bool openmetrics_render(const struct snapshot *snapshot, enum openmetrics_dialect dialect,
                        struct openmetrics_cursor *cursor, size_t most, struct text *out);

#endif
