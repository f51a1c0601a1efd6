/* Where a fleet's file lies and what that means: the base of relative paths, the project's name; finding the file. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "compose/keys.h"
#include "compose/values.h"

static char *working_directory(struct arena *arena)
{
    char *heap = getcwd(NULL, 0);
    char *copy = heap == NULL ? NULL : arena_string(arena, heap);
    free(heap);
    return copy;
}

void load_directory(struct load *load)
{
    const char *wanted = load->options->project_directory;
    const char *file = load->options->file;
    const char *slash = file == NULL || strcmp(file, "-") == 0 ? NULL : strrchr(file, '/');
    if (wanted == NULL)
        wanted = slash == NULL ? "" : arena_copy(&load->nodes, file, (size_t)(slash - file) + 1);
    if (!LOAD_GOT(load, wanted))
        return;
    const char *here = wanted[0] == '/' ? "/" : working_directory(&load->nodes);
    if (here == NULL) {
        const struct place nowhere = {0};
        load_error(load, &nowhere, "the working directory is gone, and with it the base of relative paths");
        return;
    }
    load->directory = value_path(&load->nodes, here, wanted);
    (void)load_got(load, load->directory);
}

const char *load_path(struct load *load, const struct place *at, const char *path)
{
    if (path[0] == '\0') {
        load_error(load, at, "a path is missing");
        return NULL;
    }
    const char *base = load->directory;
    if (path[0] == '~' && (path[1] == '/' || path[1] == '\0')) {
        base = load_variable(load, "HOME");
        if (base == NULL || base[0] != '/') {
            load_error(load, at, "\"%.200s\" needs the variable HOME, which is not set", path);
            return NULL;
        }
        path += path[1] == '/' ? 2 : 1;
        while (*path == '/')
            path++;
    }
    const char *out = base == NULL ? NULL : value_path(&load->nodes, base, path);
    if (!LOAD_GOT(load, out))
        return NULL;
    if (strlen(out) >= PATH_MAX) {
        load_error(load, at, "the path is longer than %d bytes", PATH_MAX - 1);
        return NULL;
    }
    return out;
}

static bool is_project_name(const char *name)
{
    size_t count = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return count > 0 && count <= 100 && name[count] == '\0' && name[0] != '_' && name[0] != '-';
}

/* A folder's name as a project's: small letters, and nothing that may not stand there. */
static char *normalise(struct arena *arena, const char *folder)
{
    char *out = arena_string(arena, folder);
    size_t used = 0;
    for (const char *s = folder; out != NULL && *s != '\0' && used < 100; s++) {
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
        if (!take_text(load, name_at, name, &project))
            return;
        at = name_at;
        source = NULL;
    }
    if (project == NULL || (project[0] == '\0' && source != NULL)) {
        const char *folder = load->directory == NULL ? "" : strrchr(load->directory, '/') + 1;
        project = normalise(&load->nodes, folder);
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
                   "%s%s\"%.100s\" is not a project name; it takes up to 100 of a-z 0-9 _ - and begins with a "
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

char *load_fleet_text(struct load *load, size_t *out_count)
{
    const struct place nowhere = {0};
    const char *path = load->options->file;
    if (path == NULL) {
        load_error(load, &nowhere, "no fleet file is given");
        return NULL;
    }
    shoal_error_t err;
    AUTO_FD fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    char *bytes = NULL;
    int code = fd < 0 ? shoal_fail(&err, -errno, "open") : read_all(fd, NODE_FILE_BYTES, &bytes, out_count, &err);
    if (code < 0)
        load_error(load, &nowhere, "%s", err.text);
    return bytes;
}

int shoal_compose_find(const char *dir, char **out_path, shoal_error_t *err)
{
    static const char *const names[] = {"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"};
    struct arena arena = {0};
    char *here = dir[0] == '/' ? arena_string(&arena, "/") : working_directory(&arena);
    char *at = here == NULL ? NULL : value_path(&arena, here, dir);
    int code = at == NULL ? shoal_fail(err, -ENOMEM, "%s", dir) : -ENOENT;
    while (code == -ENOENT) {
        for (size_t i = 0; i < COUNT(names) && code == -ENOENT; i++) {
            char *path = base_format("%s/%s", strcmp(at, "/") == 0 ? "" : at, names[i]);
            if (path == NULL) {
                code = shoal_fail(err, -ENOMEM, "%s", dir);
            } else if (access(path, F_OK) == 0) {
                *out_path = path;
                code = 0;
                break;
            }
            free(path);
        }
        if (strcmp(at, "/") == 0)
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
