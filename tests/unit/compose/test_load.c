/* The loader around the keys: files, the project's name, sharing, limits, the manual. */
#include <fcntl.h>
#include <sys/stat.h>

#include "compose/names.h"
#include "loading.h"

static void project_names(void **state)
{
    static const struct {
        const char *option, *variable, *name, *directory, *project; /* project NULL: refused */
    } rows[] = {{NULL, NULL, NULL, "/srv/My Fleet.1", "myfleet1"},
                {NULL, NULL, NULL, "/srv/_-x_y", "x_y"},
                {NULL, NULL, "named", "/srv/a", "named"},
                {NULL, NULL, "${USER}-x", "/srv/a", "me-x"},
                {NULL, "varied", "named", "/srv/a", "varied"},
                {"opted", "varied", "named", "/srv/a", "opted"},
                {NULL, NULL, NULL, "/", NULL},
                {NULL, NULL, "Upper", "/srv/a", NULL},
                {NULL, "-x", NULL, "/srv/a", NULL},
                {"a b", NULL, NULL, "/srv/a", NULL}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO_FREE char *variable = base_format("COMPOSE_PROJECT_NAME=%s",
                                               rows[i].variable == NULL ? "" : rows[i].variable);
        AUTO_FREE char *yaml = base_format(
            "%s%s\nservices: {a: {image: builtin:busybox, labels: [\"$COMPOSE_PROJECT_NAME\"]}}\nvolumes: {v: }\n",
            rows[i].name != NULL ? "name: " : "", rows[i].name != NULL ? rows[i].name : "");
        const char *const variables[] = {variable, "USER=me", NULL};
        const shoal_compose_options_t options = {
            .text = yaml, .project = rows[i].option, .project_directory = rows[i].directory, .environ = variables};
        struct text findings = {0};
        shoal_spec_t *spec = compose_load(&options, read_fake, note_finding, &findings);
        assert_true((spec != NULL) == (rows[i].project != NULL));
        if (spec != NULL) {
            assert_string_equal(spec->project, rows[i].project);
            assert_string_equal(spec->services[0].labels[0].key, rows[i].project);
            assert_memory_equal(spec->volumes[0].full_name, rows[i].project, strlen(rows[i].project));
            assert_memory_equal(spec->networks[0].full_name, rows[i].project, strlen(rows[i].project));
        }
        text_free(&findings);
        shoal_spec_free(spec);
    }
}

static void shared_nodes(void **state)
{
    (void)state;
    char *findings;
    shoal_spec_t *spec = load_text("x-a: &a {image: 'dir:./r:/more', environment: &e {A: 1, B: 2}}\n"
                                   "x-b: &b {image: builtin:busybox, hostname: b}\n"
                                   "services:\n"
                                   "  one: {<<: *a, hostname: own, networks: [n]}\n"
                                   "  two: {<<: [*b, *a], environment: {<<: *e, B: 3}}\n"
                                   "  three: *b\n"
                                   "networks: {unused: , n: {name: N, ipam: {config: [{subnet: 10.1.0.0/24, gateway: "
                                   "10.1.0.9}]}, x-shoal: {shard: 4}}}\n"
                                   "x-shoal: {degrade: true, starts_in_flight: 8, restart: {backoff: 1s},\n"
                                   "  governor: {rate: 50, burst: 5, least: 2, pressure: {cpu: 90, io: 70}}}\n",
                                   &findings);
    assert_string_equal(findings, "");
    assert_non_null(spec);
    assert_int_equal(spec->service_count, 3);
    const shoal_service_t *one = &spec->services[0], *two = &spec->services[1];
    assert_string_equal(one->hostname, "own");
    assert_int_equal(one->image.kind, SHOAL_IMAGE_DIRECTORY);
    assert_string_equal(one->image.text, "dir:./r:/more");
    assert_int_equal(one->image.layers.count, 2);
    assert_string_equal(one->image.layers.items[0], "/fleet/r");
    assert_string_equal(one->image.layers.items[1], "/more");
    assert_string_equal(two->hostname, "b");
    assert_int_equal(two->image.kind, SHOAL_IMAGE_BUILTIN);
    assert_string_equal(two->image.layers.items[0], "busybox");
    assert_int_equal(two->environment.count, 2);
    assert_string_equal(two->environment.items[0], "B=3");
    assert_string_equal(two->environment.items[1], "A=1");
    assert_string_equal(spec->services[2].hostname, "b");
    assert_int_equal(spec->services[2].at.line, 6);
    assert_int_equal(spec->services[2].at.column, 3);
    assert_string_equal(spec->services[2].at.file, "fleet.yaml");
    assert_int_equal(one->restart.first_ms, 1000);
    assert_true(spec->degrade);
    assert_int_equal(spec->starts_in_flight, 8);
    const shoal_governor_t wanted = {.rate = 50, .burst = 5, .least = 2, .cpu = 90, .io = 70};
    assert_memory_equal(&spec->governor, &wanted, sizeof wanted);
    /* of the networks those in use: n and the implied default */
    assert_int_equal(spec->network_count, 2);
    const shoal_network_t *n = &spec->networks[one->attachments[0].network];
    assert_string_equal(n->name, "n");
    assert_string_equal(n->full_name, "N");
    assert_int_equal(n->subnet, 0x0a010000);
    assert_int_equal(n->prefix, 24);
    assert_int_equal(n->gateway, 0x0a010009);
    assert_int_equal(n->shard_ports, 4);
    assert_string_equal(spec->networks[two->attachments[0].network].full_name, "fleet_default");
    free(findings);
    shoal_spec_free(spec);
}

