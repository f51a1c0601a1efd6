/* shoal deaths: the certificates below ROOT/deaths, oldest first, for a person or as the lines that they are. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "cmd/cmd.h"
#include "metrics/metrics.h"
#include "top/record.h"

struct entry {
    char *line;            /* owned */
    struct record *record; /* owned */
    const char *time;
};

struct list {
    const struct cmd_options *options;
    struct entry *entries; /* owned */
    size_t count, room;
    bool failed; /* something could not be read, and was told */
};

static void tell(struct list *list, const char *path, int code)
{
    fprintf(stderr, "shoal: %s: %s\n", path, strerror(code));
    list->failed = true;
}

static bool is_asked_for(const struct cmd_options *options, const struct record *record)
{
    const char *container = record_text(record, "container"), *service = record_text(record, "service");
    for (size_t i = 0; options->arguments[i] != NULL; i++)
        if ((container != NULL && strcmp(container, options->arguments[i]) == 0) ||
            (service != NULL && strcmp(service, options->arguments[i]) == 0))
            return true;
    return options->arguments[0] == NULL;
}

/* A torn line is what a crash in the middle of a write has left. */
static void add(struct list *list, const char *line, size_t count)
{
    struct record *record = record_parse(line, count);
    const char *time = record != NULL ? record_text(record, "time") : NULL;
    if (time == NULL || !is_asked_for(list->options, record)) {
        record_free(record);
        return;
    }
    if (list->count == list->room) {
        size_t room = list->room * 2 + 64;
        struct entry *grown = reallocarray(list->entries, room, sizeof *grown);
        if (grown == NULL) {
            tell(list, "deaths", ENOMEM);
            record_free(record);
            return;
        }
        list->entries = grown;
        list->room = room;
    }
    char *copy = strndup(line, count);
    if (copy == NULL)
        tell(list, "deaths", ENOMEM);
    if (copy == NULL)
        record_free(record);
    else
        list->entries[list->count++] = (struct entry){.line = copy, .record = record, .time = time};
}

static void read_file(struct list *list, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        tell(list, path, errno);
        return;
    }
    AUTO_FREE char *line = NULL;
    size_t room = 0, first = list->count;
    ssize_t count;
    while ((count = getline(&line, &room, file)) > 0)
        add(list, line, (size_t)count - (line[count - 1] == '\n'));
    if (ferror(file))
        tell(list, path, errno);
    (void)fclose(file);
    size_t read = list->count - first;
    size_t over = read > DEATHS_KEPT ? read - DEATHS_KEPT : 0; /* older ones go from the file now and then */
    for (size_t i = first; i < first + over; i++) {
        free(list->entries[i].line);
        record_free(list->entries[i].record);
    }
    if (over > 0)
        memmove(list->entries + first, list->entries + first + over, DEATHS_KEPT * sizeof *list->entries);
    list->count -= over;
}

/* Each entry of dir whose name does not begin with a dot. */
static void for_each(struct list *list, const char *dir, void (*visit)(struct list *list, const char *path))
{
    DIR *stream = opendir(dir);
    if (stream == NULL) {
        if (errno != ENOENT) /* nobody has died yet */
            tell(list, dir, errno);
        return;
    }
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        AUTO_FREE char *path = entry->d_name[0] != '.' ? base_format("%s/%s", dir, entry->d_name) : NULL;
        if (path != NULL)
            visit(list, path);
    }
    (void)closedir(stream);
}

static void read_certificates(struct list *list, const char *path)
{
    static const char suffix[] = ".ndjson";
    size_t count = strlen(path);
    if (count > sizeof suffix && strcmp(path + count - (sizeof suffix - 1), suffix) == 0)
        read_file(list, path);
}

static void read_project(struct list *list, const char *path)
{
    for_each(list, path, read_certificates);
}

static int by_time(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->time, ((const struct entry *)b)->time);
}

