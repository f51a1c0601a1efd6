/* fleet.c: the fleet in motion. */
#ifndef SUPERVISOR_FLEET_H
#define SUPERVISOR_FLEET_H

#include "supervisor/inside.h"

void fleet_init(shoal_supervisor_t *s);             /* timers and the containers' owner */
void supervisor_close_parts(shoal_supervisor_t *s); /* supervisor.c: all members are gone */

#endif
