#include "supervisor/governor.h"

#include "base/base.h"

/* Defaults. rate and burst: beyond what this kernel's networking gives (1,000 to 1,400 pooled starts a second were measured),
 * so that they bound a runaway and nothing else. least: a host that is always busy still starts that many again, for a tenth
 * of one processor. cpu: a task that waits now and then is a load, one that waits for four fifths of the time a jam. memory: a
 * host that reclaims for a fifth of its time makes no progress. io: half of the time behind a disk. */
enum { RATE = 2000, BURST = 500, LEAST = 25, CPU = 80, MEMORY = 20, IO = 50 };

enum { CALM_TICKS = 10 }; /* so long nothing has to wait before the gate counts as open again */

/* New pressure weighs this much against old: three quarters of a jump are felt after two ticks. The kernel's own avg10 takes
 * ten seconds for it, in which a storm is over. */
#define WEIGHT 0.5
/* The pace under pressure, tick by tick, and after it. Down faster than up: what was let through keeps the host busy for a
 * while yet. */
#define LOWER 0.7
#define RAISE 1.15
/* Between this part of a limit and the limit itself the pace stays: no swinging to and fro. */
#define ENOUGH 0.9
/* How much of a start's price is left to chance: what fell together does not come up in step. */
#define CHANCE 0.5

static double or_default(unsigned value, double standard)
{
    return value > 0 ? value : standard;
}

static void init_bucket(struct token_bucket *bucket, double rate, double burst, uint64_t now_usec)
{
    *bucket = (struct token_bucket){.rate = rate, .burst = burst, .tokens = burst, .filled_usec = now_usec};
}

void governor_init(struct governor *g, const shoal_governor_t *settings, uint64_t now_usec)
{
    *g = (struct governor){
        .off = settings->off,
        .rate = or_default(settings->rate, RATE),
        .least = or_default(settings->least, LEAST),
        .limits = {[PRESSURE_CPU] = or_default(settings->cpu, CPU),
                   [PRESSURE_MEMORY] = or_default(settings->memory, MEMORY),
                   [PRESSURE_IO] = or_default(settings->io, IO)},
    };
    if (g->least > g->rate)
        g->least = g->rate;
    init_bucket(&g->bucket, g->rate, or_default(settings->burst, BURST), now_usec);
}

/* Lines and their ring. */

void governor_add(struct governor *g, struct start_line *line, enum start_kind kind, struct start_turn *turn)
{
    struct start_gate *gate = &g->gates[kind];
    turn->next = NULL;
    gate->waiting++;
    if (line->head != NULL) {
        *line->end = turn;
        line->end = &turn->next;
        return;
    }
    line->head = turn;
    line->end = &turn->next;
    if (gate->last == NULL) {
        line->next = line;
    } else {
        line->next = gate->last->next;
        gate->last->next = line;
    }
    gate->last = line; /* behind all others */
}

static struct start_turn *next_turn(struct start_gate *gate)
{
    struct start_line *line = gate->last->next;
    struct start_turn *turn = line->head;
    line->head = turn->next;
    if (line->head != NULL) {
        gate->last = line;
    } else if (line == gate->last) {
        gate->last = NULL;
    } else {
        gate->last->next = line->next;
    }
    gate->waiting--;
    gate->passed++;
    return turn;
}

static void clear_gate(struct start_gate *gate)
{
    struct start_line *first = gate->last != NULL ? gate->last->next : NULL;
    for (struct start_line *line = first; line != NULL;) {
        struct start_line *next = line->next;
        *line = (struct start_line){0};
        line = next == first ? NULL : next;
    }
    gate->last = NULL;
    gate->waiting = 0;
}

void governor_clear(struct governor *g)
{
    for (int i = 0; i < START_KIND_COUNT; i++)
        clear_gate(&g->gates[i]);
}

/* Buckets. */

/* Returns how long until the bucket has a token; 0: it has. */
static uint64_t bucket_wait_usec(struct token_bucket *bucket, uint64_t now_usec)
{
    bucket->tokens += bucket->rate * (double)(now_usec - bucket->filled_usec) / 1e6;
    if (bucket->tokens > bucket->burst)
        bucket->tokens = bucket->burst;
    bucket->filled_usec = now_usec;
    double missing = 1 - bucket->tokens;
    return missing <= 0 ? 0 : (uint64_t)(missing / bucket->rate * 1e6) + 1;
}

static void bucket_pay(struct token_bucket *bucket, uint32_t random)
{
    bucket->tokens -= 1 - CHANCE + (double)random / UINT32_MAX * 2 * CHANCE;
}

struct start_turn *governor_take(struct governor *g, uint64_t now_usec, uint32_t random, uint64_t *out_wait_usec)
{
    *out_wait_usec = UINT64_MAX;
    if (g->gates[START_ORDINARY].waiting + g->gates[START_CRASHED].waiting == 0)
        return NULL;
    uint64_t wait = g->off ? 0 : bucket_wait_usec(&g->bucket, now_usec);
    if (wait > 0) {
        g->refused = true;
        *out_wait_usec = wait;
        return NULL;
    }
    for (int i = 0; i < START_KIND_COUNT; i++) {
        enum start_kind kind = (enum start_kind)((g->next + i) % START_KIND_COUNT);
        struct start_gate *gate = &g->gates[kind];
        if (gate->waiting == 0)
            continue;
        wait = gate->slow ? bucket_wait_usec(&gate->pace, now_usec) : 0;
        if (wait > 0) {
            if (wait < *out_wait_usec)
                *out_wait_usec = wait;
            continue;
        }
        if (gate->slow)
            bucket_pay(&gate->pace, random);
        bucket_pay(&g->bucket, random);
        g->next = (enum start_kind)((kind + 1) % START_KIND_COUNT);
        *out_wait_usec = 0;
        return next_turn(gate);
    }
    return NULL;
}

