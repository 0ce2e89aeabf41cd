/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * signal: the program's signal handlers, called by ours.
 *
 * The program's own idea of each signal is kept in a table; to the kernel we give the same mask and
 * flags with our trampoline as the handler, so that masks, alternate stacks, nesting and restarting
 * of system calls are the kernel's. The trampoline calls the program's handler at once, unless the
 * thread is inside gmem: then the signal waits (os/signal.h) and the vCPU that runs here is told to
 * stop.
 *
 * SIGSEGV and SIGBUS always have the trampoline: an access of gmem itself to memory of the program
 * may fault (os/fault.h). What the program wants of them then happens exactly, death included.
 */
#ifndef GMEM_SHIM_SIGNAL_H
#define GMEM_SHIM_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "kvm/kvm.h"

/* As the kernel has it. */
struct signal_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

void signal_init(void);

/* rt_sigaction(2) as the program sees it. Any of the two may be NULL. */
int signal_set_action(int signo, const struct signal_action *action, struct signal_action *old);

/*
 * A vCPU runs with this mask (KVM_SET_SIGNAL_MASK): what it lets through ends KVM_RUN and goes on waiting
 * when the thread itself blocks it, also without a handler. So the deadly ones among them get our
 * trampoline, which holds them there and lets them do their worst everywhere else.
 */
void signal_cover(uint64_t blocked);

/* This thread runs a vCPU from here on (NULL: no longer): a signal that is held kicks it. */
void signal_set_running(struct kvm_object *vcpu);

/* The kernel is about to replace the program: it shall find ignored what the program ignores. In a
 * vfork child too. The second, if it has not done so. */
void signal_before_exec(void);
void signal_exec_failed(void);

/* Around a fork. */
void signal_lock(void);
void signal_unlock(void);

#endif
