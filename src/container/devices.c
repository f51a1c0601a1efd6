/* The devices of a service: what they are on the host, a /dev with nodes for them, and the program that decides what may be done
 * with them. A node is made, not bound from the host's /dev: there it would belong to nobody, and one that its mode gives to
 * root or a group alone (/dev/kvm) would be of no use inside. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "container/inside.h"
#include "kernel/devices.h"
#include "kernel/mount.h"

enum { NODES_MOST = 512, DEPTH_MOST = 16 };

struct node {
    char *target; /* owned: absolute, inside */
    struct stat about;
    unsigned access;
};

struct nodes {
    struct node items[NODES_MOST];
    size_t count;
};

static void nodes_free(struct nodes *nodes)
{
    for (size_t i = 0; nodes != NULL && i < nodes->count; i++)
        free(nodes->items[i].target);
    free(nodes);
}

/* The part of target behind /dev/; NULL: it lies elsewhere. */
static const char *inside_dev(const char *target)
{
    return strncmp(target, "/dev/", 5) == 0 ? target + 5 : NULL;
}

static bool has_rules(const shoal_service_t *service)
{
    return service->device_count > 0 || service->device_rule_count > 0;
}

/* Whoever may mount could make the template writable that all share, and so has a /dev of their own. */
static bool needs_own_dev(const shoal_service_t *service)
{
    return service->device_count > 0 || (service->cap_add >> CAP_SYS_ADMIN & 1) != 0; /* nobody has it by default */
}

bool devices_wanted(const shoal_service_t *service)
{
    return has_rules(service) || needs_own_dev(service);
}

/* ---- what they are ---- */

static bool is_device(const struct stat *about)
{
    return S_ISCHR(about->st_mode) || S_ISBLK(about->st_mode);
}

static int add_node(struct nodes *nodes, const char *target, const struct stat *about, unsigned access,
                    shoal_error_t *err)
{
    if (nodes->count == NODES_MOST)
        return shoal_refuse(err, -E2BIG, "more than %d devices", NODES_MOST);
    char *copy = base_format("%s", target);
    if (copy == NULL)
        return shoal_fail(err, -ENOMEM, "devices");
    nodes->items[nodes->count++] = (struct node){copy, *about, access};
    return 0;
}

/* All devices below a directory, without following links. What the sandbox has of its own keeps its place. dir_fd is closed. */
static int add_directory(struct nodes *nodes, int dir_fd, const char *source, const char *target, unsigned access,
                         int depth, shoal_error_t *err)
{
    DIR *dir = dir_fd >= 0 ? fdopendir(dir_fd) : NULL;
    if (dir == NULL) {
        int code = shoal_fail(err, -errno, "list %s", source);
        base_close_fd(&dir_fd);
        return code;
    }
    int code = 0;
    for (struct dirent *entry; code == 0 && (entry = readdir(dir)) != NULL;) {
        struct stat about;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(dir), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) < 0) /* gone meanwhile */
            continue;
        AUTO_FREE char *from = base_format("%s/%s", source, entry->d_name);
        AUTO_FREE char *to = base_format("%s/%s", target, entry->d_name);
        const char *in_dev = to != NULL ? inside_dev(to) : NULL;
        if (from == NULL || to == NULL)
            code = shoal_fail(err, -ENOMEM, "devices");
        else if (in_dev != NULL && dev_is_taken(in_dev))
            continue;
        else if (is_device(&about))
            code = add_node(nodes, to, &about, access, err);
        else if (S_ISDIR(about.st_mode) && depth < DEPTH_MOST)
            code = add_directory(nodes,
                                 openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                                 from, to, access, depth + 1, err);
    }
    (void)closedir(dir);
    return code;
}

