/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Small width: a handful of pages, of which every range, every pair or triple of ranges and every state is tried, at
 * places where arithmetic has edges: 0, a border of 2 MiB and of 1 GiB, the end of a file, the top of all numbers. A
 * set of pages is a number with a bit for each; what a range is, is_in() says page by page.
 */
#ifndef GMEM_TESTS_SMALL_H
#define GMEM_TESTS_SMALL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define must(cond)                                                                 \
	do {                                                                       \
		nr_checks++;                                                       \
		if (!(cond)) {                                                     \
			printf("%s:%d: must be: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                   \
		}                                                                  \
	} while (0)

extern uint64_t nr_checks;

/* [first, end), not empty. */
struct range {
	unsigned int first, end;
};

static inline bool is_in(struct range r, unsigned int page)
{
	return page >= r.first && page < r.end;
}

static inline uint32_t set_of(struct range r)
{
	uint32_t set = 0;

	for (unsigned int page = 0; page < 32; page++)
		set |= (uint32_t)is_in(r, page) << page;
	return set;
}

/* Every range of pages below width. */
#define FOR_EACH_RANGE(r, width)                                        \
	for (struct range r = { 0, 1 }; r.first < (width);              \
	     r = r.end < (width) ? (struct range){ r.first, r.end + 1 } \
				 : (struct range){ r.first + 1, r.first + 2 })

#endif
