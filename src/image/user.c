#include "image/user.h"

#include <errno.h>
#include <string.h>

#include "image/layer.h"

enum { FILE_MAX_BYTES = 8 << 20, LAST_ID = 65535 };

/* A piece of text that is not NUL-terminated. */
struct slice {
    const char *at;
    size_t count;
};

static bool slice_is(struct slice slice, struct slice other)
{
    return slice.count == other.count && memcmp(slice.at, other.at, slice.count) == 0;
}

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* Cut the next piece that ends at separator or at the end off rest; false when rest is used up (rest->at NULL). */
static bool cut(struct slice *rest, char separator, struct slice *out)
{
    if (rest->at == NULL)
        return false;
    const char *end = rest->count ? memchr(rest->at, separator, rest->count) : NULL;
    if (end == NULL) {
        *out = *rest;
        *rest = (struct slice){NULL, 0};
        return true;
    }
    *out = (struct slice){rest->at, (size_t)(end - rest->at)};
    *rest = (struct slice){end + 1, rest->count - out->count - 1};
    return true;
}

/* Digits alone. Larger numbers than 32 bits hold become UINT32_MAX, which no check of a range lets through. */
static bool parse_id(struct slice text, uint32_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.count; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.at[i] - '0');
        if (value > UINT32_MAX)
            value = UINT32_MAX;
    }
    *out = (uint32_t)value;
    return text.count > 0;
}

enum { PASSWD_FIELDS = 7, GROUP_FIELDS = 4 };

/* The fields of the next line that has at least `least` of them; lines that are no entries are passed over, as a C
 * library does. false at the end. */
static bool next_entry(struct slice *file, struct slice fields[PASSWD_FIELDS], size_t least)
{
    struct slice line;
    while (cut(file, '\n', &line)) {
        size_t count = 0;
        if (line.count == 0 || line.at[0] == '#')
            continue;
        while (count < PASSWD_FIELDS && cut(&line, ':', &fields[count]))
            count++;
        for (size_t i = count; i < PASSWD_FIELDS; i++)
            fields[i] = (struct slice){"", 0};
        if (count >= least)
            return true;
    }
    return false;
}

struct passwd_entry {
    struct slice name, home;
    uint32_t uid, gid;
};

/* The first entry of that number, or, where wanted is no number, of that name. */
static bool find_passwd(const char *passwd, struct slice wanted, struct passwd_entry *out)
{
    struct slice file = passwd ? slice_of(passwd) : (struct slice){NULL, 0}, fields[PASSWD_FIELDS];
    uint32_t number = 0;
    bool by_number = parse_id(wanted, &number);
    while (next_entry(&file, fields, 4)) {
        struct passwd_entry entry = {.name = fields[0], .home = fields[5]};
        if (!parse_id(fields[2], &entry.uid) || !parse_id(fields[3], &entry.gid))
            continue;
        if (by_number ? entry.uid == number : slice_is(entry.name, wanted)) {
            *out = entry;
            return true;
        }
    }
    return false;
}

static bool find_group(const char *group, struct slice wanted, uint32_t *out_gid)
{
    struct slice file = group ? slice_of(group) : (struct slice){NULL, 0}, fields[PASSWD_FIELDS];
    while (next_entry(&file, fields, GROUP_FIELDS - 1)) {
        if (slice_is(fields[0], wanted) && parse_id(fields[2], out_gid))
            return true;
    }
    return false;
}

static int check_id(uint32_t id, const char *what, struct slice name, shoal_error_t *err)
{
    if (id <= LAST_ID)
        return 0;
    return shoal_refuse(err, -EINVAL, "%s '%.*s': id %u is outside 0..65535", what, (int)name.count, name.at, id);
}

/* A group by number (which need not be listed) or name (which must be). */
static int resolve_group(const char *group, struct slice wanted, uint32_t *out_gid, shoal_error_t *err)
{
    if (!parse_id(wanted, out_gid) && !find_group(group, wanted, out_gid))
        return shoal_refuse(err, -ENOENT, "group '%.*s' is not in the image's /etc/group", (int)wanted.count,
                            wanted.at);
    return check_id(*out_gid, "group", wanted, err);
}

