#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "top/reader.h"
#include "top/view.h"

static void feed(struct model *model, const char *line)
{
    (void)model_take(model, line, strlen(line));
}

static void feed_sample(struct model *model, const char *service, const char *name, int second, uint64_t cpu_usec,
                        uint64_t memory)
{
    AUTO_FREE char *line = base_format(
        "{\"time\":\"2026-01-31T12:00:%02d.500000Z\",\"type\":\"container\",\"project\":\"demo\",\"service\":\"%s\","
        "\"container\":\"%s\",\"state\":\"running\",\"cpu\":{\"usage_usec\":%llu},\"memory\":{\"current\":%llu,\"max\":"
        "1000},"
        "\"net\":{\"rx_bytes\":%llu,\"tx_bytes\":0},\"pressure\":{\"memory\":{\"some_avg10\":12.5}}}",
        second, service, name, (unsigned long long)cpu_usec, (unsigned long long)memory,
        (unsigned long long)(1000 * second));
    feed(model, line);
}

static const struct node *find(const struct node *nodes, const char *name)
{
    for (const struct node *node = nodes; node != NULL; node = node->next) {
        if (strcmp(node->name, name) == 0)
            return node;
        const struct node *below = find(node->children, name);
        if (below != NULL)
            return below;
    }
    return NULL;
}

/* The names of the rows in a line, folded ones with a "+". */
static char *names(const struct view *view)
{
    struct text out = {0};
    for (size_t i = 0; i < view->count; i++)
        text_add_format(&out, "%s%s%s", i > 0 ? " " : "", view->rows[i].node->folded ? "+" : "",
                        view->rows[i].node->name);
    return text_take(&out);
}

static void rates_come_from_two_samples(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    feed_sample(&model, "web", "a", 0, 1000000, 100);
    const struct node *a = find(model.projects, "a");
    assert_true(isnan(a->now.cpu_percent));
    feed_sample(&model, "web", "a", 2, 2000000, 200);
    feed_sample(&model, "web", "b", 2, 0, 50);
    feed_sample(&model, "web", "b", 4, 3000000, 50);
    model_sum(&model);
    assert_true(a->now.cpu_percent == 50);
    assert_true(a->now.rx_rate == 1000);
    const struct node *demo = find(model.projects, "demo");
    assert_true(demo->now.cpu_percent == 200);
    assert_true(demo->now.memory == 250);
    assert_true(demo->now.pressure[1] == 12.5);
    assert_true(isnan(demo->now.pressure[0]));
    assert_int_equal(demo->total, 2);
    model_fini(&model);
}

static void a_life_in_events(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
#define EVENT(event, more)                                                                                             \
    "{\"time\":\"2026-01-31T12:00:01.0Z\",\"type\":\"event\",\"event\":\"" event                                       \
    "\",\"project\":\"demo\",\"service\":\"web\",\"container\":\"a\"" more "}"
    feed(&model, EVENT("create", ""));
    const struct node *a = find(model.projects, "a");
    assert_string_equal(a->state, "created");
    feed(&model, EVENT("start", ",\"pid\":42"));
    assert_string_equal(a->state, "running");
    assert_int_equal(a->pid, 42);
    feed_sample(&model, "web", "a", 2, 5000000, 100);
    feed(&model, EVENT("oom", ""));
    feed(&model, EVENT("die", ",\"cause\":\"oom\""));
    assert_string_equal(a->state, "exited");
    assert_string_equal(model.last_event, "12:00:01 die a (oom)");
    assert_true(isnan(a->now.memory));
    feed(&model, EVENT("backoff", ""));
    feed(&model, EVENT("start", ",\"pid\":43,\"attempt\":1"));
    assert_int_equal(a->restarts, 1);
    assert_int_equal(a->ooms, 1);
    feed_sample(&model, "web", "a", 4, 1000000, 100); /* a new run: its counter began at nothing */
    assert_true(a->now.cpu_percent == 50);
    feed(&model, EVENT("destroy", ""));
    assert_null(model.projects); /* and what it was in */
    feed(&model, EVENT("destroy", ""));
    assert_null(model.projects);
    feed(&model, "{\"type\":\"event\",\"event\":\"pressure\",\"project\":\"demo\",\"resource\":\"cpu\",\"culprits\":[{"
                 "\"container\":\"hog\"}]}");
    assert_string_equal(model.last_event, " pressure hog (cpu)");
    model_fini(&model);
}

