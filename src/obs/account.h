/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * account: how much of each guest's memory is private, shared, backed, held twice, at one time, and what each page
 * is: the snapshot that a process publishes for observers (kvm/account.c makes it).
 *
 *	area	one for each process, in the region
 *	  ├── snapshot 0		complete; or being written: its sequence is odd
 *	  └── snapshot 1		likewise; latest says which was finished last
 *
 * The writer (one thread of the process) writes into the snapshot that is not the latest, and then makes it so: what
 * a process leaves that is killed is the last complete one. A reader copies the latest out and looks whether its
 * sequence is the same afterwards, so it never has parts of two.
 *
 * Observers write nothing here; they ask by the region's wants_snapshot. Plain integers, the same in every process. Tables are
 * bounded; what did not fit is counted, and totals of a VM have all of it.
 *
 * What is meant by backed, page by page, in bytes of 4 KiB pages:
 *	in the file	the guest_memfd has contents there. A page that was allocated and never touched has none; a
 *			file's row has those as allocated - backed.
 *	in the program	the mapping behind the slot has memory there:
 *			- private memory (also over a file): a page of the program's own, in memory or swapped out; not
 *			  the zero page that reading alone leaves (a kernel before 6.7 does not tell them apart)
 *			- shared memory (memfd, shared anonymous, a file): its file has the page in memory, whether or not
 *			  this process has it in its page tables: MADV_DONTNEED does not free it, a punch does
 *			A slot of which all is the guest_memfd's (in place, or GUEST_MEMFD_FLAG_MMAP) has nothing of this.
 */
#ifndef GMEM_OBS_ACCOUNT_H
#define GMEM_OBS_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "obs/region.h"

#define ACCOUNT_VERSION 1u
#define ACCOUNT_NR_VMS 32u
#define ACCOUNT_NR_SLOTS 512u
#define ACCOUNT_NR_VCPUS 256u
#define ACCOUNT_NR_FILES 128u
#define ACCOUNT_NR_RUNS 32768u

/* Of a page, as a number: 0 to 7. Of a run of pages: a bit for each that it has (1 << number), and PINNED. */
#define ACCOUNT_PRIVATE 4u
#define ACCOUNT_IN_FILE 2u
#define ACCOUNT_IN_PROGRAM 1u
#define ACCOUNT_NR_STATES 8u
#define ACCOUNT_PINNED (1u << ACCOUNT_NR_STATES)

/* Bytes. */
struct account_bytes {
	uint64_t by_state[ACCOUNT_NR_STATES];
	uint64_t pinned;
};

/* The most that was seen, each by itself: sampled every 100 ms, after changes if the last look is older than 10 ms, and
 * each time before a file, slot or VM ends that can have two memories, or the program unmaps all behind a slot: so what
 * is held twice until then is seen. What came and went between two looks is not; of both, as much as was punched
 * while a look lasted is left out, since that look may have seen it in the file, and later in the program. */
struct account_peak {
	uint64_t backed_private, backed_shared, both;
};

#define ACCOUNT_GONE 1u	       /* there no more: these are the last numbers that were seen */
#define ACCOUNT_ALL_IN_FILE 2u /* of a slot: nothing comes from the program's mapping */
#define ACCOUNT_CONVERTS 4u    /* of a file: in place */
#define ACCOUNT_MAPPABLE 8u    /* of a file: GUEST_MEMFD_FLAG_MMAP */

struct account_vm {
	uint32_t number; /* counts from 1 in its process */
	uint32_t flags;	 /* GONE */
	uint64_t nr_slots;
	struct account_bytes now; /* of all its slots */
	struct account_peak peak; /* of the VM: not the sum of its slots' */
};

/* How often KVM_RUN returned, by exit reason; those above, and what returned an error without one, in the last two. */
#define ACCOUNT_NR_EXITS 48u
#define ACCOUNT_EXIT_OTHER 46u
#define ACCOUNT_EXIT_ERROR 47u
struct account_vcpu {
	uint32_t vm, id, flags, reserved;
	uint64_t exits[ACCOUNT_NR_EXITS];
};

struct account_slot {
	uint32_t vm, id, as_id, flags;
	uint64_t gpa, size, hva;
	uint64_t file; /* its number; 0: none, or released */
	uint64_t file_offset;
	struct account_bytes now;
	struct account_peak peak;
};

struct account_file {
	uint64_t number; /* as records have it */
	uint32_t flags, reserved;
	uint64_t size;
	uint64_t backed;    /* has contents */
	uint64_t allocated; /* memory that is held for it: at least backed */
	uint64_t bound;	    /* in some slot */
	uint64_t private_bytes,
		shared_bytes; /* of one that converts all of it, of others what is bound */
	uint64_t pinned;
	uint64_t peak_allocated;
};

/* Pages of one slot that follow each other. In order of slot rows, and in a slot of gpa. */
struct account_run {
	uint64_t gpa;
	uint32_t nr_pages; /* a slot has fewer than 2^31 */
	uint16_t slot;	   /* its row */
	uint16_t states;
};

