#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/base.h"
#include "base/duration.h"
#include "cmd/cmd.h"

static const struct verb {
    const char *name, *doc;
    int (*run)(const struct cmd_options *options); /* NULL: not supported yet */
    bool takes_arguments;
} verbs[] = {
    {"up", "bring a fleet up, stay in the foreground, take it down at the end", cmd_up, true},
    {"version", "print the version", cmd_version, false},
    {"config", "check a fleet file and print it resolved", cmd_config, true},
    {"preflight", "what the fleet needs of this host against what it has", cmd_preflight, false},
    {"top", "live view of a metrics stream: FILE, a socket or -", cmd_top, true},
    {"deaths", "why containers died, the last of them: of CONTAINER, of SERVICE or of all", cmd_deaths, true},
    {"ps", "what runs", NULL, false},
};

enum {
    OPTION_METRICS = 256,
    OPTION_METRICS_LISTEN,
    OPTION_INTERVAL,
    OPTION_ABORT,
    OPTION_EXIT_CODE,
    OPTION_LOGS,
    OPTION_ROOT,
    OPTION_RUN,
    OPTION_ENV_FILE,
    OPTION_DIRECTORY,
    OPTION_PROFILE,
    OPTION_CONFIG /* and above: `config`'s own, config.c */
};

/* `global`: taken with every verb; the others belong to `up`. Those of `config` are in config.c. */
static const struct option_row {
    struct option option;
    const char *argument, *doc;
    bool global;
} rows[] = {
    {{"file", required_argument, NULL, 'f'},
     "FILE",
     "fleet file; several are merged (default: compose.yaml here or in a parent directory)",
     true},
    {{"project-name", required_argument, NULL, 'p'}, "NAME", "project name", true},
    {{"project-directory", required_argument, NULL, OPTION_DIRECTORY},
     "DIR",
     "base of the file's relative paths",
     true},
    {{"env-file", required_argument, NULL, OPTION_ENV_FILE},
     "FILE",
     "variables for ${...}; may be given again (default: .env)",
     true},
    {{"profile", required_argument, NULL, OPTION_PROFILE},
     "NAME",
     "services of this profile, too; may be given again",
     true},
    {{"root", required_argument, NULL, OPTION_ROOT}, "DIR", "layers, logs, volumes (default: /var/lib/shoal)", true},
    {{"run", required_argument, NULL, OPTION_RUN}, "DIR", "state (default: /run/shoal)", true},
    {{"help", no_argument, NULL, 'h'}, NULL, "this text", true},
    {{"detach", no_argument, NULL, 'd'}, NULL, "not supported yet", false},
    {{"metrics", required_argument, NULL, OPTION_METRICS},
     "ndjson|openmetrics|off",
     "what goes to stdout (default: ndjson)",
     false},
    {{"metrics-listen", required_argument, NULL, OPTION_METRICS_LISTEN},
     "ADDR",
     "answer GET /metrics at HOST:PORT or unix:PATH",
     false},
    {{"interval", required_argument, NULL, OPTION_INTERVAL}, "TIME", "between samples (default: 5s)", false},
    {{"abort-on-container-exit", no_argument, NULL, OPTION_ABORT},
     NULL,
     "stop the fleet when one container ends for good",
     false},
    {{"exit-code-from", required_argument, NULL, OPTION_EXIT_CODE},
     "SERVICE",
     "exit with its code; implies the one above",
     false},
    {{"logs", no_argument, NULL, OPTION_LOGS}, NULL, "also write the containers' output to stderr", false},
};

static void print_help(FILE *out)
{
    fputs("usage: shoal VERB [OPTION]... [SERVICE]...\n\nverbs:\n", out);
    for (size_t i = 0; i < COUNT(verbs); i++)
        fprintf(out, "  %-12s %s%s\n", verbs[i].name, verbs[i].doc, verbs[i].run == NULL ? " (not supported yet)" : "");
    fputs("\noptions, before or after the verb:\n", out);
    for (int global = 1; global >= 0; global--) {
        for (size_t i = 0; i < COUNT(rows); i++) {
            const struct option_row *row = &rows[i];
            if (row->global != (global == 1))
                continue;
            char name[64];
            (void)snprintf(name, sizeof name, "--%s%s%s", row->option.name, row->argument ? " " : "",
                           row->argument ? row->argument : "");
            if (row->option.val < 256)
                fprintf(out, "  -%c, %-26s %s\n", row->option.val, name, row->doc);
            else
                fprintf(out, "      %-26s %s\n", name, row->doc);
        }
        if (global == 1)
            fputs("\noptions of up:\n", out);
    }
    cmd_config_help(out);
    fputs("\nexit status: 0 orderly end (or the code of --exit-code-from); 1 something failed; 2 bad usage or fleet "
          "file\n",
          out);
}

