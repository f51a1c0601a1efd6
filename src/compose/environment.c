/* Variables: what interpolation sees, and what a service gets. */
#include <errno.h>
#include <string.h>

#include "compose/envfile.h"
#include "compose/language.h"
#include "compose/values.h"

enum {
    ENVFILE_BYTES = 1 << 20,
    OPEN_COST = 512, /* what opening a file and one of its variables count against the fleet's budget of bytes, */
    PUT_COST = 96    /* so that many small ones end as many bytes do */
};

int environment_put(struct environment *e, const char *name, const char *value, bool replace)
{
    size_t number;
    bool known = names_get(&e->names, name, &number);
    if (known && !replace)
        return 0;
    char *copy = arena_string(&e->arena, value);
    if (copy == NULL)
        return -ENOMEM;
    if (known) {
        e->list[number].value = copy;
        return 0;
    }
    if (e->count == e->room) {
        size_t room = e->room ? e->room * 2 : 32;
        struct variable *grown = reallocarray(e->list, room, sizeof *grown);
        if (grown == NULL)
            return -ENOMEM;
        e->list = grown;
        e->room = room;
    }
    char *kept = arena_string(&e->arena, name);
    if (kept == NULL)
        return -ENOMEM;
    int code = names_put(&e->names, kept, e->count, NULL);
    if (code < 0)
        return code;
    e->list[e->count++] = (struct variable){kept, copy};
    return 0;
}

int environment_fill(struct environment *e, const char *const *list)
{
    for (; list != NULL && *list != NULL; list++) {
        const char *equals = strchr(*list, '=');
        if (equals == NULL || equals == *list)
            continue; /* not a variable: environ(7) may hold anything */
        char *name = strndup(*list, (size_t)(equals - *list));
        int code = name == NULL ? -ENOMEM : environment_put(e, name, equals + 1, true);
        free(name);
        if (code < 0)
            return code;
    }
    return 0;
}

const char *environment_get(const struct environment *e, const char *name)
{
    size_t number;
    return names_get(&e->names, name, &number) ? e->list[number].value : NULL;
}

void environment_free(struct environment *e)
{
    names_free(&e->names);
    free(e->list);
    arena_free(&e->arena);
    *e = (struct environment){0};
}

const char *load_variable(void *data, const char *name)
{
    const struct load *load = data;
    if (load->project != NULL && strcmp(name, "COMPOSE_PROJECT_NAME") == 0)
        return load->project;
    /* who is further out goes before: the process's environment before a fleet's .env, that before an included one's */
    const struct environment *chain[64];
    size_t depth = 0;
    for (const struct environment *e = load->variables; e != NULL && depth < COUNT(chain); e = e->outer)
        chain[depth++] = e;
    const char *value = NULL;
    while (value == NULL && depth > 0)
        value = environment_get(chain[--depth], name);
    return value;
}

static bool spend(struct load *load, size_t bytes)
{
    bool enough = load->envfile_budget >= bytes;
    load->envfile_budget = enough ? load->envfile_budget - bytes : 0;
    return enough;
}

/* ---- files of variables: into one environment ---- */

struct filling {
    struct load *load;
    const struct place *at;
    struct environment *into;
    const struct node *own; /* a service's environment: it is looked at behind the fleet's; may be NULL */
    bool alone;             /* only what these files say is seen */
};

static const char *look_up(void *data, const char *name)
{
    const struct filling *f = data;
    const char *value = f->alone ? NULL : load_variable(f->load, name);
    const struct node *own = value == NULL ? node_get(f->own, name) : NULL;
    if (own != NULL && own->kind == NODE_SCALAR && own->type != TYPE_NULL)
        return own->text;
    return value != NULL ? value : environment_get(f->into, name);
}

static void on_unset(void *data, const char *name)
{
    const struct filling *f = data;
    size_t before;
    if (names_get(&f->load->warned, name, &before))
        return;
    char *kept = arena_string(&f->load->nodes, name);
    if (LOAD_GOT(f->load, kept) && names_put(&f->load->warned, kept, 0, NULL) < 0)
        f->load->out_of_memory = true;
    load_warning(f->load, f->at, "the variable %.100s is not set; an empty text takes its place", name);
}

/* A name alone comes from the fleet's variables or not at all. */
static int put_variable(void *data, const char *name, const char *value)
{
    struct filling *f = data;
    if (!spend(f->load, PUT_COST))
        return -E2BIG;
    if (value == NULL)
        value = look_up(f, name);
    return value == NULL ? 0 : environment_put(f->into, name, value, true);
}

