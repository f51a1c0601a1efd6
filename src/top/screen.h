/* What the files of the live table share: its loop (screen.c), what it draws (draw.c), what keys do (keys.c). */
#ifndef TOP_SCREEN_H
#define TOP_SCREEN_H

#include "top/reader.h"
#include "top/view.h"

enum mode { MODE_ROWS, MODE_SEARCH, MODE_FILTER, MODE_HELP };

struct screen {
    struct model model;
    struct reader reader;
    struct view view;
    enum mode mode;
    char typed[64]; /* of the search */
    bool paused, quit, utf8;
    int stream_fd;
    bool ended, at_end, regular; /* the stream; at_end: a file's, to which somebody may still write */
    char message[96];            /* said once at the bottom */
    char *bytes;                 /* owned: what one read fills */
};

/* draw.c */
void screen_start_colours(void);
void screen_draw(struct screen *screen);
size_t screen_row_lines(void); /* rows that fit */

/* keys.c. The view was updated since the model has changed. */
void screen_take_key(struct screen *screen, int key);

/* One row for each thing that keys do. */
struct key {
    const char *names, *doc; /* for the help page */
    void (*act)(struct screen *screen, int argument);
    int argument;
    int codes[3]; /* of curses; 0 none */
};
extern const struct key screen_keys[];
extern const size_t screen_key_count;

#endif
