/* What a stream of records says: a tree of projects, groups, services and containers with their numbers of now. Values only. */
#ifndef TOP_MODEL_H
#define TOP_MODEL_H

#include "base/base.h"

enum { SPARK_COUNT = 16 }; /* as many samples are kept for a sparkline */

enum node_kind { NODE_PROJECT, NODE_GROUP, NODE_SERVICE, NODE_CONTAINER };

/* NaN: unknown. Of a node with children: sums, for pressure the worst. */
struct numbers {
    double cpu_percent;                     /* of one CPU */
    double memory, memory_max;              /* bytes; max NaN: no limit */
    double rx_rate, tx_rate;                /* bytes a second */
    double read_rate, write_rate;           /* bytes a second */
    double rx, tx, read_bytes, write_bytes; /* totals of this run */
    double pressure[3];                     /* cpu, memory, io: percent of the last 10 s in which some task waited */
    double tasks;
};

struct node {
    enum node_kind kind;
    char *name;                   /* owned; printable ASCII */
    struct node *parent;          /* NULL: a project */
    struct node *children, *next; /* owned; in the order in which they were first named */
    struct numbers now;
    double spark[SPARK_COUNT]; /* cpu_percent, oldest first */
    size_t spark_count;
    uint64_t restarts, ooms;
    size_t running, total; /* containers below; of a container: itself */
    bool folded;
    /* Of a container alone: */
    char state[12];
    int64_t pid;
    uint64_t time_usec; /* of the last sample; 0 none */
    double cpu_usec;    /* its counter */
    char *key;          /* owned: project, a slash, name */
    struct node *next_in_bucket;
};

enum { MODEL_BUCKETS = 1024, MODEL_CONTAINERS_MAX = 100000 };

struct model {
    struct node *projects; /* owned */
    struct node *buckets[MODEL_BUCKETS];
    size_t containers;
    uint64_t rounds;                                      /* ends of rounds of samples */
    uint64_t lines, garbage;                              /* read; no records */
    uint64_t lost;                                        /* events that the writer says were not written */
    uint64_t time_usec;                                   /* of the newest record */
    uint64_t starts, deaths;                              /* of the fleet */
    double rss, fds, lag_p99_usec, lag_max_usec, dropped; /* of the supervisor; NaN unknown */
    char last_event[160];                                 /* in words */
    bool changed;                                         /* since somebody set it to false */
};

void model_init(struct model *model);
void model_fini(struct model *model);
/* One line without its newline. Returns false, and counts it, where it is no record. A record of an unknown type is one. */
bool model_take(struct model *model, const char *line, size_t count);
/* Sums from the containers up. */
void model_sum(struct model *model);
/* The sum of all projects. */
void model_total(const struct model *model, struct node *out);

#endif
