#include "image/builtin.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/base.h"
#include "image/image.h"

#if defined(__x86_64__)
#define NATIVE_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define NATIVE_MACHINE EM_AARCH64
#else
#error "builtin: name this machine's ELF number"
#endif

/* What is around the program. In order: a directory comes before what is in it. A change here needs a new LAYOUT. */
enum { LAYOUT = 1 };
static const struct {
    const char *path;
    mode_t mode;      /* 0: a symbolic link */
    const char *text; /* of a file, or where the link points; NULL: a directory */
} layout[] = {
    {"bin", 0755, NULL},
    {"dev", 0755, NULL},
    {"etc", 0755, NULL},
    {"home", 0755, NULL},
    {"mnt", 0755, NULL},
    {"opt", 0755, NULL},
    {"proc", 0755, NULL},
    {"root", 0700, NULL},
    {"run", 0755, NULL},
    {"srv", 0755, NULL},
    {"sys", 0755, NULL},
    {"tmp", 01777, NULL},
    {"usr", 0755, NULL},
    {"var", 0755, NULL},
    {"var/log", 0755, NULL},
    {"var/spool", 0755, NULL},
    {"var/tmp", 01777, NULL},
    {"sbin", 0, "bin"},
    {"usr/bin", 0, "../bin"},
    {"usr/sbin", 0, "../bin"},
    {"var/run", 0, "../run"},
    {"etc/passwd", 0644,
     "root:x:0:0:root:/root:/bin/sh\n"
     "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
     "bin:x:2:2:bin:/bin:/bin/false\n"
     "sys:x:3:3:sys:/dev:/bin/false\n"
     "mail:x:8:8:mail:/var/spool:/bin/false\n"
     "www-data:x:33:33:www-data:/var:/bin/false\n"
     "operator:x:37:37:operator:/var:/bin/false\n"
     "nobody:x:65534:65534:nobody:/home:/bin/false\n"},
    {"etc/group", 0644,
     "root:x:0:\n"
     "daemon:x:1:\n"
     "bin:x:2:\n"
     "sys:x:3:\n"
     "adm:x:4:\n"
     "tty:x:5:\n"
     "disk:x:6:\n"
     "mail:x:8:\n"
     "wheel:x:10:root\n"
     "www-data:x:33:\n"
     "operator:x:37:\n"
     "utmp:x:43:\n"
     "users:x:100:\n"
     "nogroup:x:65534:\n"},
};

/* The host's busybox. */
struct program {
    int fd;
    char *path; /* owned */
    struct stat st;
};

static void program_fini(struct program *program)
{
    base_close_fd(&program->fd);
    free(program->path);
}

/* 0 where it needs no interpreter, -ENOEXEC not an ELF file of this machine, -ELIBACC dynamic. */
static int check_static(int fd)
{
    ElfW(Ehdr) header;
    if (pread(fd, &header, sizeof header, 0) != sizeof header || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
        header.e_machine != NATIVE_MACHINE || (header.e_type != ET_EXEC && header.e_type != ET_DYN) ||
        header.e_phentsize != sizeof(ElfW(Phdr)))
        return -ENOEXEC;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) segment;
        off_t at = (off_t)(header.e_phoff + i * sizeof segment);
        if (pread(fd, &segment, sizeof segment, at) != sizeof segment)
            return -ENOEXEC;
        if (segment.p_type == PT_INTERP)
            return -ELIBACC;
    }
    return 0;
}

/* Open path (owned) as the program. Takes path on success. Returns 0 or -errno. */
static int open_program(char *path, struct program *out)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EACCES;
    int code = check_static(fd);
    if (code == 0)
        *out = (struct program){.fd = take_fd(&fd), .path = path, .st = st};
    return code;
}

