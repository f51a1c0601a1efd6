/* Where a fleet's file lies and what that means: the base of relative paths, the project's name; finding the file. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "compose/language.h"
#include "compose/values.h"

static char *working_directory(struct arena *arena)
{
    char *heap = getcwd(NULL, 0);
    char *copy = heap == NULL ? NULL : arena_string(arena, heap);
    free(heap);
    return copy;
}

/* The base of relative paths: --project-directory, or where the first file is. Links in the way stay, as in Compose. */
void load_directory(struct load *load, const char *first_file)
{
    const char *wanted = load->options->project_directory;
    const char *slash = first_file == NULL || strcmp(first_file, "-") == 0 ? NULL : strrchr(first_file, '/');
    load->working_directory = working_directory(&load->nodes);
    if (wanted == NULL || wanted[0] == '\0')
        wanted = slash == NULL ? "" : arena_copy(&load->nodes, first_file, (size_t)(slash - first_file) + 1);
    if (!LOAD_GOT(load, wanted))
        return;
    const char *here = wanted[0] == '/' ? "/" : load->working_directory;
    if (here == NULL) {
        const struct place nowhere = {0};
        load_error(load, &nowhere, "the working directory is gone, and with it the base of relative paths");
        return;
    }
    load->directory = value_path(&load->nodes, here, wanted);
    (void)load_got(load, load->directory);
}

bool load_is_directory(const struct load *load, const char *path)
{
    struct stat st;
    return load->touches_files && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const char **load_split(struct load *load, const char *text, char separator)
{
    size_t room = 2, count = 0;
    for (const char *s = text; *s != '\0'; s++)
        room += *s == separator;
    const char **list = arena_array(&load->nodes, room, sizeof *list);
    while (LOAD_GOT(load, list)) {
        const char *end = strchrnul(text, separator);
        const char *from = text, *to = end;
        while (from < to && (*from == ' ' || *from == '\t'))
            from++;
        while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
            to--;
        if (to > from) {
            list[count] = arena_copy(&load->nodes, from, (size_t)(to - from));
            if (!LOAD_GOT(load, list[count++]))
                return NULL;
        }
        if (*end == '\0')
            break;
        text = end + 1;
    }
    return list;
}

bool load_add_profile(struct load *load, const char *name)
{
    for (size_t i = 0; i < load->profile_count; i++)
        if (strcmp(load->profiles[i], name) == 0)
            return false;
    const char **grown = arena_array(&load->nodes, load->profile_count + 1, sizeof *grown);
    if (!LOAD_GOT(load, grown))
        return false;
    if (load->profile_count > 0)
        memcpy(grown, load->profiles, load->profile_count * sizeof *grown);
    grown[load->profile_count++] = name;
    load->profiles = grown;
    return true;
}

/* --profile, or COMPOSE_PROFILES. */
void load_profiles(struct load *load)
{
    const char *const *wanted = load->options->profiles;
    const char *listed = load_variable(load, "COMPOSE_PROFILES");
    if ((wanted == NULL || wanted[0] == NULL) && listed != NULL)
        wanted = load_split(load, listed, ',');
    if (wanted == NULL || wanted[0] == NULL)
        (void)load_add_profile(load, ""); /* the profile without a name is active when no other is asked for */
    for (size_t i = 0; wanted != NULL && wanted[i] != NULL; i++)
        (void)load_add_profile(load, wanted[i]);
}

enum { LONGEST_NAME = 200 };

static bool is_project_name(const char *name)
{
    size_t count = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return count > 0 && count <= LONGEST_NAME && name[count] == '\0' && name[0] != '_' && name[0] != '-';
}

/* A folder's name as a project's: small letters, and nothing that may not stand there. */
static char *name_from(struct arena *arena, const char *folder)
{
    char *out = arena_string(arena, folder);
    size_t used = 0;
    for (const char *s = folder; out != NULL && *s != '\0' && used < LONGEST_NAME; s++) {
        char c = *s >= 'A' && *s <= 'Z' ? (char)(*s | 0x20) : *s;
        bool inner = c == '_' || c == '-';
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (inner && used > 0))
            out[used++] = c;
    }
    if (out != NULL)
        out[used] = '\0';
    return out;
}

void load_project(struct load *load, const struct place *name_at, const struct node *name)
{
    const struct place nowhere = {0};
    const char *project = load->options->project, *source = "-p";
    const struct place *at = &nowhere;
    if (project == NULL || project[0] == '\0') {
        project = load_variable(load, "COMPOSE_PROJECT_NAME");
        source = "COMPOSE_PROJECT_NAME";
    }
    if ((project == NULL || project[0] == '\0') && name != NULL) {
        /* what may not stand in a name goes out of it, as for a folder's */
        project = name_from(&load->nodes, name->text);
        load->named_by_file = true;
        at = name_at;
        source = NULL;
        if (LOAD_GOT(load, project) && project[0] == '\0') {
            load_error(load, at,
                       "\"%.100s\" gives no project name; it takes a-z 0-9 _ - and begins with a letter or "
                       "digit",
                       name->text);
            return;
        }
    }
    if (project == NULL || (project[0] == '\0' && source != NULL)) {
        const char *folder = load->directory == NULL ? "" : strrchr(load->directory, '/') + 1;
        project = name_from(&load->nodes, folder);
        source = NULL;
        if (project != NULL && project[0] == '\0') {
            load_error(load, &nowhere, "the folder's name gives no project name; write name: or use -p");
            return;
        }
    }
    if (!LOAD_GOT(load, project))
        return;
    if (!is_project_name(project))
        load_error(load, at,
                   "%s%s\"%.100s\" is not a project name; it takes up to 200 of a-z 0-9 _ - and begins with a "
                   "letter or digit",
                   source != NULL ? source : "", source != NULL ? ": " : "", project);
    else
        load->project = load->spec->project = keep(load, project);
}

