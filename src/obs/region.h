/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * region: memory that the processes under gmem share with the one that observes them (a memfd of the latter).
 *
 *	+--------+-----------+---------+-------+----------+-----------+------+--------+--------+------+
 *	| header | processes | modules | lanes | snapshot | injection | code | chains | stacks | ring |
 *	+--------+-----------+---------+-------+----------+-----------+------+--------+--------+------+
 *
 * The observer makes it (obs_region_init()) and writes the header's constants, the words marked (o), and the
 * injection, code and chains; all else is written by the observed. Everything begins at the offset that the header says; a reader of
 * another version must not go on. All of it is as writable to the program as any memory of its own, at any time. So nobody
 * goes by the header's offsets, which are for debuggers and other languages: where the parts are is known beforehand,
 * but for the ring's size, which each side copies once when it has found the region sound. It is a memfd with seals: it
 * keeps its size, else a program could end its observer by SIGBUS.
 *
 * Lanes are counters that one thread alone adds to, by plain loads and stores; the last is for all who came too late,
 * who add atomically.
 *
 * The ring has many writers and one reader. Neither waits for the other:
 *
 *	write	number n = head, if n - tail < size: head = n + 1 (one compare and exchange); take the place n mod size
 *		(its sequence becomes n + 2, by compare and exchange), fill it, store n + 1 in its sequence.
 *		No room: lost + 1.
 *	read	at tail: is the sequence tail + 1? then copy, and tail + 1. A place that stays as it is for long, and
 *		one that was taken for an earlier number, is left, and its number is lost.
 *
 * So a place has one owner at a time: a writer while it is taken, else the reader. One that was left is free again when
 * its writer, who was stopped and not dead, has filled it.
 */
#ifndef GMEM_OBS_REGION_H
#define GMEM_OBS_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "obs/details.h"
#include "obs/record.h"

#define OBS_REGION_MAGIC 0x676572736d656d67ull /* "gmemsreg" */
#define OBS_REGION_VERSION 2u

/* What its memfd has, and F_SEAL_SEAL. */
#define OBS_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* A run of tests is thousands of processes, and none gives its place back. What nobody uses takes no memory. */
#define OBS_MAX_PROCESSES 32768u
#define OBS_MAX_MODULES 8192u
#define OBS_NR_LANES 256u
#define OBS_NR_BUCKETS 44u /* of 2^n to 2^(n+1) - 1 ticks; the first has 0, too */
#define OBS_SNAPSHOT_SIZE (256ull << 20)
#define OBS_INJECT_SIZE (64ull << 10)
#define OBS_DEFAULT_RING ((uint32_t)1 << 18) /* records */

enum obs_process_state { OBS_STATE_FREE, OBS_STATE_LIVES, OBS_STATE_GONE };

/* Places are given out once, in order. */
struct obs_process {
	_Atomic uint32_t
		state; /* LIVES is stored last; GONE by who ends in order, so only a hint */
	uint32_t pid, parent;
	uint32_t pad;
	uint64_t start; /* time stamp counter */
	char name[40];	/* of its program, the end of the path; ends with 0 */
};

/* Behind the name of a process: what it does by libgmem(3), which has a place of its own beside the process. */
#define OBS_LIBRARY_SUFFIX " [libgmem]"

/* A file of code that gmem was called from. */
struct obs_module {
	_Atomic uint32_t process; /* place + 1, stored last */
	uint32_t build_id_size;
	uint64_t start, end; /* addresses */
	uint64_t base;	     /* what the file's own addresses are added to */
	uint8_t build_id[32];
	char path[256]; /* cut at the front */
};

struct obs_counter {
	_Atomic uint64_t nr;
	_Atomic uint64_t failed;
	_Atomic uint64_t ticks; /* of all together */
	_Atomic uint64_t buckets[OBS_NR_BUCKETS];
};

struct obs_lane {
	_Alignas(64) struct obs_counter kinds[OBS_NR_EVENTS];
	struct obs_counter details[OBS_NR_DETAILS];
};

/*
 * Who called the function that called gmem: obs/walk.h.
 *
 *	code	what the observer has found out about addresses on stacks: enough to go from one to its caller's
 *	chains	places it knows, with their callers: each place's key, for obs_caller_of_chain()
 *	stacks	copies of stacks that go through code, or are a chain, that is not there yet
 *
 * Stacks are taken in turn: free, taken by a writer, filled before a record that refers to it is published, and freed
 * by the reader when it has read it. One that is not free when its turn comes: stacks_lost + 1. A writer that was
 * killed keeps its own.
 */
