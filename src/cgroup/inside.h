/* What the files of this room share. */
#ifndef CGROUP_INSIDE_H
#define CGROUP_INSIDE_H

#include "base/base.h"
#include "cgroup/cgroup.h"

enum {
    CGROUP_TEXT = 4096, /* a kernfs file that we read fits */
    CGROUP_PATH = 512   /* a container's name and a file of its directory */
};

enum { PRESSURE_FILES = 3 }; /* cpu, memory, io */

/* How a value may differ when it is read back. */
enum limit_rounding { LIMIT_AS_WRITTEN, LIMIT_PAGES, LIMIT_LIST };
enum { LIMIT_SUBJECT = 72 }; /* an RDMA device has up to 63 */

/* A file that takes a limit. */
struct limit_file {
    const char *name;
    const char *initial; /* what says that there is no limit */
    enum limit_rounding rounding;
    bool may_lack; /* a kernel without swap has no such file, and nothing to limit */
    bool late;
};

/* One line as the kernel takes it. */
struct limit_setting {
    struct limit_file file;
    char *name;                  /* owned: where file.name is made for it; NULL: it is the table's */
    char subject[LIMIT_SUBJECT]; /* what the line is about, in front of the value: "8:0"; "" the whole file */
    char *value;                 /* owned */
};

struct cgroup_limits {
    unsigned references;
    shoal_limit_line_t *lines;                                           /* owned; of each setting */
    uint64_t spec[sizeof((shoal_sample_t *)0)->spec / sizeof(uint64_t)]; /* as in shoal_sample_t */
    size_t count;
    struct limit_setting settings[];
};

/* A set that is being made; it has room for all. */
struct limit_making {
    const struct cgroup_root *root;
    struct cgroup_limits *limits;
    bool failed; /* out of memory */
};

/* What a sample keeps for the next one: the files that a container at rest need not be asked for. */
struct cgroup_last {
    uint64_t cpu[6]; /* as in shoal_sample_t */
    shoal_pressure_line_t pressure[PRESSURE_FILES];
};

/* The files of one container's directory whose changes the kernel tells. */
enum watched_file { WATCH_CGROUP, WATCH_MEMORY, WATCH_PIDS, WATCH_COUNT };

/* hit.c: what was told of the limits of a directory that were hit. */
enum { HIT_LOW, HIT_HIGH, HIT_MAX, HIT_OOM, HIT_PIDS, HIT_COUNT };
struct hits {
    struct hits *next, **link; /* among those that were told of within the last second; link NULL: it is not */
    struct cgroup *cgroup;     /* whose: a container's, */
    struct level *level;       /* or a group's */
    uint64_t due_usec, told[HIT_COUNT];
};

struct cgroup {
    struct cgroup_root *root;
    struct cgroup *next, **link;  /* all of root's */
    char *name;                   /* owned */
    struct cgroup_limits *limits; /* a reference; NULL none */
    uint64_t serial;
    bool let_go;              /* the late limits are in force too */
    bool is_group;            /* around those of containers */
    int dir_fd;               /* until cgroup_close_fd(); -1 */
    int watches[WATCH_COUNT]; /* watch descriptors; -1 none */
    struct cgroup *next_watched[WATCH_COUNT];
    cgroup_event_cb cb;
    void *data;
    bool empty, frozen; /* as last told, as the numbers below */
    uint64_t oom_kills, pids_refused;
    uint64_t killed_usec; /* monotonic: when the former grew last; 0 never */
    struct hits hits;
    uint64_t ooms, group_kills; /* as cgroup_find_oom() last saw them */
    bool has_last;
    struct cgroup_last last; /* has_last: what the sample before said */
    uv_timer_t retry;        /* removal */
    unsigned attempts;
    int status;
    void (*removed_cb)(void *data, int status);
    void *removed_data;
};

enum { WATCH_BUCKETS = 1024 };

/* A cgroup above containers, whose memory limit may be what kills in them. */
struct level {
    struct level *next;
    int watch;           /* on its memory.events.local; -1 none */
    uint64_t ooms;       /* how often its own limit was hit */
    uint64_t grown_usec; /* monotonic: when that last grew; 0 never */
    struct hits hits;
    const char *group; /* within path: the group's; "/" the project's, NULL above that */
    char path[];       /* absolute */
};

struct cgroup_root {
    uv_loop_t *loop;
    char *top;           /* owned: the directory that holds shoal/ */
    char *path;          /* owned: top/shoal/PROJECT */
    int dir_fd;          /* of path */
    size_t mount_length; /* of top's part that is the mount point */
    unsigned watch_count;
    uint64_t serial; /* of the newest cgroup */
    bool has[CGROUP_NEED_COUNT], in_use[CGROUP_NEED_COUNT];
    char why_not[CGROUP_NEED_COUNT][160];
    bool has_io_weight, has_bfq_weight; /* the files */
    int inotify_fd;
    uv_poll_t poll;
    struct cgroup *cgroups;
    uint64_t usage_usec, stalled_usec[PRESSURE_FILES];  /* of the project, as the round began; SHOAL_ABSENT */
    bool cpu_rests, pressure_rests[PRESSURE_FILES];     /* they are what they were a round before */
    struct cgroup *scan_next;                           /* survives a removal in the middle of a scan */
    struct cgroup *buckets[WATCH_COUNT][WATCH_BUCKETS]; /* by watch descriptor */
    struct level *levels;                               /* owned */
    struct hits *hits, **hits_end;                      /* to be looked at again, the first due first */
    uv_timer_t hits_timer;
    bool closing;
    cgroup_group_event_cb group_cb;
    void *group_data;
    void (*close_cb)(void *data);
    void *close_data;
};

