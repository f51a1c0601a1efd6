/* What the stages of a load share: each takes the trees of the one before. See load.c for their order. */
#ifndef COMPOSE_LANGUAGE_H
#define COMPOSE_LANGUAGE_H

#include <regex.h>

#include "compose/keys.h"

extern const struct kind fleet_kind, service_kind, includes_kind; /* load.c */

/* load.c: what the stages keep in the load. */
regex_t *load_pattern(struct load *load, const char *pattern); /* NULL: no memory, noted */
struct node_entry *load_find_service(struct load *load, struct node *services, const char *name);
void load_open(struct load *load);
void load_close(struct load *load);
struct node *load_fleet(struct load *load, const char *const *services, bool normalised, bool consistent,
                        bool environment, bool unneeded);

/* lengthen.c: long forms. A kind's `lengthen`. */
struct node *lengthen_to_list(struct load *, const struct place *, struct node *);
struct node *lengthen_search(struct load *, const struct place *, struct node *);
struct node *lengthen_dns(struct load *, const struct place *, struct node *);
struct node *lengthen_grant(struct load *, const struct place *, struct node *);
struct node *lengthen_env_file(struct load *, const struct place *, struct node *);
struct node *lengthen_build(struct load *, const struct place *, struct node *);
struct node *lengthen_depends(struct load *, const struct place *, struct node *);
struct node *lengthen_extends(struct load *, const struct place *, struct node *);
struct node *lengthen_gpus(struct load *, const struct place *, struct node *);
struct node *lengthen_names(struct load *, const struct place *, struct node *);
struct node *lengthen_device(struct load *, const struct place *, struct node *);
struct node *lengthen_contexts(struct load *, const struct place *, struct node *);
struct node *lengthen_ssh(struct load *, const struct place *, struct node *);
struct node *lengthen_ulimit(struct load *, const struct place *, struct node *);
struct node *lengthen_external(struct load *, const struct place *, struct node *);
struct node *lengthen_text(struct load *, const struct place *, struct node *);
struct node *lengthen_mount(struct load *, const struct place *, struct node *); /* short.c */
struct node *lengthen_ports(struct load *, const struct place *, struct node *);
struct node *lengthen(struct load *load, const struct place *at, const struct kind *kind, struct node *node);

/* complete.c: what is added when it is not written, after all files. A kind's `complete`. */
void complete_build(struct load *, const struct place *, struct node *);
void complete_secret_grant(struct load *, const struct place *, struct node *);
void complete_port(struct load *, const struct place *, struct node *);
void complete_device_request(struct load *, const struct place *, struct node *);
void complete(struct load *load, const struct place *at, const struct kind *kind, struct node *node);

/* expand.c: aliases and variables expanded, and what !reset and !override tags name. Uses up what was parsed. */
struct reset {
    struct reset *next;
    size_t count;
    const char *words[]; /* the path from the root; NULL: any item of a list */
};
struct node *expand(struct load *load, struct node *root, struct reset **out_resets);
struct node *expand_copy(struct load *load, const struct place *at, struct node *node); /* node stays as it is */
void apply_resets(const struct reset *resets, struct node *root);                       /* takes away what they name */
/* The same of a service that stands at services.NAME. */
void apply_resets_to_service(const struct reset *resets, const char *name, struct node *service);

/* merge.c. Both trees are used up. place: where they stand. */
struct node *merge_nodes(struct load *load, const struct place *at, const struct kind *kind, struct node *base,
                         struct node *over);
/* Of items of a list that are the same, keep the last, in the first one's place. Of all lists below. */
void drop_repeated(struct load *load, const struct place *at, const struct kind *kind, struct node *node);

/* schema.c: what may be written. What may not is said and taken away; false when the node itself is wrong. */
bool check_kind(struct load *load, const struct place *at, const struct kind *kind, struct node *node);

/* extends.c, include.c: of one document, which they change. path: of its file; directory: base of its paths. */
void apply_extends(struct load *load, struct node *root, const struct reset *resets, const char *path,
                   const char *directory);
void apply_include(struct load *load, struct node *root, const char *directory);

/* limit_sets.c: what x-shoal.profiles gives to services that name one, of the whole model. */
void apply_profiles(struct load *load, struct node *root);

/* model.c: files to one tree. at: who includes them. */
struct node *load_main(struct load *load, const char *const *files);
struct node *load_model(struct load *load, const struct place *at, const char *const *files, const char *directory);
struct node *load_for_extends(struct load *load, const struct place *at, const char *path, struct reset **out_resets);

/* complete.c: a path made absolute in the way of its kind. */
const char *load_absolute(struct load *load, const struct place *at, enum path how, const char *directory,
                          const char *path);

/* normalise.c: what follows from what is written: names, networks, dependencies. */
void check_written(struct load *load, struct node *root); /* what fits the tables, but not each other */
void resolve_paths(struct load *load, struct node *root, const char *directory);
void resolve_from_environment(struct load *load, struct node *root);
void normalise(struct load *load, struct node *root);

/* typed.c: values as what they mean, keys in the order of the tables. A new tree. */
struct node *typed(struct load *load, const struct place *at, const struct kind *kind, struct node *node);

/* consistency.c: what refers to what, and what goes together; select.c: profiles, chosen services, what they need. */
void select_profiles(struct load *load, struct node *root);
void activate_named(struct load *load, struct node *root, const char *const *names);
bool select_services(struct load *load, struct node *root, const char *const *names);
void drop_unneeded(struct load *load, struct node *root);
void check_consistency(struct load *load, const struct node *root);
void check_container_names(struct load *load, const struct node *root);
void resolve_env_files(struct load *load, struct node *root);
void resolve_label_files(struct load *load, struct node *root);

#endif