/* Read what an open file still holds, at most limit bytes. */
static int read_all(int fd, size_t limit, char **out_bytes, size_t *out_count, shoal_error_t *err)
{
    struct text text = {0};
    char chunk[16384];
    int code = 0;
    text_add(&text, "", 0);
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            code = shoal_fail(err, -errno, "read");
        else if (text.count + (size_t)n > limit)
            code = shoal_refuse(err, -EFBIG, "larger than %zu MiB", limit >> 20);
        else
            text_add(&text, chunk, (size_t)n);
        if (code == 0 && text.failed)
            code = shoal_fail(err, -ENOMEM, "read");
        if (n <= 0 || code < 0)
            break;
    }
    if (code < 0) {
        text_free(&text);
        return code;
    }
    *out_count = text.count;
    *out_bytes = text_take(&text);
    return 0;
}

int compose_read_file(const char *path, size_t limit, char **out_bytes, size_t *out_count, shoal_error_t *err)
{
    /* O_NONBLOCK: a FIFO that nobody writes to must not hold us up before it is refused */
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return shoal_fail(err, -errno, "open");
    struct stat st;
    if (fstat(fd, &st) < 0)
        return shoal_fail(err, -errno, "fstat");
    if (!S_ISREG(st.st_mode))
        return shoal_refuse(err, -EINVAL, "not a regular file");
    return read_all(fd, limit, out_bytes, out_count, err);
}

int load_read_stdin(size_t limit, char **out_bytes, size_t *out_count, shoal_error_t *err)
{
    AUTO_FD fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? shoal_fail(err, -errno, "stdin") : read_all(fd, limit, out_bytes, out_count, err);
}

/* ---- finding the files ---- */

static char *find_in(const char *dir, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *path = base_format("%s/%s", strcmp(dir, "/") == 0 ? "" : dir, names[i]);
        if (path == NULL || access(path, F_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

int shoal_compose_find(const char *dir, char **out_path, shoal_error_t *err)
{
    static const char *const names[] = {"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"};
    struct arena arena = {0};
    char *here = dir[0] == '/' ? arena_string(&arena, "/") : working_directory(&arena);
    char *at = here == NULL ? NULL : value_path(&arena, here, dir);
    int code = at == NULL ? shoal_fail(err, -ENOMEM, "%s", dir) : -ENOENT;
    while (code == -ENOENT) {
        char *path = find_in(at, names, COUNT(names));
        if (path != NULL) {
            *out_path = path;
            code = 0;
        }
        if (path != NULL || strcmp(at, "/") == 0)
            break;
        char *slash = strrchr(at, '/');
        slash[slash == at] = '\0';
    }
    arena_free(&arena);
    if (code == -ENOENT)
        return shoal_refuse(err, -ENOENT,
                            "no compose.yaml, compose.yml, docker-compose.yaml or docker-compose.yml in %s "
                            "or a directory above it",
                            dir);
    return code;
}

/* A file that was found, and the override beside it. */
static const char **found_files(struct load *load)
{
    static const char *const names[] = {"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml",
                                        "docker-compose.override.yaml"};
    const struct place nowhere = {0};
    const char *dir = load->options->project_directory;
    shoal_error_t err;
    AUTO_FREE char *path = NULL;
    if (shoal_compose_find(dir == NULL ? "." : dir, &path, &err) < 0) {
        load_error(load, &nowhere, "no fleet file: %s; name one by -f", err.text);
        return NULL;
    }
    const char **files = arena_array(&load->nodes, 3, sizeof *files);
    files[0] = arena_string(&load->nodes, path);
    *strrchr(path, '/') = '\0';
    AUTO_FREE char *over = find_in(path, names, COUNT(names));
    if (over != NULL)
        files[1] = arena_string(&load->nodes, over);
    return files;
}

const char **load_files(struct load *load)
{
    const shoal_compose_options_t *options = load->options;
    static const char *const unnamed[] = {"compose.yaml", NULL};
    const char *const one[] = {options->file, NULL}, *const *wanted = options->files;
    const char *listed = environment_get(load->variables->outer, "COMPOSE_FILE");
    const char *separator = environment_get(load->variables->outer, "COMPOSE_PATH_SEPARATOR");
    if ((wanted == NULL || wanted[0] == NULL) && options->file != NULL)
        wanted = one;
    if ((wanted == NULL || wanted[0] == NULL) && options->text != NULL)
        wanted = unnamed;
    if ((wanted == NULL || wanted[0] == NULL) && listed != NULL && listed[0] != '\0')
        wanted = load_split(load, listed, separator == NULL || separator[0] == '\0' ? ':' : separator[0]);
    if (wanted == NULL || wanted[0] == NULL)
        return found_files(load);
    size_t count = 0;
    while (wanted[count] != NULL)
        count++;
    const char **files = arena_array(&load->nodes, count + 1, sizeof *files);
    for (size_t i = 0; LOAD_GOT(load, files) && i < count; i++)
        files[i] = wanted[i];
    return files;
}
