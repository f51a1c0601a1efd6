#include "top/view.h"

#include <math.h>
#include <string.h>

/* Cells */

void view_write_bytes(double bytes, char out[CELL_TEXT])
{
    static const char units[] = "BKMGTPE";
    size_t unit = 0;
    if (!(bytes >= 0)) {
        (void)snprintf(out, CELL_TEXT, "-");
        return;
    }
    while (bytes >= 999.5 && unit + 2 < sizeof units) {
        bytes /= 1024;
        unit++;
    }
    if (bytes > 9999)
        bytes = 9999;
    (void)snprintf(out, CELL_TEXT, bytes < 99.95 && unit > 0 ? "%.1f%c" : "%.0f%c", bytes, units[unit]);
}

void view_write_percent(double percent, char out[CELL_TEXT])
{
    if (!(percent >= 0))
        (void)snprintf(out, CELL_TEXT, "-");
    else
        (void)snprintf(out, CELL_TEXT, percent < 999.95 ? "%.1f" : "%.0f", fmin(percent, 99999));
}

static void write_count(double count, char out[CELL_TEXT])
{
    if (!(count >= 0))
        (void)snprintf(out, CELL_TEXT, "-");
    else if (count < 99999.5)
        (void)snprintf(out, CELL_TEXT, "%.0f", count);
    else
        (void)snprintf(out, CELL_TEXT, "%.0fk", fmin(count / 1000, 9999));
}

static double sum(double a, double b)
{
    return isnan(a) ? b : isnan(b) ? a : a + b;
}

static void write_state(const struct node *node, char out[CELL_TEXT])
{
    if (node->kind == NODE_CONTAINER)
        (void)snprintf(out, CELL_TEXT, "%.9s", node->state);
    else
        (void)snprintf(out, CELL_TEXT, "%zu/%zu", node->running % 10000, node->total % 10000);
}
static void write_cpu(const struct node *node, char out[CELL_TEXT])
{
    view_write_percent(node->now.cpu_percent, out);
}
static void write_memory(const struct node *node, char out[CELL_TEXT])
{
    view_write_bytes(node->now.memory, out);
}
static void write_memory_percent(const struct node *node, char out[CELL_TEXT])
{
    view_write_percent(node->now.memory_max > 0 ? 100 * node->now.memory / node->now.memory_max : NAN, out);
}
static void write_net(const struct node *node, char out[CELL_TEXT])
{
    view_write_bytes(sum(node->now.rx_rate, node->now.tx_rate), out);
}
static void write_rx(const struct node *node, char out[CELL_TEXT])
{
    view_write_bytes(node->now.rx_rate, out);
}
static void write_tx(const struct node *node, char out[CELL_TEXT])
{
    view_write_bytes(node->now.tx_rate, out);
}
static void write_io(const struct node *node, char out[CELL_TEXT])
{
    view_write_bytes(sum(node->now.read_rate, node->now.write_rate), out);
}
static void write_read(const struct node *node, char out[CELL_TEXT])
{
    view_write_bytes(node->now.read_rate, out);
}
static void write_write(const struct node *node, char out[CELL_TEXT])
{
    view_write_bytes(node->now.write_rate, out);
}
static void write_tasks(const struct node *node, char out[CELL_TEXT])
{
    write_count(node->now.tasks, out);
}
static void write_restarts(const struct node *node, char out[CELL_TEXT])
{
    write_count((double)node->restarts, out);
}

static double worst(const struct node *node, char *out_letter)
{
    double value = NAN;
    for (size_t i = 0; i < COUNT(node->now.pressure); i++)
        if (isnan(value) || node->now.pressure[i] > value) {
            value = node->now.pressure[i];
            *out_letter = "cmi"[i];
        }
    return value;
}

/* The worst of the three, with the letter of its resource: "c12", "m100". */
static void write_pressure(const struct node *node, char out[CELL_TEXT])
{
    char letter = '-';
    double value = worst(node, &letter);
    if (isnan(value))
        (void)snprintf(out, CELL_TEXT, "-");
    else if (value < 0.5)
        (void)snprintf(out, CELL_TEXT, "0");
    else
        (void)snprintf(out, CELL_TEXT, "%c%.0f", letter, fmin(value, 100));
}

