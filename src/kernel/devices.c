#include "kernel/devices.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/base.h"

/* No /dev/console: what is one in a sandbox is a terminal of its own, and this is the host's. */
static const shoal_device_rule_t default_rules[] = {
    {.type = 'a', .major = SHOAL_ANY_DEVICE, .minor = SHOAL_ANY_DEVICE, .access = SHOAL_DEVICE_MKNOD},
    {.type = 'c', .major = 1, .minor = 3, .access = SHOAL_DEVICE_ALL},                  /* null */
    {.type = 'c', .major = 1, .minor = 5, .access = SHOAL_DEVICE_ALL},                  /* zero */
    {.type = 'c', .major = 1, .minor = 7, .access = SHOAL_DEVICE_ALL},                  /* full */
    {.type = 'c', .major = 1, .minor = 8, .access = SHOAL_DEVICE_ALL},                  /* random */
    {.type = 'c', .major = 1, .minor = 9, .access = SHOAL_DEVICE_ALL},                  /* urandom */
    {.type = 'c', .major = 5, .minor = 0, .access = SHOAL_DEVICE_ALL},                  /* tty */
    {.type = 'c', .major = 5, .minor = 2, .access = SHOAL_DEVICE_ALL},                  /* ptmx */
    {.type = 'c', .major = 136, .minor = SHOAL_ANY_DEVICE, .access = SHOAL_DEVICE_ALL}, /* pts/N */
};

const shoal_device_rule_t *devices_default_rules(size_t *out_count)
{
    *out_count = COUNT(default_rules);
    return default_rules;
}

/* Whether everything that b speaks of is spoken of by a. */
static bool covers(const shoal_device_rule_t *a, const shoal_device_rule_t *b)
{
    return (a->type == 'a' || a->type == b->type) && (a->major == SHOAL_ANY_DEVICE || a->major == b->major) &&
           (a->minor == SHOAL_ANY_DEVICE || a->minor == b->minor);
}

/* Each rule gets what wider ones allow too, and what then says nothing new goes: of the rest any one rule decides alone.
 * (Two that overlap without one being wider, 1:* and *:3, do not add up.) Returns how many are left. */
static size_t settle(const shoal_device_rule_t *rules, size_t count, shoal_device_rule_t *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        shoal_device_rule_t rule = rules[i];
        bool said = false;
        for (size_t k = 0; k < count; k++)
            if (covers(&rules[k], &rule))
                rule.access |= rules[k].access;
        for (size_t k = 0; k < kept && !said; k++)
            said = covers(&out[k], &rule) && (rule.access & ~out[k].access) == 0;
        if (!said)
            out[kept++] = rule;
    }
    return kept;
}

/* ---- the program ---- */

enum { ANSWER_INSTRUCTIONS = 2, RULE_INSTRUCTIONS = 8, FRAME_INSTRUCTIONS = 8 };
enum { RESULT = BPF_REG_0, CONTEXT = BPF_REG_1, ACCESS, TYPE, MAJOR, MINOR, MORE }; /* registers */

struct program {
    struct bpf_insn *code; /* room for all */
    size_t count;
};

static void put(struct program *program, struct bpf_insn instruction)
{
    program->code[program->count++] = instruction;
}

static void put_load(struct program *program, unsigned to, size_t offset)
{
    put(program, (struct bpf_insn){
                     .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = to & 15, .src_reg = CONTEXT, .off = (short)offset});
}

static void put_value(struct program *program, unsigned operation, unsigned to, int value)
{
    put(program,
        (struct bpf_insn){.code = (unsigned char)(BPF_ALU64 | operation | BPF_K), .dst_reg = to & 15, .imm = value});
}

static void put_copy(struct program *program, unsigned to, unsigned from)
{
    put(program, (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to & 15, .src_reg = from & 15});
}

/* Go on to the next rule, which settle_jumps() finds, unless the register has the value. */
static void put_unless(struct program *program, unsigned reg, int value)
{
    put(program, (struct bpf_insn){.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = reg & 15, .imm = value});
}

static void put_answer(struct program *program, int allowed)
{
    put_value(program, BPF_MOV, RESULT, allowed);
    put(program, (struct bpf_insn){.code = BPF_JMP | BPF_EXIT});
}

