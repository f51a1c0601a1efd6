#include "kernel/caps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>

#include "base/base.h"
#include "base/capability.h"

#define BIT(n) (UINT64_C(1) << (n))

uint64_t caps_default(void)
{
    return BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) | BIT(CAP_MKNOD) |
           BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) | BIT(CAP_NET_BIND_SERVICE) |
           BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE);
}

uint64_t caps_known(void)
{
    unsigned last = CAP_LAST_CAP;
    AUTO_FD fd = open("/proc/sys/kernel/cap_last_cap", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        char text[16];
        ssize_t count = read(fd, text, sizeof text - 1);
        text[count > 0 ? count : 0] = '\0';
        char *end = text;
        unsigned long value = strtoul(text, &end, 10);
        if (end != text && value < 64)
            last = (unsigned)value;
    }
    return last == 63 ? UINT64_MAX : BIT(last + 1) - 1;
}

int caps_parse(const char *name, unsigned *out_bit)
{
    unsigned bit;
    int code = capability_parse(name, &bit);
    if (code < 0)
        return code;
    if (!(caps_known() & BIT(bit)))
        return -EOPNOTSUPP;
    *out_bit = bit;
    return 0;
}

uint64_t caps_resolve(uint64_t add, uint64_t drop)
{
    uint64_t caps;
    if (add == CAPS_ALL)
        caps = drop == CAPS_ALL ? CAPS_ALL : ~drop; /* "ALL" itself is no capability that could be taken from ALL */
    else if (drop == CAPS_ALL)
        caps = add;
    else
        caps = (caps_default() & ~drop) | add;
    return caps & caps_known();
}
