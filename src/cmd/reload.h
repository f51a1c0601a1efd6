/* shoal up on SIGHUP: its files read again, what changed of the limits put in force. What is wrong with them is said on stderr, and
 * the fleet goes on as it was. */
#ifndef CMD_RELOAD_H
#define CMD_RELOAD_H

#include "cmd/cmd.h"
#include "cmd/logs.h"

struct reloading;
/* All borrowed. NULL: out of memory. */
struct reloading *reload_new(uv_loop_t *loop, const struct cmd_options *options, shoal_supervisor_t *supervisor,
                             struct logs *logs);
void reload_begin(struct reloading *r); /* once more behind the one that is under way */
void reload_stop(struct reloading *r);  /* the fleet ends: nothing is begun or said any more */
void reload_free(struct reloading *r);  /* behind the end of the loop */

#endif
