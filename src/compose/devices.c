/* Devices of the host, and what may be done with which. */
#include <limits.h>
#include <string.h>

#include "compose/keys.h"
#include "compose/values.h"

/* "rwm" in any order. */
static bool take_access(const char *text, unsigned *out)
{
    static const char letters[] = "mrw"; /* in the order of SHOAL_DEVICE_* */
    unsigned access = 0;
    for (const char *s = text; *s != '\0'; s++) {
        const char *letter = strchr(letters, *s);
        if (letter == NULL)
            return false;
        access |= 1u << (letter - letters);
    }
    *out = access;
    return access != 0;
}

/* ---- devices ---- */

struct device_draft {
    const char *source, *target, *permissions;
};

static void read_device_text(struct load *load, const struct place *at, const struct key *key, struct node *value,
                             void *object)
{
    (void)take_text(load, at, value, AT(const char *, object, key->offset));
}

static const struct key device_keys[] = {
    {"source", &kind_text, .read = read_device_text, .offset = offsetof(struct device_draft, source), .needed = true,
     .form = "path",
     .doc =
         "The host's device, a link to one, or a directory, all of whose devices are meant, also those further down. "
         "Names of the Container Device Interface (vendor/class=name) are not supported."},
    {"target", &kind_text, .read = read_device_text, .offset = offsetof(struct device_draft, target), .needed = true,
     .form = "path", .doc = "Its name inside, absolute; the short form without it: that of the host."},
    {"permissions", &kind_text, .read = read_device_text, .offset = offsetof(struct device_draft, permissions),
     .form = "text", .doc = "Of _r_ (read), _w_ (write) and _m_ (make a node) what may be done. Default rwm."},
};
const struct section device_section = SECTION(
    "services.NAME.devices.N",
    "A device. Its node inside has the host's mode, and the owner and the group of the host's node by number, as "
    "numbers "
    "inside: root may use what the host's root may, another user needs the group's number in *group_add*.",
    device_keys, true);

static bool is_cdi_name(const char *source)
{
    const char *slash = strchr(source, '/');
    return source[0] != '/' && source[0] != '.' && slash != NULL && strchr(slash, '=') != NULL;
}

static bool check_device(struct load *load, const struct place *at, const struct device_draft *draft, unsigned *access)
{
    const char *permissions = draft->permissions;
    if (is_cdi_name(draft->source))
        load_unsupported(load, at,
                         "\"%.100s\" is a name of the Container Device Interface, whose files are not read here; name "
                         "the devices' paths",
                         draft->source);
    else if (draft->source[0] != '/' || strlen(draft->source) >= PATH_MAX)
        load_error(load, at, "the source \"%.100s\" is not an absolute path of the host", draft->source);
    else if (draft->target[0] != '/' && take_access(draft->target, access))
        load_error(load, at,
                   "the target \"%.60s\" is not an absolute path; permissions come third: %.100s:%.100s:%.60s",
                   draft->target, draft->source, draft->source, draft->target);
    else if (draft->target[0] != '/' || strlen(draft->target) >= PATH_MAX)
        load_error(load, at, "the target \"%.100s\" is not an absolute path", draft->target);
    else if (!take_access(permissions == NULL || permissions[0] == '\0' ? "rwm" : permissions, access))
        load_error(load, at, "the permissions \"%.60s\" are not made of r, w and m", permissions);
    else
        return true;
    return false;
}

static void read_device(struct load *load, const struct place *at, const struct node *node, shoal_service_t *service)
{
    struct device_draft draft = {0};
    unsigned access;
    if (!read_section(load, at, &device_section, node, &draft) || draft.source == NULL || draft.target == NULL ||
        !check_device(load, at, &draft, &access))
        return;
    shoal_device_t device = {.source = value_path(load->arena, "/", draft.source),
                             .target = value_path(load->arena, "/", draft.target),
                             .access = access,
                             .at = place_position(load, at)};
    if (!LOAD_GOT(load, device.source) || !LOAD_GOT(load, device.target))
        return;
    for (size_t i = 0; i < service->device_count; i++)
        if (strcmp(service->devices[i].target, device.target) == 0) {
            load_error(load, at, "%.200s is a device already, on line %d", device.target, service->devices[i].at.line);
            return;
        }
    service->devices[service->device_count++] = device;
}

void read_devices(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)key;
    shoal_service_t *service = object;
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    service->devices = arena_array(load->arena, value->count, sizeof *service->devices);
    for (size_t i = 0; i < value->count && LOAD_GOT(load, service->devices); i++) {
        struct place item = place_item(at, value, i);
        read_device(load, &item, value->items[i], service);
    }
}

/* ---- device_cgroup_rules ---- */

enum { MAJOR_MOST = (1 << 12) - 1, MINOR_MOST = (1 << 20) - 1 }; /* of the kernel's dev_t */

/* "*" or a number of at most `most`; moves on behind it. */
static bool take_number(const char **text, int most, int *out)
{
    const char *s = *text;
    if (*s == '*') {
        *out = SHOAL_ANY_DEVICE;
        *text = s + 1;
        return true;
    }
    int number = 0;
    for (; *s >= '0' && *s <= '9'; s++) {
        number = number * 10 + (*s - '0');
        if (number > most)
            return false;
    }
    if (s == *text)
        return false;
    *text = s;
    *out = number;
    return true;
}

static bool take_rule(const char *text, shoal_device_rule_t *out)
{
    if (text[0] == '\0' || strchr("abc", text[0]) == NULL || text[1] != ' ')
        return false;
    out->type = text[0];
    text += 2;
    if (!take_number(&text, MAJOR_MOST, &out->major) || *text++ != ':' ||
        !take_number(&text, MINOR_MOST, &out->minor) || *text++ != ' ')
        return false;
    return take_access(text, &out->access);
}

void read_device_rules(struct load *load, const struct place *at, const struct key *key, struct node *value,
                       void *object)
{
    (void)key;
    shoal_service_t *service = object;
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    service->device_rules = arena_array(load->arena, value->count, sizeof *service->device_rules);
    for (size_t i = 0; i < value->count && LOAD_GOT(load, service->device_rules); i++) {
        struct place item = place_item(at, value, i);
        shoal_device_rule_t rule = {.at = place_position(load, &item)};
        const char *text;
        if (!take_text(load, &item, value->items[i], &text))
            continue;
        if (take_rule(text, &rule))
            service->device_rules[service->device_rule_count++] = rule;
        else
            load_error(load, &item,
                       "\"%.60s\" is not a rule for devices; write a, b or c, the numbers or *, what is allowed: "
                       "\"c 10:200 rwm\", \"b 8:* r\"",
                       text);
    }
}
