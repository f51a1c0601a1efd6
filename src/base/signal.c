#include "base/signal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "base/base.h"

/* The numbers a C library leaves to programs. Constants and not SIGRTMIN, which is a call whose answer is the C
 * library's: what a sandbox runs may have another one, and Docker's names mean these. */
enum { RTMIN = 34, RTMAX = 64 };

static const struct {
    int number;
    const char *name; /* without SIG; the first name of a number is the one we print */
} signals[] = {
    {SIGHUP, "HUP"},   {SIGINT, "INT"},       {SIGQUIT, "QUIT"}, {SIGILL, "ILL"},       {SIGTRAP, "TRAP"},
    {SIGABRT, "ABRT"}, {SIGABRT, "IOT"},      {SIGBUS, "BUS"},   {SIGFPE, "FPE"},       {SIGKILL, "KILL"},
    {SIGUSR1, "USR1"}, {SIGSEGV, "SEGV"},     {SIGUSR2, "USR2"}, {SIGPIPE, "PIPE"},     {SIGALRM, "ALRM"},
    {SIGTERM, "TERM"}, {SIGSTKFLT, "STKFLT"}, {SIGCHLD, "CHLD"}, {SIGCHLD, "CLD"},      {SIGCONT, "CONT"},
    {SIGSTOP, "STOP"}, {SIGTSTP, "TSTP"},     {SIGTTIN, "TTIN"}, {SIGTTOU, "TTOU"},     {SIGURG, "URG"},
    {SIGXCPU, "XCPU"}, {SIGXFSZ, "XFSZ"},     {SIGPROF, "PROF"}, {SIGVTALRM, "VTALRM"}, {SIGWINCH, "WINCH"},
    {SIGIO, "IO"},     {SIGIO, "POLL"},       {SIGPWR, "PWR"},   {SIGSYS, "SYS"},
};

/* Decimal digits up to the end, at most max. */
static int parse_number(const char *text, int max, int *out)
{
    int value = 0;
    if (*text == '\0')
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        value = value * 10 + (*text - '0');
        if (value > max)
            return -EINVAL;
    }
    *out = value;
    return 0;
}

int signal_parse(const char *text, int *out_number)
{
    int number = 0;
    if (parse_number(text, RTMAX, &number) == 0 && number > 0) {
        *out_number = number;
        return 0;
    }
    const char *bare = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (size_t i = 0; i < COUNT(signals); i++) {
        if (strcasecmp(bare, signals[i].name) == 0) {
            *out_number = signals[i].number;
            return 0;
        }
    }
    bool from_min = strncasecmp(bare, "RTMIN", 5) == 0, from_max = strncasecmp(bare, "RTMAX", 5) == 0;
    if (!from_min && !from_max)
        return -EINVAL;
    if (bare[5] != '\0' && (bare[5] != (from_min ? '+' : '-') || parse_number(bare + 6, RTMAX - RTMIN, &number) < 0))
        return -EINVAL;
    *out_number = from_min ? RTMIN + number : RTMAX - number;
    return 0;
}

const char *signal_name(int number, char out[SIGNAL_NAME_MAX])
{
    if (number >= RTMIN && number <= RTMAX) {
        (void)snprintf(out, SIGNAL_NAME_MAX, number == RTMIN ? "SIGRTMIN" : "SIGRTMIN+%d", number - RTMIN);
        return out;
    }
    for (size_t i = 0; i < COUNT(signals); i++) {
        if (signals[i].number == number) {
            (void)snprintf(out, SIGNAL_NAME_MAX, "SIG%s", signals[i].name);
            return out;
        }
    }
    (void)snprintf(out, SIGNAL_NAME_MAX, "SIG%d", number);
    return out;
}
