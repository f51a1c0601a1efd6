/* Variables: what interpolation sees, and what a service gets. */
#include <errno.h>
#include <string.h>

#include "compose/envfile.h"
#include "compose/keys.h"

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
    return environment_get(&load->variables, name);
}

/* .env: what the environment has already stays. */
static int put_dotenv(void *data, const char *name, const char *value)
{
    struct load *load = data;
    return value == NULL ? 0 : environment_put(&load->variables, name, value, false);
}

void load_dotenv(struct load *load)
{
    const struct place nowhere = {0};
    const char *wanted = load->options->env_file;
    const char *path = load_path(load, &nowhere, wanted != NULL ? wanted : ".env");
    if (path == NULL)
        return;
    shoal_error_t err;
    AUTO_FREE char *bytes = NULL;
    size_t count;
    int code = load->read(path, ENVFILE_BYTES, &bytes, &count, &err);
    if (wanted == NULL && (code == -ENOENT || code == -ENOTDIR))
        return;
    struct envfile file = {.with = {.data = load, .lookup = load_variable, .budget = load->envfile_budget},
                           .put = put_dotenv};
    if (code == 0)
        code = envfile_parse(&file, bytes, count, &err);
    if (code < 0)
        load_error(load, &nowhere, "%s: %s", path, err.text);
}

/* ---- interpolation of the tree ---- */

struct unset {
    struct load *load;
    const struct place *at;
};

static const char *look_up(void *data, const char *name)
{
    const struct unset *u = data;
    return load_variable(u->load, name);
}

static void on_unset(void *data, const char *name)
{
    struct unset *u = data;
    size_t before;
    if (names_get(&u->load->warned, name, &before))
        return;
    char *kept = arena_string(&u->load->nodes, name);
    if (LOAD_GOT(u->load, kept) && names_put(&u->load->warned, kept, 0, NULL) < 0)
        u->load->out_of_memory = true;
    load_warning(u->load, u->at, "the variable %.100s is not set; an empty text takes its place", name);
}

static void interpolate_scalar(struct load *load, const struct place *at, struct node *node)
{
    if (memchr(node->text, '$', node->count) == NULL || load->interpolation_spent)
        return;
    struct unset unset = {load, at};
    struct interpolation with = {
        .data = &unset, .lookup = look_up, .unset = on_unset, .budget = load->interpolation_budget};
    struct text out = {0};
    shoal_error_t err;
    int code = interpolate(&with, node->text, node->count, &out, &err);
    load->interpolation_budget = with.budget;
    load->interpolation_spent = code == -E2BIG; /* said once */
    if (code < 0) {
        load_error(load, at, "%s", err.text);
        node->broken = true;
    } else {
        node->text = arena_copy(&load->nodes, out.bytes, out.count);
        if (!LOAD_GOT(load, node->text))
            node->text = "";
        node->count = (uint32_t)strlen(node->text);
        node->type = TYPE_STRING;
        node->loose = true;
    }
    text_free(&out);
}

/* Nodes shared by aliases are visited once. Keys are no values: they stay. */
static void interpolate_node(struct load *load, const struct place *at, struct node *node)
{
    if (node->interpolated)
        return;
    node->interpolated = true;
    if (node->kind == NODE_SCALAR) {
        interpolate_scalar(load, at, node);
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (node->kind == NODE_LIST) {
            struct place item = place_item(at, node, i);
            interpolate_node(load, &item, node->items[i]);
            continue;
        }
        struct place inner = place_key(at, &node->entries[i]);
        bool foreign = at->outer == NULL && strncmp(inner.word, "x-", 2) == 0 && strcmp(inner.word, "x-shoal") != 0;
        if (!foreign)
            interpolate_node(load, &inner, node->entries[i].value);
    }
}

void load_interpolate(struct load *load, struct node *root)
{
    const struct place top = {0};
    interpolate_node(load, &top, root);
}

void load_interpolate_name(struct load *load, const struct place *at, struct node *name)
{
    interpolate_node(load, at, name);
}

/* ---- a service's environment ---- */

struct variables {
    struct load *load;
    struct environment set;
};

/* env_file: the fleet's variables come before those of the file itself. */
static const char *look_up_both(void *data, const char *name)
{
    const struct variables *v = data;
    const char *value = load_variable(v->load, name);
    return value != NULL ? value : environment_get(&v->set, name);
}

static bool spend(struct load *load, size_t bytes)
{
    bool enough = load->envfile_budget >= bytes;
    load->envfile_budget = enough ? load->envfile_budget - bytes : 0;
    return enough;
}

