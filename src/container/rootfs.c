/* A container's place on disk and what its file asks the host for, found and made by a worker thread while the loop already
 * clones: the directory, the user, the sources of the mounts. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "container/inside.h"

struct rootfs_work {
    uv_work_t request;
    struct container *container;
    struct image_file files[3];
    size_t file_count;
    char *hosts; /* owned: network_mode host has a copy of the host's */
    struct image_user user;
    struct bind *binds;             /* owned until the stage takes them */
    struct devices *devices;        /* likewise */
    struct image_disk disk, wanted; /* in force; wanted of late: the container's may change meanwhile */
    bool made, refused;             /* the tree is there; what is wanted of late is not in force */
    int result;
    shoal_error_t error, why_refused;
};

static void free_binds(struct bind *binds, size_t count)
{
    for (size_t i = 0; binds != NULL && i < count; i++)
        free(binds[i].path);
    free(binds);
}

static int find_bind(const struct container *c, const shoal_mount_t *mount, struct bind *out, shoal_error_t *err)
{
    if (mount->kind == SHOAL_MOUNT_TMPFS)
        return 0;
    if (mount->kind == SHOAL_MOUNT_VOLUME) {
        AUTO_FREE char *anonymous = NULL;
        const char *name;
        if (mount->volume >= 0) {
            name = c->spec->volumes[mount->volume].full_name;
        } else {
            uint64_t target = base_hash(mount->target, strlen(mount->target));
            name = anonymous = base_format("%.12s-%016llx", c->id, (unsigned long long)target);
            if (name == NULL)
                return shoal_fail(err, -ENOMEM, "volume of %s", mount->target);
        }
        return image_make_volume(c->root_dir, name, &out->path, err);
    }
    struct stat about;
    if (stat(mount->source, &about) < 0) {
        if (errno != ENOENT || !mount->create_host_path)
            return shoal_fail(err, -errno, "bind %s on %s", mount->source, mount->target);
        int code = image_make_directories(mount->source, 0755, err);
        if (code < 0)
            return code;
        about.st_mode = S_IFDIR;
    }
    out->is_file = !S_ISDIR(about.st_mode);
    out->path = base_format("%s", mount->source);
    return out->path != NULL ? 0 : shoal_fail(err, -ENOMEM, "bind %s", mount->source);
}

static char *read_hosts(const shoal_service_t *service)
{
    struct text text = {0};
    FILE *file = fopen("/etc/hosts", "re");
    char line[1024];
    while (file != NULL && fgets(line, sizeof line, file) != NULL && text.count < 1u << 20)
        text_add_string(&text, line);
    if (file != NULL)
        (void)fclose(file);
    for (size_t i = 0; i < service->extra_host_count; i++)
        text_add_format(&text, "%s\t%s\n", service->extra_hosts[i].value, service->extra_hosts[i].key);
    return text_take(&text);
}

static void make_rootfs(struct rootfs_work *work)
{
    const struct container *c = work->container;
    const shoal_service_t *service = c->service;
    shoal_error_t *err = &work->error;
    work->result = image_find_user(c->image, service->user, &service->group_add, &work->user, err);
    work->binds = calloc(service->mount_count + 1, sizeof *work->binds);
    if (work->result == 0 && work->binds == NULL)
        work->result = shoal_fail(err, -ENOMEM, "mounts");
    for (size_t i = 0; i < service->mount_count && work->result == 0; i++)
        work->result = find_bind(c, &service->mounts[i], &work->binds[i], err);
    if (work->result == 0 && service->network_mode == SHOAL_NETWORK_HOST) {
        work->hosts = read_hosts(service);
        if (work->hosts == NULL)
            work->result = shoal_fail(err, -ENOMEM, "/etc/hosts");
        work->files[work->file_count++] = (struct image_file){"etc/hosts", work->hosts};
    }
    if (work->result == 0)
        work->result = image_make_rootfs(c->image, c->dir, c->first_id, c->disk_bounded ? &work->disk : NULL,
                                         work->files, work->file_count, err);
    work->made = work->result == 0;
}

static void rootfs_work(uv_work_t *request) /* on a worker thread; reads only what does not change during a launch */
{
    struct rootfs_work *work = CONTAINER_OF(request, struct rootfs_work, request);
    const struct container *c = work->container;
    if (!c->rootfs_made)
        make_rootfs(work);
    if (work->result == 0 && devices_wanted(c->service)) /* at each start: they come and go */
        work->result = devices_make(c->service, c->first_id, true, &work->devices, &work->error);
}

