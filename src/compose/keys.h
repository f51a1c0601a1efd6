/* The key tables: every key of the Compose specification is a row, carried out or not. A row's kind is what the language
 * says of it: what may be written, how two files' values merge, what a short form stands for, what it becomes. Its reader
 * is what shoal makes of it. The rows drive all stages of a load, the errors, the manual page, docs/compose.md and the
 * JSON schema; their order is that in which `shoal config` prints. */
#ifndef COMPOSE_KEYS_H
#define COMPOSE_KEYS_H

#include "compose/load.h"

struct key;
struct section;

/* Reads one value into object, which belongs to the section: a service, a network, a struct of its own. */
typedef void (*key_read_fn)(struct load *load, const struct place *at, const struct key *key, struct node *value,
                            void *object);

/* What may be written. */
enum {
    TAKES_NULL = 1,
    TAKES_BOOL = 2,
    TAKES_INTEGER = 4,
    TAKES_NUMBER = 8 | TAKES_INTEGER,
    TAKES_TEXT = 16,
    TAKES_LIST = 32,
    TAKES_MAP = 64,
    TAKES_ANY = 127
};

/* What it becomes (typed.c). "zero": 0, false, "" and what is empty are left out when printed. */
enum becomes {
    AS_WRITTEN,
    AS_NOTHING,        /* Compose takes it and forgets it */
    AS_TEXT,           /* zero */
    AS_FLAG,           /* zero */
    AS_FLAG_SET,       /* kept when written */
    AS_COUNT,          /* a whole number, zero */
    AS_COUNT_SET,      /* kept when written */
    AS_FLOAT,          /* of 32 bits, zero */
    AS_BYTES,          /* a size in bytes, printed as text; zero */
    AS_BYTES_SET,      /* kept */
    AS_DURATION,       /* zero */
    AS_DURATION_SET,   /* kept */
    AS_TEXTS,          /* a list of texts, also of one; zero */
    AS_COMMAND,        /* a list of words; an empty one says something */
    AS_TEST,           /* healthcheck.test */
    AS_PAIRS,          /* name to text; none is "" */
    AS_VARIABLES,      /* name to text; none stays none */
    AS_OPTIONS,        /* name to text; a mapping alone */
    AS_STRICT_OPTIONS, /* the same; of numbers only whole ones count as text */
    AS_SSH,            /* keys of a build */
    AS_OPTION_LISTS,   /* name to list of texts */
    AS_HOSTS,          /* name=address */
    AS_MODE,           /* octal */
    AS_ULIMIT,         /* one number or a section */
    AS_DEVICE_COUNT,   /* a number; "all" is -1 */
    AS_SECTION,        /* a mapping with keys of its own */
    AS_SECTION_ALWAYS, /* JSON has it even when it is not written */
    AS_LIST,           /* of items; zero */
    AS_NAMED           /* names to values; zero */
};

/* How a later file's value meets an earlier one's (merge.c). */
enum merge {
    MERGE_DEEP,    /* mappings by key, lists end to end, else the later one */
    MERGE_REPLACE, /* the later one */
    MERGE_PAIRS,   /* both as lists, end to end */
    MERGE_HOSTS,   /* the same without what is there already */
    MERGE_BUILD,   /* both as mappings with context */
    MERGE_DEPENDS, /* both as mappings of conditions */
    MERGE_NAMES,   /* both as mappings to nothing */
    MERGE_LOGGING, /* deep for the same driver, else the later one */
    MERGE_POOLS    /* by subnet */
};

/* By what two items of a list are the same, so that the later one takes the earlier one's place (merge.c). */
enum same {
    SAME_NEVER,
    SAME_NAME, /* the text up to = */
    SAME_TARGET,
    SAME_DEVICE,
    SAME_FILE, /* path of an env_file */
    SAME_VALUE,
    SAME_PORT,
    SAME_CONFIG,
    SAME_SECRET
};

/* How a relative path is made absolute (paths.c). */
enum path { PATH_NONE, PATH_PLAIN, PATH_UNIX, PATH_CONTEXT, PATH_LINK };

struct kind {
    unsigned takes;
    enum becomes becomes;
    const struct kind *items;      /* TAKES_LIST: of each; NULL: anything */
    const struct kind *values;     /* TAKES_MAP with names that are free */
    const struct section *section; /* TAKES_MAP with keys of its own */
    const char *names;        /* TAKES_MAP: what free names are made of; NULL: anything. As a pattern: ^[names]+$ */
    const char *const *words; /* the texts that are allowed, NULL at the end; NULL: all */
    const char *pattern;      /* a POSIX regular expression that a text must hold */
    bool unique;              /* items differ from each other */
    bool bounded;             /* numbers go from min to max */
    bool unsigned_value;      /* a number is not negative */
    bool strict;              /* a number in quotes is none */
    bool keep_zero;           /* 0 says something here, though Compose does not print it */
    bool yaml_zero;           /* ... but in YAML */
    int64_t min, max;
    enum merge merge;
    enum same same;
    enum path path;
    /* The long form of a value; NULL and a finding when it is none. May change and return `value`. */
    struct node *(*lengthen)(struct load *load, const struct place *at, struct node *value);
    /* What is added when it is not written, after all files. */
    void (*complete)(struct load *load, const struct place *at, struct node *value);
    const char *what; /* for people: "text or a list of texts"; NULL: made from takes */
};

