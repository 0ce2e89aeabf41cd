/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * How each page of the address space stands with the guard. Changed often, a page or a GiB at a time, with no
 * memory to be had at that moment; so there is a byte for each 2 MiB, and two bits for each page
 * that count where the byte says that they differ:
 *
 *	address	[ 9 bits | 11 bits | 15 bits    | 9 bits | 12 ]
 *	           top      middle    table of	   bits     byte
 *	                              64 GiB
 *
 * Tables are made when a window is, and stay.
 *
 * Changes: under the registry's lock. Looking: any thread, any time, also a signal handler; what does not
 * change meanwhile is told right.
 */
#ifndef GMEM_MAP_GUARD_PAGES_H
#define GMEM_MAP_GUARD_PAGES_H

#include <stdbool.h>
#include <stdint.h>

enum page_state { PAGE_OPEN, PAGE_OVERLAID, PAGE_MARKED };
#define IS_OVERLAID (1u << PAGE_OVERLAID)
#define IS_MARKED (1u << PAGE_MARKED)
#define IS_HIDDEN (IS_OVERLAID | IS_MARKED)

struct guard_pages;

int guard_pages_create(struct guard_pages **out);
/* One that is there without memory being asked for, for who needs it once and cannot fail. */
struct guard_pages *guard_pages_of_process(void);
void guard_pages_destroy(struct guard_pages *p);

/* From now on guard_pages_set() of pages in the range can store every state. -ENOMEM. */
int guard_pages_reserve(struct guard_pages *p, uint64_t addr, uint64_t size);
/* Where nothing was reserved, pages are open and stay so. */
void guard_pages_set(struct guard_pages *p, uint64_t addr, uint64_t size, enum page_state state);
/* Every page is open. */
void guard_pages_reset(struct guard_pages *p);

enum page_state guard_pages_get(struct guard_pages *p, uint64_t addr);
/* Bytes from addr on, at most size, of pages that are of one of the states in mask, or are not, as the first. */
uint64_t guard_pages_run(struct guard_pages *p, uint64_t addr, uint64_t size, unsigned int mask,
			 bool *are);
/* Is no page of the range in one of the states? */
bool guard_pages_none(struct guard_pages *p, uint64_t addr, uint64_t size, unsigned int mask);

#endif
