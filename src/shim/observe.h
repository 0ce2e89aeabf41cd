/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * observe: this process and who observes it (GMEM_OBS: the path of a region), and where in the program gmem is called.
 *
 * An exported function says its caller first: observe_call(). It costs a load and a branch when nobody observes.
 */
#ifndef GMEM_SHIM_OBSERVE_H
#define GMEM_SHIM_OBSERVE_H

#include "obs/join.h"

/* Once, before the program runs. */
void observe_init(void);
/* Before a program is started: can it reach who observes us? When it no longer can, that is told once for all that are
 * observed together, and programs are not to try. */
bool observe_may_pass_on(void);
/* In the child; parent: the number of the process that forked. */
void observe_after_fork(long parent);

/* Somebody wants to look (obs/attach.h); said in a signal handler, done soon by who calls gmem, or by a thread of ours
 * that wakes now and then: outside of everything. */
extern _Atomic bool observe_is_wanted;
void observe_late(void);
static inline void observe_if_wanted(void)
{
	if (__builtin_expect(atomic_load_explicit(&observe_is_wanted, memory_order_relaxed), 0))
		observe_late();
}

/* In exported functions only, and not in what is inlined into several. */
/* The program has let go of memory, which may be behind a slot. */
void observe_discard(enum obs_discard call, uint64_t addr, uint64_t size);
/* A hole in a file that is none of ours, punched in the program's own call. */
void observe_punch(int fd, int mode, uint64_t offset, uint64_t size);
/* A signal for an access to a private page, at this instruction. */
void observe_host_fault(uint64_t addr, int code, uint64_t instruction);

/* The frame of the exported function: ours, or that of who called us. 0: neither. */
static inline __attribute__((always_inline)) uint64_t observe_frame(uint64_t caller)
{
	const uint64_t *frame = __builtin_frame_address(0);

	if (frame[1] != caller)
		frame = (const uint64_t *)(uintptr_t)frame[0];
	return frame[1] == caller ? (uintptr_t)frame : 0;
}

#define observe_note(caller) obs_note_call(caller, observe_frame(caller))

#define observe_call()                                                        \
	do {                                                                  \
		if (obs_on())                                                 \
			observe_note((uintptr_t)__builtin_return_address(0)); \
	} while (0)

#endif
