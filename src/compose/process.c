/* What runs in a sandbox: image, command, variables, names and user, the signal that ends it. */
#include <errno.h>
#include <string.h>

#include "base/signal.h"
#include "compose/language.h"
#include "compose/values.h"

static void add_string(struct load *load, shoal_strings_t *list, const char *text)
{
    list->items[list->count] = keep(load, text);
    list->count += list->items[list->count] != NULL;
}

static void read_directories(struct load *load, const struct place *at, const char *list, shoal_image_t *image)
{
    size_t room = 1;
    for (const char *s = list; *s != '\0'; s++)
        room += *s == ':';
    image->layers.items = arena_array(load->arena, room + 1, sizeof *image->layers.items);
    if (!LOAD_GOT(load, image->layers.items))
        return;
    for (;;) {
        size_t count = strcspn(list, ":");
        const char *part = arena_copy(&load->nodes, list, count);
        const char *path = LOAD_GOT(load, part) ? load_absolute(load, at, PATH_UNIX, load->directory, part) : NULL;
        if (path != NULL && part[0] == '\0') {
            load_error(load, at, "a path is missing");
            path = NULL;
        }
        if (path != NULL)
            add_string(load, &image->layers, path);
        if (list[count] == '\0')
            return;
        list += count + 1;
    }
}

void read_image(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)key;
    shoal_image_t *image = &((shoal_service_t *)object)->image;
    const char *text;
    if (!take_text(load, at, value, &text))
        return;
    image->text = keep(load, text);
    if (load->lenient)
        return; /* any image is fine to look at */
    if (strncmp(text, "dir:", 4) == 0) {
        image->kind = SHOAL_IMAGE_DIRECTORY;
        read_directories(load, at, text + 4, image);
    } else if (strcmp(text, "builtin:busybox") == 0) {
        image->kind = SHOAL_IMAGE_BUILTIN;
        image->layers.items = arena_array(load->arena, 2, sizeof *image->layers.items);
        if (LOAD_GOT(load, image->layers.items))
            add_string(load, &image->layers, text + strlen("builtin:"));
    } else if (strncmp(text, "builtin:", 8) == 0) {
        load_error(load, at, "there is no builtin image \"%.60s\"; builtin:busybox is the one", text + 8);
    } else {
        load_unsupported(load, at, "\"%.100s\": registries are not supported yet; write builtin:busybox or dir:/path",
                         text);
    }
}

/* A command is a list by now; an empty one clears the image's. */
void read_command(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    shoal_service_t *service = object;
    bool entrypoint = key->offset == offsetof(shoal_service_t, entrypoint);
    bool *set = entrypoint ? &service->entrypoint_set : &service->command_set;
    shoal_strings_t *list = AT(shoal_strings_t, object, key->offset);
    *set = true;
    *list = (shoal_strings_t){0};
    if (value->count > 0)
        read_strings(load, at, key, value, object);
}

/* Names without a value are left out: they are not there. */
void read_environment(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    (void)key;
    shoal_service_t *service = object;
    if (!take_kind(load, at, value, NODE_MAP))
        return;
    shoal_strings_t list = {.items = arena_array(load->arena, value->count + (size_t)1, sizeof *list.items)};
    for (size_t i = 0; i < value->count && LOAD_GOT(load, list.items); i++) {
        const struct node_entry *entry = &value->entries[i];
        struct place inner = place_key(at, entry);
        if (node_is_null(entry->value))
            continue;
        if (entry->key->count == 0 || strchr(entry->key->text, '=') != NULL) {
            load_error(load, &inner, "\"%.60s\" is not a variable's name", entry->key->text);
            continue;
        }
        char *line = arena_format(load->arena, "%s=%s", entry->key->text, entry->value->text);
        if (LOAD_GOT(load, line))
            list.items[list.count++] = line;
    }
    service->environment = list;
}

void read_host_name(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    const char *text;
    if (!take_text(load, at, value, &text) || !check_host(load, at, text))
        return;
    if (strlen(text) > 64) /* __NEW_UTS_LEN, uname(2) */
        load_error(load, at, "longer than the kernel's 64 characters");
    else
        *AT(char *, object, key->offset) = keep(load, text);
}

void read_user(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    const char *text;
    if (!take_text(load, at, value, &text))
        return;
    size_t name = strcspn(text, ":"), group = text[name] == ':' ? strlen(text + name + 1) : 1;
    bool good = name > 0 && group > 0 && strlen(text) <= 200 && strpbrk(text, " \t\n/") == NULL &&
                (text[name] == '\0' || strchr(text + name + 1, ':') == NULL);
    if (!good)
        load_error(load, at, "\"%.60s\" is not a user; write 1000, 1000:1000, name or name:group", text);
    else
        *AT(char *, object, key->offset) = keep(load, text);
}

void read_groups(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    shoal_strings_t *list = AT(shoal_strings_t, object, key->offset);
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    list->items = arena_array(load->arena, value->count + (size_t)1, sizeof *list->items);
    for (size_t i = 0; i < value->count && LOAD_GOT(load, list->items); i++) {
        struct place item = place_item(at, value, i);
        const char *text;
        if (!take_scalar(load, &item, value->items[i], &text))
            continue;
        if (text[0] == '\0' || strpbrk(text, ": \t\n/") != NULL)
            load_error(load, &item, "\"%.60s\" is not a group; write its name or number", text);
        else
            add_string(load, list, text);
    }
}

void read_directory(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    const char *text;
    if (!take_text(load, at, value, &text))
        return;
    char **out = AT(char *, object, key->offset);
    if (text[0] != '/')
        load_error(load, at, "\"%.200s\" is not an absolute path", text);
    else if (strlen(text) > 4000)
        load_error(load, at, "the path is too long");
    else if (!LOAD_GOT(load, *out = value_path(load->arena, "/", text)))
        return;
}

void read_stop_signal(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    const char *text;
    if (take_scalar(load, at, value, &text) && signal_parse(text, AT(int, object, key->offset)) < 0)
        load_error(load, at, "\"%.60s\" is not a signal; write SIGTERM, TERM or 15", text);
}
