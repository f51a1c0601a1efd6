/* The live table: ncurses on one terminal, one loop over the stream and the keys. Reading comes first, so that the writer waits
 * for the pipe as little as can be; drawing happens at most some times a second. */
#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "top/screen.h"
#include "top/top.h"

enum {
    DRAW_MS = 200,         /* between two pictures */
    IDLE_MS = 1000,        /* a file is looked at again for what was added */
    READ_BYTES = 64 << 10, /* in one read */
    TURN_BYTES = 4 << 20,  /* then keys are looked at */
    PIPE_BYTES = 1 << 20   /* what the pipe shall hold while we draw */
};

static uint64_t now_ms(void)
{
    return base_monotonic_usec() / 1000;
}

/* Read what is there. Returns false when there is no more just now. */
static bool read_stream(struct screen *screen)
{
    ssize_t count = read(screen->stream_fd, screen->bytes, READ_BYTES);
    screen->at_end = count == 0 && screen->regular;
    if (count > 0) {
        reader_feed(&screen->reader, &screen->model, screen->bytes, (size_t)count);
        return true;
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (screen->at_end)
        return false;
    if (!screen->ended)
        reader_end(&screen->reader, &screen->model);
    screen->ended = true;
    screen->model.changed = true;
    return false;
}

static bool is_readable(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return poll(&ready, 1, 0) > 0;
}

static void read_turn(struct screen *screen)
{
    for (size_t left = TURN_BYTES / READ_BYTES; left > 0 && !screen->ended; left--)
        if (!read_stream(screen) || !is_readable(screen->stream_fd))
            return;
}

static void loop(struct screen *screen, int tty_fd)
{
    uint64_t drawn_ms = 0;
    bool dirty = true;
    while (!screen->quit) {
        uint64_t now = now_ms(), due_ms = drawn_ms + DRAW_MS;
        dirty |= screen->model.changed && !screen->paused;
        if (dirty && now >= due_ms) {
            if (!screen->paused)
                view_update(&screen->view, &screen->model);
            screen->model.changed = false; /* a paused picture catches up when its key is pressed again */
            dirty = false;
            screen_draw(screen);
            drawn_ms = now_ms();
            continue;
        }
        bool waits = screen->ended || screen->at_end;
        struct pollfd ready[2] = {{.fd = tty_fd, .events = POLLIN},
                                  {.fd = waits ? -1 : screen->stream_fd, .events = POLLIN}};
        (void)poll(ready, 2,
                   dirty ? (int)(due_ms - now) : IDLE_MS); /* EINTR: a new size of the terminal, which getch tells */
        if (ready[0].revents & (POLLERR | POLLHUP | POLLNVAL))
            return; /* the terminal is gone */
        if (!screen->ended && (ready[1].revents != 0 || screen->regular))
            read_turn(screen);
        for (int key; (key = getch()) != ERR;) {
            view_update(&screen->view, &screen->model); /* what was read may have taken rows away */
            screen_take_key(screen, key);
            view_update(&screen->view, &screen->model);
            dirty = true;
            drawn_ms = 0; /* who presses a key wants to see it */
        }
    }
}

static int run(struct screen *screen, int tty_fd, FILE *in, FILE *out, shoal_error_t *err)
{
    SCREEN *terminal = newterm(NULL, out, in);
    if (terminal == NULL) {
        const char *name = getenv("TERM");
        return shoal_refuse(err, -ENOTTY, "terminal type \"%s\" is not known here", name != NULL ? name : "");
    }
    (void)set_escdelay(25);
    (void)cbreak();
    (void)noecho();
    (void)nonl();
    (void)keypad(stdscr, TRUE);
    (void)nodelay(stdscr, TRUE);
    (void)curs_set(0);
    screen_start_colours();
    loop(screen, tty_fd);
    (void)endwin();
    delscreen(terminal);
    return 0;
}

int top_show(int stream_fd, int tty_fd, FILE *out, shoal_error_t *err)
{
    struct stat about;
    FILE *in = NULL;
    struct screen *screen = calloc(1, sizeof *screen);
    char *bytes = malloc(READ_BYTES);
    int own = fcntl(tty_fd, F_DUPFD_CLOEXEC, 3), code = -ENOMEM;
    if (own >= 0)
        in = fdopen(own, "r");
    if (screen == NULL || bytes == NULL || in == NULL) {
        (void)shoal_fail(err, code, "top");
    } else {
        (void)setlocale(LC_CTYPE, "");
        *screen = (struct screen){
            .stream_fd = stream_fd,
            .bytes = bytes,
            .view = {.sort = SORT_CPU},
            .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
            .regular = fstat(stream_fd, &about) == 0 && S_ISREG(about.st_mode),
        };
        (void)fcntl(stream_fd, F_SETPIPE_SZ, PIPE_BYTES); /* no pipe, or the limit is lower: then as it is */
        model_init(&screen->model);
        code = run(screen, tty_fd, in, out, err);
        view_fini(&screen->view);
        reader_fini(&screen->reader);
        model_fini(&screen->model);
    }
    if (in != NULL)
        (void)fclose(in);
    else if (own >= 0)
        (void)close(own);
    free(bytes);
    free(screen);
    return code;
}
