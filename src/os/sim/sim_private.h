/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Between the files of the simulator alone.
 *
 *	tsan.c plain.c lock.c wait.c ...	ask sim_step() before each access: a point
 *	step.c					says who goes on: asks the policy, records what is not the default
 *	fibre.c switch.c			make fibres and switch between them
 *	random.c pct.c exhaust.c replay.c	policies: how choices are made
 *	run.c					one schedule from setup to the last check
 *	search.c				many, in a process of their own, since one that fails leaves ruins
 *	shrink.c timeline.c where.c main.c	what is told about one that failed
 *
 * All state is of one process with one thread; `sim` is it.
 */
#ifndef GMEM_OS_SIM_PRIVATE_H
#define GMEM_OS_SIM_PRIVATE_H

#include "os/fault.h"
#include "os/sim/sim.h"

#define SIM_MAX_FIBRES 24
#define SIM_NOBODY 31 /* in choices of a fibre */
#define SIM_STACK_SIZE ((size_t)256 << 10)
#define SIM_BUFFER_SIZE 16
#define SIM_MAX_HELD 24
#define SIM_MAX_CHECKS 16
#define SIM_MAX_NAMES 64
#define SIM_MAX_CHOICES (1u << 16)
#define SIM_TEXT_SIZE 6000

/* ---- points ---------------------------------------------------------------------------------- */

enum sim_kind {
	SIM_LOAD,
	SIM_STORE,
	SIM_RMW,
	SIM_FENCE,
	SIM_GUEST_LOAD, /* plain accesses to what os_map_file() mapped */
	SIM_GUEST_STORE,
	SIM_LOCK,
	SIM_READ_LOCK,
	SIM_WRITE_LOCK,
	SIM_UNLOCK,
	SIM_WAIT,
	SIM_WAKE,
	SIM_YIELD,
	SIM_SPAWN,
	SIM_OWN, /* sim_point() */
	SIM_CHOOSE,
	SIM_BEGIN, /* a fibre before its first instruction */
	SIM_NR_KINDS,
};

struct sim_op {
	enum sim_kind kind;
	uint32_t size;
	const volatile void *addr;
	const void *pc;
};

/* The fibre that runs is before this operation: somebody else may come first. */
void sim_step(enum sim_kind kind, const volatile void *addr, uint32_t size, const void *pc);

/* ---- choices --------------------------------------------------------------------------------- */

enum sim_choice_kind {
	SIM_GO,	   /* g: which fibre goes on */
	SIM_HOLD,  /* h: 1: a store stays in the buffer */
	SIM_PICK,  /* c: sim_choose() */
	SIM_EARLY, /* w: a fibre whose os_wait() returns without reason, or too early */
	SIM_DRAIN, /* d: a fibre whose oldest buffered store is seen now */
	SIM_NR_CHOICES
};

/* A choice that was not the default: at the fibre's at-th own step. So it means the same when others before it are
 * left away. */
struct sim_choice {
	uint32_t at;
	uint8_t fibre;
	uint8_t kind;
	uint16_t value;
};

/* mask: values that are possible, default among them. may_stay (SIM_GO): the fibre could go on itself, so that
 * anything else is a preemption. */
struct sim_policy {
	const char *name;
	void (*begin)(uint64_t seed);
	unsigned int (*decide)(enum sim_choice_kind kind, unsigned int by_default, uint32_t mask,
			       bool may_stay);
	void (*spawned)(struct sim_fibre *f); /* may be NULL */
	void (*yielded)(struct sim_fibre *f); /* may be NULL */
};
extern const struct sim_policy sim_policy_random, sim_policy_pct, sim_policy_exhaustive,
	sim_policy_replay;

/* In bits 38 to 43 of a seed: what range the changes of priority are drawn from. */
#define SIM_PCT_SHIFT 38
uint64_t sim_pct_seed(uint64_t seed, uint64_t points);

/* The exhaustive search keeps its place between schedules. */
void sim_exhaust_start(unsigned int preemptions);
/* To the next schedule; false: that was the last. */
bool sim_exhaust_next(void);
/* How many locations turned out to be shared after schedules had been searched without a choice there. */
uint64_t sim_exhaust_late(void);
void sim_replay_load(const struct sim_choice *choices, uint32_t nr);

uint64_t sim_rng(uint64_t *state);

/* ---- fibres ---------------------------------------------------------------------------------- */

enum sim_why { SIM_ON_LOCK, SIM_ON_WORD, SIM_ON_JOIN, SIM_ON_COND, SIM_ON_ACTORS, SIM_ON_SETUP };

struct sim_store {
	volatile void *addr;
	uint64_t value, since;
	uint32_t size;
};

struct sim_held {
	const void *lock;
	bool shared;
};

struct sim_fibre {
	unsigned int index;
	bool actor, done, blocked, signal;
	const char *name;
	void (*fn)(void *arg);
	void *arg;
	void *sp;
	struct sim_op op; /* that it is before */
	uint32_t own_steps;
	uint32_t ran; /* points since somebody else ran */
	uint64_t priority;
	struct os_catch *catch_top;

