/* One picture of the table. ncurses sends what differs from the one before. */
#include <curses.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "top/screen.h"

enum { HEAD_LINES = 4, FOOT_LINES = 2 }; /* around the rows; the columns' titles are the head's last line */

enum colour { COLOUR_TITLE = 1, COLOUR_SELECTED, COLOUR_GOOD, COLOUR_WARN, COLOUR_BAD, COLOUR_DIM };

size_t screen_row_lines(void)
{
    return LINES > HEAD_LINES + FOOT_LINES ? (size_t)(LINES - HEAD_LINES - FOOT_LINES) : 1;
}

static chtype colour_of(enum colour colour)
{
    return (chtype)COLOR_PAIR(colour);
}

static void put(int line, int column, chtype attributes, const char *text)
{
    if (line < 0 || line >= LINES || column >= COLS)
        return;
    (void)attrset((int)attributes);
    (void)mvaddnstr(line, column, text, COLS - column);
    (void)attrset(A_NORMAL);
}

static void fill_line(int line, chtype attributes)
{
    if (line < 0 || line >= LINES)
        return;
    (void)move(line, 0);
    (void)attrset((int)attributes);
    (void)hline(' ', COLS);
    (void)attrset(A_NORMAL);
}

static void draw_spark(const struct screen *screen, const struct node *node, int line, int column, unsigned width,
                       chtype attributes)
{
    static const char *const blocks[8] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[8] = {" ", ".", ".", ":", ":", "|", "|", "#"};
    size_t count = node->spark_count < width ? node->spark_count : width;
    const double *values = node->spark + node->spark_count - count;
    double most = 10; /* percent: noise below it stays flat */
    for (size_t i = 0; i < count; i++)
        most = fmax(most, values[i]);
    (void)attrset((int)attributes);
    (void)move(line, column + (int)(width - count));
    for (size_t i = 0; i < count; i++) {
        int level = (int)(values[i] / most * 7.999);
        level = level < 0 ? 0 : level > 7 ? 7 : level;
        (void)addstr(screen->utf8 ? blocks[level] : plain[level]);
    }
    (void)attrset(A_NORMAL);
}

static bool is_visible(const struct column *column)
{
    return (unsigned)COLS >= column->from && (unsigned)COLS < column->below;
}

static unsigned name_width(void)
{
    unsigned used = 0;
    for (size_t i = 0; i < view_column_count; i++)
        used += is_visible(&view_columns[i]) ? view_columns[i].width + 1 : 0;
    return (unsigned)COLS > used + 8 ? (unsigned)COLS - used : 8;
}

static void draw_titles(const struct screen *screen)
{
    const int line = HEAD_LINES - 1;
    const chtype plain = colour_of(COLOUR_TITLE) | (has_colors() ? 0 : A_REVERSE);
    fill_line(line, plain);
    bool by_name = screen->view.sort == SORT_NAME;
    put(line, 0, plain | (by_name ? A_BOLD | A_UNDERLINE : 0), "NAME");
    int at = (int)name_width();
    for (size_t i = 0; i < view_column_count; i++) {
        const struct column *column = &view_columns[i];
        if (!is_visible(column))
            continue;
        bool chosen = column->sort == screen->view.sort && column->sort != SORT_COUNT;
        int indent = 1 + (int)column->width - (int)strlen(column->title);
        put(line, at + indent, plain | (chosen ? A_BOLD | A_UNDERLINE : 0), column->title);
        at += 1 + (int)column->width;
    }
}

static chtype state_colour(const struct node *node)
{
    if (node->kind != NODE_CONTAINER)
        return node->running == node->total ? colour_of(COLOUR_GOOD) : colour_of(COLOUR_WARN);
    if (strcmp(node->state, "running") == 0)
        return colour_of(COLOUR_GOOD);
    return strcmp(node->state, "backoff") == 0 ? colour_of(COLOUR_BAD) : colour_of(COLOUR_WARN);
}

