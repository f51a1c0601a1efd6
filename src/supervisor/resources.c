/* The limits of the host that a fleet runs into, one row each. What is read is what the kernel counts; where it counts for
 * nobody to see (inotify, namespaces), `used` is this fleet's own part.
 *
 * Not here, for a reason: kernel.keys (a sandbox makes no keys), RLIMIT_NPROC (not held against root, in whose name the
 * sandboxes' user namespaces are counted), RLIMIT_MEMLOCK. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "supervisor/inside.h"

/* What the whole fleet needs. */
struct fleet_need {
    uint64_t sandboxes, cgroups, endpoints, processes, descriptors, files, watches, polled, namespaces, mounts, memory,
        neighbours;
};

enum {
    SANDBOX_FDS = 2,   /* its pidfd and its cgroup */
    OUTPUT_FDS = 2,    /* the pipes of stdout and stderr */
    START_FDS = 8,     /* of each start in flight, until execve */
    OWN_FDS = 64,      /* the loop, netlink, inotify, signals, stdio, slots; some 40 were counted */
    PARKED_FDS = 4,    /* of a sandbox that waits just before execve, beyond those of one that runs */
    SANDBOX_FILES = 6, /* open files of its own: stdio, and what its process opens at least */
    SANDBOX_MOUNTS = 24,
    NEIGHBOURS = 2, /* of an endpoint that talks to its gateway: one entry on either side, in one table of the host */
};
/* What a sandbox with one sleeping process takes, kernel and supervisor together: with one network 650 KiB were measured at
 * 3,000. */
static const uint64_t SANDBOX_BYTES = 256 << 10, ENDPOINT_BYTES = 512 << 10, OWN_BYTES = 32 << 20;

/* To find a sysctl takes long where there are many network namespaces, each with sysctls of the same names. They are read again
 * after a while only. */
enum { SYSCTLS_MOST = 24, SYSCTLS_FRESH_USEC = 30000000 };
struct sysctl {
    const char *path;
    uint64_t value;
};

struct resources {
    const shoal_supervisor_t *boss;
    struct sysctl sysctls[SYSCTLS_MOST];
    size_t sysctl_count;
    uint64_t sysctls_usec; /* when the first of them was read */
    struct fleet_need need;
    uint64_t id_limit, host_mounts;
    char namespaces[40]; /* the tightest of user.max_*_namespaces */
    struct cgroup_room room;
    size_t count;
    shoal_resource_t items[];
};

static bool has_controller(const shoal_supervisor_t *s, enum cgroup_controller controller)
{
    return s->cgroups != NULL && cgroup_root_has(s->cgroups, controller);
}

static void add_service(struct fleet_need *need, const shoal_supervisor_t *s, const shoal_service_t *service,
                        const shoal_limits_t *limits)
{
    uint64_t count = service->replicas;
    bool output = service->log.driver != SHOAL_LOG_NONE || s->options.on_output != NULL;
    need->sandboxes += count;
    need->endpoints += count * service->attachment_count;
    need->processes += count * (service->init ? 2 : 1);
    need->descriptors += count * (SANDBOX_FDS + (output ? OUTPUT_FDS : 0));
    need->descriptors += (service->warm < count ? service->warm : count) * PARKED_FDS;
    need->polled += count * (1 + (output ? OUTPUT_FDS : 0));
    need->memory += count * SANDBOX_BYTES + count * service->attachment_count * ENDPOINT_BYTES;
    if (limits->items[SHOAL_LIMIT_MEMORY_RESERVATION].set)
        need->memory += count * (uint64_t)limits->items[SHOAL_LIMIT_MEMORY_RESERVATION].value;
    if (service->mount_count + SANDBOX_MOUNTS > need->mounts)
        need->mounts = service->mount_count + SANDBOX_MOUNTS;
}

/* The network namespaces made ahead: what comes back may make twice as many as are wanted. */
static void add_stock(struct fleet_need *need, const shoal_supervisor_t *s)
{
    size_t *wanted = calloc(s->spec->network_count + 1, sizeof *wanted);
    size_t total = wanted != NULL ? supervisor_stock_wanted(s, wanted) : 0;
    free(wanted);
    if (total == 0)
        return;
    need->namespaces += 2 * total;
    need->descriptors += 2 * total * NET_STOCK_READY_FDS + NET_STOCK_LENT_MOST;
}