	/* blocked */
	enum sim_why why;
	const volatile void *on;
	uint32_t expected;
	bool forever;
	uint64_t deadline, order;
	int result;
	bool (*cond)(void *arg);
	void *cond_arg;
	const char *what;
	const void *pc;

	unsigned int nr_stores, nr_held;
	struct sim_store stores[SIM_BUFFER_SIZE];
	struct sim_held held[SIM_MAX_HELD];
};

struct sim_check {
	enum sim_when when;
	void (*fn)(void *arg);
	void *arg;
};

struct sim_label {
	const volatile char *addr;
	size_t size;
	const char *name;
};

struct sim {
	/* looked at by each access */
	unsigned int quiet; /* no points: alone, in a check, or nothing runs */
	bool in_check, recording;
	struct sim_fibre *self;
	uint32_t runnable, yielded;
	uint64_t now, clock, hash;
	uint64_t contended; /* points at which more than one could go on */
	unsigned int nr_stores, nr_conds, nr_words;
	bool check_points;

	const struct sim_scenario *scenario;
	const struct sim_policy *policy;
	uint64_t max_points, nr_switches, wait_order, random;
	unsigned int actors_left;
	void *main_sp;
	unsigned int nr_fibres, nr_checks, nr_names;
	struct sim_fibre fibres[SIM_MAX_FIBRES];
	struct sim_check checks[SIM_MAX_CHECKS];
	struct sim_label names[SIM_MAX_NAMES];
};
extern struct sim sim;

struct sim_fibre *sim_fibre_new(const char *name, void (*fn)(void *), void *arg, bool actor);
void sim_switch(struct sim_fibre *to);
/* A fibre that runs ends by this; the schedule ends when the first one calls it. */
_Noreturn void sim_fibre_end(void);
void sim_to_main(void);
void sim_context_switch(void **save_sp, void *to_sp);

/* Not to go on before somebody wakes it; what it waits for has been filled in but for why and on. */
void sim_block(enum sim_why why, const volatile void *on);
void sim_unblock(struct sim_fibre *f);
void sim_wake_blocked(enum sim_why why, const volatile void *on);
unsigned int sim_decide(enum sim_choice_kind kind, unsigned int by_default, uint32_t mask,
			bool may_stay);
void sim_checks_run(enum sim_when when);
static inline unsigned int sim_next_after(unsigned int index, uint32_t mask)
{
	uint32_t above = mask & ~((2u << index) - 1);

	return (unsigned int)__builtin_ctz(above ? above : mask);
}

/* ---- store buffers --------------------------------------------------------------------------- */

void sim_stores_push(volatile void *addr, uint32_t size, uint64_t value);
void sim_stores_drain_one(struct sim_fibre *f);
void sim_stores_drain_fibre(struct sim_fibre *f);
void sim_stores_drain_all(void);
/* Those that have waited long. */
void sim_stores_expire(void);
/* What this fibre last stored there; false: nothing that is still buffered. */
bool sim_stores_forward(const volatile void *addr, uint32_t size, uint64_t *value);
static inline void sim_stores_drain(void)
{
	if (sim.self && sim.self->nr_stores)
		sim_stores_drain_fibre(sim.self);
}

#define SIM_STACK_BASE (((uintptr_t)1 << 44) - ((uintptr_t)1 << 30))

/* ---- memory ---------------------------------------------------------------------------------- */

#define SIM_HEAP_BASE ((uintptr_t)1 << 44)
#define SIM_HEAP_SHIFT 31 /* of each fibre's own part, so that addresses depend on no one else */
#define SIM_HEAP_SIZE ((uintptr_t)32 << SIM_HEAP_SHIFT)
#define SIM_ANON_BASE (SIM_HEAP_BASE + SIM_HEAP_SIZE)
#define SIM_ANON_SHIFT 32
#define SIM_ANON_SIZE ((uintptr_t)32 << SIM_ANON_SHIFT)
#define SIM_FILE_BASE ((uintptr_t)1 << 45)
#define SIM_FILE_SHIFT 38
#define SIM_FILE_SIZE ((uintptr_t)32 << SIM_FILE_SHIFT)

/*
 * A byte for 8 of heap and anonymous mappings: what they are (heap only), or SIM_WRITTEN + the fibre that wrote them
 * last by a plain store. Such a store cannot be kept back behind what is in its fibre's buffer. It need not, as
 * long as nobody else looks: when somebody does, the buffer goes first.
 */
