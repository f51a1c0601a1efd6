/* Limits in force, as they are told: nothing is read for it, for all of them were read back when they were written. */
#include <string.h>

#include "cgroup/inside.h"

/* The numbers of a shoal_sample_t's spec. */
static const struct number {
    const char *file;
    size_t offset;
} numbers[] = {
    {"memory.low", offsetof(shoal_sample_t, spec.memory_low)},
    {"memory.high", offsetof(shoal_sample_t, spec.memory_high)},
    {"memory.swap.max", offsetof(shoal_sample_t, spec.memory_swap)},
    {"cpu.max", offsetof(shoal_sample_t, spec.cpu_quota)}, /* the period stands behind it */
    {"cpu.max.burst", offsetof(shoal_sample_t, spec.cpu_burst)},
    {"cpu.weight", offsetof(shoal_sample_t, spec.cpu_weight)},
};

static void note_number(struct cgroup_limits *limits, const shoal_limit_line_t *line)
{
    static const size_t begin = offsetof(shoal_sample_t, spec), period = offsetof(shoal_sample_t, spec.cpu_period);
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (strcmp(line->name, numbers[i].file) == 0)
            limits->spec[(numbers[i].offset - begin) / sizeof *limits->spec] = cgroup_parse_number(line->value);
    const char *blank = strcmp(line->name, "cpu.max") == 0 ? strchr(line->value, ' ') : NULL;
    if (blank != NULL)
        limits->spec[(period - begin) / sizeof *limits->spec] = cgroup_parse_number(blank + 1);
}

bool limits_make_lines(struct cgroup_limits *limits)
{
    memset(limits->spec, 0xff, sizeof limits->spec); /* SHOAL_ABSENT */
    limits->lines = calloc(limits->count + 1, sizeof *limits->lines);
    for (size_t i = 0; limits->lines != NULL && i < limits->count; i++) {
        const struct limit_setting *setting = &limits->settings[i];
        const char *name = setting->subject[0] == '\0' ? setting->file.name
                                                       : base_format("%s %s", setting->file.name, setting->subject);
        if (name == NULL)
            return false;
        limits->lines[i] = (shoal_limit_line_t){name, setting->value};
        note_number(limits, &limits->lines[i]);
    }
    return limits->lines != NULL;
}

void limits_free_lines(struct cgroup_limits *limits)
{
    for (size_t i = 0; limits->lines != NULL && i < limits->count; i++)
        if (limits->settings[i].subject[0] != '\0')
            free((char *)(uintptr_t)limits->lines[i].name);
    free(limits->lines);
}

void cgroup_tell_limits(const struct cgroup *cgroup, shoal_sample_t *out)
{
    const struct cgroup_limits *limits = cgroup->limits;
    out->limit_count = limits != NULL ? limits->count : 0;
    out->limits = limits != NULL ? limits->lines : NULL;
    if (limits != NULL)
        memcpy(&out->spec, limits->spec, sizeof out->spec);
}
