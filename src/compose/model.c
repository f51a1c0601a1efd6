/* From files to one tree: each file's documents one over the other, in their long form, checked against the tables. */
#include <errno.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

enum { MOST_FILES = 10000, ALL_BYTES = 64 << 20 };

struct mistakes {
    struct load *load;
    unsigned file;
};

static void on_mistake(void *data, int line, int column, const char *text)
{
    const struct mistakes *m = data;
    load_find(m->load, SHOAL_ERROR, m->file, line, column, text);
}

const char *load_file_name(const struct load *load, unsigned file)
{
    return file < load->file_count ? load->files[file] : "";
}

uint16_t load_file_number(const struct load *load, const shoal_position_t *at)
{
    for (size_t i = 0; i < load->file_count; i++)
        if (load->files[i] == at->file) /* positions borrow the names */
            return (uint16_t)i;
    return 0;
}

const char *load_directory_of(struct load *load, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *directory = slash == NULL   ? "."
                            : slash == path ? "/"
                                            : arena_copy(&load->nodes, path, (size_t)(slash - path));
    return LOAD_GOT(load, directory) ? directory : NULL;
}

/* The number that the nodes of a file carry. The same file has one number, however often it is read. */
static int number_file(struct load *load, const char *shown, unsigned *out_number)
{
    for (size_t i = 0; i < load->file_count; i++) {
        if (strcmp(load->files[i], shown) == 0) {
            *out_number = (unsigned)i;
            return 0;
        }
    }
    if (load->file_count == MOST_FILES)
        return -E2BIG;
    if (load->file_count == load->file_room) {
        size_t room = load->file_room * 2 + 8;
        const char **grown = arena_array(&load->nodes, room, sizeof *grown);
        if (grown == NULL)
            return -ENOMEM;
        if (load->file_count > 0)
            memcpy(grown, load->files, load->file_count * sizeof *grown);
        load->files = grown;
        load->file_room = room;
    }
    *out_number = (unsigned)load->file_count;
    load->files[load->file_count++] = keep(load, shown);
    return load->files[load->file_count - 1] == NULL ? -ENOMEM : 0;
}

/* As people will look for it: below the working directory by the way from there. */
static const char *shown_name(struct load *load, const char *path)
{
    size_t count = load->working_directory == NULL ? 0 : strlen(load->working_directory);
    bool below = count > 1 && strncmp(path, load->working_directory, count) == 0 && path[count] == '/';
    return below ? path + count + 1 : path;
}

/* A file's documents as they are parsed; at: who names it, NULL: the command line. */
static bool parse_file(struct load *load, const struct place *at, const char *path, const char *text, size_t count,
                       unsigned *out_file, struct node_documents *out)
{
    const struct place nowhere = {0};
    shoal_error_t err;
    AUTO_FREE char *bytes = NULL;
    const char *shown = strcmp(path, "-") == 0 ? "stdin" : shown_name(load, path);
    int code = number_file(load, shown, out_file);
    if (code == 0 && text == NULL) {
        code = strcmp(path, "-") == 0 ? load_read_stdin(NODE_FILE_BYTES, &bytes, &count, &err)
                                      : load->read(path, NODE_FILE_BYTES, &bytes, &count, &err);
        text = bytes;
    } else if (code < 0) {
        (void)shoal_fail(&err, code, "read");
    }
    if (code == 0 && (load->bytes_read += count) > ALL_BYTES)
        code = shoal_refuse(&err, -E2BIG, "the files of the fleet hold more than %d MiB", ALL_BYTES >> 20);
    if (code == -ENOMEM)
        load->out_of_memory = true;
    else if (code < 0 && at == NULL)
        load_find(load, SHOAL_ERROR, *out_file, 0, 0, err.text);
    else if (code < 0)
        load_error(load, at != NULL ? at : &nowhere, "%s: %s", shown, err.text);
    if (code < 0)
        return false;
    struct mistakes mistakes = {load, *out_file};
    code = node_parse(&load->nodes, *out_file, text, count, on_mistake, &mistakes, out);
    load->out_of_memory = load->out_of_memory || code == -ENOMEM;
    return code == 0;
}

static bool check_top(struct load *load, unsigned file, const struct node *root)
{
    const struct place top = {
        .file = (uint16_t)file, .line = root == NULL ? 1 : root->line, .column = root == NULL ? 1 : root->column};
    if (root != NULL && root->kind == NODE_MAP)
        return true;
    if (root == NULL || node_is_null(root))
        load_error(load, &top, "the file is empty");
    else
        load_error(load, &top, "a fleet file is a mapping at its top, not %s", node_describe(root));
    return false;
}

static void drop_version(struct load *load, struct node *root)
{
    const struct place top = {.file = root->file, .line = root->line, .column = root->column};
    struct node_entry *version = node_find(root, "version");
    if (version == NULL)
        return;
    struct place at = place_key(&top, version);
    load_warning(load, &at, "is obsolete and ignored; remove it");
    node_remove(root, version);
}

/* One document over what is there. */
static struct node *add_document(struct load *load, const char *path, const char *directory, struct node *parsed,
                                 struct node *dict)
{
    struct reset *resets = NULL;
    struct node *root = expand(load, parsed, &resets);
    const struct place top = {.file = parsed->file, .line = parsed->line, .column = parsed->column};
    if (root == NULL || load->out_of_memory)
        return dict;
    apply_extends(load, root, resets, path, directory);
    if (dict != NULL)
        apply_resets(resets, dict);
    apply_include(load, root, directory);
    if (dict != NULL)
        root = merge_nodes(load, &top, &fleet_kind, dict, root);
    if (root == NULL || load->out_of_memory)
        return dict;
    drop_repeated(load, &top, &fleet_kind, root);
    (void)check_kind(load, &top, &fleet_kind, root);
    drop_version(load, root);
    root = lengthen(load, &top, &fleet_kind, root);
    if (root != NULL)
        drop_repeated(load, &top, &fleet_kind, root);
    return root;
}

