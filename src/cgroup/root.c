/* Our part of the hierarchy: where cgroup2 is, which place in it is ours, which controllers can be had there, and what a
 * killed supervisor left. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "cgroup/inside.h"

enum { LEFTOVER_MS = 10000, LEFTOVER_POLL_MS = 5 };
static const char run_xattr[] = "trusted.shoal.run";
const char cgroup_group_xattr[] = "trusted.shoal.group";

static const char *const names[CGROUP_CONTROLLER_COUNT] = {
    [CGROUP_CPU] = "cpu",   [CGROUP_CPUSET] = "cpuset",   [CGROUP_IO] = "io",     [CGROUP_MEMORY] = "memory",
    [CGROUP_PIDS] = "pids", [CGROUP_HUGETLB] = "hugetlb", [CGROUP_RDMA] = "rdma", [CGROUP_MISC] = "misc",
};
static const bool on_demand[CGROUP_NEED_COUNT] = {[CGROUP_HUGETLB] = true, [CGROUP_RDMA] = true, [CGROUP_MISC] = true};

/* What cgroup v1 calls it. */
static const char *v1_name(int controller)
{
    return controller == CGROUP_IO ? "blkio" : names[controller];
}

const char *cgroup_controller_words(enum cgroup_controller controller)
{
    static const char *const words[CGROUP_NEED_COUNT] = {
        [CGROUP_CPU] = "the cpu controller",
        [CGROUP_CPUSET] = "the cpuset controller",
        [CGROUP_IO] = "the io controller",
        [CGROUP_MEMORY] = "the memory controller",
        [CGROUP_PIDS] = "the pids controller",
        [CGROUP_HUGETLB] = "the hugetlb controller",
        [CGROUP_RDMA] = "the rdma controller",
        [CGROUP_MISC] = "the misc controller",
        [CGROUP_IO_WEIGHT] = "io.weight or io.bfq.weight",
    };
    return words[controller];
}

bool cgroup_root_has(const struct cgroup_root *root, enum cgroup_controller controller)
{
    return root->has[controller];
}

const char *cgroup_root_why_not(const struct cgroup_root *root, enum cgroup_controller controller)
{
    return root->why_not[controller];
}

const char *cgroup_root_path(const struct cgroup_root *root)
{
    return root->path;
}

/* A space-separated list of words, as cgroup.controllers is one. */
static bool has_word(const char *list, const char *word)
{
    size_t count = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += count)
        if ((at == list || at[-1] == ' ' || at[-1] == ',') && strchr(" ,\n", at[count]) != NULL)
            return true;
    return false;
}

/* proc(5): "36 35 98:0 /root /mount/point options - type source options". Octal escapes stand for blanks. */
struct mount_line {
    char root[PATH_MAX], point[PATH_MAX], type[64], super_options[512];
};

static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        unsigned octal;
        if (from[0] == '\\' && sscanf(from + 1, "%3o", &octal) == 1) {
            *to = (char)octal;
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

static bool read_mount_line(FILE *file, struct mount_line *out)
{
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) > 0) {
        const char *rest = strstr(line, " - ");
        if (rest == NULL || sscanf(line, "%*d %*d %*s %4095s %4095s", out->root, out->point) != 2 ||
            sscanf(rest, " - %63s %*s %511s", out->type, out->super_options) != 2)
            continue;
        unescape(out->root);
        unescape(out->point);
        return true;
    }
    return false;
}

struct hierarchy {
    char root[PATH_MAX], point[PATH_MAX]; /* of the cgroup2 mount */
    bool in_v1[CGROUP_CONTROLLER_COUNT];
};

static int find_hierarchy(struct hierarchy *out, shoal_error_t *err)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (file == NULL)
        return shoal_fail(err, -errno, "open /proc/self/mountinfo");
    struct mount_line *line = malloc(sizeof *line);
    bool found = false;
    while (line != NULL && read_mount_line(file, line)) {
        if (strcmp(line->type, "cgroup2") == 0) { /* a later mount at the same place covers the earlier */
            memcpy(out->root, line->root, sizeof out->root);
            memcpy(out->point, line->point, sizeof out->point);
            found = true;
        }
        for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
            if (strcmp(line->type, "cgroup") == 0 && has_word(line->super_options, v1_name(i)))
                out->in_v1[i] = true;
    }
    (void)fclose(file);
    if (line == NULL)
        return shoal_fail(err, -ENOMEM, "mountinfo");
    free(line);
    return found
               ? 0
               : shoal_refuse(err, -ENOENT, "no cgroup2 file system is mounted: mount -t cgroup2 none /sys/fs/cgroup");
}

