/* Why it ended, as far as that can be known without tracing it: the cause, who did it, and a sentence for a person.
 *
 * The kernel does not say who sent a signal. What is certain follows from pid_namespaces(7): the first process of a pid
 * namespace gets from inside it only those signals that it has a handler for, and SIGKILL never. So a SIGKILL that was neither
 * ours nor an OOM's came from outside, and a fault's signal was its own fault. Of an init's child neither holds. */
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

#include "container/inside.h"

/* A kill that did not take the whole sandbox explains an end that follows it closely: a large process takes a while to go. */
enum { RECENT_USEC = 2000000 };

static bool was_oom(const struct container *c)
{
    const struct oom *oom = c->oom;
    if (c->signal != SIGKILL || c->killed || oom == NULL || oom->kills == 0)
        return false;
    return oom->all || base_monotonic_usec() - oom->seen_usec < RECENT_USEC;
}

shoal_cause_t death_find_cause(const struct container *c)
{
    if (c->lost)
        return SHOAL_CAUSE_LOST;
    if (c->forced && c->signal == SIGKILL) /* else it was faster */
        return c->forced_cause;
    if (was_oom(c))
        return SHOAL_CAUSE_OOM;
    if (c->stop_asked)
        return c->grace_over ? SHOAL_CAUSE_STOP_TIMEOUT : SHOAL_CAUSE_STOP;
    return c->signal != 0 ? SHOAL_CAUSE_SIGNAL : SHOAL_CAUSE_EXIT;
}

static bool is_fault(int number)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < COUNT(faults); i++)
        if (faults[i] == number)
            return true;
    return false;
}

/* Beyond its hard RLIMIT_CPU the kernel sends SIGKILL, too. */
static bool has_cpu_ulimit(const shoal_service_t *service)
{
    for (size_t i = 0; i < service->ulimit_count; i++)
        if (service->ulimits[i].resource == RLIMIT_CPU)
            return true;
    return false;
}

const char *death_find_by(const struct container *c, shoal_cause_t cause)
{
    switch (cause) {
    case SHOAL_CAUSE_STOP:
    case SHOAL_CAUSE_STOP_TIMEOUT:
    case SHOAL_CAUSE_TIMEOUT:
    case SHOAL_CAUSE_CPU_TIME:
    case SHOAL_CAUSE_IDLE:
    case SHOAL_CAUSE_TTL:
    case SHOAL_CAUSE_OUTPUT:
    case SHOAL_CAUSE_PRESSURE:
        return "supervisor";
    case SHOAL_CAUSE_OOM:
        return "kernel";
    case SHOAL_CAUSE_SIGNAL:
        if (c->command_signal != 0)
            return NULL;
        if (is_fault(c->signal))
            return "self";
        return c->signal == SIGKILL && !has_cpu_ulimit(c->service) ? "host" : NULL;
    case SHOAL_CAUSE_EXIT:
    case SHOAL_CAUSE_FAILED:
    case SHOAL_CAUSE_LOST:
        break;
    }
    return NULL;
}

struct sentence {
    char *out;
    size_t used;
};

static void say(struct sentence *sentence, const char *fmt, ...) SHOAL_PRINTF(2, 3);
static void say(struct sentence *sentence, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t room = DEATH_WHY - sentence->used;
    int count = vsnprintf(sentence->out + sentence->used, room, fmt, args);
    va_end(args);
    sentence->used += count < 0 ? 0 : (size_t)count < room ? (size_t)count : room - 1;
}

static void say_bytes(struct sentence *sentence, uint64_t bytes)
{
    if (bytes != SHOAL_ABSENT)
        say(sentence, " of %.1f MiB", (double)bytes / (1 << 20));
}

static void say_victim(struct sentence *sentence, const struct oom *oom)
{
    if (oom->about.victim_comm != NULL)
        say(sentence, "%s (pid %d)", oom->about.victim_comm, (int)oom->about.victim_pid);
    else
        say(sentence, "a process");
}

static void say_oom(struct sentence *sentence, const struct oom *oom)
{
    const struct shoal_oom *about = &oom->about;
    if (strcmp(about->level, "own") == 0)
        say(sentence, "out of memory: its own limit");
    else if (about->cgroup[0] == '\0')
        say(sentence, "out of memory: that of the host is used up");
    else
        say(sentence, "out of memory: the limit of its %s, %s,", about->level, about->cgroup);
    if (about->cgroup[0] != '\0') {
        say_bytes(sentence, about->limit_bytes);
        say(sentence, " was hit");
    }
    say(sentence, "; the kernel killed ");
    say_victim(sentence, oom);
    if (oom->all)
        say(sentence, " and all that was left in it");
}

