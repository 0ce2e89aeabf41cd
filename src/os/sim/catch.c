/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Catches: each fibre has its own. A fault that belongs to none fails the schedule. The handler has a stack of its
 * own, since that of a fibre may be what ran out.
 */
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>

#include "os/sim/sim_private.h"

#define HANDLER_STACK ((size_t)64 << 10)

void os_catch_begin(struct os_catch *c)
{
	c->value = 0;
	c->signo = 0;
	c->addr = 0;
	c->unblocked = false;
	c->prev = sim.self ? sim.self->catch_top : NULL;
	if (sim.self)
		sim.self->catch_top = c;
}

void os_catch_end(struct os_catch *c)
{
	if (!sim.self)
		return;
	os_assert(sim.self->catch_top == c);
	sim.self->catch_top = c->prev;
}

_Noreturn __attribute__((noinline)) static void catch_jump(struct os_catch *c)
{
	__builtin_longjmp(c->env, 1);
}

_Noreturn void os_catch_throw(struct os_catch *c, int value)
{
	os_assert(value > OS_CATCH_FAULT);
	sim.self->catch_top = c;
	c->value = value;
	catch_jump(c);
}

/* As the real handler: a signal's frame has the modes that the thread had. */
static void restore_arithmetic(const ucontext_t *uc)
{
	const struct _libc_fpstate *fp = uc->uc_mcontext.fpregs;

	if (!fp)
		return;
	__asm__ volatile("ldmxcsr %0" : : "m"(fp->mxcsr));
	__asm__ volatile("fldcw %0" : : "m"(fp->cwd));
}

static bool is_behind_stack(uintptr_t addr)
{
	uintptr_t each = SIM_STACK_SIZE + OS_PAGE_SIZE;

	return addr - SIM_STACK_BASE < SIM_MAX_FIBRES * each &&
	       (addr - SIM_STACK_BASE) % each < OS_PAGE_SIZE;
}

static void handler(int signo, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	struct os_catch *c = sim.self ? sim.self->catch_top : NULL;

	if (is_behind_stack((uintptr_t)info->si_addr))
		sim_fail("no stack left: of %s {0x%llx}", sim.self->name,
			 (unsigned long long)uc->uc_mcontext.gregs[REG_RIP]);
	if (!c || sim.in_check)
		sim_fail("fault: signal %d at address %p by %s {0x%llx}", signo, info->si_addr,
			 sim.self ? sim.self->name : "nobody",
			 (unsigned long long)uc->uc_mcontext.gregs[REG_RIP]);
	sim.self->catch_top = c->prev;
	c->value = OS_CATCH_FAULT;
	c->signo = signo;
	c->addr = (uintptr_t)info->si_addr;
	restore_arithmetic(uc);
	catch_jump(c);
}

void sim_fault_init(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	struct sigaction act = { .sa_sigaction = handler,
				 .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	stack_t stack = { .ss_size = HANDLER_STACK };

	stack.ss_sp = malloc(stack.ss_size);
	if (!stack.ss_sp || sigaltstack(&stack, NULL))
		sim_fail("no stack for faults");
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &act, NULL);
}

int os_fault_init(void)
{
	return 0;
}
