/* What keys do: one table, which the help page shows too. Names are those of htop where it has them. */
#include <curses.h>
#include <string.h>

#include "top/screen.h"

static void quit(struct screen *screen, int argument)
{
    (void)argument;
    screen->quit = true;
}

static void set_mode(struct screen *screen, int mode)
{
    screen->mode = (enum mode)mode;
    if (screen->mode == MODE_SEARCH)
        screen->typed[0] = '\0';
}

static void move_rows(struct screen *screen, int rows)
{
    view_move(&screen->view, rows, screen_row_lines());
}

static void move_pages(struct screen *screen, int pages)
{
    view_move(&screen->view, pages * (long)screen_row_lines(), screen_row_lines());
}

static void move_to_end(struct screen *screen, int direction)
{
    view_move(&screen->view, direction * (long)screen->view.count, screen_row_lines());
}

static void search_next(struct screen *screen, int argument)
{
    (void)argument;
    if (screen->typed[0] != '\0')
        (void)view_search(&screen->view, screen->typed, true);
}

static void fold(struct screen *screen, int how)
{
    view_fold(&screen->view, how);
}

static void fold_all(struct screen *screen, int argument)
{
    (void)argument;
    view_fold_all(&screen->view, &screen->model);
}

static void sort_by(struct screen *screen, int sort)
{
    screen->view.sort = (enum sort)sort;
}

static void sort_by_next(struct screen *screen, int step)
{
    sort_by(screen, ((int)screen->view.sort + SORT_COUNT + step) % SORT_COUNT);
}

enum toggle { TOGGLE_FLAT, TOGGLE_REVERSE, TOGGLE_RUNNING, TOGGLE_PAUSED };

static void toggle(struct screen *screen, int which)
{
    bool *const flags[] = {
        [TOGGLE_FLAT] = &screen->view.flat,
        [TOGGLE_REVERSE] = &screen->view.reverse,
        [TOGGLE_RUNNING] = &screen->view.running,
        [TOGGLE_PAUSED] = &screen->paused,
    };
    *flags[which] = !*flags[which];
}

const struct key screen_keys[] = {
    {"Up k", "one row up", move_rows, -1, {KEY_UP, 'k'}},
    {"Down j", "one row down", move_rows, 1, {KEY_DOWN, 'j'}},
    {"PgUp", "a page up", move_pages, -1, {KEY_PPAGE}},
    {"PgDn", "a page down", move_pages, 1, {KEY_NPAGE}},
    {"Home g", "the first row", move_to_end, -1, {KEY_HOME, 'g'}},
    {"End G", "the last row", move_to_end, 1, {KEY_END, 'G'}},
    {"+ Right", "unfold", fold, 0, {'+', KEY_RIGHT}},
    {"- Left", "fold", fold, 1, {'-', KEY_LEFT}},
    {"Enter Space", "fold or unfold", fold, -1, {'\r', '\n', ' '}},
    {"*", "fold every service", fold_all, 0, {'*'}},
    {"F3 /", "search a name", set_mode, MODE_SEARCH, {KEY_F(3), '/'}},
    {"n", "search the next one", search_next, 0, {'n'}},
    {"F4 \\", "filter by name", set_mode, MODE_FILTER, {KEY_F(4), '\\'}},
    {"F5 t", "tree or list", toggle, TOGGLE_FLAT, {KEY_F(5), 't'}},
    {"a", "hide what has ended", toggle, TOGGLE_RUNNING, {'a'}},
    {"F6 > .", "sort by the next column", sort_by_next, 1, {KEY_F(6), '>', '.'}},
    {"< ,", "... the one before", sort_by_next, -1, {'<', ','}},
    {"I", "turn the order", toggle, TOGGLE_REVERSE, {'I'}},
    {"P", "sort by cpu", sort_by, SORT_CPU, {'P'}},
    {"M", "sort by memory", sort_by, SORT_MEMORY, {'M'}},
    {"W", "sort by network", sort_by, SORT_NET, {'W'}},
    {"O", "sort by disk", sort_by, SORT_IO, {'O'}},
    {"S", "sort by pressure", sort_by, SORT_PRESSURE, {'S'}},
    {"T", "sort by tasks", sort_by, SORT_TASKS, {'T'}},
    {"R", "sort by restarts", sort_by, SORT_RESTARTS, {'R'}},
    {"N", "sort by name", sort_by, SORT_NAME, {'N'}},
    {"z Z", "pause the picture", toggle, TOGGLE_PAUSED, {'z', 'Z'}},
    {"F1 h ?", "this page", set_mode, MODE_HELP, {KEY_F(1), 'h', '?'}},
    {"F10 q", "quit", quit, 0, {KEY_F(10), 'q'}},
};
const size_t screen_key_count = COUNT(screen_keys);

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

void screen_take_key(struct screen *screen, int key)
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
    for (size_t i = 0; i < COUNT(screen_keys); i++)
        for (size_t k = 0; k < COUNT(screen_keys[i].codes); k++)
            if (key != 0 && screen_keys[i].codes[k] == key) {
                screen_keys[i].act(screen, screen_keys[i].argument);
                return;
            }
}