static void say_signal(struct sentence *sentence, const struct container *c)
{
    const char *word = sigabbrev_np(c->signal), *by = death_find_by(c, SHOAL_CAUSE_SIGNAL);
    char name[16];
    if (word != NULL)
        (void)snprintf(name, sizeof name, "SIG%s", word);
    else
        (void)snprintf(name, sizeof name, "signal %d", c->signal);
    if (c->command_signal != 0)
        say(sentence, "its command was ended by %s, from a process inside or on the host", name);
    else if (by == NULL)
        say(sentence, "ended by %s", name);
    else if (strcmp(by, "self") == 0)
        say(sentence, "ended by %s, a fault of its own", name);
    else
        say(sentence, "killed by %s from outside: no process inside can do that to the first one", name);
}

static void say_stop(struct sentence *sentence, const struct container *c)
{
    const char *word = sigabbrev_np(c->service->stop_signal);
    if (c->grace_over)
        say(sentence, "did not end within %llu ms of SIG%s: killed", (unsigned long long)c->service->stop_grace_ms,
            word != NULL ? word : "?");
    else if (c->killed)
        say(sentence, "stopped: killed at once");
    else
        say(sentence, "stopped: ended %llu ms after SIG%s", (unsigned long long)(c->died_usec - c->stop_usec) / 1000,
            word != NULL ? word : "?");
}

static void say_limit(struct sentence *sentence, const char *what, uint64_t ms, const char *key)
{
    say(sentence, "%s %.3g s (x-shoal.limits.%s): killed", what, (double)ms / 1000, key);
}

/* What may be behind an end that it chose itself. */
static void say_hints(struct sentence *sentence, const struct container *c, const shoal_sample_t *sample)
{
    if (sample->pids.refused != SHOAL_ABSENT && sample->pids.refused > 0)
        say(sentence, "; pids.max (%llu) had refused it a task %llu times", (unsigned long long)sample->pids.max,
            (unsigned long long)sample->pids.refused);
    if (c->oom == NULL || c->oom->kills == 0)
        return;
    say(sentence, "; before, the kernel killed ");
    say_victim(sentence, c->oom);
    say(sentence, " in it for lack of memory");
}

void death_explain(const struct container *c, shoal_cause_t cause, const shoal_sample_t *sample, char out[DEATH_WHY])
{
    struct sentence sentence = {.out = out};
    const shoal_deadlines_t *limits = &c->service->deadlines;
    out[0] = '\0';
    switch (cause) {
    case SHOAL_CAUSE_EXIT:
        say(&sentence, "exited with %d", c->exit_code);
        say_hints(&sentence, c, sample);
        break;
    case SHOAL_CAUSE_SIGNAL:
        say_signal(&sentence, c);
        say_hints(&sentence, c, sample);
        break;
    case SHOAL_CAUSE_OOM:
        say_oom(&sentence, c->oom);
        break;
    case SHOAL_CAUSE_STOP:
    case SHOAL_CAUSE_STOP_TIMEOUT:
        say_stop(&sentence, c);
        break;
    case SHOAL_CAUSE_TIMEOUT:
        say_limit(&sentence, "ran longer than", limits->wall_ms, "wall");
        break;
    case SHOAL_CAUSE_CPU_TIME:
        say_limit(&sentence, "used more CPU time than", limits->cpu_ms, "cpu");
        break;
    case SHOAL_CAUSE_IDLE:
        say_limit(&sentence, "did nothing for longer than", limits->idle_ms, "idle");
        break;
    case SHOAL_CAUSE_TTL:
        say_limit(&sentence, "lived longer than", limits->ttl_ms, "ttl");
        break;
    case SHOAL_CAUSE_OUTPUT:
        say(&sentence, "printed more than %llu bytes (x-shoal.limits.output): killed",
            (unsigned long long)limits->output_bytes);
        break;
    case SHOAL_CAUSE_PRESSURE:
        say(&sentence, "waited too long for %s (x-shoal.pressure): killed", c->pressed_for);
        break;
    case SHOAL_CAUSE_LOST:
        say(&sentence, "ended, and its status was lost to another");
        break;
    case SHOAL_CAUSE_FAILED:
        break; /* it never ran: its error is the sentence */
    }
}
