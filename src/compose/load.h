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
    int line, column;
};

struct variable {
    const char *name, *value;
};

/* Variables, in the order their names first came. */
struct environment {
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
    bool has_image;           /* or build, which is an error of its own */
    const char *replicas_key; /* "scale" or "deploy.replicas": which one set service->replicas */
    struct place container_name_at, networks_at, restart_at, env_file_at, environment_at;
    const struct node *networks, *env_file, *environment; /* NULL: not written */
    struct policy_draft restart_short, restart_long;      /* restart; deploy.restart_policy */
    struct restart_draft restart;                         /* x-shoal.restart */
    int64_t delay_ms;                                     /* deploy.restart_policy.delay; -1 not set */
    struct names mount_targets, sysctl_names;
    size_t mount_room, io_room;
};

struct finding;

struct load {
    const shoal_compose_options_t *options;
    compose_read_cb read;
    shoal_spec_t *spec;
    struct arena *arena; /* the spec's */
    struct arena nodes;
    const char *file;      /* in the spec's arena */
    const char *directory; /* absolute; base of relative paths */
    struct environment variables;
    const char *project; /* NULL until it is known */
    struct names warned; /* variables that were called unset */
    size_t interpolation_budget, envfile_budget;
    bool interpolation_spent;

    struct finding *findings; /* owned */
    size_t finding_count, finding_room, findings_dropped;
    bool has_error, out_of_memory;

    struct place services_at, networks_at;
    const struct node *services;
    struct names service_names, network_names, volume_names; /* number: index into the spec's, or `networks` here */
    struct names container_names;
    shoal_network_t *networks; /* all of the file; the spec gets those in use */
    bool *network_used;
    size_t network_count;
    struct restart_draft restart; /* x-shoal.restart of the file */
    struct draft *draft;          /* of the service being read */
};

/* diagnose.c: findings are kept and given out sorted, so that they come in the order of the file. */
void load_error(struct load *load, const struct place *at, const char *fmt, ...) SHOAL_PRINTF(3, 4);
void load_warning(struct load *load, const struct place *at, const char *fmt, ...) SHOAL_PRINTF(3, 4);
void load_find(struct load *load, shoal_severity_t severity, int line, int column, const char *text);
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
void load_interpolate(struct load *load, struct node *root);
void load_interpolate_name(struct load *load, const struct place *at, struct node *name);
const char *load_variable(void *load, const char *name); /* interpolation's lookup */
void read_environment(struct load *load, shoal_service_t *service);

/* project.c */
void load_directory(struct load *load);
const char *load_path(struct load *load, const struct place *at, const char *path); /* ~ and relative ones too */

/* The fleet file's bytes (free them), or NULL with a finding. */
char *load_fleet_text(struct load *load, size_t *out_count);
/* Settle load->project from -p, COMPOSE_PROJECT_NAME, name: (may be NULL) and the directory. */
void load_project(struct load *load, const struct place *name_at, const struct node *name);

/* services.c, networks.c, restart.c, check.c */
void read_services(struct load *load);
void read_service_networks(struct load *load, shoal_service_t *service);
void finish_restart(struct load *load, shoal_service_t *service);
void settle_networks(struct load *load); /* those in use, into the spec */
void check_service(struct load *load, shoal_service_t *service);
void check_fleet(struct load *load);

#endif
