/* Where a fleet's numbers go: lines or expositions on stdout, a server that is asked for them. As the options say. */
#ifndef CMD_OUTPUTS_H
#define CMD_OUTPUTS_H

#include "api/api.h"
#include "cmd/cmd.h"
#include "cmd/logs.h"
#include "metrics/metrics.h"

struct outputs {
    struct metrics_losses losses;
    struct metrics_source source;
    struct deaths *deaths;
    struct logs *logs;       /* outlives us */
    struct metrics *metrics; /* NULL: not wanted, as below */
    struct collector *collector;
    struct exposition *exposition;
    struct api *api;
    void (*close_cb)(void *data);
    void *close_data;
};

/* logs: told where the server listens. On failure what was opened stays so: outputs_close ends it in any case. */
int outputs_open(struct outputs *outputs, uv_loop_t *loop, shoal_supervisor_t *supervisor,
                 const struct cmd_options *options, struct logs *logs, shoal_error_t *err);
/* cb: once; from inside the call where nothing was open. The supervisor is still there. */
void outputs_close(struct outputs *outputs, void (*cb)(void *data), void *data);

#endif
