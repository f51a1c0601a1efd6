/* What the kernel says of our own process. SHOAL_ABSENT where it says nothing. */
#ifndef METRICS_PROCESS_H
#define METRICS_PROCESS_H

#include <stdint.h>

uint64_t process_read_rss_bytes(void);
void process_read_cpu_usec(uint64_t *out_user, uint64_t *out_system); /* of all threads, children not among them */
/* Open descriptors by one stat(2); SHOAL_ABSENT on kernels before 6.2. */
uint64_t process_stat_fds(void);
/* The same by reading the directory: milliseconds when there are thousands, so a worker thread calls it. */
uint64_t process_count_fds(void);

#endif
