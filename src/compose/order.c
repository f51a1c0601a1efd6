/* The order in which keys are printed. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "compose/node.h"

/* Characters above ASCII count as letters, as almost all words of other scripts are made of them, but for those that
 * take four bytes: most of these are pictures. */
static bool is_letter(unsigned char c)
{
    return isalpha(c) || (c >= 0x80 && c < 0xf0);
}

/* Digits from s on as a number, as far as one fits. */
static uint64_t read_number(const char *s, uint64_t before, size_t *out_digits)
{
    uint64_t number = before;
    size_t count = 0;
    for (; isdigit((unsigned char)s[count]); count++)
        number = number > (UINT64_MAX - 9) / 10 ? UINT64_MAX : number * 10 + (uint64_t)(s[count] - '0');
    *out_digits = count;
    return number;
}

/* Numbers that begin at s + at and t + at, or go on there after digits that are the same in both. */
static int compare_numbers(const char *s, const char *t, size_t at)
{
    uint64_t before = 0; /* a zero counts for something behind another digit */
    for (size_t i = at; (s[at] == '0' || t[at] == '0') && i > 0 && isdigit((unsigned char)s[i - 1]); i--)
        if (s[i - 1] != '0')
            before = 1;
    size_t s_digits, t_digits;
    uint64_t x = read_number(s + at, before, &s_digits), y = read_number(t + at, before, &t_digits);
    if (x != y)
        return x < y ? -1 : 1;
    if (s_digits != t_digits)
        return s_digits < t_digits ? -1 : 1;
    return (unsigned char)s[at] < (unsigned char)t[at] ? -1 : 1;
}

int node_compare_naturally(const char *s, const char *t)
{
    size_t at = 0;
    while (s[at] == t[at] && s[at] != '\0')
        at++;
    unsigned char x = (unsigned char)s[at], y = (unsigned char)t[at];
    if (x == '\0' || y == '\0')
        return x == y ? 0 : x == '\0' ? -1 : 1;
    if (is_letter(x) && is_letter(y))
        return x < y ? -1 : 1;
    if (is_letter(x) || is_letter(y)) {
        bool letter_first = at > 0 && isdigit((unsigned char)s[at - 1]);
        return is_letter(x) == letter_first ? -1 : 1;
    }
    return compare_numbers(s, t, at);
}

static int by_bytes(const void *a, const void *b)
{
    const struct node_entry *const *x = a, *const *y = b;
    return strcmp((*x)->key->text, (*y)->key->text);
}

static int by_nature(const void *a, const void *b)
{
    const struct node_entry *const *x = a, *const *y = b;
    return node_compare_naturally((*x)->key->text, (*y)->key->text);
}

static const struct node_entry **sorted_by(struct arena *arena, const struct node *map,
                                           int (*compare)(const void *, const void *))
{
    const struct node_entry **sorted = arena_array(arena, map->count, sizeof *sorted);
    for (size_t i = 0; sorted != NULL && i < map->count; i++)
        sorted[i] = &map->entries[i];
    if (sorted != NULL && map->count > 1)
        qsort(sorted, map->count, sizeof *sorted, compare);
    return sorted;
}

const struct node_entry **node_sorted(struct arena *arena, const struct node *map)
{
    return sorted_by(arena, map, by_bytes);
}

const struct node_entry **node_sorted_naturally(struct arena *arena, const struct node *map)
{
    return sorted_by(arena, map, by_nature);
}
