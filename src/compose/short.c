/* The two little languages of the file: short mounts, SOURCE:TARGET:MODE, and short ports, IP:PUBLISHED:TARGET/PROTOCOL. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "compose/language.h"
#include "compose/values.h"

static struct node *add(struct load *load, struct node *map, const char *key, struct node *value)
{
    if (LOAD_GOT(load, value) && !node_put(&load->nodes, map, key, value))
        load->out_of_memory = true;
    return value;
}

static void add_text(struct load *load, struct node *map, const char *key, const char *text)
{
    if (LOAD_GOT(load, text))
        (void)add(load, map, key, node_new_text(&load->nodes, map, text));
}

static void add_scalar(struct load *load, struct node *map, const char *key, enum node_type type, const char *text)
{
    (void)add(load, map, key, node_new_scalar(&load->nodes, map, type, text));
}

/* ---- mounts ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_host_path(const char *source)
{
    return source[0] == '.' || source[0] == '/' || source[0] == '~' || strncmp(source, "\\\\", 2) == 0 ||
           (is_letter(source[0]) && source[1] == ':');
}

/* The part up to a colon. One behind a single letter belongs to it (C:\...), and so does one inside ${...}, which is
 * there when variables are not replaced. */
static size_t part_length(const char *s)
{
    size_t i = 0;
    unsigned braces = 0;
    for (; s[i] != '\0'; i++) {
        if (s[i] == '$' && s[i + 1] == '{')
            braces++;
        else if (s[i] == '}' && braces > 0)
            braces--;
        else if (s[i] == ':' && braces == 0 && !(i == 1 && is_letter(s[0])))
            break;
    }
    return i;
}

struct short_mount {
    const char *source, *target, *options;
};

static bool split_mount(struct load *load, const struct place *at, const char *text, struct short_mount *out)
{
    const char *parts[4] = {0};
    size_t count = 0;
    if (text[0] == '\0') {
        load_error(load, at, "is empty; write SOURCE:TARGET or TARGET");
        return false;
    }
    if (strlen(text) <= 2) {
        *out = (struct short_mount){.target = text};
        return true;
    }
    for (const char *s = text; count < COUNT(parts);) {
        size_t length = part_length(s);
        if (length == 0) {
            load_error(load, at, "\"%.200s\" has an empty part; write SOURCE:TARGET or SOURCE:TARGET:ro", text);
            return false;
        }
        parts[count] = arena_copy(&load->nodes, s, length);
        if (!LOAD_GOT(load, parts[count++]))
            return false;
        s += length;
        if (*s == '\0')
            break;
        s++;
    }
    if (count == COUNT(parts)) {
        load_error(load, at, "\"%.200s\" has too many colons; write SOURCE:TARGET or SOURCE:TARGET:ro", text);
        return false;
    }
    if (count == 1)
        *out = (struct short_mount){.target = parts[0]};
    else
        *out = (struct short_mount){parts[0], parts[1], parts[2]};
    return true;
}

