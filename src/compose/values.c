#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/decimal.h"
#include "compose/values.h"

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

int value_integer(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    const char *s = text + (*text == '-' || *text == '+');
    uint64_t value = 0, limit = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
    int base = 10;
    if (s[0] == '0' && s[1] != '\0') {
        static const char letters[] = "xXoObB";
        static const int bases[] = {16, 16, 8, 8, 2, 2};
        const char *letter = strchr(letters, s[1]);
        base = letter != NULL ? bases[letter - letters] : 8;
        s += letter != NULL ? 2 : 1;
    }
    if (*s == '\0' || *s == '_')
        return -EINVAL;
    bool over = false;
    for (; *s != '\0'; s++) {
        if (*s == '_' && s[1] != '\0')
            continue;
        int digit = digit_value(*s);
        if (digit >= base)
            return -EINVAL;
        over = over || value > (limit - (uint64_t)digit) / (uint64_t)base;
        value = value * (uint64_t)base + (uint64_t)digit;
    }
    if (over)
        return -ERANGE;
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return 0;
}

int value_decimal(const char *text, unsigned places, int64_t *out)
{
    uint64_t value;
    const char *rest;
    int code = decimal_read(text, places, &value, &rest);
    if (code == 0 && *rest != '\0')
        code = -EINVAL;
    if (code == 0 && value > INT64_MAX)
        code = -ERANGE;
    if (code == 0)
        *out = (int64_t)value;
    return code;
}

int value_bool(const char *text, bool *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "n", "y"};
    for (size_t i = 0; i < COUNT(words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *out = i % 2;
            return 0;
        }
    }
    return -EINVAL;
}

int value_go_bool(const char *text, bool *out)
{
    static const char *const words[] = {"false", "true", "False", "True", "FALSE", "TRUE",
                                        "f",     "t",    "F",     "T",    "0",     "1"};
    for (size_t i = 0; i < COUNT(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2;
            return 0;
        }
    }
    return -EINVAL;
}

/* 1e3, with its unit behind it. */
static int exponent_size(const char *text, const char *unit_set, uint64_t *out_bytes)
{
    char *end;
    double number = strtod(text, &end);
    const char *unit = *end == '\0' ? NULL : strchr(unit_set, *end | 0x20);
    if (end == text || text[0] == '-' || text[0] == '+' || !isfinite(number) || (*end != '\0' && unit == NULL) ||
        text[0] == 'n' || text[0] == 'i' || strpbrk(text, "xX") != NULL)
        return -EINVAL;
    for (long i = 0; unit != NULL && i <= unit - unit_set; i++)
        number *= 1024;
    if (unit != NULL && end[1] != '\0' && strcasecmp(end + 1, "b") != 0 && strcasecmp(end + 1, "ib") != 0)
        return -EINVAL;
    if (number >= 9.2e18)
        return -ERANGE;
    *out_bytes = (uint64_t)number;
    return 0;
}

struct unit {
    const char *word;
    uint64_t step;
};

/* A number and one of the units. */
static int read_unit(const char *text, const struct unit *units, size_t count, uint64_t *out)
{
    enum { PLACES = 6 };
    uint64_t scaled;
    const char *word;
    int code = decimal_read(text, PLACES, &scaled, &word);
    if (code < 0)
        return code;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(word, units[i].word) != 0)
            continue;
        unsigned __int128 value = (unsigned __int128)scaled * units[i].step / 1000000u;
        if (value > INT64_MAX)
            return -ERANGE;
        *out = (uint64_t)value;
        return 0;
    }
    return -EINVAL;
}

int value_rate(const char *text, uint64_t *out_bits)
{
    static const struct unit units[] = {{"", 1},           {"bit", 1},           {"kbit", 1000},
                                        {"mbit", 1000000}, {"gbit", 1000000000}, {"tbit", 1000000000000}};
    return read_unit(text, units, COUNT(units), out_bits);
}

int value_count(const char *text, uint64_t *out)
{
    static const struct unit units[] = {{"", 1}, {"k", 1000}, {"m", 1000000}, {"g", 1000000000}};
    return read_unit(text, units, COUNT(units), out);
}

int value_size(const char *text, uint64_t *out_bytes)
{
    enum { PLACES = 6 }; /* a fraction's digits that count */
    static const char units[] = "kmgtp";
    uint64_t scaled;
    const char *s;
    int code = decimal_read(text, PLACES, &scaled, &s);
    if (code == 0 && (*s | 0x20) == 'e')
        return exponent_size(text, units, out_bytes);
    if (code < 0)
        return code;
    s += *s == ' ';
    unsigned shift = 0;
    const char *unit = *s != '\0' ? strchr(units, *s | 0x20) : NULL;
    if (unit != NULL) {
        shift = 10 * (unsigned)(unit - units + 1);
        s++;
    }
    s += unit != NULL && (*s == 'i' || *s == 'I');
    s += *s == 'b' || *s == 'B';
    if (*s != '\0')
        return -EINVAL;
    unsigned __int128 bytes = ((unsigned __int128)scaled << shift) / 1000000u;
    if (bytes > INT64_MAX)
        return -ERANGE;
    *out_bytes = (uint64_t)bytes;
    return 0;
}

