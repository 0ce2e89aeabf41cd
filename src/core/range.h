/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The arithmetic of ranges: numbers come from programs, so any sum may be too large for 64 bits. Pure functions,
 * which anybody may call; none of them ever computes a number that does not fit.
 *
 * What stands in the comments that begin with an at sign is proved of the function below it, for all numbers
 * (tests/small/prove.py); numbers in there have no size, so a sum is what it is in school.
 */
#ifndef GMEM_CORE_RANGE_H
#define GMEM_CORE_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

/*@ assigns \nothing;
  @ ensures \result == \min(a, b); */
static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*@ assigns \nothing;
  @ ensures \result == \max(a, b); */
static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The end is no number any more; one that ends with the last byte of all does wrap, as in the kernel's checks. */
/*@ assigns \nothing;
  @ ensures \result <==> start + size > UINT64_MAX; */
static inline bool range_wraps(uint64_t start, uint64_t size)
{
	return size > UINT64_MAX - start;
}

/* Where it ends, or the highest number. */
/*@ assigns \nothing;
  @ ensures \result == \min(start + size, UINT64_MAX); */
static inline uint64_t range_top(uint64_t start, uint64_t size)
{
	return range_wraps(start, size) ? UINT64_MAX : start + size;
}

/* In what has limit bytes, or pages. An empty range at the limit is inside. */
/*@ assigns \nothing;
  @ ensures \result <==> start + size <= limit; */
static inline bool range_inside(uint64_t start, uint64_t size, uint64_t limit)
{
	return start <= limit && size <= limit - start;
}

/* Neither of them empty. */
/*@ requires a < a_end && b < b_end;
  @ assigns \nothing;
  @ ensures \result ==> a <= \max(a, b) < a_end && b <= \max(a, b) < b_end;
  @ ensures !\result ==> \forall integer x; a <= x < a_end ==> !(b <= x < b_end); */
static inline bool ranges_meet(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a < b_end && b < a_end;
}

/* Of nr pages that stand at base, which meet [from, to): [*first, *end), or none. base need not be aligned; the end
 * of the pages may be past all numbers. */
/*@ requires \valid(first) && \valid(end) && \separated(first, end);
  @ requires nr * 4096 <= UINT64_MAX;
  @ assigns *first, *end;
  @ ensures \result <==> \max(from, base) < \min(to, base + nr * 4096);
  @ ensures \result ==> *first < *end <= nr;
  @ ensures \result ==> \forall integer page; 0 <= page < nr ==>
  @	(*first <= page < *end <==> from < base + (page + 1) * 4096 && base + page * 4096 < to);
  @ ensures !\result ==> *first == \old(*first) && *end == \old(*end); */
static inline bool range_pages_that_meet(uint64_t base, uint64_t nr, uint64_t from, uint64_t to,
					 uint64_t *first, uint64_t *end)
{
	uint64_t start = from > base ? from - base : 0;
	uint64_t stop = min_u64(to > base ? to - base : 0, nr * OS_PAGE_SIZE);

	if (start >= stop)
		return false;
	*first = start / OS_PAGE_SIZE;
	*end = (stop - 1) / OS_PAGE_SIZE + 1;
	return true;
}

/* The page behind the last that has a byte of the range, which is not empty. */
/*@ requires size > 0;
  @ assigns \nothing;
  @ ensures (\result - 1) * 4096 < \min(start + size, UINT64_MAX + 1) <= \result * 4096; */
static inline uint64_t range_page_end(uint64_t start, uint64_t size)
{
	uint64_t last = range_wraps(start, size - 1) ? UINT64_MAX : start + (size - 1);

	return last / OS_PAGE_SIZE + 1;
}

/* What of size at start is done when all up to done, which is behind start, is: perhaps more than was asked for. */
/*@ requires start + size <= UINT64_MAX && start < done;
  @ assigns \nothing;
  @ ensures \result == \min(done, start + size);
  @ ensures size > 0 ==> start < \result; */
static inline uint64_t range_done(uint64_t start, uint64_t size, uint64_t done)
{
	return done - start < size ? done : start + size;
}

/* Of the pages around a page, those that lie with it in one aligned block of so many pages. */
/*@ requires \valid(before) && \valid(after) && \separated(before, after);
  @ requires block == 16 || block == 512;
  @ requires *before <= page && page + *after <= UINT64_MAX;
  @ assigns *before, *after;
  @ ensures *before <= \old(*before) && *after <= \old(*after);
  @ ensures page - page % block <= page - *before && page + *after < page - page % block + block;
  @ ensures *before < \old(*before) ==> (page - *before) % block == 0;
  @ ensures *after < \old(*after) ==> (page + *after + 1) % block == 0; */
static inline void range_keep_to_block(uint64_t page, uint64_t block, uint64_t *before,
				       uint64_t *after)
{
	uint64_t in_block = page % block;

	*before = min_u64(*before, in_block);
	*after = min_u64(*after, block - 1 - in_block);
}

#endif