/* /bin/busybox, then PATH. The first static one. */
static int find_busybox(struct program *out, shoal_error_t *err)
{
    static const char install[] = "install the package busybox-static";
    const char *search = getenv("PATH");
    AUTO_FREE char *list = base_format("/bin:%s", search ? search : "");
    if (list == NULL)
        return shoal_fail(err, -ENOMEM, "busybox");
    AUTO_FREE char *refused = NULL; /* the first that is there but will not do */
    int reason = 0;
    char *rest = list, *directory;
    while ((directory = strsep(&rest, ":")) != NULL) {
        if (*directory != '/')
            continue; /* an image does not depend on where its maker stands */
        char *path = base_format("%s/busybox", directory);
        int code = path ? open_program(path, out) : -ENOMEM;
        if (code == 0)
            return 0;
        if (code != -ENOENT && code != -ENOTDIR && refused == NULL) {
            reason = code;
            refused = path;
            path = NULL;
        }
        free(path);
        if (code == -ENOMEM)
            return shoal_fail(err, -ENOMEM, "busybox");
    }
    if (refused == NULL)
        return shoal_refuse(err, -ENOENT, "no busybox in /bin and PATH; %s", install);
    if (reason == -ELIBACC)
        return shoal_refuse(err, -ENOENT, "%s is linked dynamically; %s", refused, install);
    if (reason == -ENOEXEC)
        return shoal_refuse(err, -ENOENT, "%s is not a program of this machine; %s", refused, install);
    return shoal_fail(err, reason, "%s", refused);
}

/* The applets' names, one a line, as the program itself lists them. */
static int list_applets(const struct program *program, struct text *out, shoal_error_t *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return shoal_fail(err, -errno, "%s --list: pipe", program->path);
    AUTO_FD read_fd = ends[0];
    AUTO_FD write_fd = ends[1];

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int code = -posix_spawn_file_actions_init(&actions);
    if (code < 0)
        return shoal_fail(err, code, "%s --list", program->path);
    code = -posix_spawnattr_init(&attributes);
    if (code < 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return shoal_fail(err, code, "%s --list", program->path);
    }
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    code = -posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (code == 0)
        code = -posix_spawn_file_actions_adddup2(&actions, write_fd, STDOUT_FILENO);
    if (code == 0)
        code = -posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    char name[] = "busybox", option[] = "--list", *argv[] = {name, option, NULL}, *envp[] = {NULL};
    pid_t pid = 0;
    if (code == 0)
        code = -posix_spawn(&pid, program->path, &actions, &attributes, argv, envp);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (code < 0)
        return shoal_fail(err, code, "%s --list", program->path);

    base_close_fd(&write_fd);
    char part[4096];
    ssize_t count;
    while ((count = read(read_fd, part, sizeof part)) > 0 || (count < 0 && errno == EINTR)) {
        if (count > 0)
            text_add(out, part, (size_t)count);
    }
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ;
    if (ended == pid && status != 0) /* the host program may have reaped it (ECHILD): then the list speaks for itself */
        return shoal_refuse(err, -EIO, "%s --list: failed (status 0x%x)", program->path, (unsigned)status);
    if (out->failed)
        return shoal_fail(err, -ENOMEM, "%s --list", program->path);
    return out->count > 0 ? 0 : shoal_refuse(err, -EIO, "%s --list: no applets", program->path);
}

static int link_applets(int bin_fd, char *names, shoal_error_t *err)
{
    char *name;
    while ((name = strsep(&names, "\n")) != NULL) {
        if (*name == '\0' || strcmp(name, "busybox") == 0)
            continue;
        if (strchr(name, '/') || *name == '.')
            return shoal_refuse(err, -EIO, "busybox --list: '%s' is not the name of an applet", name);
        if (symlinkat("busybox", bin_fd, name) < 0 && errno != EEXIST)
            return shoal_fail(err, -errno, "bin/%s: symlink", name);
    }
    return 0;
}

static int write_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0)
            return -errno;
        bytes += written;
        count -= (size_t)written;
    }
    return 0;
}

