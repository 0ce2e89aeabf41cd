/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * binding: the ranges of one file that are a memslot's, ordered by offset, never overlapping.
 *
 * A treap: a search tree by offset and a heap by a random priority, so that it stays shallow whatever
 * the order in which 32764 slots come. Private to core; all calls under the file's invalidate lock.
 */
#ifndef GMEM_CORE_BINDING_H
#define GMEM_CORE_BINDING_H

#include <stdbool.h>
#include <stdint.h>

struct gmem_binding {
	uint64_t offset, size;
	void *owner;
	uint64_t priority;
	struct gmem_binding *left, *right;
};

struct binding_tree {
	struct gmem_binding *root;
	uint64_t nr;
	uint64_t random; /* state of the priorities' generator */
};

typedef void binding_fn(void *arg, struct gmem_binding *b);

/* -EEXIST when the range meets a binding that is there. */
int binding_insert(struct binding_tree *tree, struct gmem_binding *b);
void binding_remove(struct binding_tree *tree, struct gmem_binding *b);
/* In the order of offsets, those that meet [offset, end). fn may not change the tree. */
void binding_for_each(struct binding_tree *tree, uint64_t offset, uint64_t end, binding_fn *fn,
		      void *arg);
/* Takes any one out; NULL when none is left. */
struct gmem_binding *binding_take(struct binding_tree *tree);
/* Asserts order, disjointness, and that all lie below end. */
void binding_check(struct binding_tree *tree, uint64_t end);

#endif
