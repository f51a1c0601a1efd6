/* The fleet held against the host, from the caller's side. */
#include "shoal/preflight.h"

#include <errno.h>

#include "supervisor/inside.h"

static const char *const verdict_names[] = {
    [SHOAL_FITS] = "fits",
    [SHOAL_TIGHT] = "tight",
    [SHOAL_LACKS] = "lacks",
};

const char *shoal_verdict_name(shoal_verdict_t verdict)
{
    return (size_t)verdict < COUNT(verdict_names) ? verdict_names[verdict] : "unknown";
}

int shoal_preflight(const shoal_spec_t *spec, const shoal_supervisor_options_t *options, shoal_resource_cb cb,
                    void *data, shoal_error_t *err)
{
    shoal_supervisor_t *s = calloc(1, sizeof *s); /* what the checks look at, and no more */
    if (s == NULL)
        return shoal_fail(err, -ENOMEM, "preflight");
    s->spec = spec;
    s->options = *options;
    s->in_flight_max = supervisor_in_flight(spec);
    int code = cgroup_root_look(&s->cgroups, err);
    shoal_error_t more;
    if (code == 0) { /* all of them, so that one run names everything; the first failure is the one that is returned */
        int commands = check_commands(s, err),
            controllers = check_controllers(s, spec, NULL, commands == 0 ? err : &more);
        code = commands < 0 ? commands : controllers;
        int devices = check_devices(s, true, code == 0 ? err : &more);
        code = code < 0 ? code : devices;
        int rates = check_rates(s, code == 0 ? err : &more);
        code = code < 0 ? code : rates;
        int scores = check_oom_scores(s, code == 0 ? err : &more);
        code = code < 0 ? code : scores;
        int disks = check_disks(s, spec, NULL, code == 0 ? err : &more);
        code = code < 0 ? code : disks;
        int limits = check_limits(s, cb, data, code == 0 ? err : &more);
        code = code < 0 ? code : limits;
    }
    cgroup_root_free(s->cgroups);
    free(s);
    return code;
}
