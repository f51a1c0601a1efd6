/* Capabilities, security options, sysctls. */
#include <errno.h>
#include <string.h>

#include "base/capability.h"
#include "compose/keys.h"
#include "compose/values.h"

void read_capabilities(struct load *load, const struct place *at, const struct key *key, struct node *value,
                       void *object)
{
    uint64_t *set = AT(uint64_t, object, key->offset);
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place item = place_item(at, value, i);
        const char *text;
        unsigned number;
        if (!take_text(load, &item, value->items[i], &text))
            continue;
        if (strcasecmp(text, "ALL") == 0 || strcasecmp(text, "CAP_ALL") == 0)
            *set = ~UINT64_C(0);
        else if (capability_parse(text, &number) == 0)
            *set |= UINT64_C(1) << number;
        else
            load_error(load, &item, "\"%.60s\" is not a capability; write NET_ADMIN or CAP_NET_ADMIN", text);
    }
}

void read_security_opt(struct load *load, const struct place *at, const struct key *key, struct node *value,
                       void *object)
{
    (void)key;
    shoal_service_t *service = object;
    if (!take_kind(load, at, value, NODE_LIST))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place item = place_item(at, value, i);
        const char *text;
        if (!take_text(load, &item, value->items[i], &text))
            continue;
        size_t name = strcspn(text, ":=");
        const char *argument = text[name] == '\0' ? "" : text + name + 1;
        if (name == strlen("no-new-privileges") && strncmp(text, "no-new-privileges", name) == 0) {
            if (strcmp(argument, "false") == 0)
                service->no_new_privileges = false;
            else if (argument[0] == '\0' || strcmp(argument, "true") == 0)
                service->no_new_privileges = true;
            else
                load_error(load, &item, "\"%.60s\" is neither true nor false", argument);
        } else if (name == strlen("seccomp") && strncmp(text, "seccomp", name) == 0 &&
                   strcmp(argument, "unconfined") == 0) {
            service->seccomp_unconfined = true;
        } else {
            load_error(load, &item,
                       "\"%.100s\" is not supported yet; no-new-privileges[:false] and seccomp=unconfined "
                       "are",
                       text);
        }
    }
}

static bool is_namespaced_sysctl(const char *name)
{
    static const char *const kernel[] = {"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
                                         "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};
    for (size_t i = 0; i < COUNT(kernel); i++)
        if (strcmp(name, kernel[i]) == 0)
            return true;
    return strncmp(name, "net.", 4) == 0 || strncmp(name, "fs.mqueue.", 10) == 0;
}

static void add_sysctl(struct load *load, const struct place *at, const char *name, const char *value, void *data)
{
    shoal_service_t *service = data;
    size_t count = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"), line = 0;
    if (count == 0 || count > 200 || name[count] != '\0' || strstr(name, "..") != NULL || name[count - 1] == '.') {
        load_error(load, at, "\"%.60s\" is not a sysctl; write net.core.somaxconn", name);
        return;
    }
    if (value == NULL || value[0] == '\0' || strlen(value) > 1000) {
        load_error(load, at, "\"%.60s\" needs a value", name);
        return;
    }
    if (!is_namespaced_sysctl(name)) {
        load_error(load, at,
                   "refused: %.60s is the whole host's; net.*, fs.mqueue.*, kernel.sem, kernel.msg* and "
                   "kernel.shm* belong to a sandbox",
                   name);
        return;
    }
    char *key = keep(load, name), *text = keep(load, value);
    int code = key == NULL || text == NULL ? -ENOMEM
                                           : names_put(&load->draft->sysctl_names, key, (size_t)at->line, &line);
    if (code == 0)
        load_error(load, at, "%.60s is set already, on line %zu", name, line);
    else if (code < 0)
        load->out_of_memory = true;
    else
        service->sysctls[service->sysctl_count++] = (shoal_pair_t){key, text, place_position(load, at)};
}

void read_sysctls(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)key;
    shoal_service_t *service = object;
    service->sysctls = arena_array(load->arena, value->kind == NODE_SCALAR ? 0 : value->count,
                                   sizeof *service->sysctls);
    if (LOAD_GOT(load, service->sysctls))
        each_pair(load, at, value, "=", add_sysctl, service);
}
