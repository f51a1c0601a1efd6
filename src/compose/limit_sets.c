/* Sets of limits in a service's words, outside of services: x-shoal.profiles. A profile is applied to the tree, before anything
 * is read of it: a service gets each key that it does not have itself, and the key keeps the place where it is written. */
#include <string.h>

#include "compose/language.h"

/* What a profile may hold, beside the words of x-shoal. What each means is a matter of the service's own table. */
static const struct key profile_keys[] = {
#define LIKE_SERVICE(name)                                                                                             \
    {                                                                                                                  \
        name, .read = read_nothing, .form = "as of a service", .doc = "Like *services.NAME." name "*."                 \
    }
    LIKE_SERVICE("blkio_config"),
    LIKE_SERVICE("cpu_period"),
    LIKE_SERVICE("cpu_quota"),
    LIKE_SERVICE("cpu_shares"),
    LIKE_SERVICE("cpus"),
    LIKE_SERVICE("cpuset"),
    LIKE_SERVICE("mem_limit"),
    LIKE_SERVICE("mem_reservation"),
    LIKE_SERVICE("memswap_limit"),
    LIKE_SERVICE("oom_score_adj"),
    LIKE_SERVICE("pids_limit"),
    LIKE_SERVICE("shm_size"),
    LIKE_SERVICE("ulimits"),
    {"x-shoal", .read = read_nothing, .form = "as of a service",
     .doc = "Like *services.NAME.x-shoal*, but for _profile_ and _group_."},
};
const struct section profile_section = SECTION("x-shoal.profiles.NAME",
                                               "Limits in the words of a service. Its _ulimits_ and _x-shoal_ are "
                                               "taken over key by key too.",
                                               profile_keys, false);

/* Words for the same thing: what a service says in one of them is not said again in another. */
static const char *const same[][5] = {
    {"cpus", "cpu_quota", "cpu_period", "deploy.resources.limits.cpus"},
    {"mem_limit", "deploy.resources.limits.memory"},
    {"mem_reservation", "deploy.resources.reservations.memory"},
    {"pids_limit", "deploy.resources.limits.pids"},
    {"cpu_shares", "x-shoal.cpu_weight", "x-shoal.cpu_idle"},
    {"storage_opt.size", "x-shoal.disk"},
};

static struct node *find_path(struct node *map, const char *path)
{
    char word[64];
    while (map != NULL && map->kind == NODE_MAP && *path != '\0') {
        size_t count = strcspn(path, ".");
        (void)snprintf(word, sizeof word, "%.*s", (int)count, path);
        map = node_get(map, word);
        path += count + (path[count] == '.');
    }
    return *path == '\0' && !node_is_null(map) ? map : NULL;
}

/* service: as written, before anything of the profile came to it. */
static bool says_so(struct node *service, const char *path)
{
    if (find_path(service, path) != NULL)
        return true;
    for (size_t i = 0; i < COUNT(same); i++)
        for (size_t k = 0; k < COUNT(same[i]) && same[i][k] != NULL; k++)
            if (strcmp(same[i][k], path) == 0)
                for (size_t n = 0; n < COUNT(same[i]) && same[i][n] != NULL; n++)
                    if (find_path(service, same[i][n]) != NULL)
                        return true;
    return false;
}

/* A service that has a section of deploy for such limits says all of them there. */
static const struct {
    const char *word, *section, *there;
} deployed[] = {
    {"cpus", "deploy.resources.limits", "cpus"},
    {"mem_limit", "deploy.resources.limits", "memory"},
    {"pids_limit", "deploy.resources.limits", "pids"},
    {"mem_reservation", "deploy.resources.reservations", "memory"},
};

static void give(struct load *load, struct node *map, const struct node_entry *entry)
{
    struct node_entry given = {.key = node_clone(&load->nodes, entry->key),
                               .value = node_clone(&load->nodes, entry->value)};
    if (!LOAD_GOT(load, given.key) || !LOAD_GOT(load, given.value))
        return;
    given.key->profiled = true;
    struct node_entry *old = node_find(map, entry->key->text);
    if (old != NULL)
        node_remove(map, old); /* it was null: nothing is said */
    if (!node_put_entry(&load->nodes, map, &given))
        load->out_of_memory = true;
}

static void give_limit(struct load *load, struct node *service, const struct node_entry *entry)
{
    for (size_t i = 0; i < COUNT(deployed); i++) {
        struct node *section = find_path(service, deployed[i].section);
        if (strcmp(deployed[i].word, entry->key->text) != 0 || section == NULL || section->kind != NODE_MAP)
            continue;
        struct node_entry there = {.key = node_new_text(&load->nodes, entry->key, deployed[i].there),
                                   .value = entry->value};
        if (LOAD_GOT(load, there.key))
            give(load, section, &there);
        return;
    }
    give(load, service, entry);
}

static void give_all(struct load *load, struct node *service, struct node *written, const struct node *profile)
{
    for (size_t i = 0; i < profile->count && !load->out_of_memory; i++) {
        const struct node_entry *entry = &profile->entries[i];
        const char *word = entry->key->text;
        bool by_key = strcmp(word, "ulimits") == 0 || strcmp(word, "x-shoal") == 0;
        struct node *own = node_get(service, word);
        if (!by_key || own == NULL || own->kind != NODE_MAP || entry->value->kind != NODE_MAP) {
            if (!says_so(written, word))
                give_limit(load, service, entry);
            continue;
        }
        for (size_t k = 0; k < entry->value->count; k++) {
            char path[160];
            (void)snprintf(path, sizeof path, "%.60s.%.90s", word, entry->value->entries[k].key->text);
            if (!says_so(written, path))
                give(load, own, &entry->value->entries[k]);
        }
    }
}

