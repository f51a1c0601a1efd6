#include "base/base.h"
#include "shoal/event.h"

static const char *const event_names[SHOAL_EVENT_COUNT] = {
    [SHOAL_EVENT_CREATE] = "create",
    [SHOAL_EVENT_START] = "start",
    [SHOAL_EVENT_DIE] = "die",
    [SHOAL_EVENT_OOM] = "oom",
    [SHOAL_EVENT_KILL] = "kill",
    [SHOAL_EVENT_STOP] = "stop",
    [SHOAL_EVENT_PAUSE] = "pause",
    [SHOAL_EVENT_UNPAUSE] = "unpause",
    [SHOAL_EVENT_RESTART] = "restart",
    [SHOAL_EVENT_BACKOFF] = "backoff",
    [SHOAL_EVENT_UPDATE] = "update",
    [SHOAL_EVENT_LIMIT] = "limit",
    [SHOAL_EVENT_DESTROY] = "destroy",
    [SHOAL_EVENT_NETWORK_CONNECT] = "connect",
    [SHOAL_EVENT_NETWORK_DISCONNECT] = "disconnect",
    [SHOAL_EVENT_THROTTLE] = "throttle",
    [SHOAL_EVENT_POOL] = "pool",
    [SHOAL_EVENT_PRESSURE] = "pressure",
};

static const char *const cause_names[] = {
    [SHOAL_CAUSE_EXIT] = "exit",
    [SHOAL_CAUSE_SIGNAL] = "signal",
    [SHOAL_CAUSE_OOM] = "oom",
    [SHOAL_CAUSE_STOP] = "stop",
    [SHOAL_CAUSE_STOP_TIMEOUT] = "stop-timeout",
    [SHOAL_CAUSE_FAILED] = "failed",
    [SHOAL_CAUSE_LOST] = "lost",
    [SHOAL_CAUSE_TIMEOUT] = "timeout",
    [SHOAL_CAUSE_CPU_TIME] = "cpu-time",
    [SHOAL_CAUSE_IDLE] = "idle",
    [SHOAL_CAUSE_TTL] = "ttl",
    [SHOAL_CAUSE_OUTPUT] = "output",
    [SHOAL_CAUSE_PRESSURE] = "pressure",
};

const char *shoal_event_name(shoal_event_kind_t kind)
{
    return (size_t)kind < COUNT(event_names) ? event_names[kind] : "unknown";
}

const char *shoal_cause_name(shoal_cause_t cause)
{
    return (size_t)cause < COUNT(cause_names) ? cause_names[cause] : "unknown";
}
