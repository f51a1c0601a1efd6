/* The plan of one sandbox: every step that the child takes, in order. Mount targets are resolved after pivot_root, inside
 * the new root, so that no link in an image or a volume can lead out of it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "container/inside.h"
#include "kernel/caps.h"

enum { STDIN_GIFT, STDOUT_GIFT, STDERR_GIFT };

/* OCI runtime-spec's usual maskedPaths and readonlyPaths; what this kernel does not have is passed over. */
static const char *const masked_files[] = {"/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
                                           "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                                           "/proc/interrupts"};
static const char *const masked_directories[] = {"/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware",
                                                 "/sys/devices/virtual/powercap"};
static const char *const read_only_paths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

struct builder {
    struct container *c;
    struct launch *launch;
    struct plan *plan;
    shoal_error_t *err;
    int code; /* first failure; later steps are not added in vain but harmless */
};

/* Register a descriptor for the child; returns its index in the plan's fds. */
static int add_gift(struct builder *b, struct gift gift)
{
    struct launch *launch = b->launch;
    if (launch->gift_count == PLAN_FDS_MAX - 1) {
        b->code = shoal_refuse(b->err, -E2BIG, "more than %d layers and volumes", PLAN_FDS_MAX - 8);
        return 0;
    }
    launch->gifts[launch->gift_count] = gift;
    return (int)launch->gift_count++;
}

static void attach(struct builder *b, int gift, const char *target, const char *what)
{
    struct plan_step *step = PLAN_CALL(b->plan, what, SYS_move_mount, gift, PLAN_POINTER(""), AT_FDCWD,
                                       PLAN_POINTER(target), MOVE_MOUNT_F_EMPTY_PATH);
    step->fd_args = 1 << 0;
}

static void make_directories(struct builder *b, const char *path)
{
    plan_add(b->plan, STEP_DIRECTORIES, plan_keep(b->plan, "make directory %s", path))->args[0] = PLAN_POINTER(path);
}

static void mount_file_system(struct builder *b, const char *type, const char *target, unsigned long flags,
                              const char *options)
{
    PLAN_CALL(b->plan, plan_keep(b->plan, "mount %s on %s", type, target), SYS_mount, PLAN_POINTER(type),
              PLAN_POINTER(target), PLAN_POINTER(type), (int64_t)flags, PLAN_POINTER(options));
}

static void write_file(struct builder *b, const char *path, const char *value, const char *what)
{
    struct plan_step *step = plan_add(b->plan, STEP_WRITE_FILE, what);
    step->args[0] = PLAN_POINTER(path);
    step->args[1] = PLAN_POINTER(value);
}

static void receive(struct builder *b, const char *what)
{
    (void)plan_add(b->plan, STEP_RECEIVE, what);
}

/* Before the id maps are there the child is nobody; with them it becomes root of its user namespace. It enters its directory
 * first, while the host's root may still walk there. */
static void plan_arrival(struct builder *b)
{
    struct container *c = b->c;
    PLAN_CALL(b->plan, plan_keep(b->plan, "enter %s", c->dir), SYS_chdir, PLAN_POINTER(c->dir));
    PLAN_CALL(b->plan, "become root of the user namespace", SYS_setresgid, 0, 0, 0);
    PLAN_CALL(b->plan, "become root of the user namespace", SYS_setgroups, 0, 0);
    PLAN_CALL(b->plan, "become root of the user namespace", SYS_setresuid, 0, 0, 0);
    /* Not by clone3: with CLONE_INTO_CGROUP the new namespace would be rooted at the parent's cgroup. */
    PLAN_CALL(b->plan, "cgroup namespace", SYS_unshare, CLONE_NEWCGROUP);
    /* Keys of the host's session stay out of reach, keyrings(7). */
    PLAN_CALL(b->plan, "session keyring", SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0)->tolerate[0] = ENOSYS;
}

/* A writable layer with a file system of its own: where it lies is for the child to attach it again, below its directory. */
static const char *plan_disk(struct builder *b)
{
    struct container *c = b->c;
    if (!c->disk_bounded || !image_disk_is_mounted(&c->disk))
        return "";
    const char *path = plan_keep(b->plan, "%s/" IMAGE_DISK_MOUNT, c->dir);
    int gift = add_gift(b, (struct gift){GIFT_MOUNT, AT_FDCWD, path, .what = path});
    attach(b, gift, IMAGE_DISK_MOUNT, "attach the writable layer");
    return IMAGE_DISK_MOUNT "/";
}

static void plan_root(struct builder *b)
{
    struct container *c = b->c;
    struct text options = {0};
    text_add_string(&options, "lowerdir=");
    size_t count = image_layer_count(c->image);
    for (size_t i = 0; i < count; i++) {
        int gift = add_gift(b, (struct gift){GIFT_MOUNT, image_layer_fd(c->image, i), "", .read_only = true,
                                             .idmapped = true, .what = c->service->image.text});
        attach(b, gift, plan_keep(b->plan, "l%zu", i),
               plan_keep(b->plan, "attach layer %zu of image %s", i, c->service->image.text));
        text_add_format(&options, "%sl%zu", i > 0 ? ":" : "", count - 1 - i); /* overlayfs wants the topmost first */
    }
    const char *below = plan_disk(b);
    text_add_format(&options, ",upperdir=%supper,workdir=%swork,userxattr", below, below);
    char *kept = options.failed ? NULL : plan_keep_bytes(b->plan, options.bytes, options.count + 1);
    text_free(&options);
    if (kept == NULL) {
        b->plan->failed = true;
        return;
    }
    PLAN_CALL(b->plan, plan_keep(b->plan, "mount overlay on / (image %s)", c->service->image.text), SYS_mount,
              PLAN_POINTER("overlay"), PLAN_POINTER("root"), PLAN_POINTER("overlay"), 0, PLAN_POINTER(kept));
    PLAN_CALL(b->plan, "enter the root file system", SYS_chdir, PLAN_POINTER("root"));
    PLAN_CALL(b->plan, "pivot_root", SYS_pivot_root, PLAN_POINTER("."), PLAN_POINTER("."));
    PLAN_CALL(b->plan, "enter /", SYS_chdir, PLAN_POINTER("/"));
}

/* The old root stays mounted over / meanwhile: the kernel mounts proc and sysfs in a user namespace only where a full one is
 * in sight already (mount_too_revealing in fs/namespace.c). */
static void plan_kernel_file_systems(struct builder *b)
{
    struct container *c = b->c;
    const shoal_service_t *service = c->service;
    const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    static const char *const places[] = {"/proc", "/sys", "/dev"};
    for (size_t i = 0; i < COUNT(places); i++)
        make_directories(b, places[i]);
    mount_file_system(b, "proc", "/proc", plain, NULL);
    if (service->network_mode ==
        SHOAL_NETWORK_HOST) { /* sysfs shows a network namespace: only its owner may mount it */
        int gift = add_gift(b, (struct gift){GIFT_MOUNT, AT_FDCWD, "/sys", .read_only = true, .what = "/sys"});
        attach(b, gift, "/sys", "attach /sys");
    } else if (c->namespace != NULL) {
        int gift = add_gift(b, (struct gift){GIFT_DESCRIPTOR, net_namespace_take_sysfs(c->namespace), .what = "/sys"});
        attach(b, gift, "/sys", "attach /sys");
    } else {
        mount_file_system(b, "sysfs", "/sys", plain | MS_RDONLY, NULL);
    }
    mount_file_system(b, "cgroup2", "/sys/fs/cgroup", plain | MS_RDONLY, NULL);
    struct devices *devices = b->launch->devices;
    struct gift dev = {GIFT_MOUNT,       c->kit->dev_fd,         "",          .read_only = true,
                       .idmapped = true, .idmap_optional = true, .what = NULL}; /* tmpfs: idmapped since Linux 6.3 */
    if (devices != NULL && devices->dev_fd >= 0)
        dev = (struct gift){GIFT_DESCRIPTOR, take_fd(&devices->dev_fd), .what = "/dev"};
    attach(b, add_gift(b, dev), "/dev", "attach /dev");
    mount_file_system(b, "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
    uint64_t shm_bytes = service->shm_bytes ? service->shm_bytes : 64u << 20;
    mount_file_system(b, "tmpfs", "/dev/shm", plain,
                      plan_keep(b->plan, "mode=1777,size=%llu", (unsigned long long)shm_bytes));
    mount_file_system(b, "mqueue", "/dev/mqueue", plain, NULL);
}

static void plan_bind(struct builder *b, const char *source, const char *target, bool read_only, bool is_file)
{
    if (is_file)
        plan_add(b->plan, STEP_MOUNT_FILE, plan_keep(b->plan, "make file %s", target))->args[0] = PLAN_POINTER(target);
    else
        make_directories(b, target);
    int gift = add_gift(b, (struct gift){GIFT_MOUNT, AT_FDCWD, source, .recursive = !is_file, .read_only = read_only,
                                         .idmapped = true, .idmap_optional = true, .what = source});
    attach(b, gift, target, plan_keep(b->plan, "mount %s on %s", source, target));
}

static int compare_targets(const void *a, const void *b)
{
    const shoal_mount_t *const *left = a, *const *right = b;
    return strcmp((*left)->target, (*right)->target);
}

static void plan_mounts(struct builder *b)
{
    struct container *c = b->c;
    const shoal_service_t *service = c->service;
    if (c->hosts_path != NULL)
        plan_bind(b, c->hosts_path, "/etc/hosts", true, true);
    if (service->mount_count == 0)
        return;
    const shoal_mount_t **sorted = calloc(service->mount_count, sizeof(shoal_mount_t *));
    if (sorted == NULL) {
        b->plan->failed = true;
        return;
    }
    for (size_t i = 0; i < service->mount_count; i++)
        sorted[i] = &service->mounts[i];
    qsort(sorted, service->mount_count, sizeof *sorted, compare_targets); /* a parent before what lies below it */
    for (size_t i = 0; i < service->mount_count; i++) {
        const shoal_mount_t *mount = sorted[i];
        const struct bind *bind = &c->binds[mount - service->mounts];
        if (mount->kind == SHOAL_MOUNT_TMPFS) {
            make_directories(b, mount->target);
            struct text options = {0};
            text_add_format(&options, "mode=%04o", mount->mode ? mount->mode : 01777);
            if (mount->size_bytes > 0)
                text_add_format(&options, ",size=%llu", (unsigned long long)mount->size_bytes);
            const char *kept = options.failed ? "" : plan_keep(b->plan, "%s", options.bytes);
            b->plan->failed |= options.failed;
            text_free(&options);
            mount_file_system(b, "tmpfs", mount->target,
                              MS_NOSUID | MS_NODEV | MS_NOEXEC | (mount->read_only ? MS_RDONLY : 0), kept);
        } else {
            plan_bind(b, bind->path, mount->target, mount->read_only, bind->is_file);
        }
    }
    free(sorted);
}

/* Devices whose places are not below /dev, over which their nodes lie for a moment. */
static void plan_outside_devices(struct builder *b)
{
    struct devices *devices = b->launch->devices;
    if (devices == NULL || devices->outside_count == 0)
        return;
    int gift = add_gift(b, (struct gift){GIFT_DESCRIPTOR, take_fd(&devices->outside_fd), .what = "devices"});
    attach(b, gift, "/dev", "attach devices over /dev");
    for (size_t i = 0; i < devices->outside_count; i++) {
        const char *target = plan_keep(b->plan, "%s", devices->outside[i]);
        plan_add(b->plan, STEP_MOUNT_FILE, plan_keep(b->plan, "make file %s", target))->args[0] = PLAN_POINTER(target);
        PLAN_CALL(b->plan, plan_keep(b->plan, "mount device on %s", target), SYS_mount,
                  PLAN_POINTER(plan_keep(b->plan, "/dev/%zu", i)), PLAN_POINTER(target), 0, MS_BIND);
    }
    PLAN_CALL(b->plan, "uncover /dev", SYS_umount2, PLAN_POINTER("/dev"), MNT_DETACH);
}

static void request(struct builder *b, int socket, const struct net_message *message)
{
    const void *bytes = plan_keep_bytes(b->plan, message->bytes, message->count);
    struct plan_step *step = plan_add(b->plan, STEP_REQUEST, plan_keep(b->plan, "%s", message->what));
    step->args[0] = socket;
    step->args[1] = PLAN_POINTER(bytes);
    step->args[2] = (int64_t)message->count;
    if (message->needs_ipv6) {
        step->tolerate[0] = EAFNOSUPPORT;
        step->tolerate[1] = EOPNOTSUPP;
    }
}

static void plan_network(struct builder *b)
{
    struct container *c = b->c;
    receive(b, "wait for the network");
    if (c->service->network_mode == SHOAL_NETWORK_HOST || c->namespace != NULL)
        return;                         /* nothing to do, or done */
    enum { socket = PLAN_FDS_MAX - 1 }; /* the child's own, behind all gifts */
    PLAN_CALL(b->plan, "netlink socket", SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)->keep_fd =
        socket;
    struct net_message loopback = net_loopback_message();
    request(b, socket, &loopback);
    for (size_t i = 0; i < c->endpoint_count; i++) {
        struct net_message messages[NET_MESSAGES_MAX];
        size_t count = 0;
        int code = net_endpoint_messages(c->endpoints[i], interface_name(i).text, i == 0, messages, &count, b->err);
        if (code < 0) {
            b->code = code;
            return;
        }
        for (size_t k = 0; k < count; k++)
            request(b, socket, &messages[k]);
    }
}

static void plan_sysctls(struct builder *b)
{
    const shoal_service_t *service = b->c->service;
    if (service->network_mode != SHOAL_NETWORK_HOST && b->c->namespace == NULL) {
        /* Unprivileged ICMP echo sockets and low ports: what makes NET_RAW and NET_BIND_SERVICE unneeded. */
        write_file(b, "/proc/sys/net/ipv4/ping_group_range", "0 65535", "sysctl net.ipv4.ping_group_range");
        write_file(b, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0",
                   "sysctl net.ipv4.ip_unprivileged_port_start");
    }
    for (size_t i = 0; i < service->sysctl_count; i++) {
        const shoal_pair_t *sysctl = &service->sysctls[i];
        const char *path = plan_keep(b->plan, "/proc/sys/%s", sysctl->key);
        char *at = b->plan->failed ? NULL : (char *)(uintptr_t)path + strlen("/proc/sys/"); /* our own copy */
        for (; at != NULL && *at != '\0'; at++)
            if (*at == '.')
                *at = '/';
        write_file(b, path, sysctl->value, plan_keep(b->plan, "sysctl %s: write '%s'", sysctl->key, sysctl->value));
    }
}

static void plan_names(struct builder *b)
{
    const struct container *c = b->c;
    const char *hostname = c->service->hostname != NULL ? c->service->hostname : c->name;
    size_t count = strnlen(hostname, 63); /* HOST_NAME_MAX less one; a long container name is cut */
    PLAN_CALL(b->plan, "set hostname", SYS_sethostname, PLAN_POINTER(hostname), (int64_t)count);
    if (c->service->domainname != NULL)
        PLAN_CALL(b->plan, "set domainname", SYS_setdomainname, PLAN_POINTER(c->service->domainname),
                  (int64_t)strlen(c->service->domainname));
}

static void plan_masks(struct builder *b)
{
    for (size_t i = 0; i < COUNT(masked_files); i++)
        PLAN_CALL(b->plan, plan_keep(b->plan, "mask %s", masked_files[i]), SYS_mount, PLAN_POINTER("/dev/null"),
                  PLAN_POINTER(masked_files[i]), 0, MS_BIND)
            ->tolerate[0] = ENOENT;
    for (size_t i = 0; i < COUNT(masked_directories); i++)
        PLAN_CALL(b->plan, plan_keep(b->plan, "mask %s", masked_directories[i]), SYS_mount, PLAN_POINTER("tmpfs"),
                  PLAN_POINTER(masked_directories[i]), PLAN_POINTER("tmpfs"),
                  MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, PLAN_POINTER("mode=555,size=0,nr_inodes=2"))
            ->tolerate[0] = ENOENT;
    for (size_t i = 0; i < COUNT(read_only_paths); i++) {
        const char *path = read_only_paths[i];
        const char *what = plan_keep(b->plan, "make %s read-only", path);
        PLAN_CALL(b->plan, what, SYS_mount, PLAN_POINTER(path), PLAN_POINTER(path), 0, MS_BIND)->tolerate[0] = ENOENT;
        struct plan_step *step = PLAN_CALL(b->plan, what, SYS_mount, 0, PLAN_POINTER(path), 0,
                                           MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
        step->tolerate[0] = ENOENT;
        step->tolerate[1] = EINVAL; /* no mount point: the bind before it found nothing */
    }
}

static void plan_limits(struct builder *b)
{
    const shoal_service_t *service = b->c->service;
    const struct rlimit64 *descriptors = &b->c->kit->descriptors;
    if (descriptors->rlim_cur > 0) /* before the service's own, which has the last word */
        PLAN_CALL(b->plan, "soft limit of descriptors", SYS_prlimit64, 0, RLIMIT_NOFILE, PLAN_POINTER(descriptors), 0);
    for (size_t i = 0; i < service->ulimit_count; i++) {
        const shoal_ulimit_t *ulimit = &service->ulimits[i];
        struct rlimit64 value = {.rlim_cur = ulimit->soft, .rlim_max = ulimit->hard};
        PLAN_CALL(b->plan,
                  plan_keep(b->plan, "ulimit %d: soft %llu, hard %llu", ulimit->resource,
                            (unsigned long long)ulimit->soft, (unsigned long long)ulimit->hard),
                  SYS_prlimit64, 0, ulimit->resource, PLAN_POINTER(plan_keep_bytes(b->plan, &value, sizeof value)), 0);
    }
}

static void plan_settling(struct builder *b)
{
    const struct container *c = b->c;
    PLAN_CALL(b->plan, "detach the host's root", SYS_umount2, PLAN_POINTER("/"), MNT_DETACH);
    if (c->service->working_dir != NULL)
        make_directories(b, c->service->working_dir);
    if (c->service->read_only)
        PLAN_CALL(b->plan, "make / read-only", SYS_mount, 0, PLAN_POINTER("/"), 0, MS_BIND | MS_REMOUNT | MS_RDONLY);
    const char *directory = c->service->working_dir != NULL ? c->service->working_dir : "/";
    PLAN_CALL(b->plan, plan_keep(b->plan, "enter %s", directory), SYS_chdir, PLAN_POINTER(directory));
    PLAN_CALL(b->plan, "session", SYS_setsid, 0);
    PLAN_CALL(b->plan, "umask", SYS_umask, 022);
    static const int gifts[] = {STDIN_GIFT, STDOUT_GIFT, STDERR_GIFT};
    for (int fd = 0; fd < 3; fd++)
        PLAN_CALL(b->plan, "standard descriptors", SYS_dup3, gifts[fd], fd, 0)->fd_args = 1 << 0;
}

static void plan_seccomp(struct builder *b, uint64_t capabilities)
{
    if (b->c->service->seccomp_unconfined)
        return;
    const struct sock_fprog *program = kit_seccomp(b->c->kit, capabilities, b->err);
    if (program == NULL) {
        b->code = b->err->code;
        return;
    }
    PLAN_CALL(b->plan, "seccomp", SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, PLAN_POINTER(program));
}

/* inheritable: what may become ambient. */
static void set_capabilities(struct builder *b, uint64_t held, uint64_t inheritable)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    for (unsigned i = 0; i < 2; i++)
        sets[i] = (struct __user_cap_data_struct){.effective = (uint32_t)(held >> 32 * i),
                                                  .permitted = (uint32_t)(held >> 32 * i),
                                                  .inheritable = (uint32_t)(inheritable >> 32 * i)};
    PLAN_CALL(b->plan, "capabilities", SYS_capset, PLAN_POINTER(plan_keep_bytes(b->plan, &header, sizeof header)),
              PLAN_POINTER(plan_keep_bytes(b->plan, sets, sizeof sets)));
}

/* Root holds the service's set. Another user holds what the file adds by name and nothing else, as ambient capabilities, so
 * that they outlive execve (capabilities(7)); the rest stays in the bounding set. */
static void plan_identity(struct builder *b)
{
    const struct container *c = b->c;
    const shoal_service_t *service = c->service;
    const struct image_user *user = &c->user;
    uint64_t bounding = caps_resolve(service->cap_add, service->cap_drop);
    uint64_t held = user->uid == 0 ? bounding : bounding & service->cap_add;
    if (!service->no_new_privileges) /* without no_new_privs the filter needs CAP_SYS_ADMIN, which is about to go */
        plan_seccomp(b, bounding);
    uint64_t dropped = caps_known() & ~bounding;
    for (unsigned bit = 0; bit < 64; bit++)
        if (dropped >> bit & 1)
            PLAN_CALL(b->plan, "capability bounding set", SYS_prctl, PR_CAPBSET_DROP, bit);
    if (user->uid != 0)
        PLAN_CALL(b->plan, "keep capabilities", SYS_prctl, PR_SET_KEEPCAPS, 1);
    PLAN_CALL(b->plan, "supplementary groups", SYS_setgroups, (int64_t)user->group_count,
              PLAN_POINTER(plan_keep_bytes(b->plan, user->groups, sizeof user->groups)));
    PLAN_CALL(b->plan, plan_keep(b->plan, "group %u", user->gid), SYS_setresgid, user->gid, user->gid, user->gid);
    PLAN_CALL(b->plan, plan_keep(b->plan, "user %u", user->uid), SYS_setresuid, user->uid, user->uid, user->uid);
    uint64_t ambient = user->uid == 0 ? 0 : held;
    set_capabilities(b, held, ambient);
    for (unsigned bit = 0; bit < 64; bit++)
        if (ambient >> bit & 1)
            PLAN_CALL(b->plan, "ambient capabilities", SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0);
    (void)plan_add(b->plan, STEP_SIGNALS, "signals");
    if (service->no_new_privileges) {
        PLAN_CALL(b->plan, "no_new_privs", SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        plan_seccomp(b, bounding);
    }
}

static const char *find_environment(const shoal_strings_t *environment, const char *name)
{
    size_t count = strlen(name);
    for (size_t i = 0; i < environment->count; i++)
        if (strncmp(environment->items[i], name, count) == 0 && environment->items[i][count] == '=')
            return environment->items[i] + count + 1;
    return NULL;
}

/* PATH, HOSTNAME and HOME are there unless the file says otherwise, as with docker run. */
static const char **keep_environment(struct builder *b, const char **out_path)
{
    const struct container *c = b->c;
    const shoal_strings_t *wanted = &c->service->environment;
    const struct {
        const char *name, *value;
    } defaults[] = {
        {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        {"HOSTNAME", c->service->hostname != NULL ? c->service->hostname : c->name},
        {"HOME", c->user.home},
    };
    const char **items = plan_room(b->plan, (wanted->count + COUNT(defaults) + 1) * sizeof *items);
    if (items == NULL)
        return NULL;
    size_t count = 0;
    for (size_t i = 0; i < COUNT(defaults); i++)
        if (find_environment(wanted, defaults[i].name) == NULL)
            items[count++] = plan_keep(b->plan, "%s=%s", defaults[i].name, defaults[i].value);
    for (size_t i = 0; i < wanted->count; i++)
        items[count++] = wanted->items[i];
    const char *path = find_environment(wanted, "PATH");
    *out_path = path != NULL ? path : defaults[0].value;
    return items;
}

/* Where execvp(3) would look for name. */
static const char **keep_candidates(struct builder *b, const char *name, const char *path)
{
    enum { CANDIDATES = 64 };
    const char *candidates[CANDIDATES + 1];
    size_t count = 0;
    if (strchr(name, '/') != NULL || *name == '\0') {
        candidates[count++] = name;
    } else {
        while (count < CANDIDATES) {
            size_t length = strcspn(path, ":");
            candidates[count++] = length == 0 ? plan_keep(b->plan, "./%s", name)
                                              : plan_keep(b->plan, "%.*s/%s", (int)length, path, name);
            if (path[length] == '\0')
                break;
            path += length + 1;
        }
    }
    candidates[count++] = NULL;
    return plan_keep_bytes(b->plan, candidates, count * sizeof *candidates);
}

static void plan_exec(struct builder *b)
{
    const shoal_service_t *service = b->c->service;
    size_t count = service->entrypoint.count + service->command.count;
    if (count == 0) {
        b->code = shoal_refuse(b->err, -EINVAL, "no command: the service has neither entrypoint nor command");
        return;
    }
    enum { INIT_ARGS = 3 };
    bool hold = b->launch->hold, by_init = service->init || hold;
    const char *path = NULL;
    const char **environment = keep_environment(b, &path);
    const char **argv = plan_room(b->plan, (count + INIT_ARGS + 1) * sizeof *argv);
    if (environment == NULL || argv == NULL)
        return; /* the plan remembers */
    size_t at = 0;
    if (by_init) {
        static const char hold_mode[] = {INIT_HOLD, 0}, reap_mode[] = {INIT_REAP, 0},
                          both[] = {INIT_HOLD, INIT_REAP, 0};
        argv[at++] = "shoal-init";
        argv[at++] = plan_keep(b->plan, "%d", b->plan->channel);
        argv[at++] = !service->init ? hold_mode : hold ? both : reap_mode;
    }
    for (size_t i = 0; i < service->entrypoint.count; i++)
        argv[at++] = service->entrypoint.items[i];
    for (size_t i = 0; i < service->command.count; i++)
        argv[at++] = service->command.items[i];
    if (b->launch->park && !hold) {
        static const char held[] = {CHILD_HELD};
        PLAN_CALL(b->plan, "say that it waits for the start", SYS_write, b->plan->channel, PLAN_POINTER(held), 1);
        receive(b, "wait for the start");
    }
    const char *name = argv[by_init ? INIT_ARGS : 0];
    const char *what = plan_keep(b->plan, "execute %s", name);
    if (!by_init) {
        struct plan_step *step = plan_add(b->plan, STEP_EXEC, what);
        step->args[0] = PLAN_POINTER(keep_candidates(b, name, path));
        step->args[1] = PLAN_POINTER(argv);
        step->args[2] = PLAN_POINTER(environment);
        return;
    }
    /* The init says on the channel whether the command could be executed, so it inherits it. */
    int init_fd = fcntl(b->c->kit->init_fd, F_DUPFD_CLOEXEC, 3);
    if (init_fd < 0) {
        b->code = shoal_fail(b->err, -errno, "duplicate shoal-init");
        return;
    }
    int init = add_gift(b, (struct gift){GIFT_DESCRIPTOR, init_fd, .what = "shoal-init"});
    PLAN_CALL(b->plan, "hand the channel to shoal-init", SYS_fcntl, b->plan->channel, F_SETFD, 0);
    PLAN_CALL(b->plan, what, SYS_execveat, init, PLAN_POINTER(""), PLAN_POINTER(argv), PLAN_POINTER(environment),
              AT_EMPTY_PATH)
        ->fd_args = 1 << 0;
}

int sandbox_plan(struct container *c, struct launch *launch, shoal_error_t *err)
{
    struct builder b = {.c = c, .launch = launch, .plan = &launch->plan, .err = err};
    int null_fd = fcntl(c->kit->null_fd, F_DUPFD_CLOEXEC, 3);
    if (null_fd < 0)
        return shoal_fail(err, -errno, "duplicate /dev/null");
    (void)add_gift(&b, (struct gift){GIFT_DESCRIPTOR, null_fd, .what = "stdin"});
    for (int i = 0; i < 2; i++)
        (void)add_gift(&b,
                       (struct gift){GIFT_DESCRIPTOR, take_fd(&launch->child_outputs[i]), .what = "stdout and stderr"});
    static void (*const parts[])(struct builder *) = {
        plan_arrival,
        plan_root,
        plan_kernel_file_systems,
        plan_mounts,
        plan_outside_devices,
        plan_network,
        plan_sysctls,
        plan_names,
        plan_masks,
        plan_limits,
        plan_settling,
        plan_identity,
        plan_exec,
    };
    for (size_t i = 0; i < COUNT(parts) && b.code == 0; i++)
        parts[i](&b);
    if (b.code == 0 && b.plan->failed)
        b.code = shoal_fail(err, -ENOMEM, "plan");
    return b.code;
}
