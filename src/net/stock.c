/* The stock: how many namespaces there are, which are ready, which are lent; and the thread that makes and scrubs them. The loop
 * owns every list but two, which a mutex guards: what the thread has to do, and what it has done. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#include "net/inside.h"

struct kind {
    unsigned wanted, ready_count, coming; /* coming: with the thread */
    struct net_namespace *ready;
};

struct net_stock {
    struct net *net;    /* NULL: no network */
    struct kind *kinds; /* owned: per network, then none */
    size_t network_count;
    struct net_namespace *lent_first, *lent_last; /* oldest first */
    unsigned lent;
    uint64_t made, reused, failed, hits, misses;
    unsigned failures; /* in a row: then no more is tried */
    uint64_t delay_ms; /* until then; 0: no trouble */
    uv_timer_t retry;
    unsigned handles_open;                                                         /* while it closes */
    void (*on_trouble)(void *data, int code, const char *step, uint64_t delay_ms); /* may be NULL */
    void *data;

    uv_thread_t thread;
    uv_async_t async;
    uv_mutex_t mutex;
    uv_cond_t work_there;
    int host_socket_fd;                /* the thread's; opened where the bridges are */
    struct net_namespace *todo, *done; /* guarded by mutex */
    bool stopping, stopped;            /* guarded by mutex */
    void (*close_cb)(void *data);
    void *close_data;
};

enum { FAILURES_MOST = 3, RETRY_MS = 1000, RETRY_LONGEST_MS = 60000 };

static void *last_of(struct net_namespace **list)
{
    while (*list != NULL)
        list = &(*list)->next;
    return list;
}

static void append(struct net_namespace **list, struct net_namespace *namespace)
{
    namespace->next = NULL;
    *(struct net_namespace **)last_of(list) = namespace;
}

static void run(void *data) /* the thread */
{
    struct net_stock *stock = data;
    uv_mutex_lock(&stock->mutex);
    while (!stock->stopping) {
        struct net_namespace *namespace = stock->todo;
        if (namespace == NULL) {
            uv_cond_wait(&stock->work_there, &stock->mutex);
            continue;
        }
        stock->todo = namespace->next;
        uv_mutex_unlock(&stock->mutex);
        if (namespace->socket_fd < 0)
            namespace_make(namespace, stock->host_socket_fd);
        else
            namespace_scrub(namespace, stock->host_socket_fd);
        if (namespace->failed < 0)
            namespace_drop(namespace);
        uv_mutex_lock(&stock->mutex);
        append(&stock->done, namespace);
        (void)uv_async_send(&stock->async);
    }
    struct net_namespace *rest = stock->todo;
    stock->todo = NULL;
    uv_mutex_unlock(&stock->mutex);
    for (struct net_namespace *at = rest; at != NULL; at = at->next)
        namespace_drop(at); /* the kernel waits for a grace period with each mount */
    uv_mutex_lock(&stock->mutex);
    stock->todo = rest;
    stock->stopped = true;
    if (stock->close_cb != NULL)
        (void)uv_async_send(&stock->async);
    uv_mutex_unlock(&stock->mutex);
}

static void hand_over(struct net_stock *stock, struct net_namespace *namespace)
{
    stock->kinds[namespace->network].coming++;
    uv_mutex_lock(&stock->mutex);
    append(&stock->todo, namespace);
    uv_cond_signal(&stock->work_there);
    uv_mutex_unlock(&stock->mutex);
}

static void free_namespace(struct net_namespace *namespace)
{
    struct shard *shard = namespace->shard;
    namespace_drop(namespace);
    if (shard != NULL)
        shard->spares--;
    free(namespace);
}

/* The bridge with the most room; NULL: none has a port to spare. The first one's ports to the others count too. */
static struct shard *choose_shard(const struct network *network)
{
    struct shard *best = NULL;
    for (size_t i = 0; i < network->shard_count; i++) {
        struct shard *shard = &network->shards[i];
        size_t used = (size_t)shard->ports + shard->spares + (i == 0 ? network->shard_count - 1 : 1);
        if (used < BRIDGE_PORTS && (best == NULL || shard->ports + shard->spares < best->ports + best->spares))
            best = shard;
    }
    return best;
}

static bool order_one(struct net_stock *stock, size_t kind)
{
    struct net_namespace *namespace = calloc(1, sizeof *namespace);
    if (namespace == NULL)
        return false;
    namespace->net = stock->net;
    namespace->network = kind;
    namespace->socket_fd = namespace->sysfs_fd = -1;
    if (kind < stock->network_count) {
        const struct network *network = &stock->net->networks[kind];
        namespace->shard = choose_shard(network);
        if (namespace->shard == NULL) {
            free(namespace);
            return false;
        }
        namespace->shard->spares++;
        namespace->master = namespace->shard->index;
        namespace->group = stock->net->group;
        namespace->host_index = OUTSIDE_INDEX + (int)net_next_link(stock->net, namespace->host_name);
    }
    hand_over(stock, namespace);
    return true;
}

