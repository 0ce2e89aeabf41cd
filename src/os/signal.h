/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Signals held: a signal of the program that arrives while its thread is inside gmem waits until
 * the thread leaves, since gmem's locks are held and its structures are half changed.
 *
 *	os_signals_begin()      inside from here; begins nest
 *	   a signal arrives:    its handler (the shim's) calls os_signal_hold(), which blocks it in
 *	                        the interrupted context and queues it again: it is pending in the
 *	                        kernel, with its own siginfo, and os_signal_pending() becomes true
 *	os_signals_end()        the outermost one unblocks what was held: the kernel delivers it
 *
 * Nothing is lost and nothing is emulated: order, queueing, alternate stack and masks stay the
 * kernel's. Per thread; begin and end cost no system call unless something was held.
 */
#ifndef GMEM_OS_SIGNAL_H
#define GMEM_OS_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

void os_signals_begin(void);
void os_signals_end(void);
bool os_signals_begun(void);

/* In a signal handler of a thread that has begun: holds this signal. What the handler returns to
 * has it blocked. */
void os_signal_hold(int signo, const void *siginfo, void *ucontext);

/* In a signal handler, around a handler of the program that must run although the thread is inside
 * (a fault that is not ours): it may leave by siglongjmp(). */
uint32_t os_signals_suspend(void);
void os_signals_resume(uint32_t depth);

/*
 * The thread's signal mask for the time of one KVM_RUN (KVM_SET_SIGNAL_MASK), between begin and
 * end:
 *
 *	os_signal_mask_swap(mask, &old);
 *	... a signal that mask lets through makes os_signal_pending() true ...
 *	os_signal_mask_swap(old, NULL);
 *
 * A signal that came in between and that the old mask blocks stays pending. 0 or -errno.
 */
int os_signal_mask_swap(uint64_t mask, uint64_t *old);

/* In a signal handler, before the signal is handed to the program: of signals of a number that queues, some of which
 * were held, siginfo becomes that of the one that was sent first. */
void os_signal_in_order(int signo, void *siginfo);

/* Sends the signal to this thread again, with the same siginfo; it stays pending while blocked. */
void os_signal_requeue(int signo, const void *siginfo);

#endif
