/* Groups of services and the project's budget: x-shoal.groups, x-shoal.budget, x-shoal.group of a service. Limits are in a
 * service's words, and the service's own rows read them. */
#include <ctype.h>
#include <string.h>

#include "compose/language.h"

#define LIKE_SERVICE(name)                                                                                             \
    {                                                                                                                  \
        name, .read = read_nothing, .form = "as of a service", .doc = "Like *services.NAME." name "*."                 \
    }
static const struct key group_keys[] = {
    LIKE_SERVICE("blkio_config"),
    LIKE_SERVICE("cpu_period"),
    LIKE_SERVICE("cpu_quota"),
    LIKE_SERVICE("cpu_shares"),
    LIKE_SERVICE("cpus"),
    LIKE_SERVICE("cpuset"),
    LIKE_SERVICE("mem_limit"),
    LIKE_SERVICE("mem_reservation"),
    LIKE_SERVICE("memswap_limit"),
    LIKE_SERVICE("pids_limit"),
    {"x-shoal", .read = read_nothing, .form = "as of a service",
     .doc = "Like *services.NAME.x-shoal*, its limits: _memory_high_, _oom_, _cpu_weight_, _cpu_idle_, _cpu_burst_, "
            "_cpuset_mems_, _hugetlb_, _rdma_, _misc_."},
};
const struct section group_section = SECTION("x-shoal.groups.NAME",
                                             "Limits of a group and of the project, in the words of a service. Each is "
                                             "a cgroup around those of its members: what they use together.",
                                             group_keys, false);

enum { GROUPS_MOST = 1000, DEEPEST = 8, NAME_MOST = 200 };

struct group_choice {
    struct group_choice *next;
    shoal_service_t *service;
    const char *name;
    struct place at;
};

/* Of a service's x-shoal what can change while it runs is a limit, or the name of a set of them. */
static void keep_limits(struct load *load, const struct place *outer, struct node *x_shoal)
{
    struct place at = {.outer = outer, .word = "x-shoal", .file = x_shoal->file, .line = x_shoal->line};
    size_t used = 0;
    for (size_t i = 0; x_shoal->kind == NODE_MAP && i < x_shoal->count; i++) {
        struct place inner = place_key(&at, &x_shoal->entries[i]);
        const struct key *row = find_key(&service_x_section, inner.word);
        if (row == NULL || row->reload != RELOAD_LIVE || strcmp(row->name, "profile") == 0)
            load_error(load, &inner, "is no limit of a group");
        else
            x_shoal->entries[used++] = x_shoal->entries[i];
    }
    if (x_shoal->kind == NODE_MAP)
        x_shoal->count = (uint32_t)used;
}

static void read_limits(struct load *load, const struct place *at, struct node *map, shoal_limits_t *out)
{
    char hint[120];
    if (node_is_null(map) || !take_kind(load, at, map, NODE_MAP))
        return;
    struct node *copy = node_clone(&load->nodes, map);
    if (!LOAD_GOT(load, copy))
        return;
    size_t used = 0;
    for (size_t i = 0; i < copy->count; i++) {
        struct place inner = place_key(at, &copy->entries[i]);
        if (find_key(&group_section, inner.word) == NULL)
            load_error(load, &inner, "is no limit of a group%s", nearest_key(&group_section, inner.word, hint));
        else
            copy->entries[used++] = copy->entries[i];
    }
    copy->count = (uint32_t)used;
    struct node *x_shoal = node_get(copy, "x-shoal");
    if (x_shoal != NULL)
        keep_limits(load, at, x_shoal);
    if (!check_kind(load, at, &service_kind, copy) || (copy = lengthen(load, at, &service_kind, copy)) == NULL ||
        (copy = typed(load, at, &service_kind, copy)) == NULL)
        return;
    shoal_service_t *scratch = arena_alloc(load->arena, sizeof *scratch);
    if (!LOAD_GOT(load, scratch))
        return;
    for (size_t i = 0; i < copy->count; i++) /* what a service has without being told is nothing of ours */
        if (find_key(&group_section, copy->entries[i].key->text) == NULL)
            node_remove(copy, &copy->entries[i--]);
    read_scratch_service(load, at, copy, scratch);
    *out = scratch->limits;
    check_limits_together(load, at, out);
}

/* A path whose words can be directories beside the kernel's own files, whose names have dots. */
static bool check_path(struct load *load, const struct place *at, const char *path)
{
    unsigned depth = 1;
    const char *word = path;
    bool good = strlen(path) <= NAME_MOST;
    for (const char *s = path; good; s++) {
        if (*s == '/' || *s == '\0') {
            good = s != word;
            word = s + 1;
            depth += *s == '/';
        } else {
            good = isalnum((unsigned char)*s) || ((*s == '_' || *s == '-') && s != word);
        }
        if (*s == '\0')
            break;
    }
    if (!good || depth > DEEPEST)
        load_error(
            load, at,
            "\"%.60s\" is no path of a group; its words are letters, digits, _ and -, with / between them, %d at most",
            path, DEEPEST);
    return good && depth <= DEEPEST;
}

