#include "top/record.h"

#include <jansson.h>
#include <math.h>

static const json_t *get(const struct record *record, const char *key)
{
    return json_object_get((const json_t *)(const void *)record, key);
}

static const struct record *as_record(const json_t *value)
{
    return json_is_object(value) ? (const struct record *)(const void *)value : NULL;
}

struct record *record_parse(const char *line, size_t count)
{
    json_t *value = json_loadb(line, count, 0, NULL);
    if (json_is_object(value))
        return (struct record *)(void *)value;
    json_decref(value);
    return NULL;
}

void record_free(struct record *record)
{
    json_decref((json_t *)(void *)record);
}

const char *record_text(const struct record *record, const char *key)
{
    return json_string_value(get(record, key));
}

double record_number(const struct record *record, const char *key)
{
    const json_t *value = get(record, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const struct record *record_object(const struct record *record, const char *key)
{
    return as_record(get(record, key));
}

const struct record *record_first(const struct record *record, const char *key)
{
    return as_record(json_array_get(get(record, key), 0));
}

const char *record_text_at(const struct record *record, const char *key, size_t index)
{
    return json_string_value(json_array_get(get(record, key), index));
}
