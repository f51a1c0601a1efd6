#include "cmd/outputs.h"

#include "base/base.h"

static void on_warning(void *data, const char *text)
{
    const struct outputs *outputs = data;
    AUTO_FREE char *line = base_format("warning: %s", text);
    if (line != NULL)
        logs_message(outputs->logs, line);
}

int outputs_open(struct outputs *outputs, uv_loop_t *loop, shoal_supervisor_t *supervisor,
                 const struct cmd_options *options, struct logs *logs, shoal_error_t *err)
{
    outputs->source = metrics_source();
    outputs->logs = logs;
    struct metrics_options wanted = {
        .fd = STDOUT_FILENO, .interval_ms = options->interval_ms, .losses = &outputs->losses};
    struct deaths_options deaths = {
        .loop = loop,
        .source = &outputs->source,
        .supervisor = supervisor,
        .root_dir = options->root_dir != NULL ? options->root_dir : CMD_ROOT_DIR,
        .on_warning = on_warning,
        .data = outputs,
    };
    int code = deaths_open(&outputs->deaths, &deaths, err);
    if (code == 0 && options->metrics == METRICS_NDJSON)
        code = metrics_open(&outputs->metrics, loop, &outputs->source, supervisor, &wanted, err);
    if (code == 0 && (options->metrics == METRICS_OPENMETRICS || options->metrics_listen != NULL))
        code = collector_open(&outputs->collector, loop, &outputs->source, supervisor, &outputs->losses, err);
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
    } else if (outputs->deaths != NULL) {
        struct deaths *deaths = outputs->deaths;
        outputs->deaths = NULL;
        deaths_close(deaths, close_next, outputs);
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
