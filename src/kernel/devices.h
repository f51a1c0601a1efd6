/* Which devices the tasks of a cgroup may open or make: a program that the kernel asks (BPF_PROG_TYPE_CGROUP_DEVICE), written
 * from rules. What no rule allows is refused with EPERM, whatever the node's owner and mode say.
 * It takes CONFIG_CGROUP_BPF, and CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN. Source: bpf(2), cgroup-v2.rst "Device
 * controller", Documentation/bpf/standardization/instruction-set.rst, kernel/bpf/cgroup.c. */
#ifndef KERNEL_DEVICES_H
#define KERNEL_DEVICES_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

#include "shoal/spec.h"

/* What every sandbox may use: the devices of its own /dev and its terminals; and it may make any node, which takes a
 * capability over the host that no sandbox has. Static. */
const shoal_device_rule_t *devices_default_rules(size_t *out_count);

/* Write the program for rules, in any order. Access adds up: to read by one rule and to write by another is to do both.
 * *out is the caller's to free. Returns 0, -ENOMEM. */
int devices_compile(const shoal_device_rule_t *rules, size_t count, struct bpf_insn **out, size_t *out_count,
                    shoal_error_t *err);

/* The same, handed to the kernel. Returns a descriptor (close-on-exec), after devices_attach() needed no more for it;
 * -EPERM, -EINVAL or -ENOSYS no such programs in this kernel, -ENOMEM. */
int devices_load(const shoal_device_rule_t *rules, size_t count, shoal_error_t *err);

/* Have the program decide for the cgroup and all below it. overridable: one that is attached further down decides there
 * instead; else it decides there too.
 * Returns 0; -EPERM: a cgroup above has a program that lets no other decide below it; ... */
int devices_attach(int cgroup_fd, int program_fd, bool overridable, shoal_error_t *err);

/* Whether the cgroup's own programs, if it has any, leave the decision to others below.
 * Returns 1 yes, 0 no, -ENOENT it has none, -EPERM, -EINVAL, ... */
int devices_leaves_room(int cgroup_fd);

#endif
