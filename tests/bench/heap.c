/* A host program with a large heap: takes that much memory, touches it, and runs a supervisor on a fleet file, so that it can
 * be seen whether a start costs more in a program that has grown. Nothing but the public library.
 *
 *   heap MIB FLEET_FILE ROOT_DIR RUN_DIR
 * Writes start and die events as `shoal up` does, with the members that the benchmark reads. */
#include <shoal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_diagnostic(void *data, shoal_severity_t severity, const shoal_position_t *at, const char *text)
{
    (void)data;
    fprintf(stderr, "%s:%d:%d: %s%s\n", at->file, at->line, at->column, severity == SHOAL_WARNING ? "warning: " : "",
            text);
}

static void on_message(void *data, shoal_severity_t severity, const char *text)
{
    (void)data;
    fprintf(stderr, "heap: %s%s\n", severity == SHOAL_WARNING ? "warning: " : "", text);
}

static void on_event(void *data, const shoal_event_t *event)
{
    (void)data;
    printf("{\"type\":\"event\",\"event\":\"%s\",\"time_usec\":%llu,\"service\":\"%s\",\"container\":\"%s\"",
           shoal_event_name(event->kind), (unsigned long long)event->time_usec, event->service, event->container);
    if (event->kind == SHOAL_EVENT_START)
        printf(",\"took_usec\":%llu", (unsigned long long)event->took_usec);
    if (event->kind == SHOAL_EVENT_DIE)
        printf(",\"exitCode\":%d,\"cause\":\"%s\"", event->exit_code, shoal_cause_name(event->cause));
    printf("}\n");
}

static void on_closed(void *data)
{
    (void)data;
}

static void on_done(shoal_supervisor_t *supervisor, void *data, int status)
{
    *(int *)data = status;
    shoal_supervisor_close(supervisor, on_closed, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: heap MIB FLEET_FILE ROOT_DIR RUN_DIR\n");
        return 2;
    }
    size_t bytes = strtoull(argv[1], NULL, 10) << 20;
    char *heap = malloc(bytes);
    if (heap == NULL) {
        fprintf(stderr, "heap: no %s MiB\n", argv[1]);
        return 1;
    }
    memset(heap, 1, bytes);

    int status = 0;
    shoal_subscriber_t subscriber = {.on_event = on_event};
    shoal_supervisor_options_t options = {.root_dir = argv[3], .run_dir = argv[4], .on_message = on_message};
    shoal_compose_options_t file = {.file = argv[2]};
    shoal_supervisor_t *supervisor;
    shoal_error_t error;
    uv_loop_t loop;
    shoal_spec_t *spec = shoal_compose_load(&file, on_diagnostic, NULL);
    if (spec == NULL || uv_loop_init(&loop) < 0)
        return 2;
    if (shoal_process_isolate(&error) < 0 || shoal_supervisor_open(&supervisor, &loop, spec, &options, &error) < 0) {
        fprintf(stderr, "heap: %s\n", error.text);
        return 1;
    }
    shoal_supervisor_subscribe(supervisor, &subscriber);
    if (shoal_supervisor_start(supervisor, NULL, on_done, &status, &error) < 0) {
        fprintf(stderr, "heap: %s\n", error.text);
        return 1;
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    shoal_spec_free(spec);
    int kept = heap[bytes / 2]; /* read at the end, so that it is there until the end */
    free(heap);
    return uv_loop_close(&loop) == 0 && status == 0 && kept == 1 ? 0 : 1;
}
