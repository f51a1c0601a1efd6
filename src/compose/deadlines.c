/* How long and how much a run may be: x-shoal.limits of a service. */
#include "compose/keys.h"

#define LIMIT(member) .offset = offsetof(shoal_service_t, deadlines.member)

enum { SECOND_MS = 1000 };

static void read_output(struct load *load, const struct place *at, const struct key *key, struct node *value,
                        void *object)
{
    uint64_t bytes;
    if (!take_size(load, at, value, &bytes))
        return;
    if (bytes == 0)
        load_error(load, at, "of 0 would end it at its first word; leave it out, or write 1m");
    else
        *AT(uint64_t, object, key->offset) = bytes;
}

static const struct key deadline_keys[] = {
    {"wall", .read = read_duration, LIMIT(wall_ms), .min = 1, .form = "duration",
     .doc = "A run is ended after so long. Its restart policy goes on from there, as after a failure."},
    {"cpu", .read = read_duration, LIMIT(cpu_ms), .min = 1, .form = "duration",
     .doc = "A run is ended when all of its processes together have used so much CPU time, also those that are gone."},
    {"idle", .read = read_duration, LIMIT(idle_ms), .min = SECOND_MS, .form = "duration",
     .doc = "A run is ended when for so long, and at most an eighth longer, it has printed nothing and used less than "
            "a thousandth of one CPU."},
    {"ttl", .read = read_duration, LIMIT(ttl_ms), .min = 1, .form = "duration",
     .doc = "So long after its first start the container is ended for good, whatever its restart policy; the waits "
            "between its runs count."},
    {"output", .read = read_output, LIMIT(output_bytes), .form = "size",
     .doc = "A run is ended when it has printed more, on stdout and stderr together."},
};
const struct section deadline_section = SECTION("services.NAME.x-shoal.limits",
                                                "Who reaches one is killed at once, with everything that runs in it; "
                                                "_cause_ of its *die* says which. Time in which it is frozen does not "
                                                "count.",
                                                deadline_keys, false);