static int add_group(struct image_user *user, uint32_t gid, shoal_error_t *err)
{
    for (size_t i = 0; i < user->group_count; i++) {
        if (user->groups[i] == gid)
            return 0;
    }
    if (user->group_count == COUNT(user->groups))
        return shoal_refuse(err, -E2BIG, "user has more than %zu groups", COUNT(user->groups));
    user->groups[user->group_count++] = gid;
    return 0;
}

/* The groups whose member lists name the user. */
static int add_memberships(struct image_user *user, const char *group, struct slice name, shoal_error_t *err)
{
    struct slice file = group ? slice_of(group) : (struct slice){NULL, 0}, fields[PASSWD_FIELDS], member;
    int code = 0;
    while (code == 0 && next_entry(&file, fields, GROUP_FIELDS)) {
        uint32_t gid;
        if (!parse_id(fields[2], &gid))
            continue;
        while (code == 0 && cut(&fields[3], ',', &member)) {
            if (!slice_is(member, name))
                continue;
            code = check_id(gid, "group", fields[0], err);
            if (code == 0)
                code = add_group(user, gid, err);
        }
    }
    return code;
}

static int set_home(struct image_user *user, struct slice home, shoal_error_t *err)
{
    if (home.count == 0)
        home = slice_of("/");
    if (home.count >= sizeof user->home)
        return shoal_fail(err, -ENAMETOOLONG, "home directory '%.40s...' in the image's /etc/passwd", home.at);
    memcpy(user->home, home.at, home.count);
    user->home[home.count] = '\0';
    return 0;
}

int user_resolve(const char *passwd, const char *group, const char *user, const shoal_strings_t *extra_groups,
                 struct image_user *out, shoal_error_t *err)
{
    struct slice rest = slice_of(user ? user : ""), name = {"", 0}, group_name = {NULL, 0};
    (void)cut(&rest, ':', &name);
    if (rest.count > 0)
        group_name = rest;
    if (name.count == 0)
        name = slice_of("0");

    struct image_user found = {0};
    struct passwd_entry entry = {.home = {"", 0}};
    bool listed = find_passwd(passwd, name, &entry);
    if (!listed && !parse_id(name, &entry.uid))
        return shoal_refuse(err, -ENOENT, "user '%.*s' is not in the image's /etc/passwd", (int)name.count, name.at);
    int code = check_id(entry.uid, "user", name, err);
    if (code == 0)
        code = group_name.at ? resolve_group(group, group_name, &entry.gid, err)
                             : check_id(entry.gid, "group of user", name, err);
    if (code == 0)
        code = set_home(&found, entry.home, err);

    /* The primary group is among the supplementary ones too, so that a set-group-id program does not shed it and pass
     * by a file that is closed to that group. Memberships count only where the file did not name a group itself. */
    if (code == 0)
        code = add_group(&found, entry.gid, err);
    if (code == 0 && listed && group_name.at == NULL)
        code = add_memberships(&found, group, entry.name, err);
    for (size_t i = 0; code == 0 && extra_groups && i < extra_groups->count; i++) {
        uint32_t gid = 0;
        code = resolve_group(group, slice_of(extra_groups->items[i]), &gid, err);
        if (code == 0)
            code = add_group(&found, gid, err);
    }
    if (code < 0)
        return code;
    found.uid = entry.uid;
    found.gid = entry.gid;
    *out = found;
    return 0;
}

/* *out_text: NULL where the image has no such file. */
static int read_file(const struct image *image, const char *path, char **out_text, shoal_error_t *err)
{
    struct text text = {0};
    int code = layer_read(image, path, FILE_MAX_BYTES, &text, err);
    if (code == 0)
        *out_text = text_take(&text);
    text_free(&text);
    return code == -ENOENT ? 0 : code; /* an image without users is fine: numbers need no list */
}

int image_find_user(const struct image *image, const char *user, const shoal_strings_t *extra_groups,
                    struct image_user *out, shoal_error_t *err)
{
    AUTO_FREE char *passwd = NULL;
    AUTO_FREE char *group = NULL;
    int code = read_file(image, "etc/passwd", &passwd, err);
    if (code == 0)
        code = read_file(image, "etc/group", &group, err);
    return code < 0 ? code : user_resolve(passwd, group, user, extra_groups, out, err);
}
