/* What the tables say, for people and editors: shoal-compose(5), docs/compose.md, the JSON schema of x-shoal. What is
 * written there is what the loader does. */
#include <string.h>

#include "compose/language.h"

enum { MOST_SECTIONS = 128 };

struct visit {
    const struct section *seen[MOST_SECTIONS];
    size_t count;
};

static bool add_section(struct visit *v, const struct section *section)
{
    for (size_t i = 0; i < v->count; i++)
        if (v->seen[i] == section)
            return false;
    if (section == NULL || v->count == MOST_SECTIONS)
        return false;
    v->seen[v->count++] = section;
    return true;
}

static void visit_section(struct visit *v, const struct section *section);

static void visit_kind(struct visit *v, const struct kind *kind, unsigned depth)
{
    if (kind == NULL || depth > 8)
        return;
    if (kind->section != NULL)
        visit_section(v, kind->section);
    visit_kind(v, kind->items, depth + 1);
    visit_kind(v, kind->values, depth + 1);
}

/* Sections in the order in which a reader meets them. */
static void visit_section(struct visit *v, const struct section *section)
{
    if (!add_section(v, section))
        return;
    for (size_t i = 0; i < section->count; i++) {
        if (section->keys[i].kind != NULL)
            visit_kind(v, section->keys[i].kind, 0);
        visit_section(v, section->keys[i].section);
    }
}

static bool is_carried_out(const struct key *key)
{
    return key->read != NULL && key->refused == NULL;
}

/* ---- manual page ---- */

static void put_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '_' || *text == '<' || *text == '~')
            (void)fputc('\\', out); /* an underscore would underline */
        (void)fputc(*text, out);
    }
}

static void print_key(FILE *out, const struct key *key)
{
    (void)fputs("*", out);
    put_escaped(out, key->name);
    (void)fprintf(out, "* (%s%s)", key->form, key->needed ? ", needed" : "");
    if (!is_carried_out(key))
        (void)fprintf(out, " -- %s", key->refused != NULL ? "refused" : "not carried out yet");
    (void)fputs("\n\t", out);
    put_escaped(out, key->doc);
    if (key->refused != NULL) {
        (void)fputs(" Refused: ", out);
        put_escaped(out, key->refused);
        (void)fputs(".", out);
    }
    if (key->false_is_fine)
        (void)fputs(" _false_ is accepted.", out);
    (void)fputs("\n\n", out);
}

static void print_section(FILE *out, const struct section *section)
{
    (void)fputs("## ", out);
    put_escaped(out, section->title);
    (void)fputs("\n\n", out);
    if (section->doc != NULL) {
        put_escaped(out, section->doc);
        (void)fputs("\n\n", out);
    }
    for (unsigned carried_out = 2; carried_out-- > 0;)
        for (size_t i = 0; i < section->count; i++)
            if (is_carried_out(&section->keys[i]) == carried_out)
                print_key(out, &section->keys[i]);
}

void compose_print_manual(FILE *out)
{
    struct visit visit = {0};
    visit_section(&visit, &fleet_section);
    (void)fputs(
        "shoal-compose(5)\n\n# NAME\n\nshoal-compose - the fleet file of shoal\n\n# DESCRIPTION\n\n"
        "A fleet is described in one or more files in the language of the Compose specification "
        "(https://github.com/compose-spec/compose-spec). This page lists every key of it: those that are carried out; "
        "those that are not carried out yet, which _shoal config_ prints with a warning and _shoal up_ refuses; and "
        "those that are refused, with the reason. Nothing is silently ignored.\n\n"
        "Sizes are bytes or have a unit of 1024 steps: 64m, 1.5g. Durations have units: 500ms, 10s, 1m30s.\n\n"
        "# VARIABLES\n\n"
        "Variables are replaced in values, not in keys: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, "
        "${NAME:?message}, ${NAME?message}, ${NAME:+other}, ${NAME+other}; $$ is a dollar sign. They come from the "
        "environment, then from the files of *--env-file*, or from .env in the project's directory.\n\n"
        "# SEVERAL FILES\n\n"
        "Files named by several *-f* are merged, the later over the earlier: mappings key by key, lists end to end, "
        "other "
        "values replaced. Variables, labels and the like are one for each name, ports and mounts one for each target; "
        "_command_, _entrypoint_ and _healthcheck.test_ are replaced. The tag _!reset_ takes a value away, _!override_ "
        "puts one in its place unmerged. Without *-f* the file is compose.yaml, compose.yml, docker-compose.yml or "
        "docker-compose.yaml here or in a directory above, and compose.override.yml or the like beside it.\n\n# "
        "KEYS\n\n",
        out);
    for (size_t i = 0; i < visit.count; i++)
        print_section(out, visit.seen[i]);
    (void)fputs(
        "# LIMITS\n\nA file has up to 10 MiB, 600,000 values (aliases counted as often as they are used) and 64 "
        "levels; all files of a fleet together up to 64 MiB; an environment file up to 1 MiB; a fleet up to "
        "100,000 ports.\n\n# SEE ALSO\n\n*shoal*(1)\n",
        out);
}

/* ---- Markdown ---- */

static void put_cell(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|' || *text == '<')
            (void)fputc('\\', out);
        if (*text != '\\') /* scdoc's */
            (void)fputc(*text, out);
    }
}

static void print_row(FILE *out, const struct key *key)
{
    (void)fprintf(out, "| `%s` | %s%s | ", key->name, key->form, key->needed ? ", needed" : "");
    put_cell(out, key->doc);
    if (key->false_is_fine)
        (void)fputs(" *false* is accepted.", out);
    (void)fputs(" | ", out);
    if (key->refused != NULL) {
        (void)fputs("refused: ", out);
        put_cell(out, key->refused);
    } else {
        (void)fputs(is_carried_out(key) ? "yes" : "not yet", out);
    }
    (void)fputs(" |\n", out);
}

