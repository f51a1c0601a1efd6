/* Pressure stall information of the whole host: for how long some task had to wait for a resource.
 * Source: Documentation/accounting/psi.rst. */
#ifndef KERNEL_PRESSURE_H
#define KERNEL_PRESSURE_H

#include <stdint.h>

enum pressure_kind { PRESSURE_CPU, PRESSURE_MEMORY, PRESSURE_IO, PRESSURE_COUNT };
const char *pressure_name(enum pressure_kind kind); /* of the file in /proc/pressure: "cpu" */

/* The three files, kept open: a read at 0 gives what is true now, so that nothing has to be opened each time. */
struct pressure {
    int fds[PRESSURE_COUNT]; /* -1: a kernel without (CONFIG_PSI=n, psi=0) */
};
void pressure_open(struct pressure *pressure);
void pressure_close(struct pressure *pressure);

#define PRESSURE_ABSENT UINT64_MAX

/* Microseconds since boot in which some task waited. A few short loops over the CPUs: nothing that waits.
 * PRESSURE_ABSENT where the kernel does not say. */
uint64_t pressure_read_some_usec(const struct pressure *pressure, enum pressure_kind kind);

/* The total of the line "some ..." of such a file. */
uint64_t pressure_parse_some_usec(const char *text);

#endif