static void groups_are_a_level_where_they_are_said(void **state)
{
    (void)state;
    struct model model;
    struct view view = {.sort = SORT_NAME};
    model_init(&model);
    feed(&model, "{\"type\":\"container\",\"project\":\"p\",\"group\":\"g\",\"service\":\"s\",\"container\":\"c\","
                 "\"state\":\"running\"}");
    view_update(&view, &model);
    AUTO_FREE char *rows = names(&view);
    assert_string_equal(rows, "p g s c");
    assert_int_equal(view.rows[3].depth, 3);
    feed(&model, "{\"type\":\"event\",\"event\":\"create\",\"project\":\"p\",\"group\":\"g/inner\",\"service\":\"t\","
                 "\"container\":\"d\"}");
    view_update(&view, &model);
    AUTO_FREE char *nested = names(&view);
    assert_string_equal(nested, "p g inner t d s c");
    view_fini(&view);
    model_fini(&model);
}

static void garbage_is_counted(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "x",
        "{",
        "[]",
        "1",
        "null",
        "{}",
        "{\"type\":3}",
        "{\"type\":\"container\"} x",
        "\xff\xfe",
        "{\"type\":\"fl\0t\"}",
    };
    struct model model;
    model_init(&model);
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_false(model_take(&model, rows[i], strlen(rows[i])));
    assert_int_equal(model.garbage, COUNT(rows));
    /* Records all the same: of a kind to come, with members of other kinds, with a name that a terminal should not see. */
    feed(&model, "{\"type\":\"host\",\"cpu\":1}");
    feed(&model, "{\"type\":\"container\",\"container\":7,\"cpu\":[]}");
    feed(&model,
         "{\"type\":\"container\",\"container\":\"a\\u001b[2J\\u00e4\",\"cpu\":[],\"state\":{},\"time\":\"never\"}");
    assert_int_equal(model.garbage, COUNT(rows));
    assert_non_null(find(model.projects, "a?[2J??"));
    model_fini(&model);
}

static void lines_come_in_any_pieces(void **state)
{
    (void)state;
    static const char stream[] = "{\"type\":\"fleet\",\"starts\":1}\nnonsense\n\n{\"type\":\"fleet\",\"starts\":2}\n{"
                                 "\"type\":\"fleet\",\"starts\":3}";
    for (size_t piece = 1; piece < sizeof stream; piece++) {
        struct model model;
        struct reader reader = {0};
        model_init(&model);
        for (size_t at = 0; at < sizeof stream - 1; at += piece)
            reader_feed(&reader, &model, stream + at, at + piece < sizeof stream - 1 ? piece : sizeof stream - 1 - at);
        assert_int_equal(model.rounds, 2);
        reader_end(&reader, &model);
        assert_int_equal(model.rounds, 3);
        assert_int_equal(model.starts, 3);
        assert_int_equal(model.garbage, 1);
        reader_fini(&reader);
        model_fini(&model);
    }
}

static void a_line_without_end_is_dropped(void **state)
{
    (void)state;
    struct model model;
    struct reader reader = {0};
    model_init(&model);
    char *many = malloc(READER_LINE_MAX);
    memset(many, ' ', READER_LINE_MAX);
    for (int i = 0; i < 10; i++)
        reader_feed(&reader, &model, many, READER_LINE_MAX);
    assert_in_range(reader.line.room, 0, 2 * READER_LINE_MAX);
    static const char rest[] = "\n{\"type\":\"fleet\"}\n";
    reader_feed(&reader, &model, rest, sizeof rest - 1);
    assert_int_equal(model.garbage, 1);
    assert_int_equal(model.rounds, 1);
    free(many);
    reader_fini(&reader);
    model_fini(&model);
}

