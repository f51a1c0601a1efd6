/* Names of capabilities, as capabilities(7) and linux/capability.h have them. Numbers 0..63; no kernel call. */
#ifndef BASE_CAPABILITY_H
#define BASE_CAPABILITY_H

/* "CAP_NET_ADMIN", "NET_ADMIN" or "net_admin". Returns 0, -EINVAL no such name. */
int capability_parse(const char *name, unsigned *out_bit);

/* "CAP_NET_ADMIN"; NULL for a number without a name. */
const char *capability_name(unsigned bit);

#endif
