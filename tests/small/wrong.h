/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Checks of ranges as they have been written wrongly, with what the right ones in core/range.h promise: no prover may
 * believe one of them, or what it says of the right ones would be worth nothing.
 */
#ifndef GMEM_TESTS_SMALL_WRONG_H
#define GMEM_TESTS_SMALL_WRONG_H

#include "core/range.h"

/* The sum wraps, and is inside. */
/*@ assigns \nothing;
  @ ensures \result <==> start + size <= limit; */
static inline bool wrong_sum_wraps(uint64_t start, uint64_t size, uint64_t limit)
{
	return start + size <= limit;
}

/* The difference wraps where start is past the limit. */
/*@ assigns \nothing;
  @ ensures \result <==> start + size <= limit; */
static inline bool wrong_start_past_limit(uint64_t start, uint64_t size, uint64_t limit)
{
	return size <= limit - start;
}

/* One page too much. */
/*@ assigns \nothing;
  @ ensures \result <==> start + size > UINT64_MAX; */
static inline bool wrong_by_one(uint64_t start, uint64_t size)
{
	return size >= UINT64_MAX - start;
}

/* Ranges that only touch. */
/*@ requires a < a_end && b < b_end;
  @ assigns \nothing;
  @ ensures \result ==> a <= \max(a, b) < a_end && b <= \max(a, b) < b_end;
  @ ensures !\result ==> \forall integer x; a <= x < a_end ==> !(b <= x < b_end); */
static inline bool wrong_touching(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a <= b_end && b < a_end;
}

/* Rounded up by a sum that wraps in the last page. */
/*@ requires size > 0;
  @ assigns \nothing;
  @ ensures (\result - 1) * 4096 < \min(start + size, UINT64_MAX + 1) <= \result * 4096; */
static inline uint64_t wrong_rounded_up(uint64_t start, uint64_t size)
{
	return (range_top(start, size) + OS_PAGE_SIZE - 1) / OS_PAGE_SIZE;
}

/* The end of what was done, as if nothing were done beside it. */
/*@ requires start + size <= UINT64_MAX && start < done;
  @ assigns \nothing;
  @ ensures \result == \min(done, start + size); */
static inline uint64_t wrong_done(uint64_t start, uint64_t size, uint64_t done)
{
	return done;
}

#endif
