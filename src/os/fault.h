/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Faults: touching memory that the program may unmap, protect or truncate at any time.
 *
 *	struct os_catch c;
 *	switch (os_catch(&c)) {
 *	case 0:
 *		... touch ...
 *		os_catch_end(&c);
 *		break;
 *	case OS_CATCH_FAULT:
 *		... c.addr is where; the catch has ended ...
 *	}
 *
 * A catch belongs to one thread; the innermost takes the first SIGSEGV or SIGBUS whose cause is an
 * access of this thread, also when the program has those signals blocked. Locals changed between
 * os_catch() and the fault must be volatile. Take no lock inside.
 *
 * Catches nest, but the call that opened one must close it: never return out of an open catch.
 */
#ifndef GMEM_OS_FAULT_H
#define GMEM_OS_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OS_CATCH_FAULT 1

struct os_catch {
	void *env[5]; /* for the compiler's own setjmp: no libc, no signal mask */
	int value;
	int signo;
	uintptr_t addr; /* of the fault */
	bool unblocked; /* signals that the catch unblocked are blocked again at its end */
	struct os_catch *prev;
};

void os_catch_begin(struct os_catch *c);
void os_catch_end(struct os_catch *c);
#define os_catch(c) (os_catch_begin(c), __builtin_setjmp((c)->env) ? (c)->value : 0)
/* Jumps to this catch of this thread with a value of the caller's (> OS_CATCH_FAULT): for engines
 * that leave an instruction in its middle. The catch stays active, unlike after a fault. */
_Noreturn void os_catch_throw(struct os_catch *c, int value);

/* Installs handlers for SIGSEGV and SIGBUS, once a process; chains to what was there. In a program
 * under gmem the shim owns the handlers and calls os_fault_signal() from them: it does not return
 * when the fault belongs to a catch. */
int os_fault_init(void);
void os_fault_signal(int signo, void *siginfo, void *ucontext);
/* This thread's signal mask may have changed behind os: it is asked again at the next catch. A handler
 * of the program runs with a mask of its own: whoever runs it says so before and after. */
void os_signal_mask_changed(void);

/* Copies between gmem and the program's memory; -EFAULT where it cannot be touched (a part may have
 * been copied). */
int os_copy_in(void *dst, uint64_t src, size_t size);
int os_copy_out(uint64_t dst, const void *src, size_t size);

#endif
