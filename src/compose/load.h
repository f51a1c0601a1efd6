/* One load under way: where its findings, its variables and its spec are. What the room's files share. */
#ifndef COMPOSE_LOAD_H
#define COMPOSE_LOAD_H

#include "base/base.h"
#include "compose/arena.h"
#include "compose/compose.h"
#include "compose/names.h"
#include "compose/node.h"

/* Where a reader stands: a chain from the value up to the file's root, for "services.web.volumes.0". */
struct place {
    const struct place *outer; /* NULL: the root */
    const char *word;          /* the key; NULL: an item of a list */
    size_t index;
    uint16_t file; /* of the load's */
    int line, column;
    const char *variable; /* that the value came from */
    bool profiled;        /* it stands in a profile, and the service above it does not */
};

struct variable {
    const char *name, *value;
};

/* Variables, in the order their names first came. */
struct environment {
    struct environment *outer;      /* goes before this one; outlives it */
    struct environment *next_owned; /* of the load */
    struct arena arena;
    struct names names;    /* number: index into list */
    struct variable *list; /* owned */
    size_t count, room;
};

/* The restart keys of one x-shoal section; what is not set is -1. */
struct restart_draft {
    int64_t first_ms, max_ms, reset_ms;
    int64_t factor_millionths, jitter_millionths;
};

/* When to start again, as one of its two forms said it. */
struct policy_draft {
    bool set;
    shoal_restart_policy_t policy;
    int64_t max_attempts;
};

/* What a service's keys said that the spec has no field for, kept until all of them are read. The places are those of
 * the service's own keys: what is deeper is gone by then. */
struct draft {
    const struct place *at;
    struct place networks_at, restart_at;
    const struct node *networks;                     /* NULL: not written */
    struct policy_draft restart_short, restart_long; /* restart; deploy.restart_policy */
    struct restart_draft restart;                    /* x-shoal.restart */
    int64_t delay_ms;                                /* deploy.restart_policy.delay; -1 not set */
    struct names sysctl_names, mount_targets;
    size_t mount_room, io_room;
};

struct scope;
struct regex_store;

/* Files that are being read, each named by the one outside it. */
struct including {
    const struct including *outer;
    const char *file;
};

/* A file whose services others extend, read once. */
struct extended_file {
    struct extended_file *next;
    const char *path;
    const struct environment *variables; /* that were seen */
    const struct scope *scope;           /* NULL: it could not be read, which was said */
};

struct finding;

enum { LOAD_PORTS = 100000 }; /* of a fleet, ranges counted one by one */

struct load {
    const shoal_compose_options_t *options;
    compose_read_cb read;
    shoal_spec_t *spec;
    struct arena *arena; /* the spec's */
    struct arena nodes;
    bool touches_files;            /* links may be looked at: not when a test gives the files */
    const char *directory;         /* absolute; base of relative paths */
    const char *working_directory; /* absolute; NULL: gone */
    struct environment *variables; /* what interpolation sees */
    struct environment *owned_variables;
    const char *project; /* NULL until it is known */
    bool named_by_file;  /* and not by -p or the environment */
    const char **profiles;
    size_t profile_count;
    struct names warned; /* variables that were called unset */
    size_t interpolation_budget, envfile_budget, bytes_read, port_budget;
    bool interpolation_spent;
    bool no_interpolation, no_normalization, keep_paths, keep_env_files; /* `config`'s */
    bool silent;       /* what is wrong is not said: who asks does without an answer */
    bool lenient;      /* what is not carried out is a warning */
    bool reading_spec; /* what is found now is shoal's, not the language's */
    bool main_text_unread;

    const char **files; /* in the spec's arena; a node's number is an index */
    size_t file_count, file_room;
    const struct including *including;
    struct extended_file *extended_files;
    struct node *inactive;        /* services whose profiles are not active */
    struct regex_store *patterns; /* owned; compiled on first use */
    const struct node *indexed;   /* what service_index is of */
    struct node_index service_index;

    struct finding *findings; /* owned */
    size_t finding_count, finding_room, findings_dropped;
    bool has_error, out_of_memory;

