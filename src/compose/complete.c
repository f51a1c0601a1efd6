/* What is added when it is not written, once all files are merged; and relative paths made absolute. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

static void put_text_if_missing(struct load *load, struct node *map, const char *key, const char *text)
{
    if (map->kind != NODE_MAP || node_get(map, key) != NULL || !LOAD_GOT(load, text))
        return;
    struct node *value = node_new_text(&load->nodes, map, text);
    if (LOAD_GOT(load, value) && !node_put(&load->nodes, map, key, value))
        load->out_of_memory = true;
}

void complete_build(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    put_text_if_missing(load, value, "context", ".");
}

void complete_secret_grant(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    const struct node *source = node_get(value, "source");
    if (value->kind == NODE_MAP && source != NULL && source->kind == NODE_SCALAR)
        put_text_if_missing(load, value, "target", arena_format(&load->nodes, "/run/secrets/%s", source->text));
}

void complete_port(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    put_text_if_missing(load, value, "protocol", "tcp");
    put_text_if_missing(load, value, "mode", "ingress");
}

void complete_device_request(struct load *load, const struct place *at, struct node *value)
{
    (void)at;
    if (node_get(value, "device_ids") == NULL)
        put_text_if_missing(load, value, "count", "all");
}

static const struct kind *below(const struct kind *kind, struct node *node, size_t i)
{
    if (node->kind == NODE_LIST)
        return kind->items;
    if (kind->section == NULL)
        return kind->values;
    const struct key *row = find_row(kind->section, &node->entries[i]);
    return row == NULL ? NULL : row->kind;
}

void complete(struct load *load, const struct place *at, const struct kind *kind, struct node *node)
{
    if (kind->complete != NULL)
        kind->complete(load, at, node);
    for (size_t i = 0; node->kind != NODE_SCALAR && i < node->count; i++) {
        const struct kind *inner = below(kind, node, i);
        bool list = node->kind == NODE_LIST;
        struct place place = list ? place_item(at, node, i) : place_key(at, &node->entries[i]);
        if (inner != NULL)
            complete(load, &place, inner, list ? node->items[i] : node->entries[i].value);
    }
}

/* ---- paths ---- */

static bool is_windows_path(const char *path)
{
    bool letter = (path[0] | 0x20) >= 'a' && (path[0] | 0x20) <= 'z';
    return (letter && path[1] == ':' && (path[2] == '\\' || path[2] == '/')) || strncmp(path, "\\\\", 2) == 0;
}

static bool is_remote(const char *context)
{
    static const char *const starts[] = {"https://", "http://", "git://", "ssh://", "github.com/", "git@", "service:"};
    for (size_t i = 0; i < COUNT(starts); i++)
        if (strncmp(context, starts[i], strlen(starts[i])) == 0)
            return true;
    return strstr(context, "://") != NULL;
}

static const char *expand_home(struct load *load, const struct place *at, const char *path)
{
    if (path[0] != '~')
        return path;
    const char *home = load_variable(load, "HOME");
    if (home != NULL && home[0] != '\0')
        return value_clean_path(&load->nodes, arena_format(&load->nodes, "%s/%s", home, path + 1));
    load_warning(load, at, "\"%.100s\" needs the variable HOME, which is not set", path);
    return path;
}

/* The first symbolic link on the way of an absolute path, resolved, and the rest behind it as it is. */
static const char *resolve_link(struct load *load, const char *path)
{
    char part[PATH_MAX], target[PATH_MAX];
    size_t count = strlen(path);
    if (!load->touches_files || count >= sizeof part)
        return path;
    for (size_t i = 1; i <= count; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        char one[2];
        if (readlink(part, one, sizeof one) < 0)
            continue;
        return realpath(part, target) == NULL ? path : arena_format(&load->nodes, "%s%s", target, path + i);
    }
    return path;
}

const char *load_absolute(struct load *load, const struct place *at, enum path how, const char *directory,
                          const char *path)
{
    if (path[0] == '\0' && how != PATH_UNIX)
        return path;
    if (how == PATH_CONTEXT && is_remote(path))
        return path;
    const char *full = expand_home(load, at, path);
    if (!LOAD_GOT(load, full))
        return path;
    if (full[0] != '/' && !(how == PATH_UNIX && is_windows_path(full)))
        full = value_path(&load->nodes, directory, full);
    if (!LOAD_GOT(load, full))
        return path;
    return how == PATH_LINK ? resolve_link(load, full) : full;
}

static void resolve_text(struct load *load, const struct place *at, enum path how, const char *directory,
                         struct node *node)
{
    if (node->kind != NODE_SCALAR || node->type != TYPE_STRING)
        return;
    node->text = load_absolute(load, at, how, directory, node->text);
    node->count = (uint32_t)strlen(node->text);
}

/* Of a mount only a bind's source is a path, of a volume only a local bind's device. */
static void resolve_mount(struct load *load, const struct place *at, const char *directory, struct node *mount)
{
    const struct node *type = node_get(mount, "type");
    struct node *source = node_get(mount, "source");
    if (type == NULL || type->kind != NODE_SCALAR || strcmp(type->text, "bind") != 0)
        return;
    if (source == NULL && !mount->damaged)
        load_error(load, at, "a bind needs a source");
    else if (source != NULL)
        resolve_text(load, at, PATH_UNIX, directory, source);
}

static void resolve_volume(struct load *load, const struct place *at, const char *directory, const struct node *volume)
{
    const struct node *driver = node_get(volume, "driver"), *options = node_get(volume, "driver_opts");
    const struct node *o = node_get(options, "o");
    struct node *device = node_get(options, "device");
    if (driver != NULL && driver->kind == NODE_SCALAR && strcmp(driver->text, "local") == 0 && device != NULL &&
        o != NULL && o->kind == NODE_SCALAR && strcmp(o->text, "bind") == 0)
        resolve_text(load, at, PATH_UNIX, directory, device);
}

static void resolve_node(struct load *load, const struct place *at, const struct kind *kind, const char *directory,
                         struct node *node)
{
    if (kind->section == &mount_section && node->kind == NODE_MAP)
        resolve_mount(load, at, directory, node);
    else if (kind->section == &volume_section && node->kind == NODE_MAP)
        resolve_volume(load, at, directory, node);
    else if (kind->path != PATH_NONE)
        resolve_text(load, at, kind->path, directory, node);
    for (size_t i = 0; node->kind != NODE_SCALAR && i < node->count; i++) {
        const struct kind *inner = below(kind, node, i);
        bool list = node->kind == NODE_LIST;
        struct place place = list ? place_item(at, node, i) : place_key(at, &node->entries[i]);
        if (inner != NULL)
            resolve_node(load, &place, inner, directory, list ? node->items[i] : node->entries[i].value);
    }
}

void resolve_paths(struct load *load, struct node *root, const char *directory)
{
    const struct place top = {.file = root->file, .line = root->line, .column = root->column};
    resolve_node(load, &top, &fleet_kind, directory, root);
}
