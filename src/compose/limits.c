/* What a sandbox may use: memory, CPUs, tasks, devices' rates, resource limits. */
#include <errno.h>
#include <string.h>

#include "base/rlimit.h"
#include "compose/language.h"
#include "compose/values.h"

/* Compose has two forms for most limits; both are there only when they say the same. */
static void put_limit(struct load *load, const struct place *at, const struct key *key, shoal_service_t *service,
                      int64_t value, char *text)
{
    shoal_limit_t *limit = &service->limits.items[key->offset];
    const char *name = key->full != NULL ? key->full : key->name;
    *limit = (shoal_limit_t){true, value, text, name, place_position(load, at)};
}

void read_memory_limit(struct load *load, const struct place *at, const struct key *key, struct node *value,
                       void *object)
{
    uint64_t bytes;
    if (!take_size(load, at, value, &bytes) || bytes == 0)
        return;
    if (bytes < (uint64_t)key->min)
        load_error(load, at, "%.60s bytes are too little; the least is %lld MiB", value->text,
                   (long long)key->min >> 20);
    else
        put_limit(load, at, key, object, (int64_t)bytes, NULL);
}

void read_memory_swap(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    uint64_t bytes;
    if (value->kind == NODE_SCALAR && strcmp(value->text, "-1") == 0)
        put_limit(load, at, key, object, -1, NULL);
    else if (take_size(load, at, value, &bytes) && bytes > 0)
        put_limit(load, at, key, object, (int64_t)bytes, NULL);
}

void read_cpus(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    enum { LEAST = 10, MOST = 8192000 }; /* the kernel's shortest quota is 1 ms of a 100 ms period */
    const char *text;
    int64_t thousandths;
    if (!take_scalar(load, at, value, &text))
        return;
    if (value_decimal(text, 3, &thousandths) < 0)
        load_error(load, at, "\"%.60s\" is not a number of CPUs; write 0.5 or 2", text);
    else if (strspn(text, "0.") == strlen(text))
        return; /* 0: no limit */
    else if (thousandths < LEAST || thousandths > MOST)
        load_error(load, at, "%.60s CPUs is out of range; it goes from 0.01 to 8192", text);
    else
        put_limit(load, at, key, object, thousandths, NULL);
}

void read_cpu_shares(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    int64_t shares;
    if (!take_integer(load, at, value, 0, 262144, &shares) || shares == 0)
        return;
    if (shares < 2)
        load_error(load, at, "%.60s is out of range; it goes from 2 to 262144", value->text);
    else
        put_limit(load, at, key, object, shares, NULL);
}

void read_cpu_time(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    enum { LEAST = 1000 }; /* of the kernel, for both, as it has a most for each */
    int64_t usec;
    if (!take_integer(load, at, value, key->min, key->max, &usec) || usec == 0)
        return;
    if (usec > 0 && usec < LEAST)
        load_error(load, at, "%.60s is out of range; it goes from %d us to %lld us", value->text, LEAST,
                   (long long)key->max);
    else
        put_limit(load, at, key, object, usec, NULL);
}

void read_cpuset(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    const char *text;
    /* a single CPU, 3, is a number to YAML; Compose wants it quoted, and nothing is lost by taking it */
    if (!take_scalar(load, at, value, &text))
        return;
    if (value_cpu_list(text) < 0)
        load_error(load, at, "\"%.60s\" is not a list of CPUs; write 0-3,7", text);
    else
        put_limit(load, at, key, object, 0, keep(load, text));
}

void read_pids(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    int64_t count;
    if (take_integer(load, at, value, -1, 4194304, &count)) /* PID_MAX_LIMIT, include/linux/threads.h */
        put_limit(load, at, key, object, count == 0 ? -1 : count, NULL);
}

void read_limit_number(struct load *load, const struct place *at, const struct key *key, struct node *value,
                       void *object)
{
    int64_t number;
    if (take_integer(load, at, value, key->min, key->max, &number))
        put_limit(load, at, key, object, number, NULL);
}

/* Microseconds, as a duration. */
void read_limit_duration(struct load *load, const struct place *at, const struct key *key, struct node *value,
                         void *object)
{
    uint64_t ms;
    if (take_duration(load, at, value, &ms) && ms > 0)
        put_limit(load, at, key, object, (int64_t)ms * 1000, NULL);
}

void read_limit_flag(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    bool flag;
    if (take_flag(load, at, value, &flag) && flag)
        put_limit(load, at, key, object, 1, NULL);
}

void read_oom(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    const char *text;
    if (!take_text(load, at, value, &text))
        return;
    if (strcmp(text, "group") != 0 && strcmp(text, "process") != 0)
        load_error(load, at, "\"%.60s\" is not a way to kill; write group or process", text);
    else
        put_limit(load, at, key, object, strcmp(text, "group") == 0, NULL);
}