/* Returns 0, -ENOENT when there is none, or another negative errno that was said. */
static int fill_from(struct filling *f, const char *path, const char *format)
{
    struct load *load = f->load;
    shoal_error_t err;
    AUTO_FREE char *bytes = NULL;
    size_t count = 0;
    if (load->envfile_budget == 0)
        return -E2BIG; /* said before */
    int code = load->read(path, ENVFILE_BYTES, &bytes, &count, &err);
    if (code == -ENOENT || code == -ENOTDIR)
        return -ENOENT;
    if (!spend(load, OPEN_COST + (code == -EFBIG ? ENVFILE_BYTES : count)))
        code = -E2BIG;
    struct envfile file = {
        .with = {.data = f, .lookup = look_up, .unset = on_unset, .budget = load->interpolation_budget},
        .raw = format != NULL && strcmp(format, "raw") == 0,
        .put = put_variable};
    if (code == 0) {
        code = envfile_parse(&file, bytes, count, &err);
        load->interpolation_budget = file.with.budget;
    }
    if (code == -ENOMEM)
        load->out_of_memory = true;
    else if (load->envfile_budget == 0)
        load_error(load, f->at, "the environment files of the fleet hold more than a fleet may");
    else if (code < 0)
        load_error(load, f->at, "%s: %s", path, err.text);
    return code;
}

bool load_variables_file(struct load *load, const struct place *at, struct environment *into, const char *path,
                         bool optional)
{
    struct filling f = {load, at, into, NULL, false};
    int code = fill_from(&f, path, NULL);
    if (code == -ENOENT && !optional)
        load_error(load, at, "%s: there is no such file", path);
    return code == 0 || (code == -ENOENT && optional);
}

static bool is_disabled(const struct load *load)
{
    const struct environment *e = load->variables;
    const char *text = environment_get(e->outer != NULL ? e->outer : e, "COMPOSE_DISABLE_ENV_FILE");
    bool yes = false;
    return text != NULL && value_go_bool(text, &yes) == 0 && yes;
}

/* --env-file, COMPOSE_ENV_FILES or .env: into the fleet's own variables, behind the process's. */
void load_dotenv(struct load *load)
{
    const struct place nowhere = {0};
    const char *const *files = load->options->env_files;
    const char *one[] = {load->options->env_file, NULL};
    const char *listed = environment_get(load->variables->outer, "COMPOSE_ENV_FILES");
    const char *base = load->working_directory == NULL ? load->directory : load->working_directory;
    if (files == NULL && one[0] != NULL)
        files = one;
    if (files == NULL && listed != NULL && listed[0] != '\0')
        files = load_split(load, listed, ',');
    for (size_t i = 0; files != NULL && files[i] != NULL; i++) {
        const char *path = load_absolute(load, &nowhere, PATH_PLAIN, base, files[i]);
        (void)load_variables_file(load, &nowhere, load->variables, path, false);
    }
    if ((files != NULL && files[0] != NULL) || is_disabled(load))
        return;
    const char *path = value_path(&load->nodes, load->directory, ".env");
    struct filling f = {load, &nowhere, load->variables, NULL, false};
    if (LOAD_GOT(load, path) && !load_is_directory(load, path))
        (void)fill_from(&f, path, NULL);
}

/* ---- a service's files ---- */

static const struct kind env_path = {TAKES_TEXT, AS_TEXT, .path = PATH_PLAIN};

static const struct key env_file_keys[] = {
    {"path", &env_path, .read = read_nothing, .needed = true, .form = "path",
     .doc = "The file; relative to the project's directory."},
    {"required", &kind_flag_set, .read = read_nothing, .form = "bool",
     .doc = "false: a file that is not there is left out. Default true."},
    {"format", &kind_text, .read = read_nothing, .form = "text",
     .doc = "*raw*: NAME=value lines as they are, without quotes, comments and variables."},
};
const struct section env_file_section = SECTION("services.NAME.env_file.N", NULL, env_file_keys, false);

static const char *text_of(const struct node *map, const char *key)
{
    const struct node *node = node_get(map, key);
    return node == NULL || node->kind != NODE_SCALAR || node->type == TYPE_NULL ? NULL : node->text;
}

/* A key of a service, in its row's place. */
static void put_row(struct load *load, struct node *service, const char *key, struct node *value)
{
    struct node_entry *before = node_find(service, key);
    if (before != NULL) {
        before->value = value;
        return;
    }
    const struct node_entry entry = {node_new_text(&load->nodes, value, key), value, find_key(&service_section, key)};
    if (!LOAD_GOT(load, entry.key))
        return;
    if (!node_put_entry(&load->nodes, service, &entry))
        load->out_of_memory = true;
    for (size_t i = service->count - 1; i > 0; i--) {
        const struct key *row = service->entries[i - 1].row;
        if (row != NULL && row < entry.row)
            break;
        service->entries[i] = service->entries[i - 1];
        service->entries[i - 1] = entry;
    }
}

