/* What was found wrong, in the order of the file. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "compose/load.h"

enum { FINDINGS_KEPT = 1000 };

struct finding {
    shoal_severity_t severity;
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

static void add_finding(struct load *load, shoal_severity_t severity, int line, int column, char *text)
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
    load->findings[number] = (struct finding){severity, line, column, number, text};
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

static void find_at(struct load *load, shoal_severity_t severity, const struct place *at, const char *fmt, va_list args)
{
    char words[1200];
    struct text text = {0};
    if (drop_finding(load, severity))
        return;
    (void)vsnprintf(words, sizeof words, fmt, args);
    put_path(&text, at);
    if (text.count > 0)
        text_add_string(&text, ": ");
    text_add_string(&text, words);
    add_finding(load, severity, at->line, at->column, text_take(&text));
}

void load_error(struct load *load, const struct place *at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    find_at(load, SHOAL_ERROR, at, fmt, args);
    va_end(args);
}

void load_warning(struct load *load, const struct place *at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    find_at(load, SHOAL_WARNING, at, fmt, args);
    va_end(args);
}

void load_find(struct load *load, shoal_severity_t severity, int line, int column, const char *text)
{
    if (!drop_finding(load, severity))
        add_finding(load, severity, line, column, strdup(text));
}

static int compare_findings(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
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
        shoal_position_t at = {load->file, f->line, f->column};
        cb(data, f->severity, &at, f->text);
    }
    shoal_position_t nowhere = {load->file, 0, 0};
    if (load->findings_dropped > 0) {
        char text[80];
        (void)snprintf(text, sizeof text, "and %zu more findings, not shown", load->findings_dropped);
        cb(data, load->has_error ? SHOAL_ERROR : SHOAL_WARNING, &nowhere, text);
    }
    if (load->arena->over_limit || load->nodes.over_limit || load->variables.arena.over_limit)
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
    return (struct place){outer, entry->key->text, 0, entry->key->line, entry->key->column};
}

struct place place_item(const struct place *outer, const struct node *list, size_t index)
{
    return (struct place){outer, NULL, index, list->items[index]->line, list->items[index]->column};
}

shoal_position_t place_position(const struct load *load, const struct place *at)
{
    return (shoal_position_t){load->file, at->line, at->column};
}