static void draw_row(const struct screen *screen, const struct row *row, int line, bool selected)
{
    const struct node *node = row->node;
    chtype base = selected ? colour_of(COLOUR_SELECTED) | (has_colors() ? 0 : A_REVERSE) : A_NORMAL;
    if (node->kind != NODE_CONTAINER)
        base |= A_BOLD;
    fill_line(line, base);
    char name[256];
    unsigned width = name_width(), indent = 2 * row->depth < width / 2 ? 2 * row->depth : width / 2;
    const char *mark = node->kind == NODE_CONTAINER ? "" : node->folded ? "+ " : "- ";
    (void)snprintf(name, sizeof name, "%*s%s%.*s", (int)indent, "", mark, (int)(width - indent - strlen(mark)),
                   node->name);
    put(line, 0, base, name);
    int at = (int)width;
    for (size_t i = 0; i < view_column_count; i++) {
        const struct column *column = &view_columns[i];
        if (!is_visible(column))
            continue;
        if (column->write == NULL) {
            draw_spark(screen, node, line, at + 1, column->width, selected ? base : colour_of(COLOUR_GOOD));
        } else {
            char cell[CELL_TEXT];
            column->write(node, cell);
            int length = (int)strlen(cell), most = (int)column->width;
            chtype colour = base;
            if (!selected && i == 0)
                colour |= state_colour(node);
            else if (!selected && column->sort == SORT_RESTARTS && (node->restarts > 0 || node->ooms > 0))
                colour |= colour_of(node->ooms > 0 ? COLOUR_BAD : COLOUR_WARN);
            put(line, at + 1 + (length < most ? most - length : 0), colour, cell);
        }
        at += 1 + (int)column->width;
    }
}

static void draw_head(struct screen *screen)
{
    struct node total;
    model_total(&screen->model, &total);
    char line[512], cpu[CELL_TEXT], memory[CELL_TEXT], rx[CELL_TEXT], tx[CELL_TEXT], rd[CELL_TEXT], wr[CELL_TEXT],
        rss[CELL_TEXT];
    char clock[16] = "";
    time_t seconds = (time_t)(screen->model.time_usec / 1000000u);
    struct tm parts;
    if (seconds > 0 && gmtime_r(&seconds, &parts) != NULL)
        (void)strftime(clock, sizeof clock, "%H:%M:%SZ", &parts);
    (void)snprintf(line, sizeof line, "shoal top  %zu running of %zu  starts %llu  deaths %llu", total.running,
                   total.total, (unsigned long long)screen->model.starts, (unsigned long long)screen->model.deaths);
    put(0, 0, A_BOLD, line);
    const char *how = screen->ended ? "end of stream" : screen->paused ? "paused" : clock;
    put(0, COLS > (int)strlen(how) ? COLS - (int)strlen(how) : 0,
        screen->ended || screen->paused ? A_BOLD | colour_of(COLOUR_WARN) : A_NORMAL, how);
    view_write_percent(total.now.cpu_percent, cpu);
    view_write_bytes(total.now.memory, memory);
    view_write_bytes(total.now.rx_rate, rx);
    view_write_bytes(total.now.tx_rate, tx);
    view_write_bytes(total.now.read_rate, rd);
    view_write_bytes(total.now.write_rate, wr);
    (void)snprintf(line, sizeof line, "cpu %s%%  mem %s  net in %s/s out %s/s  disk rd %s/s wr %s/s", cpu, memory, rx,
                   tx, rd, wr);
    put(1, 0, A_NORMAL, line);
    if (COLS >= 76 + SPARK_COUNT)
        draw_spark(screen, &total, 1, COLS - SPARK_COUNT, SPARK_COUNT, colour_of(COLOUR_GOOD));
    view_write_bytes(screen->model.rss, rss);
    size_t used = (size_t)snprintf(line, sizeof line, "supervisor");
    if (!isnan(screen->model.rss))
        used += (size_t)snprintf(line + used, sizeof line - used, "  rss %s  fds %.0f", rss,
                                 fmin(screen->model.fds, 1e9));
    if (!isnan(screen->model.lag_p99_usec))
        used += (size_t)snprintf(line + used, sizeof line - used, "  loop p99 %.1f max %.1f ms",
                                 fmin(screen->model.lag_p99_usec, 1e9) / 1000,
                                 fmin(screen->model.lag_max_usec, 1e9) / 1000);
    if (screen->model.lost > 0 || screen->model.garbage > 0)
        (void)snprintf(line + used, sizeof line - used, "  lost %llu  bad lines %llu",
                       (unsigned long long)screen->model.lost, (unsigned long long)screen->model.garbage);
    put(2, 0, screen->model.lost > 0 || screen->model.garbage > 0 ? colour_of(COLOUR_WARN) : A_NORMAL, line);
}

