/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a thread is doing, as far as whoever observes wants to know it. Each thread reads and writes its own
 * alone; a signal handler of the thread may do so, too. Zero at the thread's start.
 */
#ifndef GMEM_OS_CONTEXT_H
#define GMEM_OS_CONTEXT_H

#include <stdint.h>

#include "os/sanitize.h"

struct os_context {
	uint64_t caller;    /* where in the program gmem was called from; 0: unknown */
	uint64_t frame;	    /* of the exported function that was called from there; 0: unknown */
	uint32_t is_placed; /* obs: caller is what obs/stack.h made of it for this call */
	uint64_t told;	 /* obs: time stamp counter when its last request began or event was told */
	uint32_t thread; /* its number in the system; 0: not asked yet */
	uint32_t lane;	 /* obs: of the counters, + 1; 0: none yet */
	uint16_t vm, vcpu, file;
	uint16_t rule;	      /* the last refusal of this thread: which rule, */
	int16_t result;	      /* and the -errno it gave; 0: there was none */
	uint16_t request;     /* obs: which request of the program is on; 0: none */
	uint32_t refusals;    /* obs: how many there were, of this thread */
	const void *inside;   /* lib: the file that it is in a call of, callbacks too; NULL: none */
	const void *faulting; /* lib: the file between whose gmem_fault_begin() and _end() it is */
	/* obs: events that found no room since it told one; when the first and the last were */
	uint32_t lost;
	uint64_t lost_since, lost_until;
};

extern __attribute__((visibility("hidden"),
		      tls_model("initial-exec"))) __thread struct os_context os_own_context;
struct os_context *os_context_called(void);

static inline struct os_context *os_context(void)
{
	/* The simulator's threads are one to the system: what they do here it must not take for a race. */
	return OS_TSAN ? os_context_called() : &os_own_context;
}
/* The number of this thread; when the process has filtered its system calls, one of no thread. */
uint32_t os_thread_number(void);

#endif
