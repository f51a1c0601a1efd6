/* The proof from inside: writes "NONCE REALTIME_NSEC" to stdout as its first act, then becomes the program that it was given.
 * It lies in the root file system of every sandbox of the benchmark, ours and the peers', and has no C library, so that what it
 * adds to a life is one execve and two system calls.
 *
 *   marker NONCE PROGRAM [ARGUMENT...] */
#include <linux/time.h>

#include "kernel/raw.h"

__asm__(".text\n.global _start\n_start:\n"
        "xor %ebp, %ebp\n"
        "mov %rsp, %rdi\n"
        "and $-16, %rsp\n"
        "call marker_main\n"
        "hlt\n");

enum { LINE_ROOM = 128, DIGITS = 20 };

static size_t put_decimal(char *out, uint64_t value)
{
    char digits[DIGITS];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    for (size_t i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    return count;
}

_Noreturn __attribute__((used)) void marker_main(long *stack);
void marker_main(long *stack)
{
    struct __kernel_timespec now;
    long code = raw_syscall(SYS_clock_gettime, CLOCK_REALTIME, (long)&now, 0, 0, 0, 0);
    long argc = stack[0];
    char **argv = (char **)(stack + 1), **envp = argv + argc + 1;
    char line[LINE_ROOM];
    size_t count = 0;
    if (code == 0 && argc >= 3) {
        for (const char *at = argv[1]; *at != '\0' && count < LINE_ROOM - DIGITS - 2; at++)
            line[count++] = *at;
        line[count++] = ' ';
        count += put_decimal(line + count, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
        line[count++] = '\n';
        if (raw_syscall(SYS_write, 1, (long)line, (long)count, 0, 0, 0) == (long)count)
            (void)raw_syscall(SYS_execve, (long)argv[2], (long)(argv + 2), (long)envp, 0, 0, 0);
    }
    for (;;)
        (void)raw_syscall(SYS_exit_group, 111, 0, 0, 0, 0, 0);
}