static int put_from_file(void *data, const char *name, const char *value)
{
    struct variables *v = data;
    if (!spend(v->load, PUT_COST))
        return -E2BIG;
    if (value == NULL)
        value = load_variable(v->load, name);
    return value == NULL ? 0 : environment_put(&v->set, name, value, true);
}

static void read_env_file(struct load *load, const struct place *at, const char *name, bool required,
                          struct variables *v)
{
    const char *path = load_path(load, at, name);
    if (path == NULL)
        return;
    if (load->envfile_budget == 0)
        return; /* said below, once */
    shoal_error_t err;
    AUTO_FREE char *bytes = NULL;
    size_t count = 0;
    int code = load->read(path, ENVFILE_BYTES, &bytes, &count, &err);
    if (!spend(load, OPEN_COST + (code == -EFBIG ? ENVFILE_BYTES : count)))
        code = -E2BIG;
    if (code == -ENOENT && !required)
        return;
    struct envfile file = {.with = {.data = v, .lookup = look_up_both, .budget = load->interpolation_budget},
                           .put = put_from_file};
    if (code == 0) {
        code = envfile_parse(&file, bytes, count, &err);
        load->interpolation_budget = file.with.budget;
    }
    if (code == -ENOMEM)
        load->out_of_memory = true;
    else if (load->envfile_budget == 0)
        load_error(load, at, "the env_files of the fleet hold more than a fleet may");
    else if (code < 0)
        load_error(load, at, "%s: %s", path, err.text);
}

struct env_file_entry {
    const char *path;
    bool required;
};

static void read_entry_path(struct load *load, const struct place *at, const struct key *key, struct node *value,
                            void *object)
{
    (void)key;
    (void)take_text(load, at, value, &((struct env_file_entry *)object)->path);
}

static const struct key env_file_keys[] = {
    {"path", .read = read_entry_path, .needed = true, .form = "path",
     .doc = "The file; relative to the project's directory."},
    {"required", .read = read_flag, .offset = offsetof(struct env_file_entry, required), .form = "bool",
     .doc = "false: a file that is not there is left out. Default true."},
    {"format", .form = "text", .doc = "How the file is read."},
};
const struct section env_file_section = SECTION("services.NAME.env_file.N", NULL, env_file_keys, false);

static void read_env_file_item(struct load *load, const struct place *at, const struct node *node, struct variables *v)
{
    struct env_file_entry entry = {.required = true};
    if (node->kind == NODE_MAP) {
        if (!read_section(load, at, &env_file_section, node, &entry))
            return;
    } else if (!take_text(load, at, node, &entry.path)) {
        return;
    }
    if (entry.path != NULL)
        read_env_file(load, at, entry.path, entry.required, v);
}

static void read_variable(struct load *load, const struct place *at, const char *name, const char *value, void *data)
{
    struct variables *v = data;
    if (name[0] == '\0' || strchr(name, '=') != NULL) {
        load_error(load, at, "\"%.60s\" is not a variable's name", name);
        return;
    }
    if (value == NULL) /* a name alone: from the environment, or not at all */
        value = load_variable(load, name);
    if (value != NULL && environment_put(&v->set, name, value, true) < 0)
        load->out_of_memory = true;
}

void read_environment(struct load *load, shoal_service_t *service)
{
    const struct draft *draft = load->draft;
    struct variables v = {.load = load};
    if (draft->env_file != NULL && draft->env_file->kind == NODE_LIST) {
        for (size_t i = 0; i < draft->env_file->count; i++) {
            struct place item = place_item(&draft->env_file_at, draft->env_file, i);
            read_env_file_item(load, &item, draft->env_file->items[i], &v);
        }
    } else if (draft->env_file != NULL) {
        const char *path;
        if (take_text(load, &draft->env_file_at, draft->env_file, &path))
            read_env_file(load, &draft->env_file_at, path, true, &v);
    }
    if (draft->environment != NULL)
        each_pair(load, &draft->environment_at, draft->environment, "=", read_variable, &v);
    shoal_strings_t list = {.items = arena_array(load->arena, v.set.count + 1, sizeof *list.items)};
    if (LOAD_GOT(load, list.items)) {
        for (; list.count < v.set.count; list.count++) {
            const struct variable *variable = &v.set.list[list.count];
            list.items[list.count] = arena_format(load->arena, "%s=%s", variable->name, variable->value);
            (void)load_got(load, list.items[list.count]);
        }
        service->environment = list;
    }
    environment_free(&v.set);
}
