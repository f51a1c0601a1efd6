/* control.c and action.c: requests of the caller. A part is one request at one member. */
#ifndef SUPERVISOR_CONTROL_H
#define SUPERVISOR_CONTROL_H

#include "shoal/control.h"
#include "supervisor/inside.h"

enum control_verdict { CONTROL_WAITS, CONTROL_DONE, CONTROL_UNCHANGED, CONTROL_REFUSED, CONTROL_FAILED };

struct control_part {
    struct control_part *next; /* of the member's */
    struct control *control;
    const shoal_control_t *wanted;
    bool begun; /* something was done about it */
};

/* action.c: the next step of a part. err: filled with CONTROL_REFUSED and CONTROL_FAILED. Takes parts of others away from the
 * member in the first call alone, in which the part itself is not among them yet. */
enum control_verdict action_step(struct member *member, struct control_part *part, shoal_error_t *err);

/* control.c: fail the parts that wait for some actions (1u << SHOAL_ACTION_*) at a member: another request says otherwise. */
void control_overtake(struct member *member, unsigned actions, const char *by);

#endif
