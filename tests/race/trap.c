/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Host accesses that survive SIGBUS, in every thread by itself. */
#include "world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct trap {
	sigjmp_buf env;
	volatile sig_atomic_t armed;
	volatile int signo, code;
	void *volatile at;
	const volatile void *volatile expected;
};

static _Thread_local struct trap trap;

static void on_signal(int signo, siginfo_t *info, void *context)
{
	trap.signo = signo;
	trap.code = info->si_code;
	trap.at = info->si_addr;
	if (!trap.armed)
		die("signal %d, code %d at %p, where none is expected", signo, info->si_code,
		    info->si_addr);
	trap.armed = 0;
	siglongjmp(trap.env, 1);
}

void trap_install(void)
{
	struct sigaction a = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGBUS, &a, NULL);
	sigaction(SIGSEGV, &a, NULL);
}

const char *trap_text(void)
{
	static _Thread_local char text[128];

	snprintf(text, sizeof(text), "signal %d code %d at %p, accessed %p", trap.signo, trap.code,
		 trap.at, (const void *)trap.expected);
	return text;
}

static enum touch what_it_was(void)
{
	bool exact = trap.at == (const void *)trap.expected;

	return trap.signo == SIGBUS && trap.code == BUS_ADRERR && exact ? TOUCH_BUS : TOUCH_OTHER;
}

enum touch host_load(const void *p, uint64_t *value)
{
	trap.expected = p;
	if (sigsetjmp(trap.env, 0))
		return what_it_was();
	trap.armed = 1;
	*value = *(const volatile uint64_t *)p;
	trap.armed = 0;
	return TOUCHED;
}

enum touch host_store(void *p, uint64_t value)
{
	trap.expected = p;
	if (sigsetjmp(trap.env, 0))
		return what_it_was();
	trap.armed = 1;
	*(volatile uint64_t *)p = value;
	trap.armed = 0;
	return TOUCHED;
}

enum touch host_add(void *p, uint64_t value)
{
	trap.expected = p;
	if (sigsetjmp(trap.env, 0))
		return what_it_was();
	trap.armed = 1;
	__asm__ volatile("lock addq %1, (%0)" : : "r"(p), "r"(value) : "memory", "cc");
	trap.armed = 0;
	return TOUCHED;
}

enum touch host_copy(uint64_t *to, const void *from, unsigned int words, unsigned int *nr)
{
	const volatile uint64_t *w = from;
	volatile unsigned int i = 0;

	*nr = 0;
	if (sigsetjmp(trap.env, 0)) {
		*nr = i;
		return what_it_was();
	}
	trap.armed = 1;
	while (i < words) {
		trap.expected = &w[i];
		to[i] = w[i];
		i = i + 1;
	}
	trap.armed = 0;
	*nr = words;
	return TOUCHED;
}
