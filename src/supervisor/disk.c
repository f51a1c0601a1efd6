/* Bounds of writable layers, as the fleet sees them: whether the host can carry them out, and what is used of them. */
#include <errno.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>

#include "supervisor/fleet.h"
#include "supervisor/inside.h"

/* ---- before anything is started ---- */

/* Of one kind of room: of the file system of the root directory, or of memory. */
struct room {
    const char *what; /* for a person */
    uint64_t free_bytes, wanted_bytes;
};

static void say(shoal_supervisor_t *s, shoal_severity_t severity, const shoal_service_t *service, const char *text)
{
    char place[300] = "";
    const shoal_position_t *at = &service->disk.at;
    if (at->line > 0)
        (void)snprintf(place, sizeof place, "%s:%d:%d: ", at->file, at->line, at->column);
    supervisor_message(s, severity, "%sservices.%s.%s: %s", place, service->name, service->disk.key, text);
}

/* The directory, or what is there of the way to it. NULL: out of memory. */
static char *find_existing(const char *dir)
{
    char *path = base_format("%s", dir);
    while (path != NULL && path[1] != '\0' && access(path, F_OK) < 0) {
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            break;
        slash[slash == path] = '\0';
    }
    return path;
}

static uint64_t read_free_memory(void)
{
    struct sysinfo about;
    return sysinfo(&about) == 0 ? (uint64_t)(about.totalram + about.totalswap) * about.mem_unit : UINT64_MAX;
}

static uint64_t read_free_disk(const char *dir)
{
    struct statfs about;
    return statfs(dir, &about) == 0 ? (uint64_t)about.f_bavail * (uint64_t)about.f_frsize : UINT64_MAX;
}

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* Returns 0 and what is carried out (AUTO: nothing). */
static int check_one(shoal_supervisor_t *s, const shoal_service_t *service, const char *dir, struct room *rooms,
                     struct image_disk *out)
{
    const shoal_disk_t *disk = &service->disk;
    shoal_error_t why;
    char text[sizeof why.text + 32];
    *out = (struct image_disk){.bytes = disk->bytes, .inodes = disk->inodes};
    int code = image_disk_choose(dir, disk->via, &out->via, &why);
    if (code < 0) {
        bool degrade = s->spec->degrade;
        (void)snprintf(text, sizeof text, "%s%s", degrade ? "not carried out: " : "", why.text);
        say(s, degrade ? SHOAL_WARNING : SHOAL_ERROR, service, text);
        out->via = SHOAL_DISK_AUTO;
        return degrade ? 0 : -ENOTSUP;
    }
    struct room *room = &rooms[out->via == SHOAL_DISK_TMPFS];
    room->wanted_bytes += disk->bytes * service->replicas;
    if (disk->bytes <= room->free_bytes)
        return 0;
    (void)snprintf(text, sizeof text, "%.1f MiB are more than the %.1f MiB of %s", mebibytes(disk->bytes),
                   mebibytes(room->free_bytes), room->what);
    say(s, SHOAL_ERROR, service, text);
    return -ENOTSUP;
}

int check_disks(shoal_supervisor_t *s, const shoal_spec_t *spec, struct image_disk *out, shoal_error_t *err)
{
    const char *root = s->root_dir != NULL ? s->root_dir : s->options.root_dir;
    AUTO_FREE char *dir = find_existing(root != NULL ? root : "/var/lib/shoal");
    if (dir == NULL)
        return shoal_fail(err, -ENOMEM, "x-shoal.disk");
    struct room rooms[] = {{"free space of the root directory's file system", read_free_disk(dir), 0},
                           {"memory and swap", read_free_memory(), 0}};
    int code = 0;
    for (size_t i = 0; i < spec->service_count; i++) {
        struct image_disk disk = {0};
        int result = spec->services[i].disk.set ? check_one(s, &spec->services[i], dir, rooms, &disk) : 0;
        code = code < 0 ? code : result;
        if (out != NULL)
            out[i] = disk;
    }
    for (size_t i = 0; i < COUNT(rooms) && code == 0; i++)
        if (rooms[i].wanted_bytes > rooms[i].free_bytes)
            supervisor_message(s, SHOAL_WARNING,
                               "x-shoal.disk: all containers together may write %.1f MiB, of %.1f MiB of %s",
                               mebibytes(rooms[i].wanted_bytes), mebibytes(rooms[i].free_bytes), rooms[i].what);
    return code < 0 ? shoal_refuse(err, code, "the host lacks what the fleet needs; nothing was started") : 0;
}

/* ---- what is used ---- */

struct item {
    size_t member;
    char id[CONTAINER_ID_TEXT]; /* another container may have the member's place by then */
    char *dir;                  /* owned */
    struct image_disk disk;
    struct image_disk_use use;
    int result;
};

struct disk_round {
    uv_work_t request;
    shoal_supervisor_t *boss;
    void (*cb)(shoal_supervisor_t *s);
    size_t count;
    struct item items[];
};

static void read_all(
    uv_work_t *request) /* on a worker thread: the kernel may have to read what is used from the disk */
{
    struct disk_round *round = CONTAINER_OF(request, struct disk_round, request);
    for (size_t i = 0; i < round->count; i++) {
        struct item *item = &round->items[i];
        item->result = image_disk_read(&item->disk, item->dir, &item->use, NULL); /* it may have gone meanwhile */
    }
}

static void free_round(struct disk_round *round)
{
    for (size_t i = 0; i < round->count; i++)
        free(round->items[i].dir);
    free(round);
}

static void on_read(uv_work_t *request, int status)
{
    struct disk_round *round = CONTAINER_OF(request, struct disk_round, request);
    shoal_supervisor_t *s = round->boss;
    void (*cb)(shoal_supervisor_t *) = round->cb;
    for (size_t i = 0; i < round->count && status == 0; i++) {
        const struct item *item = &round->items[i];
        struct container *c = s->members[item->member].container;
        if (item->result == 0 && c != NULL && !s->members[item->member].closing &&
            strcmp(container_id(c), item->id) == 0)
            container_set_disk_use(c, &item->use);
    }
    free_round(round);
    s->reading_disks = false;
    cb(s);
    fleet_schedule(s); /* somebody may wait to close */
}

static bool has_bounds(const shoal_supervisor_t *s)
{
    for (size_t i = 0; i < s->spec->service_count; i++)
        if (s->groups[i].disk.via != SHOAL_DISK_AUTO)
            return true;
    return false;
}

bool disks_read(shoal_supervisor_t *s, void (*cb)(shoal_supervisor_t *s))
{
    struct disk_round *round = has_bounds(s) ? calloc(1, sizeof *round + s->member_count * sizeof round->items[0])
                                             : NULL;
    if (round == NULL)
        return false;
    *round = (struct disk_round){.boss = s, .cb = cb};
    for (size_t i = 0; i < s->member_count; i++) {
        const struct container *c = s->members[i].container;
        struct item *item = &round->items[round->count];
        const char *dir;
        if (c == NULL || s->members[i].closing || !container_get_disk(c, &item->disk, &dir))
            continue;
        item->member = i;
        (void)snprintf(item->id, sizeof item->id, "%s", container_id(c));
        item->dir = base_format("%s", dir);
        round->count += item->dir != NULL;
    }
    s->reading_disks = round->count > 0 && uv_queue_work(s->loop, &round->request, read_all, on_read) == 0;
    if (!s->reading_disks)
        free_round(round);
    return s->reading_disks;
}