struct source {
    const char *path;
    unsigned file;
    bool readable;
    struct node_documents documents;
};

static struct node *add_source(struct load *load, const struct source *source, const char *directory, struct node *dict)
{
    struct including including = {load->including, source->path};
    load->including = &including;
    for (size_t i = 0; i < source->documents.count && !load->out_of_memory; i++)
        if (check_top(load, source->file, source->documents.roots[i]))
            dict = add_document(load, source->path, directory, source->documents.roots[i], dict);
    load->including = including.outer;
    return dict;
}

static struct source *parse_all(struct load *load, const struct place *at, const char *const *files, size_t *out_count)
{
    size_t count = 0;
    while (files[count] != NULL)
        count++;
    struct source *sources = arena_array(&load->nodes, count, sizeof *sources);
    for (size_t i = 0; LOAD_GOT(load, sources) && i < count && !load->out_of_memory; i++) {
        bool text = load->main_text_unread;
        load->main_text_unread = false;
        sources[i].path = files[i];
        sources[i].readable = parse_file(load, at, files[i], text ? load->options->text : NULL,
                                         text ? strlen(load->options->text) : 0, &sources[i].file,
                                         &sources[i].documents);
    }
    *out_count = count;
    return sources;
}

static struct node *finish(struct load *load, struct node *dict, const char *directory)
{
    if (dict == NULL || load->out_of_memory)
        return NULL;
    const struct place top = {.file = dict->file, .line = dict->line, .column = dict->column};
    complete(load, &top, &fleet_kind, dict);
    check_written(load, dict);
    if (!load->keep_paths)
        resolve_paths(load, dict, directory);
    resolve_from_environment(load, dict);
    return load->out_of_memory ? NULL : dict;
}

struct node *load_model(struct load *load, const struct place *at, const char *const *files, const char *directory)
{
    size_t count;
    const struct source *sources = parse_all(load, at, files, &count);
    struct node *dict = NULL;
    for (size_t i = 0; sources != NULL && i < count; i++)
        dict = add_source(load, &sources[i], directory, dict);
    return finish(load, dict, directory);
}

/* The last name: that is not empty, as it is written. */
static const struct node_entry *find_name(const struct source *sources, size_t count)
{
    const struct node_entry *found = NULL;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < sources[i].documents.count; k++) {
            const struct node_entry *name = node_find(sources[i].documents.roots[k], "name");
            if (name != NULL && name->value->kind == NODE_SCALAR && name->value->type == TYPE_STRING &&
                name->value->count > 0)
                found = name;
        }
    }
    return found;
}

struct node *load_main(struct load *load, const char *const *files)
{
    size_t count;
    const struct place top = {0};
    struct source *sources = parse_all(load, NULL, files, &count);
    if (sources == NULL || load->out_of_memory)
        return NULL;
    bool readable = true;
    for (size_t i = 0; i < count; i++)
        readable = readable && sources[i].readable;
    const struct node_entry *name = find_name(sources, count);
    struct place name_at = name == NULL ? top : place_key(&top, name);
    struct node *text = name == NULL ? NULL : expand_copy(load, &name_at, name->value);
    if (name == NULL || text != NULL)
        load_project(load, &name_at, text);
    struct node *dict = NULL;
    size_t documents = 0;
    for (size_t i = 0; i < count; i++) {
        dict = add_source(load, &sources[i], load->directory, dict);
        documents += sources[i].documents.count;
    }
    if (readable && documents == 0)
        (void)check_top(load, sources[0].file, NULL);
    if (dict != NULL && !load->out_of_memory)
        apply_profiles(load, dict);
    dict = finish(load, dict, load->directory);
    bool as_written = load->no_normalization && (load->no_interpolation || load->named_by_file);
    struct node *project = as_written ? text : NULL;
    bool implied = project == NULL && load->project != NULL && !(load->no_normalization && load->no_interpolation);
    if (dict != NULL && implied) {
        project = node_new_text(&load->nodes, name == NULL ? dict : name->value, load->project);
        project = LOAD_GOT(load, project) ? project : NULL;
    }
    if (dict != NULL && project != NULL && !node_put(&load->nodes, dict, "name", project))
        load->out_of_memory = true;
    return dict;
}

/* A file whose services others extend: long forms and absolute paths, but neither checked nor complete. */
struct node *load_for_extends(struct load *load, const struct place *at, const char *path, struct reset **out_resets)
{
    struct node_documents documents = {0};
    struct node *dict = NULL;
    unsigned file;
    if (!parse_file(load, at, path, NULL, 0, &file, &documents))
        return NULL;
    const char *directory = load_directory_of(load, path);
    for (size_t i = 0; directory != NULL && i < documents.count && !load->out_of_memory; i++) {
        if (!check_top(load, file, documents.roots[i]))
            continue;
        const struct place top = {.file = (uint16_t)file};
        struct node *root = expand(load, documents.roots[i], out_resets);
        if (root == NULL)
            continue;
        if (dict != NULL)
            apply_resets(*out_resets, dict);
        root = dict == NULL ? root : merge_nodes(load, &top, &fleet_kind, dict, root);
        if (root != NULL)
            drop_repeated(load, &top, &fleet_kind, root);
        if (root != NULL) /* not checked: what the merged service holds will be */
            dict = lengthen(load, &top, &fleet_kind, root);
        if (dict != NULL)
            drop_repeated(load, &top, &fleet_kind, dict);
    }
    if (dict != NULL && directory != NULL)
        resolve_paths(load, dict, directory);
    return dict;
}
