/* shoal preflight: the limits of this host and what the fleet needs of each, as a table on stdout, with what to do where
 * it does not fit. */
#include <errno.h>
#include <stdio.h>

#include "base/base.h"
#include "cmd/cmd.h"

/* "12,092"; bytes in MiB; "-" where nobody knows. */
struct number {
    char text[48];
};

static struct number number_of(uint64_t value, bool bytes)
{
    struct number out = {"-"};
    if (value == SHOAL_ABSENT)
        return out;
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)(bytes ? value >> 20 : value));
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            out.text[used++] = ',';
        out.text[used++] = digits[i];
    }
    (void)snprintf(out.text + used, sizeof out.text - used, "%s", bytes ? " MiB" : "");
    return out;
}

static void on_resource(void *data, const shoal_resource_t *resource, shoal_verdict_t verdict)
{
    (void)data;
    char name[96];
    (void)snprintf(name, sizeof name, "%s%s%s", resource->name, resource->network != NULL ? " " : "",
                   resource->network != NULL ? resource->network : "");
    bool fits = verdict == SHOAL_FITS;
    printf("%-34s %14s %14s %18s  %-6s %s%s%s\n", name, number_of(resource->needed, resource->bytes).text,
           number_of(resource->used, resource->bytes).text, number_of(resource->limit, resource->bytes).text,
           shoal_verdict_name(verdict), resource->what, fits ? "" : ": ", fits ? "" : resource->advice);
}

static void on_message(void *data, shoal_severity_t severity, const char *text)
{
    (void)data;
    (void)fflush(stdout);
    fprintf(stderr, "shoal: %s%s\n", severity == SHOAL_WARNING ? "warning: " : "", text);
}

int cmd_preflight(const struct cmd_options *options)
{
    shoal_spec_t *spec = cmd_load(options);
    if (spec == NULL)
        return EXIT_STATUS_USAGE;
    shoal_supervisor_options_t wanted = {.root_dir = options->root_dir, .on_message = on_message};
    shoal_error_t error;
    printf("%-34s %14s %14s %18s  %-6s %s\n", "LIMIT", "NEEDED", "USED", "OF", "", "WHAT, AND WHAT TO DO");
    int code = shoal_preflight(spec, &wanted, on_resource, NULL, &error);
    shoal_spec_free(spec);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "shoal: stdout: write failed\n");
        return EXIT_STATUS_FAILED;
    }
    if (code == 0)
        return 0;
    fprintf(stderr, "shoal: %s\n", error.text);
    return code == -ENOTSUP || code == -EINVAL ? EXIT_STATUS_USAGE : EXIT_STATUS_FAILED;
}
