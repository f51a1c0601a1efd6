/* Capability sets as 64-bit masks (bit n: capability n) and what the running kernel knows of them. */
#ifndef KERNEL_CAPS_H
#define KERNEL_CAPS_H

#include <stdint.h>

#define CAPS_ALL UINT64_MAX /* as added or dropped: "ALL" */

/* What a sandbox has unless its file says otherwise: Docker's default set less NET_RAW. */
uint64_t caps_default(void);

/* Every capability of the running kernel (/proc/sys/kernel/cap_last_cap; else those we have names for). */
uint64_t caps_known(void);

/* With or without CAP_, in any case. Returns 0, -EINVAL no such name, -EOPNOTSUPP the running kernel has it not. */
int caps_parse(const char *name, unsigned *out_bit);

/* Docker's rule for cap_add and cap_drop: add ALL gives all but the dropped ones; drop ALL gives the added ones alone;
 * else the default set less the dropped plus the added ones. Never more than caps_known(). */
uint64_t caps_resolve(uint64_t add, uint64_t drop);

#endif
