/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Catches, and the handler that ends them.
 *
 * A fault while SIGSEGV or SIGBUS is blocked kills the process, so the outermost catch of a thread
 * unblocks them. What the mask is, is remembered per thread: a program that does not block them (the
 * usual) costs no system call, one that does costs two for each outermost catch.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <ucontext.h>

#include "os/fault.h"
#include "os/internal.h"
#include "os/os.h"
#include "os/sanitize.h"
#include "os/sys.h"

#if OS_ASAN
void __asan_unpoison_memory_region(const volatile void *addr, size_t size);
#endif

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
#define SA_RESTORER_FLAG 0x04000000ul
#define HANDLER_IGNORE 1 /* and 0 is the default */

#define SIG_BIT(signo) ((uint64_t)1 << ((signo)-1))
#define FAULT_SIGNALS (SIG_BIT(SIGSEGV) | SIG_BIT(SIGBUS))

#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))

enum mask_state { MASK_UNKNOWN, MASK_CLEAR, MASK_BLOCKS };

THREAD_LOCAL struct os_catch *volatile catch_top;
THREAD_LOCAL volatile enum mask_state mask_state;
THREAD_LOCAL uint64_t mask_blocked; /* which of the two, when MASK_BLOCKS */

static struct os_kernel_sigaction previous[2];

void os_signal_mask_changed(void)
{
	mask_state = MASK_UNKNOWN;
}

static bool signals_unblock(void)
{
	uint64_t set = FAULT_SIGNALS;
	uint64_t old = 0;

	if (mask_state == MASK_CLEAR)
		return false;
	os_sys4(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, &old, sizeof(set));
	mask_blocked = old & FAULT_SIGNALS;
	mask_state = mask_blocked ? MASK_BLOCKS : MASK_CLEAR;
	return mask_blocked;
}

void os_catch_begin(struct os_catch *c)
{
	c->value = 0;
	c->signo = 0;
	c->addr = 0;
	c->prev = catch_top;
	c->unblocked = c->prev ? false : signals_unblock();
	catch_top = c;
}

void os_catch_end(struct os_catch *c)
{
	os_assert(catch_top == c);
	catch_top = c->prev;
	if (c->unblocked)
		os_sys4(SYS_rt_sigprocmask, SIG_BLOCK, &mask_blocked, NULL, sizeof(uint64_t));
}

/* The frames that a jump cuts off never clean up behind themselves. */
static void forget_frames(uintptr_t from, uintptr_t to)
{
#if OS_ASAN
	if (from < to)
		__asan_unpoison_memory_region((void *)from, to - from);
#endif
}

/* The compiler's longjmp must not end up in the function of its setjmp. Left alone, the address
 * sanitizer would guess at stacks before such a jump; forget_frames() knows them. */
_Noreturn __attribute__((noinline, no_sanitize_address)) static void catch_jump(struct os_catch *c)
{
	__builtin_longjmp(c->env, 1);
}

static uintptr_t stack_of(const struct os_catch *c)
{
	return (uintptr_t)c->env[2];
}

_Noreturn void os_catch_throw(struct os_catch *c, int value)
{
	os_assert(value > OS_CATCH_FAULT);
	catch_top = c;
	c->value = value;
	forget_frames((uintptr_t)__builtin_frame_address(0), stack_of(c));
	catch_jump(c);
}

/* A handler starts with the arithmetic modes of a new process; those of the thread are in its frame. */
static void restore_arithmetic(const ucontext_t *uc)
{
	const struct _libc_fpstate *fp = uc->uc_mcontext.fpregs;

	if (!fp)
		return;
	__asm__ volatile("ldmxcsr %0" : : "m"(fp->mxcsr));
	__asm__ volatile("fldcw %0" : : "m"(fp->cwd));
}

/* What sigreturn would have put back: the mask, the arithmetic modes and, if the kernel disarmed it, the
 * alternate stack. */
static void leave_handler(const ucontext_t *uc, bool block_again)
{
	uint64_t mask;

	restore_arithmetic(uc);

	__builtin_memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
	if (block_again)
		mask |= mask_blocked;
	if ((unsigned int)uc->uc_stack.ss_flags & SS_AUTODISARM)
		os_sys2(SYS_sigaltstack, &uc->uc_stack, NULL);
	os_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
}

__attribute__((no_sanitize_address)) void os_fault_signal(int signo, void *siginfo, void *ucontext)
{
	const siginfo_t *info = siginfo;
	const ucontext_t *uc = ucontext;
	struct os_catch *c = catch_top;

	/* Signals sent by somebody are not faults, whatever their number, nor is the news that memory
	 * somewhere has gone bad. */
	if (!c || info->si_code <= 0 || (signo == SIGBUS && info->si_code == BUS_MCEERR_AO))
		return;
	catch_top = c->prev;
	c->value = OS_CATCH_FAULT;
	c->signo = signo;
	c->addr = (uintptr_t)info->si_addr;
	leave_handler(uc, c->unblocked);
	forget_frames((uintptr_t)uc->uc_mcontext.gregs[REG_RSP], stack_of(c));
	forget_frames((uintptr_t)uc->uc_stack.ss_sp,
		      (uintptr_t)uc->uc_stack.ss_sp + uc->uc_stack.ss_size);
	catch_jump(c);
}

static struct os_kernel_sigaction *previous_of(int signo)
{
	return &previous[signo == SIGBUS];
}

/* Nobody of ours wanted it: what was there before us answers. */
static void chain(int signo, siginfo_t *info, void *ucontext)
{
	struct os_kernel_sigaction *p = previous_of(signo);

	if (p->handler == HANDLER_IGNORE && info->si_code <= 0)
		return;
	if (p->handler <= HANDLER_IGNORE) {
		/* An access faults again on return, a signal that was sent is sent again. */
		os_sys4(SYS_rt_sigaction, signo, p, NULL, sizeof(p->mask));
		if (info->si_code <= 0)
			os_sys3(SYS_tgkill, os_sys0(SYS_getpid), os_sys0(SYS_gettid), signo);
		return;
	}
	if (p->flags & SA_SIGINFO)
		((void (*)(int, siginfo_t *, void *))p->handler)(signo, info, ucontext);
	else
		((void (*)(int))p->handler)(signo);
}

static void fault_handler(int signo, siginfo_t *info, void *ucontext)
{
	os_fault_signal(signo, info, ucontext);
	chain(signo, info, ucontext);
}

void os_fault_restorer(void);
__asm__(".text\n"
	".hidden os_fault_restorer\n"
	".globl os_fault_restorer\n"
	".type os_fault_restorer, @function\n"
	"os_fault_restorer:\n"
	"	mov $15, %eax\n" /* rt_sigreturn */
	"	syscall\n"
	".size os_fault_restorer, . - os_fault_restorer\n");

static int install(int signo)
{
	struct os_kernel_sigaction act = {
		.handler = (uintptr_t)fault_handler,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER_FLAG,
		.restorer = (uintptr_t)os_fault_restorer,
	};
	struct os_kernel_sigaction old;
	long ret;

	ret = os_sys4(SYS_rt_sigaction, signo, NULL, &old, sizeof(old.mask));
	if (ret || old.handler == act.handler)
		return (int)ret;
	*previous_of(signo) = old;
	return (int)os_sys4(SYS_rt_sigaction, signo, &act, NULL, sizeof(act.mask));
}

int os_fault_init(void)
{
	int ret = install(SIGSEGV);

	return ret ? ret : install(SIGBUS);
}
