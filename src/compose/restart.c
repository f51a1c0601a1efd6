/* When a container is started again, and how soon: restart, deploy.restart_policy, x-shoal.restart. */
#include <errno.h>
#include <string.h>

#include "compose/keys.h"
#include "compose/values.h"

static const struct {
    const char *word;
    shoal_restart_policy_t policy;
} policies[] = {{"no", SHOAL_RESTART_NO},
                {"always", SHOAL_RESTART_ALWAYS},
                {"on-failure", SHOAL_RESTART_ON_FAILURE},
                {"unless-stopped", SHOAL_RESTART_UNLESS_STOPPED}},
  conditions[] = {{"none", SHOAL_RESTART_NO}, {"on-failure", SHOAL_RESTART_ON_FAILURE}, {"any", SHOAL_RESTART_ALWAYS}};

void read_restart(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)key, (void)object;
    struct policy_draft draft = {.set = true};
    const char *text;
    load->draft->restart_at = *at;
    if (value->kind == NODE_SCALAR && value->type == TYPE_BOOL) {
        load_error(load, at, "%s is true or false, where text belongs; write \"no\" or always", value->text);
        return;
    }
    if (!take_text(load, at, value, &text))
        return;
    size_t count = strcspn(text, ":");
    bool found = text[0] == '\0'; /* empty is "no", as the engine has it */
    for (size_t i = 0; i < COUNT(policies); i++) {
        if (strlen(policies[i].word) == count && strncmp(policies[i].word, text, count) == 0) {
            draft.policy = policies[i].policy;
            found = true;
        }
    }
    if (found && text[count] == ':')
        found = draft.policy == SHOAL_RESTART_ON_FAILURE && value_integer(text + count + 1, &draft.max_attempts) == 0 &&
                draft.max_attempts >= 0 && draft.max_attempts <= INT32_MAX;
    if (!found)
        load_error(load, at,
                   "\"%.60s\" is not a restart policy; write \"no\", always, on-failure, on-failure:3 or "
                   "unless-stopped",
                   text);
    else
        load->draft->restart_short = draft;
}

static void read_condition(struct load *load, const struct place *at, const struct key *key, struct node *value,
                           void *object)
{
    (void)key, (void)object;
    const char *text;
    if (!take_text(load, at, value, &text))
        return;
    for (size_t i = 0; i < COUNT(conditions); i++) {
        if (strcmp(conditions[i].word, text) == 0) {
            load->draft->restart_long.policy = conditions[i].policy;
            return;
        }
    }
    load_error(load, at, "\"%.60s\" is not a condition; write none, on-failure or any", text);
}

static void read_delay(struct load *load, const struct place *at, const struct key *key, struct node *value,
                       void *object)
{
    (void)object;
    read_duration(load, at, key, value, &load->draft->delay_ms);
}

static void read_max_attempts(struct load *load, const struct place *at, const struct key *key, struct node *value,
                              void *object)
{
    (void)key, (void)object;
    (void)take_integer(load, at, value, 0, INT32_MAX, &load->draft->restart_long.max_attempts);
}

static void read_window(struct load *load, const struct place *at, const struct key *key, struct node *value,
                        void *object)
{
    (void)key;
    (void)take_duration(load, at, value, &((shoal_service_t *)object)->restart.window_ms);
}

enum { LONGEST_MS = 86400000 }; /* a delay of more than a day is a mistake */

static const struct kind attempts_kind = {TAKES_INTEGER | TAKES_TEXT, AS_COUNT_SET, .unsigned_value = true,
                                          .what = "a whole number"};

static const struct key policy_keys[] = {
    {"condition", &kind_text, .read = read_condition, .form = "text",
     .doc = "*none*, *on-failure* or *any*. Default any."},
    {"delay", &kind_duration, .read = read_delay, .max = LONGEST_MS, .form = "duration",
     .doc = "Before the first new start; it grows from there as *x-shoal.restart* says."},
    {"max_attempts", &attempts_kind, .read = read_max_attempts, .form = "number",
     .doc = "How often at most; 0 has no end."},
    {"window", &kind_duration, .read = read_window, .form = "duration",
     .doc = "A start that lived this long does not count as an attempt."},
};
const struct section policy_section = SECTION("services.NAME.deploy.restart_policy", "Must not contradict *restart*.",
                                              policy_keys, true);