/* A profile in the long forms of a service, without what may not stand there; NULL and findings. */
static struct node *make_profile(struct load *load, const struct place *at, const struct node *written)
{
    char hint[120];
    if (written->kind != NODE_MAP) {
        load_unsupported(load, at, "takes a mapping, not %s", node_describe(written));
        return NULL;
    }
    struct node *profile = node_clone(&load->nodes, written);
    size_t used = 0;
    for (size_t i = 0; LOAD_GOT(load, profile) && i < profile->count; i++) {
        struct place inner = place_key(at, &profile->entries[i]);
        if (find_key(&profile_section, inner.word) == NULL)
            load_unsupported(load, &inner, "is no key of a profile%s", nearest_key(&profile_section, inner.word, hint));
        else
            profile->entries[used++] = profile->entries[i];
    }
    if (load->out_of_memory)
        return NULL;
    profile->count = (uint32_t)used;
    struct node *own = node_get(profile, "x-shoal");
    for (size_t i = 0; own != NULL && own->kind == NODE_MAP && i < own->count; i++) {
        struct place outer = {.outer = at, .word = "x-shoal", .file = own->file, .line = own->line};
        struct place inner = place_key(&outer, &own->entries[i]);
        if (strcmp(inner.word, "profile") != 0 && strcmp(inner.word, "group") != 0)
            continue;
        load_unsupported(load, &inner, "cannot stand in a profile; say it of the service");
        return NULL;
    }
    if (!check_kind(load, at, &service_kind, profile))
        return NULL;
    return lengthen(load, at, &service_kind, profile);
}

static struct node *find_profile(struct load *load, const struct place *at, const struct node *profiles,
                                 const struct node *name)
{
    if (!node_is(name, TYPE_STRING)) {
        load_unsupported(load, at, "takes the name of a profile, not %s", node_describe(name));
        return NULL;
    }
    struct node *found = profiles != NULL ? node_get(profiles, name->text) : NULL;
    if (found == NULL)
        load_unsupported(load, at, "there is no profile \"%.60s\" in x-shoal.profiles", name->text);
    return found;
}

static void apply_to(struct load *load, const struct place *at, const struct node *profiles, struct node *service)
{
    const struct node *x_shoal = node_get(service, "x-shoal");
    const struct node_entry *name = x_shoal != NULL && x_shoal->kind == NODE_MAP ? node_find(x_shoal, "profile") : NULL;
    if (name == NULL)
        return;
    struct place x_at = {.outer = at, .word = "x-shoal"};
    struct place name_at = place_key(&x_at, name);
    const struct node *profile = find_profile(load, &name_at, profiles, name->value);
    struct node *written = profile != NULL ? node_clone(&load->nodes, service) : NULL;
    if (written != NULL)
        give_all(load, service, written, profile);
    else if (profile != NULL)
        load->out_of_memory = true;
}

/* The profiles of the tree, each made fit for a service in its place; NULL none. */
static const struct node *make_profiles(struct load *load, const struct place *top, struct node *root)
{
    struct node *x_shoal = node_get(root, "x-shoal");
    struct node_entry *entry = x_shoal != NULL && x_shoal->kind == NODE_MAP ? node_find(x_shoal, "profiles") : NULL;
    if (entry == NULL || entry->value->kind != NODE_MAP)
        return NULL;
    struct place x_at = {.outer = top, .word = "x-shoal"};
    struct place at = place_key(&x_at, entry);
    for (size_t i = 0; i < entry->value->count && !load->out_of_memory; i++) {
        struct node_entry *profile = &entry->value->entries[i];
        struct place inner = place_key(&at, profile);
        struct node *made = make_profile(load, &inner, profile->value);
        if (made == NULL) /* which was said: who refers to it gets nothing */
            made = node_new(&load->nodes, NODE_MAP, profile->key);
        if (LOAD_GOT(load, made))
            profile->value = made;
    }
    return entry->value;
}

void apply_profiles(struct load *load, struct node *root)
{
    const struct place top = {.file = root->file, .line = root->line, .column = root->column};
    const struct node *profiles = make_profiles(load, &top, root);
    struct node *services = node_get(root, "services");
    struct place services_at = {.outer = &top, .word = "services"};
    for (size_t i = 0; services != NULL && services->kind == NODE_MAP && i < services->count && !load->out_of_memory;
         i++) {
        struct place at = place_key(&services_at, &services->entries[i]);
        if (services->entries[i].value->kind == NODE_MAP)
            apply_to(load, &at, profiles, services->entries[i].value);
    }
}

static bool is_used(const struct load *load, const char *name)
{
    for (size_t i = 0; i < load->services->count; i++) {
        const struct node *used = find_path(load->services->entries[i].value, "x-shoal.profile");
        if (used != NULL && node_is(used, TYPE_STRING) && strcmp(used->text, name) == 0)
            return true;
    }
    return false;
}

/* What a service uses is read there. The others are read for their mistakes alone. */
void read_profiles(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)key, (void)object;
    if (!take_kind(load, at, value, NODE_MAP))
        return;
    for (size_t i = 0; i < value->count && !load->out_of_memory; i++) {
        struct place inner = place_key(at, &value->entries[i]);
        if (!check_name(load, &inner, "profile", inner.word) || load->services == NULL || is_used(load, inner.word) ||
            value->entries[i].value->kind != NODE_MAP)
            continue;
        struct node *copy = node_clone(&load->nodes, value->entries[i].value);
        struct node *profile = LOAD_GOT(load, copy) ? typed(load, &inner, &service_kind, copy) : NULL;
        shoal_service_t *scratch = arena_alloc(load->arena, sizeof *scratch);
        if (LOAD_GOT(load, scratch) && LOAD_GOT(load, profile))
            read_scratch_service(load, &inner, profile, scratch);
    }
}