static struct fleet_need compute_need(const shoal_supervisor_t *s)
{
    struct fleet_need need = {.memory = OWN_BYTES};
    for (size_t i = 0; i < s->spec->service_count; i++)
        add_service(&need, s, &s->spec->services[i],
                    s->groups != NULL ? s->groups[i].said : &s->spec->services[i].limits);
    add_stock(&need, s);
    need.descriptors += OWN_FDS + (uint64_t)s->in_flight_max * START_FDS;
    need.files = need.descriptors + need.sandboxes * SANDBOX_FILES;
    need.namespaces += need.sandboxes;
    need.cgroups = need.sandboxes + s->spec->group_count;
    need.watches = need.sandboxes * (1u + has_controller(s, CGROUP_MEMORY) + has_controller(s, CGROUP_PIDS));
    need.neighbours = need.endpoints * NEIGHBOURS;
    return need;
}

/* Reading. */

static bool read_text(const char *path, char *out, size_t room)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? -1 : read(fd, out, room - 1);
    out[count > 0 ? count : 0] = '\0';
    return count > 0;
}

/* path: a literal. */
static uint64_t read_sysctl(struct resources *r, const char *path)
{
    for (size_t i = 0; i < r->sysctl_count; i++)
        if (r->sysctls[i].path == path)
            return r->sysctls[i].value;
    char text[64];
    unsigned long long number;
    uint64_t value = read_text(path, text, sizeof text) && sscanf(text, "%llu", &number) == 1 ? number : SHOAL_ABSENT;
    if (r->sysctl_count < SYSCTLS_MOST)
        r->sysctls[r->sysctl_count++] = (struct sysctl){path, value};
    return value;
}

static uint64_t count_fds(bool may_take_long)
{
    struct stat about; /* the size is the count since Linux 6.2, and 0 before; proc(5) */
    if (stat("/proc/self/fd", &about) == 0 && about.st_size > 0)
        return (uint64_t)about.st_size;
    DIR *dir = may_take_long ? opendir("/proc/self/fd") : NULL;
    uint64_t count = 0;
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL)
        (void)closedir(dir);
    return count > 3 ? count - 3 : SHOAL_ABSENT; /* ".", "..", and the one that read */
}

static void read_fds(struct resources *r, shoal_resource_t *out)
{
    struct rlimit limit;
    out->used = count_fds(r->boss->members == NULL); /* before the fleet there are few */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        out->limit = limit.rlim_cur; /* the program has raised it to the hard one */
}

static void read_files(struct resources *r, shoal_resource_t *out)
{
    (void)r;
    char text[128];
    unsigned long long used, limit;
    if (read_text("/proc/sys/fs/file-nr", text, sizeof text) && sscanf(text, "%llu %*u %llu", &used, &limit) == 2) {
        out->used = used;
        out->limit = limit;
    }
}

/* loadavg: "0.20 0.18 0.12 1/80 11206": runnable and all tasks. */
static uint64_t count_tasks(void)
{
    char text[128];
    unsigned long long tasks;
    return read_text("/proc/loadavg", text, sizeof text) && sscanf(text, "%*s %*s %*s %*u/%llu", &tasks) == 1
               ? tasks
               : SHOAL_ABSENT;
}

static void read_pids(struct resources *r, shoal_resource_t *out)
{
    out->used = count_tasks();
    out->limit = read_sysctl(r, "/proc/sys/kernel/pid_max");
}

static void read_threads(struct resources *r, shoal_resource_t *out)
{
    out->used = count_tasks();
    out->limit = read_sysctl(r, "/proc/sys/kernel/threads-max");
}

static void read_cgroup_pids(struct resources *r, shoal_resource_t *out)
{
    out->used = r->room.pids;
    out->limit = r->room.pids_max;
}

