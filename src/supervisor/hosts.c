/* /etc/hosts, kept current. Services that see the same names (same networks, same extra_hosts) share one file, which is mounted
 * into each of their sandboxes: a change is one write in place. It names every container that has not ended for good. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/inside.h"

/* Changes that come together are written together; what takes long is written seldom: a twentieth of the loop's time at most. */
enum { DELAY_MS = 20, DELAY_SHARE = 20 };

struct view {
    char *path;                  /* owned */
    const shoal_service_t *like; /* a service of this view */
};

struct hosts {
    shoal_supervisor_t *boss;
    struct view *views;
    size_t view_count;
    size_t *view_of; /* per service: index + 1, 0 none */
    uv_timer_t timer;
    uint64_t delay_ms;
    bool dirty, writing;
    void (*close_cb)(void *data);
    void *close_data;
};

static bool same_view(const shoal_service_t *a, const shoal_service_t *b)
{
    if (a->network_mode != b->network_mode || a->attachment_count != b->attachment_count ||
        a->extra_host_count != b->extra_host_count)
        return false;
    for (size_t i = 0; i < a->attachment_count; i++)
        if (a->attachments[i].network != b->attachments[i].network)
            return false;
    for (size_t i = 0; i < a->extra_host_count; i++)
        if (strcmp(a->extra_hosts[i].key, b->extra_hosts[i].key) != 0 ||
            strcmp(a->extra_hosts[i].value, b->extra_hosts[i].value) != 0)
            return false;
    return true;
}

static size_t find_view(struct hosts *hosts, const shoal_service_t *service)
{
    for (size_t i = 0; i < hosts->view_count; i++)
        if (same_view(hosts->views[i].like, service))
            return i;
    return hosts->view_count;
}

static void free_hosts(struct hosts *hosts)
{
    for (size_t i = 0; i < hosts->view_count; i++) {
        if (hosts->views[i].path != NULL)
            (void)unlink(hosts->views[i].path);
        free(hosts->views[i].path);
    }
    free(hosts->views);
    free(hosts->view_of);
    free(hosts);
}

int hosts_open(struct hosts **out, shoal_supervisor_t *s, shoal_error_t *err)
{
    struct hosts *hosts = calloc(1, sizeof *hosts);
    if (hosts == NULL)
        return shoal_fail(err, -ENOMEM, "hosts");
    hosts->boss = s;
    size_t count = s->spec->service_count;
    hosts->views = calloc(count + 1, sizeof *hosts->views);
    hosts->view_of = calloc(count + 1, sizeof *hosts->view_of);
    bool failed = hosts->views == NULL || hosts->view_of == NULL;
    for (size_t i = 0; i < count && !failed; i++) {
        const shoal_service_t *service = &s->spec->services[i];
        if (service->network_mode == SHOAL_NETWORK_HOST)
            continue;
        size_t view = find_view(hosts, service);
        if (view == hosts->view_count) {
            hosts->views[view] = (struct view){base_format("%s/hosts-%zu", s->state.dir, view), service};
            failed = hosts->views[view].path == NULL;
            hosts->view_count++;
        }
        hosts->view_of[i] = view + 1;
    }
    if (failed) {
        free_hosts(hosts);
        return shoal_fail(err, -ENOMEM, "hosts");
    }
    (void)uv_timer_init(s->loop, &hosts->timer);
    hosts->timer.data = hosts;
    *out = hosts;
    return 0;
}

const char *hosts_path(const struct hosts *hosts, size_t service)
{
    return hosts->view_of[service] == 0 ? NULL : hosts->views[hosts->view_of[service] - 1].path;
}

static void add_member(struct text *text, const shoal_supervisor_t *s, const struct member *member, size_t network)
{
    const shoal_service_t *service = &s->spec->services[member->service];
    uint32_t address = container_address(member->container, network);
    if (address == 0)
        return;
    text_add_format(text, "%u.%u.%u.%u\t%s %s", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255,
                    container_name(member->container), service->name);
    if (service->hostname != NULL)
        text_add_format(text, " %s", service->hostname);
    if (service->hostname != NULL && service->domainname != NULL)
        text_add_format(text, " %s.%s", service->hostname, service->domainname);
    for (size_t i = 0; i < service->attachment_count; i++)
        for (size_t k = 0; service->attachments[i].network == network && k < service->attachments[i].aliases.count; k++)
            text_add_format(text, " %s", service->attachments[i].aliases.items[k]);
    text_add_string(text, "\n");
}

