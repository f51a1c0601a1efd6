/* One container's directory: made with its limits, killed, removed. */
#include "cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup/inside.h"

/* How often a directory that is still busy is tried again, beside the event that tells that it is empty: a task that is a
 * zombie no more may still be counted for a moment. */
enum { RETRY_MS = 2, RETRY_LONGEST_MS = 500, RETRY_ATTEMPTS = 40 };

void cgroup_free(struct cgroup *cgroup)
{
    struct cgroup_root *root = cgroup->root;
    hits_forget(root, &cgroup->hits);
    cgroup_unwatch(cgroup, false);
    if (root->scan_next == cgroup)
        root->scan_next = cgroup->next;
    *cgroup->link = cgroup->next;
    if (cgroup->next != NULL)
        cgroup->next->link = cgroup->link;
    base_close_fd(&cgroup->dir_fd);
    cgroup_limits_unref(cgroup->limits);
    free(cgroup->name);
    free(cgroup);
}

struct cgroup *cgroup_new(struct cgroup_root *root, const char *name)
{
    struct cgroup *cgroup = calloc(1, sizeof *cgroup);
    char *copy = base_format("%s", name);
    if (cgroup == NULL || copy == NULL) {
        free(cgroup);
        free(copy);
        return NULL;
    }
    *cgroup = (struct cgroup){.root = root, .name = copy, .dir_fd = -1, .watches = {-1, -1, -1}, .empty = true};
    cgroup->serial = ++root->serial;
    cgroup->hits.cgroup = cgroup;
    cgroup->next = root->cgroups;
    cgroup->link = &root->cgroups;
    if (root->cgroups != NULL)
        root->cgroups->link = &cgroup->next;
    root->cgroups = cgroup;
    return cgroup;
}

int cgroup_create(struct cgroup_root *root, const char *name, struct cgroup_limits *limits, cgroup_event_cb cb,
                  void *data, struct cgroup **out, shoal_error_t *err)
{
    struct cgroup *cgroup = cgroup_new(root, name);
    if (cgroup == NULL)
        return shoal_fail(err, -ENOMEM, "%s", name);
    if (mkdirat(root->dir_fd, name, 0755) < 0) {
        int code = shoal_fail(err, -errno, "make %s/%s", root->path, name);
        cgroup_free(cgroup);
        return code;
    }
    cgroup->dir_fd = openat(root->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = cgroup->dir_fd < 0 ? shoal_fail(err, -errno, "open %s/%s", root->path, name) : 0;
    cgroup->limits = cgroup_limits_ref(limits);
    if (code == 0)
        code = limits_write_early(limits, cgroup->dir_fd, err);
    if (code == 0)
        code = cgroup_watch(cgroup, err);
    if (code < 0) {
        cgroup_free(cgroup);
        (void)unlinkat(root->dir_fd, name, AT_REMOVEDIR);
        return code;
    }
    cgroup_add_levels(cgroup);
    cgroup->cb = cb;
    cgroup->data = data;
    cgroup->empty = false; /* nobody is in it yet, but somebody will be */
    *out = cgroup;
    return 0;
}

int cgroup_fd(const struct cgroup *cgroup)
{
    return cgroup->dir_fd;
}

void cgroup_close_fd(struct cgroup *cgroup)
{
    base_close_fd(&cgroup->dir_fd);
}

int cgroup_kill(struct cgroup *cgroup, shoal_error_t *err)
{
    return cgroup_write(cgroup, "cgroup.kill", "1", err); /* since Linux 5.14 */
}

int cgroup_freeze(struct cgroup *cgroup, bool freeze, shoal_error_t *err)
{
    return cgroup_write(cgroup, "cgroup.freeze", freeze ? "1" : "0", err);
}

bool cgroup_is_frozen(const struct cgroup *cgroup)
{
    return cgroup->frozen;
}

bool cgroup_is_empty(const struct cgroup *cgroup)
{
    char text[CGROUP_TEXT];
    return cgroup_read(cgroup, "cgroup.events", text, sizeof text) >= 0 && cgroup_parse_key(text, "populated") == 0;
}

static void on_retry_closed(uv_handle_t *handle)
{
    struct cgroup *cgroup = handle->data;
    void (*cb)(void *, int) = cgroup->removed_cb;
    void *data = cgroup->removed_data;
    int status = cgroup->status;
    cgroup_free(cgroup);
    cb(data, status);
}

static void try_remove(uv_timer_t *timer)
{
    struct cgroup *cgroup = timer->data;
    int code = cgroup_tree_remove(cgroup->root->dir_fd, cgroup->name);
    if ((code == -EBUSY || code == -ENOTEMPTY) && ++cgroup->attempts < RETRY_ATTEMPTS) {
        (void)cgroup_kill(cgroup, NULL); /* what is left in it; that it is going is what we are after */
        unsigned wait_ms = cgroup->attempts < 9 ? (unsigned)RETRY_MS << cgroup->attempts : RETRY_LONGEST_MS;
        (void)uv_timer_start(timer, try_remove, wait_ms < RETRY_LONGEST_MS ? wait_ms : RETRY_LONGEST_MS, 0);
        return;
    }
    cgroup->status = code;
    uv_close((uv_handle_t *)timer, on_retry_closed);
}

void cgroup_on_empty(struct cgroup *cgroup)
{
    if (cgroup->removed_cb == NULL) {
        cgroup->cb(cgroup->data, CGROUP_EVENT_EMPTY, 0);
    } else if (!uv_is_closing((uv_handle_t *)&cgroup->retry)) {
        (void)uv_timer_start(&cgroup->retry, try_remove, 0, 0);
    }
}

void cgroup_remove(struct cgroup *cgroup, void (*cb)(void *data, int status), void *data)
{
    cgroup->removed_cb = cb;
    cgroup->removed_data = data;
    cgroup->cb = NULL;
    cgroup->empty = false; /* the end of the last process is news again */
    hits_forget(cgroup->root, &cgroup->hits);
    cgroup_unwatch(cgroup, true);
    (void)uv_timer_init(cgroup->root->loop, &cgroup->retry);
    cgroup->retry.data = cgroup;
    (void)uv_timer_start(&cgroup->retry, try_remove, 0, 0);
}