/* What comes back is cheaper than what is made: new ones are ordered only when half is gone, and what comes back is taken up
 * to twice as many. Where sandboxes come and go, the stock soon lives on what comes back. */
static void fill(struct net_stock *stock)
{
    for (size_t i = 0; i <= stock->network_count; i++) {
        struct kind *kind = &stock->kinds[i];
        if (2 * (kind->ready_count + kind->coming) > kind->wanted)
            continue;
        while (stock->failures < FAILURES_MOST && kind->ready_count + kind->coming < kind->wanted)
            if (!order_one(stock, i))
                return;
    }
}

static void on_retry(uv_timer_t *timer)
{
    struct net_stock *stock = timer->data;
    stock->failures = FAILURES_MOST - 1; /* one more failure and it waits again */
    fill(stock);
}

/* Sandboxes go on without: each start makes a namespace of its own. */
static void count_failure(struct net_stock *stock, const struct net_namespace *failed)
{
    stock->failed++;
    if (failed->used) /* one that could not be scrubbed says nothing of those to be made */
        return;
    if (++stock->failures < FAILURES_MOST || uv_is_active((uv_handle_t *)&stock->retry))
        return;
    stock->delay_ms = stock->delay_ms == 0                     ? RETRY_MS
                      : 2 * stock->delay_ms > RETRY_LONGEST_MS ? RETRY_LONGEST_MS
                                                               : 2 * stock->delay_ms;
    (void)uv_timer_start(&stock->retry, on_retry, stock->delay_ms, 0);
    if (stock->on_trouble != NULL)
        stock->on_trouble(stock->data, failed->failed, failed->step, stock->delay_ms);
}

static void count_success(struct net_stock *stock, const struct net_namespace *namespace)
{
    if (namespace->used)
        return;
    stock->made++;
    bool was_trouble = stock->delay_ms > 0;
    stock->failures = 0;
    stock->delay_ms = 0;
    (void)uv_timer_stop(&stock->retry);
    if (was_trouble && stock->on_trouble != NULL)
        stock->on_trouble(stock->data, 0, NULL, 0);
}

static void on_handle_closed(uv_handle_t *handle);

static void on_done(uv_async_t *async)
{
    struct net_stock *stock = async->data;
    uv_mutex_lock(&stock->mutex);
    struct net_namespace *done = stock->done;
    bool stopped = stock->stopped;
    stock->done = NULL;
    uv_mutex_unlock(&stock->mutex);
    while (done != NULL) {
        struct net_namespace *namespace = done;
        done = namespace->next;
        struct kind *kind = &stock->kinds[namespace->network];
        kind->coming--;
        if (namespace->failed < 0) {
            if (stock->close_cb == NULL)
                count_failure(stock, namespace);
            free_namespace(namespace);
            continue;
        }
        count_success(stock, namespace);
        namespace->next = kind->ready;
        kind->ready = namespace;
        kind->ready_count++;
    }
    if (stopped) { /* the thread has left its last word behind it: no wait */
        (void)uv_thread_join(&stock->thread);
        stock->handles_open = 2;
        uv_close((uv_handle_t *)async, on_handle_closed);
        uv_close((uv_handle_t *)&stock->retry, on_handle_closed);
    } else if (stock->close_cb == NULL) {
        fill(stock);
    }
}

static void free_stock(struct net_stock *stock)
{
    base_close_fd(&stock->host_socket_fd);
    uv_cond_destroy(&stock->work_there);
    uv_mutex_destroy(&stock->mutex);
    free(stock->kinds);
    free(stock);
}

static void tell_to_stop(struct net_stock *stock)
{
    uv_mutex_lock(&stock->mutex);
    stock->stopping = true;
    uv_cond_signal(&stock->work_there);
    uv_mutex_unlock(&stock->mutex);
}

static int start_thread(struct net_stock *stock, uv_loop_t *loop)
{
    stock->host_socket_fd = netlink_open_blocking(NULL);
    if (stock->host_socket_fd < 0)
        return -EMFILE;
    int code = uv_thread_create(&stock->thread, run, stock);
    if (code < 0)
        return code;
    code = uv_async_init(loop, &stock->async, on_done); /* not used before there is work */
    if (code < 0) {
        tell_to_stop(stock);
        (void)uv_thread_join(&stock->thread);
        return code;
    }
    stock->async.data = stock;
    uv_unref((uv_handle_t *)&stock->async); /* a stock alone keeps no loop going */
    (void)uv_timer_init(loop, &stock->retry);
    stock->retry.data = stock;
    uv_unref((uv_handle_t *)&stock->retry);
    return 0;
}