static void read_cgroup_memory(struct resources *r, shoal_resource_t *out)
{
    out->used = r->room.memory;
    out->limit = r->room.memory_max;
}

static void read_cgroup_descendants(struct resources *r, shoal_resource_t *out)
{
    out->used = r->room.descendants;
    out->limit = r->room.descendants_max;
}

/* Whether another instance can be had is all that can be seen of what others use. */
static void read_instances(struct resources *r, shoal_resource_t *out)
{
    out->limit = read_sysctl(r, "/proc/sys/fs/inotify/max_user_instances");
    if (r->boss->cgroups_opened) { /* ours is */
        out->used = 1;
        return;
    }
    AUTO_FD fd = inotify_init1(IN_CLOEXEC);
    out->used = fd < 0 && errno == EMFILE ? out->limit : SHOAL_ABSENT;
}

static void read_watches(struct resources *r, shoal_resource_t *out)
{
    out->used = r->boss->cgroups != NULL ? cgroup_root_watches(r->boss->cgroups) : SHOAL_ABSENT;
    out->limit = read_sysctl(r, "/proc/sys/fs/inotify/max_user_watches");
}

static void read_polled(struct resources *r, shoal_resource_t *out)
{
    out->limit = read_sysctl(r, "/proc/sys/fs/epoll/max_user_watches");
}

static void read_namespaces(struct resources *r, shoal_resource_t *out)
{
#define PREFIX "/proc/sys/"
    static const char *const paths[] = {PREFIX "user/max_user_namespaces", PREFIX "user/max_mnt_namespaces",
                                        PREFIX "user/max_net_namespaces",  PREFIX "user/max_pid_namespaces",
                                        PREFIX "user/max_ipc_namespaces",  PREFIX "user/max_uts_namespaces",
                                        PREFIX "user/max_time_namespaces", PREFIX "user/max_cgroup_namespaces"};
    for (size_t i = 0; i < COUNT(paths); i++) {
        uint64_t limit = read_sysctl(r, paths[i]);
        if (limit < out->limit) { /* SHOAL_ABSENT is more than any */
            out->limit = limit;
            (void)snprintf(r->namespaces, sizeof r->namespaces, "%s", paths[i] + sizeof PREFIX - 1);
            *strchr(r->namespaces, '/') = '.';
        }
    }
#undef PREFIX
    out->name = r->namespaces;
}

/* A sandbox begins with a copy of them. */
static uint64_t count_mounts(void)
{
    uint64_t count = 0;
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file != NULL && getline(&line, &room, file) > 0)
        count++;
    if (file != NULL)
        (void)fclose(file);
    free(line);
    return count;
}

static void read_mounts(struct resources *r, shoal_resource_t *out)
{
    out->used = r->host_mounts;
    out->limit = read_sysctl(r, "/proc/sys/fs/mount-max");
}

/* One table for all network namespaces of the host, though only the first one shows it. */
static void read_neighbours(struct resources *r, shoal_resource_t *out)
{
    char text[256];
    unsigned entries;
    out->limit = read_sysctl(r, "/proc/sys/net/ipv4/neigh/default/gc_thresh3");
    if (!read_text("/proc/net/stat/arp_cache", text, sizeof text))
        return;
    const char *line = strchr(text, '\n'); /* behind the header: a line per CPU, the first word in each the same */
    if (line != NULL && sscanf(line, " %x", &entries) == 1)
        out->used = entries;
}

static void read_memory(struct resources *r, shoal_resource_t *out)
{
    (void)r;
    char text[256];
    unsigned long long total, available;
    if (!read_text("/proc/meminfo", text, sizeof text))
        return;
    const char *line = strstr(text, "MemAvailable:");
    if (sscanf(text, "MemTotal: %llu", &total) != 1 || line == NULL ||
        sscanf(line, "MemAvailable: %llu", &available) != 1 || available > total)
        return;
    out->limit = total << 10;
    out->used = (total - available) << 10;
}

static void read_ids(struct resources *r, shoal_resource_t *out)
{
    out->used = idranges_read_leased(r->boss->ids == NULL && r->boss->state.dir != NULL ? r->boss->state.dir : "");
    out->limit = r->id_limit;
}