void read_oom_score_adj(struct load *load, const struct place *at, const struct key *key, struct node *value,
                        void *object)
{
    (void)key;
    shoal_service_t *service = object;
    int64_t score;
    service->oom_score_adj_set = take_integer(load, at, value, -1000, 1000, &score);
    if (!service->oom_score_adj_set)
        return;
    service->oom_score_adj = (int)score;
    service->oom_score_adj_at = place_position(load, at);
}

/* ---- blkio_config ---- */

struct rate_draft {
    const char *path;
    const struct node *rate;
    struct place rate_at;
    uint64_t weight;
};

/* "8:16", the numbers of a device */
static bool is_device_number(const char *text)
{
    size_t major = strspn(text, "0123456789");
    size_t minor = text[major] == ':' ? strspn(text + major + 1, "0123456789") : 0;
    return major > 0 && minor > 0 && text[major + 1 + minor] == '\0';
}

static void read_rate_path(struct load *load, const struct place *at, const struct key *key, struct node *value,
                           void *object)
{
    (void)key;
    struct rate_draft *draft = object;
    const char *text;
    if (!take_text(load, at, value, &text))
        return;
    if (is_device_number(text))
        draft->path = arena_string(&load->nodes, text);
    else if (text[0] != '/')
        load_error(load, at, "\"%.100s\" is not an absolute path; write /dev/vda or 8:16", text);
    else
        draft->path = value_path(&load->nodes, "/", text);
}

static void read_rate_rate(struct load *load, const struct place *at, const struct key *key, struct node *value,
                           void *object)
{
    (void)load, (void)key;
    struct rate_draft *draft = object;
    draft->rate = value;
    draft->rate_at = *at;
}

static const struct kind rate_kind = {TAKES_INTEGER | TAKES_TEXT, AS_BYTES_SET, .what = "a size"};

static const struct key rate_keys[] = {
    {"path", &kind_text, .json_name = "Path", .always = true, .read = read_rate_path, .form = "path",
     .doc = "The block device: /dev/vda, or its numbers, 8:16."},
    {"rate", &rate_kind, .json_name = "Rate", .always = true, .read = read_rate_rate, .form = "size or number",
     .doc = "Bytes or operations a second."},
};
const struct section rate_section = SECTION("services.NAME.blkio_config.device_*.N", "One device's rate.", rate_keys,
                                            false);

static shoal_io_limit_t *find_io_limit(struct load *load, const struct place *at, shoal_service_t *service,
                                       const char *path)
{
    enum { MOST = 64 }; /* devices of one sandbox */
    for (size_t i = 0; i < service->limits.device_count; i++)
        if (strcmp(service->limits.devices[i].path, path) == 0)
            return &service->limits.devices[i];
    if (service->limits.devices == NULL) {
        service->limits.devices = arena_array(load->arena, MOST, sizeof *service->limits.devices);
        if (!LOAD_GOT(load, service->limits.devices))
            return NULL;
    }
    if (service->limits.device_count == MOST) {
        load_error(load, at, "more than %d devices", MOST);
        return NULL;
    }
    char *kept = keep(load, path);
    if (kept == NULL)
        return NULL;
    shoal_io_limit_t *limit = &service->limits.devices[service->limits.device_count++];
    *limit = (shoal_io_limit_t){.path = kept, .at = place_position(load, at)};
    return limit;
}

static bool take_weight(struct load *load, const struct place *at, const struct node *value, int64_t *out)
{
    enum { LEAST = 10, MOST = 1000 }; /* as Docker has it, and the io controller of cgroup v1 */
    if (!take_integer(load, at, value, 0, MOST, out))
        return false;
    if (*out > 0 && *out < LEAST)
        load_error(load, at, "%.60s is out of range; it goes from %d to %d", value->text, LEAST, MOST);
    return *out >= LEAST;
}

static void read_weight(struct load *load, const struct place *at, const struct key *key, struct node *value,
                        void *object)
{
    int64_t weight;
    if (take_weight(load, at, value, &weight))
        put_limit(load, at, key, object, weight, NULL);
}

static void read_device_weight(struct load *load, const struct place *at, const struct key *key, struct node *value,
                               void *object)
{
    (void)key;
    struct rate_draft *draft = object;
    int64_t weight;
    if (take_weight(load, at, value, &weight))
        draft->weight = (uint64_t)weight;
}

static const struct kind weight_kind = {
    TAKES_INTEGER | TAKES_TEXT, AS_COUNT, .unsigned_value = true, .strict = true, .bounded = true, .max = 65535,
    .what = "a whole number"};