/* What a reload makes of a key that has changed (fixed.c). */
enum reload {
    RELOAD_REFUSED,
    RELOAD_LIVE,  /* it is a limit, or shows in others alone */
    RELOAD_INSIDE /* its section's keys say so each */
};

struct key {
    const char *name;
    const struct kind *kind;       /* NULL: x-shoal's, that the language knows nothing of */
    const char *full;              /* limits: the name from the service on, where it is not `name` */
    key_read_fn read;              /* NULL: not supported yet, or refused */
    const char *refused;           /* the reason why it never will be */
    size_t offset;                 /* of the member in object, for the plain readers */
    const struct section *section; /* read_nested: what is inside */
    int64_t min, max;              /* plain readers; max 0: none */
    int64_t scale;                 /* min and max are in parts of so many; 0: in ones */
    const char *json_name;         /* where JSON's differs */
    const char *form;              /* manual: what is written there */
    const char *doc;               /* manual: what it does */
    enum reload reload;
    bool needed;        /* the language asks for it */
    bool always;        /* printed even when it is zero */
    bool false_is_fine; /* not carried out, but `false` says what is so anyway */
};

struct section {
    const char *title; /* manual: "services.NAME" */
    const char *doc;
    const struct key *keys;
    size_t count;
    bool extensions; /* x- keys may stand here */
};

/* The row of a key, or NULL. Remembered in the entry. */
const struct key *find_row(const struct section *section, struct node_entry *entry);
const struct key *find_key(const struct section *section, const char *name);
bool is_extension(const char *name); /* x- */

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
/* Of many rows. kinds.c */
extern const struct kind kind_any, kind_text, kind_text_null, kind_flag, kind_flag_set, kind_strict_flag, kind_count,
    kind_count_number, kind_count_set, kind_count_unsigned, kind_float, kind_bytes, kind_bytes_text, kind_bytes_number,
    kind_duration, kind_duration_zero, kind_texts, kind_texts_named, kind_texts_unique, kind_texts_or_one, kind_command,
    kind_labels, kind_variables, kind_pairs, kind_options, kind_options_text, kind_hosts, kind_path, kind_external,
    kind_ulimits, kind_grants_secret, kind_grants_config, kind_mode, kind_env_file;

extern const struct section deadline_section, rule_section, fleet_section, fleet_x_section, service_section,
    service_x_section, network_section, network_x_section, volume_section, deploy_section, limits_section,
    reservations_section, policy_section, restart_section, blkio_section, rate_section, rdma_section, logging_section,
    ulimit_section, depends_section, env_file_section, mount_section, mount_bind_section, mount_tmpfs_section,
    mount_volume_section, attachment_section, ipam_section, subnet_section, build_section, develop_section,
    watch_section, hook_section, health_section, provider_section, credential_section, port_section, device_section,
    gpu_section, reserved_device_section, placement_section, preference_section, update_section, resource_section,
    discrete_section, grant_section, service_model_section, model_section, secret_section, config_section,
    include_section, extends_section;

/* Readers of rows, by the file they are in. */
#define READER(name) void name(struct load *, const struct place *, const struct key *, struct node *, void *)
READER(read_fleet_rules); /* rules.c */
READER(read_service_rules);
READER(read_networks); /* networks.c */
READER(read_volumes);  /* mounts.c */
READER(read_tmpfs);
READER(read_mounts);
READER(read_memory_limit); /* limits.c; offset: shoal_limit_kind_t */
READER(read_memory_swap);
READER(read_cpus);
READER(read_cpu_shares);
READER(read_cpu_time);
READER(read_cpuset);
READER(read_pids);
READER(read_limit_number);
READER(read_limit_duration);
READER(read_limit_flag);
READER(read_oom);
READER(read_oom_score_adj);
READER(read_rates);
READER(read_ulimits);
READER(read_hugetlb); /* named_limits.c */
READER(read_rdma);
READER(read_misc);
READER(read_restart); /* restart.c */
READER(read_restart_policy);
READER(read_image); /* process.c */
READER(read_command);
READER(read_environment);
READER(read_host_name);
READER(read_user);
READER(read_groups);
READER(read_directory);
READER(read_stop_signal);
READER(read_capabilities); /* security.c */
READER(read_security_opt);
READER(read_sysctls);
READER(read_logging); /* logging.c */
READER(read_devices); /* devices.c */
READER(read_device_rules);

extern const struct section net_section; /* rates.c */
READER(read_net);
extern const struct section disk_section; /* disk.c */
READER(read_disk);
READER(read_storage_opt);
extern const struct section group_section; /* groups.c */
READER(read_groups_later);
READER(read_budget);
READER(read_group_name);
extern const struct section profile_section; /* limit_sets.c */
READER(read_profiles);

extern const struct section governor_section, pressure_section; /* governor.c */
READER(read_governor);

/* The member of object that a row's offset names. */
#define AT(type, object, offset) ((type *)(void *)((char *)(object) + (offset)))

/* Name of a service, network or volume: [a-zA-Z0-9][a-zA-Z0-9._-]*, at most 100. Reports. */
bool check_name(struct load *load, const struct place *at, const char *what, const char *name);

#endif
