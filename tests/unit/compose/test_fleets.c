/* Whole fleets, tests/compose/good, bad and raw (variables stay as they are written): what `config` prints of each and what is said of it is in a file beside it.
 * SHOAL_UPDATE=1 writes those files anew, for a person to look at with git diff. */
#include <dirent.h>
#include <stdlib.h>

#include "loading.h"

enum { MOST = 1000 };

static const char *const fleet_environ[] = {"HOME=/home/me", "USER=me", "EMPTY=", NULL};

/* /fleet is tests/compose/files, /fleets is tests/compose. */
static int read_here(const char *path, size_t limit, char **out_bytes, size_t *out_count, shoal_error_t *err)
{
    bool fleets = strncmp(path, "/fleets/", 8) == 0;
    if (!fleets && strncmp(path, "/fleet/", 7) != 0)
        return shoal_fail(err, -ENOENT, "open");
    AUTO_FREE char *real = base_format("tests/compose/%s%s", fleets ? "" : "files/", path + (fleets ? 8 : 7));
    return compose_read_file(real, limit, out_bytes, out_count, err);
}

static void note(void *data, shoal_severity_t severity, const shoal_position_t *at, const char *text)
{
    const char *name = strrchr(at->file, '/');
    text_add_format(data, "%s:%d:%d: %s%s\n", name == NULL ? at->file : name + 1, at->line, at->column,
                    severity == SHOAL_ERROR ? "" : "warning: ", text);
}

static char *slurp(const char *path)
{
    char *bytes = NULL;
    size_t count;
    return compose_read_file(path, 10 << 20, &bytes, &count, NULL) == 0 ? bytes : NULL;
}

/* What stands in a file beside the fleet, or "" where there is none. */
static void check_beside(const char *folder, const char *name, const char *ending, const char *text)
{
    AUTO_FREE char *path = base_format("tests/compose/%s/%s%s", folder, name, ending);
    if (getenv("SHOAL_UPDATE") != NULL) {
        (void)remove(path);
        FILE *out = text[0] == '\0' ? NULL : fopen(path, "w");
        assert_true(text[0] == '\0' || (out != NULL && fputs(text, out) >= 0 && fclose(out) == 0));
        return;
    }
    AUTO_FREE char *wanted = slurp(path);
    if (strcmp(wanted == NULL ? "" : wanted, text) != 0)
        print_error("%s\n", path);
    assert_string_equal(text, wanted == NULL ? "" : wanted);
}

static char *config(const shoal_compose_options_t *options, bool json, struct text *said)
{
    const shoal_config_options_t what = {.json = json};
    char *out = NULL;
    size_t count;
    return compose_config(options, &what, read_here, note, said, &out, &count) == 0 ? out : NULL;
}

/* What was printed is a fleet that prints the same. */
static void check_again(const char *name, const char *yaml, const char *json)
{
    /* of a service that is not active nothing is printed, but that another one may do without it */
    if (strcmp(name, "profiles") == 0)
        return;
    const shoal_compose_options_t options = {.text = yaml, .project_directory = "/fleet", .environ = fleet_environ};
    struct text said = {0};
    AUTO_FREE char *again = config(&options, false, &said), *again_json = config(&options, true, &said);
    if (again == NULL || again_json == NULL)
        print_error("%s: %s\n", name, said.bytes);
    assert_non_null(again);
    assert_non_null(again_json);
    assert_string_equal(again, yaml);
    assert_string_equal(again_json, json);
    text_free(&said);
}