/* What a small file may not do: take more than its share of time and memory. Each is refused in one line. */
static void hostile_files(void **state)
{
    (void)state;
    struct text bomb = {0}, deep = {0}, large = {0}, many = {0};
    text_add_string(&bomb, "x-a: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
    for (int i = 1; i < 9; i++) {
        text_add_format(&bomb, "x-%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            text_add_format(&bomb, "*a%d,", i - 1);
        text_add_string(&bomb, "]\n");
    }
    for (int i = 0; i < 100000; i++)
        text_add_string(&deep, "[");
    for (int i = 0; i < (11 << 20) / 16; i++)
        text_add_string(&large, "# a comment now\n");
    text_add_string(&many, "services:\n");
    for (int i = 0; i < 5000; i++)
        text_add_format(&many, "  a%d: {imagee: x}\n", i);
    char *findings;
    assert_null(load_text(bomb.bytes, &findings));
    assert_string_equal(findings, "6:27: error: the file holds more than 600,000 values, aliases counted as often as "
                                  "they are used\n");
    free(findings);
    assert_null(load_text(deep.bytes, &findings));
    assert_string_equal(findings, "1:66: error: nested more than 64 levels deep\n");
    free(findings);
    assert_null(load_text(large.bytes, &findings));
    assert_string_equal(findings, "0:0: error: the file is larger than 10 MiB\n");
    free(findings);
    assert_null(load_text(many.bytes, &findings));
    assert_non_null(strstr(findings, "0:0: error: and 9000 more findings, not shown\n"));
    free(findings);
    text_free(&bomb);
    text_free(&deep);
    text_free(&large);
    text_free(&many);
}

static char *make_directory(void)
{
    char *dir = strdup("/tmp/shoal-compose-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static void write_file(const char *dir, const char *name, const char *text)
{
    AUTO_FREE char *path = base_format("%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void remove_path(const char *dir, const char *name)
{
    AUTO_FREE char *path = base_format("%s/%s", dir, name);
    assert_int_equal(remove(path), 0);
}

/* Real files: relative to the fleet file's folder; devices and FIFOs are no environment files. */
static void real_files(void **state)
{
    (void)state;
    AUTO_FREE char *dir = make_directory();
    AUTO_FREE char *path = base_format("%s/compose.yml", dir);
    AUTO_FREE char *fifo = base_format("%s/fifo", dir);
    write_file(dir, "compose.yml",
               "name: f\nservices:\n  a: {image: builtin:busybox, env_file: [e, \"${WHICH:-e}\"]}\n");
    write_file(dir, ".env", "X=dot\n");
    write_file(dir, "e", "A=$X\n");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    const char *const none[] = {NULL}, *const zero[] = {"WHICH=/dev/zero", NULL}, *const pipe[] = {"WHICH=fifo", NULL};
    struct text findings = {0};
    shoal_compose_options_t options = {.file = path, .environ = none};
    shoal_spec_t *spec = shoal_compose_load(&options, note_finding, &findings);
    assert_non_null(spec);
    assert_string_equal(spec->services[0].environment.items[0], "A=dot");
    shoal_spec_free(spec);
    options.environ = zero;
    assert_null(shoal_compose_load(&options, note_finding, &findings));
    options.environ = pipe;
    assert_null(shoal_compose_load(&options, note_finding, &findings));
    options = (shoal_compose_options_t){.file = path, .environ = none, .env_file = "nowhere"};
    assert_null(shoal_compose_load(&options, note_finding, &findings));
    options.file = "/nowhere/fleet.yaml";
    assert_null(shoal_compose_load(&options, note_finding, &findings));
    AUTO_FREE char *wanted = base_format("3:45: error: services.a.env_file.1: /dev/zero: not a regular file\n"
                                         "3:45: error: services.a.env_file.1: %s/fifo: not a regular file\n"
                                         "0:0: error: %s/nowhere: open: No such file or directory\n"
                                         "0:0: error: open: No such file or directory\n",
                                         dir, dir);
    assert_string_equal(findings.bytes, wanted);
    text_free(&findings);

    AUTO_FREE char *inner = base_format("%s/inner", dir);
    char *found = NULL;
    assert_int_equal(mkdir(inner, 0700), 0);
    assert_int_equal(shoal_compose_find(inner, &found, NULL), 0);
    assert_string_equal(found, path);
    free(found);
    write_file(dir, "compose.yaml", "");
    assert_int_equal(shoal_compose_find(dir, &found, NULL), 0);
    assert_non_null(strstr(found, "/compose.yaml"));
    free(found);
    const char *const names[] = {"compose.yml", "compose.yaml", ".env", "e", "fifo", "inner"};
    for (size_t i = 0; i < COUNT(names); i++)
        remove_path(dir, names[i]);
    shoal_error_t err;
    assert_int_equal(shoal_compose_find(dir, &found, &err), -ENOENT);
    assert_int_equal(rmdir(dir), 0);
}

static char *slurp(const char *path)
{
    char *bytes = NULL;
    size_t count;
    assert_int_equal(compose_read_file(path, 1 << 20, &bytes, &count, NULL), 0);
    return bytes;
}

/* tests/compose/NAME.yaml says what NAME.expected holds. */
static void bad_fleets(void **state)
{
    (void)state;
    if (access("tests/compose/ten-mistakes.yaml", R_OK) < 0)
        skip(); /* not run from the source directory */
    AUTO_FREE char *yaml = slurp("tests/compose/ten-mistakes.yaml");
    AUTO_FREE char *expected = slurp("tests/compose/ten-mistakes.expected");
    AUTO_FREE char *findings = NULL;
    assert_null(load_text(yaml, &findings));
    assert_string_equal(findings, expected);
}

static void names_tree(void **state)
{
    (void)state;
    struct names names = {0};
    size_t number = 0;
    assert_int_equal(names_put(&names, "a", 1, NULL), 1);
    assert_int_equal(names_put(&names, "b", 2, NULL), 1);
    assert_int_equal(names_put(&names, "a", 3, &number), 0);
    assert_int_equal(number, 1);
    assert_int_equal(names_replace(&names, "a", 4), 0);
    assert_true(names_get(&names, "a", &number));
    assert_int_equal(number, 4);
    assert_false(names_get(&names, "c", &number));
    assert_int_equal(names.count, 2);
    names_free(&names);
}

static void governor_off(void **state)
{
    (void)state;
    static const char *const words[] = {"off", "false", "'off'"};
    for (size_t i = 0; i < COUNT(words); i++) {
        AUTO_FREE char *text = base_format("services: {a: {image: builtin:busybox}}\nx-shoal: {governor: %s}\n",
                                           words[i]);
        char *findings;
        shoal_spec_t *spec = load_text(text, &findings);
        assert_string_equal(findings, "");
        assert_true(spec->governor.off);
        free(findings);
        shoal_spec_free(spec);
    }
}

static void manual(void **state)
{
    (void)state;
    char *page = NULL;
    size_t count = 0;
    FILE *out = open_memstream(&page, &count);
    assert_non_null(out);
    compose_print_manual(out);
    assert_int_equal(fclose(out), 0);
    static const char *const wanted[] = {"shoal-compose(5)",
                                         "*mem\\_limit* (size)\n",
                                         "*healthcheck* (mapping) -- not supported yet\n",
                                         "*privileged* (bool) -- refused\n",
                                         "## services.NAME.deploy.restart\\_policy",
                                         "## x-shoal.restart",
                                         "## x-shoal.governor.pressure",
                                         "## networks.NAME.ipam.config.N",
                                         "## services.NAME.logging.options",
                                         "## services.NAME.volumes.N.tmpfs",
                                         "## services.NAME.depends\\_on.NAME",
                                         "## services.NAME.blkio\\_config.device\\_*.N"};
    for (size_t i = 0; i < COUNT(wanted); i++)
        assert_non_null(strstr(page, wanted[i]));
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(project_names), cmocka_unit_test(shared_nodes), cmocka_unit_test(hostile_files),
        cmocka_unit_test(real_files),    cmocka_unit_test(bad_fleets),   cmocka_unit_test(names_tree),
        cmocka_unit_test(manual),        cmocka_unit_test(governor_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
