#include <string.h>

#include "top/reader.h"
#include "top/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* The first byte says in what pieces the stream comes; what was read is looked at in every order and cell. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (count == 0)
        return 0;
    struct model *model = malloc(sizeof *model);
    if (model == NULL)
        return 0;
    struct reader reader = {0};
    struct view view = {.sort = SORT_NAME};
    size_t piece = bytes[0] == 0 ? count : bytes[0];
    model_init(model);
    for (size_t at = 1; at < count; at += piece) {
        reader_feed(&reader, model, (const char *)bytes + at, count - at < piece ? count - at : piece);
        if (at % 7 == 0) {
            view_update(&view, model); /* rows that the next piece may take away */
            view_move(&view, (long)(at % 5) - 2, 3);
        }
    }
    reader_end(&reader, model);
    for (int sort = SORT_NAME; sort < SORT_COUNT; sort++) {
        view.sort = (enum sort)sort;
        view.flat = sort % 2 == 0;
        view_update(&view, model);
        view_fold(&view, sort % 3 - 1);
        view_move(&view, sort - 3, 4);
        for (size_t i = 0; i < view.count; i++)
            for (size_t k = 0; k < view_column_count; k++) {
                char cell[CELL_TEXT] = "";
                if (view_columns[k].write != NULL)
                    view_columns[k].write(view.rows[i].node, cell);
                if (memchr(cell, '\0', sizeof cell) == NULL || strlen(cell) > view_columns[k].width)
                    abort();
            }
    }
    struct node total;
    model_total(model, &total);
    view_fini(&view);
    reader_fini(&reader);
    model_fini(model);
    free(model);
    return 0;
}