static const struct row {
    const char *name, *what;
    size_t need; /* offset in struct fleet_need */
    void (*read)(struct resources *r, shoal_resource_t *out);
    const char *advice;
    bool bytes, estimate;
} rows[] = {
    {"RLIMIT_NOFILE", "descriptors of shoal", offsetof(struct fleet_need, descriptors), read_fds,
     "raise the hard limit (LimitNOFILE= of the unit, ulimit -Hn); services with logging: {driver: none} need two "
     "fewer "
     "each"},
    {"fs.file-max", "open files of the host", offsetof(struct fleet_need, files), read_files,
     "raise sysctl fs.file-max"},
    {"kernel.pid_max", "tasks of the host", offsetof(struct fleet_need, processes), read_pids,
     "raise sysctl kernel.pid_max (4194304 at most)"},
    {"kernel.threads-max", "tasks of the host", offsetof(struct fleet_need, processes), read_threads,
     "raise sysctl kernel.threads-max"},
    {"pids.max", "tasks below the cgroup that shoal was given", offsetof(struct fleet_need, processes),
     read_cgroup_pids, "raise pids.max of that cgroup (TasksMax= of the unit)"},
    {"cgroup.max.descendants", "cgroups below the one that shoal was given", offsetof(struct fleet_need, cgroups),
     read_cgroup_descendants, "raise cgroup.max.descendants"},
    {"fs.inotify.max_user_instances", "inotify descriptors of root", SIZE_MAX, read_instances,
     "raise sysctl fs.inotify.max_user_instances"},
    {"fs.inotify.max_user_watches", "inotify watches of root", offsetof(struct fleet_need, watches), read_watches,
     "raise sysctl fs.inotify.max_user_watches"},
    {"fs.epoll.max_user_watches", "polled descriptors of root", offsetof(struct fleet_need, polled), read_polled,
     "raise sysctl fs.epoll.max_user_watches"},
    {"user.max_net_namespaces", "namespaces of root", offsetof(struct fleet_need, namespaces), read_namespaces,
     "raise it, and its siblings in /proc/sys/user"},
    {"fs.mount-max", "mounts of one namespace", offsetof(struct fleet_need, mounts), read_mounts,
     "raise sysctl fs.mount-max"},
    {"net.ipv4.neigh.default.gc_thresh3", "neighbours, should all talk to their gateway at once",
     offsetof(struct fleet_need, neighbours), read_neighbours,
     "raise sysctl net.ipv4.neigh.default.gc_thresh3, and gc_thresh2 below it", .estimate = true},
    {"id_ranges", "ranges of 65536 user ids, leased in blocks of 256", offsetof(struct fleet_need, sandboxes), read_ids,
     "end fleets that hold some (/run/shoal/ids), or free /etc/subuid above id 268435456"},
    {"MemTotal", "memory of the host, for idle sandboxes and what is reserved", offsetof(struct fleet_need, memory),
     read_memory, "add memory, or run fewer", .bytes = true},
    {"memory.max", "memory of the cgroup that shoal was given", offsetof(struct fleet_need, memory), read_cgroup_memory,
     "raise memory.max of that cgroup (MemoryMax= of the unit)", .bytes = true},
};
enum { NETWORK_ROWS = 2 };

static void init_network(const shoal_supervisor_t *s, size_t network, shoal_resource_t out[NETWORK_ROWS])
{
    size_t expected = 0;
    for (size_t i = 0; i < s->spec->service_count; i++)
        for (size_t k = 0; k < s->spec->services[i].attachment_count; k++)
            if (s->spec->services[i].attachments[k].network == network)
                expected += s->spec->services[i].replicas;
    struct net_need need;
    net_compute_need(&s->spec->networks[network], expected, &need);
    out[0] = (shoal_resource_t){
        .name = "BR_MAX_PORTS",
        .network = s->spec->networks[network].name,
        .what = "ports of its first bridge",
        .advice = "set x-shoal.shard of the network so that sandboxes on one bridge and bridges together are fewer",
        .needed = need.ports,
        .limit = need.ports_max,
    };
    out[1] = (shoal_resource_t){
        .name = "addresses",
        .network = s->spec->networks[network].name,
        .what = "addresses of its subnet",
        .advice = "give the network a larger subnet by ipam",
        .needed = need.addresses,
        .limit = need.addresses_max,
    };
}

