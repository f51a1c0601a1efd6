/* What is in the /dev of every sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "container/inside.h"

static const struct {
    const char *name;
    unsigned major, minor;
} nodes[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

static const struct {
    const char *name, *target;
} links[] = {{"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
             {"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},         {"core", "/proc/kcore"}};

static const char *const directories[] = {"pts", "shm", "mqueue"};

/* Also root's own directory. */
static int own(int dev_fd, const char *name, uint32_t id)
{
    return fchownat(dev_fd, name, id, id, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
}

int dev_fill(int dev_fd, uint32_t root_id, shoal_error_t *err)
{
    for (size_t i = 0; i < COUNT(nodes); i++) {
        dev_t number = makedev(nodes[i].major, nodes[i].minor);
        if (mknodat(dev_fd, nodes[i].name, S_IFCHR | 0666, number) < 0 ||
            fchmodat(dev_fd, nodes[i].name, 0666, 0) < 0 || own(dev_fd, nodes[i].name, root_id) < 0)
            return shoal_fail(err, -errno, "make /dev/%s", nodes[i].name);
    }
    for (size_t i = 0; i < COUNT(links); i++)
        if (symlinkat(links[i].target, dev_fd, links[i].name) < 0 || own(dev_fd, links[i].name, root_id) < 0)
            return shoal_fail(err, -errno, "make /dev/%s", links[i].name);
    for (size_t i = 0; i < COUNT(directories); i++)
        if (mkdirat(dev_fd, directories[i], 0755) < 0 || own(dev_fd, directories[i], root_id) < 0)
            return shoal_fail(err, -errno, "make /dev/%s", directories[i]);
    return own(dev_fd, "", root_id) == 0 ? 0 : shoal_fail(err, -errno, "make /dev");
}

bool dev_is_taken(const char *path)
{
    size_t count = strcspn(path, "/");
    for (size_t i = 0; i < COUNT(links); i++)
        if (strlen(links[i].name) == count && strncmp(path, links[i].name, count) == 0)
            return true;
    for (size_t i = 0; i < COUNT(directories); i++)
        if (strlen(directories[i]) == count && strncmp(path, directories[i], count) == 0)
            return true;
    return false;
}

/* An id of the host by number as an id inside; what is none there is nobody's. */
static uint32_t id_inside(uint32_t root_id, uint32_t id)
{
    enum { NOBODY = 65534 };
    return root_id + (id < CONTAINER_IDS ? id : NOBODY);
}

int dev_make_node(int dir_fd, const char *path, const struct stat *like, uint32_t root_id, shoal_error_t *err)
{
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        AUTO_FREE char *parent = base_format("%.*s", (int)(slash - path), path);
        if (parent == NULL)
            return shoal_fail(err, -ENOMEM, "make device %s", path);
        if (mkdirat(dir_fd, parent, 0755) == 0 ? own(dir_fd, parent, root_id) < 0 : errno != EEXIST)
            return shoal_fail(err, -errno, "make directory %s of device %s", parent, path);
    }
    if (unlinkat(dir_fd, path, 0) < 0 && errno != ENOENT) /* else one of those above, in whose place it comes */
        return shoal_fail(err, -errno, "replace device %s", path);
    if (mknodat(dir_fd, path, like->st_mode, like->st_rdev) < 0 ||
        fchownat(dir_fd, path, id_inside(root_id, like->st_uid), id_inside(root_id, like->st_gid),
                 AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(dir_fd, path, like->st_mode & 0777, 0) < 0)
        return shoal_fail(err, -errno, "make device %s", path);
    return 0;
}