/* Returns whether it answers always: the kernel takes no instruction that is never reached. */
static bool put_rule(struct program *program, const shoal_device_rule_t *rule)
{
    size_t begin = program->count;
    if (rule->type != 'a')
        put_unless(program, TYPE, rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    if (rule->major != SHOAL_ANY_DEVICE)
        put_unless(program, MAJOR, rule->major);
    if (rule->minor != SHOAL_ANY_DEVICE)
        put_unless(program, MINOR, rule->minor);
    if (rule->access != SHOAL_DEVICE_ALL) {
        put_copy(program, MORE, ACCESS);
        put_value(program, BPF_AND, MORE, (int)(~rule->access & 0xffffu));
        put_unless(program, MORE, 0);
    }
    put_answer(program, 1);
    for (size_t i = begin; i < program->count; i++)
        if (program->code[i].code == (BPF_JMP | BPF_JNE | BPF_K))
            program->code[i].off = (short)(program->count - i - 1);
    return program->count - begin == ANSWER_INSTRUCTIONS;
}

int devices_compile(const shoal_device_rule_t *rules, size_t count, struct bpf_insn **out, size_t *out_count,
                    shoal_error_t *err)
{
    AUTO_FREE shoal_device_rule_t *settled = calloc(count + 1, sizeof *settled);
    struct program program = {.code = calloc(count * RULE_INSTRUCTIONS + FRAME_INSTRUCTIONS, sizeof *program.code)};
    if (settled == NULL || program.code == NULL) {
        free(program.code);
        return shoal_fail(err, -ENOMEM, "device program");
    }
    size_t left = settle(rules, count, settled);
    put_load(&program, ACCESS, offsetof(struct bpf_cgroup_dev_ctx, access_type)); /* access << 16 | type */
    put_copy(&program, TYPE, ACCESS);
    put_value(&program, BPF_AND, TYPE, 0xffff);
    put_value(&program, BPF_RSH, ACCESS, 16);
    put_load(&program, MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
    put_load(&program, MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
    bool answered = false;
    for (size_t i = 0; i < left && !answered; i++)
        answered = put_rule(&program, &settled[i]);
    if (!answered)
        put_answer(&program, 0);
    *out = program.code;
    *out_count = program.count;
    return 0;
}

/* ---- the kernel ---- */

static long bpf(int command, union bpf_attr *attr)
{
    return syscall(SYS_bpf, command, attr, sizeof *attr);
}

int devices_load(const shoal_device_rule_t *rules, size_t count, shoal_error_t *err)
{
    AUTO_FREE struct bpf_insn *code = NULL;
    size_t code_count = 0;
    int result = devices_compile(rules, count, &code, &code_count, err);
    if (result < 0)
        return result;
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr); /* what we do not name has to be 0, padding too */
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insns = (uintptr_t)code;
    attr.insn_cnt = (unsigned)code_count;
    attr.license = (uintptr_t) "none"; /* it calls no function of the kernel */
    memcpy(attr.prog_name, "shoal_devices", sizeof "shoal_devices");
    long fd = bpf(BPF_PROG_LOAD, &attr); /* close-on-exec by itself */
    if (fd >= 0)
        return (int)fd;
    return shoal_fail(err, -errno, "load a program of %zu device rules%s", count,
                      errno == EPERM                       ? " (it takes CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN)"
                      : errno == EINVAL || errno == ENOSYS ? " (so says a kernel without CONFIG_CGROUP_BPF)"
                                                           : "");
}

int devices_attach(int cgroup_fd, int program_fd, bool overridable, shoal_error_t *err)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.target_fd = (unsigned)cgroup_fd;
    attr.attach_bpf_fd = (unsigned)program_fd;
    attr.attach_type = BPF_CGROUP_DEVICE;
    attr.attach_flags = overridable ? BPF_F_ALLOW_OVERRIDE : BPF_F_ALLOW_MULTI;
    return bpf(BPF_PROG_ATTACH, &attr) == 0 ? 0 : shoal_fail(err, -errno, "attach its device program");
}

int devices_leaves_room(int cgroup_fd)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.query.target_fd = (unsigned)cgroup_fd;
    attr.query.attach_type = BPF_CGROUP_DEVICE;
    if (bpf(BPF_PROG_QUERY, &attr) < 0)
        return -errno;
    if (attr.query.attach_flags & BPF_F_ALLOW_MULTI)
        return 1;
    return attr.query.prog_cnt == 0 ? -ENOENT : (attr.query.attach_flags & BPF_F_ALLOW_OVERRIDE) != 0;
}
