/* Limits of what a host has under names of its own: huge pages by their size, RDMA devices, misc resources. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "cgroup/inside.h"

enum { NAMES_TEXT = 1024 };

static const enum cgroup_controller controllers[] = {
    [SHOAL_NAMED_HUGETLB] = CGROUP_HUGETLB, [SHOAL_NAMED_RDMA] = CGROUP_RDMA, [SHOAL_NAMED_MISC] = CGROUP_MISC};

enum cgroup_controller cgroup_named_controller(shoal_named_kind_t kind)
{
    return controllers[kind];
}

/* ---- what this host has: words with blanks between them ---- */

/* mm/hugetlb_cgroup.c, mem_fmt(): in the largest unit that gives at least 1. */
static void put_page_size(struct text *out, uint64_t kib)
{
    if (kib >= 1 << 20)
        text_add_format(out, " %" PRIu64 "GB", kib >> 20);
    else if (kib >= 1 << 10)
        text_add_format(out, " %" PRIu64 "MB", kib >> 10);
    else
        text_add_format(out, " %" PRIu64 "KB", kib);
}

static void list_directory(const char *path, struct text *out)
{
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        uint64_t kib;
        if (entry->d_name[0] == '.')
            continue;
        if (sscanf(entry->d_name, "hugepages-%19" SCNu64 "kB", &kib) == 1)
            put_page_size(out, kib);
        else
            text_add_format(out, " %s", entry->d_name);
    }
    if (dir != NULL)
        (void)closedir(dir);
}

/* The first word of each line: the root has misc.capacity alone, other cgroups misc.max too. */
static void list_misc(const struct cgroup_root *root, struct text *out)
{
    char bytes[CGROUP_TEXT] = "";
    AUTO_FD top = open(root->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0 || (cgroup_file_read(top, "misc.capacity", bytes, sizeof bytes) < 0 &&
                    cgroup_file_read(top, "misc.max", bytes, sizeof bytes) < 0))
        return;
    for (char *line = bytes; *line != '\0';) {
        text_add_format(out, " %.*s", (int)strcspn(line, " \n"), line);
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
}

static bool has_word(const char *words, const char *word)
{
    size_t count = strlen(word);
    for (const char *at = words; at != NULL && (at = strstr(at, word)) != NULL; at++)
        if (at > words && at[-1] == ' ' && (at[count] == ' ' || at[count] == '\0'))
            return true;
    return false;
}

static int check_name(const struct cgroup_root *root, const shoal_named_limit_t *limit, shoal_error_t *err)
{
    static const char *const what[] = {[SHOAL_NAMED_HUGETLB] = "huge pages of that size",
                                       [SHOAL_NAMED_RDMA] = "RDMA device of that name",
                                       [SHOAL_NAMED_MISC] = "misc resource of that name"};
    struct text names = {0};
    switch (limit->kind) {
    case SHOAL_NAMED_HUGETLB:
        list_directory("/sys/kernel/mm/hugepages", &names);
        break;
    case SHOAL_NAMED_RDMA:
        list_directory("/sys/class/infiniband", &names);
        break;
    case SHOAL_NAMED_MISC:
        list_misc(root, &names);
        break;
    }
    int code = 0;
    if (names.failed)
        code = shoal_fail(err, -ENOMEM, "%s", limit->name);
    else if (names.bytes == NULL)
        code = shoal_refuse(err, -ENOENT, "this host has no %s, and none at all", what[limit->kind]);
    else if (!has_word(names.bytes, limit->name))
        code = shoal_refuse(err, -ENOENT, "this host has no %s; it has%.120s", what[limit->kind], names.bytes);
    text_free(&names);
    return code;
}

/* ---- as the kernel takes them ---- */

/* As the OCI runtimes, what is in use and what is reserved: to map huge pages reserves them, and would be refused later alone. */
static void add_hugetlb(struct limit_making *making, const shoal_named_limit_t *limit)
{
    static const char *const ends[] = {"max", "rsvd.max"};
    for (size_t i = 0; i < COUNT(ends); i++) {
        char *name = base_format("hugetlb.%s.%s", limit->name, ends[i]);
        const struct limit_file file = {name, "max", LIMIT_AS_WRITTEN};
        size_t at = making->limits->count;
        if (name != NULL)
            limit_add(making, &file, "", base_format("%" PRId64, limit->value));
        if (making->limits->count > at) {
            making->limits->settings[at].name = name;
        } else {
            making->failed = true;
            free(name);
        }
    }
}

static void put_count(struct text *out, const char *name, int64_t value)
{
    if (value < 0)
        text_add_format(out, "%s=max", name);
    else
        text_add_format(out, "%s=%" PRId64, name, value);
}

static void add_rdma(struct limit_making *making, const shoal_named_limit_t *limit)
{
    static const struct limit_file file = {"rdma.max", "hca_handle=max hca_object=max", LIMIT_AS_WRITTEN};
    struct text line = {0};
    put_count(&line, "hca_handle", limit->value);
    put_count(&line, " hca_object", limit->objects);
    limit_add(making, &file, limit->name, text_take(&line));
}

static void add_misc(struct limit_making *making, const shoal_named_limit_t *limit)
{
    static const struct limit_file file = {"misc.max", "max", LIMIT_AS_WRITTEN};
    limit_add(making, &file, limit->name, base_format("%" PRId64, limit->value));
}

void limit_add_named(struct limit_making *making, const shoal_named_limit_t *limit)
{
    static void (*const add[])(struct limit_making *, const shoal_named_limit_t *) = {
        [SHOAL_NAMED_HUGETLB] = add_hugetlb, [SHOAL_NAMED_RDMA] = add_rdma, [SHOAL_NAMED_MISC] = add_misc};
    add[limit->kind](making, limit);
}

int limits_add_named(struct limit_making *making, const shoal_limits_t *limits, struct cgroup_culprit *culprit,
                     shoal_error_t *err)
{
    for (size_t i = 0; i < limits->named_count; i++) {
        const shoal_named_limit_t *limit = &limits->named[i];
        if (!making->root->has[controllers[limit->kind]])
            continue;
        int code = check_name(making->root, limit, err);
        if (code < 0) {
            *culprit = (struct cgroup_culprit){limit->key, &limit->at};
            return code;
        }
        limit_add_named(making, limit);
    }
    return 0;
}
