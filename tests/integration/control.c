/* Supervises a fleet as `shoal up` does and does what it is told, so that the tests reach every request of the library:
 *   control up -f FILE --root DIR --run DIR
 * A line of stdin is a request: NUMBER ACTION container|service|group|all NAME|- SIGNAL GRACE_MS. Its outcome, all events and, each
 * 100 ms, all samples are JSON lines on stdout. SIGUSR1 pauses everything, SIGUSR2 thaws it; SIGINT and SIGTERM end it. */
#include <errno.h>
#include <shoal.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIGNALS = 4, LINE = 512, SAMPLE_MS = 100 };

struct app {
    shoal_supervisor_t *supervisor;
    uv_loop_t loop;
    uv_pipe_t input;
    uv_timer_t timer;
    uv_signal_t signals[SIGNALS];
    char line[LINE];
    size_t count;
};

struct asked {
    long number;
};

static void on_diagnostic(void *data, shoal_severity_t severity, const shoal_position_t *at, const char *text)
{
    (void)data;
    (void)severity;
    fprintf(stderr, "%s:%d:%d: %s\n", at->file, at->line, at->column, text);
}

static void on_message(void *data, shoal_severity_t severity, const char *text)
{
    (void)data;
    (void)severity;
    fprintf(stderr, "control: %s\n", text);
}

/* Ours are names and sentences of the library: quotes and backslashes are all there is to escape. */
static void print_text(const char *key, const char *text)
{
    if (text == NULL)
        return;
    printf(",\"%s\":\"", key);
    for (; *text != '\0'; text++)
        printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    printf("\"");
}

static void on_event(void *data, const shoal_event_t *event)
{
    (void)data;
    printf("{\"type\":\"event\",\"event\":\"%s\",\"seq\":%llu", shoal_event_name(event->kind),
           (unsigned long long)event->seq);
    print_text("service", event->service);
    print_text("container", event->container);
    print_text("id", event->id);
    if (event->pid > 0)
        printf(",\"pid\":%d", (int)event->pid);
    if (event->kind == SHOAL_EVENT_KILL)
        printf(",\"signal\":%d", event->signal);
    if (event->kind == SHOAL_EVENT_NETWORK_CONNECT)
        printf(",\"address\":%u", event->address);
    if (event->kind == SHOAL_EVENT_DIE) {
        printf(",\"exitCode\":%d", event->exit_code);
        print_text("cause", shoal_cause_name(event->cause));
        print_text("restart", event->restart);
    }
    printf("}\n");
}

static void on_sample(void *data, const shoal_sample_t *sample)
{
    (void)data;
    printf("{\"type\":\"container\",\"container\":\"%s\",\"state\":\"%s\",\"frozen\":%d}\n", sample->container,
           sample->state, sample->frozen);
}

static void on_outcome(shoal_supervisor_t *supervisor, void *data, const shoal_outcome_t *outcome)
{
    (void)supervisor;
    struct asked *asked = data;
    printf("{\"type\":\"answer\",\"number\":%ld,\"done\":%zu,\"unchanged\":%zu,\"refused\":%zu,\"failed\":%zu,"
           "\"count\":%zu",
           asked->number, outcome->done, outcome->unchanged, outcome->refused, outcome->failed, outcome->count);
    print_text("error", outcome->error);
    printf("}\n");
    free(asked);
}

static void ask(struct app *app, long number, const shoal_control_t *control)
{
    shoal_error_t error = {0};
    struct asked *asked = malloc(sizeof *asked);
    if (asked == NULL)
        abort();
    asked->number = number;
    int code = shoal_supervisor_control(app->supervisor, control, on_outcome, asked, &error);
    if (code == 0)
        return;
    printf("{\"type\":\"answer\",\"number\":%ld,\"code\":%d", number, code);
    print_text("error", error.text);
    printf("}\n");
    free(asked);
}

static shoal_action_t find_action(const char *word)
{
    int action = 0;
    while (action < SHOAL_ACTION_COUNT && strcmp(word, shoal_action_name((shoal_action_t)action)) != 0)
        action++;
    return (shoal_action_t)action; /* SHOAL_ACTION_COUNT: the library's business */
}

