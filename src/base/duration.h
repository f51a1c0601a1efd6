/* Durations as the Compose specification writes them: "1h30m", "10s", "500ms", "1.5s"; "us" too. */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <stdint.h>

/* Returns 0 and the duration in milliseconds (rounded down), -EINVAL what is no duration, -ERANGE over 2^53 ms. */
int duration_parse_ms(const char *text, uint64_t *out_ms);

#endif