int value_cpu_list(const char *text)
{
    enum { MOST = 8192 };
    const char *s = text;
    for (;;) {
        unsigned ends[2] = {0, 0};
        for (unsigned i = 0; i < 2; i++) {
            if (*s < '0' || *s > '9')
                return -EINVAL;
            while (*s >= '0' && *s <= '9') {
                ends[i] = ends[i] * 10 + (unsigned)(*s++ - '0');
                if (ends[i] >= MOST)
                    return -ERANGE;
            }
            if (i == 0 && *s != '-') {
                ends[1] = ends[0];
                break;
            }
            s += i == 0;
        }
        if (ends[1] < ends[0])
            return -EINVAL;
        if (*s == '\0')
            return 0;
        if (*s++ != ',')
            return -EINVAL;
    }
}

int value_address(const char *text, uint32_t *out)
{
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1)
        return -EINVAL;
    *out = ntohl(address.s_addr);
    return 0;
}

bool value_is_ip(const char *text)
{
    struct in6_addr address;
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

int value_subnet(const char *text, uint32_t *out, unsigned *out_prefix)
{
    char address[INET_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    if (slash == NULL || (size_t)(slash - text) >= sizeof address)
        return -EINVAL;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    uint32_t value;
    size_t digits = strspn(slash + 1, "0123456789");
    if (value_address(address, &value) < 0 || digits == 0 || digits > 2 || slash[1 + digits] != '\0')
        return -EINVAL;
    unsigned prefix = (unsigned)strtoul(slash + 1, NULL, 10);
    if (prefix > 32)
        return -EINVAL;
    *out = value;
    *out_prefix = prefix;
    return 0;
}

/* %e's digits and exponent, as short as they can be. */
static int shortest(double number, unsigned bits, char digits[32])
{
    char text[40];
    for (int precision = 0; precision <= 17; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, number);
        bool same = bits == 32 ? strtof(text, NULL) == (float)number : strtod(text, NULL) == number;
        if (same)
            break;
    }
    char *e = strchr(text, 'e');
    int exponent = atoi(e + 1);
    size_t used = 0;
    for (const char *s = text; s < e; s++)
        if (*s >= '0' && *s <= '9')
            digits[used++] = *s;
    while (used > 1 && digits[used - 1] == '0')
        used--;
    digits[used] = '\0';
    return exponent;
}

void value_float_text(double number, unsigned bits, int exponent_from, char out[64])
{
    char digits[32];
    if (!isfinite(number)) {
        (void)snprintf(out, 64, "%s", isnan(number) ? "NaN" : number < 0 ? "-Inf" : "+Inf");
        return;
    }
    const char *sign = signbit(number) ? "-" : "";
    int exponent = shortest(fabs(number), bits, digits);
    int count = (int)strlen(digits);
    if (number != 0 && (exponent < -4 || exponent >= exponent_from))
        (void)snprintf(out, 64, "%s%c%s%se%c%02d", sign, digits[0], count > 1 ? "." : "", digits + 1,
                       exponent < 0 ? '-' : '+', abs(exponent));
    else if (exponent < 0)
        (void)snprintf(out, 64, "%s0.%.*s%s", sign, -exponent - 1, "0000", digits);
    else if (count <= exponent + 1)
        (void)snprintf(out, 64, "%s%s%.*s", sign, digits, exponent + 1 - count, "0000000000000000000000");
    else
        (void)snprintf(out, 64, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
}

/* One number with its unit: 1.5h. Moves on. */
static int take_span(const char **at, unsigned __int128 *total)
{
    static const struct {
        const char *unit;
        uint64_t nanoseconds;
    } units[] = {{"ns", 1},
                 {"us", 1000},
                 {"\xc2\xb5s", 1000},
                 {"\xce\xbcs", 1000},
                 {"ms", 1000000},
                 {"s", 1000000000u},
                 {"m", 60000000000u},
                 {"h", 3600000000000u},
                 {"d", 86400000000000u},
                 {"w", 604800000000000u}};
    unsigned __int128 value = 0, scale = 1;
    bool any = false, fraction = false;
    const char *s = *at;
    for (; (*s >= '0' && *s <= '9') || (*s == '.' && !fraction); s++) {
        fraction = fraction || *s == '.';
        if (*s == '.')
            continue;
        any = true;
        if (fraction && scale >= UINT64_C(1000000000000000))
            continue; /* beyond what a nanosecond can tell */
        value = value * 10 + (unsigned)(*s - '0');
        scale *= fraction ? 10 : 1;
        if (value > (unsigned __int128)UINT64_MAX * 1000000000u)
            return -ERANGE;
    }
    size_t best = COUNT(units), length = 0;
    for (size_t i = 0; i < COUNT(units); i++) {
        size_t count = strlen(units[i].unit);
        if (count > length && strncmp(s, units[i].unit, count) == 0) {
            best = i;
            length = count;
        }
    }
    if (!any || best == COUNT(units))
        return -EINVAL;
    if (value > ((unsigned __int128)INT64_MAX * scale) / units[best].nanoseconds)
        return -ERANGE;
    *total += value * units[best].nanoseconds / scale;
    *at = s + length;
    return *total > INT64_MAX ? -ERANGE : 0;
}

int value_duration(const char *text, int64_t *out_ns)
{
    unsigned __int128 total = 0;
    bool negative = *text == '-';
    const char *s = text + (*text == '-' || *text == '+');
    if (*s == '\0')
        return -EINVAL;
    if (strcmp(s, "0") == 0)
        s++;
    while (*s != '\0') {
        int code = take_span(&s, &total);
        if (code < 0)
            return code;
    }
    *out_ns = negative ? -(int64_t)total : (int64_t)total;
    return 0;
}

/* A whole number of `unit` and a fraction without zeros at its end. */
static void put_fraction(struct text *out, uint64_t value, uint64_t unit, const char *name)
{
    char digits[24];
    text_add_format(out, "%llu", (unsigned long long)(value / unit));
    uint64_t rest = value % unit;
    if (rest > 0) {
        int width = unit == 1000000000u ? 9 : unit == 1000000u ? 6 : 3;
        (void)snprintf(digits, sizeof digits, "%0*llu", width, (unsigned long long)rest);
        for (size_t i = strlen(digits); i > 0 && digits[i - 1] == '0'; i--)
            digits[i - 1] = '\0';
        text_add_format(out, ".%s", digits);
    }
    text_add_string(out, name);
}

void value_duration_text(int64_t ns, char out[40])
{
    struct text text = {.bytes = out, .room = 40}; /* 39 bytes hold the longest: it never grows */
    uint64_t value = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    if (ns < 0)
        text_add_string(&text, "-");
    if (value == 0)
        text_add_string(&text, "0s");
    else if (value < 1000)
        put_fraction(&text, value, 1, "ns");
    else if (value < 1000000)
        put_fraction(&text, value, 1000, "\xc2\xb5s");
    else if (value < 1000000000)
        put_fraction(&text, value, 1000000, "ms");
    else {
        uint64_t minutes = value / 60000000000u;
        if (minutes >= 60)
            text_add_format(&text, "%lluh", (unsigned long long)(minutes / 60));
        if (minutes > 0)
            text_add_format(&text, "%llum", (unsigned long long)(minutes % 60));
        put_fraction(&text, value % 60000000000u, 1000000000u, "s");
    }
}

int value_mode(const char *text, uint32_t *out)
{
    const char *s = text + (text[0] == '0' && (text[1] == 'o' || text[1] == 'O') ? 2 : 0);
    uint32_t value = 0;
    if (*s == '\0')
        return -EINVAL;
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '7')
            return -EINVAL;
        value = value * 8 + (uint32_t)(*s - '0');
        if (value > 07777)
            return -ERANGE;
    }
    *out = value;
    return 0;
}

