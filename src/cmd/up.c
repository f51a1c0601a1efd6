/* shoal up: load the file, run a supervisor on a loop until it is done, say how it went. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "cmd/cmd.h"
#include "cmd/logs.h"
#include "cmd/outputs.h"
#include "cmd/reload.h"

struct up {
    const struct cmd_options *options;
    uv_loop_t loop;
    uv_signal_t signals[3];
    shoal_supervisor_t *supervisor;
    shoal_subscriber_t subscriber;
    struct outputs outputs;
    struct logs *logs;
    struct reloading *reloading;
    unsigned interrupts;
    int status; /* of the fleet: 0 or a negative errno */
};

static const int watched[] = {SIGINT, SIGTERM, SIGHUP};

static void on_message(void *data, shoal_severity_t severity, const char *text)
{
    struct up *up = data;
    AUTO_FREE char *line = base_format("%s%s", severity == SHOAL_WARNING ? "warning: " : "", text);
    if (line == NULL)
        return;
    if (up->logs != NULL)
        logs_message(up->logs, line);
    else
        fprintf(stderr, "shoal: %s\n", line);
}

static void on_output(void *data, const char *container, int stream, const char *bytes, size_t count)
{
    struct up *up = data;
    up->outputs.losses.log_dropped += up->logs != NULL ? logs_output(up->logs, container, stream, bytes, count) : count;
}

static void on_event(void *data, const shoal_event_t *event)
{
    struct up *up = data;
    if (up->options->abort_on_exit && event->kind == SHOAL_EVENT_DIE && strcmp(event->restart, "no") == 0)
        shoal_supervisor_stop(up->supervisor, 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct up *up = handle->data;
    if (number == SIGHUP) {
        reload_begin(up->reloading);
        return;
    }
    up->interrupts++;
    on_message(up, SHOAL_WARNING, up->interrupts == 1 ? "stopping; once more kills at once" : "killing at once");
    shoal_supervisor_stop(up->supervisor, up->interrupts > 1);
}

/* The way out, step by step: fleet done, supervisor closed, last lines written, loop empty. */

static void on_logs_closed(void *data)
{
    struct up *up = data;
    for (size_t i = 0; i < COUNT(watched); i++)
        uv_close((uv_handle_t *)&up->signals[i], NULL);
}

static void close_logs(struct up *up)
{
    struct logs *logs = up->logs;
    up->logs = NULL;
    if (logs != NULL)
        logs_close(logs, on_logs_closed, up);
    else
        on_logs_closed(up);
}

static void on_supervisor_closed(void *data)
{
    struct up *up = data;
    up->supervisor = NULL;
    close_logs(up);
}

static void close_supervisor(void *data)
{
    struct up *up = data;
    shoal_supervisor_unsubscribe(up->supervisor, &up->subscriber);
    shoal_supervisor_close(up->supervisor, on_supervisor_closed, up);
}

static int exit_code_of(const struct up *up)
{
    int code = EXIT_STATUS_FAILED;
    if (up->options->exit_code_from != NULL)
        return shoal_supervisor_exit_code(up->supervisor, up->options->exit_code_from, &code) == 0 ? code
                                                                                                   : EXIT_STATUS_FAILED;
    return up->status < 0 ? EXIT_STATUS_FAILED : 0;
}

static void on_done(shoal_supervisor_t *supervisor, void *data, int status)
{
    (void)supervisor;
    struct up *up = data;
    up->status = status;
    up->status = exit_code_of(up);
    reload_stop(up->reloading);
    outputs_close(&up->outputs, close_supervisor, up);
}

static int run(struct up *up, const shoal_spec_t *spec, shoal_error_t *err)
{
    const struct cmd_options *options = up->options;
    shoal_supervisor_options_t wanted = {
        .root_dir = options->root_dir,
        .run_dir = options->run_dir,
        .descriptors = options->descriptors,
        .data = up,
        .on_message = on_message,
        .on_output = options->logs ? on_output : NULL,
    };
    int code = shoal_supervisor_open(&up->supervisor, &up->loop, spec, &wanted, err);
    if (code < 0)
        return code;
    up->subscriber = (shoal_subscriber_t){.data = up, .on_event = on_event};
    shoal_supervisor_subscribe(up->supervisor, &up->subscriber);
    code = logs_open(&up->logs, &up->loop, err);
    if (code == 0)
        code = outputs_open(&up->outputs, &up->loop, up->supervisor, options, up->logs, err);
    up->reloading = code == 0 ? reload_new(&up->loop, options, up->supervisor, up->logs) : NULL;
    if (code == 0 && up->reloading == NULL)
        code = shoal_fail(err, -ENOMEM, "reload");
    for (size_t i = 0; i < COUNT(watched); i++) {
        (void)uv_signal_init(&up->loop, &up->signals[i]);
        up->signals[i].data = up;
        if (code == 0)
            code = uv_signal_start(&up->signals[i], on_signal, watched[i]);
    }
    const char *const *services = options->arguments[0] != NULL ? options->arguments : NULL;
    if (code == 0)
        code = shoal_supervisor_start(up->supervisor, services, on_done, up, err);
    if (code < 0)
        on_done(up->supervisor, up, code);
    (void)uv_run(&up->loop, UV_RUN_DEFAULT);
    return code;
}

static bool knows_service(const shoal_spec_t *spec, const char *name)
{
    for (size_t i = 0; i < spec->service_count; i++)
        if (strcmp(spec->services[i].name, name) == 0)
            return true;
    fprintf(stderr, "shoal: no such service: %s\n", name);
    return false;
}

shoal_spec_t *cmd_load(const struct cmd_options *options)
{
    const shoal_compose_options_t wanted = cmd_compose_options(options);
    struct text findings = {0};
    shoal_spec_t *spec = shoal_compose_load(&wanted, cmd_diagnose, &findings);
    cmd_print_findings(&findings);
    bool fits = spec != NULL;
    for (size_t i = 0; fits && options->arguments[i] != NULL; i++)
        fits = knows_service(spec, options->arguments[i]);
    if (fits && options->exit_code_from != NULL)
        fits = knows_service(spec, options->exit_code_from);
    if (fits)
        return spec;
    shoal_spec_free(spec);
    return NULL;
}

int cmd_up(const struct cmd_options *options)
{
    shoal_spec_t *spec = cmd_load(options);
    if (spec == NULL)
        return EXIT_STATUS_USAGE;
    struct up up = {.options = options};
    shoal_error_t error;
    int code = geteuid() == 0 ? shoal_process_isolate(&error) : shoal_refuse(&error, -EPERM, "needs root: try sudo");
    if (code == 0)
        code = uv_loop_init(&up.loop);
    if (code == 0) {
        code = run(&up, spec, &error);
        reload_free(up.reloading);
        (void)uv_loop_close(&up.loop);
    }
    shoal_spec_free(spec);
    if (code == 0)
        return up.status;
    fprintf(stderr, "shoal: %s\n", error.text);
    return code == -ENOTSUP || code == -EINVAL ? EXIT_STATUS_USAGE : EXIT_STATUS_FAILED;
}
