#include "cmd/outputs.h"

#include "base/base.h"

int outputs_open(struct outputs *outputs, uv_loop_t *loop, shoal_supervisor_t *supervisor,
                 const struct cmd_options *options, struct logs *logs, shoal_error_t *err)
{
    struct metrics_source source = metrics_source();
    struct metrics_options wanted = {
        .fd = STDOUT_FILENO, .interval_ms = options->interval_ms, .losses = &outputs->losses};
    int code = 0;
    if (options->metrics == METRICS_NDJSON)
        code = metrics_open(&outputs->metrics, loop, &source, supervisor, &wanted, err);
    if (code == 0 && (options->metrics == METRICS_OPENMETRICS || options->metrics_listen != NULL))
        code = collector_open(&outputs->collector, loop, &source, supervisor, &outputs->losses, err);
    if (code == 0 && options->metrics == METRICS_OPENMETRICS)
        code = exposition_open(&outputs->exposition, loop, outputs->collector, &wanted, err);
    if (code < 0 || options->metrics_listen == NULL)
        return code;
    struct api_options served = {.address = options->metrics_listen, .collector = outputs->collector};
    code = api_open(&outputs->api, loop, &served, err);
    AUTO_FREE char *line = code == 0 ? base_format("metrics at %s/metrics", api_url(outputs->api)) : NULL;
    if (line != NULL)
        logs_message(logs, line);
    return code;
}

/* One after the other, who shows numbers before who gathers them. */
static void close_next(void *data)
{
    struct outputs *outputs = data;
    if (outputs->metrics != NULL) {
        struct metrics *metrics = outputs->metrics;
        outputs->metrics = NULL;
        metrics_close(metrics, close_next, outputs);
    } else if (outputs->exposition != NULL) {
        struct exposition *exposition = outputs->exposition;
        outputs->exposition = NULL;
        exposition_close(exposition, close_next, outputs);
    } else if (outputs->api != NULL) {
        struct api *api = outputs->api;
        outputs->api = NULL;
        api_close(api, close_next, outputs);
    } else if (outputs->collector != NULL) {
        struct collector *collector = outputs->collector;
        outputs->collector = NULL;
        collector_close(collector, close_next, outputs);
    } else {
        outputs->close_cb(outputs->close_data);
    }
}

void outputs_close(struct outputs *outputs, void (*cb)(void *data), void *data)
{
    outputs->close_cb = cb;
    outputs->close_data = data;
    close_next(outputs);
}