static int append(struct arena *arena, shoal_strings_t *list, size_t *room, struct text *word)
{
    if (list->count + 1 >= *room) {
        size_t more = *room * 2 + 8;
        char **grown = arena_array(arena, more, sizeof *grown);
        if (grown == NULL)
            return -ENOMEM;
        if (list->count > 0)
            memcpy(grown, list->items, list->count * sizeof *grown);
        list->items = grown;
        *room = more;
    }
    char *copy = word->failed ? NULL : arena_copy(arena, word->bytes, word->count);
    if (copy == NULL)
        return -ENOMEM;
    list->items[list->count++] = copy;
    list->items[list->count] = NULL;
    word->count = 0;
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Where a command's reader stands: inside which marks. */
struct marks {
    bool single, twofold, back, round;
};

static bool is_inside(const struct marks *m)
{
    return m->single || m->twofold || m->back || m->round;
}

/* Marks that stay in the word: `...` and $(...). False: a round bracket without a dollar sign. */
static bool take_shell_mark(struct marks *m, char c, const struct text *word)
{
    bool quoted = m->single || m->twofold;
    if (c == '`' && !quoted && !m->round)
        m->back = !m->back;
    else if (c == ')' && !quoted && !m->back)
        m->round = !m->round;
    else if (c == '(' && !quoted && !m->back) {
        if (m->round || word->count == 0 || word->bytes[word->count - 1] != '$')
            return false;
        m->round = true;
    }
    return true;
}

static bool take_quote(struct marks *m, char c)
{
    if (c == '"' && !m->single && !m->round)
        m->twofold = !m->twofold;
    else if (c == '\'' && !m->twofold && !m->round)
        m->single = !m->single;
    else
        return false;
    return true;
}

int value_split(struct arena *arena, const char *text, shoal_strings_t *out, const char **out_why)
{
    static const char shell[] =
        "needs a shell (it has one of ; & | < > ` $( outside of quotes); write [\"sh\", \"-c\", "
        "\"...\"]";
    shoal_strings_t list = {0};
    size_t room = 0;
    struct text word = {0};
    struct marks marks = {0};
    bool begun = false, escaped = false;
    int code = 0;
    *out_why = NULL;
    for (const char *s = text; code == 0 && *s != '\0'; s++) {
        if (!escaped && *s == '\\' && !marks.single) {
            escaped = true;
            continue;
        }
        if (escaped || (is_space(*s) && is_inside(&marks))) {
            text_add(&word, s, 1);
            begun = begun || escaped;
            escaped = false;
            continue;
        }
        if (is_space(*s)) {
            code = begun ? append(arena, &list, &room, &word) : 0;
            begun = false;
            continue;
        }
        if (take_quote(&marks, *s)) {
            begun = true;
            continue;
        }
        if (!take_shell_mark(&marks, *s, &word)) {
            *out_why = "has a ( without a $ before it";
            code = -EINVAL;
        }
        if (strchr(";&|<>", *s) != NULL && !is_inside(&marks)) {
            begun = begun && !(*s == '>' && word.count > 0 && word.bytes[0] >= '0' && word.bytes[0] <= '9');
            *out_why = shell;
            break; /* Compose leaves out the rest, without a word */
        }
        if (*s == '`' || marks.round)
            *out_why = shell;
        text_add(&word, s, 1);
        begun = true;
    }
    if (code == 0 && (escaped || is_inside(&marks))) {
        *out_why = escaped ? "ends in a backslash" : "has a quote that is not closed";
        code = -EINVAL;
    }
    if (code == 0 && begun)
        code = append(arena, &list, &room, &word);
    text_free(&word);
    if (code == 0)
        *out = list;
    return code;
}

char *value_path(struct arena *arena, const char *dir, const char *path)
{
    bool absolute = *path == '/';
    size_t dir_count = absolute ? 0 : strlen(dir), count = strlen(path);
    char *out = arena_alloc(arena, dir_count + count + 3);
    if (out == NULL)
        return NULL;
    char *joined = out + 1; /* written to out from the left while it is read from joined, which is never behind */
    if (!absolute) {
        memcpy(joined, dir, dir_count);
        joined[dir_count++] = '/';
    }
    memcpy(joined + dir_count, path, count + 1);
    size_t used = 0;
    for (const char *s = joined; *s != '\0';) {
        s += strspn(s, "/");
        size_t part = strcspn(s, "/");
        if (part == 2 && s[0] == '.' && s[1] == '.') {
            while (used > 0 && out[--used] != '/')
                ;
        } else if (part > 0 && !(part == 1 && s[0] == '.')) {
            out[used++] = '/';
            memmove(out + used, s, part);
            used += part;
        }
        s += part;
    }
    if (used == 0)
        out[used++] = '/';
    out[used] = '\0';
    return out;
}

char *value_clean_path(struct arena *arena, const char *path)
{
    if (path[0] == '/')
        return value_path(arena, "/", path);
    size_t count = strlen(path), used = 0;
    char *out = arena_alloc(arena, count + 3);
    if (out == NULL)
        return NULL;
    for (const char *s = path; *s != '\0';) {
        s += strspn(s, "/");
        size_t part = strcspn(s, "/");
        bool up = part == 2 && s[0] == '.' && s[1] == '.';
        bool climbs = up && (used == 0 || (used >= 2 && memcmp(out + used - 2, "..", 2) == 0 &&
                                           (used == 2 || out[used - 3] == '/')));
        if (up && !climbs) {
            while (used > 0 && out[--used] != '/')
                ;
        } else if (part > 0 && !(part == 1 && s[0] == '.')) {
            if (used > 0)
                out[used++] = '/';
            memcpy(out + used, s, part);
            used += part;
        }
        s += part;
    }
    if (used == 0)
        out[used++] = '.';
    out[used] = '\0';
    return out;
}
