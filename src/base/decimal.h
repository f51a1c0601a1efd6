/* Decimal fractions as people write them, exact. */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include <stdint.h>

/* Read digits with an optional fraction at the begin of text, scaled by 10^places and rounded half up; *out_rest is what
 * stands behind them. Returns 0, -EINVAL no digit, -ERANGE over 64 bits. */
int decimal_read(const char *text, unsigned places, uint64_t *out, const char **out_rest);

#endif