static const struct key weight_keys[] = {
    {"path", &kind_text, .json_name = "Path", .always = true, .read = read_rate_path, .form = "path",
     .doc = "The block device: /dev/vda, or its numbers, 8:16."},
    {"weight", &weight_kind, .json_name = "Weight", .always = true, .read = read_device_weight, .form = "number",
     .doc = "Its share, 10 to 1000."},
};
static const struct section weight_section = SECTION("services.NAME.blkio_config.weight_device.N",
                                                     "One device's weight.", weight_keys, false);

static void read_weights(struct load *load, const struct place *at, const struct key *key, struct node *value,
                         void *object)
{
    (void)key;
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place item = place_item(at, value, i);
        struct rate_draft draft = {0};
        if (!read_section(load, &item, &weight_section, value->items[i], &draft) || draft.path == NULL ||
            draft.weight == 0)
            continue;
        shoal_io_limit_t *limit = find_io_limit(load, &item, object, draft.path);
        if (limit != NULL && limit->weight != 0 && limit->weight != draft.weight)
            load_error(load, &item, "%s has a weight already", draft.path);
        else if (limit != NULL)
            limit->weight = draft.weight;
    }
}

static void read_one_rate(struct load *load, const struct place *at, const struct key *key, const struct node *node,
                          shoal_service_t *service)
{
    struct rate_draft draft = {0};
    if (!read_section(load, at, &rate_section, node, &draft) || draft.path == NULL || draft.rate == NULL)
        return;
    bool bytes = strstr(key->name, "_bps") != NULL;
    uint64_t rate;
    int64_t operations = 0;
    struct place rate_at = draft.rate_at;
    rate_at.outer = at;
    if (bytes ? !take_size(load, &rate_at, draft.rate, &rate)
              : !take_integer(load, &rate_at, draft.rate, 0, INT64_MAX, &operations))
        return;
    if (!bytes)
        rate = (uint64_t)operations;
    shoal_io_limit_t *limit = find_io_limit(load, at, service, draft.path);
    if (limit == NULL)
        return;
    uint64_t *member = (uint64_t *)(void *)((char *)limit + key->offset);
    if (*member != 0 && *member != rate)
        load_error(load, at, "%s has a rate of this kind already", draft.path);
    *member = rate;
}

void read_rates(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place item = place_item(at, value, i);
        read_one_rate(load, &item, key, value->items[i], object);
    }
}

static const struct kind device_weight = {TAKES_MAP, AS_SECTION, .section = &weight_section};
static const struct kind weights_kind = {TAKES_LIST, AS_LIST, .items = &device_weight};
static const struct kind device_rate = {TAKES_MAP, AS_SECTION, .section = &rate_section};
static const struct kind rates_kind = {TAKES_LIST, AS_LIST, .items = &device_rate};

static const struct key blkio_keys[] = {
    {"weight", &weight_kind, .full = "blkio_config.weight", .read = read_weight, .offset = SHOAL_LIMIT_IO_WEIGHT,
     .form = "number",
     .doc = "Share of the devices' time, 10 to 1000. The kernel heeds it on a device with bfq as its scheduler "
            "(io.bfq.weight) or with io.cost switched on (io.weight, onto whose 1 to 10000 it is spread)."},
    {"weight_device", &weights_kind, .read = read_weights, .form = "list of path, weight",
     .doc = "Share of one device's time, in place of _weight_."},
    {"device_read_bps", &rates_kind, .read = read_rates, .offset = offsetof(shoal_io_limit_t, rbps),
     .form = "list of path, rate", .doc = "Bytes read a second (io.max)."},
    {"device_read_iops", &rates_kind, .read = read_rates, .offset = offsetof(shoal_io_limit_t, riops),
     .form = "list of path, rate", .doc = "Reads a second (io.max)."},
    {"device_write_bps", &rates_kind, .read = read_rates, .offset = offsetof(shoal_io_limit_t, wbps),
     .form = "list of path, rate", .doc = "Bytes written a second (io.max)."},
    {"device_write_iops", &rates_kind, .read = read_rates, .offset = offsetof(shoal_io_limit_t, wiops),
     .form = "list of path, rate", .doc = "Writes a second (io.max)."},
};
const struct section blkio_section = SECTION("services.NAME.blkio_config", "Rates and weights of block devices.",
                                             blkio_keys, false);

/* ---- ulimits ---- */

struct ulimit_draft {
    bool soft_set, hard_set;
    uint64_t soft, hard;
};

static bool take_ulimit(struct load *load, const struct place *at, const struct node *node, uint64_t *out)
{
    const char *text;
    int64_t value;
    if (node->kind == NODE_SCALAR && strcmp(node->text, "unlimited") == 0) {
        *out = UINT64_MAX;
        return true;
    }
    if (!take_scalar(load, at, node, &text) || !take_integer(load, at, node, -1, INT64_MAX, &value))
        return false;
    *out = value < 0 ? UINT64_MAX : (uint64_t)value;
    return true;
}

