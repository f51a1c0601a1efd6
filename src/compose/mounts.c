/* Volumes, binds and tmpfs: the top-level section, the short and the long form. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

static void take_name(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    const char *text;
    if (take_text(load, at, value, &text) && check_name(load, at, "volume", text))
        *(char **)((char *)object + key->offset) = keep(load, text);
}

static void read_volume_driver(struct load *load, const struct place *at, const struct key *key, struct node *value,
                               void *object)
{
    (void)key, (void)object;
    const char *text;
    if (take_text(load, at, value, &text) && strcmp(text, "local") != 0)
        load_error(load, at, "the driver \"%.60s\" is not supported yet; local is", text);
}

static void read_external(struct load *load, const struct place *at, const struct key *key, struct node *value,
                          void *object)
{
    (void)key, (void)object;
    bool external = true; /* the old form, external: {name: ...}, too */
    if (value->kind == NODE_SCALAR && !take_flag(load, at, value, &external))
        return;
    if (external)
        load_error(load, at,
                   "external volumes are not supported yet; write name: and leave external away: "
                   "a volume of that name is used if it is there");
}

static const struct key volume_keys[] = {
    {"name", &kind_text, .read = take_name, .offset = offsetof(shoal_volume_t, full_name), .form = "text",
     .doc = "Its name on this host, in place of PROJECT_KEY; fleets that write the same name share it."},
    {"driver", &kind_text, .read = read_volume_driver, .form = "text",
     .doc = "*local* alone: a directory below the root directory."},
    {"driver_opts", &kind_options, .form = "mapping", .doc = "Options of the driver."},
    {"external", &kind_external, .read = read_external, .form = "bool",
     .doc = "*false* alone: a named volume is used if it is there."},
    {"labels", &kind_labels, .form = "mapping or list", .doc = "Labels of the volume."},
};
const struct section volume_section = SECTION("volumes.NAME", "A named volume. Empty is fine.", volume_keys, true);

void read_volumes(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)key, (void)object;
    if (!take_kind(load, at, value, NODE_MAP))
        return;
    shoal_spec_t *spec = load->spec;
    spec->volumes = arena_array(load->arena, value->count, sizeof *spec->volumes);
    if (!LOAD_GOT(load, spec->volumes))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place inner = place_key(at, &value->entries[i]);
        const struct node *node = value->entries[i].value;
        shoal_volume_t volume = {.at = place_position(load, &inner)};
        if (!check_name(load, &inner, "volume", inner.word))
            continue;
        if (!(node->kind == NODE_SCALAR && node->type == TYPE_NULL))
            (void)read_section(load, &inner, &volume_section, node, &volume);
        volume.name = keep(load, inner.word);
        if (volume.full_name == NULL && load->project != NULL) {
            volume.full_name = arena_format(load->arena, "%s_%s", load->project, inner.word);
            (void)load_got(load, volume.full_name);
        }
        if (names_put(&load->volume_names, inner.word, spec->volume_count, NULL) < 0)
            load->out_of_memory = true;
        spec->volumes[spec->volume_count++] = volume;
    }
}

/* ---- mounts of a service ---- */

static void add_mount(struct load *load, const struct place *at, shoal_service_t *service, shoal_mount_t mount,
                      const char *target)
{
    struct draft *draft = load->draft;
    if (target[0] != '/') {
        load_error(load, at, "the target \"%.200s\" is not an absolute path", target);
        return;
    }
    mount.target = value_path(load->arena, "/", target);
    mount.at = place_position(load, at);
    if (!LOAD_GOT(load, mount.target))
        return;
    if (strcmp(mount.target, "/") == 0 || strlen(mount.target) > 4000) {
        load_error(load, at, "nothing can be mounted on \"%.60s\"", mount.target);
        return;
    }
    size_t before = 0;
    int code = names_put(&draft->mount_targets, mount.target, (size_t)at->line, &before);
    if (code == 0)
        load_error(load, at, "%.200s is mounted on already, on line %zu", mount.target, before); /* /a and /a/ */
    if (code < 0)
        load->out_of_memory = true;
    if (code <= 0)
        return;
    if (service->mount_count == draft->mount_room) {
        size_t room = draft->mount_room * 2 + 4;
        shoal_mount_t *grown = arena_array(load->arena, room, sizeof *grown);
        if (!LOAD_GOT(load, grown))
            return;
        if (service->mount_count > 0)
            memcpy(grown, service->mounts, service->mount_count * sizeof *grown);
        service->mounts = grown;
        draft->mount_room = room;
    }
    service->mounts[service->mount_count++] = mount;
}

