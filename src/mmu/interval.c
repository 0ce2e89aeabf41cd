/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "mmu/interval.h"

#include <stddef.h>

#include "os/os.h"

static bool before(const struct interval *a, const struct interval *b)
{
	if (a->start != b->start)
		return a->start < b->start;
	return (uintptr_t)a < (uintptr_t)b;
}

static void update(struct interval *n)
{
	n->max_end = n->end;
	if (n->left && n->left->max_end > n->max_end)
		n->max_end = n->left->max_end;
	if (n->right && n->right->max_end > n->max_end)
		n->max_end = n->right->max_end;
}

/* Priorities only balance: a fixed sequence serves, and the same run gives the same tree. */
static uint64_t next_priority(struct interval_tree *tree)
{
	uint64_t x = tree->random + 0x9e3779b97f4a7c15u;

	tree->random = x;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static void split(struct interval *t, const struct interval *at, struct interval **low,
		  struct interval **high)
{
	if (!t) {
		*low = *high = NULL;
		return;
	}
	if (before(t, at)) {
		split(t->right, at, &t->right, high);
		*low = t;
	} else {
		split(t->left, at, low, &t->left);
		*high = t;
	}
	update(t);
}

static struct interval *merge(struct interval *low, struct interval *high)
{
	if (!low || !high)
		return low ? low : high;
	if (low->priority > high->priority) {
		low->right = merge(low->right, high);
		update(low);
		return low;
	}
	high->left = merge(low, high->left);
	update(high);
	return high;
}

static struct interval *insert(struct interval *t, struct interval *node)
{
	if (!t || node->priority > t->priority) {
		split(t, node, &node->left, &node->right);
		update(node);
		return node;
	}
	if (before(node, t))
		t->left = insert(t->left, node);
	else
		t->right = insert(t->right, node);
	update(t);
	return t;
}

void interval_insert(struct interval_tree *tree, struct interval *node)
{
	os_assert(node->start < node->end);
	node->left = node->right = NULL;
	node->priority = next_priority(tree);
	tree->root = insert(tree->root, node);
}

static struct interval *remove_node(struct interval *t, struct interval *node)
{
	os_assert(t);
	if (t == node)
		return merge(t->left, t->right);
	if (before(node, t))
		t->left = remove_node(t->left, node);
	else
		t->right = remove_node(t->right, node);
	update(t);
	return t;
}

void interval_remove(struct interval_tree *tree, struct interval *node)
{
	tree->root = remove_node(tree->root, node);
}

struct interval *interval_first(const struct interval_tree *tree, uint64_t start, uint64_t end)
{
	struct interval *t = tree->root;

	while (t && t->max_end > start) {
		if (t->left && t->left->max_end > start) {
			/* Should the left side's only long range begin at or behind end, then so does
			 * all to the right of it: the answer is on the left or nowhere. */
			t = t->left;
			continue;
		}
		if (t->start >= end)
			return NULL;
		if (t->end > start)
			return t;
		t = t->right;
	}
	return NULL;
}

static bool for_each(struct interval *t, uint64_t start, uint64_t end,
		     bool (*fn)(void *arg, struct interval *node), void *arg)
{
	if (!t || t->max_end <= start)
		return true;
	if (!for_each(t->left, start, end, fn, arg))
		return false;
	if (t->start >= end)
		return true;
	if (t->end > start && !fn(arg, t))
		return false;
	return for_each(t->right, start, end, fn, arg);
}

bool interval_for_each(const struct interval_tree *tree, uint64_t start, uint64_t end,
		       bool (*fn)(void *arg, struct interval *node), void *arg)
{
	return for_each(tree->root, start, end, fn, arg);
}

bool interval_bounds(const struct interval_tree *tree, uint64_t *start, uint64_t *end)
{
	const struct interval *t = tree->root;

	if (!t)
		return false;
	*end = t->max_end;
	while (t->left)
		t = t->left;
	*start = t->start;
	return true;
}

static void check(const struct interval *t)
{
	uint64_t max_end = t->end;

	os_assert(t->start < t->end);
	if (t->left) {
		os_assert(before(t->left, t) && t->left->priority <= t->priority);
		check(t->left);
		max_end = t->left->max_end > max_end ? t->left->max_end : max_end;
	}
	if (t->right) {
		os_assert(before(t, t->right) && t->right->priority <= t->priority);
		check(t->right);
		max_end = t->right->max_end > max_end ? t->right->max_end : max_end;
	}
	os_assert(t->max_end == max_end);
}

void interval_check(const struct interval_tree *tree)
{
	if (tree->root)
		check(tree->root);
}
