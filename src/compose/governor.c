/* What starts pass: x-shoal.governor. */
#include <string.h>

#include "compose/keys.h"

static void read_count(struct load *load, const struct place *at, const struct key *key, struct node *value,
                       void *object)
{
    int64_t count;
    if (take_integer(load, at, value, key->min, key->max, &count))
        *AT(unsigned, object, key->offset) = (unsigned)count;
}

static const struct key pressure_keys[] = {
    {"cpu", .read = read_count, .offset = offsetof(shoal_governor_t, cpu), .min = 1, .max = 100, .form = "percent",
     .doc = "Restarts after a failure slow down above it. Default 80."},
    {"memory", .read = read_count, .offset = offsetof(shoal_governor_t, memory), .min = 1, .max = 100,
     .form = "percent", .doc = "All starts slow down above it. Default 20."},
    {"io", .read = read_count, .offset = offsetof(shoal_governor_t, io), .min = 1, .max = 100, .form = "percent",
     .doc = "Restarts after a failure slow down above it. Default 50."},
};
const struct section pressure_section = SECTION("x-shoal.governor.pressure",
                                                "Part of the time in which some task of the host waits for the "
                                                "resource: *some* of /proc/pressure. 100 is never exceeded.",
                                                pressure_keys, false);

static const struct key governor_keys[] = {
    {"rate", .read = read_count, .offset = offsetof(shoal_governor_t, rate), .min = 1, .max = 1000000, .form = "number",
     .doc = "Starts a second at most, of whatever kind. Default 2000."},
    {"burst", .read = read_count, .offset = offsetof(shoal_governor_t, burst), .min = 1, .max = 1000000,
     .form = "number", .doc = "Starts that may go at once after a pause. Default 500."},
    {"least", .read = read_count, .offset = offsetof(shoal_governor_t, least), .min = 1, .max = 1000000,
     .form = "number", .doc = "Starts a second that pass whatever the pressure. Default 25."},
    {"pressure", .read = read_nested, .section = &pressure_section, .form = "mapping",
     .doc = "From when on the host counts as too busy for restarts."},
};
const struct section governor_section = SECTION(
    "x-shoal.governor",
    "Every start passes one gate: a token bucket, and a pace that falls while the host is under "
    "pressure and rises again when it is not. Services take turns.",
    governor_keys, false);

void read_governor(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    shoal_governor_t *governor = AT(shoal_governor_t, object, key->offset);
    if (value->kind != NODE_SCALAR) {
        (void)read_section(load, at, key->section, value, governor);
        return;
    }
    if (value->type == TYPE_NULL || (strcmp(value->text, "off") != 0 && strcmp(value->text, "false") != 0))
        load_error(load, at, "takes a mapping, or off");
    else
        governor->off = true;
}
