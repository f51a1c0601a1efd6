/* shoal-compose(5), from the key tables: what is written there is what the loader does. */
#include <string.h>

#include "compose/keys.h"

/* Sections in the order of the page; `resources` and the log's options are reached through the rows. */
static const struct section *const roots[] = {&fleet_section, &service_section, &network_section, &volume_section};

/* Sections that a row's reader goes into without naming them, by the title of the section they belong under. */
static const struct section *const behind[] = {&depends_section, &env_file_section,   &mount_section,
                                               &rate_section,    &attachment_section, &subnet_section};

static void print_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '_' || *text == '<' || *text == '~')
            (void)fputc('\\', out); /* an underscore would underline */
        (void)fputc(*text, out);
    }
}

static const char *status(const struct key *key)
{
    if (key->refused != NULL)
        return "refused";
    return key->read != NULL ? NULL : "not carried out yet";
}

static void print_key(FILE *out, const struct key *key)
{
    (void)fputs("*", out);
    print_escaped(out, key->name);
    (void)fprintf(out, "* (%s%s)", key->form, key->needed ? ", needed" : "");
    if (status(key) != NULL)
        (void)fprintf(out, " -- %s", status(key));
    (void)fputs("\n\t", out);
    print_escaped(out, key->doc);
    if (key->refused != NULL) {
        (void)fputs(" Refused: ", out);
        print_escaped(out, key->refused);
        (void)fputs(".", out);
    }
    if (key->false_is_fine)
        (void)fputs(" _false_ is accepted.", out);
    (void)fputs("\n\n", out);
}

static void print_section(FILE *out, const struct section *section, bool *restart_printed);

static bool is_below(const struct section *section, const struct section *outer)
{
    return strncmp(section->title, outer->title, strlen(outer->title)) == 0;
}

static void print_inner(FILE *out, const struct section *section, bool *restart_printed)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct section *inner = section->keys[i].section;
        if (inner == &restart_section && *restart_printed)
            continue; /* it belongs to the file and to a service */
        if (inner != NULL)
            print_section(out, inner, restart_printed);
    }
}

static void print_section(FILE *out, const struct section *section, bool *restart_printed)
{
    *restart_printed = *restart_printed || section == &restart_section;
    (void)fputs("## ", out);
    print_escaped(out, section->title);
    (void)fputs("\n\n", out);
    if (section->doc != NULL) {
        print_escaped(out, section->doc);
        (void)fputs("\n\n", out);
    }
    for (unsigned carried_out = 2; carried_out-- > 0;)
        for (size_t i = 0; i < section->count; i++)
            if ((status(&section->keys[i]) == NULL) == carried_out)
                print_key(out, &section->keys[i]);
    print_inner(out, section, restart_printed);
    for (size_t i = 0; i < COUNT(behind); i++) {
        bool direct = section == &service_section || section == &ipam_section || section == &blkio_section;
        bool rate = behind[i] == &rate_section;
        if (direct && is_below(behind[i], section) && rate == (section == &blkio_section))
            print_section(out, behind[i], restart_printed);
    }
}

void compose_print_manual(FILE *out)
{
    bool restart_printed = false;
    (void)fputs(
        "shoal-compose(5)\n\n# NAME\n\nshoal-compose - the fleet file of shoal\n\n# DESCRIPTION\n\n"
        "A fleet is described in one file in the language of the Compose specification "
        "(https://github.com/compose-spec/compose-spec). This page lists every key of it: those that are carried "
        "out, and those that are an error when they are written: refused, or not supported yet. Nothing is "
        "silently ignored.\n\n"
        "Sizes are bytes or have a unit of 1024 steps: 64m, 1.5g. Durations have units: 500ms, 10s, 1m30s. "
        "Variables are replaced in values, not in keys: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, "
        "${NAME:?message}, ${NAME?message}, ${NAME:+other}, ${NAME+other}; $$ is a dollar sign. They come from "
        "the environment, then from the file .env in the project's directory.\n\n# KEYS\n\n",
        out);
    for (size_t i = 0; i < COUNT(roots); i++)
        print_section(out, roots[i], &restart_printed);
    (void)fputs(
        "# LIMITS\n\nA file has up to 10 MiB, 600,000 values (aliases counted as often as they are used) and 64 "
        "levels; an environment file up to 1 MiB.\n",
        out);
}