/* "size=64m,mode=1777" */
static bool take_tmpfs_options(struct load *load, const struct place *at, const char *options, shoal_mount_t *mount)
{
    while (*options != '\0') {
        size_t count = strcspn(options, ",");
        char *option = arena_copy(&load->nodes, options, count);
        if (!LOAD_GOT(load, option))
            return false;
        options += count + (options[count] == ',');
        if (strncmp(option, "size=", 5) == 0) {
            if (value_size(option + 5, &mount->size_bytes) < 0) {
                load_error(load, at, "\"%.60s\" is not a size; write 64m, 1.5g or bytes", option + 5);
                return false;
            }
        } else if (strncmp(option, "mode=", 5) == 0) {
            if (value_mode(option + 5, &mount->mode) < 0) {
                load_error(load, at, "\"%.60s\" is not an octal mode; write 1777", option + 5);
                return false;
            }
        } else if (strcmp(option, "ro") == 0) {
            mount->read_only = true;
        } else if (option[0] != '\0' && strcmp(option, "rw") != 0) {
            load_error(load, at, "the option \"%.60s\" is not supported yet; size=, mode=, ro and rw are", option);
            return false;
        }
    }
    return true;
}

static void read_one_tmpfs(struct load *load, const struct place *at, const struct node *node, shoal_service_t *service)
{
    const char *text;
    if (!take_text(load, at, node, &text))
        return;
    size_t count = strcspn(text, ":");
    char *target = arena_copy(&load->nodes, text, count);
    shoal_mount_t mount = {.kind = SHOAL_MOUNT_TMPFS, .volume = -1};
    if (LOAD_GOT(load, target) && take_tmpfs_options(load, at, text + count + (text[count] == ':'), &mount))
        add_mount(load, at, service, mount, target);
}

void read_tmpfs(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)key;
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place item = place_item(at, value, i);
        read_one_tmpfs(load, &item, value->items[i], object);
    }
}

static bool take_volume(const struct load *load, const char *name, shoal_mount_t *mount)
{
    size_t number;
    if (!names_get(&load->volume_names, name, &number))
        return false; /* which was said */
    mount->kind = SHOAL_MOUNT_VOLUME;
    mount->volume = (int)number;
    return true;
}

static bool take_bind(struct load *load, const struct place *at, const char *path, shoal_mount_t *mount)
{
    if (path[0] != '/') {
        load_error(load, at, "\"%.200s\" is not a path of this kind of host", path);
        return false;
    }
    if (strlen(path) >= PATH_MAX) {
        load_error(load, at, "the path is longer than %d bytes", PATH_MAX - 1);
        return false;
    }
    const char *source = value_path(&load->nodes, "/", path);
    if (!LOAD_GOT(load, source))
        return false;
    mount->kind = SHOAL_MOUNT_BIND;
    mount->source = keep(load, source);
    return mount->source != NULL;
}

struct mount_draft {
    const char *type, *source, *target;
    bool read_only, create_host_path;
    uint64_t size_bytes;
    uint32_t mode;
    bool bind_set, tmpfs_set;
};

static void read_mount_text(struct load *load, const struct place *at, const struct key *key, struct node *value,
                            void *object)
{
    (void)take_text(load, at, value, (const char **)((char *)object + key->offset));
}