/* file.c: kernfs files and trees */
int cgroup_file_write(int dir_fd, const char *file, const char *value, shoal_error_t *err);
ssize_t cgroup_file_read(int dir_fd, const char *file, char *out, size_t room); /* NUL-terminated; or -errno */
int cgroup_write(const struct cgroup *cgroup, const char *file, const char *value, shoal_error_t *err);
ssize_t cgroup_read(const struct cgroup *cgroup, const char *file, char *out, size_t room);
int cgroup_tree_remove(int dir_fd, const char *name); /* rmdir, deepest first; -errno */

/* parse.c: the kernel's formats. Foreign bytes: nothing is assumed of them. */
uint64_t cgroup_parse_number(const char *text);               /* "max" and no number: SHOAL_ABSENT */
uint64_t cgroup_parse_key(const char *text, const char *key); /* "key value" lines; SHOAL_ABSENT without */
void cgroup_parse_io(const char *text, uint64_t out[4]);      /* io.stat: rbytes, wbytes, rios, wios, summed */
void cgroup_parse_pressure(const char *text, shoal_pressure_line_t *out);
bool cgroup_same_list(const char *a, const char *b); /* "0-2,4" and "0,1,2,4" are the same CPUs */
/* io.cost.qos: whether it is switched on for "8:16", or for some device (NULL). */
bool cgroup_parse_cost(const char *text, const char *device);
/* The text behind "SUBJECT " of the line that begins with it, cut off at its end; the whole without a subject. "" where there
 * is no such line: the kernel prints none for what has no limit. */
const char *cgroup_parse_line(char *text, const char *subject);

/* limit.c */
uint64_t limit_io_weight(uint64_t weight); /* of Compose, for io.weight */
void limit_add(struct limit_making *making, const struct limit_file *file, const char *subject, char *value);
int limits_write_early(const struct cgroup_limits *limits, int dir_fd, shoal_error_t *err); /* all but the late */
int limits_write_late(const struct cgroup_limits *limits, int dir_fd, shoal_error_t *err);
int limit_write(int dir_fd, const struct limit_setting *setting, const char *value, shoal_error_t *err);

/* disk.c: "MAJ:MIN" of a whole disk named by its path or that number. -ENOENT, -ENOTBLK, -ENXIO, -EINVAL a partition. */
int cgroup_find_disk(const char *name, char out[LIMIT_SUBJECT], shoal_error_t *err);
enum { WEIGHED_BY_COST = 1, WEIGHED_BY_BFQ = 2 };
unsigned cgroup_find_weigher(const struct cgroup_root *root, const char *device); /* "MAJ:MIN"; NULL: some */
void cgroup_find_weight_files(struct cgroup_root *root);

/* limit_device.c, limit_named.c: of all that is in limits. -errno of cgroup_limits_new() */
int limits_add_devices(struct limit_making *making, const shoal_limits_t *limits, struct cgroup_culprit *culprit,
                       shoal_error_t *err);
/* in_force.c: the lines of limits that are whole; false: out of memory */
bool limits_make_lines(struct cgroup_limits *limits);
void limits_free_lines(struct cgroup_limits *limits);
void cgroup_tell_limits(const struct cgroup *cgroup, shoal_sample_t *out);

int limits_add_named(struct limit_making *making, const shoal_limits_t *limits, struct cgroup_culprit *culprit,
                     shoal_error_t *err);
void limit_add_named(struct limit_making *making,
                     const shoal_named_limit_t *limit); /* whether the host has it or not */

/* event.c */
int cgroup_watch_open(struct cgroup_root *root, shoal_error_t *err);
int cgroup_watch(struct cgroup *cgroup, shoal_error_t *err);
void cgroup_unwatch(struct cgroup *cgroup,
                    bool keep_empty); /* keep_empty: go on listening for the last process's end */

/* hit.c */
void hits_open(struct cgroup_root *root);
/* Read them and tell what has grown. settled: not only what is told at once, once a second; what follows from it is there too. */
void hits_look(struct cgroup_root *root, struct hits *hits, bool settled);
void hits_forget(struct cgroup_root *root, struct hits *hits);

/* level.c */
void cgroup_add_levels(const struct cgroup *cgroup);             /* those above it, where they are not known yet */
void cgroup_look_at_levels(struct cgroup_root *root, int watch); /* the one with that watch; -1: all */
void cgroup_free_levels(struct cgroup_root *root);

/* root.c */
int cgroup_enable_controllers(const struct cgroup_root *root, int dir_fd, shoal_error_t *err); /* for its children */
extern const char cgroup_group_xattr[]; /* is "1" on a group's directory */

/* cgroup.c */
struct cgroup *cgroup_new(struct cgroup_root *root, const char *name); /* NULL: out of memory */
void cgroup_free(struct cgroup *cgroup);
void cgroup_on_empty(struct cgroup *cgroup);

#endif
