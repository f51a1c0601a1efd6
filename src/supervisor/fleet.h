/* fleet.c: the fleet in motion. */
#ifndef SUPERVISOR_FLEET_H
#define SUPERVISOR_FLEET_H

#include "supervisor/inside.h"

void fleet_init(shoal_supervisor_t *s);     /* timers and the containers' owner */
void fleet_schedule(shoal_supervisor_t *s); /* look at starts and ends in the loop's next turn */
void fleet_revive(struct member *member);   /* it shall run, whatever it does now; what is stopping starts again then */
void ahead_go_on(shoal_supervisor_t *s);    /* ahead.c: make what will be started soon */
void ahead_on_made(void *data);             /* struct container_owner */
uint32_t fleet_random(void);                /* for jitter */
void supervisor_close_parts(shoal_supervisor_t *s); /* supervisor.c: all members are gone */

#endif