static void check_fleet(const char *folder, const char *name, bool good)
{
    AUTO_FREE char *file = base_format("/fleets/%s/%s.yaml", folder, name);
    AUTO_FREE char *over = base_format("/fleets/%s/%s.override.yaml", folder, name);
    AUTO_FREE char *real = base_format("tests/compose/%s/%s.override.yaml", folder, name);
    const char *const files[] = {file, access(real, R_OK) == 0 ? over : NULL, NULL};
    const shoal_compose_options_t options = {.files = files, .project_directory = "/fleet", .environ = fleet_environ};
    struct text said = {0}, twice = {0};
    text_add(&said, "", 0);
    AUTO_FREE char *json = config(&options, true, &said), *yaml = config(&options, false, &twice);
    if ((json != NULL) != good)
        print_error("%s: %s\n", file, said.bytes);
    assert_true((json != NULL) == good && (yaml != NULL) == good);
    assert_string_equal(twice.bytes == NULL ? "" : twice.bytes, said.bytes);
    check_beside(folder, name, good ? ".said" : ".errors", said.bytes);
    if (good) {
        check_beside(folder, name, ".json", json);
        check_again(name, yaml, json);
    }
    text_free(&said);
    text_free(&twice);
}

/* Both forms with variables as they are written, or what is wrong. */
static void check_raw(const char *name)
{
    AUTO_FREE char *file = base_format("/fleets/raw/%s.yaml", name);
    const char *const files[] = {file, NULL};
    const shoal_compose_options_t options = {.files = files, .project_directory = "/fleet", .environ = fleet_environ};
    struct text out = {0};
    for (int json = 0; json < 2; json++) {
        const shoal_config_options_t what = {.json = json == 1, .no_interpolate = true};
        struct text said = {0};
        char *printed = NULL;
        size_t count;
        text_add(&said, "", 0);
        int code = compose_config(&options, &what, read_here, note, &said, &printed, &count);
        if (json == 0 || code == 0)
            text_add_string(&out, code == 0 ? printed : said.bytes);
        free(printed);
        text_free(&said);
    }
    check_beside("raw", name, ".out", out.bytes);
    text_free(&out);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_folder(const char *folder, void (*check)(const char *name), size_t least)
{
    AUTO_FREE char *path = base_format("tests/compose/%s", folder);
    char *names[MOST];
    size_t count = 0;
    DIR *dir = opendir(path);
    if (dir == NULL)
        skip(); /* not run from the source directory */
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        const char *end = strstr(entry->d_name, ".yaml");
        if (end == NULL || strstr(entry->d_name, ".override.") != NULL)
            continue;
        assert_true(count < MOST);
        names[count] = strndup(entry->d_name, (size_t)(end - entry->d_name));
        assert_non_null(names[count++]);
    }
    assert_int_equal(closedir(dir), 0);
    assert_true(count >= least);
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        check(names[i]);
        free(names[i]);
    }
}

static void check_good(const char *name)
{
    check_fleet("good", name, true);
}

static void good_fleets(void **state)
{
    (void)state;
    check_folder("good", check_good, 150);
}

static void check_bad(const char *name)
{
    check_fleet("bad", name, false);
}

static void bad_fleets(void **state)
{
    (void)state;
    check_folder("bad", check_bad, 150);
}

static void raw_fleets(void **state)
{
    (void)state;
    check_folder("raw", check_raw, 3);
}

/* The documents that the tables write are those that are committed: `make docs`. */
static void documents(void **state)
{
    static const struct {
        const char *path;
        void (*print)(FILE *out);
    } rows[] = {{"docs/compose.md", compose_print_markdown}, {"conf/x-shoal.schema.json", compose_print_schema}};
    (void)state;
    if (access("docs/compose.md", R_OK) < 0)
        skip();
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *printed = NULL;
        size_t count = 0;
        FILE *out = open_memstream(&printed, &count);
        assert_non_null(out);
        rows[i].print(out);
        assert_int_equal(fclose(out), 0);
        AUTO_FREE char *committed = slurp(rows[i].path);
        assert_non_null(committed);
        if (strcmp(printed, committed) != 0)
            print_error("%s is not what the tables say: make docs\n", rows[i].path);
        assert_true(strcmp(printed, committed) == 0);
        free(printed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_fleets), cmocka_unit_test(bad_fleets),
                                       cmocka_unit_test(raw_fleets), cmocka_unit_test(documents)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