static void read_bind(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    ((struct mount_draft *)object)->bind_set = true;
    read_nested(load, at, key, value, object);
}

static void read_tmpfs_options(struct load *load, const struct place *at, const struct key *key, struct node *value,
                               void *object)
{
    ((struct mount_draft *)object)->tmpfs_set = true;
    read_nested(load, at, key, value, object);
}

/* A plain 1777 is decimal to YAML, and meant octal by everyone: it must not slip through. */
static void read_mode(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    (void)key;
    struct mount_draft *draft = object;
    const char *text;
    if (!take_scalar(load, at, value, &text))
        return;
    int64_t mode;
    bool octal_digits = strspn(text, "01234567") == strlen(text);
    if (value->decimal)
        load_error(load, at, "%.60s is not an octal mode; write 0%.60s", text, octal_digits ? text : "1777");
    else if (take_integer(load, at, value, 0, 07777, &mode))
        draft->mode = (uint32_t)mode;
}

static const char *const labels[] = {"z", "Z", NULL};
static const struct kind selinux_kind = {TAKES_TEXT, AS_TEXT, .words = labels};
static const char *const recursions[] = {"enabled", "disabled", "writable", "readonly", NULL};
static const struct kind recursive_kind = {TAKES_TEXT, AS_TEXT, .words = recursions};

static const struct key bind_keys[] = {
    {"selinux", &selinux_kind, .form = "text", .doc = "SELinux label."},
    {"propagation", &kind_text, .form = "text", .doc = "How later mounts are passed on."},
    {"create_host_path", &kind_flag, .read = read_flag, .offset = offsetof(struct mount_draft, create_host_path),
     .form = "bool", .doc = "Make a source that is not there a directory. Default false; the short form does it."},
    {"recursive", &recursive_kind, .form = "text", .doc = "Whether mounts below the source come with it."},
};
const struct section mount_bind_section = SECTION("services.NAME.volumes.N.bind", NULL, bind_keys, true);

static const struct kind size_kind = {TAKES_INTEGER | TAKES_TEXT, AS_BYTES, .bounded = true, .max = INT64_MAX,
                                      .what = "a size"};
static const struct kind mode_kind = {TAKES_NUMBER | TAKES_TEXT, AS_COUNT, .unsigned_value = true, .strict = true,
                                      .what = "a mode"};

static const struct key tmpfs_keys[] = {
    {"size", &size_kind, .read = read_size, .offset = offsetof(struct mount_draft, size_bytes), .form = "size",
     .doc = "Its limit; 0 is the kernel's, half of the memory."},
    {"mode", &mode_kind, .read = read_mode, .form = "octal", .doc = "Of its root; default 01777."},
};
const struct section mount_tmpfs_section = SECTION("services.NAME.volumes.N.tmpfs", NULL, tmpfs_keys, true);

static const struct key volume_option_keys[] = {
    {"labels", &kind_pairs, .form = "mapping or list", .doc = "Labels of the volume."},
    {"nocopy", &kind_flag, .false_is_fine = false, .form = "bool", .doc = "Leave out the copy of the image's files."},
    {"subpath", &kind_text, .form = "path", .doc = "A directory within the volume."},
};
const struct section mount_volume_section = SECTION("services.NAME.volumes.N.volume", NULL, volume_option_keys, true);

static const char *const types[] = {"bind", "volume", "tmpfs", "cluster", "npipe", "image", NULL};
static const struct kind type_kind = {TAKES_TEXT, AS_TEXT, .words = types};
static const struct kind bind_kind = {TAKES_MAP, AS_SECTION, .section = &mount_bind_section};
static const struct kind volume_kind = {TAKES_MAP, AS_SECTION, .section = &mount_volume_section};
static const struct kind tmpfs_kind = {TAKES_MAP, AS_SECTION, .section = &mount_tmpfs_section};
static const struct key image_option_keys[] = {
    {"subpath", &kind_text, .form = "path", .doc = "A directory within the image."},
};
static const struct section mount_image_section = SECTION("services.NAME.volumes.N.image", NULL, image_option_keys,
                                                          true);
