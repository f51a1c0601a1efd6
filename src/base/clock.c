#include <time.h>

#include "base/base.h"

static uint64_t read_clock_usec(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now); /* cannot fail for these two clocks */
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t base_monotonic_usec(void)
{
    return read_clock_usec(CLOCK_MONOTONIC);
}

uint64_t base_realtime_usec(void)
{
    return read_clock_usec(CLOCK_REALTIME);
}

void base_format_time(uint64_t realtime_usec, char out[32])
{
    time_t seconds = (time_t)(realtime_usec / 1000000u);
    struct tm parts;
    (void)gmtime_r(&seconds, &parts);
    size_t used = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(out + used, 32 - used, ".%06uZ", (unsigned)(realtime_usec % 1000000u));
}
