/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A leaf of the attribute map: 512 pages, one plane of bits for each attribute the map can hold.
 *
 *	plane 0   word 0 .. 7     bit i: page i has the lowest attribute of the mask
 *	plane 1   word 8 .. 15    and so on
 *
 * Loads are acquire and stores release, as attr_map.c wants them; what a reader finds may be of two changes
 * until it has checked the map's sequence. planes: the map's mask of attributes, always the same for a leaf.
 */
#ifndef GMEM_CORE_ATTR_LEAF_H
#define GMEM_CORE_ATTR_LEAF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LEAF_PAGES 512u
#define LEAF_WORDS (LEAF_PAGES / 64)
#define MAX_PLANES 32 /* bits of a value */

/* Plane i is word[i * LEAF_WORDS] and the seven after it; a cell is as long as the map has planes. */
struct leaf {
	_Atomic uint64_t word[LEAF_WORDS * MAX_PLANES];
};

static inline uint64_t word_load(const struct leaf *leaf, uint32_t i)
{
	return atomic_load_explicit(&leaf->word[i], memory_order_acquire);
}

/* The bits first..last, which lie in one leaf, as a mask of word i. */
static inline uint64_t word_mask(uint32_t i, uint64_t first, uint64_t last)
{
	uint64_t low = (uint64_t)i * 64;
	uint64_t mask = ~(uint64_t)0;

	if (first >= low + 64 || last < low)
		return 0;
	if (first > low)
		mask &= ~(uint64_t)0 << (first - low);
	if (last < low + 63)
		mask &= ~(uint64_t)0 >> (low + 63 - last);
	return mask;
}

/* Attribute bits and planes: the lowest bit of the mask has plane 0. */
#define for_each_plane(planes, bit, plane)                                      \
	for (uint32_t rest_ = (planes), bit = rest_ & -rest_, plane = 0; rest_; \
	     rest_ &= rest_ - 1, bit = rest_ & -rest_, plane++)

/* No branch on what the pages are: a processor that guesses wrong would give up the lookups behind this one. */
static inline uint32_t leaf_get(uint32_t planes, const struct leaf *leaf, uint64_t i)
{
	uint32_t value = 0;

	if (!(planes & (planes - 1)))
		return planes & -(uint32_t)(word_load(leaf, (uint32_t)i / 64) >> (i % 64) & 1);
	for_each_plane(planes, bit, plane)
	{
		uint64_t word = word_load(leaf, plane * LEAF_WORDS + (uint32_t)i / 64);

		value |= bit & -(uint32_t)(word >> (i % 64) & 1);
	}
	return value;
}

/* True when first..last all have the value of first. */
static inline bool leaf_uniform(uint32_t planes, const struct leaf *leaf, uint64_t first,
				uint64_t last)
{
	uint32_t value = leaf_get(planes, leaf, first);
	uint32_t i;

	for_each_plane(planes, bit, plane)
	{
		for (i = (uint32_t)first / 64; i <= last / 64; i++) {
			uint64_t mask = word_mask(i, first, last);
			uint64_t word = word_load(leaf, plane * LEAF_WORDS + i) & mask;

			if (word != (value & bit ? mask : 0))
				return false;
		}
	}
	return true;
}

/* True when all pages have the value. */
static inline bool leaf_is(uint32_t planes, const struct leaf *leaf, uint32_t value)
{
	uint32_t i;

	for_each_plane(planes, bit, plane)
	{
		uint64_t wanted = value & bit ? ~(uint64_t)0 : 0;

		for (i = 0; i < LEAF_WORDS; i++) {
			if (word_load(leaf, plane * LEAF_WORDS + i) != wanted)
				return false;
		}
	}
	return true;
}

/* How many of first..511 have the value. */
static inline uint64_t leaf_run(uint32_t planes, const struct leaf *leaf, uint64_t first,
				uint32_t value)
{
	uint32_t i;

	for (i = (uint32_t)first / 64; i < LEAF_WORDS; i++) {
		uint64_t other = 0;

		for_each_plane(planes, bit, plane)
		{
			uint64_t word = word_load(leaf, plane * LEAF_WORDS + i);

			other |= value & bit ? ~word : word;
		}
		other &= word_mask(i, first, LEAF_PAGES - 1);
		if (other)
			return i * 64 + (uint32_t)__builtin_ctzll(other) - first;
	}
	return LEAF_PAGES - first;
}

static inline void leaf_set(uint32_t planes, struct leaf *leaf, uint64_t first, uint64_t last,
			    uint32_t value)
{
	uint32_t i;

	for_each_plane(planes, bit, plane)
	{
		for (i = (uint32_t)first / 64; i <= last / 64; i++) {
			uint64_t mask = word_mask(i, first, last);
			_Atomic uint64_t *word = &leaf->word[plane * LEAF_WORDS + i];
			uint64_t old = atomic_load_explicit(word, memory_order_relaxed);

			atomic_store_explicit(word, value & bit ? old | mask : old & ~mask,
					      memory_order_release);
		}
	}
}

/* The compiler's own becomes a call of its library on a plain x86-64. */
static inline uint64_t popcount(uint64_t x)
{
	x -= x >> 1 & 0x5555555555555555ull;
	x = (x & 0x3333333333333333ull) + (x >> 2 & 0x3333333333333333ull);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return x * 0x0101010101010101ull >> 56;
}

static inline uint64_t leaf_count(uint32_t planes, const struct leaf *leaf, uint64_t first,
				  uint64_t last, uint32_t value)
{
	uint64_t nr = 0;
	uint32_t i;

	for (i = (uint32_t)first / 64; i <= last / 64; i++) {
		uint64_t same = word_mask(i, first, last);

		for_each_plane(planes, bit, plane)
		{
			uint64_t word = word_load(leaf, plane * LEAF_WORDS + i);

			same &= value & bit ? word : ~word;
		}
		nr += popcount(same);
	}
	return nr;
}

#endif