void read_restart_policy(struct load *load, const struct place *at, const struct key *key, struct node *value,
                         void *object)
{
    struct policy_draft *draft = &load->draft->restart_long;
    *draft = (struct policy_draft){.set = true, .policy = SHOAL_RESTART_ALWAYS};
    if (load->draft->restart_at.word == NULL)
        load->draft->restart_at = *load->draft->at;
    read_nested(load, at, key, value, object);
}

static void read_factor(struct load *load, const struct place *at, const struct key *key, struct node *value,
                        void *object)
{
    const char *text;
    int64_t millionths;
    if (!take_scalar(load, at, value, &text))
        return;
    if (value_decimal(text, 6, &millionths) < 0 || millionths < key->min || millionths > key->max)
        load_error(load, at, "\"%.60s\" is not a number from %lld to %lld", text, (long long)key->min / 1000000,
                   (long long)key->max / 1000000);
    else
        *(int64_t *)(void *)((char *)object + key->offset) = millionths;
}

static const struct key restart_keys[] = {
    {"backoff", .read = read_duration, .offset = offsetof(struct restart_draft, first_ms), .max = LONGEST_MS,
     .form = "duration", .doc = "Delay before the first new start. Default 100ms."},
    {"factor", .read = read_factor, .offset = offsetof(struct restart_draft, factor_millionths), .scale = 1000000,
     .min = 1000000, .max = 100000000, .form = "number",
     .doc = "What each further delay is multiplied by, 1 to 100. Default 2."},
    {"max", .read = read_duration, .offset = offsetof(struct restart_draft, max_ms), .max = LONGEST_MS,
     .form = "duration", .doc = "The longest delay. Default 60s."},
    {"jitter", .read = read_factor, .offset = offsetof(struct restart_draft, jitter_millionths), .scale = 1000000,
     .max = 1000000, .form = "number", .doc = "How much of a delay is left to chance, 0 to 1. Default 0.1."},
    {"reset", .read = read_duration, .offset = offsetof(struct restart_draft, reset_ms), .max = LONGEST_MS,
     .form = "duration", .doc = "A container that ran this long begins at *backoff* again. Default 10s."},
};
const struct section restart_section = SECTION("x-shoal.restart", "Of the file and of a service, which goes before it.",
                                               restart_keys, false);

static int64_t first_set(int64_t inner, int64_t outer, int64_t standard)
{
    return inner >= 0 ? inner : outer >= 0 ? outer : standard;
}

void finish_restart(struct load *load, shoal_service_t *service)
{
    const struct draft *draft = load->draft;
    const struct policy_draft *a = &draft->restart_short, *b = &draft->restart_long;
    const struct place *at = draft->restart_at.word != NULL ? &draft->restart_at : draft->at;
    if (a->set && b->set && (a->policy != b->policy || a->max_attempts != b->max_attempts))
        load_error(load, at, "can't set distinct values on 'restart' and 'deploy.restart_policy'");
    const struct policy_draft *policy = b->set ? b : a;
    shoal_restart_t *restart = &service->restart;
    restart->policy = policy->set ? policy->policy : SHOAL_RESTART_NO;
    restart->max_attempts = policy->set ? (int)policy->max_attempts : 0;

    const struct restart_draft *inner = &draft->restart, *outer = &load->restart;
    if (draft->delay_ms >= 0 && inner->first_ms >= 0 && draft->delay_ms != inner->first_ms)
        load_error(load, at,
                   "can't set distinct values on 'deploy.restart_policy.delay' and 'x-shoal.restart.backoff'");
    int64_t first = draft->delay_ms >= 0 ? draft->delay_ms : first_set(inner->first_ms, outer->first_ms, 100);
    int64_t max = first_set(inner->max_ms, outer->max_ms, -1);
    if (max >= 0 && max < first)
        load_error(load, at, "the longest delay, %lld ms (x-shoal.restart.max), is shorter than the first, %lld ms",
                   (long long)max, (long long)first);
    if (max < 0)
        max = first > 60000 ? first : 60000;
    restart->first_ms = (uint64_t)first;
    restart->max_ms = (uint64_t)max;
    restart->reset_ms = (uint64_t)first_set(inner->reset_ms, outer->reset_ms, 10000);
    restart->factor = (double)first_set(inner->factor_millionths, outer->factor_millionths, 2000000) / 1e6;
    restart->jitter = (double)first_set(inner->jitter_millionths, outer->jitter_millionths, 100000) / 1e6;
}
