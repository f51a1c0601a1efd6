#include "supervisor/inside.h"

bool restart_decide(const shoal_restart_t *policy, const struct restart_facts *facts, unsigned *out_attempt,
                    const char **out_reason)
{
    static const char *const wanted[] = {
        [SHOAL_RESTART_NO] = "restart is no",
        [SHOAL_RESTART_ALWAYS] = "restart is always",
        [SHOAL_RESTART_ON_FAILURE] = "restart is on-failure",
        [SHOAL_RESTART_UNLESS_STOPPED] = "restart is unless-stopped",
    };
    *out_reason = wanted[policy->policy];
    if (policy->policy == SHOAL_RESTART_NO)
        return false;
    if (policy->policy == SHOAL_RESTART_ON_FAILURE && facts->exit_code == 0) {
        *out_reason = "restart is on-failure, and it ended with 0";
        return false;
    }
    if (facts->never_ran &&
        !facts->ever_ran) { /* as with docker: a policy begins to count after the first good start */
        *out_reason = "it has never run";
        return false;
    }
    bool healthy = !facts->never_ran && facts->wall_ms >= policy->reset_ms;
    bool outside_window = policy->window_ms > 0 && !facts->never_ran && facts->wall_ms >= policy->window_ms;
    unsigned attempts = healthy || outside_window ? 0 : facts->attempts;
    if (policy->max_attempts > 0 && attempts >= (unsigned)policy->max_attempts) {
        *out_reason = "it was started again as often as its policy says";
        return false;
    }
    *out_attempt = attempts + 1;
    return true;
}

uint64_t restart_delay_usec(const shoal_restart_t *policy, unsigned attempt, uint32_t random)
{
    double delay_ms = (double)policy->first_ms;
    for (unsigned i = 1; i < attempt && delay_ms < (double)policy->max_ms; i++)
        delay_ms *= policy->factor;
    if (delay_ms > (double)policy->max_ms)
        delay_ms = (double)policy->max_ms;
    double spread = ((double)random / UINT32_MAX * 2 - 1) * policy->jitter;
    return (uint64_t)(delay_ms * (1 + spread) * 1000);
}
