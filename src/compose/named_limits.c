/* Limits of what a host has under names of its own: x-shoal.hugetlb, rdma and misc. */
#include <string.h>

#include "compose/keys.h"

enum { LONGEST = 63, MOST = 64 };

/* A place in the service's list, or NULL: it is full, or there is no memory, which was said. */
static shoal_named_limit_t *add_named(struct load *load, const struct place *at, shoal_service_t *service,
                                      shoal_named_kind_t kind, const char *key)
{
    shoal_limits_t *limits = &service->limits;
    size_t count = strlen(at->word);
    if (count == 0 || count > LONGEST || strcspn(at->word, " \t\n/") != count) {
        load_error(load, at, "\"%.100s\" is no name that a kernel has; they are 1 to %d letters", at->word, LONGEST);
        return NULL;
    }
    if (limits->named == NULL)
        limits->named = arena_array(load->arena, MOST, sizeof *limits->named);
    if (!LOAD_GOT(load, limits->named))
        return NULL;
    if (limits->named_count == MOST) {
        load_error(load, at, "more than %d names", MOST);
        return NULL;
    }
    char *name = keep(load, at->word), *full = arena_format(load->arena, "x-shoal.%s.%s", key, at->word);
    if (!LOAD_GOT(load, name) || !LOAD_GOT(load, full))
        return NULL;
    shoal_named_limit_t *limit = &limits->named[limits->named_count++];
    *limit = (shoal_named_limit_t){kind, name, -1, -1, full, place_position(load, at)};
    return limit;
}

/* "2MB", as the kernel's files have it; 0: it is none. */
static uint64_t parse_page_size(const char *text)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {{"KB", 10}, {"MB", 20}, {"GB", 30}};
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 4 || text[0] == '0')
        return 0;
    for (size_t i = 0; i < COUNT(units); i++)
        if (strcmp(text + digits, units[i].unit) == 0)
            return strtoull(text, NULL, 10) << units[i].shift;
    return 0;
}

void read_hugetlb(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    if (!take_kind(load, at, value, NODE_MAP))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place inner = place_key(at, &value->entries[i]);
        uint64_t page = parse_page_size(inner.word), bytes;
        if (page == 0) {
            load_error(load, &inner, "\"%.60s\" is no size of huge pages; write 64KB, 2MB or 1GB", inner.word);
            continue;
        }
        if (!take_size(load, &inner, value->entries[i].value, &bytes))
            continue;
        if (bytes % page != 0 || bytes > INT64_MAX) {
            load_error(load, &inner, "%.60s is no whole number of pages of %s", value->entries[i].value->text,
                       inner.word);
            continue;
        }
        shoal_named_limit_t *limit = add_named(load, &inner, object, SHOAL_NAMED_HUGETLB, key->name);
        if (limit != NULL)
            limit->value = (int64_t)bytes;
    }
}

static void read_hca(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    int64_t count;
    if (take_integer(load, at, value, 0, INT32_MAX - 1, &count)) /* INT32_MAX is the kernel's "max" */
        *AT(int64_t, object, key->offset) = count;
}

static const struct key rdma_keys[] = {
    {"hca_handle", .read = read_hca, .offset = offsetof(shoal_named_limit_t, value), .form = "number",
     .doc = "Handles at most."},
    {"hca_object", .read = read_hca, .offset = offsetof(shoal_named_limit_t, objects), .form = "number",
     .doc = "Objects at most."},
};
const struct section rdma_section = SECTION("services.NAME.x-shoal.rdma.DEVICE", "One RDMA device.", rdma_keys, false);

void read_rdma(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    if (!take_kind(load, at, value, NODE_MAP))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place inner = place_key(at, &value->entries[i]);
        shoal_named_limit_t limit = {.value = -1, .objects = -1}, *kept;
        if (!read_section(load, &inner, &rdma_section, value->entries[i].value, &limit))
            continue;
        if (value->entries[i].value->count == 0)
            load_error(load, &inner, "limits nothing; write hca_handle or hca_object");
        else if ((limit.value >= 0 || limit.objects >= 0) &&
                 (kept = add_named(load, &inner, object, SHOAL_NAMED_RDMA, key->name)) != NULL) {
            kept->value = limit.value;
            kept->objects = limit.objects;
        }
    }
}

void read_misc(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    if (!take_kind(load, at, value, NODE_MAP))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place inner = place_key(at, &value->entries[i]);
        int64_t count;
        if (!take_integer(load, &inner, value->entries[i].value, 0, INT64_MAX, &count))
            continue;
        shoal_named_limit_t *limit = add_named(load, &inner, object, SHOAL_NAMED_MISC, key->name);
        if (limit != NULL)
            limit->value = count;
    }
}
