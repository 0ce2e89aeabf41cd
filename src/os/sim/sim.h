/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * sim: the objects that ship, run as fibres in one thread under one seed.
 *
 * core, mmu, map, kvm and cpu/soft are compiled a second time, unchanged, so that each of their atomic
 * accesses calls the simulator first; together with locks, waits, threads and clock of os/, which the
 * simulator plays, these are the scheduling points: places where another fibre may go on. Between two
 * points a fibre is alone. Accesses to guest memory (all mappings made by os/) are points, too.
 *
 *	SIM_SCENARIO(punch_against_fault) = {
 *		.about = "a punch while a vCPU faults the page in",
 *		.searches = SIM_RANDOM | SIM_PCT | SIM_EXHAUSTIVE,
 *		.setup = setup,			makes the objects, alone; spawns the actors
 *		.teardown = teardown,		when every actor has returned; alone but for threads of gmem
 *	};
 *
 * One schedule: setup, all actors to their end, the checks, teardown; then nothing of os/ may be left (bytes,
 * descriptors, mappings, threads, held locks). It runs again from the same state some 10^4 times in one
 * process, so statics of a scenario are set by its setup. Addresses and results are the same in each run
 * of the same schedule.
 *
 * What fails a schedule: sim_fail(), sim_assert(), os_assert() of the code under test, an access that is
 * nobody's fault to catch, use of freed memory, a deadlock (all fibres wait; who waits for what is told),
 * no progress, a leak. The search then looks for the shortest schedule that fails in the same way, and
 * prints it as a timeline.
 *
 * A thread has a store buffer (x86): relaxed and release stores may stay in it, unseen by others, until a
 * read-modify-write, a sequentially consistent store, a fence, a lock, a plain store or some time has passed.
 *
 * Everything here is called by setup, teardown, actors and what they call; checks only where it says so.
 */
#ifndef GMEM_OS_SIM_SIM_H
#define GMEM_OS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

/* ---- scenarios ------------------------------------------------------------------------------- */

#define SIM_RANDOM 1u
#define SIM_PCT 2u /* priorities with few changes: finds what needs few preemptions in long runs */
#define SIM_EXHAUSTIVE 4u /* every schedule with at most so many preemptions; for small scenarios */

struct sim_scenario {
	const char *name; /* set by SIM_SCENARIO */
	const char *about;
	unsigned int searches;
	unsigned int preemptions; /* bound of the exhaustive search; 0: 2 */
	unsigned int share;  /* of the schedules of a pass over all scenarios, relative; 0: 1 */
	uint64_t max_points; /* more than that is no progress; 0: 200000 */
	bool is_broken; /* a toy with a known bug: only run when named, or by tests of the simulator */
	bool threads_stay; /* threads of gmem may live on; each schedule then has a process of its own: slow */
	void (*setup)(void);
	void (*teardown)(void); /* may be NULL */
};

/* At file scope, in a source of the program itself (not in a library): found by the linker. */
#define SIM_SCENARIO(id)                                                 \
	static struct sim_scenario sim_scenario_##id;                    \
	__attribute__((constructor)) static void sim_register_##id(void) \
	{                                                                \
		sim_scenario_##id.name = #id;                            \
		sim_register(&sim_scenario_##id);                        \
	}                                                                \
	static struct sim_scenario sim_scenario_##id
void sim_register(struct sim_scenario *s);

/* main() of a program of scenarios. */
int sim_main(int argc, char **argv);

/* ---- actors ---------------------------------------------------------------------------------- */

struct sim_fibre;

/* From setup, or by an actor while it runs. name is kept by reference. At most 16 at a time. 256 KiB of stack. */
struct sim_fibre *sim_spawn(const char *name, void (*fn)(void *arg), void *arg);
struct sim_fibre *sim_self(void);
/* Also in checks. */
const char *sim_fibre_name(const struct sim_fibre *f);
bool sim_fibre_done(const struct sim_fibre *f);
void sim_join(struct sim_fibre *f);

/* A scheduling point of the actor's own. */
void sim_point(void);
/* One of 0 .. n-1, chosen by the search and part of the schedule: what an actor does next, on which page.
 * The shortest schedule has zeros, so that 0 should be the plainest choice. */
unsigned int sim_choose(unsigned int n);
/* Waits until cond(arg), which is asked after each step and must not change anything. what is for reports. */
void sim_wait_for(bool (*cond)(void *arg), void *arg, const char *what);
/* A signal for a fibre: os_signal_pending() becomes true there and its os_wait() returns -EINTR. Cleared by
 * the fibre itself: os_signal_set_pending(false). */
void sim_signal(struct sim_fibre *f);

/* Ends a fibre before its next step, as when its process is killed: what it has stored is seen, what it holds stays
 * held, and nobody waits for it. Not oneself. */
void sim_kill(struct sim_fibre *f);

/* No scheduling point in between: for what is the scenario's own business and touches objects under test.
 * Nests. A lock that is not free, or a wait, fails the schedule. */
void sim_alone_begin(void);
void sim_alone_end(void);

/* ---- timeline -------------------------------------------------------------------------------- */

/* A line in the timeline of this fibre; costs nothing while nobody records. Checks may, too. */
__attribute__((format(printf, 1, 2))) void sim_note(const char *fmt, ...);
/* What a lock, word or page is called in timelines and reports: name is kept by reference. Until the end of
 * the schedule. */
void sim_name(const volatile void *addr, size_t size, const char *name);

/* ---- failing --------------------------------------------------------------------------------- */

/* Also in checks. The text up to the first ':' says what kind of failure it is: the same in shorter schedules. */
_Noreturn __attribute__((format(printf, 1, 2))) void sim_fail(const char *fmt, ...);
_Noreturn void sim_assert_failed(const char *file, int line, const char *what);
#define sim_assert(cond) ((cond) ? (void)0 : sim_assert_failed(__FILE__, __LINE__, #cond))

/* ---- invariants ------------------------------------------------------------------------------ */

enum sim_when {
	SIM_AT_SWITCH, /* each time another fibre goes on, and at the end */
	SIM_AT_POINT,  /* at each scheduling point: dear */
	SIM_AT_END,    /* when all actors have returned, before teardown */
};
/* From setup, or by an actor; until the end of the schedule. The check sees memory as all see it (nothing that is
 * in a store buffer), has no scheduling points, and must not wait: it asks first whether a lock is free, and what
 * is being changed under a lock that is held it leaves alone. */
void sim_invariant(enum sim_when when, void (*check)(void *arg), void *arg);

/* For checks: who holds it (the writer; any one of the readers), NULL: nobody. */
struct sim_fibre *sim_mutex_holder(const struct os_mutex *m);
struct sim_fibre *sim_rwlock_writer(const struct os_rwlock *l);
struct sim_fibre *sim_rwlock_reader(const struct os_rwlock *l);
/* A store to [addr, addr + size) waits in the buffer of some fibre: others still see the old value. */
bool sim_store_buffered(const volatile void *addr, size_t size);
/* The step that runs now: counts points. For scenarios that say when something happened. */
uint64_t sim_now(void);

#endif
