/* Other fleets whose services, networks and so on belong to this one. Each has its own folder and variables. */
#include <errno.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

enum { DEEPEST = 32, MOST_FILES = 64 };

struct inclusion {
    const char *files[MOST_FILES + 1];
    size_t count;
    const char *directory;
};

static const struct node *listed(const struct node *node, size_t i)
{
    if (node == NULL || node_is_null(node))
        return NULL;
    if (node->kind == NODE_SCALAR)
        return i == 0 ? node : NULL;
    return node->kind == NODE_LIST && i < node->count ? node->items[i] : NULL;
}

static bool read_inclusion(struct load *load, const struct place *at, const struct node *entry, const char *directory,
                           struct inclusion *out)
{
    const struct node *paths = entry->kind == NODE_MAP ? node_get(entry, "path") : entry;
    const struct node *project = entry->kind == NODE_MAP ? node_get(entry, "project_directory") : NULL;
    for (size_t i = 0; listed(paths, i) != NULL; i++) {
        const struct node *path = listed(paths, i);
        if (path->kind != NODE_SCALAR || i == MOST_FILES) {
            load_error(load, at, path->kind != NODE_SCALAR ? "a path is text" : "names more than %d files", MOST_FILES);
            return false;
        }
        out->files[out->count++] = load_absolute(load, at, PATH_PLAIN, directory, path->text);
    }
    if (out->count == 0) {
        load_error(load, at, "names no file; write the path of one");
        return false;
    }
    bool own = project != NULL && project->kind == NODE_SCALAR && project->count > 0;
    out->directory = own ? load_absolute(load, at, PATH_PLAIN, directory, project->text)
                         : load_directory_of(load, out->files[0]);
    return out->directory != NULL;
}

/* The variables of what is included: those of this fleet go before. */
static bool read_variables(struct load *load, const struct place *at, const struct node *entry, const char *directory,
                           const struct inclusion *inclusion, struct environment *own)
{
    const struct node *files = entry->kind == NODE_MAP ? node_get(entry, "env_file") : NULL;
    bool good = true;
    if (listed(files, 0) == NULL) {
        const char *path = arena_format(&load->nodes, "%s/.env", inclusion->directory);
        return LOAD_GOT(load, path) && load_variables_file(load, at, own, path, true);
    }
    for (size_t i = 0; listed(files, i) != NULL; i++) {
        if (listed(files, i)->kind != NODE_SCALAR)
            continue;
        const char *path = load_absolute(load, at, PATH_PLAIN, directory, listed(files, i)->text);
        good = load_variables_file(load, at, own, path, false) && good;
    }
    return good;
}

/* In x-shoal these are named as services are: each file may add some. */
static bool holds_names(const char *key)
{
    return strcmp(key, "groups") == 0 || strcmp(key, "profiles") == 0;
}

static void import_entries(struct load *load, const struct place *outer, const struct node *source, struct node *target,
                           bool of_x_shoal)
{
    struct node_index index;
    int code = node_index_init(&index, target);
    for (size_t i = 0; code == 0 && i < source->count; i++) {
        const struct node_entry *entry = &source->entries[i], *before = node_index_find(&index, entry->key->text);
        struct place inner = before != NULL ? place_key(outer, before) : *outer;
        if (before == NULL) {
            code = node_index_put(&load->nodes, &index, entry);
        } else if (of_x_shoal && holds_names(entry->key->text) && entry->value->kind == NODE_MAP &&
                   before->value->kind == NODE_MAP) {
            import_entries(load, &inner, entry->value, before->value, false);
        } else if (!node_equal(before->value, entry->value)) {
            load_error(load, &inner, "is defined in the included %s:%d:%d, too, and differently",
                       load_file_name(load, entry->key->file), entry->key->line, entry->key->column);
        }
    }
    node_index_fini(&index);
    if (code < 0)
        load->out_of_memory = true;
}

static void import_section(struct load *load, const char *name, const struct node *from, struct node *to)
{
    const struct place top = {.file = to->file, .line = to->line, .column = to->column};
    const struct node_entry *source = node_find(from, name);
    struct node *target = node_get(to, name);
    bool of_x_shoal = strcmp(name, "x-shoal") == 0;
    if (source == NULL || node_is_null(source->value) || (source->value->kind != NODE_MAP && !of_x_shoal))
        return;
    if (of_x_shoal && target != NULL && target->kind != NODE_MAP && !node_is_null(target))
        return; /* it is found wrong where it is read */
    if (target == NULL || target->kind != NODE_MAP) {
        if (!node_put(&load->nodes, to, name, source->value))
            load->out_of_memory = true;
    } else if (source->value->kind != NODE_MAP) {
        struct place at = place_key(&top, source);
        load_error(load, &at, "takes a mapping, not %s", node_describe(source->value));
    } else {
        struct place outer = place_key(&top, node_find(to, name));
        import_entries(load, &outer, source->value, target, of_x_shoal);
    }
}

static bool is_circle(struct load *load, const struct place *at, const struct inclusion *inclusion)
{
    size_t depth = 0;
    for (const struct including *i = load->including; i != NULL; i = i->outer) {
        if (i->file != NULL && strcmp(i->file, inclusion->files[0]) == 0) {
            load_error(load, at, "%s includes itself", inclusion->files[0]);
            return true;
        }
        depth++;
    }
    if (depth > DEEPEST)
        load_error(load, at, "files include each other more than %d deep", DEEPEST);
    return depth > DEEPEST;
}

static void include_one(struct load *load, const struct place *at, const struct node *entry, struct node *root,
                        const char *directory)
{
    static const char *const sections[] = {"services", "volumes", "networks", "secrets",
                                           "configs",  "models",  "x-shoal"};
    struct inclusion inclusion = {0};
    if ((entry->kind != NODE_MAP && !node_is(entry, TYPE_STRING)) ||
        !read_inclusion(load, at, entry, directory, &inclusion) || is_circle(load, at, &inclusion))
        return;
    struct environment *own = arena_alloc(&load->nodes, sizeof *own);
    if (!LOAD_GOT(load, own))
        return;
    own->outer = load->variables;
    own->next_owned = load->owned_variables;
    load->owned_variables = own;
    struct environment *before = load->variables;
    if (!read_variables(load, at, entry, directory, &inclusion, own))
        return;
    load->variables = own;
    struct node *model = load_model(load, at, inclusion.files, inclusion.directory);
    load->variables = before;
    for (size_t i = 0; model != NULL && i < COUNT(sections); i++)
        import_section(load, sections[i], model, root);
}

void apply_include(struct load *load, struct node *root, const char *directory)
{
    const struct place top = {.file = root->file, .line = root->line, .column = root->column};
    struct node_entry *include = node_find(root, "include");
    if (include == NULL)
        return;
    struct place at = place_key(&top, include);
    const struct node *list = include->value;
    node_remove(root, include);
    if (node_is_null(list))
        return;
    if (list->kind != NODE_LIST) {
        load_error(load, &at, "takes a list of files, not %s", node_describe(list));
        return;
    }
    struct node *checked = node_clone(&load->nodes, list);
    if (!LOAD_GOT(load, checked) || !check_kind(load, &at, &includes_kind, checked))
        return;
    for (size_t i = 0; i < checked->count && !load->out_of_memory; i++) {
        struct place item = place_item(&at, checked, i);
        include_one(load, &item, checked->items[i], root, directory);
    }
}
