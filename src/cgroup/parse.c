#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "cgroup/inside.h"

uint64_t cgroup_parse_number(const char *text)
{
    if (!isdigit((unsigned char)*text))
        return SHOAL_ABSENT;
    errno = 0;
    uint64_t value = strtoull(text, NULL, 10);
    return errno == 0 ? value : SHOAL_ABSENT;
}

/* The text behind "key " at the begin of a line, NULL when there is none. */
static const char *find_line(const char *text, const char *key)
{
    size_t count = strlen(key);
    while (text != NULL) {
        if (strncmp(text, key, count) == 0 && text[count] == ' ')
            return text + count + 1;
        text = strchr(text, '\n');
        text = text != NULL ? text + 1 : NULL;
    }
    return NULL;
}

uint64_t cgroup_parse_key(const char *text, const char *key)
{
    const char *value = find_line(text, key);
    return value != NULL ? cgroup_parse_number(value) : SHOAL_ABSENT;
}

/* " name=" within the line that begins at line. */
static const char *find_field(const char *line, const char *name)
{
    size_t length = strcspn(line, "\n"), count = strlen(name);
    for (size_t i = 0; i + count < length; i++)
        if (line[i] == ' ' && strncmp(line + i + 1, name, count) == 0 && line[i + 1 + count] == '=')
            return line + i + count + 2;
    return NULL;
}

void cgroup_parse_io(const char *text, uint64_t out[4])
{
    static const char *const names[4] = {"rbytes", "wbytes", "rios", "wios"};
    for (size_t i = 0; i < 4; i++)
        out[i] = 0; /* an empty file: no device was touched */
    for (const char *line = text; line != NULL && *line != '\0';) {
        for (size_t i = 0; i < 4; i++) {
            const char *value = find_field(line, names[i]);
            uint64_t number = value != NULL ? cgroup_parse_number(value) : SHOAL_ABSENT;
            if (number != SHOAL_ABSENT)
                out[i] += number;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
}

static double parse_percent(const char *text)
{
    double value = 0, scale = 1;
    for (; isdigit((unsigned char)*text) && value < 1e6; text++)
        value = value * 10 + (*text - '0');
    if (*text == '.')
        for (text++; isdigit((unsigned char)*text) && scale > 1e-6; text++)
            value += (*text - '0') * (scale /= 10);
    return value;
}

static void parse_pressure_line(const char *text, const char *word, double *out_avg10, uint64_t *out_total)
{
    const char *line = find_line(text, word);
    if (line == NULL)
        return;
    line--; /* the space before the first field */
    const char *avg10 = find_field(line, "avg10"), *total = find_field(line, "total");
    if (avg10 == NULL || total == NULL)
        return;
    *out_avg10 = parse_percent(avg10);
    *out_total = cgroup_parse_number(total);
}

void cgroup_parse_pressure(const char *text, shoal_pressure_line_t *out)
{
    *out = (shoal_pressure_line_t){.some_total = SHOAL_ABSENT, .full_total = SHOAL_ABSENT};
    parse_pressure_line(text, "some", &out->some_avg10, &out->some_total);
    parse_pressure_line(text, "full", &out->full_avg10, &out->full_total);
}

bool cgroup_parse_cost(const char *text, const char *device)
{
    size_t count = device != NULL ? strlen(device) : 0;
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *on = strstr(line, " enable=1"), *end = strchrnul(line, '\n');
        if (on != NULL && on < end && (device == NULL || (strncmp(line, device, count) == 0 && line[count] == ' ')))
            return true;
    }
    return false;
}

const char *cgroup_parse_line(char *text, const char *subject)
{
    size_t count = strlen(subject);
    char *found = count == 0 ? text : NULL;
    for (char *line = text; found == NULL && line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, subject, count) == 0 && line[count] == ' ')
            found = line + count + 1;
    }
    if (found == NULL)
        return "";
    size_t length = strcspn(found, "\n");
    while (length > 0 && found[length - 1] == ' ') /* rdma.max has one at the end of each line */
        length--;
    found[length] = '\0';
    return found;
}

enum { LIST_BITS = 8192 };

static void parse_list(const char *text, uint64_t bits[LIST_BITS / 64])
{
    memset(bits, 0, LIST_BITS / 8);
    while (isdigit((unsigned char)*text)) {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = first;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (unsigned long i = first; i <= last && i < LIST_BITS; i++)
            bits[i / 64] |= UINT64_C(1) << i % 64;
        text = *end == ',' ? end + 1 : end;
    }
}

bool cgroup_same_list(const char *a, const char *b)
{
    uint64_t of_a[LIST_BITS / 64], of_b[LIST_BITS / 64];
    parse_list(a, of_a);
    parse_list(b, of_b);
    return memcmp(of_a, of_b, sizeof of_a) == 0;
}

bool cgroup_list_holds(const char *outer, const char *inner)
{
    uint64_t has[LIST_BITS / 64], asks[LIST_BITS / 64];
    parse_list(outer, has);
    parse_list(inner, asks);
    for (size_t i = 0; i < COUNT(has); i++)
        if ((asks[i] & ~has[i]) != 0)
            return false;
    return true;
}
