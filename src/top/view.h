/* Which rows of a model are shown, in which order, and what stands in them. Values only: the terminal is the screen's. */
#ifndef TOP_VIEW_H
#define TOP_VIEW_H

#include "top/model.h"

enum { CELL_TEXT = 24 }; /* bytes of one cell at most, its NUL included */

enum sort { SORT_NAME, SORT_CPU, SORT_MEMORY, SORT_NET, SORT_IO, SORT_PRESSURE, SORT_TASKS, SORT_RESTARTS, SORT_COUNT };

struct row {
    struct node *node;
    unsigned depth;
};

struct view {
    enum sort sort;
    bool reverse;     /* names begin with a, numbers with the greatest; reverse turns that */
    bool flat;        /* containers alone */
    bool running;     /* nothing that has ended */
    char filter[64];  /* part of a name, case aside; "" none */
    struct row *rows; /* owned; made by view_update */
    size_t count, room;
    const struct node *selected; /* NULL: the first row */
    size_t at;                   /* its row */
    size_t top;                  /* the first row that is drawn */
};

/* Make the rows again. selected stays where it is, and goes to its neighbour when it is no row any more. */
void view_update(struct view *view, struct model *model);
void view_fini(struct view *view);
void view_move(struct view *view, long rows, size_t height); /* the selection; height: rows that fit */
void view_fold(struct view *view, int how);                  /* the selected row: 1 fold, 0 unfold, -1 the other one */
void view_fold_all(struct view *view, struct model *model);  /* every service, or none when all are */
/* Select the next row whose name has the text. Returns false when there is none. */
bool view_search(struct view *view, const char *text, bool from_next);
bool view_matches(const char *name, const char *text);

/* Columns */
struct column {
    const char *title;
    unsigned width;
    unsigned from, below; /* shown in terminals of at least from and less than below columns */
    enum sort sort;       /* what a click on it would sort by; SORT_COUNT: nothing */
    void (*write)(const struct node *node, char out[CELL_TEXT]); /* NULL: the sparkline */
};
extern const struct column view_columns[];
extern const size_t view_column_count;
const char *view_sort_name(enum sort sort);

void view_write_bytes(double bytes, char out[CELL_TEXT]);     /* "12.3M"; "-" unknown; five characters at most */
void view_write_percent(double percent, char out[CELL_TEXT]); /* "123.4"; five characters at most */

#endif