enum { WIDE = 108, MIDDLE = 94, ALL = 10000 };

const struct column view_columns[] = {
    {"STATE", 9, 0, ALL, SORT_COUNT, write_state},
    {"CPU%", 6, 0, ALL, SORT_CPU, write_cpu},
    {"CPU", 8, 60, ALL, SORT_COUNT, NULL},
    {"MEM", 6, 0, ALL, SORT_MEMORY, write_memory},
    {"MEM%", 5, MIDDLE, ALL, SORT_COUNT, write_memory_percent},
    {"NET/s", 6, 0, WIDE, SORT_NET, write_net},
    {"RX/s", 6, WIDE, ALL, SORT_NET, write_rx},
    {"TX/s", 6, WIDE, ALL, SORT_COUNT, write_tx},
    {"IO/s", 6, 70, WIDE, SORT_IO, write_io},
    {"RD/s", 6, WIDE, ALL, SORT_IO, write_read},
    {"WR/s", 6, WIDE, ALL, SORT_COUNT, write_write},
    {"PRES", 4, 0, ALL, SORT_PRESSURE, write_pressure},
    {"TASKS", 5, MIDDLE, ALL, SORT_TASKS, write_tasks},
    {"RST", 5, 0, ALL, SORT_RESTARTS, write_restarts},
};
const size_t view_column_count = COUNT(view_columns);

const char *view_sort_name(enum sort sort)
{
    static const char *const names[SORT_COUNT] = {"name", "cpu",      "memory", "net",
                                                  "io",   "pressure", "tasks",  "restarts"};
    return names[sort];
}

/* Order */

static double sort_value(const struct node *node, enum sort sort)
{
    char letter;
    switch (sort) {
    case SORT_CPU:
        return node->now.cpu_percent;
    case SORT_MEMORY:
        return node->now.memory;
    case SORT_NET:
        return sum(node->now.rx_rate, node->now.tx_rate);
    case SORT_IO:
        return sum(node->now.read_rate, node->now.write_rate);
    case SORT_PRESSURE:
        return worst(node, &letter);
    case SORT_TASKS:
        return node->now.tasks;
    case SORT_RESTARTS:
        return (double)node->restarts;
    case SORT_NAME:
    case SORT_COUNT:
        break;
    }
    return 0;
}

/* demo-web-2 before demo-web-10. */
static int compare_names(const char *a, const char *b)
{
    return strverscmp(a, b);
}

static int compare(const void *left, const void *right, void *data)
{
    const struct node *a = ((const struct row *)left)->node, *b = ((const struct row *)right)->node;
    const struct view *view = data;
    int order = 0;
    if (view->sort != SORT_NAME) {
        double x = sort_value(a, view->sort), y = sort_value(b, view->sort);
        if (isnan(x) || isnan(y))
            order = isnan(x) - isnan(y);
        else
            order = (x < y) - (x > y);
    }
    if (order == 0)
        order = compare_names(a->name, b->name);
    return view->reverse ? -order : order;
}

/* Rows */

bool view_matches(const char *name, const char *text)
{
    return text[0] == '\0' || strcasestr(name, text) != NULL;
}

static bool is_shown(const struct view *view, const struct node *node)
{
    if (node->kind == NODE_CONTAINER)
        return view_matches(node->name, view->filter) && (!view->running || node->running > 0);
    for (const struct node *child = node->children; child != NULL; child = child->next)
        if (is_shown(view, child))
            return true;
    return false;
}

static bool add_row(struct view *view, struct node *node, unsigned depth)
{
    if (view->count == view->room) {
        size_t room = view->room > 0 ? 2 * view->room : 64;
        struct row *rows = reallocarray(view->rows, room, sizeof *rows);
        if (rows == NULL)
            return false; /* out of memory: what fits is shown */
        view->rows = rows;
        view->room = room;
    }
    view->rows[view->count++] = (struct row){node, depth};
    return true;
}