static void print_span(const char *what, double usec)
{
    if (isnan(usec))
        return;
    if (usec < 1e6)
        printf("%s %.0f ms", what, usec / 1e3);
    else
        printf("%s %.1f s", what, usec / 1e6);
}

static void print_bytes(const char *before, double bytes, const char *behind)
{
    if (!isnan(bytes))
        printf("%s%.1f MiB%s", before, bytes / (1 << 20), behind);
}

static double number_in(const struct record *record, const char *object, const char *key)
{
    const struct record *inner = record_object(record, object);
    return inner != NULL ? record_number(inner, key) : NAN;
}

static void print_use(const struct record *record)
{
    double share = record_number(record, "throttled_share"), refused = record_number(record, "pids_refused");
    printf("   ");
    print_span(" ran", record_number(record, "wall_usec"));
    print_span(", CPU", record_number(record, "usage_usec"));
    print_bytes(", memory at most ", record_number(record, "peak"), "");
    print_bytes(", disk ", number_in(record, "io", "rbytes"), " read");
    print_bytes(" and ", number_in(record, "io", "wbytes"), " written");
    print_bytes(", network ", number_in(record, "net", "rx_bytes"), " in");
    print_bytes(" and ", number_in(record, "net", "tx_bytes"), " out");
    if (share > 0)
        printf(", stopped by its CPU limit in %.0f %% of the periods", share * 100);
    if (refused > 0)
        printf(", %.0f tasks refused", refused);
    printf("\n");
}

/* What comes from inside is shown, not obeyed: control characters could make a terminal do things. */
static void print_clean(const char *text)
{
    for (; *text != '\0'; text++)
        (void)putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void print_text(const struct record *record)
{
    const char *container = record_text(record, "container"), *cause = record_text(record, "cause"),
               *why = record_text(record, "why"), *error = record_text(record, "error"),
               *restart = record_text(record, "restart"), *reason = record_text(record, "restart_reason");
    printf("%.19sZ  %s  %s  ", record_text(record, "time"), container != NULL ? container : "?",
           cause != NULL ? cause : "?");
    print_clean(why != NULL ? why : error != NULL ? error : "");
    printf("\n");
    if (why != NULL)
        print_use(record);
    bool again = restart != NULL && strcmp(restart, "no") != 0;
    printf("    %s", again ? "started again" : "not started again");
    if (again)
        print_span(" after", record_number(record, "delay_usec"));
    printf("%s%s\n", reason != NULL ? ": " : "", reason != NULL ? reason : "");
    for (size_t i = 0; record_text_at(record, "output", i) != NULL; i++) {
        printf("    | ");
        print_clean(record_text_at(record, "output", i));
        printf("\n");
    }
}

int cmd_deaths(const struct cmd_options *options)
{
    bool json;
    if (cmd_format_is_json(options, "text", &json) < 0)
        return EXIT_STATUS_USAGE;
    struct list list = {.options = options};
    const char *root = options->root_dir != NULL ? options->root_dir : CMD_ROOT_DIR;
    AUTO_FREE char *dir = options->project != NULL ? base_format("%s/deaths/%s", root, options->project)
                                                   : base_format("%s/deaths", root);
    if (dir == NULL)
        tell(&list, "deaths", ENOMEM);
    else
        for_each(&list, dir, options->project != NULL ? read_certificates : read_project);
    if (list.count > 0)
        qsort(list.entries, list.count, sizeof *list.entries, by_time);
    for (size_t i = 0; i < list.count; i++) {
        if (json)
            printf("%s\n", list.entries[i].line);
        else
            print_text(list.entries[i].record);
        free(list.entries[i].line);
        record_free(list.entries[i].record);
    }
    free(list.entries);
    if (fflush(stdout) != 0 || ferror(stdout))
        tell(&list, "stdout", errno);
    return list.failed ? EXIT_STATUS_FAILED : 0;
}