#define OBS_NR_CODES 8192u
#define OBS_NR_PROBES 8u /* places from that of the hash on that one may be at */

enum obs_code_state {
	OBS_CODE_THERE = 1, /* else nothing is known of it now */
	OBS_CODE_KNOWN = 2, /* it is in a module */
	OBS_CODE_WRAPS = 4, /* in a function that only passes calls on */
	OBS_CODE_RULED = 8, /* the rule is known: */
	OBS_CODE_BY_RBP = 16,
	OBS_CODE_SAVES_RBP = 32,
};

/* How one gets from there to the caller: the frame is at rsp or rbp + offset, return address and the caller's rbp so far
 * from it. All but the state stays as it is while the state is not 0. */
struct obs_frame_code {
	_Atomic uint32_t state; /* 0: nothing */
	uint32_t process;
	uint64_t address; /* 0: never used */
	int32_t offset, return_at, rbp_at;
	uint32_t pad;
};

#define OBS_NR_CHAINS 4096u
#define OBS_CHAIN 4u /* the place and so many - 1 callers */

enum obs_stack_state { OBS_STACK_FREE, OBS_STACK_TAKEN, OBS_STACK_FILLED };
#define OBS_NR_STACKS 1024u
#define OBS_STACK_BYTES 2016u

struct obs_stack {
	_Atomic uint32_t state;
	uint32_t size;	 /* of the bytes */
	uint32_t number; /* for obs_caller_of_stack() */
	uint32_t process;
	uint64_t caller; /* where gmem was called from */
	uint64_t
		frame; /* where the bytes were: the caller's frame pointer, the return address, ... */
	uint8_t bytes[OBS_STACK_BYTES];
};
_Static_assert(sizeof(struct obs_stack) == 2048, "half a page");

/* So many stacks later than this one no record may refer to it. */
#define OBS_STACKS_GOOD 16384u

/* What the ring has in place of a caller: no address of a program is that high. Sinks never see one. */
#define OBS_CALLER_STACK 0x800000000000ull
#define OBS_CALLER_CHAIN 0x800100000000ull
#define OBS_CALLER_KIND 0xffff00000000ull

static inline uint64_t obs_caller_of_stack(uint32_t number)
{
	return OBS_CALLER_STACK | number;
}

static inline uint64_t obs_caller_of_chain(uint32_t number)
{
	return OBS_CALLER_CHAIN | number;
}

struct obs_ring {
	uint64_t offset;
	uint64_t nr; /* places, a power of two */
	_Alignas(64) _Atomic uint64_t head;
	_Alignas(64) _Atomic uint64_t tail; /* (o) */
	_Alignas(64) _Atomic uint64_t lost;
};

struct obs_region {
	uint64_t magic;
	uint32_t version;
	uint32_t simulated; /* always 1: no kernel's KVM has been here */
	uint64_t size;
	/* To make a time of a time stamp: both were read together. */
	uint64_t tsc_khz, tsc, clock_ns, wallclock_ns;
	uint64_t processes, modules, lanes, snapshot, injection, codes, chains,
		stacks;					      /* offsets */
	uint32_t nr_kinds, nr_lanes, nr_buckets, record_size; /* as the observer was built */
	uint32_t wants_records; /* 0: nobody reads the ring; there are counters, and the snapshot */
	uint32_t injects;	/* the injection has rules */
	uint32_t looks_closer;	/* what costs more is told, too (record.h) */
	uint32_t wants_stacks;
	_Alignas(64) _Atomic uint32_t next_stack;
	_Atomic uint64_t stacks_lost;
	_Alignas(64) _Atomic uint32_t nr_processes;
	_Atomic uint32_t nr_modules;
	_Atomic uint32_t next_lane;
	_Atomic uint32_t processes_lost, modules_lost; /* did not find a place */
	_Atomic uint32_t
		accounts_lost; /* processes with a VM, for whose account there was no room */
	_Atomic uint32_t accounts_left_out; /* of ended ones, whose room others have had since */
	_Atomic uint64_t most_twice;	 /* bytes that some VM held twice, of all that ever were */
	_Atomic uint32_t wants_snapshot; /* (o) + 1 for each that is wanted at once; a futex */
	_Atomic uint32_t is_left; /* the observer was not there any more, which has been told */
	struct obs_ring ring;
};

/* ---- where things are ------------------------------------------------------------------------- */

