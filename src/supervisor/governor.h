/* governor.c: the gate that every start passes. Pure: time, pressure and chance are given to it.
 *
 * Starts wait in lines, one for each service and kind; the head of the next line goes when the gate lets one through, so a
 * service with a thousand waiting costs another with one nothing. Three things hold a start back:
 *  - a token bucket, `rate` a second with `burst` at once, for all of them;
 *  - what the kernel says: while some task of the host waits for cpu, memory or io for more of the time than the limit, the
 *    pace is lowered step by step down to `least`, and raised again when the pressure falls. Every supervisor of a host feels
 *    the same pressure, so that several share one gate without knowing of each other;
 *  - nothing else. How many starts are under way at a time is the caller's matter.
 * What starts again after a failure heeds all three. Ordinary starts (the first, and those after an end with 0: a job that is
 * done) heed memory alone: bringing a fleet up makes cpu and io pressure by itself, is bounded by the starts in flight, and
 * would only take longer; memory is what each new sandbox takes away. */
#ifndef SUPERVISOR_GOVERNOR_H
#define SUPERVISOR_GOVERNOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/pressure.h"
#include "shoal/spec.h"

enum start_kind { START_ORDINARY, START_CRASHED, START_KIND_COUNT };

/* A place in a line; a part of what waits. */
struct start_turn {
    struct start_turn *next;
};

/* What of one service waits for starts of one kind. All zero: nothing. */
struct start_line {
    struct start_turn *head, **end;
    struct start_line *next; /* the ring of lines in which something waits */
};

struct token_bucket {
    double rate, burst, tokens; /* a start needs one, and pays that much give or take chance: it may owe a part */
    uint64_t filled_usec;
};

struct start_gate {
    struct start_line *last; /* of the ring; the next turn is last->next's */
    size_t waiting, passed;  /* passed: since it was last felt */
    bool slow;
    struct token_bucket pace; /* while slow */
    unsigned calm;            /* ticks without pressure and without anybody waiting */
};

struct governor {
    bool off;
    double rate, least;
    double limits[PRESSURE_COUNT];
    struct token_bucket bucket;
    bool refused, limited; /* by the bucket: since last felt; told */
    unsigned unrefused;    /* ticks */
    struct start_gate gates[START_KIND_COUNT];
    enum start_kind next; /* kinds take turns too */
    double felt[PRESSURE_COUNT];
    uint64_t felt_usec; /* 0: never */
};

enum { GOVERNOR_TICK_MS = 200 }; /* how often governor_feel() is to be called while governor_is_busy() */

/* settings: 0 means the default in each number. */
void governor_init(struct governor *governor, const shoal_governor_t *settings, uint64_t now_usec);

void governor_add(struct governor *governor, struct start_line *line, enum start_kind kind, struct start_turn *turn);

/* Forget everybody who waits. */
void governor_clear(struct governor *governor);

/* The next start, or NULL: nobody waits, or nobody may before *out_wait_usec have passed (UINT64_MAX: before something
 * changes). random: 0..UINT32_MAX. */
struct start_turn *governor_take(struct governor *governor, uint64_t now_usec, uint32_t random,
                                 uint64_t *out_wait_usec);

/* Something waits, or the gate is not as open as it could be. */
bool governor_is_busy(const struct governor *governor);

/* A decision, worth an event. */
struct governor_news {
    bool slow;          /* it was lowered; false: it is open again */
    const char *starts; /* "ordinary", "crashed", "all" */
    const char *reason; /* "cpu", "memory", "io": pressure and limit say how much; "rate": the bucket's */
    double pressure, limit;
    double rate; /* starts a second from now on */
    size_t waiting;
};
enum { GOVERNOR_NEWS_MAX = START_KIND_COUNT + 1 };

/* Take in the pressure since the last call, in percent of that time; negative: unknown. Returns how many news there are. */
size_t governor_feel(struct governor *governor, uint64_t now_usec, const double pressure[PRESSURE_COUNT],
                     struct governor_news out[GOVERNOR_NEWS_MAX]);

/* The pressure before now is not known: begin anew, as after a pause. */
void governor_wake(struct governor *governor, uint64_t now_usec);

#endif