static void rows_are_sorted_filtered_folded(void **state)
{
    (void)state;
    struct model model;
    struct view view = {.sort = SORT_NAME};
    model_init(&model);
    for (int second = 0; second <= 1; second++) {
        feed_sample(&model, "web", "web-10", second, (uint64_t)second * 300000, 10);
        feed_sample(&model, "web", "web-2", second, (uint64_t)second * 100000, 30);
        feed_sample(&model, "db", "db-1", second, (uint64_t)second * 200000, 20);
    }
    static const struct {
        enum sort sort;
        bool reverse, flat;
        const char *filter, *rows;
    } rows[] = {
        {SORT_NAME, false, false, "", "demo db db-1 web web-2 web-10"},
        {SORT_NAME, true, false, "", "demo web web-10 web-2 db db-1"},
        {SORT_CPU, false, false, "", "demo web web-10 web-2 db db-1"},
        {SORT_CPU, false, true, "", "web-10 db-1 web-2"},
        {SORT_MEMORY, false, true, "", "web-2 db-1 web-10"},
        {SORT_MEMORY, true, true, "", "web-10 db-1 web-2"},
        {SORT_NAME, false, false, "WEB-1", "demo web web-10"},
        {SORT_NAME, false, true, "1", "db-1 web-10"},
        {SORT_NAME, false, false, "nothing", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        view.sort = rows[i].sort;
        view.reverse = rows[i].reverse;
        view.flat = rows[i].flat;
        (void)snprintf(view.filter, sizeof view.filter, "%s", rows[i].filter);
        view_update(&view, &model);
        AUTO_FREE char *found = names(&view);
        assert_string_equal(found, rows[i].rows);
    }
    view.filter[0] = '\0';
    view_update(&view, &model);
    view_move(&view, -100, 10);
    assert_true(view_search(&view, "web-2", false));
    assert_string_equal(view.selected->name, "web-2");
    view_fold(&view, 1); /* of a container: what it is in */
    view_update(&view, &model);
    AUTO_FREE char *folded = names(&view);
    assert_string_equal(folded, "demo db db-1 +web");
    assert_string_equal(view.selected->name, "web");
    view_fold_all(&view, &model);
    view_update(&view, &model);
    AUTO_FREE char *all = names(&view);
    assert_string_equal(all, "demo +db +web");
    view_fold_all(&view, &model);
    view_update(&view, &model);
    AUTO_FREE char *none = names(&view);
    assert_string_equal(none, "demo db db-1 web web-2 web-10");
    view_fini(&view);
    model_fini(&model);
}

static void the_selection_stays_with_its_row(void **state)
{
    (void)state;
    struct model model;
    struct view view = {.sort = SORT_NAME, .flat = true};
    model_init(&model);
    view_update(&view, &model);
    view_move(&view, 5, 3); /* no rows at all */
    view_fold(&view, -1);
    assert_false(view_search(&view, "x", true));
    for (int i = 0; i < 20; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "c%02d", i);
        feed_sample(&model, "web", name, 0, 0, 1);
    }
    view_update(&view, &model);
    view_move(&view, 7, 5);
    assert_string_equal(view.selected->name, "c07");
    assert_int_equal(view.top, 3);
    feed_sample(&model, "web", "a", 0, 0, 1); /* before it */
    view_update(&view, &model);
    assert_int_equal(view.at, 8);
    feed(&model,
         "{\"type\":\"event\",\"event\":\"destroy\",\"project\":\"demo\",\"service\":\"web\",\"container\":\"c07\"}");
    view_update(&view, &model);
    assert_string_equal(view.selected->name, "c08");
    view_move(&view, 1000, 5);
    assert_string_equal(view.selected->name, "c19");
    view_move(&view, 0, 50); /* a greater terminal: nothing is left out above */
    assert_int_equal(view.top, 0);
    view_move(&view, -1000, 0);
    assert_int_equal(view.at, 0);
    view_fini(&view);
    model_fini(&model);
}

static void cells_fit(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *bytes, *percent;
    } rows[] = {
        {NAN, "-", "-"},          {0, "0B", "0.0"},        {999, "999B", "999.0"},
        {1000, "1.0K", "1000"},   {1023, "1.0K", "1023"},  {102400, "100K", "99999"},
        {1.5e6, "1.4M", "99999"}, {2e18, "1.7E", "99999"}, {1e300, "9999E", "99999"},
        {-1, "-", "-"},           {12.34, "12B", "12.3"},  {INFINITY, "9999E", "99999"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char cell[CELL_TEXT];
        view_write_bytes(rows[i].value, cell);
        assert_string_equal(cell, rows[i].bytes);
        view_write_percent(rows[i].value, cell);
        if (rows[i].value == 102400)
            continue;
        assert_string_equal(cell, rows[i].percent);
    }
    struct node node = {.kind = NODE_SERVICE, .running = 9999, .total = 9999, .restarts = UINT64_MAX};
    node.now = (struct numbers){1e300, 1e300, 1, 1e300, 1e300, 1e300, 1e300, 0, 0, 0, 0, {1e300, 1e300, 1e300}, 1e300};
    for (size_t i = 0; i < view_column_count; i++) {
        char cell[CELL_TEXT] = "";
        if (view_columns[i].write != NULL)
            view_columns[i].write(&node, cell);
        if (strlen(cell) > view_columns[i].width)
            fail_msg("%s: \"%s\"", view_columns[i].title, cell);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_come_from_two_samples),
        cmocka_unit_test(a_life_in_events),
        cmocka_unit_test(groups_are_a_level_where_they_are_said),
        cmocka_unit_test(garbage_is_counted),
        cmocka_unit_test(lines_come_in_any_pieces),
        cmocka_unit_test(a_line_without_end_is_dropped),
        cmocka_unit_test(rows_are_sorted_filtered_folded),
        cmocka_unit_test(the_selection_stays_with_its_row),
        cmocka_unit_test(cells_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
