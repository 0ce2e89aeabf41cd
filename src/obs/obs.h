/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * obs: what happened, told once, in one place.
 *
 * core and the layers above report events and the rule that refused a call; they know nothing of
 * files, formats or terminals. Any thread, any lock held, any signal handler; never blocks, and makes no system call
 * but one at a thread's first event.
 *
 * Unobserved, an event is a look at one word. Observed (obs_on()), it goes into the region: as
 * a record, and into the counters and the histogram of its kind. Which VM, vCPU and file an event belongs to, and where
 * in the program gmem was called, is what the thread's context says (os/context.h), which kvm/ and shim/ keep.
 */
#ifndef GMEM_OBS_OBS_H
#define GMEM_OBS_OBS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "obs/details.h"
#include "obs/probes.h"
#include "obs/record.h"
#include "obs/rules.h"
#include "os/context.h"
#include "os/os.h"

struct obs_region;

#define OBS_HIDDEN __attribute__((visibility("hidden")))
extern OBS_HIDDEN _Atomic(struct obs_region *) obs_attached;

/* Is there an observer, with a region? */
static inline bool obs_on(void)
{
	return __builtin_expect((os_racy_load(&os_wanted) & OS_WANTED_BY_OBSERVER) != 0, 0);
}

/* Or a tracer of the system? Both want to know of what is only told when it is wanted. */
static inline bool obs_watched(void)
{
	return __builtin_expect((os_racy_load(&os_wanted) &
				 (OS_WANTED_BY_OBSERVER | OS_WANTED_BY_TRACERS)) != 0,
				0);
}

/* Does somebody want to know what costs more to find out (record.h)? */
bool obs_looks_closer(void);

/* When what is told later by obs_span() began; 0: nobody wants to know. */
static inline uint64_t obs_start(void)
{
	return obs_watched() ? os_tsc() : 0;
}

/* ---- what happens at every event ------------------------------------------------------------- */

bool obs_wanted_called(void);

/* Does anybody want to know of events? */
static inline __attribute__((always_inline)) bool obs_wanted(void)
{
	/* To look decides nothing: the simulator, which instruments who looks, shall not take it for a step. */
	if (OS_TSAN)
		return obs_wanted_called();
	return __builtin_expect(os_racy_load(&os_wanted) != 0, 0);
}

/* What somebody wants to know; apart, so that what nobody wants costs nothing to put together. file 0: the context's. */
OBS_HIDDEN void obs_more(enum obs_event event);
OBS_HIDDEN void obs_more_of(enum obs_event event, uint16_t file, uint64_t a, uint64_t b,
			    uint64_t c);
OBS_HIDDEN void obs_more_span(enum obs_event event, uint16_t file, uint64_t start, long result,
			      uint64_t a, uint64_t b, uint64_t c);

/* For what belongs to another file than the thread's context says. */
static inline void obs_count_file(enum obs_event event, uint16_t file, uint64_t a, uint64_t b,
				  uint64_t c)
{
	if (obs_wanted())
		obs_more_of(event, file, a, b, c);
}

static inline void obs_span_file(enum obs_event event, uint16_t file, uint64_t start, long result,
				 uint64_t a, uint64_t b, uint64_t c)
{
	if (obs_wanted())
		obs_more_span(event, file, start, result, a, b, c);
}

/* It is only counted: nobody needs to know more. */
static inline void obs_add(enum obs_event event)
{
	if (obs_wanted())
		obs_more(event);
}

static inline void obs_count(enum obs_event event, uint64_t a, uint64_t b, uint64_t c)
{
	obs_count_file(event, 0, a, b, c);
}

/* One that took a time, or failed (-errno); what is 0 or above is no failure. */
static inline void obs_span(enum obs_event event, uint64_t start, long result, uint64_t a,
			    uint64_t b, uint64_t c)
{
	obs_span_file(event, 0, start, result, a, b, c);
}

/* Of what obs_span() has just been told, with the same start, which is not 0, and result: what it is counted as, too. */
void obs_detail(enum obs_detail detail, uint64_t start, long result);

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
