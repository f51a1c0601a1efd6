#include "top/model.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "top/record.h"

/* Bytes of the stream end on a terminal: only what prints is kept. */
static char *printable(const char *text)
{
    char *out = base_format("%s", text != NULL && text[0] != '\0' ? text : "-");
    for (char *at = out; at != NULL && *at != '\0'; at++)
        if (*at < 0x20 || *at > 0x7e)
            *at = '?';
    return out;
}

static double get_inner(const struct record *record, const char *outer, const char *key)
{
    return record_number(record_object(record, outer), key);
}

/* "2026-01-31T12:00:00.000001Z" to microseconds since the epoch; 0: it is no such text. */
static uint64_t parse_time(const char *text)
{
    struct tm parts = {0};
    const char *rest = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &parts) : NULL;
    if (rest == NULL || parts.tm_year < 70)
        return 0;
    uint64_t usec = 0;
    if (*rest == '.') {
        unsigned scale = 100000;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10)
            usec += (uint64_t)(*rest - '0') * scale;
    }
    time_t seconds = timegm(&parts);
    return seconds > 0 ? (uint64_t)seconds * 1000000u + usec : 0;
}

static const struct numbers unknown = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, {NAN, NAN, NAN}, NAN};

void model_init(struct model *model)
{
    memset(model, 0, sizeof *model);
    model->rss = model->fds = model->lag_p99_usec = model->lag_max_usec = model->dropped = NAN;
}

static void free_node(struct node *node)
{
    free(node->name);
    free(node->key);
    free(node);
}

static void free_tree(struct node *node)
{
    while (node != NULL) {
        struct node *next = node->next;
        free_tree(node->children); /* as deep as groups lie in each other */
        free_node(node);
        node = next;
    }
}

void model_fini(struct model *model)
{
    free_tree(model->projects);
    model->projects = NULL;
}

static struct node *node_new(enum node_kind kind, const char *name)
{
    struct node *node = calloc(1, sizeof *node);
    if (node == NULL)
        return NULL;
    *node = (struct node){.kind = kind, .name = printable(name), .now = unknown};
    if (node->name != NULL)
        return node;
    free(node);
    return NULL;
}

/* The child of that kind and name, made where there is none. parent NULL: a project. */
static struct node *get_child(struct model *model, struct node *parent, enum node_kind kind, const char *name)
{
    struct node **at = parent != NULL ? &parent->children : &model->projects;
    AUTO_FREE char *wanted = printable(name);
    if (wanted == NULL)
        return NULL;
    for (; *at != NULL; at = &(*at)->next)
        if ((*at)->kind == kind && strcmp((*at)->name, wanted) == 0)
            return *at;
    *at = node_new(kind, wanted);
    if (*at != NULL)
        (*at)->parent = parent;
    return *at;
}

static char *make_key(const struct record *record)
{
    const char *project = record_text(record, "project"), *name = record_text(record, "container");
    return name != NULL ? base_format("%s/%s", project != NULL ? project : "", name) : NULL;
}

static struct node *find_container(const struct model *model, const char *key)
{
    struct node *node = model->buckets[base_hash(key, strlen(key)) % MODEL_BUCKETS];
    while (node != NULL && strcmp(node->key, key) != 0)
        node = node->next_in_bucket;
    return node;
}

/* The node of a group, below those that it lies in: "important/containers". */
static struct node *get_group(struct model *model, struct node *parent, const char *path)
{
    enum { DEEPEST = 16 }; /* foreign: no tree without end */
    for (unsigned depth = 0; parent != NULL && *path != '\0' && depth < DEEPEST; depth++) {
        size_t count = depth + 1 < DEEPEST ? strcspn(path, "/") : strlen(path);
        AUTO_FREE char *word = base_format("%.*s", (int)(count < 256 ? count : 256), path);
        parent = word != NULL ? get_child(model, parent, NODE_GROUP, word) : NULL;
        path += count + (path[count] == '/');
    }
    return parent;
}

static struct node *get_container(struct model *model, const struct record *record)
{
    AUTO_FREE char *key = make_key(record);
    if (key == NULL)
        return NULL;
    struct node *node = find_container(model, key);
    if (node != NULL || model->containers >= MODEL_CONTAINERS_MAX)
        return node;
    struct node *parent = get_child(model, NULL, NODE_PROJECT, record_text(record, "project"));
    if (parent != NULL && record_text(record, "group") != NULL)
        parent = get_group(model, parent, record_text(record, "group"));
    if (parent != NULL)
        parent = get_child(model, parent, NODE_SERVICE, record_text(record, "service"));
    node = parent != NULL ? node_new(NODE_CONTAINER, record_text(record, "container")) : NULL;
    if (node == NULL)
        return NULL;
    struct node **bucket = &model->buckets[base_hash(key, strlen(key)) % MODEL_BUCKETS];
    node->key = key;
    key = NULL; /* the node's now */
    node->next_in_bucket = *bucket;
    *bucket = node;
    node->parent = parent;
    (void)snprintf(node->state, sizeof node->state, "created");
    node->next = parent->children; /* the order within a service is the view's to choose */
    parent->children = node;
    model->containers++;
    return node;
}

