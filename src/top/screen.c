/* The live table: ncurses on one terminal, one loop over the stream and the keys. Reading comes first, so that the writer waits
 * for the pipe as little as can be; drawing happens at most some times a second. */
#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "top/reader.h"
#include "top/top.h"
#include "top/view.h"

enum {
    DRAW_MS = 200,         /* between two pictures */
    IDLE_MS = 1000,        /* a file is looked at again for what was added */
    READ_BYTES = 64 << 10, /* in one read */
    TURN_BYTES = 4 << 20,  /* then keys are looked at */
    PIPE_BYTES = 1 << 20,  /* what the pipe shall hold while we draw */
    HEAD_LINES = 4,        /* above the rows, with the columns' titles */
    FOOT_LINES = 2
};

enum mode { MODE_ROWS, MODE_SEARCH, MODE_FILTER, MODE_HELP };

enum colour { COLOUR_TITLE = 1, COLOUR_SELECTED, COLOUR_GOOD, COLOUR_WARN, COLOUR_BAD, COLOUR_DIM };

struct screen {
    struct model model;
    struct reader reader;
    struct view view;
    enum mode mode;
    char typed[64]; /* of the search */
    bool paused, quit, utf8;
    bool ended, at_end, regular; /* the stream; at_end: a file's, to which somebody may still write */
    int stream_fd;
    char message[96]; /* said once at the bottom */
    char *bytes;      /* owned: READ_BYTES */
};

static uint64_t now_ms(void)
{
    return base_monotonic_usec() / 1000;
}

static size_t row_lines(void)
{
    return LINES > HEAD_LINES + FOOT_LINES ? (size_t)(LINES - HEAD_LINES - FOOT_LINES) : 1;
}

/* Drawing */

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

static const char *const help[] = {
    "shoal top: the records of `shoal up`, as a table.",
    "",
    "  Up Down PgUp PgDn Home End   select          h F1 ?   this page",
    "  + - Enter Space Left Right   fold, unfold    *        fold every service",
    "  F3 /  search, n next         F4 \\     filter by name",
    "  F5 t  tree or list           a        hide what has ended",
    "  F6 > <  sort by the next column, I turns it",
    "  P cpu  M memory  W net  O io  S pressure  T tasks  R restarts  N name",
    "  z     pause the picture      q F10    quit",
    "",
    "  CPU% of one processor; PRES: share of the last 10 s in which some task",
    "  waited, for c(pu), m(emory) or i(o), the worst; RST: starts again, red",
    "  where the kernel killed for lack of memory. A row of a group has sums.",
};

static void draw_help(void)
{
    for (size_t i = 0; i < COUNT(help); i++)
        put((int)i + 1, 0, i == 0 ? A_BOLD : A_NORMAL, help[i]);
    put(LINES - 1, 0, A_REVERSE, "any key goes back");
}

