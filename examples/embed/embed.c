/* Supervise three sandboxes on a loop of your own and print what happens to them.
 *   cc embed.c $(pkg-config --cflags --libs --static shoal) -o embed && sudo ./embed
 * One of the three ends by itself, one is restarted once, one is stopped when the others are done. */
#include <shoal.h>
#include <stdio.h>
#include <string.h>

static const char fleet[] =
    "name: embed\n"
    "x-shoal: {degrade: true}\n"
    "services:\n"
    "  once:    {image: 'builtin:busybox', network_mode: none, command: [sh, -c, 'exit 3']}\n"
    "  flaky:   {image: 'builtin:busybox', network_mode: none, command: [sh, -c, 'sleep 1; exit 1'],\n"
    "            restart: 'on-failure:1'}\n"
    "  steady:  {image: 'builtin:busybox', network_mode: none, command: [sleep, '1000']}\n";

struct app {
    shoal_supervisor_t *supervisor;
    int ended; /* containers that ended for good */
};

static void on_diagnostic(void *data, shoal_severity_t severity, const shoal_position_t *at, const char *text)
{
    (void)data;
    fprintf(stderr, "%s:%d:%d: %s%s\n", at->file, at->line, at->column, severity == SHOAL_WARNING ? "warning: " : "",
            text);
}

static void on_message(void *data, shoal_severity_t severity, const char *text)
{
    (void)data;
    fprintf(stderr, "embed: %s%s\n", severity == SHOAL_WARNING ? "warning: " : "", text);
}

static void on_event(void *data, const shoal_event_t *event)
{
    struct app *app = data;
    printf("%-8s %s", shoal_event_name(event->kind), event->container);
    if (event->kind == SHOAL_EVENT_START)
        printf(" pid %d, took %llu us", (int)event->pid, (unsigned long long)event->took_usec);
    if (event->kind == SHOAL_EVENT_DIE)
        printf(" exit code %d, cause %s", event->exit_code, shoal_cause_name(event->cause));
    printf("\n");
    if (event->kind == SHOAL_EVENT_DIE && strcmp(event->restart, "no") == 0 && ++app->ended == 2)
        shoal_supervisor_stop(app->supervisor, 0);
}

static void on_closed(void *data)
{
    (void)data;
    printf("closed\n");
}

static void on_done(shoal_supervisor_t *supervisor, void *data, int status)
{
    printf("done: %d\n", status);
    shoal_supervisor_close(supervisor, on_closed, data);
}

int main(void)
{
    struct app app = {0};
    shoal_subscriber_t subscriber = {.data = &app, .on_event = on_event};
    shoal_supervisor_options_t options = {.on_message = on_message};
    shoal_compose_options_t file = {.file = "embed.yaml", .text = fleet};
    shoal_error_t error = {0};
    uv_loop_t loop;

    shoal_spec_t *spec = shoal_compose_load(&file, on_diagnostic, NULL);
    if (spec == NULL || uv_loop_init(&loop) < 0)
        return 2;
    if (shoal_process_isolate(&error) < 0 ||
        shoal_supervisor_open(&app.supervisor, &loop, spec, &options, &error) < 0) {
        fprintf(stderr, "embed: %s\n", error.text);
        return 1;
    }
    shoal_supervisor_subscribe(app.supervisor, &subscriber);
    if (shoal_supervisor_start(app.supervisor, NULL, on_done, &app, &error) < 0) {
        fprintf(stderr, "embed: %s\n", error.text);
        shoal_supervisor_close(app.supervisor, on_closed, &app);
    }
    uv_run(&loop, UV_RUN_DEFAULT); /* anything else of yours runs here as well */
    shoal_spec_free(spec);
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}