void compose_print_markdown(FILE *out)
{
    struct visit visit = {0};
    visit_section(&visit, &fleet_section);
    (void)fputs("# The fleet file, key by key\n\n"
                "Written by `make docs` from the tables that read the file. *Carried out*: **yes**; **not yet**, which "
                "`shoal config` prints with a warning and `shoal up` refuses; or **refused**, and why.\n",
                out);
    for (size_t i = 0; i < visit.count; i++) {
        const struct section *section = visit.seen[i];
        (void)fprintf(out, "\n## %s\n\n", section->title);
        if (section->doc != NULL) {
            put_cell(out, section->doc);
            (void)fputs("\n\n", out);
        }
        (void)fputs("| key | written as | what it does | carried out |\n|---|---|---|---|\n", out);
        for (size_t k = 0; k < section->count; k++)
            print_row(out, &section->keys[k]);
    }
}

/* ---- JSON schema of x-shoal ---- */

static void put_schema_section(FILE *out, const struct section *section, unsigned indent);

static void put_json_text(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
    (void)fputc('"', out);
}

static bool is_form(const struct key *key, const char *word)
{
    return strcmp(key->form, word) == 0;
}

/* A bound in the unit that is written. */
static void put_bound(FILE *out, const char *name, int64_t value, int64_t scale)
{
    if (scale > 1)
        (void)fprintf(out, ", \"%s\": %g", name, (double)value / (double)scale);
    else
        (void)fprintf(out, ", \"%s\": %lld", name, (long long)value);
}

static void put_schema_key(FILE *out, const struct key *key, unsigned indent)
{
    (void)fprintf(out, "%*s\"%s\": {\"description\": ", (int)indent, "", key->name);
    put_json_text(out, key->doc);
    if (key->section != NULL) {
        if (is_form(key, "mapping of names")) {
            (void)fputs(", \"type\": \"object\", \"additionalProperties\": {\"type\": \"object\",\n", out);
            put_schema_section(out, key->section, indent + 2);
            (void)fprintf(out, "%*s}}", (int)indent, "");
            return;
        }
        const char *type = is_form(key, "mapping or off")    ? "[\"object\", \"string\", \"boolean\"]"
                           : is_form(key, "mapping or size") ? "[\"object\", \"string\", \"integer\"]"
                                                             : "\"object\"";
        (void)fprintf(out, ", \"type\": %s,\n", type);
        put_schema_section(out, key->section, indent + 2);
        (void)fprintf(out, "%*s}", (int)indent, "");
        return;
    }
    if (is_form(key, "bool")) {
        (void)fputs(", \"type\": \"boolean\"", out);
    } else if (is_form(key, "number") || is_form(key, "percent")) {
        (void)fprintf(out, ", \"type\": \"%s\"", key->scale > 1 ? "number" : "integer");
        if (key->max > 0) {
            put_bound(out, "minimum", key->min, key->scale);
            put_bound(out, "maximum", key->max, key->scale);
        }
    } else if (is_form(key, "duration")) {
        (void)fputs(", \"type\": \"string\", \"pattern\": \"^([0-9.]+(ns|us|ms|s|m|h|d|w))+$\"", out);
    } else if (is_form(key, "list")) {
        (void)fputs(", \"type\": \"array\"", out);
    } else if (is_form(key, "text") || is_form(key, "path")) {
        (void)fputs(", \"type\": \"string\"", out);
    } else if (is_form(key, "size") || is_form(key, "number or 100k")) {
        (void)fputs(", \"type\": [\"integer\", \"string\"]", out);
    }
    (void)fputs("}", out);
}

static void put_schema_section(FILE *out, const struct section *section, unsigned indent)
{
    (void)fprintf(out, "%*s\"additionalProperties\": false,\n%*s\"properties\": {\n", (int)indent, "", (int)indent, "");
    for (size_t i = 0; i < section->count; i++) {
        put_schema_key(out, &section->keys[i], indent + 2);
        (void)fputs(i + 1 < section->count ? ",\n" : "\n", out);
    }
    (void)fprintf(out, "%*s}\n", (int)indent, "");
}

void compose_print_schema(FILE *out)
{
    static const struct {
        const char *name, *where;
        const struct section *section;
    } rows[] = {{"fleet", "x-shoal at the top of a fleet file", &fleet_x_section},
                {"service", "x-shoal of a service", &service_x_section},
                {"network", "x-shoal of a network", &network_x_section}};
    (void)fputs("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
                "  \"title\": \"What shoal adds to the Compose specification\",\n  \"type\": \"object\",\n"
                "  \"properties\": {\n    \"x-shoal\": {\"$ref\": \"#/$defs/fleet\"},\n"
                "    \"services\": {\"additionalProperties\": {\"properties\": {\"x-shoal\": {\"$ref\": "
                "\"#/$defs/service\"}}}},\n"
                "    \"networks\": {\"additionalProperties\": {\"properties\": {\"x-shoal\": {\"$ref\": "
                "\"#/$defs/network\"}}}}\n  },\n  \"$defs\": {\n",
                out);
    for (size_t i = 0; i < COUNT(rows); i++) {
        (void)fprintf(out, "    \"%s\": {\n      \"description\": \"%s\",\n      \"type\": \"object\",\n", rows[i].name,
                      rows[i].where);
        put_schema_section(out, rows[i].section, 6);
        (void)fprintf(out, "    }%s\n", i + 1 < COUNT(rows) ? "," : "");
    }
    (void)fputs("  }\n}\n", out);
}