/* A mapping of the files' variables, then those of `own` over them. Both keep the order they came in. */
static struct node *combine(struct load *load, const struct node *at, const struct environment *files,
                            const struct node *own)
{
    struct node *map = node_new(&load->nodes, NODE_MAP, at);
    struct node_index index;
    int code = !LOAD_GOT(load, map) ? -ENOMEM : node_index_init(&index, map);
    if (code < 0)
        return NULL;
    code = node_index_expect(&index, files->count + (own == NULL ? 0 : own->count));
    for (size_t i = 0; code == 0 && i < files->count; i++) {
        struct node *key = node_new_text(&load->nodes, at, files->list[i].name);
        struct node *value = node_new_text(&load->nodes, at, files->list[i].value);
        code = key == NULL || value == NULL
                   ? -ENOMEM
                   : node_index_put(&load->nodes, &index, &(struct node_entry){.key = key, .value = value});
    }
    for (size_t i = 0; code == 0 && own != NULL && i < own->count; i++) {
        struct node_entry *before = node_index_find(&index, own->entries[i].key->text);
        if (before != NULL)
            before->value = own->entries[i].value;
        else
            code = node_index_put(&load->nodes, &index, &own->entries[i]);
    }
    node_index_fini(&index);
    if (code < 0)
        load->out_of_memory = true;
    return map;
}

static void read_env_files(struct load *load, const struct place *at, struct node *service)
{
    struct node_entry *files = node_find(service, "env_file");
    struct node *own = node_get(service, "environment");
    for (size_t i = 0; own != NULL && i < own->count; i++) {
        const char *value = node_is_null(own->entries[i].value) ? load_variable(load, own->entries[i].key->text) : NULL;
        struct node *text = value == NULL ? NULL : node_new_text(&load->nodes, own->entries[i].value, value);
        if (value != NULL && LOAD_GOT(load, text))
            own->entries[i].value = text;
    }
    if (files == NULL)
        return;
    struct environment variables = {0};
    struct place list_at = place_key(at, files);
    for (size_t i = 0; i < files->value->count; i++) {
        const struct node *entry = files->value->items[i];
        struct place item = place_item(&list_at, files->value, i);
        const char *path = text_of(entry, "path"), *required = text_of(entry, "required");
        const char *format = text_of(entry, "format");
        struct filling f = {load, &item, &variables, own, false};
        if (format != NULL && strcmp(format, "raw") != 0 && strcmp(format, ".env") != 0) {
            load_error(load, &item, "the format \"%.60s\" is unknown; raw is the other one", format);
            continue;
        }
        int code = fill_from(&f, path == NULL ? "" : path, format);
        if (code == -ENOENT && (required == NULL || strcmp(required, "true") == 0))
            load_error(load, &item, "%s: there is no such file; required: false does without",
                       path == NULL ? "" : path);
    }
    struct node *all = combine(load, files->value, &variables, own);
    environment_free(&variables);
    if (all != NULL && all->count > 0)
        put_row(load, service, "environment", all);
    files = node_find(service, "env_file");
    if (files != NULL && !load->keep_env_files)
        node_remove(service, files);
}

static void read_label_files(struct load *load, const struct place *at, struct node *service)
{
    struct node_entry *files = node_find(service, "label_file");
    struct environment labels = {0};
    if (files == NULL)
        return;
    struct place list_at = place_key(at, files);
    for (size_t i = 0; i < files->value->count; i++) {
        struct place item = place_item(&list_at, files->value, i);
        struct filling f = {load, &item, &labels, NULL, true};
        if (fill_from(&f, files->value->items[i]->text, NULL) == -ENOENT)
            load_error(load, &item, "%s: there is no such file", files->value->items[i]->text);
    }
    struct node *all = combine(load, files->value, &labels, node_get(service, "labels"));
    environment_free(&labels);
    if (all != NULL && all->count > 0)
        put_row(load, service, "labels", all);
    files = node_find(service, "label_file");
    if (files != NULL)
        node_remove(service, files);
}

static void each_service(struct load *load, struct node *root,
                         void (*fn)(struct load *, const struct place *, struct node *))
{
    const struct place top = {.file = root->file, .line = root->line, .column = root->column};
    struct node_entry *services = node_find(root, "services");
    if (services == NULL)
        return;
    struct place outer = place_key(&top, services);
    for (size_t i = 0; i < services->value->count && !load->out_of_memory; i++) {
        struct place at = place_key(&outer, &services->value->entries[i]);
        fn(load, &at, services->value->entries[i].value);
    }
}

void resolve_env_files(struct load *load, struct node *root)
{
    each_service(load, root, read_env_files);
}

void resolve_label_files(struct load *load, struct node *root)
{
    each_service(load, root, read_label_files);
}