static char *compose_text(const shoal_supervisor_t *s, const shoal_service_t *like)
{
    struct text text = {0};
    text_add_string(&text, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (size_t i = 0; i < like->extra_host_count; i++)
        text_add_format(&text, "%s\t%s\n", like->extra_hosts[i].value, like->extra_hosts[i].key);
    for (size_t i = 0; i < s->member_count; i++)
        for (size_t k = 0; k < like->attachment_count; k++)
            if (s->members[i].container != NULL && !s->members[i].done)
                add_member(&text, s, &s->members[i], like->attachments[k].network);
    return text_take(&text);
}

/* In place: the file is mounted, so its inode has to stay. */
static int write_file(const char *path, const char *text, shoal_error_t *err)
{
    AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return shoal_fail(err, -errno, "open %s", path);
    size_t count = strlen(text);
    ssize_t written = pwrite(fd, text, count, 0);
    if (written != (ssize_t)count || ftruncate(fd, (off_t)count) < 0)
        return shoal_fail(err, written < 0 ? -errno : -EIO, "write %s", path);
    return 0;
}

int hosts_write(struct hosts *hosts, shoal_error_t *err)
{
    for (size_t i = 0; i < hosts->view_count; i++) {
        AUTO_FREE char *text = compose_text(hosts->boss, hosts->views[i].like);
        if (text == NULL)
            return shoal_fail(err, -ENOMEM, "hosts");
        int code = write_file(hosts->views[i].path, text, err);
        if (code < 0)
            return code;
    }
    return 0;
}

/* Worker: has copies of all texts. */
struct write_work {
    uv_work_t request;
    struct hosts *hosts;
    char **texts; /* owned, one per view */
    int result;
    shoal_error_t error;
};

static void write_work(uv_work_t *request)
{
    struct write_work *work = CONTAINER_OF(request, struct write_work, request);
    for (size_t i = 0; i < work->hosts->view_count && work->result == 0; i++)
        work->result = write_file(work->hosts->views[i].path, work->texts[i], &work->error);
}

static void free_work(struct write_work *work)
{
    for (size_t i = 0; work->texts != NULL && i < work->hosts->view_count; i++)
        free(work->texts[i]);
    free(work->texts);
    free(work);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct hosts *hosts = handle->data;
    void (*cb)(void *) = hosts->close_cb;
    void *data = hosts->close_data;
    free_hosts(hosts);
    cb(data);
}

static void on_written(uv_work_t *request, int status)
{
    struct write_work *work = CONTAINER_OF(request, struct write_work, request);
    struct hosts *hosts = work->hosts;
    if (status == 0 && work->result < 0)
        supervisor_message(hosts->boss, SHOAL_WARNING, "%s", work->error.text);
    free_work(work);
    hosts->writing = false;
    if (hosts->close_cb != NULL)
        uv_close((uv_handle_t *)&hosts->timer, on_timer_closed);
    else if (hosts->dirty)
        hosts_touch(hosts);
}

static void on_due(uv_timer_t *timer)
{
    struct hosts *hosts = timer->data;
    if (hosts->writing)
        return; /* on_written looks at dirty */
    hosts->dirty = false;
    uint64_t began = base_monotonic_usec();
    struct write_work *work = calloc(1, sizeof *work);
    bool failed = work == NULL;
    if (!failed) {
        work->hosts = hosts;
        work->texts = calloc(hosts->view_count + 1, sizeof *work->texts);
        failed = work->texts == NULL;
        for (size_t i = 0; i < hosts->view_count && !failed; i++) {
            work->texts[i] = compose_text(hosts->boss, hosts->views[i].like);
            failed = work->texts[i] == NULL;
        }
        hosts->delay_ms = (base_monotonic_usec() - began) * DELAY_SHARE / 1000;
        failed = failed || uv_queue_work(hosts->boss->loop, &work->request, write_work, on_written) < 0;
    }
    hosts->writing = !failed;
    if (failed) {
        supervisor_message(hosts->boss, SHOAL_WARNING, "/etc/hosts of the sandboxes is not renewed: out of memory");
        if (work != NULL)
            free_work(work);
    }
}

void hosts_touch(struct hosts *hosts)
{
    hosts->dirty = true;
    if (!uv_is_active((uv_handle_t *)&hosts->timer) && hosts->close_cb == NULL)
        (void)uv_timer_start(&hosts->timer, on_due, hosts->delay_ms > DELAY_MS ? hosts->delay_ms : DELAY_MS, 0);
}

void hosts_close(struct hosts *hosts, void (*cb)(void *data), void *data)
{
    hosts->close_cb = cb;
    hosts->close_data = data;
    (void)uv_timer_stop(&hosts->timer);
    if (!hosts->writing)
        uv_close((uv_handle_t *)&hosts->timer, on_timer_closed);
}
