/* The key tables: every key of the Compose specification is a row, carried out or not. The rows drive the reading, the
 * errors and the manual page. */
#ifndef COMPOSE_KEYS_H
#define COMPOSE_KEYS_H

#include "compose/load.h"

struct key;
struct section;

/* Reads one value into object, which belongs to the section: a service, a network, a struct of its own. */
typedef void (*key_read_fn)(struct load *load, const struct place *at, const struct key *key, struct node *value,
                            void *object);

struct key {
    const char *name;
    const char *full;              /* limits: the name from the service on, where it is not `name` */
    key_read_fn read;              /* NULL: not supported yet, or refused */
    const char *refused;           /* the reason why it never will be */
    size_t offset;                 /* of the member in object, for the plain readers */
    const struct section *section; /* read_nested: what is inside */
    int64_t min, max;              /* plain readers; max 0: none */
    bool needed;
    bool false_is_fine; /* not carried out, but `false` says what is so anyway */
    const char *form;   /* manual: what is written there */
    const char *doc;    /* manual: what it does */
};

struct section {
    const char *title; /* manual: "services.NAME" */
    const char *doc;
    const struct key *keys;
    size_t count;
    bool extensions; /* x- keys may stand here */
};

/* Read a mapping by its table. Returns false when it is none. */
bool read_section(struct load *load, const struct place *at, const struct section *section, const struct node *map,
                  void *object);

/* Rows' readers that need no file of their own. */
void read_nested(struct load *, const struct place *, const struct key *, struct node *,
                 void *); /* key->section, same object */
void read_text(struct load *, const struct place *, const struct key *, struct node *, void *);     /* char * */
void read_flag(struct load *, const struct place *, const struct key *, struct node *, void *);     /* bool */
void read_size(struct load *, const struct place *, const struct key *, struct node *, void *);     /* uint64_t bytes */
void read_duration(struct load *, const struct place *, const struct key *, struct node *, void *); /* int64_t ms */
void read_strings(struct load *, const struct place *, const struct key *, struct node *, void *); /* shoal_strings_t */
void read_nothing(struct load *, const struct place *, const struct key *, struct node *,
                  void *); /* carried, not read */

/* Values. All report what is wrong and return false then. */
bool take_text(struct load *load, const struct place *at, const struct node *node, const char **out); /* text alone */
bool take_scalar(struct load *load, const struct place *at, const struct node *node,
                 const char **out); /* numbers too */
bool take_flag(struct load *load, const struct place *at, const struct node *node, bool *out);
bool take_integer(struct load *load, const struct place *at, const struct node *node, int64_t min, int64_t max,
                  int64_t *out);
bool take_size(struct load *load, const struct place *at, const struct node *node, uint64_t *out_bytes);
bool take_duration(struct load *load, const struct place *at, const struct node *node, uint64_t *out_ms);
bool take_kind(struct load *load, const struct place *at, const struct node *node, enum node_kind kind);
char *keep(struct load *load, const char *text); /* a copy in the spec; NULL when out of memory, which is noted */

/* Each NAME=value of a mapping or a list. value is NULL where there is only a name. separators: of the list's form. */
typedef void (*pair_fn)(struct load *load, const struct place *at, const char *name, const char *value, void *data);
void each_pair(struct load *load, const struct place *at, const struct node *node, const char *separators, pair_fn fn,
               void *data);

/* "; did you mean "x"?" for the nearest of the section's keys, or "". out: 120 bytes. */
const char *nearest_key(const struct section *section, const char *word, char out[120]);
const char *nearest_word(const char *const *words, size_t count, const char *word, char out[120]);

/* A name that ends in /etc/hosts: letters, digits, . _ -; at most 253. Reports. */
bool check_host(struct load *load, const struct place *at, const char *name);

#define SECTION(title, doc, keys, extensions)                                                                          \
    {                                                                                                                  \
        title, doc, keys, COUNT(keys), extensions                                                                      \
    }
extern const struct section fleet_section, fleet_x_section, service_section, service_x_section, network_section,
    network_x_section, volume_section, deploy_section, limits_section, reservations_section, policy_section,
    restart_section, blkio_section, rate_section, logging_section, ulimit_section, depends_section, env_file_section,
    mount_section, mount_bind_section, mount_tmpfs_section, mount_volume_section, attachment_section, ipam_section,
    subnet_section;

/* Readers of rows, by the file they are in. */
#define READER(name) void name(struct load *, const struct place *, const struct key *, struct node *, void *)
READER(read_networks); /* networks.c */
READER(read_volumes);  /* mounts.c */
READER(read_tmpfs);
READER(read_mounts);
READER(read_memory_limit); /* limits.c; offset: shoal_limit_kind_t */
READER(read_memory_swap);
READER(read_cpus);
READER(read_cpu_shares);
READER(read_cpuset);
READER(read_pids);
READER(read_rates);
READER(read_ulimits);
READER(read_restart); /* restart.c */
READER(read_restart_policy);
READER(read_image); /* process.c */
READER(read_command);
READER(read_environment_later);
READER(read_env_file_later);
READER(read_host_name);
READER(read_user);
READER(read_groups);
READER(read_directory);
READER(read_stop_signal);
READER(read_capabilities); /* security.c */
READER(read_security_opt);
READER(read_sysctls);
READER(read_logging); /* logging.c */

extern const struct section governor_section, pressure_section; /* governor.c */
READER(read_governor);

/* The member of object that a row's offset names. */
#define AT(type, object, offset) ((type *)(void *)((char *)(object) + (offset)))

/* Name of a service, network or volume: [a-zA-Z0-9][a-zA-Z0-9._-]*, at most 100. Reports. */
bool check_name(struct load *load, const struct place *at, const char *what, const char *name);

#endif