/* Feedback. */

bool governor_is_busy(const struct governor *g)
{
    if (g->off)
        return false;
    bool busy = g->limited || g->refused;
    for (int i = 0; i < START_KIND_COUNT; i++)
        busy |= g->gates[i].waiting > 0 || g->gates[i].slow;
    return busy;
}

void governor_wake(struct governor *g, uint64_t now_usec)
{
    g->felt_usec = now_usec;
    for (int i = 0; i < PRESSURE_COUNT; i++)
        g->felt[i] = 0;
    for (int i = 0; i < START_KIND_COUNT; i++)
        g->gates[i].passed = 0;
}

/* What each kind heeds. */
static const bool heeds[START_KIND_COUNT][PRESSURE_COUNT] = {
    [START_ORDINARY] = {[PRESSURE_MEMORY] = true},
    [START_CRASHED] = {[PRESSURE_CPU] = true, [PRESSURE_MEMORY] = true, [PRESSURE_IO] = true},
};
static const char *const kind_names[START_KIND_COUNT] = {[START_ORDINARY] = "ordinary", [START_CRASHED] = "crashed"};

/* Which resource is nearest to its limit or furthest beyond it. */
static enum pressure_kind find_worst(const struct governor *g, enum start_kind kind, double *out_ratio)
{
    enum pressure_kind worst = PRESSURE_MEMORY;
    *out_ratio = 0;
    for (int i = 0; i < PRESSURE_COUNT; i++) {
        double ratio = heeds[kind][i] ? g->felt[i] / g->limits[i] : 0;
        if (ratio > *out_ratio) {
            *out_ratio = ratio;
            worst = (enum pressure_kind)i;
        }
    }
    return worst;
}

static void set_pace(const struct governor *g, struct start_gate *gate, double rate)
{
    if (rate < g->least)
        rate = g->least;
    gate->pace.rate = rate < g->rate ? rate : g->rate;
    gate->pace.burst = gate->pace.rate / 4 > 1 ? gate->pace.rate / 4 : 1; /* a quarter of a second's worth at once */
}

static bool feel_kind(struct governor *g, enum start_kind kind, uint64_t now_usec, double seconds,
                      struct governor_news *out)
{
    struct start_gate *gate = &g->gates[kind];
    double ratio, passing = (double)gate->passed / seconds;
    enum pressure_kind worst = find_worst(g, kind, &ratio);
    bool over = ratio > 1, was_slow = gate->slow;
    if (!gate->slow && over && gate->waiting > 0) { /* a busy host where nothing wants to start is no matter of ours */
        init_bucket(&gate->pace, g->rate, 1, now_usec);
        gate->slow = true;
        gate->calm = 0;
        set_pace(g, gate, passing * LOWER);
    } else if (gate->slow) {
        if (over)
            set_pace(g, gate, gate->pace.rate * LOWER);
        else if (ratio < ENOUGH)
            set_pace(g, gate, gate->pace.rate * RAISE + 1);
        gate->calm = gate->waiting == 0 && gate->passed == 0 ? gate->calm + 1 : 0;
        gate->slow = gate->calm < CALM_TICKS && (over || gate->pace.rate < g->rate);
    }
    gate->passed = 0;
    if (gate->slow == was_slow)
        return false;
    *out = (struct governor_news){
        .slow = gate->slow,
        .starts = kind_names[kind],
        .reason = pressure_name(worst),
        .pressure = g->felt[worst],
        .limit = g->limits[worst],
        .rate = gate->slow ? gate->pace.rate : g->rate,
        .waiting = gate->waiting,
    };
    return true;
}

static bool feel_bucket(struct governor *g, struct governor_news *out)
{
    bool was_limited = g->limited;
    g->unrefused = g->refused ? 0 : g->unrefused + 1;
    g->limited = g->refused || (g->limited && g->unrefused < CALM_TICKS);
    g->refused = false;
    if (g->limited == was_limited)
        return false;
    *out = (struct governor_news){
        .slow = g->limited,
        .starts = "all",
        .reason = "rate",
        .pressure = -1,
        .limit = -1,
        .rate = g->rate,
        .waiting = g->gates[START_ORDINARY].waiting + g->gates[START_CRASHED].waiting,
    };
    return true;
}

size_t governor_feel(struct governor *g, uint64_t now_usec, const double pressure[PRESSURE_COUNT],
                     struct governor_news out[GOVERNOR_NEWS_MAX])
{
    if (g->off || now_usec <= g->felt_usec)
        return 0;
    double seconds = (double)(now_usec - g->felt_usec) / 1e6;
    g->felt_usec = now_usec;
    for (int i = 0; i < PRESSURE_COUNT; i++)
        g->felt[i] = pressure[i] < 0 ? 0 : g->felt[i] + (pressure[i] - g->felt[i]) * WEIGHT;
    size_t count = 0;
    for (int i = 0; i < START_KIND_COUNT; i++)
        count += feel_kind(g, (enum start_kind)i, now_usec, seconds, &out[count]);
    count += feel_bucket(g, &out[count]);
    return count;
}
