/* Input: two texts as the kernel's files could hold them, the first ended by a NUL; each is read in every format. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cgroup/inside.h"
#include "kernel/pressure.h"

static void read_every_way(const char *text)
{
    uint64_t sums[4];
    cgroup_parse_io(text, sums);
    shoal_pressure_line_t line;
    cgroup_parse_pressure(text, &line);
    if (!(line.some_avg10 >= 0 && line.some_avg10 < 1e8 && line.full_avg10 >= 0 && line.full_avg10 < 1e8))
        abort();
    /* two readers of one format, one for a cgroup's file and one for the host's */
    if (strncmp(text, "some ", 5) == 0 && line.some_total != SHOAL_ABSENT &&
        line.some_total != pressure_parse_some_usec(text))
        abort();
    static const char *const keys[] = {"populated", "oom_kill", "max", "usage_usec", "anon"};
    for (size_t i = 0; i < COUNT(keys); i++) {
        uint64_t value = cgroup_parse_key(text, keys[i]);
        if (value != SHOAL_ABSENT && strstr(text, keys[i]) == NULL)
            abort();
    }
    (void)cgroup_parse_number(text);
    if (cgroup_parse_cost(text, "8:0") && !cgroup_parse_cost(text, NULL))
        abort();
    static const char *const subjects[] = {"", "8:0", "default"};
    for (size_t i = 0; i < COUNT(subjects); i++) {
        char *copy = strdup(text);
        const char *found = copy != NULL ? cgroup_parse_line(copy, subjects[i]) : "";
        size_t length = strlen(found);
        if (copy == NULL || strchr(found, '\n') != NULL || (length > 0 && found[length - 1] == ' '))
            abort();
        free(copy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    size_t first = strnlen((const char *)bytes, count);
    char *a = strndup((const char *)bytes, first);
    char *b = strndup((const char *)bytes + first + (first < count), count - first - (first < count));
    if (a == NULL || b == NULL)
        abort();
    read_every_way(a);
    read_every_way(b);
    if (cgroup_same_list(a, b) != cgroup_same_list(b, a) || !cgroup_same_list(a, a))
        abort();
    if (cgroup_same_list(a, b) != (cgroup_list_holds(a, b) && cgroup_list_holds(b, a)))
        abort();
    free(a);
    free(b);
    return 0;
}
