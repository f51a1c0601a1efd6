/* Input: one record of /dev/kmsg. What is taken for a victim has to be well formed. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/base.h"
#include "kernel/kmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char *record = strndup((const char *)bytes, count);
    if (record == NULL)
        abort();
    struct kmsg_victim victim;
    memset(&victim, 0x5a, sizeof victim);
    if (kmsg_parse_victim(record, &victim)) {
        if (victim.pid <= 0 || strnlen(victim.comm, sizeof victim.comm) == sizeof victim.comm ||
            strstr(record, "Killed process ") == NULL)
            abort();
    } else {
        for (size_t i = 0; i < sizeof victim; i++)
            if (((const char *)&victim)[i] != 0x5a)
                abort();
    }
    free(record);
    return 0;
}