int net_stock_open(struct net_stock **out, uv_loop_t *loop, const struct net_stock_options *options, shoal_error_t *err)
{
    struct net_stock *stock = calloc(1, sizeof *stock);
    struct kind *kinds = calloc(options->network_count + 1, sizeof *kinds);
    if (stock == NULL || kinds == NULL || uv_mutex_init(&stock->mutex) < 0) {
        free(kinds);
        free(stock);
        return shoal_fail(err, -ENOMEM, "stock of network namespaces");
    }
    (void)uv_cond_init(&stock->work_there); /* with glibc it cannot fail */
    stock->net = options->net;
    stock->kinds = kinds;
    stock->network_count = options->network_count;
    stock->on_trouble = options->on_trouble;
    stock->data = options->data;
    for (size_t i = 0; i <= options->network_count; i++)
        kinds[i].wanted = options->wanted[i] > NET_STOCK_MOST ? NET_STOCK_MOST : (unsigned)options->wanted[i];
    int code = start_thread(stock, loop);
    if (code < 0) {
        free_stock(stock);
        return shoal_fail(err, code, "stock of network namespaces");
    }
    fill(stock);
    *out = stock;
    return 0;
}

static void free_list(struct net_namespace *list)
{
    while (list != NULL) {
        struct net_namespace *next = list->next;
        free_namespace(list);
        list = next;
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct net_stock *stock = handle->data;
    if (--stock->handles_open > 0)
        return;
    void (*cb)(void *) = stock->close_cb;
    void *data = stock->close_data;
    for (size_t i = 0; i <= stock->network_count; i++)
        free_list(stock->kinds[i].ready); /* what came while the thread stopped */
    free_list(stock->todo);
    free_list(stock->done);
    free_stock(stock);
    cb(data);
}

void net_stock_close(struct net_stock *stock, void (*cb)(void *data), void *data)
{
    stock->close_cb = cb;
    stock->close_data = data;
    uv_mutex_lock(&stock->mutex);
    for (size_t i = 0; i <= stock->network_count; i++) {
        *(struct net_namespace **)last_of(&stock->todo) = stock->kinds[i].ready;
        stock->kinds[i].ready = NULL;
    }
    uv_mutex_unlock(&stock->mutex);
    tell_to_stop(stock);
    uv_ref((uv_handle_t *)&stock->async);
}

static void let_go(struct net_stock *stock, struct net_namespace *namespace)
{
    *(namespace->previous_lent != NULL ? &namespace->previous_lent->next_lent
                                       : &stock->lent_first) = namespace->next_lent;
    *(namespace->next_lent != NULL ? &namespace->next_lent->previous_lent
                                   : &stock->lent_last) = namespace->previous_lent;
    namespace->previous_lent = namespace->next_lent = NULL;
    stock->lent--;
}

struct net_namespace *net_stock_take(struct net_stock *stock, size_t network)
{
    struct kind *kind = &stock->kinds[network];
    struct net_namespace *namespace = kind->ready;
    stock->hits += namespace != NULL;
    stock->misses += namespace == NULL;
    if (namespace == NULL)
        return NULL;
    kind->ready = namespace->next;
    kind->ready_count--;
    namespace->next = NULL;
    namespace->previous_lent = stock->lent_last;
    *(stock->lent_last != NULL ? &stock->lent_last->next_lent : &stock->lent_first) = namespace;
    stock->lent_last = namespace;
    stock->reused += namespace->used;
    namespace->used = true;
    struct net_namespace *oldest = stock->lent_first;
    bool in_use = oldest->sysfs_fd < 0 && !oldest->connecting &&
                  (oldest->shard == NULL || oldest->address != 0); /* its start is over */
    if (++stock->lent > NET_STOCK_LENT_MOST && in_use) {
        let_go(stock, oldest);
        namespace_drop(oldest); /* the sandbox in it keeps it alive */
    }
    fill(stock);
    return namespace;
}

void net_stock_give(struct net_stock *stock, struct net_namespace *namespace)
{
    struct kind *kind = &stock->kinds[namespace->network];
    if (namespace->socket_fd >= 0)
        let_go(stock, namespace);
    if (namespace->socket_fd < 0 || kind->ready_count + kind->coming >= 2 * kind->wanted || stock->close_cb != NULL)
        free_namespace(namespace);
    else
        hand_over(stock, namespace);
}

struct net_stock_counts net_stock_count(const struct net_stock *stock)
{
    struct net_stock_counts counts = {
        .lent = stock->lent,
        .made = stock->made,
        .reused = stock->reused,
        .failed = stock->failed,
        .hits = stock->hits,
        .misses = stock->misses,
    };
    struct timespec used;
    clockid_t clock;
    if (!stock->stopping && pthread_getcpuclockid(stock->thread, &clock) == 0 && clock_gettime(clock, &used) == 0)
        counts.usage_usec = (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
    for (size_t i = 0; i <= stock->network_count; i++)
        counts.ready += stock->kinds[i].ready_count;
    return counts;
}
