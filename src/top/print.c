/* One plain table, as `docker stats --no-stream` prints it, for pipes, files and people without a terminal. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "top/reader.h"
#include "top/top.h"
#include "top/view.h"

enum { READ_BYTES = 64 << 10, ROUNDS = 2, PAIR_TEXT = 2 * CELL_TEXT + 4 };

/* "a / b", or "-" where neither is known. */
static void write_pair(double a, double b, char out[PAIR_TEXT])
{
    char left[CELL_TEXT], right[CELL_TEXT];
    view_write_bytes(a, left);
    view_write_bytes(b, right);
    if (isnan(a) && isnan(b))
        (void)snprintf(out, PAIR_TEXT, "-");
    else
        (void)snprintf(out, PAIR_TEXT, "%s / %s", left, right);
}

static int print_table(struct model *model, FILE *out, shoal_error_t *err)
{
    struct view view = {.sort = SORT_NAME, .flat = true};
    view_update(&view, model);
    int width = 9;
    for (size_t i = 0; i < view.count; i++)
        width = (int)strlen(view.rows[i].node->name) > width ? (int)strlen(view.rows[i].node->name) : width;
    (void)fprintf(out, "%-*s  %-8s  %6s  %-15s  %6s  %-15s  %-15s  %-15s  %5s  %8s\n", width, "CONTAINER", "STATE",
                  "CPU %", "MEM / LIMIT", "MEM %", "NET IN / OUT", "DISK RD / WR", "PRES C/M/I %", "TASKS", "RESTARTS");
    for (size_t i = 0; i < view.count; i++) {
        const struct node *node = view.rows[i].node;
        const struct numbers *now = &node->now;
        char cpu[CELL_TEXT], percent[CELL_TEXT], memory[PAIR_TEXT], net[PAIR_TEXT], io[PAIR_TEXT],
            pressure[64] = "-", tasks[CELL_TEXT] = "-";
        view_write_percent(now->cpu_percent, cpu);
        view_write_percent(now->memory_max > 0 ? 100 * now->memory / now->memory_max : NAN, percent);
        write_pair(now->memory, now->memory_max, memory);
        write_pair(now->rx, now->tx, net);
        write_pair(now->read_bytes, now->write_bytes, io);
        if (!isnan(now->pressure[0]))
            (void)snprintf(pressure, sizeof pressure, "%.0f/%.0f/%.0f", fmin(now->pressure[0], 100),
                           fmin(now->pressure[1], 100), fmin(now->pressure[2], 100));
        if (!isnan(now->tasks))
            (void)snprintf(tasks, sizeof tasks, "%.0f", fmin(now->tasks, 99999));
        (void)fprintf(out, "%-*s  %-8s  %6s  %-15s  %6s  %-15s  %-15s  %-15s  %5s  %8llu\n", width, node->name,
                      node->state, cpu, memory, percent, net, io, pressure, tasks, (unsigned long long)node->restarts);
    }
    view_fini(&view);
    if (fflush(out) == 0 || errno == EPIPE) /* `| head` has seen enough */
        return 0;
    return shoal_fail(err, -errno, "write");
}

int top_print(int stream_fd, FILE *out, shoal_error_t *err)
{
    struct model *model = malloc(sizeof *model);
    char *bytes = malloc(READ_BYTES);
    struct reader reader = {0};
    int code = model == NULL || bytes == NULL ? shoal_fail(err, -ENOMEM, "top") : 0;
    if (code == 0)
        model_init(model);
    while (code == 0 && model->rounds < ROUNDS) {
        ssize_t count = read(stream_fd, bytes, READ_BYTES);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            code = shoal_fail(err, -errno, "read");
        if (count <= 0)
            break;
        reader_feed(&reader, model, bytes, (size_t)count);
    }
    if (code == 0) {
        reader_end(&reader, model);
        code = print_table(model, out, err);
    }
    reader_fini(&reader);
    if (model != NULL)
        model_fini(model);
    free(model);
    free(bytes);
    return code;
}