static int refuse(const char *what, const char *text, const char *hint)
{
    fprintf(stderr, "shoal: %s '%s': %s\n", what, text, hint);
    return EXIT_STATUS_USAGE;
}

static int check_address(const char *text)
{
    shoal_error_t error;
    if (api_parse_address(text, &error) == 0)
        return 0;
    fprintf(stderr, "shoal: --metrics-listen: %s\n", error.text);
    return EXIT_STATUS_USAGE;
}

static int add_text(const char **list, const char *text, const char *option)
{
    for (size_t i = 0; i < CMD_LIST_MAX; i++) {
        if (list[i] != NULL)
            continue;
        list[i] = text;
        return 0;
    }
    return refuse(option, text, "given too often");
}

static int take_option(struct cmd_options *options, int option, const char *text)
{
    switch (option) {
    case 'f':
        return add_text(options->files, text, "--file");
    case 'p':
        options->project = text;
        return 0;
    case OPTION_DIRECTORY:
        options->project_directory = text;
        return 0;
    case OPTION_ENV_FILE:
        return add_text(options->env_files, text, "--env-file");
    case OPTION_PROFILE:
        return add_text(options->profiles, text, "--profile");
    case OPTION_ROOT:
        options->root_dir = text;
        return 0;
    case OPTION_RUN:
        options->run_dir = text;
        return 0;
    case 'd':
        return refuse("option", "-d", "running detached is not supported yet; use a service manager or &");
    case OPTION_METRICS:
        if (strcmp(text, "ndjson") == 0)
            options->metrics = METRICS_NDJSON;
        else if (strcmp(text, "off") == 0)
            options->metrics = METRICS_OFF;
        else if (strcmp(text, "openmetrics") == 0)
            options->metrics = METRICS_OPENMETRICS;
        else
            return refuse("--metrics", text, "unknown; use ndjson, openmetrics or off");
        return 0;
    case OPTION_METRICS_LISTEN:
        options->metrics_listen = text;
        return check_address(text);
    case OPTION_INTERVAL:
        if (duration_parse_ms(text, &options->interval_ms) < 0 || options->interval_ms < 100 ||
            options->interval_ms > 3600000)
            return refuse("--interval", text, "not a time from 100ms to 1h; write 500ms, 5s or 1m");
        return 0;
    case OPTION_ABORT:
        options->abort_on_exit = true;
        return 0;
    case OPTION_EXIT_CODE:
        options->exit_code_from = text;
        options->abort_on_exit = true;
        return 0;
    case OPTION_LOGS:
        options->logs = true;
        return 0;
    default:
        if (option >= OPTION_CONFIG || option == 'q')
            return cmd_config_option(&options->config, option - OPTION_CONFIG, text);
        fputs("Try 'shoal --help'.\n", stderr); /* getopt has said what is wrong */
        return EXIT_STATUS_USAGE;
    }
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < COUNT(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static int unknown_verb(const char *name)
{
    const char *nearest = NULL;
    unsigned best = 3;
    for (size_t i = 0; i < COUNT(verbs); i++) {
        unsigned distance = base_word_distance(verbs[i].name, name);
        if (distance < best) {
            best = distance;
            nearest = verbs[i].name;
        }
    }
    fprintf(stderr, "shoal: unknown verb '%s'%s%s%s; see 'shoal --help'\n", name, nearest ? "; did you mean '" : "",
            nearest ? nearest : "", nearest ? "'" : "");
    return EXIT_STATUS_USAGE;
}

int main(int argc, char **argv)
{
    struct option long_options[COUNT(rows) + CMD_CONFIG_OPTIONS + 1] = {0};
    for (size_t i = 0; i < COUNT(rows); i++)
        long_options[i] = rows[i].option;
    cmd_config_options(&long_options[COUNT(rows)], OPTION_CONFIG);
    struct cmd_options options = {.interval_ms = 5000, .config.hash_all = true};
    int option;
    while ((option = getopt_long(argc, argv, "f:p:dhq", long_options, NULL)) != -1) {
        if (option == 'h') {
            print_help(stdout);
            return 0;
        }
        int status = take_option(&options, option, optarg);
        if (status != 0)
            return status;
    }
    if (optind >= argc) {
        print_help(stderr);
        return EXIT_STATUS_USAGE;
    }
    const struct verb *verb = find_verb(argv[optind]);
    if (verb == NULL)
        return unknown_verb(argv[optind]);
    if (verb->run == NULL)
        return refuse("verb", verb->name, "not supported yet");
    options.arguments = (const char *const *)&argv[optind + 1];
    if (!verb->takes_arguments && options.arguments[0] != NULL)
        return refuse(verb->name, options.arguments[0], "takes no argument");
    (void)signal(SIGPIPE, SIG_IGN);                          /* a reader that is gone is an EPIPE, not our end */
    options.descriptors = shoal_process_raise_descriptors(); /* an idle sandbox takes up to four */
    return verb->run(&options);
}