static void remove_child(struct model *model, struct node *node)
{
    struct node **at = node->parent != NULL ? &node->parent->children : &model->projects;
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
}

static void remove_container(struct model *model, struct node *node)
{
    struct node **at = &model->buckets[base_hash(node->key, strlen(node->key)) % MODEL_BUCKETS];
    while (*at != node)
        at = &(*at)->next_in_bucket;
    *at = node->next_in_bucket;
    model->containers--;
    while (node != NULL) { /* a service without containers, a project without services: they go too */
        struct node *parent = node->parent;
        if (node->children != NULL)
            break;
        remove_child(model, node);
        free_node(node);
        node = parent;
    }
}

/* Samples */

static double rate(double before, double now, double seconds)
{
    return now >= before && seconds > 0 ? (now - before) / seconds : NAN; /* NaN too when either is unknown */
}

static void set_state(struct node *node, const char *state)
{
    AUTO_FREE char *clean = printable(state);
    if (clean != NULL)
        (void)snprintf(node->state, sizeof node->state, "%.11s", clean);
}

static void push_spark(struct node *node, double value)
{
    if (node->spark_count == SPARK_COUNT)
        memmove(node->spark, node->spark + 1, sizeof node->spark[0] * --node->spark_count);
    node->spark[node->spark_count++] = isnan(value) ? 0 : value;
}

static void take_sample(struct model *model, const struct record *record, uint64_t time_usec)
{
    struct node *node = get_container(model, record);
    if (node == NULL)
        return;
    struct numbers before = node->now, now = {
                                           .memory = get_inner(record, "memory", "current"),
                                           .memory_max = get_inner(record, "memory", "max"),
                                           .rx = get_inner(record, "net", "rx_bytes"),
                                           .tx = get_inner(record, "net", "tx_bytes"),
                                           .read_bytes = get_inner(record, "io", "rbytes"),
                                           .write_bytes = get_inner(record, "io", "wbytes"),
                                           .tasks = get_inner(record, "pids", "current"),
                                       };
    static const char *const resources[3] = {"cpu", "memory", "io"};
    const struct record *pressure = record_object(record, "pressure");
    for (size_t i = 0; i < COUNT(resources); i++)
        now.pressure[i] = get_inner(pressure, resources[i], "some_avg10");
    double seconds = time_usec > node->time_usec && node->time_usec != 0 ? (double)(time_usec - node->time_usec) / 1e6
                                                                         : 0;
    double cpu_usec = get_inner(record, "cpu", "usage_usec");
    now.cpu_percent = rate(node->cpu_usec, cpu_usec, seconds) / 1e4;
    now.rx_rate = rate(before.rx, now.rx, seconds);
    now.tx_rate = rate(before.tx, now.tx, seconds);
    now.read_rate = rate(before.read_bytes, now.read_bytes, seconds);
    now.write_rate = rate(before.write_bytes, now.write_bytes, seconds);
    node->now = now;
    node->cpu_usec = cpu_usec;
    node->time_usec = time_usec;
    if (seconds > 0)
        push_spark(node, now.cpu_percent);
    set_state(node, record_text(record, "state"));
}

/* Events */

static void tell(struct model *model, const struct record *record, const char *event)
{
    const char *who = record_text(record, "container"), *time = record_text(record, "time");
    const char *why = record_text(record, "cause");
    const struct record *culprit = record_first(record, "culprits");
    if (who == NULL)
        who = culprit != NULL ? record_text(culprit, "container") : record_text(record, "project");
    if (why == NULL)
        why = record_text(record, "resource");
    AUTO_FREE char *line = base_format("%.8s %s %s%s%s%s", time != NULL && strlen(time) > 19 ? time + 11 : "", event,
                                       who != NULL ? who : "", why != NULL ? " (" : "", why != NULL ? why : "",
                                       why != NULL ? ")" : "");
    AUTO_FREE char *clean = line != NULL ? printable(line) : NULL;
    if (clean != NULL)
        (void)snprintf(model->last_event, sizeof model->last_event, "%s", clean);
}

static void take_event(struct model *model, const struct record *record)
{
    const char *event = record_text(record, "event");
    if (event == NULL)
        return;
    if (strcmp(event, "create") != 0 && strcmp(event, "connect") != 0)
        tell(model, record, event);
    bool destroyed = strcmp(event, "destroy") == 0;
    AUTO_FREE char *key = make_key(record);
    struct node *node = key == NULL ? NULL : destroyed ? find_container(model, key) : get_container(model, record);
    if (node == NULL)
        return;
    if (destroyed) {
        remove_container(model, node);
    } else if (strcmp(event, "start") == 0) {
        double attempt = record_number(record, "attempt"), pid = record_number(record, "pid");
        node->restarts += attempt >= 1;
        node->pid = pid >= 1 && pid < 1e9 ? (int64_t)pid : 0;
        set_state(node, "running");
    } else if (strcmp(event, "die") == 0 || strcmp(event, "backoff") == 0) {
        node->pid = 0;
        node->now = unknown;
        node->cpu_usec = 0; /* the next run counts from nothing */
        set_state(node, event[0] == 'd' ? "exited" : "backoff");
    } else if (strcmp(event, "restart") == 0) {
        node->restarts++;
    } else if (strcmp(event, "pause") == 0 || strcmp(event, "unpause") == 0) {
        set_state(node, event[0] == 'p' ? "paused" : "running");
    } else if (strcmp(event, "oom") == 0) {
        node->ooms++;
    }
}