    struct place services_at, networks_at;
    const struct node *services;
    struct names service_names, network_names, volume_names; /* number: index into the spec's, or `networks` here */
    shoal_network_t *networks;                               /* all of the file; the spec gets those in use */
    bool *network_used;
    size_t network_count;
    struct restart_draft restart; /* x-shoal.restart of the file */
    struct draft *draft;          /* of the service being read */
    struct group_choice *choices; /* of services, whose groups are not known yet */
};

/* diagnose.c: findings are kept and given out sorted, so that they come in the order of the file. */
void load_error(struct load *load, const struct place *at, const char *fmt, ...) SHOAL_PRINTF(3, 4);
void load_warning(struct load *load, const struct place *at, const char *fmt, ...) SHOAL_PRINTF(3, 4);
/* What the language allows and shoal does not carry out: an error, of `config` a warning. */
void load_unsupported(struct load *load, const struct place *at, const char *fmt, ...) SHOAL_PRINTF(3, 4);
void load_find(struct load *load, shoal_severity_t severity, unsigned file, int line, int column, const char *text);
bool load_is_full(const struct load *load); /* no more findings are kept: spare the work for their text */
void load_report(struct load *load, shoal_diagnostic_cb cb, void *data);
void load_free_findings(struct load *load);
struct place place_key(const struct place *outer, const struct node_entry *entry);
struct place place_item(const struct place *outer, const struct node *list, size_t index);
shoal_position_t place_position(const struct load *load, const struct place *at);

/* Refuse memory once, cleanly: what is NULL makes the load fail in the end. */
static inline bool load_got(struct load *load, const void *pointer)
{
    if (pointer == NULL)
        load->out_of_memory = true;
    return pointer != NULL;
}
#define LOAD_GOT(load, pointer) __builtin_expect(load_got(load, pointer), 1)

/* environment.c */
int environment_fill(struct environment *e, const char *const *list); /* "NAME=value"; 0 or -ENOMEM */
int environment_put(struct environment *e, const char *name, const char *value, bool replace);
const char *environment_get(const struct environment *e, const char *name);
void environment_free(struct environment *e);
void load_dotenv(struct load *load);
const char *load_variable(void *load, const char *name); /* interpolation's lookup */
/* A file's variables into `into`; false and a finding when it is wrong, or missing and not optional. */
bool load_variables_file(struct load *load, const struct place *at, struct environment *into, const char *path,
                         bool optional);

/* project.c */
void load_directory(struct load *load, const char *first_file);
bool load_is_directory(const struct load *load, const char *path);
int load_read_stdin(size_t limit, char **out_bytes, size_t *out_count, shoal_error_t *err);
const char **load_split(struct load *load, const char *text, char separator); /* NULL at the end; trimmed, none empty */
bool load_add_profile(struct load *load, const char *name);                   /* false: it was there */
void load_profiles(struct load *load);
/* The files to load, from the options, COMPOSE_FILE, or found in a directory; NULL and a finding: none. */
const char **load_files(struct load *load);
/* Settle load->project from -p, COMPOSE_PROJECT_NAME, name: (may be NULL) and the directory. */
void load_project(struct load *load, const struct place *name_at, const struct node *name);

/* model.c */
const char *load_file_name(const struct load *load, unsigned file);
uint16_t load_file_number(const struct load *load, const shoal_position_t *at);
const char *load_directory_of(struct load *load, const char *path); /* NULL: no memory, noted */

/* services.c, networks.c, restart.c, check.c: the spec from the model */
void read_spec(struct load *load, struct node *model);
void read_services(struct load *load);
/* Some of a service's keys, outside of one. service: zeroed; a reader may keep what it reads there. */
void read_scratch_service(struct load *load, const struct place *at, const struct node *map, shoal_service_t *service);
void settle_groups(struct load *load); /* groups.c: behind the services, which name theirs */
void read_service_networks(struct load *load, shoal_service_t *service);
void finish_restart(struct load *load, shoal_service_t *service);
void settle_networks(struct load *load); /* those in use, into the spec */
void finish_service(struct load *load, shoal_service_t *service);
/* Of one service, group or budget; outer: where that stands. */
void check_limits_together(struct load *load, const struct place *outer, const shoal_limits_t *limits);
void check_fleet(struct load *load);
void read_fixed(struct load *load, const struct place *at, const struct node *model); /* fixed.c */

#endif