/* Our own cgroup as a directory, NULL where it lies outside the mount. */
static char *find_own(const struct hierarchy *hierarchy)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL)
        return NULL;
    char *line = NULL, *own = NULL;
    size_t room = 0;
    while (own == NULL && getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        const char *path = strncmp(line, "0::", 3) == 0 ? line + 3 : NULL;
        size_t skip = strcmp(hierarchy->root, "/") == 0 ? 0 : strlen(hierarchy->root);
        if (path != NULL && strncmp(path, hierarchy->root, skip) == 0)
            own = base_format("%s%s", hierarchy->point, strcmp(path + skip, "/") == 0 ? "" : path + skip);
    }
    free(line);
    (void)fclose(file);
    return own;
}

static bool is_delegated(const char *dir)
{
    char value[4];
    return (getxattr(dir, "user.delegate", value, sizeof value) >= 1 ||
            getxattr(dir, "trusted.delegate", value, sizeof value) >= 1) &&
           value[0] == '1';
}

/* A cgroup with controllers switched on for its children may hold no process itself: we move to a leaf of it. */
static int move_to_leaf(const char *own, shoal_error_t *err)
{
    AUTO_FREE char *leaf = base_format("%s/supervisor", own);
    if (leaf == NULL)
        return shoal_fail(err, -ENOMEM, "cgroup");
    if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
        return shoal_fail(err, -errno, "make %s", leaf);
    AUTO_FD fd = open(leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return shoal_fail(err, -errno, "open %s", leaf);
    char pid[16];
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    int code = cgroup_file_write(fd, "cgroup.procs", pid, err);
    if (code < 0)
        (void)shoal_within(err, "%s", leaf);
    return code;
}

static int choose_top(struct cgroup_root *root, const struct hierarchy *hierarchy, bool look_only, shoal_error_t *err)
{
    AUTO_FREE char *own = find_own(hierarchy);
    size_t length = own != NULL ? strlen(own) : 0;
    static const char leaf[] = "/supervisor";
    if (length > sizeof leaf && strcmp(own + length - (sizeof leaf - 1), leaf) == 0)
        own[length - (sizeof leaf - 1)] = '\0'; /* we are in our leaf already: an earlier supervisor of this process */
    bool delegated = own != NULL && strcmp(own, hierarchy->point) != 0 && is_delegated(own);
    root->top = base_format("%s", delegated ? own : hierarchy->point);
    if (root->top == NULL)
        return shoal_fail(err, -ENOMEM, "cgroup");
    root->mount_length = strlen(hierarchy->point);
    return delegated && !look_only ? move_to_leaf(own, err) : 0;
}

static int switch_on(int dir_fd, int controller, shoal_error_t *err)
{
    char word[16];
    (void)snprintf(word, sizeof word, "+%s", names[controller]);
    return cgroup_file_write(dir_fd, "cgroup.subtree_control", word, err);
}

static bool is_wanted(const struct cgroup_root *root, int controller)
{
    return root->has[controller] && (!on_demand[controller] || root->in_use[controller]);
}

/* A controller that cannot be switched on is missing, and why is remembered. */
static void try_switch_on(struct cgroup_root *root, const char *dir, int dir_fd, int controller)
{
    shoal_error_t error;
    int code = dir_fd < 0 ? shoal_fail(&error, -EBADF, "open") : switch_on(dir_fd, controller, &error);
    if (code == 0)
        return;
    root->has[controller] = false;
    (void)snprintf(root->why_not[controller], sizeof root->why_not[controller], "%.40s/%.100s", dir, error.text);
}

/* All that is wanted, for the children of dir. */
static void enable(struct cgroup_root *root, const char *dir)
{
    AUTO_FD fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
        if (is_wanted(root, i))
            try_switch_on(root, dir, fd, i);
}

int cgroup_enable_controllers(const struct cgroup_root *root, int dir_fd, shoal_error_t *err)
{
    int code = 0;
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT && code == 0; i++)
        if (is_wanted(root, i))
            code = switch_on(dir_fd, i, err);
    return code;
}

