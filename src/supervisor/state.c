#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "image/image.h"
#include "supervisor/inside.h"

static int take_lock(struct state *state, const char *project, const char *run_dir, shoal_error_t *err)
{
    AUTO_FREE char *path = base_format("%s/lock", state->dir);
    if (path == NULL)
        return shoal_fail(err, -ENOMEM, "lock");
    state->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state->lock_fd < 0)
        return shoal_fail(err, -errno, "open %s", path);
    if (flock(state->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return shoal_refuse(err, -EBUSY, "project %s is already running from run directory %s", project, run_dir);
    return shoal_fail(err, -errno, "lock %s", path);
}

static int map_seq(struct state *state, shoal_error_t *err)
{
    AUTO_FREE char *path = base_format("%s/seq", state->dir);
    if (path == NULL)
        return shoal_fail(err, -ENOMEM, "seq");
    AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *state->seq) < 0)
        return shoal_fail(err, -errno, "open %s", path);
    void *map = mmap(NULL, sizeof *state->seq, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return shoal_fail(err, -errno, "map %s", path);
    state->seq = map;
    return 0;
}

int state_open(struct state *state, const char *run_dir, const char *project, shoal_error_t *err)
{
    *state = (struct state){.lock_fd = -1};
    state->dir = base_format("%s/%s", run_dir, project);
    if (state->dir == NULL)
        return shoal_fail(err, -ENOMEM, "state");
    uint64_t hash = base_hash(project,
                              strlen(project)); /* one host runs a project once: cgroup_root_open() sees to it */
    (void)snprintf(state->tag, sizeof state->tag, "%06x", (unsigned)(hash ^ hash >> 24 ^ hash >> 48) & 0xffffffu);
    int code = image_make_directories(state->dir, 0711, err);
    if (code == 0)
        code = take_lock(state, project, run_dir, err);
    if (code == 0)
        code = map_seq(state, err);
    if (code < 0)
        state_close(state);
    return code;
}

void state_close(struct state *state)
{
    if (state->seq != NULL)
        (void)munmap(state->seq, sizeof *state->seq);
    base_close_fd(&state->lock_fd);
    free(state->dir);
    *state = (struct state){.lock_fd = -1};
}