static bool is_propagation(const char *word)
{
    static const char *const words[] = {"private", "rprivate", "shared", "rshared", "slave", "rslave"};
    for (size_t i = 0; i < COUNT(words); i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

/* ro, rw, nocopy, z, Z, a propagation; Compose lets others pass without a word, here they are named. */
static void read_mount_options(struct load *load, const struct place *at, const char *options, bool *read_only,
                               struct node *bind, struct node **volume, bool *bind_used)
{
    for (const char *s = options; s != NULL;) {
        size_t length = strcspn(s, ",");
        const char *word = arena_copy(&load->nodes, s, length);
        if (!LOAD_GOT(load, word))
            return;
        if (strcmp(word, "ro") == 0 || strcmp(word, "rw") == 0) {
            *read_only = word[1] == 'o';
        } else if (strcmp(word, "nocopy") == 0) {
            *volume = node_new(&load->nodes, NODE_MAP, bind);
            if (LOAD_GOT(load, *volume))
                add_scalar(load, *volume, "nocopy", TYPE_BOOL, "true");
        } else if (strcmp(word, "z") == 0 || strcmp(word, "Z") == 0) {
            add_text(load, bind, "selinux", word);
            *bind_used = true;
        } else if (is_propagation(word)) {
            add_text(load, bind, "propagation", word);
            *bind_used = true;
        } else {
            load_unsupported(load, at, "the mount option \"%.60s\" is unknown", word);
        }
        s = s[length] == '\0' ? NULL : s + length + 1;
    }
}

struct node *lengthen_mount(struct load *load, const struct place *at, struct node *value)
{
    if (value->kind != NODE_SCALAR)
        return value;
    struct short_mount parts;
    if (!split_mount(load, at, value->text, &parts))
        return load->no_interpolation ? value : NULL;
    struct node *map = node_new(&load->nodes, NODE_MAP, value), *bind = node_new(&load->nodes, NODE_MAP, value);
    struct node *volume = NULL;
    bool read_only = false, bind_used = false;
    if (!LOAD_GOT(load, map) || !LOAD_GOT(load, bind))
        return NULL;
    read_mount_options(load, at, parts.options, &read_only, bind, &volume, &bind_used);
    bool path = parts.source != NULL && is_host_path(parts.source);
    add_text(load, map, "type", path ? "bind" : "volume");
    if (parts.source != NULL)
        add_text(load, map, "source", parts.source);
    const char *target = strlen(value->text) <= 2 ? parts.target : value_clean_path(&load->nodes, parts.target);
    add_text(load, map, "target", target);
    if (read_only)
        add_scalar(load, map, "read_only", TYPE_BOOL, "true");
    if (path)
        add_scalar(load, bind, "create_host_path", TYPE_BOOL, "true");
    if (path || bind_used)
        (void)add(load, map, "bind", bind);
    if (volume == NULL && !path && strlen(value->text) > 2)
        volume = node_new(&load->nodes, NODE_MAP, value);
    if (volume != NULL)
        (void)add(load, map, "volume", volume);
    return map;
}

/* ---- ports ---- */

struct range {
    unsigned from, to;
};

static bool take_port(const char **at, unsigned *out)
{
    size_t digits = strspn(*at, "0123456789");
    unsigned long value = 0;
    if (digits == 0 || digits > 8)
        return false;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (unsigned long)((*at)[i] - '0');
    *at += digits;
    *out = (unsigned)value;
    return value <= 65535;
}

static bool read_range(const char *text, struct range *out)
{
    struct range range;
    const char *s = text;
    if (!take_port(&s, &range.from))
        return false;
    range.to = range.from;
    if (*s == '-') {
        s++;
        if (!take_port(&s, &range.to) || range.to < range.from)
            return false;
    }
    *out = range;
    return *s == '\0';
}

struct short_port {
    const char *ip, *published, *target, *protocol;
};

/* [IP:][PUBLISHED:]TARGET[/PROTOCOL], an IPv6 address in brackets or not. */
static bool split_port(struct load *load, const char *text, struct short_port *out)
{
    char *copy = arena_string(&load->nodes, text);
    if (!LOAD_GOT(load, copy))
        return false;
    char *slash = strchr(copy, '/');
    if (slash != NULL)
        *slash++ = '\0';
    char *target = strrchr(copy, ':'), *published = NULL, *ip = NULL;
    if (target == NULL) {
        target = copy;
    } else {
        *target++ = '\0';
        published = strrchr(copy, ':');
        if (published == NULL) {
            published = copy;
        } else {
            *published++ = '\0';
            ip = copy;
        }
    }
    size_t length = ip == NULL ? 0 : strlen(ip);
    if (length > 1 && ip[0] == '[' && ip[length - 1] == ']') {
        ip[length - 1] = '\0';
        ip++;
    }
    *out = (struct short_port){ip == NULL ? "" : ip, published == NULL ? "" : published, target,
                               slash == NULL || *slash == '\0' ? "tcp" : slash};
    return true;
}

static const char *lower(struct load *load, const char *text)
{
    char *copy = arena_string(&load->nodes, text);
    for (char *s = copy; LOAD_GOT(load, copy) && *s != '\0'; s++)
        *s = *s >= 'A' && *s <= 'Z' ? (char)(*s | 0x20) : *s;
    return copy;
}

static bool is_protocol(const char *text)
{
    return strcmp(text, "tcp") == 0 || strcmp(text, "udp") == 0 || strcmp(text, "sctp") == 0;
}

static void add_port(struct load *load, struct node *list, const struct node *at, const struct short_port *port,
                     const char *published, unsigned target)
{
    char number[12];
    struct node *map = node_new(&load->nodes, NODE_MAP, at);
    if (!LOAD_GOT(load, map))
        return;
    (void)snprintf(number, sizeof number, "%u", target);
    add_text(load, map, "mode", "ingress");
    if (port->ip[0] != '\0')
        add_text(load, map, "host_ip", port->ip);
    add_scalar(load, map, "target", TYPE_INT, number);
    if (published[0] != '\0')
        add_text(load, map, "published", published);
    add_text(load, map, "protocol", port->protocol);
    if (!node_append(&load->nodes, list, map))
        load->out_of_memory = true;
}

static const char *const port_form = "write TARGET, PUBLISHED:TARGET or IP:PUBLISHED:TARGET, each a port or a range "
                                     "FROM-TO, and /udp behind it";

struct spread {
    struct short_port port;
    struct range target, host;
    bool published;
};

static bool read_port(struct load *load, const struct place *at, const char *text, struct spread *out)
{
    struct spread s = {0};
    if (!split_port(load, text, &s.port))
        return false;
    s.published = s.port.published[0] != '\0';
    s.port.protocol = lower(load, s.port.protocol);
    if (s.port.protocol == NULL)
        return false;
    if (s.port.ip[0] != '\0' && (!value_is_ip(s.port.ip) || (strchr(s.port.ip, ':') != NULL && text[0] != '[')))
        load_error(load, at, "\"%.100s\": \"%.60s\" is not an address, [::1] in brackets if it is IPv6; %s", text,
                   s.port.ip, port_form);
    else if (!read_range(s.port.target, &s.target) || s.target.from == 0)
        load_error(load, at, "\"%.100s\": \"%.60s\" is not a port of the container; %s", text, s.port.target,
                   port_form);
    else if (s.published && !read_range(s.port.published, &s.host))
        load_error(load, at, "\"%.100s\": \"%.60s\" is not a port of the host; %s", text, s.port.published, port_form);
    else if (!is_protocol(s.port.protocol))
        load_error(load, at, "\"%.100s\": the protocol \"%.60s\" is unknown; it is tcp, udp or sctp", text,
                   s.port.protocol);
    else if (s.published && s.target.from != s.target.to && s.host.to - s.host.from != s.target.to - s.target.from)
        load_error(load, at, "\"%.100s\": the two ranges are not of the same length", text);
    else {
        *out = s;
        return true;
    }
    return false;
}

/* Ports in the order of their digits, as Compose sorts them. */
static int compare_digits(const void *a, const void *b)
{
    char x[12], y[12];
    (void)snprintf(x, sizeof x, "%u/", *(const unsigned *)a);
    (void)snprintf(y, sizeof y, "%u/", *(const unsigned *)b);
    return strcmp(x, y);
}

static bool lengthen_port(struct load *load, const struct place *at, struct node *value, struct node *list)
{
    struct spread s;
    if (!read_port(load, at, value->text, &s))
        return false;
    unsigned count = s.target.to - s.target.from + 1;
    if (load->port_budget < count) {
        load_error(load, at, "the fleet has more than %d ports", LOAD_PORTS);
        load->port_budget = 0;
        return false;
    }
    load->port_budget -= count;
    unsigned *targets = arena_array(&load->nodes, count, sizeof *targets);
    for (unsigned i = 0; LOAD_GOT(load, targets) && i < count; i++)
        targets[i] = s.target.from + i;
    if (targets == NULL)
        return false;
    qsort(targets, count, sizeof *targets, compare_digits);
    for (unsigned i = 0; i < count && !load->out_of_memory; i++) {
        char published[24] = "";
        unsigned host = s.host.from + (targets[i] - s.target.from);
        if (s.published && count == 1 && s.host.from != s.host.to)
            (void)snprintf(published, sizeof published, "%u-%u", s.host.from, s.host.to);
        else if (s.published)
            (void)snprintf(published, sizeof published, "%u", host);
        add_port(load, list, value, &s.port, published, targets[i]);
    }
    return true;
}

struct node *lengthen_ports(struct load *load, const struct place *at, struct node *value)
{
    struct node *list = node_new(&load->nodes, NODE_LIST, value);
    if (!LOAD_GOT(load, list))
        return NULL;
    list->damaged = value->damaged;
    for (size_t i = 0; value->kind == NODE_LIST && i < value->count; i++) {
        struct node *item = value->items[i];
        struct place inner = place_item(at, value, i);
        if (item->kind == NODE_SCALAR && item->type == TYPE_FLOAT) {
            load_error(load, &inner, "%.60s is not a port; %s", item->text, port_form);
            list->damaged = true;
        } else if (item->kind == NODE_SCALAR) {
            load->silent = load->no_interpolation && item->type == TYPE_STRING;
            bool good = lengthen_port(load, &inner, item, list);
            bool as_written = load->silent && !good; /* all of them: a variable may be anything */
            load->silent = false;
            if (as_written)
                return value;
            list->damaged = !good || list->damaged;
        } else if (!node_append(&load->nodes, list, item)) {
            load->out_of_memory = true;
        }
    }
    return list;
}