static int add_device(struct nodes *nodes, const shoal_device_t *device, shoal_error_t *err)
{
    struct stat about;
    const char *in_dev = inside_dev(device->target);
    if (in_dev != NULL && dev_is_taken(in_dev))
        return shoal_refuse(err, -EBUSY, "%s is the sandbox's own", device->target);
    if (stat(device->source, &about) < 0)
        return shoal_fail(err, -errno, "%s", device->source);
    if (is_device(&about))
        return in_dev != NULL || strcmp(device->target, "/dev") != 0
                   ? add_node(nodes, device->target, &about, device->access, err)
                   : shoal_refuse(err, -EISDIR, "%s cannot be /dev itself", device->source);
    if (!S_ISDIR(about.st_mode))
        return shoal_refuse(err, -ENODEV, "%s is neither a device nor a directory of devices", device->source);
    size_t before = nodes->count;
    int code = add_directory(nodes, open(device->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC), device->source,
                             device->target, device->access, 0, err);
    if (code == 0 && nodes->count == before)
        code = shoal_refuse(err, -ENODEV, "there is no device in %s", device->source);
    return code;
}

static int find(const shoal_service_t *service, struct nodes **out, size_t *out_index, shoal_error_t *err)
{
    struct nodes *nodes = calloc(1, sizeof *nodes);
    if (nodes == NULL)
        return shoal_fail(err, -ENOMEM, "devices");
    for (size_t i = 0; i < service->device_count; i++) {
        int code = add_device(nodes, &service->devices[i], err);
        if (code < 0) {
            nodes_free(nodes);
            *out_index = i;
            return code;
        }
    }
    *out = nodes;
    return 0;
}

int sandbox_find_devices(const shoal_service_t *service, size_t *out_index, shoal_error_t *err)
{
    struct nodes *nodes = NULL;
    *out_index = 0;
    int code = find(service, &nodes, out_index, err);
    nodes_free(nodes);
    return code;
}

/* ---- the program ---- */

struct device_program {
    struct device_program *next;
    int fd;
    size_t rule_count;
    shoal_device_rule_t rules[];
};

static bool same_rules(const shoal_device_rule_t *a, const shoal_device_rule_t *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (a[i].type != b[i].type || a[i].major != b[i].major || a[i].minor != b[i].minor ||
            a[i].access != b[i].access)
            return false;
    return true;
}

static void free_program(struct device_program *program)
{
    base_close_fd(&program->fd); /* where it is attached it goes on */
    free(program);
}

/* The newest first; devices that are plugged in anew have new numbers, so old ones go. Returns a borrowed descriptor. */
static int get_program(struct sandbox_kit *kit, const struct devices *devices, shoal_error_t *err)
{
    enum { KEPT = 32 };
    struct device_program **at = &kit->device_programs;
    for (unsigned i = 0; *at != NULL; i++, at = &(*at)->next) {
        if ((*at)->rule_count == devices->rule_count && same_rules((*at)->rules, devices->rules, devices->rule_count))
            return (*at)->fd;
        if (i + 1 == KEPT && (*at)->next != NULL) {
            free_program((*at)->next);
            (*at)->next = NULL;
        }
    }
    struct device_program *program = calloc(1, sizeof *program + devices->rule_count * sizeof *program->rules);
    if (program == NULL)
        return shoal_fail(err, -ENOMEM, "device program");
    program->fd = devices_load(devices->rules, devices->rule_count, err);
    if (program->fd < 0) {
        free(program);
        return err->code;
    }
    program->rule_count = devices->rule_count;
    memcpy(program->rules, devices->rules, devices->rule_count * sizeof *program->rules);
    program->next = kit->device_programs;
    kit->device_programs = program;
    return program->fd;
}

void devices_close_programs(struct sandbox_kit *kit)
{
    while (kit->device_programs != NULL) {
        struct device_program *next = kit->device_programs->next;
        free_program(kit->device_programs);
        kit->device_programs = next;
    }
}

/* ---- one start ---- */

void devices_free(struct devices *devices)
{
    if (devices == NULL)
        return;
    base_close_fd(&devices->dev_fd);
    base_close_fd(&devices->outside_fd);
    for (size_t i = 0; i < devices->outside_count; i++)
        free(devices->outside[i]);
    free(devices->outside);
    free(devices->rules);
    free(devices);
}