#define ACCOUNT_LAST 1u /* the process is about to end: nothing comes after it */
#define ACCOUNT_BLIND \
	2u /* the program filters the system calls of all its threads: what is backed is not asked for */
/* Of the program's shared memory behind the first 4 GiB only what it has in its page tables is known to be backed. */
#define ACCOUNT_SHARED_CUT 8u
#define ACCOUNT_NO_PROGRAM 4u /* the program's memory cannot be looked at here */

struct account_snapshot {
	_Atomic uint32_t sequence; /* odd: being written */
	uint32_t flags;
	uint64_t number;  /* how many were published before */
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t cost_ns; /* what it took to make */
	uint32_t nr_vms, nr_vcpus, nr_slots, nr_files, nr_runs;
	uint32_t left_vms, left_vcpus, left_slots, left_files; /* had no room */
	/* Where the list of runs did not fit, shorter runs were put together, up to that many pages: 0: none. Bits
	 * then say what is somewhere in the run. */
	uint32_t coarse_pages;
	uint64_t left_runs; /* of slots that have no row */
	struct account_vm vms[ACCOUNT_NR_VMS];
	struct account_vcpu vcpus[ACCOUNT_NR_VCPUS];
	struct account_slot slots[ACCOUNT_NR_SLOTS];
	struct account_file files[ACCOUNT_NR_FILES];
	struct account_run runs[ACCOUNT_NR_RUNS];
};

struct account_area {
	uint32_t version;
	_Atomic uint32_t owner; /* place of the process in the region's table + 1; 0: nobody's */
	/* What the region's wants_snapshot was before the latest snapshot was begun. */
	_Atomic uint32_t answered;
	_Atomic uint32_t latest; /* 0: nothing yet; 1, 2: snapshots[latest - 1] */
	uint32_t reserved[12];
	struct account_snapshot snapshots[2];
};

/* As many as the region's part for snapshots has room for, from its begin on. */
#define ACCOUNT_NR_AREAS (OBS_SNAPSHOT_SIZE / sizeof(struct account_area))
static inline struct account_area *account_area_at(const struct obs_region *r, uint32_t i)
{
	return (struct account_area *)obs_region_at(r, OBS_AT_SNAPSHOT) + i;
}
/* That of a process, by its place in the table; the writer takes one if it has none. NULL: there is none (left). */
struct account_area *obs_account_take(struct obs_region *r, uint32_t process);
const struct account_area *obs_account_find(const struct obs_region *r, uint32_t process);

/* Sums over states. */
static inline uint64_t account_sum(const struct account_bytes *b, uint32_t mask, uint32_t value)
{
	uint64_t sum = 0;

	for (uint32_t s = 0; s < ACCOUNT_NR_STATES; s++)
		if ((s & mask) == value)
			sum += b->by_state[s];
	return sum;
}
static inline uint64_t account_private(const struct account_bytes *b)
{
	return account_sum(b, ACCOUNT_PRIVATE, ACCOUNT_PRIVATE);
}
static inline uint64_t account_shared(const struct account_bytes *b)
{
	return account_sum(b, ACCOUNT_PRIVATE, 0);
}
static inline uint64_t account_in_file(const struct account_bytes *b)
{
	return account_sum(b, ACCOUNT_IN_FILE, ACCOUNT_IN_FILE);
}
static inline uint64_t account_in_program(const struct account_bytes *b)
{
	return account_sum(b, ACCOUNT_IN_PROGRAM, ACCOUNT_IN_PROGRAM);
}
/* Held twice. */
static inline uint64_t account_both(const struct account_bytes *b)
{
	uint32_t both = ACCOUNT_IN_FILE | ACCOUNT_IN_PROGRAM;

	return account_sum(b, both, both);
}
static inline uint64_t account_neither(const struct account_bytes *b)
{
	return account_sum(b, ACCOUNT_IN_FILE | ACCOUNT_IN_PROGRAM, 0);
}
/* Private, and memory is held for it, wherever. */
static inline uint64_t account_backed(const struct account_bytes *b, bool is_private)
{
	uint32_t kind = is_private ? ACCOUNT_PRIVATE : 0;

	return account_sum(b, ACCOUNT_PRIVATE, kind) - b->by_state[kind];
}

/*
 * The writer: one at a time. begin gives the snapshot to be filled, whose tables may hold anything, and the latest
 * one (NULL: none), to compare with; finish makes it the latest.
 */
struct account_snapshot *obs_account_begin(struct account_area *a,
					   struct account_snapshot **latest);
void obs_account_finish(struct account_area *a, struct account_snapshot *s);

/* A reader, of another process as a rule: copies the latest snapshot out. False: there is none, the area is not of
 * this layout, or it changed at each of many tries. What lies behind the numbers of rows is not copied. Numbers of
 * rows are never more than there is room for, whatever the area says. */
bool obs_account_read(const struct account_area *a, struct account_snapshot *out);
/* The same of the one before the latest: what a VM was that is gone in the latest. False also while it is overwritten. */
bool obs_account_read_older(const struct account_area *a, struct account_snapshot *out);

#endif
