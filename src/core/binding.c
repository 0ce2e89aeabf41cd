/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "core/binding.h"

#include <errno.h>
#include <stddef.h>

#include "core/range.h"
#include "os/os.h"

static uint64_t binding_end(const struct gmem_binding *b)
{
	return b->offset + b->size;
}

/* An additive generator with a mixing step: enough for balance, the same in every run. */
static uint64_t next_priority(struct binding_tree *tree)
{
	uint64_t x = tree->random += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	return x ^ x >> 27;
}

static bool meets(const struct gmem_binding *b, uint64_t offset, uint64_t end)
{
	for (; b; b = b->offset >= end ? b->left : b->right) {
		if (ranges_meet(b->offset, binding_end(b), offset, end))
			return true;
	}
	return false;
}

/* Below offset to the left, the rest to the right. */
static void split(struct gmem_binding *b, uint64_t offset, struct gmem_binding **left,
		  struct gmem_binding **right)
{
	while (b) {
		if (b->offset < offset) {
			*left = b;
			left = &b->right;
			b = b->right;
		} else {
			*right = b;
			right = &b->left;
			b = b->left;
		}
	}
	*left = NULL;
	*right = NULL;
}

/* All of left lies before all of right. */
static struct gmem_binding *merge(struct gmem_binding *left, struct gmem_binding *right)
{
	struct gmem_binding *root = NULL;
	struct gmem_binding **place = &root;

	while (left && right) {
		if (left->priority > right->priority) {
			*place = left;
			place = &left->right;
			left = left->right;
		} else {
			*place = right;
			place = &right->left;
			right = right->left;
		}
	}
	*place = left ? left : right;
	return root;
}

int binding_insert(struct binding_tree *tree, struct gmem_binding *b)
{
	struct gmem_binding **place = &tree->root;

	if (meets(tree->root, b->offset, binding_end(b)))
		return -EEXIST;
	b->priority = next_priority(tree);
	while (*place && (*place)->priority > b->priority)
		place = (*place)->offset < b->offset ? &(*place)->right : &(*place)->left;
	split(*place, b->offset, &b->left, &b->right);
	*place = b;
	tree->nr++;
	return 0;
}

void binding_remove(struct binding_tree *tree, struct gmem_binding *b)
{
	struct gmem_binding **place = &tree->root;

	while (*place != b) {
		os_assert(*place);
		place = (*place)->offset < b->offset ? &(*place)->right : &(*place)->left;
	}
	*place = merge(b->left, b->right);
	tree->nr--;
}

static void walk(struct gmem_binding *b, uint64_t offset, uint64_t end, binding_fn *fn, void *arg)
{
	for (; b; b = b->right) {
		/* What starts at or before offset ends the search to the left. */
		if (b->offset > offset)
			walk(b->left, offset, end, fn, arg);
		if (b->offset >= end)
			return;
		if (binding_end(b) > offset)
			fn(arg, b);
	}
}

void binding_for_each(struct binding_tree *tree, uint64_t offset, uint64_t end, binding_fn *fn,
		      void *arg)
{
	walk(tree->root, offset, end, fn, arg);
}

struct gmem_binding *binding_take(struct binding_tree *tree)
{
	struct gmem_binding *b = tree->root;

	if (b)
		binding_remove(tree, b);
	return b;
}

struct check {
	uint64_t at, nr;
};

static void check_one(void *arg, struct gmem_binding *b)
{
	struct check *check = arg;

	os_assert(b->size && b->offset >= check->at);
	os_assert(!b->left || b->left->priority <= b->priority);
	os_assert(!b->right || b->right->priority <= b->priority);
	check->at = binding_end(b);
	check->nr++;
}

void binding_check(struct binding_tree *tree, uint64_t end)
{
	struct check check = { 0 };

	binding_for_each(tree, 0, UINT64_MAX, check_one, &check);
	os_assert(check.at <= end && check.nr == tree->nr);
}
