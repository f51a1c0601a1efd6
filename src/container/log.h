/* A container's log: Docker's json-file format ({"log":"line\n","stream":"stdout","time":"..."}), rotated as max-size and
 * max-file say. Lines are gathered in memory and written by a worker thread; no descriptor is held between writes. */
#ifndef CONTAINER_LOG_H
#define CONTAINER_LOG_H

#include <uv.h>

#include "shoal/error.h"

struct log;

/* path: of the newest file, absolute; older ones are path.1, path.2, ... Missing folders are made. max_bytes 0: no
 * rotation. max_files counts the newest too. on_room: called from the loop when pending output has fallen below half of LOG_HIGH_BYTES after
 * it had been above it. Makes no system call itself. */
enum { LOG_HIGH_BYTES = 128 << 10 };
int log_open(struct log **out, uv_loop_t *loop, const char *path, uint64_t max_bytes, unsigned max_files,
             void (*on_room)(void *data), void *data, shoal_error_t *err);

/* Take bytes of stream (1 stdout, 2 stderr) as read from the pipe. A line without its end waits for it, at most 16 KiB (then
 * it is written as a partial line, as Docker does). Always takes all. Returns the bytes that are not written yet: at
 * LOG_HIGH_BYTES or more the caller stops reading until on_room. When the disk refuses (full, read-only), what was gathered
 * is dropped and counted, and later output is tried again. */
size_t log_append(struct log *log, int stream, const char *bytes, size_t count);

/* End of a stream: write out a line without its end. */
void log_end_stream(struct log *log, int stream);

/* Bytes lost so far to a disk that refused, as they would stand in the file, and the last reason (0: none). */
uint64_t log_dropped(const struct log *log, int *out_code);

/* Write out what is pending, then cb once from the loop, never from inside the call. */
void log_close(struct log *log, void (*cb)(void *data), void *data);

#endif