/* What a supervisor says of its fleet and of itself. */

static uint64_t to_count(double value)
{
    return value >= 0 && value < 1e18 ? (uint64_t)value : 0;
}

static void take_fleet(struct model *model, const struct record *record)
{
    model->rounds++;
    model->starts = to_count(record_number(record, "starts"));
    model->deaths = to_count(record_number(record, "deaths"));
}

static void take_supervisor(struct model *model, const struct record *record)
{
    model->rss = record_number(record, "rss");
    model->fds = record_number(record, "fds");
    model->lag_p99_usec = get_inner(record, "loop_lag_usec", "p99");
    model->lag_max_usec = get_inner(record, "loop_lag_usec", "max");
    model->dropped = record_number(record, "stdout_dropped");
}

static void take_gap(struct model *model, const struct record *record)
{
    double from = record_number(record, "from"), to = record_number(record, "to");
    if (to >= from)
        model->lost += to_count(to - from + 1);
}

bool model_take(struct model *model, const char *line, size_t count)
{
    model->lines++;
    struct record *record = record_parse(line, count);
    const char *type = record_text(record, "type");
    if (type == NULL) {
        record_free(record);
        model->garbage++;
        return false;
    }
    uint64_t time_usec = parse_time(record_text(record, "time"));
    if (time_usec > model->time_usec)
        model->time_usec = time_usec;
    if (strcmp(type, "container") == 0)
        take_sample(model, record, time_usec);
    else if (strcmp(type, "event") == 0)
        take_event(model, record);
    else if (strcmp(type, "fleet") == 0)
        take_fleet(model, record);
    else if (strcmp(type, "supervisor") == 0)
        take_supervisor(model, record);
    else if (strcmp(type, "gap") == 0)
        take_gap(model, record);
    record_free(record);
    model->changed = true;
    return true;
}

/* Sums */

static double add(double a, double b)
{
    return isnan(a) ? b : isnan(b) ? a : a + b;
}

static void add_node(struct node *sum, const struct node *part)
{
    struct numbers *to = &sum->now;
    const struct numbers *from = &part->now;
    to->cpu_percent = add(to->cpu_percent, from->cpu_percent);
    to->memory = add(to->memory, from->memory);
    to->rx_rate = add(to->rx_rate, from->rx_rate);
    to->tx_rate = add(to->tx_rate, from->tx_rate);
    to->read_rate = add(to->read_rate, from->read_rate);
    to->write_rate = add(to->write_rate, from->write_rate);
    to->tasks = add(to->tasks, from->tasks);
    for (size_t i = 0; i < COUNT(to->pressure); i++)
        to->pressure[i] = fmax(to->pressure[i], from->pressure[i]); /* the number where one is NaN */
    size_t more = part->spark_count > sum->spark_count ? part->spark_count - sum->spark_count : 0;
    if (more > 0) { /* newest to newest: a younger part has no older samples */
        memmove(sum->spark + more, sum->spark, sizeof sum->spark[0] * sum->spark_count);
        memset(sum->spark, 0, sizeof sum->spark[0] * more);
        sum->spark_count += more;
    }
    for (size_t i = 0; i < part->spark_count; i++)
        sum->spark[sum->spark_count - part->spark_count + i] += part->spark[i];
    sum->restarts += part->restarts;
    sum->ooms += part->ooms;
    sum->running += part->running;
    sum->total += part->total;
}

static void clear_sums(struct node *node)
{
    node->now = unknown;
    node->spark_count = 0;
    node->restarts = node->ooms = 0;
    node->running = node->total = 0;
}

static void sum_tree(struct node *node)
{
    if (node->kind == NODE_CONTAINER) {
        node->running = strcmp(node->state, "running") == 0 || strcmp(node->state, "stopping") == 0 ||
                        strcmp(node->state, "paused") == 0;
        node->total = 1;
        return;
    }
    clear_sums(node);
    for (struct node *child = node->children; child != NULL; child = child->next) {
        sum_tree(child);
        add_node(node, child);
    }
}

void model_sum(struct model *model)
{
    for (struct node *project = model->projects; project != NULL; project = project->next)
        sum_tree(project);
}

void model_total(const struct model *model, struct node *out)
{
    memset(out, 0, sizeof *out);
    clear_sums(out);
    for (const struct node *project = model->projects; project != NULL; project = project->next)
        add_node(out, project);
}
