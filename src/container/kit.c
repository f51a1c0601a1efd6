/* The kit: what every sandbox of a supervisor gets, made once. */
#include <errno.h>
#include <fcntl.h>
#include <linux/oom.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "child/init_image.h"
#include "container/inside.h"
#include "kernel/caps.h"
#include "kernel/mount.h"
#include "kernel/process.h"
#include "kernel/seccomp.h"

struct seccomp_entry {
    struct seccomp_entry *next;
    uint64_t capabilities;
    struct sock_fprog program; /* filter: owned */
};

/* One /dev for all. It has to be attached: before Linux 6.15 open_tree(2) clones no mount that is not. */
static int open_dev(struct sandbox_kit *kit, const char *state_dir, shoal_error_t *err)
{
    kit->dev_path = base_format("%s/dev", state_dir);
    if (kit->dev_path == NULL)
        return shoal_fail(err, -ENOMEM, "/dev");
    while (umount2(kit->dev_path, MNT_DETACH) == 0)
        ; /* what a killed supervisor left in a mount namespace that is not its own */
    if (mkdir(kit->dev_path, 0755) < 0 && errno != EEXIST)
        return shoal_fail(err, -errno, "make %s", kit->dev_path);
    AUTO_FD fd = mount_make_tmpfs("0755", err);
    if (fd < 0)
        return fd;
    int code = dev_fill(fd, 0, err);
    if (code < 0)
        return code;
    if (move_mount(fd, "", AT_FDCWD, kit->dev_path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return shoal_fail(err, -errno, "attach %s", kit->dev_path);
    kit->dev_fd = take_fd(&fd);
    return 0;
}

/* The host's resolvers. A loopback one means nothing in another network namespace and is left out. */
static char *read_resolv_conf(void)
{
    struct text text = {0};
    FILE *file = fopen("/etc/resolv.conf", "re");
    if (file == NULL)
        return text_take(&text);
    char line[512];
    while (fgets(line, sizeof line, file) != NULL && text.count < 16384) {
        char address[64];
        if (sscanf(line, " nameserver %63s", address) == 1 &&
            (strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0))
            continue;
        text_add_string(&text, line);
    }
    (void)fclose(file);
    return text_take(&text);
}

static int open_slots(struct sandbox_kit *kit, unsigned count, shoal_error_t *err)
{
    kit->slots = calloc(count, sizeof *kit->slots);
    kit->slot_taken = calloc(count, sizeof *kit->slot_taken);
    if (kit->slots == NULL || kit->slot_taken == NULL)
        return shoal_fail(err, -ENOMEM, "launch slots");
    for (; kit->slot_count < count; kit->slot_count++) {
        int fd = fcntl(kit->null_fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return shoal_fail(err, -errno, "reserve %u descriptors for starts", count);
        kit->slots[kit->slot_count] = fd;
    }
    return 0;
}

int sandbox_kit_open(struct sandbox_kit **out, const struct sandbox_kit_options *options, shoal_error_t *err)
{
    struct sandbox_kit *kit = calloc(1, sizeof *kit);
    if (kit == NULL)
        return shoal_fail(err, -ENOMEM, "sandbox kit");
    kit->loop = options->loop;
    kit->ended_end = &kit->ended;
    kit->no_pressure = options->no_pressure;
    kit->no_device_lists = options->no_device_lists;
    (void)uv_idle_init(kit->loop, &kit->idle);
    kit->idle.data = kit;
    if (getrlimit64(RLIMIT_NOFILE, &kit->descriptors) < 0 || options->descriptors > kit->descriptors.rlim_max)
        kit->descriptors.rlim_cur = 0;
    else
        kit->descriptors.rlim_cur = options->descriptors;
    kit->dev_fd = kit->init_fd = -1;
    kit->dumpable = prctl(PR_GET_DUMPABLE);
    kit->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int code = kit->null_fd < 0 ? shoal_fail(err, -errno, "open /dev/null") : 0;
    if (code == 0)
        code = open_slots(kit, options->starts_in_flight, err);
    if (code == 0)
        code = open_dev(kit, options->state_dir, err);
    if (code == 0) {
        kit->init_fd = child_init_open(err);
        code = kit->init_fd < 0 ? kit->init_fd : 0;
    }
    if (code == 0) {
        kit->resolv = read_resolv_conf();
        kit->read_buffer = malloc(KIT_READ_BYTES);
        if (kit->resolv == NULL || kit->read_buffer == NULL)
            code = shoal_fail(err, -ENOMEM, "sandbox kit");
    }
    oom_open(kit);
    if (code == 0)
        code = process_get_oom_score_adj(0, &kit->oom_score_adj, err);
    if (code == 0 && options->guard)
        kit->guarded = process_set_oom_score_adj(0, OOM_SCORE_ADJ_MIN, NULL) == 0;
    *out = kit; /* also half open: it closes over the loop */
    return code;
}

bool sandbox_kit_is_guarded(const struct sandbox_kit *kit)
{
    return kit->guarded;
}

static void on_idle(uv_idle_t *idle)
{
    struct sandbox_kit *kit = idle->data;
    exit_look_at_some(kit);
    if (kit->ended == NULL)
        (void)uv_idle_stop(idle);
}

void kit_wake(struct sandbox_kit *kit)
{
    (void)uv_idle_start(&kit->idle, on_idle);
}

static void on_idle_closed(uv_handle_t *handle)
{
    struct sandbox_kit *kit = handle->data;
    void (*cb)(void *) = kit->close_cb;
    void *data = kit->close_data;
    while (kit->spare_launches != NULL) {
        struct launch *next = kit->spare_launches->next_spare;
        launch_destroy(kit->spare_launches);
        kit->spare_launches = next;
    }
    while (kit->seccomp != NULL) {
        struct seccomp_entry *next = kit->seccomp->next;
        free(kit->seccomp->program.filter);
        free(kit->seccomp);
        kit->seccomp = next;
    }
    devices_close_programs(kit);
    oom_close(kit);
    if (kit->guarded)
        (void)process_set_oom_score_adj(0, kit->oom_score_adj, NULL);
    base_close_fd(&kit->init_fd);
    if (kit->dev_fd >= 0) {
        base_close_fd(&kit->dev_fd);
        (void)umount2(kit->dev_path, MNT_DETACH);
    }
    if (kit->dev_path != NULL)
        (void)rmdir(kit->dev_path);
    for (unsigned i = 0; i < kit->slot_count; i++)
        base_close_fd(&kit->slots[i]);
    base_close_fd(&kit->null_fd);
    free(kit->slots);
    free(kit->slot_taken);
    free(kit->dev_path);
    free(kit->resolv);
    free(kit->read_buffer);
    free(kit);
    cb(data);
}

void sandbox_kit_close(struct sandbox_kit *kit, void (*cb)(void *data), void *data)
{
    kit->close_cb = cb;
    kit->close_data = data;
    uv_close((uv_handle_t *)&kit->idle, on_idle_closed);
}

const struct sock_fprog *kit_seccomp(struct sandbox_kit *kit, uint64_t capabilities, shoal_error_t *err)
{
    for (struct seccomp_entry *entry = kit->seccomp; entry != NULL; entry = entry->next)
        if (entry->capabilities == capabilities)
            return &entry->program;
    struct seccomp_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        (void)shoal_fail(err, -ENOMEM, "seccomp");
        return NULL;
    }
    entry->capabilities = capabilities;
    if (seccomp_compile(capabilities, &entry->program.filter, &entry->program.len, err) < 0) {
        free(entry);
        return NULL;
    }
    entry->next = kit->seccomp;
    kit->seccomp = entry;
    return &entry->program;
}

int sandbox_kit_add(struct sandbox_kit *kit, const shoal_service_t *service, shoal_error_t *err)
{
    int code = devices_prepare(kit, service, err);
    if (code < 0 || service->seccomp_unconfined)
        return code;
    return kit_seccomp(kit, caps_resolve(service->cap_add, service->cap_drop), err) != NULL ? 0 : err->code;
}

int kit_take_slot(struct sandbox_kit *kit, int fd)
{
    for (unsigned i = 0; i < kit->slot_count; i++) {
        if (kit->slot_taken[i])
            continue;
        if (dup3(fd, kit->slots[i], O_CLOEXEC) < 0)
            return -1;
        kit->slot_taken[i] = true;
        return (int)i;
    }
    return -1;
}

void kit_give_slot_fd(struct sandbox_kit *kit, int slot)
{
    (void)dup3(kit->null_fd, kit->slots[slot], O_CLOEXEC); /* both are open: it cannot fail */
}

void kit_free_slot(struct sandbox_kit *kit, int slot)
{
    kit->slot_taken[slot] = false;
}
