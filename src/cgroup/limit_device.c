/* Limits of single block devices: rates and weights. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cgroup/inside.h"

static const struct limit_file io_max = {"io.max", "rbps=max wbps=max riops=max wiops=max", LIMIT_AS_WRITTEN};
static const struct limit_file io_weight = {"io.weight", "default", LIMIT_AS_WRITTEN};
static const struct limit_file bfq_weight = {"io.bfq.weight", "default", LIMIT_AS_WRITTEN};

static void add_rates(struct limit_making *making, const shoal_io_limit_t *limit, const char *device)
{
    const struct {
        const char *name;
        uint64_t value;
    } rates[] = {{"rbps", limit->rbps}, {"wbps", limit->wbps}, {"riops", limit->riops}, {"wiops", limit->wiops}};
    struct text line = {0};
    bool any = false;
    for (size_t i = 0; i < COUNT(rates); i++) {
        any |= rates[i].value > 0;
        if (rates[i].value > 0)
            text_add_format(&line, "%s%s=%" PRIu64, i > 0 ? " " : "", rates[i].name, rates[i].value);
        else
            text_add_format(&line, "%s%s=max", i > 0 ? " " : "", rates[i].name);
    }
    if (any)
        limit_add(making, &io_max, device, text_take(&line));
    text_free(&line);
}

/* A device that nobody weighs was refused, or that accepted, before. */
static void add_weights(struct limit_making *making, const shoal_io_limit_t *limit, const char *device)
{
    unsigned weigher = cgroup_find_weigher(making->root, device);
    if (limit->weight > 0 && (weigher & WEIGHED_BY_BFQ) != 0)
        limit_add(making, &bfq_weight, device, base_format("%" PRIu64, limit->weight));
    if (limit->weight > 0 && (weigher & WEIGHED_BY_COST) != 0)
        limit_add(making, &io_weight, device, base_format("%" PRIu64, limit_io_weight(limit->weight)));
}

int limits_add_devices(struct limit_making *making, const shoal_limits_t *limits, struct cgroup_culprit *culprit,
                       shoal_error_t *err)
{
    for (size_t i = 0; i < limits->device_count && making->root->has[CGROUP_IO]; i++) {
        char device[LIMIT_SUBJECT];
        int code = cgroup_find_disk(limits->devices[i].path, device, err);
        if (code < 0) {
            *culprit = (struct cgroup_culprit){"blkio_config", &limits->devices[i].at};
            return code;
        }
        add_rates(making, &limits->devices[i], device);
        add_weights(making, &limits->devices[i], device);
    }
    return 0;
}
