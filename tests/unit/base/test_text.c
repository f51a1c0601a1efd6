#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static void grows_and_terminates(void **state)
{
    (void)state;
    struct text text = {0};
    text_add(&text, "", 0);
    assert_string_equal(text.bytes, "");
    for (int i = 0; i < 1000; i++) {
        text_add_format(&text, "%d,", i);
        assert_int_equal(text.bytes[text.count], '\0');
        assert_true(text.count < text.room);
    }
    assert_int_equal(text.count, 10 * 2 + 90 * 3 + 900 * 4);
    assert_memory_equal(text.bytes + text.count - 8, "998,999,", 8);
    text_free(&text);
    assert_null(text.bytes);
    assert_int_equal(text.room, 0);
}

/* Exactly full is where an off-by-one would write the NUL behind the end. */
static void holds_every_length(void **state)
{
    (void)state;
    char bytes[300];
    memset(bytes, 'b', sizeof bytes);
    for (size_t first = 0; first < 130; first++)
        for (size_t second = 0; second < 130; second += 13) {
            struct text text = {0};
            text_add(&text, bytes, first);
            text_add(&text, bytes, second);
            assert_int_equal(strlen(text.bytes), first + second);
            text_free(&text);
        }
}

static void take_moves_the_bytes(void **state)
{
    (void)state;
    struct text text = {0};
    AUTO_FREE char *empty = text_take(&text);
    assert_string_equal(empty, "");
    text_add_string(&text, "abc");
    AUTO_FREE char *abc = text_take(&text);
    assert_string_equal(abc, "abc");
    assert_int_equal(text.count, 0);
    assert_null(text.bytes);
}

static void failure_is_kept_until_the_end(void **state)
{
    (void)state;
    struct text text = {0};
    text_add_string(&text, "abc");
    text_add(&text, "x", SIZE_MAX / 2); /* cannot be had */
    assert_true(text.failed);
    text_add_string(&text, "def");
    text_add_format(&text, "%d", 1);
    assert_string_equal(text.bytes, "abc");
    assert_null(text_take(&text));
    assert_false(text.failed);
    assert_null(text.bytes);
}

static void formats(void **state)
{
    (void)state;
    AUTO_FREE char *text = base_format("%s-%s-%d", "demo", "web", 3);
    assert_string_equal(text, "demo-web-3");
}

static void distances(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned distance;
    } rows[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"abc", "", 3},
        {"same", "same", 0},
        {"image", "imgae", 1},
        {"image", "images", 1},
        {"image", "mage", 1},
        {"image", "imbge", 1},
        {"ab", "ba", 1},
        {"kitten", "sitting", 3},
        {"mem_limit", "memlimit", 1},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(base_word_distance(rows[i].a, rows[i].b), rows[i].distance);
        assert_int_equal(base_word_distance(rows[i].b, rows[i].a), rows[i].distance);
    }
    char longest[66];
    memset(longest, 'a', sizeof longest);
    longest[65] = '\0';
    assert_int_equal(base_word_distance(longest, "a"), 64); /* too long to be meant: as far as can be */
    longest[64] = '\0';
    assert_int_equal(base_word_distance(longest, longest), 0);
    assert_int_equal(base_word_distance(longest, "a"), 63);
}

/* Known answers of FNV-1a 64. */
static void hashes(void **state)
{
    (void)state;
    assert_true(base_hash("", 0) == 0xcbf29ce484222325u);
    assert_true(base_hash("a", 1) == 0xaf63dc4c8601ec8cu);
    assert_true(base_hash("foobar", 6) == 0x85944171f73967e8u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_terminates),
        cmocka_unit_test(holds_every_length),
        cmocka_unit_test(take_moves_the_bytes),
        cmocka_unit_test(failure_is_kept_until_the_end),
        cmocka_unit_test(formats),
        cmocka_unit_test(distances),
        cmocka_unit_test(hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