static void change_bounds(uv_work_t *request) /* on a worker thread: they were changed while it was made */
{
    struct rootfs_work *work = CONTAINER_OF(request, struct rootfs_work, request);
    shoal_error_t error;
    work->refused = image_disk_change(&work->wanted, work->container->dir, &error) < 0;
    if (work->refused)
        work->why_refused = error;
    else
        work->disk = work->wanted;
}

static void on_rootfs_made(uv_work_t *request, int status)
{
    struct rootfs_work *work = CONTAINER_OF(request, struct rootfs_work, request);
    struct container *c = work->container;
    if (work->made && !work->refused && (work->disk.bytes != c->disk.bytes || work->disk.inodes != c->disk.inodes)) {
        work->wanted = work->disk;
        work->wanted.bytes = c->disk.bytes;
        work->wanted.inodes = c->disk.inodes;
        int code = uv_queue_work(c->loop, request, change_bounds, on_rootfs_made);
        if (code == 0)
            return;
        work->refused = shoal_fail(&work->why_refused, code, "queue work") < 0;
    }
    if (work->refused)
        container_warn(c, "update: %s; it keeps the limits that it had", work->why_refused.text);
    const struct container_owner *owner = c->owner; /* c may be gone before this returns */
    shoal_error_t error = work->error;
    int result = status < 0 ? shoal_fail(&error, status, "worker") : work->result;
    if (work->made) { /* whatever came after it */
        c->disk = work->disk;
        c->user = work->user;
        c->binds = work->binds;
        work->binds = NULL;
        c->rootfs_made = true;
    }
    if (result == 0 && c->launch != NULL) {
        c->launch->devices = work->devices;
        work->devices = NULL;
    }
    devices_free(work->devices);
    free_binds(work->binds, c->service->mount_count);
    free((void *)(uintptr_t)work->files[0].text);
    free(work->hosts);
    free(work);
    bool ahead = c->rootfs_ahead;
    c->rootfs_pending = c->rootfs_ahead = false;
    c->parts_open--;
    if (c->close_cb != NULL)
        container_close_go_on(c);
    else if (c->launch != NULL && c->launch->error.code == 0 && c->launch->awaits_rootfs)
        launch_continue(c, result < 0 ? result : 1, &error);
    else
        container_settle(c); /* nobody waits for it: it was made ahead, or the start has failed meanwhile */
    if (ahead)
        owner->on_made_ahead(owner->data);
}

static int queue(struct container *c, shoal_error_t *err)
{
    struct rootfs_work *work = calloc(1, sizeof *work);
    const char *hostname = c->service->hostname != NULL ? c->service->hostname : c->name;
    char *line = base_format("%s\n", hostname);
    if (work == NULL || line == NULL) {
        free(work);
        free(line);
        return shoal_fail(err, -ENOMEM, "root file system");
    }
    work->container = c;
    work->disk = c->disk;
    work->files[work->file_count++] = (struct image_file){"etc/hostname", line};
    work->files[work->file_count++] = (struct image_file){"etc/resolv.conf", c->kit->resolv};
    int code = uv_queue_work(c->loop, &work->request, rootfs_work, on_rootfs_made);
    if (code < 0) {
        free(line);
        free(work);
        return shoal_fail(err, code, "queue work");
    }
    c->rootfs_pending = true;
    c->parts_open++;
    return 0;
}

int rootfs_begin(struct container *c, shoal_error_t *err)
{
    bool wanted = !c->rootfs_made || devices_wanted(c->service);
    int code = wanted && !c->rootfs_pending ? queue(c, err) : 0;
    return code < 0 ? code : 1;
}

int rootfs_enter(struct container *c, shoal_error_t *err)
{
    (void)err;
    c->launch->awaits_rootfs = c->rootfs_pending;
    return c->rootfs_pending ? 0 : 1; /* on_rootfs_made() goes on */
}

bool container_make_ahead(struct container *c)
{
    if (c->state != CONTAINER_CREATED || c->launch != NULL || c->rootfs_made || c->rootfs_pending || c->disk_bounded ||
        devices_wanted(c->service))
        return false;
    for (size_t i = 0; i < c->service->mount_count; i++)
        if (c->service->mounts[i].kind == SHOAL_MOUNT_BIND)
            return false; /* what it will find there may not be there yet */
    c->rootfs_ahead = queue(c, NULL) == 0;
    return c->rootfs_ahead;
}
