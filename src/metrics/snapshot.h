/* Everything that an exposition says, as values of one moment that nobody changes any more; and the tally from which such
 * moments are made: what is known of each container over all its runs. Counters of a run begin at zero with its cgroup; the
 * tally adds them up, so that a container that lives shorter than an interval, again and again, is seen in full.
 * Values only: no loop, no descriptor. */
#ifndef METRICS_SNAPSHOT_H
#define METRICS_SNAPSHOT_H

#include "base/base.h"
#include "metrics/self.h"
#include "shoal/event.h"

/* Whose row it is. Shared by the tally and by every snapshot that has a row of it. */
struct identity {
    unsigned references;
    char *id;     /* owned */
    char *labels; /* owned: project="...",service="...",name="...", escaped */
};

struct snapshot_row {
    struct identity *who;       /* shared */
    char state[12];             /* "running"; "removed": it is gone, this is the last row of it */
    uint64_t seen_usec;         /* since the epoch, as start_usec */
    uint64_t start_usec;        /* of its last run; SHOAL_ABSENT: it never ran */
    uint64_t restarts, ooms;    /* events of that name */
    uint64_t working_set_bytes; /* what the kernel could hardly take back: current less inactive_file */
    uint64_t free_inodes;       /* of its writable layer, where they are limited */
    shoal_sample_t sample;      /* counters of all runs; gauges are absent when it does not run. Its texts are NULL */
};

/* One limit of the host. */
struct snapshot_limit {
    char *labels; /* owned: project="...",network="...",resource="..." */
    uint64_t used, limit, needed;
};

struct snapshot {
    unsigned references;
    uint64_t time_usec; /* monotonic, of its end */
    size_t count, room;
    struct snapshot_row *rows; /* owned */
    size_t group_count, group_room;
    struct snapshot_row *groups; /* owned: their labels and samples alone; counters begin with the fleet */
    bool failed;                 /* memory ran out: rows are missing */
    char *fleet_labels;          /* owned: project="..."; NULL: no fleet sample */
    shoal_fleet_sample_t fleet;
    size_t limit_count;
    struct snapshot_limit *limits; /* owned */
    struct self_sample self;
};
struct snapshot *snapshot_share(struct snapshot *snapshot);
void snapshot_drop(struct snapshot *snapshot); /* NULL is fine */
void snapshot_add_group(struct snapshot *snapshot, const shoal_sample_t *sample);
void snapshot_set_fleet(struct snapshot *snapshot, const shoal_fleet_sample_t *fleet);
void snapshot_copy_fleet(struct snapshot *snapshot, const struct snapshot *from);
void snapshot_set_host(struct snapshot *snapshot, const shoal_host_sample_t *host);
void snapshot_copy_host(struct snapshot *snapshot, const struct snapshot *from);

struct tally;
struct tally *tally_new(void); /* NULL: out of memory */
void tally_free(struct tally *tally);
void tally_event(struct tally *tally, const shoal_event_t *event);
/* A new snapshot, one reference, for the calls below; each container gets one row in it. The one before gets none any more.
 * NULL: out of memory. */
struct snapshot *tally_begin(struct tally *tally);
/* into: NULL, or the snapshot that was begun last, which gets the container's row. */
void tally_sample(struct tally *tally, const shoal_sample_t *sample, struct snapshot *into);
/* A last row for each container that was destroyed; then it is forgotten. */
void tally_take_removed(struct tally *tally, struct snapshot *into);
/* A row for each container that is known and has none: where no round of samples will come any more. */
void tally_take_all(struct tally *tally, struct snapshot *into);

#endif