extern uint8_t *sim_shadow;
enum { SIM_NONE, SIM_FREED, SIM_LIVE, SIM_WRITTEN };
void sim_touch_slow(uint8_t *shadow, const volatile void *addr, uint32_t size, const void *pc);
_Noreturn void sim_heap_bad(const volatile void *addr, uint32_t size, const void *pc);
static inline void sim_touch(const volatile void *addr, uint32_t size, bool plain_store,
			     const void *pc)
{
	uintptr_t at = (uintptr_t)addr - SIM_HEAP_BASE;
	uintptr_t i, last = (at + size - 1) >> 3;

	if (at >= SIM_HEAP_SIZE + SIM_ANON_SIZE)
		return;
	for (i = at >> 3; i <= last; i++) {
		if (sim_shadow[i] != SIM_LIVE)
			sim_touch_slow(&sim_shadow[i], addr, size, pc);
		if (plain_store && !sim.quiet)
			sim_shadow[i] = (uint8_t)(SIM_WRITTEN + sim.self->index);
	}
}

void sim_memory_init(void);
void sim_heap_reset(void);
void sim_maps_reset(void);
unsigned int sim_maps_live(void);
unsigned int sim_fds_live(void);

/* ---- data races ------------------------------------------------------------------------------ */

void sim_race_init(void);
void sim_race_reset(void);
/* Locks. part 1: what readers have done, which only writers must know. */
void sim_race_acquire(const volatile void *addr, unsigned int part);
void sim_race_release(const volatile void *addr, unsigned int part);
/* Atomics; order as the compiler passes it. */
void sim_race_load(const volatile void *addr, int order);
void sim_race_store(const volatile void *addr, int order);
void sim_race_rmw(const volatile void *addr, int order);
void sim_race_fence(int order);
void sim_race_atomic(const volatile void *addr, uint32_t size, const void *pc);
void sim_race_plain(const volatile void *addr, uint32_t size, bool writes, const void *pc);
void sim_race_spawned(const struct sim_fibre *f);
void sim_race_after(const struct sim_fibre *f);
void sim_race_after_all(void);

/* ---- faults ---------------------------------------------------------------------------------- */

void sim_fault_init(void);

/* ---- what is told ---------------------------------------------------------------------------- */

/* Written by the process that runs schedules, read by the one that started it, also when it died. */
struct sim_slot {
	uint64_t runs, points, switches, max_points, max_contended, nr_exhausted_late;
	uint64_t seed, hash; /* of the last schedule */
	uint64_t seconds_marker;
	bool exhausted, failed;
	char key[128];
	char text[SIM_TEXT_SIZE];
	uint32_t nr_choices;
	struct sim_choice choices[SIM_MAX_CHOICES];
};
extern struct sim_slot *sim_slot;

void sim_record(const struct sim_op *op);
void sim_record_text(const char *text);
void sim_record_switch(const struct sim_fibre *to);
void sim_timeline_print(bool whole);
extern bool sim_timeline_whole;
const char *sim_kind_name(enum sim_kind kind);
/* A lock, word or page by its name, else by its address. */
void sim_addr_text(const volatile void *addr, char *text, size_t size);
/* Prints text in which {0x1234} is the address of an instruction, with file and line instead. */
void sim_print_where(const char *text);
/* Who waits for what, after the text. */
void sim_describe_fibres(char *text, size_t size);

/* ---- schedules and searches ------------------------------------------------------------------ */

/* One schedule, with sim.policy begun; returns if nothing failed. */
void sim_run(const struct sim_scenario *s);

struct sim_job {
	const struct sim_scenario *scenario;
	unsigned int search;
	uint64_t first, nr; /* seeds; the exhaustive search: at most nr schedules */
	uint64_t expected;  /* contended points, as far as is known */
	bool one;	    /* first is the whole number of a seed */
	bool record;
};

/* hash of the name << 48 | search << 44 | number */
uint64_t sim_seed(const struct sim_scenario *s, unsigned int search, uint64_t number);
const struct sim_scenario *sim_seed_scenario(uint64_t seed);
unsigned int sim_seed_search(uint64_t seed);

/* In a child; slot is shared with it. */
int sim_job_start(const struct sim_job *job, struct sim_slot *slot);
void sim_job_finish(int pid, struct sim_slot *slot);
void sim_job_run(const struct sim_job *job, struct sim_slot *slot);
/* The same schedule again: slot->failed says how it went. */
void sim_replay(const struct sim_scenario *s, const struct sim_choice *choices, uint32_t nr,
		bool record, struct sim_slot *slot);
struct sim_slot *sim_slot_new(void);
void sim_slot_free(struct sim_slot *slot);

/* choices become the shortest that fail as slot says; returns how many schedules that took. */
unsigned int sim_shrink(const struct sim_scenario *s, struct sim_slot *failed);

/* GO.AT: "1.17g2,2.5h1" */
void sim_schedule_text(const struct sim_choice *choices, uint32_t nr, char *text, size_t size);
int sim_schedule_parse(const char *text, struct sim_choice *choices, uint32_t *nr);

extern struct sim_scenario *sim_scenarios[];
extern unsigned int sim_nr_scenarios;
const struct sim_scenario *sim_scenario_find(const char *name);

#endif