static void read_soft(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    (void)key;
    struct ulimit_draft *draft = object;
    draft->soft_set = take_ulimit(load, at, value, &draft->soft);
}

static void read_hard(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    (void)key;
    struct ulimit_draft *draft = object;
    draft->hard_set = take_ulimit(load, at, value, &draft->hard);
}

static const struct kind ulimit_kind = {TAKES_INTEGER | TAKES_TEXT, AS_COUNT, .keep_zero = true, .yaml_zero = true,
                                        .what = "a whole number"};

static const struct key ulimit_keys[] = {
    {"soft", &ulimit_kind, .read = read_soft, .needed = true, .form = "number",
     .doc = "What holds at first; -1 is unlimited."},
    {"hard", &ulimit_kind, .read = read_hard, .needed = true, .form = "number",
     .doc = "How far the sandbox may raise it."},
};
const struct section ulimit_section = SECTION("services.NAME.ulimits.LIMIT", "A limit's two values.", ulimit_keys,
                                              true);

void read_ulimits(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)key;
    shoal_service_t *service = object;
    if (!take_kind(load, at, value, NODE_MAP))
        return;
    service->ulimits = arena_array(load->arena, value->count, sizeof *service->ulimits);
    if (!LOAD_GOT(load, service->ulimits))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place inner = place_key(at, &value->entries[i]);
        const struct node *node = value->entries[i].value;
        struct ulimit_draft draft = {0};
        int resource;
        if (rlimit_parse(inner.word, &resource) < 0) {
            load_error(load, &inner,
                       "is no resource limit; they are core cpu data fsize locks memlock msgqueue nice "
                       "nofile nproc rss rtprio rttime sigpending stack");
            continue;
        }
        if (node->kind == NODE_MAP) {
            if (!read_section(load, &inner, &ulimit_section, node, &draft))
                continue;
        } else {
            draft.soft_set = draft.hard_set = take_ulimit(load, &inner, node, &draft.soft);
            draft.hard = draft.soft;
        }
        if (!draft.soft_set || !draft.hard_set)
            continue;
        if (draft.soft > draft.hard)
            load_error(load, &inner, "the soft limit is above the hard limit");
        else
            service->ulimits[service->ulimit_count++] = (shoal_ulimit_t){resource, draft.soft, draft.hard,
                                                                         place_position(load, &inner)};
    }
}

/* ---- deploy.resources ---- */

static const struct kind pids_kind = {TAKES_INTEGER | TAKES_TEXT, AS_COUNT, .keep_zero = true,
                                      .what = "a whole number"};

static const struct key limits_keys[] = {
    {"cpus", &kind_float, .full = "deploy.resources.limits.cpus", .read = read_cpus, .offset = SHOAL_LIMIT_CPUS,
     .form = "number", .doc = "Like *cpus* of the service."},
    {"memory", &kind_bytes_text, .full = "deploy.resources.limits.memory", .read = read_memory_limit,
     .offset = SHOAL_LIMIT_MEMORY, .min = 6 << 20, .form = "size", .doc = "Like *mem_limit*."},
    {"pids", &pids_kind, .full = "deploy.resources.limits.pids", .read = read_pids, .offset = SHOAL_LIMIT_PIDS,
     .form = "number", .doc = "Like *pids_limit*."},
};
const struct section limits_section = SECTION("services.NAME.deploy.resources.limits",
                                              "What may stand both here and under the service must be the same.",
                                              limits_keys, true);

static const struct kind reserved_device = {TAKES_MAP, AS_SECTION, .section = &reserved_device_section,
                                            .complete = complete_device_request};
static const struct kind devices_kind = {TAKES_LIST, AS_LIST, .items = &reserved_device};
static const struct kind reserved_resource = {TAKES_MAP, AS_SECTION, .section = &resource_section};
static const struct kind resources_kind = {TAKES_LIST, AS_LIST, .items = &reserved_resource};

static const struct key reservations_keys[] = {
    {"cpus", &kind_float, .refused = "nothing holds CPUs free on a single host; cpu_shares and cpuset share them out",
     .form = "number", .doc = "CPUs kept for it. Compose ignores it on a single host."},
    {"memory", &kind_bytes_text, .reload = RELOAD_LIVE, .full = "deploy.resources.reservations.memory",
     .read = read_memory_limit, .offset = SHOAL_LIMIT_MEMORY_RESERVATION, .min = 6 << 20, .form = "size",
     .doc = "Like *mem_reservation*."},
    {"devices", &devices_kind, .form = "list", .doc = "Devices such as GPUs."},
    {"generic_resources", &resources_kind, .form = "list", .doc = "Resources of a cluster."},
};
const struct section reservations_section = SECTION("services.NAME.deploy.resources.reservations",
                                                    "What is kept for the sandbox.", reservations_keys, true);
