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

#include "obs/probes.h"
#include "obs/record.h"
#include "obs/rules.h"
#include "os/context.h"
#include "os/os.h"

struct obs_region;

#define OBS_HIDDEN __attribute__((visibility("hidden")))
extern OBS_HIDDEN _Atomic(struct obs_region *) obs_attached;

static inline bool obs_on(void)
{
	return __builtin_expect(atomic_load_explicit(&obs_attached, memory_order_relaxed) != NULL,
				0);
}

/* Does somebody want to know what costs more to find out (record.h)? */
bool obs_looks_closer(void);

/* When what is told later by obs_span() began; 0: nobody wants to know. */
static inline uint64_t obs_start(void)
{
	return obs_on() ? os_tsc() : 0;
}

/* ---- what happens at every event ------------------------------------------------------------- */

/* A cache line each: vCPUs count faults beside each other. */
struct obs_own_counter {
	_Alignas(64) _Atomic uint64_t value;
};
extern OBS_HIDDEN struct obs_own_counter obs_own_counters[OBS_NR_EVENTS];
bool obs_step_called(enum obs_event event);

/* Counts one. True: somebody wants to know more of it. */
static inline __attribute__((always_inline)) bool obs_step(enum obs_event event)
{
	/* Counters decide nothing: the simulator, which instruments who counts, shall not take them for steps. */
	if (OS_TSAN)
		return obs_step_called(event);
	atomic_fetch_add_explicit(&obs_own_counters[event].value, 1, memory_order_relaxed);
	return obs_on() || __builtin_expect(obs_probes_wanted != 0, 0) ||
	       __builtin_expect(os_racy_load(&os_log_everything), 0);
}

/* What somebody wants to know; apart, so that what nobody wants costs nothing to put together. file 0: the context's. */
OBS_HIDDEN __attribute__((cold)) void obs_more(enum obs_event event);
OBS_HIDDEN __attribute__((cold)) void obs_more_of(enum obs_event event, uint16_t file, uint64_t a,
						  uint64_t b, uint64_t c);
OBS_HIDDEN __attribute__((cold)) void obs_more_span(enum obs_event event, uint16_t file,
						    uint64_t start, long result, uint64_t a,
						    uint64_t b, uint64_t c);

/* For what belongs to another file than the thread's context says. */
static inline void obs_count_file(enum obs_event event, uint16_t file, uint64_t a, uint64_t b,
				  uint64_t c)
{
	if (obs_step(event))
		obs_more_of(event, file, a, b, c);
}

static inline void obs_span_file(enum obs_event event, uint16_t file, uint64_t start, long result,
				 uint64_t a, uint64_t b, uint64_t c)
{
	if (obs_step(event))
		obs_more_span(event, file, start, result, a, b, c);
}

/* It is counted, and nobody needs to know more. */
static inline void obs_add(enum obs_event event)
{
	if (obs_step(event))
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

uint64_t obs_counter(enum obs_event event);

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
