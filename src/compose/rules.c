/* What follows when tasks wait too long: x-shoal.pressure of a service and of the file. */
#include <string.h>

#include "compose/keys.h"

enum { MOST = 16, LEAST_MS = 500, LONGEST_MS = 10000, USUAL_MS = 2000 };

/* A rule as it is written; -1 and NULL: not. */
struct rule_draft {
    const char *on, *action, *of;
    int64_t some_ms, full_ms, within_ms;
};

static const char *const resources[] = {"cpu", "memory", "io"};
static const char *const scopes[] = {"fleet", "host"};
static const char *const actions[SHOAL_PRESSURE_ACTION_COUNT] = {
    [SHOAL_PRESSURE_EVENT] = "event", [SHOAL_PRESSURE_FREEZE] = "freeze", [SHOAL_PRESSURE_RESTART] = "restart",
    [SHOAL_PRESSURE_KILL] = "kill",   [SHOAL_PRESSURE_SHRINK] = "shrink",
};

/* One of the words; words_text: all of them for a person. */
static void read_one_of(struct load *load, const struct place *at, const struct key *key, const struct node *value,
                        void *object, const char *const *words, size_t count, const char *words_text)
{
    const char *text;
    if (!take_text(load, at, value, &text))
        return;
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i], text) == 0) {
            *AT(const char *, object, key->offset) = words[i];
            return;
        }
    load_error(load, at, "\"%.60s\" is not known; write %s", text, words_text);
}

static void read_on(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    read_one_of(load, at, key, value, object, resources, COUNT(resources), "cpu, memory or io");
}

static void read_of(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    read_one_of(load, at, key, value, object, scopes, COUNT(scopes), "fleet or host");
}

static void read_do(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    read_one_of(load, at, key, value, object, actions, COUNT(actions), "event, freeze, restart, kill or shrink");
}

static const struct key rule_keys[] = {
    {"on", .read = read_on, .offset = offsetof(struct rule_draft, on), .form = "text",
     .doc = "What is waited for: *cpu*, *memory* or *io*. Needed."},
    {"some", .read = read_duration, .offset = offsetof(struct rule_draft, some_ms), .min = 1, .max = LONGEST_MS,
     .form = "duration", .doc = "So long some task has waited. This or _full_ is needed."},
    {"full", .read = read_duration, .offset = offsetof(struct rule_draft, full_ms), .min = 1, .max = LONGEST_MS,
     .form = "duration", .doc = "So long all tasks have waited at once."},
    {"within", .read = read_duration, .offset = offsetof(struct rule_draft, within_ms), .min = LEAST_MS,
     .max = LONGEST_MS, .form = "duration",
     .doc = "The window in which they have, and in which the kernel tells at most once: 500ms to 10s. Default 2s."},
    {"do", .read = read_do, .offset = offsetof(struct rule_draft, action), .form = "text",
     .doc = "Beside the *pressure* event: *event* nothing (default), *freeze* the container for five windows, "
            "*restart* it in order, *kill* it, *shrink*: reclaim a tenth of its memory. Of the file: *event*, and "
            "of the fleet *shrink*."},
    {"of", .read = read_of, .offset = offsetof(struct rule_draft, of), .form = "text",
     .doc = "Of the file alone: *fleet* (default), all of its containers together, or *host*."},
};
const struct section rule_section = SECTION("x-shoal.pressure.N",
                                            "Of a service, for each of its containers, and of the file. Pressure is "
                                            "the kernel's (PSI): time in which tasks waited.",
                                            rule_keys, false);

/* Which of the actions a word is; both are from our own lists. */
static shoal_pressure_action_t action_of(const char *word)
{
    int found = SHOAL_PRESSURE_EVENT;
    for (int i = 0; i < SHOAL_PRESSURE_ACTION_COUNT; i++)
        if (word == actions[i])
            found = i;
    return (shoal_pressure_action_t)found;
}

/* What follows from several keys of a rule together. */
static bool is_sound(struct load *load, const struct place *at, const struct rule_draft *draft, bool of_service)
{
    bool host = draft->of != NULL && strcmp(draft->of, "host") == 0;
    int64_t stall = draft->some_ms >= 0 ? draft->some_ms : draft->full_ms;
    shoal_pressure_action_t action = action_of(draft->action);
    size_t before = load->finding_count;
    if (draft->on == NULL)
        load_error(load, at, "needs on: cpu, memory or io");
    if ((draft->some_ms >= 0) == (draft->full_ms >= 0))
        load_error(load, at, "needs one of some and full");
    else if (stall > draft->within_ms)
        load_error(load, at, "nobody waits for %lld ms within %lld ms", (long long)stall, (long long)draft->within_ms);
    if (of_service && draft->of != NULL)
        load_error(load, at, "of: is for rules of the file; this one is of each container of the service");
    if (action == SHOAL_PRESSURE_SHRINK && draft->on != NULL && strcmp(draft->on, "memory") != 0)
        load_error(load, at, "shrink helps against a lack of memory alone");
    if (!of_service && action != SHOAL_PRESSURE_EVENT && (host || action != SHOAL_PRESSURE_SHRINK))
        load_error(load, at, "do: of the %s it is event%s; the others are for rules of services",
                   host ? "host" : "fleet", host ? "" : " or shrink");
    return load->finding_count == before;
}

static void read_rules(struct load *load, const struct place *at, const struct key *key, const struct node *value,
                       bool of_service, shoal_pressure_rule_t **out_rules, size_t *out_count)
{
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    if (value->count > MOST) {
        load_error(load, at, "more than %d rules", MOST);
        return;
    }
    shoal_pressure_rule_t *rules = arena_array(load->arena, value->count + (size_t)1, sizeof *rules);
    if (!LOAD_GOT(load, rules))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct rule_draft draft = {.some_ms = -1, .full_ms = -1, .within_ms = USUAL_MS, .action = actions[0]};
        struct place item = place_item(at, value, i);
        size_t before = load->finding_count;
        if (!read_section(load, &item, key->section, value->items[i], &draft) || load->finding_count != before ||
            !is_sound(load, &item, &draft, of_service))
            continue;
        rules[(*out_count)++] = (shoal_pressure_rule_t){
            .resource = draft.on,
            .full = draft.full_ms >= 0,
            .host = draft.of != NULL && strcmp(draft.of, "host") == 0,
            .stall_usec = (uint64_t)(draft.full_ms >= 0 ? draft.full_ms : draft.some_ms) * 1000,
            .window_usec = (uint64_t)draft.within_ms * 1000,
            .action = action_of(draft.action),
            .at = place_position(load, &item),
        };
    }
    *out_rules = rules;
}

void read_service_rules(struct load *load, const struct place *at, const struct key *key, struct node *value,
                        void *object)
{
    shoal_service_t *service = object;
    read_rules(load, at, key, value, true, &service->pressure_rules, &service->pressure_rule_count);
}

void read_fleet_rules(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    shoal_spec_t *spec = object;
    read_rules(load, at, key, value, false, &spec->pressure_rules, &spec->pressure_rule_count);
}
