/* Input: user, extra group, /etc/passwd and /etc/group, each ended by a NUL (the last by the end). */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/base.h"
#include "image/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char *parts[4] = {NULL};
    for (size_t i = 0; i < COUNT(parts); i++) { /* each in memory of its own, so that a read past an end is seen */
        const uint8_t *end = count ? memchr(bytes, '\0', count) : NULL;
        size_t part = end ? (size_t)(end - bytes) : count;
        parts[i] = strndup((const char *)bytes, part);
        if (parts[i] == NULL)
            abort();
        bytes += part + (end != NULL);
        count -= part + (end != NULL);
    }
    char *items[] = {parts[1], NULL};
    const shoal_strings_t extra = {.count = *parts[1] != '\0', .items = items};
    struct image_user user;
    shoal_error_t err;
    int code = user_resolve(parts[2], parts[3], parts[0], &extra, &user, &err);
    if (code == 0 &&
        (user.uid > 65535 || user.gid > 65535 || user.group_count == 0 || user.group_count > COUNT(user.groups) ||
         user.groups[0] != user.gid || strlen(user.home) >= sizeof user.home || *user.home == '\0'))
        abort();
    if (code != 0 && (code > 0 || err.code != code || *err.text == '\0'))
        abort();
    for (size_t i = 0; i < COUNT(parts); i++)
        free(parts[i]);
    return 0;
}
