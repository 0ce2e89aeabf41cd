/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * page_set: which pages of all that there are, for as many as come and go in any order: a change costs the same however many
 * ranges there are. All zero: none. Addresses are of bytes; a page that is met is meant. One thread.
 */
#ifndef GMEM_SEE_PAGE_SET_H
#define GMEM_SEE_PAGE_SET_H

#include <stdbool.h>
#include <stdint.h>

struct attr_map;

struct page_set {
	struct attr_map *map;
};

/* False: no memory, and nothing changed. */
bool page_set_put(struct page_set *s, uint64_t start, uint64_t end, bool present);
/* Is the page at start in it? The same is so up to *until, at most end; start < end. */
bool page_set_run(const struct page_set *s, uint64_t start, uint64_t end, uint64_t *until);
/* How many bytes of these. */
uint64_t page_set_bytes(const struct page_set *s, uint64_t start, uint64_t end);
void page_set_free(struct page_set *s);

#endif
