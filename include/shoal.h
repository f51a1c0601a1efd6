/* shoal: supervise fleets of Linux sandboxes on the caller's own libuv loop.
 * Everything here is called from the loop's thread. No global state, no signal handlers, no exit(). */
#ifndef SHOAL_H
#define SHOAL_H

#include "shoal/compose.h"
#include "shoal/control.h"
#include "shoal/error.h"
#include "shoal/event.h"
#include "shoal/preflight.h"
#include "shoal/sample.h"
#include "shoal/spec.h"
#include "shoal/supervisor.h"

#endif
