/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * obs: what happened, told once, in one place.
 *
 * core and the layers above report events and the rule that refused a call; they know nothing of
 * files, formats or terminals. Any thread, any lock held, any signal handler; never blocks, and makes no system call
 * but one at a thread's first event.
 *
 * Unobserved, an event is a counter that is added to. Observed (obs_on()), it goes into the region as well: as
 * a record, and into the counters and the histogram of its kind. Which VM, vCPU and file an event belongs to, and where
 * in the program gmem was called, is what the thread's context says (os/context.h), which kvm/ and shim/ keep.
 */
#ifndef GMEM_OBS_OBS_H
#define GMEM_OBS_OBS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "obs/record.h"
#include "obs/rules.h"
#include "os/context.h"
#include "os/os.h"

struct obs_region;

extern _Atomic(struct obs_region *) obs_attached;

static inline bool obs_on(void)
{
	return __builtin_expect(atomic_load_explicit(&obs_attached, memory_order_relaxed) != NULL,
				0);
}

/* When what is told later by obs_span() began; 0: nobody wants to know. */
static inline uint64_t obs_start(void)
{
	return obs_on() ? os_tsc() : 0;
}

/* It is counted, and nobody needs to know more. */
void obs_add(enum obs_event event);
void obs_count(enum obs_event event, uint64_t a, uint64_t b, uint64_t c);
/* One that took a time, or failed (-errno); what is 0 or above is no failure. */
void obs_span(enum obs_event event, uint64_t start, long result, uint64_t a, uint64_t b,
	      uint64_t c);
uint64_t obs_counter(enum obs_event event);

/* The same for what belongs to another file than the thread's context says. */
void obs_count_file(enum obs_event event, uint16_t file, uint64_t a, uint64_t b, uint64_t c);
void obs_span_file(enum obs_event event, uint16_t file, uint64_t start, long result, uint64_t a,
		   uint64_t b, uint64_t c);

/* Numbers of a process's VMs and files, from 1; they stay at the highest there is. */
enum obs_numbered { OBS_NUMBER_VM, OBS_NUMBER_FILE, OBS_NR_NUMBERED };
uint16_t obs_new_number(enum obs_numbered what);

/* What obs_refuse() (obs/rules.h) tells: it is the thread's last refusal, and a record. */
void obs_refused(int err, uint16_t rule);

/* ---- whoever starts and ends a process (shim) ---------------------------------------------- */

struct obs_self {
	uint32_t pid, parent;
	const char *name; /* path of the program */
};

/* The region is mapped, shared and writable, for good. false: it is no region of this version; then nothing happened. */
bool obs_attach(void *region, uint64_t size, const struct obs_self *self);
/* In a forked child, where there is one thread: it gets a place of its own. */
void obs_after_fork(const struct obs_self *self);
void obs_end(void);
/* The region is not used any more by who comes now; only for tests, which have one thread then. */
void obs_detach(void);
/* The process's place in the table; OBS_MAX_PROCESSES: it found none. */
uint32_t obs_own_process(void);

/* Code that gmem is called from, to be called when obs_knows_caller() does not know an address. */
struct obs_code {
	uint64_t start, end, base;
	const char *path;
	const uint8_t *build_id;
	uint32_t build_id_size;
};
bool obs_knows_caller(uint64_t address);
void obs_add_code(const struct obs_code *code);

#endif
