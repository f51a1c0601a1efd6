/* Names of signals, signal(7). Numbers 1..64; real-time signals count from RTMIN (34 here: glibc keeps 32 and 33). */
#ifndef BASE_SIGNAL_H
#define BASE_SIGNAL_H

enum { SIGNAL_NAME_MAX = 16 };

/* "SIGTERM", "term", "15", "SIGRTMIN+3", "RTMAX-1". Returns 0, -EINVAL no such signal. */
int signal_parse(const char *text, int *out_number);

/* Write "SIGTERM" or "SIGRTMIN+3"; a number that is no signal becomes "SIG" and the number. Returns out. */
const char *signal_name(int number, char out[SIGNAL_NAME_MAX]);

#endif
