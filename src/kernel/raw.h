/* System calls without libc: no errno, no TLS, no locks. For code that runs between clone3 and execve in memory it shares
 * with its parent. Results are the kernel's: a negative errno on failure. */
#ifndef KERNEL_RAW_H
#define KERNEL_RAW_H

#include <linux/sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#if !defined(__x86_64__)
#error "shoal runs on x86_64; port kernel/raw.h to this machine first"
#endif

static inline long raw_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* clone3(2) whose child runs body(argument) on the stack that args names and never returns from it.
 * Returns the child's pid to the parent, or a negative errno. */
static inline long raw_clone3(struct clone_args *args, void (*body)(void *), void *argument)
{
    register void (*child_body)(void *) __asm__("r12") = body;
    register void *child_argument __asm__("r13") = argument;
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t" /* the outermost frame */
                     "mov %%r13, %%rdi\n\t"
                     "call *%%r12\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "a"(SYS_clone3), "D"(args), "S"(sizeof *args), "r"(child_body), "r"(child_argument)
                     : "rcx", "r11", "memory");
    return result;
}

#endif