static void draw_foot(const struct screen *screen)
{
    const chtype plain = colour_of(COLOUR_TITLE) | (has_colors() ? 0 : A_REVERSE);
    char line[256];
    put(LINES - 2, 0, colour_of(COLOUR_DIM), screen->message[0] != '\0' ? screen->message : screen->model.last_event);
    fill_line(LINES - 1, plain);
    if (screen->mode == MODE_SEARCH || screen->mode == MODE_FILTER)
        (void)snprintf(line, sizeof line, "%s: %s_   Enter: done  Esc: none",
                       screen->mode == MODE_SEARCH ? "Search" : "Filter",
                       screen->mode == MODE_SEARCH ? screen->typed : screen->view.filter);
    else
        (void)snprintf(line, sizeof line, "F1Help F3Search F4Filter F5%s F6Sort:%s%s +/-Fold zPause F10Quit%s%s",
                       screen->view.flat ? "Tree" : "List", view_sort_name(screen->view.sort),
                       screen->view.reverse ? "(inv)" : "", screen->view.filter[0] != '\0' ? " filter: " : "",
                       screen->view.filter);
    put(LINES - 1, 0, plain, line);
}

/* Two columns of what keys do, then what the table says, as far as there is room. */
static void draw_help(void)
{
    static const char *const notes[] = {
        "CPU% is of one processor. PRES is the share of the last 10 s in which some task",
        "waited, for c(pu), m(emory) or i(o), the worst. RST are starts beyond the first,",
        "red where the kernel killed for lack of memory. Rows of groups have sums.",
    };
    put(0, 0, A_BOLD, "shoal top: the records of `shoal up` as a table");
    size_t lines = (screen_key_count + 1) / 2;
    for (size_t i = 0; i < screen_key_count; i++) {
        char line[80];
        (void)snprintf(line, sizeof line, "%-12s %s", screen_keys[i].names, screen_keys[i].doc);
        put(2 + (int)(i % lines), i < lines ? 0 : COLS / 2, A_NORMAL, line);
    }
    for (size_t i = 0; i < COUNT(notes); i++)
        put(3 + (int)(lines + i), 0, A_NORMAL, notes[i]);
    fill_line(LINES - 1, A_REVERSE);
    put(LINES - 1, 0, A_REVERSE, "any key goes back");
}

void screen_draw(struct screen *screen)
{
    (void)erase();
    if (screen->mode == MODE_HELP) {
        draw_help();
    } else {
        draw_head(screen);
        draw_titles(screen);
        size_t height = screen_row_lines();
        view_move(&screen->view, 0, height);
        for (size_t i = 0; i < height && screen->view.top + i < screen->view.count; i++) {
            size_t at = screen->view.top + i;
            draw_row(screen, &screen->view.rows[at], HEAD_LINES + (int)i, at == screen->view.at);
        }
        if (screen->view.count == 0)
            put(HEAD_LINES + 1, 2, colour_of(COLOUR_DIM),
                screen->view.filter[0] != '\0' ? "no name has this in it" : "nothing was said of a container yet");
        draw_foot(screen);
    }
    (void)refresh();
}

void screen_start_colours(void)
{
    if (!has_colors() || start_color() == ERR)
        return;
    (void)use_default_colors();
    (void)init_pair(COLOUR_TITLE, COLOR_BLACK, COLOR_GREEN);
    (void)init_pair(COLOUR_SELECTED, COLOR_BLACK, COLOR_CYAN);
    (void)init_pair(COLOUR_GOOD, COLOR_GREEN, -1);
    (void)init_pair(COLOUR_WARN, COLOR_YELLOW, -1);
    (void)init_pair(COLOUR_BAD, COLOR_RED, -1);
    (void)init_pair(COLOUR_DIM, COLOR_CYAN, -1);
}
