/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * An ordered set of ranges that finds those meeting a range in O(log n + hits); ranges may overlap
 * and repeat. Nodes are embedded in their owners: inserting cannot fail.
 *
 * A treap: ordered by start, a heap by priority, every node knows the largest end below it.
 *
 *	           [40,48) max 99
 *	          /              \
 *	   [10,20) max 32     [90,99) max 99
 *	          \
 *	        [16,32) max 32
 *
 * The caller's lock.
 */
#ifndef GMEM_MMU_INTERVAL_H
#define GMEM_MMU_INTERVAL_H

#include <stdbool.h>
#include <stdint.h>

struct interval {
	uint64_t start, end; /* end is exclusive */
	uint64_t max_end;
	uint64_t priority;
	struct interval *left, *right;
};

struct interval_tree {
	struct interval *root;
	uint64_t random;
};

void interval_insert(struct interval_tree *tree, struct interval *node);
void interval_remove(struct interval_tree *tree, struct interval *node);
/* The first, by start, that meets [start, end); NULL. */
struct interval *interval_first(const struct interval_tree *tree, uint64_t start, uint64_t end);
/* Calls fn, in the order of start, for all that meet [start, end) until it returns false. fn must
 * not change the tree. */
bool interval_for_each(const struct interval_tree *tree, uint64_t start, uint64_t end,
		       bool (*fn)(void *arg, struct interval *node), void *arg);
/* Smallest start and largest end; false when empty. */
bool interval_bounds(const struct interval_tree *tree, uint64_t *start, uint64_t *end);
void interval_check(const struct interval_tree *tree);

#endif
