/* SIGHUP: the files are read again, by a worker, and the fleet gets the limits that they say now. */
#include "cmd/reload.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base.h"

struct reloading {
    uv_work_t work;
    uv_loop_t *loop;
    const struct cmd_options *options;
    shoal_supervisor_t *supervisor;
    struct logs *logs;
    shoal_spec_t *spec; /* owned: what was loaded; NULL: it is wrong */
    struct text findings;
    shoal_spec_t *current; /* owned: what the supervisor was given last; NULL: its first */
    bool busy, again, closing;
};

struct reloading *reload_new(uv_loop_t *loop, const struct cmd_options *options, shoal_supervisor_t *supervisor,
                             struct logs *logs)
{
    struct reloading *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->loop = loop;
    r->options = options;
    r->supervisor = supervisor;
    r->logs = logs;
    return r;
}

void reload_stop(struct reloading *r)
{
    if (r != NULL)
        r->closing = true;
}

void reload_free(struct reloading *r)
{
    if (r == NULL)
        return;
    shoal_spec_free(r->current);
    text_free(&r->findings);
    free(r);
}

static void load(uv_work_t *work) /* on a worker thread */
{
    struct reloading *r = CONTAINER_OF(work, struct reloading, work);
    const shoal_compose_options_t wanted = cmd_compose_options(r->options);
    r->spec = shoal_compose_load(&wanted, cmd_diagnose, &r->findings);
}

static void say(const struct reloading *r, const char *text)
{
    if (!r->closing)
        logs_message(r->logs, text);
}

static void on_reloaded(shoal_supervisor_t *supervisor, void *data, const shoal_reload_t *outcome)
{
    (void)supervisor;
    struct reloading *r = data;
    char groups[48] = "";
    if (outcome->groups > 0)
        (void)snprintf(groups, sizeof groups, "%zu groups and ", outcome->groups);
    AUTO_FREE char *line = base_format("reloaded: %s%zu containers changed, %zu failed", groups, outcome->changed,
                                       outcome->failed);
    if (line != NULL)
        say(r, line);
    r->busy = false;
    if (r->again && !r->closing)
        reload_begin(r);
}

static void on_loaded(uv_work_t *work, int status)
{
    struct reloading *r = CONTAINER_OF(work, struct reloading, work);
    shoal_error_t error = {0};
    if (!r->closing && r->findings.count > 0 && !r->findings.failed)
        logs_text(r->logs, r->findings.bytes, r->findings.count);
    text_free(&r->findings);
    int code = status < 0 || r->spec == NULL ? -EINVAL : 0;
    if (code < 0)
        say(r, "not reloaded: the fleet goes on as it was");
    if (code == 0 && !r->closing)
        code = shoal_supervisor_reload(r->supervisor, r->spec, on_reloaded, r, &error);
    if (code == 0 && !r->closing) {
        shoal_spec_free(r->current);
        r->current = r->spec;
        r->spec = NULL;
        return;
    }
    if (error.code < 0) {
        AUTO_FREE char *line = base_format("not reloaded: %s", error.text);
        if (line != NULL)
            say(r, line);
    }
    shoal_spec_free(r->spec);
    r->spec = NULL;
    r->busy = false;
    if (r->again && !r->closing)
        reload_begin(r);
}

void reload_begin(struct reloading *r)
{
    if (r->closing)
        return;
    r->again = r->busy; /* the files may have changed since they were read */
    if (r->busy)
        return;
    r->busy = true;
    if (uv_queue_work(r->loop, &r->work, load, on_loaded) < 0)
        r->busy = false;
}
