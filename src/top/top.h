/* top: a stream of records, as stdout of `shoal up` carries it, shown as a live table or as one plain one. It reads lines of
 * foreign bytes, keeps what they say of each container, and draws it; it knows the stream's format and nothing of the rooms
 * that wrote it. It owns its terminal while a screen is open. */
#ifndef TOP_TOP_H
#define TOP_TOP_H

#include <stdio.h>

#include "shoal/error.h"

/* Show the stream on the terminal that out is, keys from tty_fd, until somebody quits. Stays open when the stream has ended.
 * stream_fd: any descriptor; non-blocking where that matters to nobody else.  Returns 0, -ENOTTY no such terminal type. */
int top_show(int stream_fd, int tty_fd, FILE *out, shoal_error_t *err);
/* Read until two rounds of samples have come, so that there are rates, or to the end; print one table to out.
 * Returns 0, or -errno of a read. */
int top_print(int stream_fd, FILE *out, shoal_error_t *err);

#endif
