/* Starts one program again and again and takes the time of each run, from before vfork to reaped, without anything of an
 * interpreter in between. In every argument "{n}" stands for the number of the run.
 *
 *   stopwatch COUNT IN_FLIGHT PROGRAM [ARGUMENT...]
 * One JSON line each, in the order of their ends: n, begin_nsec and end_nsec (CLOCK_REALTIME), status as waitpid(2) gives it,
 * and out, the first line that the run wrote to stdout. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { LINE_ROOM = 256 };

struct run {
    pid_t pid; /* 0: free */
    unsigned number;
    int out_fd;
    uint64_t begin_nsec;
};

static void die(const char *what, int code)
{
    fprintf(stderr, "stopwatch: %s: %s\n", what, strerror(code));
    exit(1);
}

static uint64_t read_clock(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static char *fill_in(const char *argument, unsigned number)
{
    const char *place = strstr(argument, "{n}");
    char *filled;
    int code = place == NULL ? asprintf(&filled, "%s", argument)
                             : asprintf(&filled, "%.*s%u%s", (int)(place - argument), argument, number, place + 3);
    if (code < 0)
        die("argument", ENOMEM);
    return filled;
}

static void start(struct run *run, unsigned number, char *const *arguments, size_t count)
{
    char **argv = calloc(count + 1, sizeof *argv);
    if (argv == NULL)
        die("arguments", ENOMEM);
    for (size_t i = 0; i < count; i++)
        argv[i] = fill_in(arguments[i], number);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        die("pipe", errno);
    posix_spawn_file_actions_t actions;
    int code = posix_spawn_file_actions_init(&actions);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (code != 0)
        die("file actions", code);
    run->number = number;
    run->out_fd = ends[0];
    run->begin_nsec = read_clock();
    code = posix_spawnp(&run->pid, argv[0], &actions, NULL, argv, environ);
    if (code != 0)
        die(argv[0], code);
    (void)close(ends[1]);
    (void)posix_spawn_file_actions_destroy(&actions);
    for (size_t i = 0; i < count; i++)
        free(argv[i]);
    free(argv);
}

static void finish(struct run *run, int status, uint64_t end_nsec)
{
    char line[LINE_ROOM];
    ssize_t count = read(run->out_fd, line, sizeof line - 1);
    line[count > 0 ? count : 0] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    for (char *at = line; *at != '\0'; at++)
        if (*at < ' ' || *at > '~' || *at == '"' || *at == '\\')
            *at = '?'; /* whatever it said, the line stays JSON */
    printf("{\"n\":%u,\"begin_nsec\":%llu,\"end_nsec\":%llu,\"status\":%d,\"out\":\"%s\"}\n", run->number,
           (unsigned long long)run->begin_nsec, (unsigned long long)end_nsec, status, line);
    (void)close(run->out_fd);
    *run = (struct run){0};
}

static struct run *find_run(struct run *runs, unsigned room, pid_t pid)
{
    for (unsigned i = 0; i < room; i++)
        if (runs[i].pid == pid)
            return &runs[i];
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: stopwatch COUNT IN_FLIGHT PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    unsigned count = (unsigned)strtoul(argv[1], NULL, 10), room = (unsigned)strtoul(argv[2], NULL, 10);
    struct run *runs = calloc(room > 0 ? room : 1, sizeof *runs);
    if (runs == NULL || room == 0)
        die("IN_FLIGHT", runs == NULL ? ENOMEM : EINVAL);
    for (unsigned started = 0, ended = 0; ended < count;) {
        struct run *free_run = started < count ? find_run(runs, room, 0) : NULL;
        if (free_run != NULL) {
            start(free_run, started++, argv + 3, (size_t)argc - 3);
            continue;
        }
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        uint64_t end_nsec = read_clock();
        if (pid < 0)
            die("waitpid", errno);
        struct run *run = find_run(runs, room, pid);
        if (run == NULL)
            continue;
        finish(run, status, end_nsec);
        ended++;
    }
    free(runs);
    return 0;
}