static void add_containers(struct view *view, struct node *nodes)
{
    for (struct node *node = nodes; node != NULL; node = node->next) {
        if (node->kind == NODE_CONTAINER && is_shown(view, node))
            (void)add_row(view, node, 0);
        add_containers(view, node->children);
    }
}

/* Siblings are sorted among themselves, each followed by what is below it. */
static void add_tree(struct view *view, struct node *nodes, unsigned depth)
{
    struct view siblings = {.sort = view->sort, .reverse = view->reverse};
    for (struct node *node = nodes; node != NULL; node = node->next)
        if (is_shown(view, node) && !add_row(&siblings, node, depth))
            break;
    if (siblings.count > 0)
        qsort_r(siblings.rows, siblings.count, sizeof *siblings.rows, compare, view);
    for (size_t i = 0; i < siblings.count; i++) {
        struct node *node = siblings.rows[i].node;
        if (!add_row(view, node, depth))
            break;
        if (!node->folded)
            add_tree(view, node->children, depth + 1); /* four levels at most */
    }
    free(siblings.rows);
}

static void find_selected(struct view *view)
{
    for (size_t i = 0; i < view->count; i++)
        if (view->rows[i].node == view->selected)
            view->at = i;
    if (view->at >= view->count)
        view->at = view->count > 0 ? view->count - 1 : 0;
    view->selected = view->count > 0 ? view->rows[view->at].node : NULL;
}

void view_update(struct view *view, struct model *model)
{
    model_sum(model);
    view->count = 0;
    if (view->flat) {
        add_containers(view, model->projects);
        if (view->count > 0)
            qsort_r(view->rows, view->count, sizeof *view->rows, compare, view);
    } else {
        add_tree(view, model->projects, 0);
    }
    find_selected(view);
}

void view_fini(struct view *view)
{
    free(view->rows);
    view->rows = NULL;
    view->count = view->room = 0;
}

static void select_row(struct view *view, size_t at)
{
    view->at = at;
    view->selected = view->rows[at].node;
}

void view_move(struct view *view, long rows, size_t height)
{
    if (view->count == 0) {
        view->top = 0;
        return;
    }
    long last = (long)view->count - 1, at = (long)view->at;
    at = rows > last - at ? last : rows < -at ? 0 : at + rows;
    select_row(view, (size_t)at);
    if (height == 0)
        height = 1;
    if (view->top > view->at)
        view->top = view->at;
    if (view->at - view->top >= height)
        view->top = view->at - height + 1;
    if (view->top + height > view->count) /* no empty lines below while there are rows above */
        view->top = view->count > height ? view->count - height : 0;
}

void view_fold(struct view *view, int how)
{
    if (view->count == 0)
        return;
    struct node *node = view->rows[view->at].node;
    if (node->kind == NODE_CONTAINER) {
        if (how == 0 || node->parent == NULL || view->flat)
            return;
        node = node->parent; /* fold what it is in, and stay in sight */
        view->selected = node;
    }
    node->folded = how < 0 ? !node->folded : how > 0;
}

static bool fold_services(struct node *nodes, bool folded)
{
    bool changed = false;
    for (struct node *node = nodes; node != NULL; node = node->next) {
        if (node->kind == NODE_SERVICE) {
            changed |= node->folded != folded;
            node->folded = folded;
        } else {
            changed |= fold_services(node->children, folded);
        }
    }
    return changed;
}

void view_fold_all(struct view *view, struct model *model)
{
    if (!fold_services(model->projects, true))
        (void)fold_services(model->projects, false);
    else if (view->count > 0 && view->rows[view->at].node->kind == NODE_CONTAINER && !view->flat)
        view->selected = view->rows[view->at].node->parent;
}

bool view_search(struct view *view, const char *text, bool from_next)
{
    for (size_t i = 0; i < view->count; i++) {
        size_t at = (view->at + i + from_next) % view->count;
        if (view_matches(view->rows[at].node->name, text)) {
            select_row(view, at);
            return true;
        }
    }
    return false;
}
