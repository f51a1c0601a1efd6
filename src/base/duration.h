/* Durations as the Compose specification writes them: "1h30m", "10s", "500ms", "1.5s", "0"; units ns, us, ms, s, m, h, d, w. */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <stdint.h>

/* Returns 0 and the duration in milliseconds (rounded up), -EINVAL what is no duration, -ERANGE too long for 64 bits. */
int duration_parse_ms(const char *text, uint64_t *out_ms);

#endif