static uint64_t needed_of(const struct resources *r, size_t row)
{
    uint64_t needed = 1;
    if (rows[row].need != SIZE_MAX)
        memcpy(&needed, (const char *)&r->need + rows[row].need, sizeof needed);
    return needed;
}

void resources_change(struct resources *r)
{
    r->need = compute_need(r->boss);
    for (size_t i = 0; i < COUNT(rows); i++)
        r->items[i].needed = needed_of(r, i);
}

int resources_open(struct resources **out, const shoal_supervisor_t *s, shoal_error_t *err)
{
    size_t count = COUNT(rows) + s->spec->network_count * NETWORK_ROWS;
    struct resources *r = calloc(1, sizeof *r + count * sizeof r->items[0]);
    if (r == NULL)
        return shoal_fail(err, -ENOMEM, "limits of the host");
    r->boss = s;
    r->need = compute_need(s);
    r->id_limit = idranges_read_limit(); /* these two now: they take longer than the rest, and do not change */
    r->host_mounts = count_mounts();
    r->count = count;
    for (size_t i = 0; i < COUNT(rows); i++) {
        r->items[i] = (shoal_resource_t){
            .name = rows[i].name,
            .what = rows[i].what,
            .advice = rows[i].advice,
            .bytes = rows[i].bytes,
            .needed = needed_of(r, i),
        };
    }
    for (size_t i = 0; i < s->spec->network_count; i++)
        init_network(s, i, &r->items[COUNT(rows) + i * NETWORK_ROWS]);
    *out = r;
    return 0;
}

void resources_read(struct resources *r)
{
    uint64_t now = base_monotonic_usec();
    if (r->sysctl_count == 0 || now - r->sysctls_usec > SYSCTLS_FRESH_USEC) {
        r->sysctl_count = 0;
        r->sysctls_usec = now;
    }
    memset(&r->room, 0xff, sizeof r->room); /* SHOAL_ABSENT */
    if (r->boss->cgroups != NULL)
        cgroup_read_room(r->boss->cgroups, &r->room);
    for (size_t i = 0; i < COUNT(rows); i++) {
        r->items[i].used = r->items[i].limit = SHOAL_ABSENT;
        rows[i].read(r, &r->items[i]);
    }
    for (size_t i = 0; i < r->boss->spec->network_count && r->boss->net != NULL; i++) {
        struct net_need use;
        net_read_use(r->boss->net, i, &use);
        r->items[COUNT(rows) + i * NETWORK_ROWS].used = use.ports;
        r->items[COUNT(rows) + i * NETWORK_ROWS + 1].used = use.addresses;
        r->items[COUNT(rows) + i * NETWORK_ROWS + 1].limit = use.addresses_max;
    }
}

const shoal_resource_t *resources_get(const struct resources *r, size_t *out_count)
{
    *out_count = r->count;
    return r->items;
}

bool resources_is_estimate(const struct resources *r, size_t index)
{
    (void)r;
    return index < COUNT(rows) && rows[index].estimate;
}

shoal_verdict_t resources_judge(const shoal_resource_t *resource, bool estimate)
{
    if (resource->limit == SHOAL_ABSENT || resource->needed == SHOAL_ABSENT || resource->needed == 0)
        return SHOAL_FITS;
    uint64_t used = resource->used != SHOAL_ABSENT ? resource->used : 0;
    uint64_t left = resource->limit > used ? resource->limit - used : 0;
    if (resource->needed > left)
        return estimate ? SHOAL_TIGHT : SHOAL_LACKS;
    /* What is counted out beforehand (ports, addresses) may be used up to the last one. */
    return resource->network == NULL && left - resource->needed < resource->limit / 10 ? SHOAL_TIGHT : SHOAL_FITS;
}

void resources_close(struct resources *r)
{
    free(r);
}
