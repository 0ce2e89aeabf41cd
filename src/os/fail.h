/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * fail: any call of os that can fail does, when a test says so.
 *
 * Each function of os that asks the kernel (or its stand-in) for something it may not get asks here
 * first:
 *
 *	int err = os_fail(OS_FAIL_MAP);
 *
 *	if (err)
 *		return err;
 *
 * Calls are counted while a plan is armed, over all threads of the process, and the plan names those
 * that fail. Errors are ones that the call really gives; where there are several, the plan's variant
 * takes its pick. It is always compiled in, so that what is swept is what ships; with no plan it is one
 * load and one branch.
 *
 * In the environment: words of GMEM_DEBUG (paths.h)
 *
 *	fail=17			the 17th call from the start on fails (the first is 1)
 *	fail-map=3		the third of one kind
 *	fail-map=3+		that one and all after it
 *	fail-alloc=2,fail.1	the second error of those the call has
 *	fail=?			none fails; each call that could is told in a message
 *
 * Looks for a signal are many, and fail only where their kind is named.
 *
 * Where mappings fail from one on, that ends when one is given back: as with a process that has as many as it
 * may have, and gives up some that it held for that.
 *
 * A child goes on counting where its parent was; a program that is executed starts anew. The first failure
 * is announced in a message, so that a sweep knows where to end.
 *
 * Any thread, any time; plans are armed by one at a time.
 */
#ifndef GMEM_OS_FAIL_H
#define GMEM_OS_FAIL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum os_fail_point {
	OS_FAIL_ALLOC,	   /* os_alloc() */
	OS_FAIL_MEMFD,	   /* a memfd */
	OS_FAIL_FD,	   /* any other descriptor: opened, or copied */
	OS_FAIL_RESIZE,	   /* ftruncate() */
	OS_FAIL_ALLOCATE,  /* fallocate() */
	OS_FAIL_MAP,	   /* mmap() */
	OS_FAIL_UNMAP,	   /* munmap() of a part, which leaves more mappings than before */
	OS_FAIL_MOVE,	   /* mremap() */
	OS_FAIL_PROTECT,   /* mprotect() */
	OS_FAIL_LOCK,	   /* mlock() */
	OS_FAIL_ADVISE,	   /* madvise() */
	OS_FAIL_POPULATE,  /* pages made present */
	OS_FAIL_COLLAPSE,  /* a huge page made of small ones */
	OS_FAIL_MARKS,	   /* a userfaultfd */
	OS_FAIL_WATCH,	   /* a range given to it */
	OS_FAIL_MARK,	   /* an entry of the page table made by it */
	OS_FAIL_THREAD,	   /* a thread */
	OS_FAIL_WAIT,	   /* a futex: a signal came */
	OS_FAIL_PEER_LOCK, /* a lock that tells processes apart */
	OS_FAIL_SPARE,	   /* a memfd of the pool, in the jail (spare.h) */
	OS_FAIL_SIGNAL,	   /* a look for one: it is there, whatever the error */
	OS_FAIL_DISK,	   /* a file of the program read, written or put on the disk */
	OS_FAIL_NR,
};

#define OS_FAIL_ALL ((1u << OS_FAIL_NR) - 1)
/* What a word means that names no kind. */
#define OS_FAIL_UNNAMED (OS_FAIL_ALL & ~(1u << OS_FAIL_SIGNAL))
/* What a process runs out of together. */
#define OS_FAIL_MAPPINGS                                                                        \
	(1u << OS_FAIL_MAP | 1u << OS_FAIL_UNMAP | 1u << OS_FAIL_MOVE | 1u << OS_FAIL_PROTECT | \
	 1u << OS_FAIL_LOCK | 1u << OS_FAIL_ADVISE | 1u << OS_FAIL_WATCH)
#define OS_FAIL_FDS \
	(1u << OS_FAIL_MEMFD | 1u << OS_FAIL_FD | 1u << OS_FAIL_MARKS | 1u << OS_FAIL_SPARE)

struct os_fail_plan {
	uint32_t points; /* a bit for each kind of call that counts */
	uint64_t first;	 /* calls that succeed before the first that fails */
	uint64_t nr;	 /* calls in a row that fail; 0: calls are only counted */
	unsigned int variant;
	bool announce; /* the first that fails; with nr 0 each that counts */
};

struct os_fail_seen {
	uint64_t nr_calls, nr_failed;
	enum os_fail_point point; /* what failed first */
	int err;		  /* and how */
};

void os_fail_arm(const struct os_fail_plan *plan);
/* Ends the plan; seen may be NULL. */
void os_fail_disarm(struct os_fail_seen *seen);
/* What has happened so far. */
void os_fail_look(struct os_fail_seen *seen);
const char *os_fail_name(enum os_fail_point point);
/* How many errors it has. */
unsigned int os_fail_variants(enum os_fail_point point);
/* A word of GMEM_DEBUG, of len characters; arms it. -EINVAL: none of ours. */
int os_fail_word(const char *word, size_t len);

extern _Atomic uint32_t os_fail_points; /* that count now */
int os_fail_now(enum os_fail_point point);
void os_fail_relieve(void);

/* 0, or the error that the call is to return without having done anything. */
static inline int os_fail(enum os_fail_point point)
{
	uint32_t points = atomic_load_explicit(&os_fail_points, memory_order_relaxed);

	return __builtin_expect(points != 0, 0) ? os_fail_now(point) : 0;
}

/* A mapping has been given back. */
static inline void os_fail_unmapped(void)
{
	if (__builtin_expect(atomic_load_explicit(&os_fail_points, memory_order_relaxed) != 0, 0))
		os_fail_relieve();
}

#endif