static int make_rules(struct devices *devices, const shoal_service_t *service, const struct nodes *nodes,
                      shoal_error_t *err)
{
    size_t default_count;
    const shoal_device_rule_t *defaults = devices_default_rules(&default_count);
    devices->rules = calloc(default_count + service->device_rule_count + nodes->count, sizeof *devices->rules);
    if (devices->rules == NULL)
        return shoal_fail(err, -ENOMEM, "device rules");
    for (size_t i = 0; i < default_count; i++)
        devices->rules[devices->rule_count++] = defaults[i];
    for (size_t i = 0; i < service->device_rule_count; i++)
        devices->rules[devices->rule_count++] = service->device_rules[i];
    for (size_t i = 0; i < nodes->count; i++) {
        const struct node *node = &nodes->items[i];
        devices->rules[devices->rule_count++] = (shoal_device_rule_t){
            .type = S_ISBLK(node->about.st_mode) ? 'b' : 'c',
            .major = (int)major(node->about.st_rdev),
            .minor = (int)minor(node->about.st_rdev),
            .access = node->access,
        };
    }
    return 0;
}

/* Nodes whose place is not below /dev: they are bound there one by one. */
static int make_outside(struct devices *devices, const struct nodes *nodes, uint32_t root_id, shoal_error_t *err)
{
    devices->outside = calloc(nodes->count + 1, sizeof *devices->outside);
    if (devices->outside == NULL)
        return shoal_fail(err, -ENOMEM, "devices");
    for (size_t i = 0; i < nodes->count; i++) {
        const struct node *node = &nodes->items[i];
        if (inside_dev(node->target) != NULL)
            continue;
        if (devices->outside_fd < 0)
            devices->outside_fd = mount_make_tmpfs("0755", err);
        if (devices->outside_fd < 0)
            return err->code;
        char name[24];
        (void)snprintf(name, sizeof name, "%zu", devices->outside_count);
        int code = dev_make_node(devices->outside_fd, name, &node->about, root_id, err);
        char *target = code == 0 ? base_format("%s", node->target) : NULL;
        if (target == NULL)
            return code < 0 ? code : shoal_fail(err, -ENOMEM, "devices");
        devices->outside[devices->outside_count++] = target;
    }
    return 0;
}

static int make_dev(struct devices *devices, const struct nodes *nodes, uint32_t root_id, shoal_error_t *err)
{
    devices->dev_fd = mount_make_tmpfs("0755", err);
    int code = devices->dev_fd < 0 ? devices->dev_fd : dev_fill(devices->dev_fd, root_id, err);
    for (size_t i = 0; i < nodes->count && code == 0; i++) {
        const char *path = inside_dev(nodes->items[i].target);
        if (path != NULL)
            code = dev_make_node(devices->dev_fd, path, &nodes->items[i].about, root_id, err);
    }
    return code == 0 ? mount_make_read_only(devices->dev_fd, err) : code;
}

int devices_make(const shoal_service_t *service, uint32_t root_id, bool nodes_too, struct devices **out,
                 shoal_error_t *err)
{
    struct nodes *nodes = NULL;
    struct devices *devices = calloc(1, sizeof *devices);
    size_t index;
    if (devices == NULL)
        return shoal_fail(err, -ENOMEM, "devices");
    devices->dev_fd = devices->outside_fd = -1;
    int code = find(service, &nodes, &index, err);
    if (code == 0)
        code = make_rules(devices, service, nodes, err);
    if (code == 0 && nodes_too && needs_own_dev(service)) {
        code = make_dev(devices, nodes, root_id, err);
        if (code == 0)
            code = make_outside(devices, nodes, root_id, err);
    }
    nodes_free(nodes);
    if (code < 0) {
        (void)shoal_within(err, "devices");
        devices_free(devices);
        return code;
    }
    *out = devices;
    return 0;
}

int devices_prepare(struct sandbox_kit *kit, const shoal_service_t *service, shoal_error_t *err)
{
    if (!has_rules(service) || kit->no_device_lists)
        return 0;
    struct devices *devices = NULL;
    int code = devices_make(service, 0, false, &devices, err);
    if (code < 0)
        return code;
    int fd = get_program(kit, devices, err);
    devices_free(devices);
    return fd < 0 ? fd : 0;
}

int devices_enter(struct container *c, shoal_error_t *err)
{
    const struct devices *devices = c->launch->devices;
    if (devices == NULL || !has_rules(c->service) || c->kit->no_device_lists)
        return 1;
    int fd = get_program(c->kit, devices, err);
    int code = fd < 0 ? fd : cgroup_set_devices(c->cgroup, fd, err);
    return code < 0 ? code : 1;
}
