/* Where a container's output goes. */
#include <errno.h>
#include <string.h>

#include "compose/keys.h"
#include "compose/values.h"

static void read_log_driver(struct load *load, const struct place *at, const struct key *key, struct node *value,
                            void *object)
{
    (void)key;
    shoal_service_t *service = object;
    const char *text;
    if (!take_text(load, at, value, &text))
        return;
    if (strcmp(text, "none") == 0)
        service->log.driver = SHOAL_LOG_NONE;
    else if (strcmp(text, "json-file") != 0)
        load_error(load, at, "the driver \"%.60s\" is not supported yet; json-file and none are", text);
}

static void read_log_size(struct load *load, const struct place *at, const struct key *key, struct node *value,
                          void *object)
{
    (void)key;
    uint64_t bytes;
    if (!take_size(load, at, value, &bytes))
        return;
    if (bytes < 4096)
        load_error(load, at, "\"%.60s\" is too little; the least is 4k", value->text);
    else
        ((shoal_service_t *)object)->log.max_bytes = bytes;
}

static void read_log_count(struct load *load, const struct place *at, const struct key *key, struct node *value,
                           void *object)
{
    int64_t count;
    if (take_integer(load, at, value, key->min, key->max, &count))
        ((shoal_service_t *)object)->log.max_files = (unsigned)count;
}

static const struct key log_option_keys[] = {
    {"max-size", .read = read_log_size, .form = "size", .doc = "A file of this size is rotated. Default: never."},
    {"max-file", .read = read_log_count, .min = 1, .max = 1000, .form = "number",
     .doc = "How many files are kept; more than one needs *max-size*. Default 1."},
    {"compress", .false_is_fine = true, .form = "bool", .doc = "Compress rotated files."},
    {"labels", .form = "text", .doc = "Labels that go into each line."},
    {"labels-regex", .form = "text", .doc = "Labels that go into each line."},
    {"env", .form = "text", .doc = "Variables that go into each line."},
    {"env-regex", .form = "text", .doc = "Variables that go into each line."},
    {"tag", .form = "text", .doc = "A tag that goes into each line."},
    {"mode", .form = "text", .doc = "Whether a full buffer blocks the container."},
    {"max-buffer-size", .form = "size", .doc = "Size of that buffer."},
};
static const struct section log_option_section = SECTION("services.NAME.logging.options", "Of the driver json-file.",
                                                         log_option_keys, false);

static const struct kind option = {TAKES_TEXT | TAKES_NUMBER | TAKES_NULL, AS_WRITTEN, .what = "text or a number"};
static const struct kind options_kind = {TAKES_MAP, AS_OPTIONS, .values = &option};

static const struct key logging_keys[] = {
    {"driver", &kind_text, .read = read_log_driver, .form = "text", .doc = "*json-file* (default) or *none*."},
    {"options", &options_kind, .read = read_nested, .section = &log_option_section, .form = "mapping",
     .doc = "Options of the driver."},
};
const struct section logging_section = SECTION("services.NAME.logging", "Where output goes.", logging_keys, true);

void read_logging(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    shoal_service_t *service = object;
    read_nested(load, at, key, value, object);
    const struct node *options = node_get(value, "options");
    if (service->log.driver == SHOAL_LOG_NONE && options != NULL && options->kind == NODE_MAP && options->count > 0)
        load_error(load, at, "the driver none has no options");
    else if (service->log.max_files > 1 && service->log.max_bytes == 0)
        load_error(load, at, "max-file needs max-size");
}