#define OBS_PAGE_UP(size) (((uint64_t)(size) + 4095) & ~4095ull)
#define OBS_AT_PROCESSES OBS_PAGE_UP(sizeof(struct obs_region))
#define OBS_AT_MODULES \
	OBS_PAGE_UP(OBS_AT_PROCESSES + OBS_MAX_PROCESSES * sizeof(struct obs_process))
#define OBS_AT_LANES OBS_PAGE_UP(OBS_AT_MODULES + OBS_MAX_MODULES * sizeof(struct obs_module))
#define OBS_AT_SNAPSHOT OBS_PAGE_UP(OBS_AT_LANES + OBS_NR_LANES * sizeof(struct obs_lane))
#define OBS_AT_INJECTION (OBS_AT_SNAPSHOT + OBS_SNAPSHOT_SIZE)
#define OBS_AT_CODES OBS_PAGE_UP(OBS_AT_INJECTION + OBS_INJECT_SIZE)
#define OBS_AT_CHAINS (OBS_AT_CODES + OBS_NR_CODES * sizeof(struct obs_frame_code))
#define OBS_AT_STACKS (OBS_AT_CHAINS + OBS_NR_CHAINS * sizeof(uint64_t))
#define OBS_AT_RING (OBS_AT_STACKS + OBS_NR_STACKS * sizeof(struct obs_stack))

static inline void *obs_region_at(const struct obs_region *r, uint64_t offset)
{
	return (char *)(uintptr_t)r + offset;
}

static inline struct obs_process *obs_process_at(const struct obs_region *r, uint32_t i)
{
	return (struct obs_process *)obs_region_at(r, OBS_AT_PROCESSES) + i;
}

static inline struct obs_module *obs_module_at(const struct obs_region *r, uint32_t i)
{
	return (struct obs_module *)obs_region_at(r, OBS_AT_MODULES) + i;
}

static inline struct obs_lane *obs_lane_at(const struct obs_region *r, uint32_t i)
{
	return (struct obs_lane *)obs_region_at(r, OBS_AT_LANES) + i;
}

/* nr: of the ring's places, as it was when the region was found sound. */
static inline struct obs_record *obs_record_at(const struct obs_region *r, uint64_t nr, uint64_t n)
{
	return (struct obs_record *)obs_region_at(r, OBS_AT_RING) + (n & (nr - 1));
}

static inline struct obs_frame_code *obs_code_at(const struct obs_region *r, uint32_t n)
{
	return (struct obs_frame_code *)obs_region_at(r, OBS_AT_CODES) + (n & (OBS_NR_CODES - 1));
}

static inline _Atomic uint64_t *obs_chain_at(const struct obs_region *r, uint32_t n)
{
	return (_Atomic uint64_t *)obs_region_at(r, OBS_AT_CHAINS) + (n & (OBS_NR_CHAINS - 1));
}

static inline struct obs_stack *obs_stack_at(const struct obs_region *r, uint32_t n)
{
	return (struct obs_stack *)obs_region_at(r, OBS_AT_STACKS) + (n & (OBS_NR_STACKS - 1));
}

/* What a place's sequence is while it is written for number n, and then. */
static inline uint32_t obs_sequence_taken(uint64_t n)
{
	return (uint32_t)n + 2;
}

static inline uint32_t obs_sequence_filled(uint64_t n)
{
	return (uint32_t)n + 1;
}

/* May it be taken for n: new (0), or filled for an earlier number? */
static inline bool obs_place_is_free(uint32_t sequence, uint64_t n, uint64_t nr)
{
	uint32_t age = obs_sequence_filled(n) - sequence;

	return !sequence || ((int32_t)age > 0 && !(age & (nr - 1)));
}

/* Is it still taken for an earlier number than n? */
static inline bool obs_place_is_stuck(uint32_t sequence, uint64_t n, uint64_t nr)
{
	uint32_t age = obs_sequence_taken(n) - sequence;

	return sequence && (int32_t)age > 0 && !(age & (nr - 1));
}

/* How large one with that many places in the ring (a power of two) is. */
uint64_t obs_region_size(uint32_t nr_records);
/* Zeroed memory of that size becomes a region; the clock's words are the caller's to fill in. */
void obs_region_init(struct obs_region *r, uint32_t nr_records);
/* How many places its ring has, if it is one of this version that has just size bytes; else 0. */
uint64_t obs_region_check(const struct obs_region *r, uint64_t size);

#endif
