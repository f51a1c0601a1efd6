/* What was found wrong, in the order of the file. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "compose/load.h"

enum { FINDINGS_KEPT = 1000 };

struct finding {
    shoal_severity_t severity;
    unsigned file;
    int line, column;
    size_t number; /* keeps the order of those at one position */
    char *text;    /* owned */
};

bool load_is_full(const struct load *load)
{
    return load->finding_count >= FINDINGS_KEPT;
}

/* True when it was only counted. */
static bool drop_finding(struct load *load, shoal_severity_t severity)
{
    load->has_error = load->has_error || severity == SHOAL_ERROR;
    load->findings_dropped += load_is_full(load);
    return load_is_full(load);
}

static void add_finding(struct load *load, shoal_severity_t severity, unsigned file, int line, int column, char *text)
{
    if (text == NULL) {
        load->out_of_memory = true;
        return;
    }
    if (load->finding_count == load->finding_room) {
        size_t room = load->finding_room ? load->finding_room * 2 : 16;
        struct finding *grown = reallocarray(load->findings, room, sizeof *grown);
        if (grown == NULL) {
            load->out_of_memory = true;
            free(text);
            return;
        }
        load->findings = grown;
        load->finding_room = room;
    }
    for (char *s = text; *s != '\0'; s++)
        if ((unsigned char)*s < ' ')
            *s = ' '; /* a finding is one line */
    size_t number = load->finding_count++;
    load->findings[number] = (struct finding){severity, file, line, column, number, text};
}

static void put_path(struct text *out, const struct place *at)
{
    if (at->outer == NULL)
        return;
    put_path(out, at->outer);
    if (out->count > 0)
        text_add(out, ".", 1);
    if (at->word == NULL)
        text_add_format(out, "%zu", at->index);
    else
        text_add_format(out, "%.100s", at->word);
}

/* Where it came from, when that is not where it stands in the first file: another file, a variable. */
static void put_origin(const struct load *load, struct text *text, const struct place *at)
{
    bool other = at->file != 0 && at->line > 0;
    const struct place *user = at;
    while (user->profiled)
        user = user->outer; /* a service */
    if (other)
        text_add_format(text, " (from %s:%d:%d", load_file_name(load, at->file), at->line, at->column);
    if (at->variable != NULL)
        text_add_format(text, "%s%.100s", other ? ", variable " : " (from variable ", at->variable);
    bool opened = other || at->variable != NULL;
    if (at->profiled)
        text_add_format(text, "%sprofile, used at %s:%d:%d", opened ? ", " : " (from a ",
                        load_file_name(load, user->file), user->line, user->column);
    if (opened || at->profiled)
        text_add_string(text, ")");
}

static void find_at(struct load *load, shoal_severity_t severity, const struct place *at, const char *fmt, va_list args)
{
    char words[1200];
    struct text text = {0};
    if (load->silent || drop_finding(load, severity))
        return;
    (void)vsnprintf(words, sizeof words, fmt, args);
    put_path(&text, at);
    if (text.count > 0)
        text_add_string(&text, ": ");
    text_add_string(&text, words);
    put_origin(load, &text, at);
    add_finding(load, severity, at->file, at->line, at->column, text_take(&text));
}

void load_error(struct load *load, const struct place *at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    find_at(load, load->lenient && load->reading_spec ? SHOAL_WARNING : SHOAL_ERROR, at, fmt, args);
    va_end(args);
}

void load_warning(struct load *load, const struct place *at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    find_at(load, SHOAL_WARNING, at, fmt, args);
    va_end(args);
}

void load_unsupported(struct load *load, const struct place *at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    find_at(load, load->lenient ? SHOAL_WARNING : SHOAL_ERROR, at, fmt, args);
    va_end(args);
}

void load_find(struct load *load, shoal_severity_t severity, unsigned file, int line, int column, const char *text)
{
    if (!drop_finding(load, severity))
        add_finding(load, severity, file, line, column, strdup(text));
}

static int compare_findings(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

void load_report(struct load *load, shoal_diagnostic_cb cb, void *data)
{
    if (load->finding_count > 0)
        qsort(load->findings, load->finding_count, sizeof *load->findings, compare_findings);
    for (size_t i = 0; i < load->finding_count; i++) {
        const struct finding *f = &load->findings[i];
        shoal_position_t at = {load_file_name(load, f->file), f->line, f->column};
        cb(data, f->severity, &at, f->text);
    }
    shoal_position_t nowhere = {load_file_name(load, 0), 0, 0};
    if (load->findings_dropped > 0) {
        char text[80];
        (void)snprintf(text, sizeof text, "and %zu more findings, not shown", load->findings_dropped);
        cb(data, load->has_error ? SHOAL_ERROR : SHOAL_WARNING, &nowhere, text);
    }
    if (load->arena->over_limit || load->nodes.over_limit)
        cb(data, SHOAL_ERROR, &nowhere, "the fleet is too large: its values take more memory than a fleet file may");
    else if (load->out_of_memory)
        cb(data, SHOAL_ERROR, &nowhere, "out of memory");
}

void load_free_findings(struct load *load)
{
    for (size_t i = 0; i < load->finding_count; i++)
        free(load->findings[i].text);
    free(load->findings);
}

/* The position of a key stands for its value's: it is the line that a person looks for. */
struct place place_key(const struct place *outer, const struct node_entry *entry)
{
    const struct node *key = entry->key;
    bool profiled = key->profiled || (outer != NULL && outer->profiled);
    return (struct place){outer, key->text, 0, key->file, key->line, key->column, entry->value->variable, profiled};
}

struct place place_item(const struct place *outer, const struct node *list, size_t index)
{
    const struct node *item = list->items[index];
    return (struct place){outer,      NULL,         index,          item->file,
                          item->line, item->column, item->variable, outer != NULL && outer->profiled};
}

shoal_position_t place_position(const struct load *load, const struct place *at)
{
    return (shoal_position_t){load_file_name(load, at->file), at->line, at->column};
}
