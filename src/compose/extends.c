/* Services that begin from others: of the same file or of another one. */
#include <errno.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

enum { DEEPEST = 500 }; /* services that extend one another */

/* One step of the way from a service to what it extends. */
struct step {
    const struct step *before;
    const char *file, *service;
    size_t depth;
};

struct scope {
    const char *file; /* absolute, or NULL: from memory */
    const char *directory;
    struct node *services;
    const struct reset *resets;
};

static struct node *extended(struct load *load, const struct scope *scope, const struct place *at,
                             struct node_entry *entry, const struct step *before);

static bool is_circle(struct load *load, const struct place *at, const struct step *step)
{
    const struct step *first = step->before;
    while (first != NULL && (strcmp(first->service, step->service) != 0 || strcmp(first->file, step->file) != 0))
        first = first->before;
    if (first == NULL && step->depth <= DEEPEST)
        return false;
    if (first == NULL) {
        load_error(load, at, "services extend each other more than %d deep", DEEPEST);
        return true;
    }
    struct text words = {0};
    const struct step *chain[8];
    size_t count = 0;
    for (const struct step *s = step; s != first && count < COUNT(chain); s = s->before)
        chain[count++] = s;
    text_add_string(&words, first->service);
    for (size_t i = count; i-- > 0;)
        text_add_format(&words, " -> %.100s", chain[i]->service);
    if (LOAD_GOT(load, words.failed ? NULL : words.bytes))
        load_error(load, at, "services extend each other: %s", words.bytes);
    text_free(&words);
    return true;
}

/* The services of another file, in their long form and with absolute paths. Read once. */
static const struct scope *other_file(struct load *load, const struct scope *scope, const struct place *at,
                                      const char *path)
{
    const char *full = load_absolute(load, at, PATH_PLAIN, scope->directory, path);
    struct extended_file **link = &load->extended_files;
    for (; *link != NULL; link = &(*link)->next)
        if (strcmp((*link)->path, full) == 0 && (*link)->variables == load->variables)
            return (*link)->scope;
    struct extended_file *file = arena_alloc(&load->nodes, sizeof *file);
    struct scope *inner = arena_alloc(&load->nodes, sizeof *inner);
    if (!LOAD_GOT(load, file) || !LOAD_GOT(load, inner))
        return NULL;
    *file = (struct extended_file){.path = full, .variables = load->variables};
    *link = file;
    struct reset *resets = NULL;
    struct node *root = load_for_extends(load, at, full, &resets);
    if (root == NULL)
        return NULL;
    inner->file = full;
    inner->directory = load_directory_of(load, full);
    inner->services = node_get(root, "services");
    inner->resets = resets;
    if (inner->services != NULL && inner->services->kind == NODE_MAP)
        file->scope = inner;
    else
        load_error(load, at, "%s has no services to extend", full);
    return file->scope;
}

static const char *text_in(struct load *load, const struct place *at, const struct node *map, const char *key)
{
    const struct node_entry *entry = node_find(map, key);
    if (entry == NULL)
        return NULL;
    struct place inner = place_key(at, entry);
    if (entry->value->kind == NODE_SCALAR && entry->value->type == TYPE_STRING)
        return entry->value->text;
    load_error(load, &inner, "takes text, not %s", node_describe(entry->value));
    return NULL;
}

/* What a service extends: its own file's services or another's, and the name in them. */
static const struct scope *find_base(struct load *load, const struct scope *scope, const struct place *at,
                                     const struct node *extends, const char **out_name)
{
    const char *file = NULL;
    *out_name = NULL;
    if (extends->kind == NODE_SCALAR && extends->type == TYPE_STRING) {
        *out_name = extends->text;
    } else if (extends->kind == NODE_MAP) {
        *out_name = text_in(load, at, extends, "service");
        file = text_in(load, at, extends, "file");
        if (*out_name == NULL && node_get(extends, "service") == NULL)
            load_error(load, at, "the key \"service\" is missing");
        if (node_get(extends, "file") != NULL && file == NULL && !node_is_null(node_get(extends, "file")))
            return NULL;
    } else {
        load_error(load, at, "takes text or a mapping, not %s", node_describe(extends));
    }
    if (*out_name == NULL)
        return NULL;
    return file != NULL ? other_file(load, scope, at, file) : scope;
}

static struct node *merge_with_base(struct load *load, const struct scope *scope, const struct place *at,
                                    const char *name, struct node *service, const struct node *base)
{
    struct node *source = node_clone(&load->nodes, base);
    if (!LOAD_GOT(load, source))
        return service;
    apply_resets_to_service(scope->resets, name, source);
    bool whole = source->kind == NODE_MAP && service->kind == NODE_MAP;
    struct node *merged = whole ? merge_nodes(load, at, &service_kind, source, service) : service;
    if (merged == NULL)
        return service;
    struct node_entry *left = node_find(merged, "extends");
    if (left != NULL)
        node_remove(merged, left);
    return merged;
}

static struct node *extended(struct load *load, const struct scope *scope, const struct place *at,
                             struct node_entry *entry, const struct step *before)
{
    struct node *service = entry->value;
    const char *name = entry->key->text;
    struct node_entry *extends = node_find(service, "extends");
    if (extends == NULL)
        return service;
    struct place inner = place_key(at, extends);
    const char *base_name;
    const struct scope *base_scope = find_base(load, scope, &inner, extends->value, &base_name);
    struct node_entry *base = base_scope == NULL ? NULL : load_find_service(load, base_scope->services, base_name);
    if (base == NULL && base_scope != NULL) {
        load_error(load, &inner, "there is no service \"%.100s\"%s%s", base_name, base_scope == scope ? "" : " in ",
                   base_scope == scope ? "" : base_scope->file);
    }
    const struct step step = {before, scope->file == NULL ? "" : scope->file, name,
                              before == NULL ? 1 : before->depth + 1};
    if (base == NULL || is_circle(load, &inner, &step)) {
        node_remove(service, extends);
        service->damaged = true;
        return service;
    }
    struct place base_at = {at->outer, base->key->text, 0, base->key->file, base->key->line, base->key->column, NULL};
    struct node *whole = extended(load, base_scope, &base_at, base, &step);
    entry->value = merge_with_base(load, scope, at, name, service, whole);
    return entry->value;
}

void apply_extends(struct load *load, struct node *root, const struct reset *resets, const char *path,
                   const char *directory)
{
    const struct place top = {.file = root->file, .line = root->line, .column = root->column};
    struct node_entry *services = node_find(root, "services");
    if (services == NULL)
        return;
    struct place at = place_key(&top, services);
    if (node_is_null(services->value))
        load_error(load, &at, "has no value; it takes a mapping");
    if (services->value->kind != NODE_MAP) {
        if (node_is_null(services->value))
            node_remove(root, services);
        root->damaged = true;
        return; /* what else it is, is said when it is checked */
    }
    const struct scope scope = {path, directory, services->value, resets};
    for (size_t i = 0; i < services->value->count && !load->out_of_memory; i++) {
        struct place inner = place_key(&at, &services->value->entries[i]);
        (void)extended(load, &scope, &inner, &services->value->entries[i], NULL);
    }
}
