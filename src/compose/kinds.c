/* Kinds of values that many keys share. */
#include "compose/keys.h"
#include "compose/language.h"

const struct kind kind_any = {TAKES_ANY, AS_WRITTEN};
const struct kind kind_text = {TAKES_TEXT, AS_TEXT};
const struct kind kind_text_null = {TAKES_TEXT | TAKES_NULL, AS_TEXT};
const struct kind kind_flag = {TAKES_BOOL | TAKES_TEXT, AS_FLAG, .what = "true or false"};
const struct kind kind_flag_set = {TAKES_BOOL | TAKES_TEXT, AS_FLAG_SET, .what = "true or false"};
const struct kind kind_strict_flag = {TAKES_BOOL, AS_FLAG, .what = "true or false, without quotes"};
const struct kind kind_count = {TAKES_INTEGER | TAKES_TEXT, AS_COUNT, .what = "a whole number"};
const struct kind kind_count_number = {TAKES_NUMBER | TAKES_TEXT, AS_COUNT, .what = "a number"};
const struct kind kind_count_set = {TAKES_INTEGER | TAKES_TEXT, AS_COUNT_SET, .what = "a whole number"};
const struct kind kind_count_unsigned = {TAKES_NUMBER | TAKES_TEXT, AS_COUNT_SET, .unsigned_value = true,
                                         .what = "a whole number"};
const struct kind kind_float = {TAKES_NUMBER | TAKES_TEXT, AS_FLOAT, .what = "a number"};
const struct kind kind_bytes = {TAKES_INTEGER | TAKES_TEXT, AS_BYTES, .what = "a size"};
const struct kind kind_bytes_text = {TAKES_TEXT, AS_BYTES, .what = "a size"};
const struct kind kind_bytes_number = {TAKES_NUMBER | TAKES_TEXT, AS_BYTES, .what = "a size"};
const struct kind kind_duration = {TAKES_TEXT, AS_DURATION_SET, .what = "a duration"};
const struct kind kind_duration_zero = {TAKES_TEXT, AS_DURATION, .what = "a duration"};
const struct kind kind_path = {TAKES_TEXT, AS_TEXT, .path = PATH_UNIX};

const struct kind kind_texts = {TAKES_LIST, AS_TEXTS, .items = &kind_text, .what = "a list of texts"};
const struct kind kind_texts_unique = {TAKES_LIST, AS_TEXTS, .items = &kind_text, .unique = true,
                                       .what = "a list of texts"};
const struct kind kind_texts_named = {TAKES_LIST,     AS_TEXTS,          .items = &kind_text,
                                      .unique = true, .same = SAME_NAME, .what = "a list of texts"};
const struct kind kind_texts_or_one = {
    TAKES_TEXT | TAKES_LIST, AS_TEXTS,          .items = &kind_text,         .unique = true,
    .merge = MERGE_PAIRS,    .same = SAME_NAME, .lengthen = lengthen_search, .what = "text or a list of texts"};
const struct kind kind_command = {TAKES_NULL | TAKES_TEXT | TAKES_LIST, AS_COMMAND, .items = &kind_text,
                                  .merge = MERGE_REPLACE, .what = "text or a list of texts"};

static const struct kind scalar = {TAKES_NULL | TAKES_BOOL | TAKES_NUMBER | TAKES_TEXT, AS_WRITTEN,
                                   .what = "text, a number, true or false"};
#define PAIRS(to)                                                                                                      \
    {                                                                                                                  \
        TAKES_MAP | TAKES_LIST, to, .items = &kind_text, .values = &scalar, .unique = true, .merge = MERGE_PAIRS,      \
                                    .same = SAME_NAME, .what = "a mapping or a list of NAME=value"                     \
    }
const struct kind kind_labels = PAIRS(AS_PAIRS);
const struct kind kind_pairs = PAIRS(AS_PAIRS);
const struct kind kind_variables = PAIRS(AS_VARIABLES);

static const struct kind option = {TAKES_TEXT | TAKES_NUMBER, AS_WRITTEN, .what = "text or a number"};
const struct kind kind_options = {TAKES_MAP, AS_OPTIONS, .values = &option};
const struct kind kind_options_text = {TAKES_MAP, AS_OPTIONS, .values = &kind_text};

static const struct kind address = {TAKES_TEXT | TAKES_LIST, AS_WRITTEN, .items = &kind_text,
                                    .what = "an address or a list of them"};
const struct kind kind_hosts = {TAKES_MAP | TAKES_LIST,
                                AS_HOSTS,
                                .items = &kind_text,
                                .values = &address,
                                .unique = true,
                                .merge = MERGE_HOSTS,
                                .what = "a mapping or a list of NAME=address"};

const struct kind kind_external = {TAKES_BOOL | TAKES_TEXT | TAKES_MAP, AS_FLAG, .what = "true or false"};

static const struct kind ulimit_value = {TAKES_INTEGER | TAKES_TEXT | TAKES_MAP, AS_ULIMIT, .section = &ulimit_section,
                                         .merge = MERGE_REPLACE, .what = "a whole number or a mapping"};
const struct kind kind_ulimits = {TAKES_MAP, AS_NAMED, .values = &ulimit_value};

const struct kind kind_mode = {TAKES_NUMBER | TAKES_TEXT, AS_MODE, .what = "an octal mode"};

static const struct kind secret_grant = {TAKES_TEXT | TAKES_MAP, AS_SECTION, .section = &grant_section,
                                         .lengthen = lengthen_grant, .complete = complete_secret_grant};
static const struct kind config_grant = {TAKES_TEXT | TAKES_MAP, AS_SECTION, .section = &grant_section,
                                         .lengthen = lengthen_grant};
const struct kind kind_grants_secret = {TAKES_LIST, AS_LIST, .items = &secret_grant, .same = SAME_SECRET};
const struct kind kind_grants_config = {TAKES_LIST, AS_LIST, .items = &config_grant, .same = SAME_CONFIG};

static const struct kind env_file = {TAKES_TEXT | TAKES_MAP, AS_SECTION, .section = &env_file_section,
                                     .lengthen = lengthen_env_file};
const struct kind kind_env_file = {TAKES_TEXT | TAKES_LIST,   AS_LIST,           .items = &env_file,
                                   .merge = MERGE_PAIRS,      .same = SAME_FILE, .lengthen = lengthen_to_list,
                                   .what = "a path or a list"};
