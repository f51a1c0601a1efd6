/* The host's pressure, and who causes it. A look is three small files once a second: no trigger, so no thread of the kernel and
 * no descriptor. Only when it has risen are the containers' counters read, as often as a hundredth of a CPU allows. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cgroup/cgroup.h"
#include "supervisor/inside.h"
#include "supervisor/neighbour.h"

enum {
    LOOK_MS = 1000,
    ROUND_USEC = 10000,    /* a hundred times what one container's counters cost to read */
    AGAIN_USEC = 60000000, /* the same culprit is named again when it goes on for so long */
    CALM_USEC = 10000000   /* without pressure */
};

struct culprits {
    shoal_supervisor_t *boss;
    uv_timer_t timer;
    struct neighbour_watch watch;
    struct neighbour *neighbours; /* owned: one for each member */
    unsigned scarce;              /* resources whose culprits are sought */
    uint64_t round_usec;          /* when the last round was asked for; monotonic, as below */
    bool second;                  /* it was the first of two, between which rates are told */
    uint64_t scarce_usec[NEIGHBOUR_RESOURCES], told_usec[NEIGHBOUR_RESOURCES]; /* 0 never */
    size_t told[NEIGHBOUR_RESOURCES];                                          /* the member that was named last */
    double cpus;
    void (*close_cb)(void *data);
    void *close_data;
};

static uint64_t read_some_usec(enum neighbour_resource resource)
{
    char path[32], text[256];
    (void)snprintf(path, sizeof path, "/proc/pressure/%s", neighbour_resource_name(resource));
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (count < 0)
        return SHOAL_ABSENT; /* a kernel without PSI, or with psi=0 */
    text[count] = '\0';
    const char *total = strstr(text, "total="); /* the first line is "some" */
    return total != NULL ? strtoull(total + strlen("total="), NULL, 10) : SHOAL_ABSENT;
}

static void on_look(uv_timer_t *timer)
{
    struct culprits *p = timer->data;
    shoal_supervisor_t *s = p->boss;
    if (s->phase != PHASE_UP)
        return;
    uint64_t some_usec[NEIGHBOUR_RESOURCES], now = base_monotonic_usec();
    for (int i = 0; i < NEIGHBOUR_RESOURCES; i++)
        some_usec[i] = read_some_usec((enum neighbour_resource)i);
    p->scarce = neighbour_look(&p->watch, now, some_usec);
    for (int i = 0; i < NEIGHBOUR_RESOURCES; i++)
        if (p->scarce & 1u << i)
            p->scarce_usec[i] = now;
        else if (now > p->scarce_usec[i] + CALM_USEC)
            p->told_usec[i] = 0; /* it is over: the next time is another one */
    uint64_t pause = p->second ? 0 : 2 * (uint64_t)s->living * ROUND_USEC;
    if (p->scarce == 0 || s->living == 0 || (p->round_usec != 0 && now < p->round_usec + pause))
        return;
    if (shoal_supervisor_sample(s) < 0)
        return; /* somebody else's is under way: it is looked at too */
    p->round_usec = now;
    p->second = !p->second;
}

static void tell(struct culprits *p, enum neighbour_resource resource, const struct neighbour_culprit *found,
                 size_t count)
{
    shoal_supervisor_t *s = p->boss;
    shoal_culprit_t culprits[NEIGHBOUR_CULPRITS];
    char limits[NEIGHBOUR_CULPRITS][64];
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const struct member *member = &s->members[found[i].index];
        if (member->container == NULL)
            continue;
        const shoal_service_t *service = &s->spec->services[member->service];
        neighbour_advise(&p->neighbours[found[i].index], &found[i], resource, s->groups[member->service].said, p->cpus,
                         limits[kept]);
        culprits[kept] = (shoal_culprit_t){
            .service = service->name,
            .container = container_name(member->container),
            .share = found[i].share,
            .basis = neighbour_basis_name(found[i].basis),
            .limit = limits[kept],
        };
        kept++;
    }
    if (kept == 0)
        return;
    shoal_event_t event = {
        .kind = SHOAL_EVENT_PRESSURE,
        .resource = neighbour_resource_name(resource),
        .some_percent = 100 * p->watch.ratio[resource],
        .culprits = culprits,
        .culprit_count = kept,
    };
    supervisor_publish(s, &event);
}

void culprits_feed(struct culprits *p, size_t member, const shoal_sample_t *sample)
{
    neighbour_feed(&p->neighbours[member], sample);
}

void culprits_round_over(struct culprits *p)
{
    uint64_t now = base_monotonic_usec();
    for (int i = 0; i < NEIGHBOUR_RESOURCES && p->scarce != 0; i++) {
        if (!(p->scarce & 1u << i))
            continue;
        struct neighbour_culprit found[NEIGHBOUR_CULPRITS];
        bool ripe;
        size_t count = neighbour_find(p->neighbours, p->boss->member_count, (enum neighbour_resource)i,
                                      base_realtime_usec(), p->cpus, found, &ripe);
        bool same = count > 0 && p->told[i] == found[0].index && p->told_usec[i] != 0 &&
                    now < p->told_usec[i] + AGAIN_USEC;
        if (count == 0 || same)
            continue;
        p->told[i] = found[0].index;
        p->told_usec[i] = now;
        tell(p, (enum neighbour_resource)i, found, count);
    }
}

int culprits_open(struct culprits **out, shoal_supervisor_t *s, shoal_error_t *err)
{
    struct culprits *p = calloc(1, sizeof *p);
    struct neighbour *neighbours = calloc(s->member_count + 1, sizeof *neighbours);
    if (p == NULL || neighbours == NULL) {
        free(p);
        free(neighbours);
        return shoal_fail(err, -ENOMEM, "pressure");
    }
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    p->boss = s;
    p->neighbours = neighbours;
    p->cpus = cpus > 0 ? (double)cpus : 1;
    (void)uv_timer_init(s->loop, &p->timer);
    p->timer.data = p;
    (void)uv_timer_start(&p->timer, on_look, LOOK_MS, LOOK_MS);
    uv_unref((uv_handle_t *)&p->timer); /* a loop that has nothing else to do may end */
    *out = p;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct culprits *p = handle->data;
    p->boss->culprits = NULL;
    void (*cb)(void *) = p->close_cb;
    void *data = p->close_data;
    free(p->neighbours);
    free(p);
    cb(data);
}

void culprits_close(struct culprits *p, void (*cb)(void *data), void *data)
{
    p->close_cb = cb;
    p->close_data = data;
    uv_close((uv_handle_t *)&p->timer, on_closed);
}
