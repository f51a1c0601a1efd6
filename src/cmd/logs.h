/* The containers' output on stderr, line by line behind their names, and everything else that is said there while the loop
 * runs: written without ever waiting for the reader. */
#ifndef CMD_LOGS_H
#define CMD_LOGS_H

#include <uv.h>

#include "shoal/error.h"

struct logs;
int logs_open(struct logs **out, uv_loop_t *loop, shoal_error_t *err);
void logs_text(struct logs *logs, const char *text, size_t count); /* whole lines, as they are */
void logs_message(struct logs *logs, const char *text);            /* "shoal: text" */
/* Returns the bytes that could not be shown. */
size_t logs_output(struct logs *logs, const char *container, int stream, const char *bytes, size_t count);
void logs_close(struct logs *logs, void (*cb)(void *data), void *data);

#endif
