/* What a fleet needs of each limit of the host, against what the host has. */
#ifndef SHOAL_PREFLIGHT_H
#define SHOAL_PREFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "spec.h"
#include "supervisor.h"

/** FITS; TIGHT: less than a tenth is left over, or it is an estimate that does not fit; LACKS: the fleet cannot run here. */
typedef enum shoal_verdict { SHOAL_FITS, SHOAL_TIGHT, SHOAL_LACKS } shoal_verdict_t;

SHOAL_API const char *shoal_verdict_name(shoal_verdict_t verdict);

/** Called for each limit that this host has. Everything is valid during the call only. */
typedef void (*shoal_resource_cb)(void *data, const shoal_resource_t *resource, shoal_verdict_t verdict);

/** Hold the fleet against the host; nothing is started or made. Blocks (reads files below /proc and /sys).
 *  spec: borrowed for the call.  options: on_message is told what a controller, a command or x-shoal.disk lacks, and a limit where cb is NULL; of the directories
 *  only root_dir is looked at, for its file system.  cb: may be NULL.  Returns 0 it fits, -ENOTSUP it does not, -EINVAL a service has no command,
 *  -ENOENT no cgroup2 mount, -ENOMEM.  Source: cgroup-v2.rst, proc(5), namespaces(7), inotify(7), arp(7). */
SHOAL_API int shoal_preflight(const shoal_spec_t *spec, const shoal_supervisor_options_t *options, shoal_resource_cb cb,
                              void *data, shoal_error_t *err);

#endif