static void draw(struct screen *screen)
{
    (void)erase();
    if (screen->mode == MODE_HELP) {
        draw_help();
    } else {
        draw_head(screen);
        draw_titles(screen);
        size_t height = row_lines();
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

/* Keys */

static void edit(char *text, size_t room, int key)
{
    size_t count = strlen(text);
    if ((key == KEY_BACKSPACE || key == 127 || key == 8) && count > 0)
        text[count - 1] = '\0';
    else if (key >= 0x20 && key < 0x7f && count + 1 < room) {
        text[count] = (char)key;
        text[count + 1] = '\0';
    }
}

static void take_typed_key(struct screen *screen, int key)
{
    bool search = screen->mode == MODE_SEARCH;
    char *text = search ? screen->typed : screen->view.filter;
    if (key == '\n' || key == '\r' || key == KEY_ENTER) {
        screen->mode = MODE_ROWS;
    } else if (key == 27) {
        text[0] = '\0';
        screen->mode = MODE_ROWS;
    } else {
        edit(text, sizeof screen->typed, key);
        if (search && text[0] != '\0' && !view_search(&screen->view, text, false))
            (void)snprintf(screen->message, sizeof screen->message, "no name has \"%s\" in it", text);
    }
}

static void sort_by(struct screen *screen, enum sort sort)
{
    screen->view.sort = sort;
}

/* Keys that choose a column: those of htop where it has one. */
static const struct {
    int key;
    enum sort sort;
} sort_keys[] = {{'P', SORT_CPU},      {'M', SORT_MEMORY}, {'W', SORT_NET},      {'O', SORT_IO},
                 {'S', SORT_PRESSURE}, {'T', SORT_TASKS},  {'R', SORT_RESTARTS}, {'N', SORT_NAME}};

static void take_key(struct screen *screen, int key)
{
    screen->message[0] = '\0';
    if (screen->mode == MODE_HELP) {
        screen->mode = MODE_ROWS;
        return;
    }
    if (screen->mode != MODE_ROWS) {
        take_typed_key(screen, key);
        return;
    }
    struct view *view = &screen->view;
    size_t height = row_lines();
    for (size_t i = 0; i < COUNT(sort_keys); i++)
        if (sort_keys[i].key == key)
            sort_by(screen, sort_keys[i].sort);
    switch (key) {
    case 'q':
    case KEY_F(10):
        screen->quit = true;
        break;
    case 'h':
    case '?':
    case KEY_F(1):
        screen->mode = MODE_HELP;
        break;
    case KEY_UP:
    case 'k':
        view_move(view, -1, height);
        break;
    case KEY_DOWN:
    case 'j':
        view_move(view, 1, height);
        break;
    case KEY_PPAGE:
        view_move(view, -(long)height, height);
        break;
    case KEY_NPAGE:
        view_move(view, (long)height, height);
        break;
    case KEY_HOME:
    case 'g':
        view_move(view, -(long)view->count, height);
        break;
    case KEY_END:
    case 'G':
        view_move(view, (long)view->count, height);
        break;
    case '/':
    case KEY_F(3):
        screen->mode = MODE_SEARCH;
        screen->typed[0] = '\0';
        break;
    case 'n':
        if (screen->typed[0] != '\0')
            (void)view_search(view, screen->typed, true);
        break;
    case '\\':
    case KEY_F(4):
        screen->mode = MODE_FILTER;
        break;
    case 't':
    case KEY_F(5):
        view->flat = !view->flat;
        break;
    case '>':
    case '.':
    case KEY_F(6):
        sort_by(screen, (view->sort + 1) % SORT_COUNT);
        break;
    case '<':
    case ',':
        sort_by(screen, (view->sort + SORT_COUNT - 1) % SORT_COUNT);
        break;
    case 'I':
        view->reverse = !view->reverse;
        break;
    case '+':
    case KEY_RIGHT:
        view_fold(view, 0);
        break;
    case '-':
    case KEY_LEFT:
        view_fold(view, 1);
        break;
    case ' ':
    case '\n':
    case '\r':
    case KEY_ENTER:
        view_fold(view, -1);
        break;
    case '*':
        view_fold_all(view, &screen->model);
        break;
    case 'a':
        view->running = !view->running;
        break;
    case 'z':
    case 'Z':
        screen->paused = !screen->paused;
        break;
    default: /* a new size of the terminal, or a key of no meaning */
        break;
    }
}

/* The loop */

/* Read what is there. Returns false when there is no more just now. */
static bool read_stream(struct screen *screen)
{
    ssize_t count = read(screen->stream_fd, screen->bytes, READ_BYTES);
    screen->at_end = count == 0 && screen->regular;
    if (count > 0) {
        reader_feed(&screen->reader, &screen->model, screen->bytes, (size_t)count);
        return true;
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (screen->at_end)
        return false;
    if (!screen->ended)
        reader_end(&screen->reader, &screen->model);
    screen->ended = true;
    screen->model.changed = true;
    return false;
}

static bool is_readable(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return poll(&ready, 1, 0) > 0;
}

static void read_turn(struct screen *screen)
{
    for (size_t left = TURN_BYTES / READ_BYTES; left > 0 && !screen->ended; left--)
        if (!read_stream(screen) || !is_readable(screen->stream_fd))
            return;
}

static void loop(struct screen *screen, int tty_fd)
{
    uint64_t drawn_ms = 0;
    bool dirty = true;
    while (!screen->quit) {
        uint64_t now = now_ms(), due_ms = drawn_ms + DRAW_MS;
        dirty |= screen->model.changed && !screen->paused;
        if (dirty && now >= due_ms) {
            if (!screen->paused)
                view_update(&screen->view, &screen->model);
            screen->model.changed = false; /* a paused picture catches up when its key is pressed again */
            dirty = false;
            draw(screen);
            drawn_ms = now_ms();
            continue;
        }
        bool waits = screen->ended || screen->at_end;
        struct pollfd ready[2] = {{.fd = tty_fd, .events = POLLIN},
                                  {.fd = waits ? -1 : screen->stream_fd, .events = POLLIN}};
        (void)poll(ready, 2,
                   dirty ? (int)(due_ms - now) : IDLE_MS); /* EINTR: a new size of the terminal, which getch tells */
        if (ready[0].revents & (POLLERR | POLLHUP | POLLNVAL))
            return; /* the terminal is gone */
        if (!screen->ended && (ready[1].revents != 0 || screen->regular))
            read_turn(screen);
        for (int key; (key = getch()) != ERR;) {
            view_update(&screen->view, &screen->model); /* what was read may have taken rows away */
            take_key(screen, key);
            view_update(&screen->view, &screen->model);
            dirty = true;
            drawn_ms = 0; /* who presses a key wants to see it */
        }
    }
}

static void start_colours(void)
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

static int run(struct screen *screen, int tty_fd, FILE *in, FILE *out, shoal_error_t *err)
{
    SCREEN *terminal = newterm(NULL, out, in);
    if (terminal == NULL) {
        const char *name = getenv("TERM");
        return shoal_refuse(err, -ENOTTY, "terminal type \"%s\" is not known here", name != NULL ? name : "");
    }
    (void)set_escdelay(25);
    (void)cbreak();
    (void)noecho();
    (void)nonl();
    (void)keypad(stdscr, TRUE);
    (void)nodelay(stdscr, TRUE);
    (void)curs_set(0);
    start_colours();
    loop(screen, tty_fd);
    (void)endwin();
    delscreen(terminal);
    return 0;
}

int top_show(int stream_fd, int tty_fd, FILE *out, shoal_error_t *err)
{
    struct stat about;
    FILE *in = NULL;
    struct screen *screen = calloc(1, sizeof *screen);
    char *bytes = malloc(READ_BYTES);
    int own = fcntl(tty_fd, F_DUPFD_CLOEXEC, 3), code = -ENOMEM;
    if (own >= 0)
        in = fdopen(own, "r");
    if (screen == NULL || bytes == NULL || in == NULL) {
        (void)shoal_fail(err, code, "top");
    } else {
        (void)setlocale(LC_CTYPE, "");
        *screen = (struct screen){
            .stream_fd = stream_fd,
            .bytes = bytes,
            .view = {.sort = SORT_CPU},
            .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
            .regular = fstat(stream_fd, &about) == 0 && S_ISREG(about.st_mode),
        };
        (void)fcntl(stream_fd, F_SETPIPE_SZ, PIPE_BYTES); /* no pipe, or the limit is lower: then as it is */
        model_init(&screen->model);
        code = run(screen, tty_fd, in, out, err);
        view_fini(&screen->view);
        reader_fini(&screen->reader);
        model_fini(&screen->model);
    }
    if (in != NULL)
        (void)fclose(in);
    else if (own >= 0)
        (void)close(own);
    free(bytes);
    free(screen);
    return code;
}
