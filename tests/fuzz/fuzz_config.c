/* What `config` prints of any fleet is a fleet, and prints itself again. Other files are fixed texts. */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "compose/compose.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static int read_fixed(const char *path, size_t limit, char **out_bytes, size_t *out_count, shoal_error_t *err)
{
    static const struct {
        const char *ending, *text;
    } files[] = {{".env", "A=1\nB=\"two $A\"\nexport C='x'\nD\n"},
                 {"/ext.yaml",
                  "services: {a: {image: x, extends: b, env_file: [a.env], volumes: ['./v:/v']}, b: {labels: "
                  "{l: m}}, c: {extends: {file: ext.yaml, service: a}}}\n"},
                 {"/inc.yaml", "services: {i: {image: \"${A}\", networks: [n]}}\nnetworks: {n: }\nvolumes: {v: }\n"}};
    (void)limit;
    for (size_t i = 0; i < COUNT(files); i++) {
        size_t length = strlen(path), ending = strlen(files[i].ending);
        if (length < ending || strcmp(path + length - ending, files[i].ending) != 0)
            continue;
        *out_bytes = strdup(files[i].text);
        *out_count = strlen(files[i].text);
        return *out_bytes == NULL ? -ENOMEM : 0;
    }
    return shoal_fail(err, -ENOENT, "open");
}

struct said {
    bool error;
    char first[300];
};

static void note(void *data, shoal_severity_t severity, const shoal_position_t *at, const char *text)
{
    struct said *said = data;
    if (text[0] == '\0' || strchr(text, '\n') != NULL || at == NULL)
        abort();
    if (severity == SHOAL_ERROR && !said->error)
        (void)snprintf(said->first, sizeof said->first, "%s", text);
    said->error = said->error || severity == SHOAL_ERROR;
}

static char *config(const char *text, bool json, struct said *said)
{
    static const char *const nothing[] = {NULL};
    const shoal_compose_options_t options = {.text = text, .project_directory = "/fleet", .environ = nothing};
    const shoal_config_options_t what = {.json = json};
    char *out = NULL;
    size_t count;
    *said = (struct said){0};
    int code = compose_config(&options, &what, read_fixed, note, said, &out, &count);
    if ((code < 0) != said->error || (code == 0 && strlen(out) != count))
        abort();
    return code == 0 ? out : NULL;
}

/* What Compose itself prints and does not read again: a service that may be missing and is, an SSH key with its path,
 * and what is beyond a limit once it is written out. */
static bool is_known(const struct said *said)
{
    static const char *const words[] = {
        "there is no service", "is not a key; write default", "more than", "larger than", "too large", "out of memory",
        "has no source",       "is defined in the included"};
    for (size_t i = 0; i < COUNT(words); i++)
        if (strstr(said->first, words[i]) != NULL)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct said said;
    AUTO_FREE char *text = malloc(count + 1);
    if (text == NULL)
        return 0;
    memcpy(text, bytes, count);
    text[count] = '\0';
    AUTO_FREE char *yaml = config(text, false, &said);
    if (yaml == NULL)
        return 0;
    AUTO_FREE char *json = config(text, true, &said);
    AUTO_FREE char *again = config(yaml, false, &said);
    if (again == NULL) {
        if (is_known(&said))
            return 0;
        fprintf(stderr, "%s\n%s", said.first, yaml);
        abort();
    }
    if (strcmp(yaml, again) != 0) {
        fprintf(stderr, "%s\n====\n%s", yaml, again);
        abort();
    }
    AUTO_FREE char *again_json = json == NULL ? NULL : config(yaml, true, &said);
    if (json != NULL && (again_json == NULL || strcmp(json, again_json) != 0))
        abort();
    return 0;
}