/* Those outside first: the newest stands in front, and what is in another was made after it. */
static void switch_on_in_groups(struct cgroup_root *root, const struct cgroup *cgroup, int controller)
{
    if (cgroup == NULL)
        return;
    switch_on_in_groups(root, cgroup->next, controller);
    if (!cgroup->is_group)
        return;
    AUTO_FD fd = openat(root->dir_fd, cgroup->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    try_switch_on(root, cgroup->name, fd, controller);
}

bool cgroup_root_use(struct cgroup_root *root, enum cgroup_controller controller)
{
    if (controller == CGROUP_IO_WEIGHT)
        cgroup_find_weight_files(root);
    bool first = !root->in_use[controller];
    root->in_use[controller] = true;
    if (!first || !on_demand[controller] || !root->has[controller] || root->dir_fd < 0)
        return root->has[controller];
    AUTO_FREE char *shoal = base_format("%s/shoal", root->top);
    const char *const dirs[] = {root->top, shoal, root->path};
    for (size_t i = 0; i < COUNT(dirs) && root->has[controller]; i++) {
        AUTO_FD fd = dirs[i] != NULL ? open(dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        try_switch_on(root, dirs[i] != NULL ? dirs[i] : "", fd, controller);
    }
    if (root->has[controller])
        switch_on_in_groups(root, root->cgroups, controller);
    return root->has[controller];
}

void cgroup_read_cpuset(const struct cgroup_root *root, const char *file, char *out, size_t room)
{
    AUTO_FD fd = root->dir_fd >= 0 ? openat(root->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                                   : open(root->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    out[0] = '\0';
    if (fd < 0 || cgroup_file_read(fd, file, out, room) < 0)
        out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

static void find_controllers(struct cgroup_root *root, const struct hierarchy *hierarchy)
{
    char list[CGROUP_TEXT] = "";
    AUTO_FD fd = open(root->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)cgroup_file_read(fd, "cgroup.controllers", list, sizeof list);
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
        root->has[i] = has_word(list, names[i]);
        if (!root->has[i] && hierarchy->in_v1[i])
            (void)snprintf(root->why_not[i], sizeof root->why_not[i], "cgroup v1 holds it");
        else if (!root->has[i])
            (void)snprintf(root->why_not[i], sizeof root->why_not[i], "not in %.100s/cgroup.controllers", root->top);
    }
}

/* Whether the supervisor that this directory names still runs. */
static int check_owner(const char *path, const char *project, const char *run_dir, shoal_error_t *err)
{
    char owner[PATH_MAX];
    ssize_t count = getxattr(path, run_xattr, owner, sizeof owner - 1);
    if (count <= 0)
        return 0;
    owner[count] = '\0';
    if (strcmp(owner, run_dir) == 0)
        return 0;
    AUTO_FREE char *lock = base_format("%s/%s/lock", owner, project);
    if (lock == NULL)
        return shoal_fail(err, -ENOMEM, "owner of %s", path);
    AUTO_FD fd = open(lock, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return shoal_refuse(err, -EBUSY, "project %s is already running from run directory %s", project, owner);
    return 0;
}

static int make_directories(struct cgroup_root *root, const struct hierarchy *hierarchy, const char *project,
                            const char *run_dir, shoal_error_t *err)
{
    AUTO_FREE char *shoal = base_format("%s/shoal", root->top);
    root->path = base_format("%s/shoal/%s", root->top, project);
    if (shoal == NULL || root->path == NULL)
        return shoal_fail(err, -ENOMEM, "cgroup");
    const char *const dirs[] = {shoal, root->path};
    for (size_t i = 0; i < COUNT(dirs); i++)
        if (mkdir(dirs[i], 0755) < 0 && errno != EEXIST)
            return shoal_fail(err, -errno, "make %s", dirs[i]);
    int code = check_owner(root->path, project, run_dir, err);
    if (code < 0)
        return code;
    root->dir_fd = open(root->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root->dir_fd < 0)
        return shoal_fail(err, -errno, "open %s", root->path);
    (void)setxattr(root->path, run_xattr, run_dir, strlen(run_dir), 0); /* without it the lock alone tells */
    find_controllers(root, hierarchy);
    enable(root, root->top);
    enable(root, shoal);
    enable(root, root->path);
    return 0;
}

/* Kill and remove one directory of a supervisor that is gone. Waits; nothing runs on the loop yet. */
static int clear_one(struct cgroup_root *root, const char *name, uint64_t until_usec, shoal_error_t *err)
{
    AUTO_FD fd = openat(root->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : shoal_fail(err, -errno, "open %s/%s", root->path, name);
    AUTO_FD events = openat(fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    for (;;) {
        int code = cgroup_tree_remove(root->dir_fd, name);
        if (code == 0)
            return 0;
        if (code != -EBUSY && code != -ENOTEMPTY)
            return shoal_fail(err, code, "remove %s/%s", root->path, name);
        if (base_monotonic_usec() >= until_usec)
            return shoal_fail(err, -ETIMEDOUT, "%s/%s: its processes do not end", root->path, name);
        (void)cgroup_file_write(fd, "cgroup.kill", "1", NULL);
        char text[CGROUP_TEXT];
        (void)!pread(events, text, sizeof text, 0); /* a change is told from here on */
        struct pollfd waiting = {.fd = events, .events = POLLPRI};
        (void)poll(&waiting, 1, LEFTOVER_POLL_MS); /* its change, or a moment: zombies are counted a little longer */
    }
}

struct leftovers {
    struct cgroup_root *root;
    uint64_t until_usec;
    void (*on_leftover)(void *data, const char *name);
    void *data;
};

/* Each directory of dir_fd, which is closed here, goes; those of groups when what is in them has gone. path: where dir_fd lies in
 * the project, with a slash at its end; "" the project itself. */
static int clear_below(const struct leftovers *all, int dir_fd, const char *path, shoal_error_t *err)
{
    DIR *dir = dir_fd >= 0 ? fdopendir(dir_fd) : NULL;
    if (dir == NULL) {
        int code = shoal_fail(err, -errno, "list %s/%s", all->root->path, path);
        base_close_fd(&dir_fd);
        return code;
    }
    int code = 0;
    for (struct dirent *entry; code == 0 && (entry = readdir(dir)) != NULL;) {
        char mark;
        if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        AUTO_FREE char *name = base_format("%s%s", path, entry->d_name);
        AUTO_FREE char *inside = base_format("%s%s/", path, entry->d_name);
        if (name == NULL || inside == NULL) {
            code = shoal_fail(err, -ENOMEM, "leftovers");
            continue;
        }
        int fd = openat(all->root->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && fgetxattr(fd, cgroup_group_xattr, &mark, 1) == 1) {
            code = clear_below(all, fd, inside, err);
        } else {
            base_close_fd(&fd);
            if (all->on_leftover != NULL)
                all->on_leftover(all->data, entry->d_name);
        }
        if (code == 0)
            code = clear_one(all->root, name, all->until_usec, err);
    }
    (void)closedir(dir);
    return code;
}

static int clear_leftovers(struct cgroup_root *root, void (*on_leftover)(void *, const char *), void *data,
                           shoal_error_t *err)
{
    const struct leftovers all = {root, base_monotonic_usec() + UINT64_C(1000) * LEFTOVER_MS, on_leftover, data};
    return clear_below(&all, openat(root->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "", err);
}

/* The limits of a budget that a killed supervisor left go with the directory: a new one has none. */
static int renew(struct cgroup_root *root, const char *run_dir, shoal_error_t *err)
{
    if (rmdir(root->path) < 0)
        return shoal_fail(err, -errno, "remove %s", root->path);
    base_close_fd(&root->dir_fd);
    if (mkdir(root->path, 0755) < 0)
        return shoal_fail(err, -errno, "make %s", root->path);
    root->dir_fd = open(root->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root->dir_fd < 0)
        return shoal_fail(err, -errno, "open %s", root->path);
    (void)setxattr(root->path, run_xattr, run_dir, strlen(run_dir), 0);
    enable(root, root->path);
    return 0;
}

static void remove_directories(struct cgroup_root *root)
{
    if (root->path == NULL)
        return;
    /* Groups with it. EBUSY, ENOTEMPTY: what could not be removed was reported by its container. */
    (void)cgroup_tree_remove(AT_FDCWD, root->path);
    char *slash = strrchr(root->path, '/');
    *slash = '\0';
    (void)rmdir(root->path); /* ENOTEMPTY, EBUSY: another project's */
    *slash = '/';
}

void cgroup_root_free(struct cgroup_root *root)
{
    if (root == NULL)
        return;
    base_close_fd(&root->inotify_fd);
    base_close_fd(&root->dir_fd);
    cgroup_free_levels(root);
    free(root->top);
    free(root->path);
    free(root);
}

int cgroup_root_open(struct cgroup_root **out, uv_loop_t *loop, const char *project, const char *run_dir,
                     void (*on_leftover)(void *data, const char *name), void *data, shoal_error_t *err)
{
    struct cgroup_root *root = calloc(1, sizeof *root);
    struct hierarchy *hierarchy = calloc(1, sizeof *hierarchy);
    if (root == NULL || hierarchy == NULL) {
        free(root);
        free(hierarchy);
        return shoal_fail(err, -ENOMEM, "cgroup");
    }
    root->loop = loop;
    root->dir_fd = root->inotify_fd = -1;
    int code = find_hierarchy(hierarchy, err);
    if (code == 0)
        code = choose_top(root, hierarchy, false, err);
    if (code == 0)
        code = make_directories(root, hierarchy, project, run_dir, err);
    bool ours = code == 0;
    if (code == 0)
        code = clear_leftovers(root, on_leftover, data, err);
    if (code == 0)
        code = renew(root, run_dir, err);
    if (code == 0)
        code = cgroup_watch_open(root, err); /* last: what it opens is closed over the loop */
    free(hierarchy);
    if (code == 0) {
        *out = root;
        return 0;
    }
    (void)shoal_within(err, "cgroup");
    if (ours)
        remove_directories(root);
    cgroup_root_free(root);
    return code;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct cgroup_root *root = handle->data;
    void (*cb)(void *) = root->close_cb;
    void *data = root->close_data;
    remove_directories(root);
    cgroup_root_free(root);
    cb(data);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct cgroup_root *root = handle->data;
    uv_close((uv_handle_t *)&root->hits_timer, on_timer_closed);
}

void cgroup_root_close(struct cgroup_root *root, void (*cb)(void *data), void *data)
{
    root->closing = true;
    root->close_cb = cb;
    root->close_data = data;
    uv_close((uv_handle_t *)&root->poll, on_poll_closed);
}

int cgroup_root_look(struct cgroup_root **out, shoal_error_t *err)
{
    struct cgroup_root *root = calloc(1, sizeof *root);
    struct hierarchy *hierarchy = calloc(1, sizeof *hierarchy);
    int code = root == NULL || hierarchy == NULL ? shoal_fail(err, -ENOMEM, "cgroup") : 0;
    if (code == 0) {
        root->dir_fd = root->inotify_fd = -1;
        code = find_hierarchy(hierarchy, err);
    }
    if (code == 0)
        code = choose_top(root, hierarchy, true, err);
    if (code == 0) {
        find_controllers(root, hierarchy);
        *out = root;
    } else {
        cgroup_root_free(root);
    }
    free(hierarchy);
    return code;
}

static uint64_t read_number(int dir_fd, const char *file, const char *key)
{
    char text[CGROUP_TEXT];
    if (cgroup_file_read(dir_fd, file, text, sizeof text) < 0)
        return SHOAL_ABSENT;
    return key != NULL ? cgroup_parse_key(text, key) : cgroup_parse_number(text);
}

/* Keep the pair that leaves less. */
static void keep_tightest(uint64_t *used, uint64_t *limit, uint64_t new_used, uint64_t new_limit)
{
    if (new_used == SHOAL_ABSENT || new_limit == SHOAL_ABSENT)
        return;
    int64_t left = (int64_t)(*limit - *used), new_left = (int64_t)(new_limit - new_used); /* more than full: negative */
    if (*limit != SHOAL_ABSENT && left <= new_left)
        return;
    *used = new_used;
    *limit = new_limit;
}

void cgroup_read_room(const struct cgroup_root *root, struct cgroup_room *out)
{
    memset(out, 0xff, sizeof *out); /* SHOAL_ABSENT */
    AUTO_FREE char *path = base_format("%s", root->top);
    while (path != NULL) {
        AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            keep_tightest(&out->pids, &out->pids_max, read_number(fd, "pids.current", NULL),
                          read_number(fd, "pids.max", NULL));
            keep_tightest(&out->memory, &out->memory_max, read_number(fd, "memory.current", NULL),
                          read_number(fd, "memory.max", NULL));
            keep_tightest(&out->descendants, &out->descendants_max, read_number(fd, "cgroup.stat", "nr_descendants"),
                          read_number(fd, "cgroup.max.descendants", NULL));
        }
        char *slash = strrchr(path, '/');
        if (strlen(path) <= root->mount_length || slash == NULL || slash == path)
            return;
        *slash = '\0';
    }
}

unsigned cgroup_root_watches(const struct cgroup_root *root)
{
    return root->watch_count;
}