static const struct kind image_kind = {TAKES_MAP, AS_SECTION, .section = &mount_image_section};

static const struct key mount_keys[] = {
    {"type", &type_kind, .read = read_mount_text, .offset = offsetof(struct mount_draft, type), .needed = true,
     .form = "text", .doc = "*bind*, *volume* or *tmpfs*. Others are not supported yet."},
    {"source", &kind_text, .read = read_mount_text, .offset = offsetof(struct mount_draft, source), .form = "text",
     .doc = "A host path, or the name of a volume; none for an anonymous volume and for tmpfs."},
    {"target", &kind_text, .read = read_mount_text, .offset = offsetof(struct mount_draft, target), .needed = true,
     .form = "path", .doc = "Where it is mounted, absolute."},
    {"read_only", &kind_flag, .read = read_flag, .offset = offsetof(struct mount_draft, read_only), .form = "bool",
     .doc = "Nothing can be written to it."},
    {"consistency", &kind_text, .form = "text", .doc = "Wanted consistency."},
    {"bind", &bind_kind, .read = read_bind, .section = &mount_bind_section, .form = "mapping",
     .doc = "Options of a bind."},
    {"volume", &volume_kind, .read = read_nested, .section = &mount_volume_section, .form = "mapping",
     .doc = "Options of a volume."},
    {"tmpfs", &tmpfs_kind, .read = read_tmpfs_options, .section = &mount_tmpfs_section, .form = "mapping",
     .doc = "Options of a tmpfs."},
    {"image", &image_kind, .section = &mount_image_section, .form = "mapping", .doc = "Options of an image mount."},
};
const struct section mount_section = SECTION("services.NAME.volumes.N", "The long form of a mount.", mount_keys, true);

static bool check_options_fit(struct load *load, const struct place *at, const struct mount_draft *draft)
{
    bool bind = strcmp(draft->type, "bind") == 0, tmpfs = strcmp(draft->type, "tmpfs") == 0;
    if (draft->bind_set && !bind)
        load_error(load, at, "has options of a bind, but is of type %.60s", draft->type);
    else if (draft->tmpfs_set && !tmpfs)
        load_error(load, at, "has options of a tmpfs, but is of type %.60s", draft->type);
    else if (tmpfs && draft->source != NULL)
        load_error(load, at, "a tmpfs has no source");
    else
        return !bind || draft->source != NULL; /* a bind without one was said */
    return false;
}

static void read_long_mount(struct load *load, const struct place *at, const struct node *node,
                            shoal_service_t *service)
{
    struct mount_draft draft = {0};
    if (!read_section(load, at, &mount_section, node, &draft) || draft.type == NULL || draft.target == NULL)
        return;
    shoal_mount_t mount = {.volume = -1,
                           .read_only = draft.read_only,
                           .create_host_path = draft.create_host_path,
                           .size_bytes = draft.size_bytes,
                           .mode = draft.mode};
    bool good = check_options_fit(load, at, &draft);
    if (!good) {
        return;
    } else if (strcmp(draft.type, "bind") == 0) {
        good = take_bind(load, at, draft.source, &mount);
    } else if (strcmp(draft.type, "tmpfs") == 0) {
        mount.kind = SHOAL_MOUNT_TMPFS;
    } else if (strcmp(draft.type, "volume") == 0) {
        mount.kind = SHOAL_MOUNT_VOLUME;
        good = draft.source == NULL || take_volume(load, draft.source, &mount);
    } else {
        load_error(load, at, "the type \"%.60s\" is not supported yet; bind, volume and tmpfs are", draft.type);
        good = false;
    }
    if (good)
        add_mount(load, at, service, mount, draft.target);
}

void read_mounts(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)key;
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place item = place_item(at, value, i);
        read_long_mount(load, &item, value->items[i], object);
    }
}