static void take_line(struct app *app, const char *line)
{
    char action[16], kind[16], name[256];
    long number;
    shoal_control_t control = {.name = name};
    long long grace_ms;
    if (sscanf(line, "%ld %15s %15s %255s %d %lld", &number, action, kind, name, &control.signal, &grace_ms) != 6) {
        fprintf(stderr, "control: what is \"%s\"?\n", line);
        return;
    }
    control.action = find_action(action);
    control.grace_ms = grace_ms;
    control.kind = strcmp(kind, "container") == 0 ? SHOAL_TARGET_CONTAINER
                   : strcmp(kind, "service") == 0 ? SHOAL_TARGET_SERVICE
                   : strcmp(kind, "group") == 0   ? SHOAL_TARGET_GROUP
                                                  : SHOAL_TARGET_ALL;
    ask(app, number, &control);
}

static void on_room(uv_handle_t *handle, size_t size, uv_buf_t *out)
{
    struct app *app = handle->data;
    (void)size;
    *out = uv_buf_init(app->line + app->count, (unsigned)(LINE - app->count - 1));
}

static void on_input(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct app *app = stream->data;
    (void)buffer;
    if (count < 0) {
        (void)uv_read_stop(stream);
        return;
    }
    app->count += (size_t)count;
    app->line[app->count] = '\0';
    for (char *end; (end = strchr(app->line, '\n')) != NULL;) {
        *end = '\0';
        take_line(app, app->line);
        app->count -= (size_t)(end + 1 - app->line);
        memmove(app->line, end + 1, app->count + 1);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct app *app = timer->data;
    (void)shoal_supervisor_sample(app->supervisor); /* the one before may be under way */
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct app *app = handle->data;
    shoal_control_t control = {.kind = SHOAL_TARGET_ALL, .grace_ms = -1};
    control.action = number == SIGUSR1 ? SHOAL_ACTION_PAUSE : SHOAL_ACTION_UNPAUSE;
    if (number == SIGUSR1 || number == SIGUSR2)
        ask(app, -number, &control);
    else
        shoal_supervisor_stop(app->supervisor, 0);
}

static void on_closed(void *data)
{
    struct app *app = data;
    uv_close((uv_handle_t *)&app->input, NULL);
    uv_close((uv_handle_t *)&app->timer, NULL);
    for (int i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&app->signals[i], NULL);
}

static void on_done(shoal_supervisor_t *supervisor, void *data, int status)
{
    (void)status;
    shoal_supervisor_close(supervisor, on_closed, data);
}

static void watch(struct app *app)
{
    static const int numbers[SIGNALS] = {SIGUSR1, SIGUSR2, SIGINT, SIGTERM};
    for (int i = 0; i < SIGNALS; i++) {
        (void)uv_signal_init(&app->loop, &app->signals[i]);
        app->signals[i].data = app;
        (void)uv_signal_start(&app->signals[i], on_signal, numbers[i]);
    }
    (void)uv_pipe_init(&app->loop, &app->input, 0);
    app->input.data = app;
    if (uv_pipe_open(&app->input, 0) == 0)
        (void)uv_read_start((uv_stream_t *)&app->input, on_room, on_input);
    (void)uv_timer_init(&app->loop, &app->timer);
    app->timer.data = app;
    (void)uv_timer_start(&app->timer, on_timer, SAMPLE_MS, SAMPLE_MS);
}

int main(int argc, char **argv)
{
    static struct app app;
    static shoal_subscriber_t subscriber = {.on_event = on_event, .on_sample = on_sample};
    if (argc < 8)
        return 2;
    shoal_compose_options_t file = {.file = argv[3]};
    shoal_supervisor_options_t options = {.root_dir = argv[5], .run_dir = argv[7], .on_message = on_message};
    shoal_error_t error = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    shoal_spec_t *spec = shoal_compose_load(&file, on_diagnostic, NULL);
    if (spec == NULL || uv_loop_init(&app.loop) < 0)
        return 2;
    if (shoal_process_isolate(&error) < 0 ||
        shoal_supervisor_open(&app.supervisor, &app.loop, spec, &options, &error) < 0) {
        fprintf(stderr, "control: %s\n", error.text);
        return 1;
    }
    shoal_supervisor_subscribe(app.supervisor, &subscriber);
    watch(&app);
    if (shoal_supervisor_start(app.supervisor, NULL, on_done, &app, &error) < 0)
        return 1;
    (void)uv_run(&app.loop, UV_RUN_DEFAULT);
    shoal_spec_free(spec);
    return uv_loop_close(&app.loop) == 0 ? 0 : 1;
}
