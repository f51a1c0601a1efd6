/* Directories of root file systems made ahead: those of the next few in the order of the file, one at a time, so that a start
 * does not wait for the disk and starts that are under way do not wait for this. */
#include "supervisor/fleet.h"

enum { AHEAD_MOST = 8 }; /* beyond as many as have been started */

void ahead_go_on(shoal_supervisor_t *s)
{
    while (!s->ahead.busy && s->ahead.next < s->member_count && s->ahead.next < s->starts + AHEAD_MOST) {
        const struct member *member = &s->members[s->ahead.next++];
        if (member->container != NULL && !member->closing && !member->done)
            s->ahead.busy = container_make_ahead(member->container);
    }
}

void ahead_on_made(void *data)
{
    shoal_supervisor_t *s = data;
    s->ahead.busy = false;
    if (s->phase == PHASE_UP)
        ahead_go_on(s);
}