/* A new file with mode, on disk before the image gets its name: its content is never looked at again. */
static int finish_file(int fd, mode_t mode)
{
    return fchmod(fd, mode) < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int copy_program(int dir_fd, const struct program *program, shoal_error_t *err)
{
    AUTO_FD fd = openat(dir_fd, "bin/busybox", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    if (fd < 0)
        return shoal_fail(err, -errno, "bin/busybox: create");
    enum { PART = 64 << 10 };
    AUTO_FREE char *part = malloc(PART);
    if (part == NULL)
        return shoal_fail(err, -ENOMEM, "bin/busybox");
    int code = 0;
    off_t at = 0;
    ssize_t count;
    while (code == 0 && (count = pread(program->fd, part, PART, at)) != 0) {
        if (count < 0)
            return shoal_fail(err, -errno, "%s: read", program->path);
        code = write_all(fd, part, (size_t)count);
        at += count;
    }
    if (code == 0)
        code = finish_file(fd, 0755);
    return code < 0 ? shoal_fail(err, code, "bin/busybox: write") : 0;
}

static int make_entry(int dir_fd, size_t i)
{
    const char *path = layout[i].path, *text = layout[i].text;
    if (layout[i].mode == 0)
        return symlinkat(text, dir_fd, path) < 0 ? -errno : 0;
    if (text == NULL) /* the mode again, because mkdir's is cut by the umask */
        return mkdirat(dir_fd, path, 0700) < 0 || fchmodat(dir_fd, path, layout[i].mode, 0) < 0 ? -errno : 0;
    AUTO_FD fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int code = write_all(fd, text, strlen(text));
    return code < 0 ? code : finish_file(fd, layout[i].mode);
}

/* Fill the empty directory dir_fd. */
static int build(int dir_fd, const struct program *program, shoal_error_t *err)
{
    for (size_t i = 0; i < COUNT(layout); i++) {
        int code = make_entry(dir_fd, i);
        if (code < 0)
            return shoal_fail(err, code, "%s", layout[i].path);
    }
    struct text applets = {0};
    int code = copy_program(dir_fd, program, err);
    if (code == 0)
        code = list_applets(program, &applets, err);
    AUTO_FD bin_fd = code == 0 ? openat(dir_fd, "bin", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (code == 0)
        code = bin_fd < 0 ? shoal_fail(err, -errno, "bin") : link_applets(bin_fd, applets.bytes, err);
    text_free(&applets);
    return code;
}

/* Build in aside, then give it its name. */
static int build_and_rename(const char *aside, const char *path, const struct program *program, shoal_error_t *err)
{
    int code = image_remove_tree(aside, err); /* of a maker that died */
    if (code == 0)
        code = image_make_directories(aside, 0755, err);
    if (code < 0)
        return code;
    AUTO_FD fd = open(aside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    code = fd < 0 ? shoal_fail(err, -errno, "%s", aside) : build(fd, program, err);
    if (code == 0 && rename(aside, path) < 0)
        code = shoal_fail(err, -errno, "%s: rename", path);
    if (code < 0)
        (void)image_remove_tree(aside, NULL);
    return code;
}

/* One maker at a time; the kernel gives the lock back when its holder dies. */
static int make_locked(const char *images, const char *path, const struct program *program, shoal_error_t *err)
{
    AUTO_FREE char *lock = base_format("%s/.lock", images);
    AUTO_FREE char *aside = base_format("%s/.new", images);
    if (lock == NULL || aside == NULL)
        return shoal_fail(err, -ENOMEM, "%s", images);
    AUTO_FD fd = open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return shoal_fail(err, -errno, "%s", lock);
    while (flock(fd, LOCK_EX) < 0) {
        if (errno != EINTR)
            return shoal_fail(err, -errno, "%s: lock", lock);
    }
    struct stat st;
    if (stat(path, &st) == 0)
        return 0;
    return build_and_rename(aside, path, program, err);
}

int builtin_make(const char *name, const char *root_dir, char **out_path, shoal_error_t *err)
{
    if (strcmp(name, "busybox") != 0)
        return shoal_refuse(err, -ENOENT, "there is no builtin image '%s'; there is: busybox", name);
    __attribute__((cleanup(program_fini))) struct program program = {.fd = -1};
    int code = find_busybox(&program, err);
    if (code < 0)
        return code;

    /* What tells one program from another, and the layout around it: in the name, so that an image never changes. */
    const uint64_t key[] = {LAYOUT,
                            program.st.st_dev,
                            program.st.st_ino,
                            (uint64_t)program.st.st_size,
                            (uint64_t)program.st.st_mtim.tv_sec,
                            (uint64_t)program.st.st_mtim.tv_nsec};
    AUTO_FREE char *images = base_format("%s/images", root_dir);
    AUTO_FREE char *path = base_format("%s/images/busybox-%016llx", root_dir,
                                       (unsigned long long)base_hash(key, sizeof key));
    if (images == NULL || path == NULL)
        return shoal_fail(err, -ENOMEM, "%s", name);
    struct stat st;
    if (stat(path, &st) < 0) {
        code = image_make_directories(images, 0755, err);
        if (code == 0)
            code = make_locked(images, path, &program, err);
        if (code < 0)
            return code;
    }
    *out_path = path;
    path = NULL;
    return 0;
}