static int find_group(const shoal_spec_t *spec, const char *path)
{
    for (size_t i = 0; i < spec->group_count; i++)
        if (strcmp(spec->groups[i].name, path) == 0)
            return (int)i;
    return SHOAL_NO_GROUP;
}

/* With all that it lies in, parents first. */
static int add_group(struct load *load, const struct place *at, const char *path)
{
    shoal_spec_t *spec = load->spec;
    int found = find_group(spec, path);
    if (found != SHOAL_NO_GROUP)
        return found;
    const char *slash = strrchr(path, '/');
    int parent = SHOAL_NO_GROUP;
    if (slash != NULL) {
        char outer[NAME_MOST + 1];
        (void)snprintf(outer, sizeof outer, "%.*s", (int)(slash - path), path);
        parent = add_group(load, at, outer);
        if (parent == SHOAL_NO_GROUP)
            return SHOAL_NO_GROUP;
    }
    char *name = keep(load, path);
    if (name == NULL)
        return SHOAL_NO_GROUP;
    if (spec->group_count == GROUPS_MOST) {
        load_error(load, at, "there are more than %d groups", GROUPS_MOST);
        return SHOAL_NO_GROUP;
    }
    spec->groups[spec->group_count] = (shoal_group_t){.name = name, .parent = parent};
    return (int)spec->group_count++;
}

static const char *last_word(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* A sandbox's directory stands beside those of the groups in the same place. */
static void check_names(struct load *load, const shoal_service_t *service)
{
    const shoal_spec_t *spec = load->spec;
    const struct place at = {.outer = &load->services_at,
                             .word = service->name,
                             .file = load_file_number(load, &service->at),
                             .line = service->at.line,
                             .column = service->at.column};
    char prefix[300];
    (void)snprintf(prefix, sizeof prefix, "%.120s-%.120s-", spec->project != NULL ? spec->project : "", service->name);
    for (size_t i = 0; i < spec->group_count; i++) {
        const char *word = last_word(spec->groups[i].name);
        bool same = service->container_name != NULL ? strcmp(word, service->container_name) == 0
                                                    : strncmp(word, prefix, strlen(prefix)) == 0;
        if (spec->groups[i].parent == service->group && same)
            load_error(load, &at, "a group and a container would both be \"%.60s\"", word);
    }
}

void read_groups_later(struct load *load, const struct place *at, const struct key *key, struct node *value,
                       void *object)
{
    (void)key, (void)object;
    if (node_is_null(value) || !take_kind(load, at, value, NODE_MAP))
        return;
    shoal_spec_t *spec = load->spec;
    spec->groups = arena_array(load->arena, GROUPS_MOST, sizeof *spec->groups);
    if (!LOAD_GOT(load, spec->groups))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place inner = place_key(at, &value->entries[i]);
        int group = check_path(load, &inner, inner.word) ? add_group(load, &inner, inner.word) : SHOAL_NO_GROUP;
        if (group == SHOAL_NO_GROUP)
            continue;
        spec->groups[group].at = place_position(load, &inner);
        read_limits(load, &inner, value->entries[i].value, &spec->groups[group].limits);
    }
}

void read_budget(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)key, (void)object;
    read_limits(load, at, value, &load->spec->budget);
}

void read_group_name(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    (void)key;
    const char *name;
    if (!take_text(load, at, value, &name))
        return;
    struct group_choice *choice = arena_alloc(&load->nodes, sizeof *choice);
    if (!LOAD_GOT(load, choice))
        return;
    *choice = (struct group_choice){.next = load->choices, .service = object, .name = name, .at = *at};
    choice->at.outer = NULL; /* gone by then: the words are put together below */
    load->choices = choice;
}

void settle_groups(struct load *load)
{
    struct place x_at = {.word = "x-shoal"};
    for (struct group_choice *choice = load->choices; choice != NULL; choice = choice->next) {
        struct place service_at = {.outer = &load->services_at, .word = choice->service->name};
        x_at.outer = &service_at;
        choice->at.outer = &x_at;
        choice->service->group = find_group(load->spec, choice->name);
        if (choice->service->group == SHOAL_NO_GROUP)
            load_error(load, &choice->at, "there is no group \"%.60s\" in x-shoal.groups", choice->name);
    }
    for (size_t i = 0; i < load->spec->service_count && load->spec->group_count > 0; i++)
        if (load->spec->services[i].name != NULL)
            check_names(load, &load->spec->services[i]);
}
