/* Names of resource limits as `ulimits:` and limits.conf(5) have them: "nofile" is RLIMIT_NOFILE of getrlimit(2). */
#ifndef BASE_RLIMIT_H
#define BASE_RLIMIT_H

/* Returns 0, -EINVAL no such name. */
int rlimit_parse(const char *name, int *out_resource);

/* "nofile"; NULL for a number that is no resource. */
const char *rlimit_name(int resource);

#endif
