/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A store of two: huge pages of the pool, which no host maps, and pages of 4 KiB, which windows map. Each block, of the
 * size of a huge page, is in one of them at a time, and moves by copy, where the contents are, when the file says so (blocks.c):
 *
 *	blocks	[ huge | small | small | huge | ... | the rest of the file: small ]
 *		  |	  \______\_______________________\
 *		  |	    the memfd of 4 KiB, as long as the file: store_fd()
 *		the pool's, as long as the whole blocks
 *
 * Where a block is not, there is nothing of it. One for which the pool has no page is small, wherever it should be.
 */
#include <errno.h>
#include <string.h>

#include "core/range.h"
#include "core/store_private.h"

#define WORD_BITS 64

struct mixed {
	struct store is; /* first */
	struct store *huge, *small;
	uint64_t nr_words;
	/* A bit for each block: it is huge. Set while nobody has an address of it. */
	_Atomic uint64_t *words;
	struct os_mutex lock; /* filling what is huge: outside the locks of both */
};

static struct mixed *mixed(struct store *s)
{
	return (struct mixed *)s;
}

/* ---- which of the two ---------------------------------------------------------------------------- */

static bool is_huge(struct store *s, uint64_t offset)
{
	uint64_t block = offset / s->block;

	if (offset >= mixed(s)->huge->size)
		return false;
	return atomic_load_explicit(&mixed(s)->words[block / WORD_BITS], memory_order_acquire) >>
		       block % WORD_BITS &
	       1;
}

static void set_huge(struct store *s, uint64_t offset, bool huge)
{
	uint64_t block = offset / s->block, bit = (uint64_t)1 << block % WORD_BITS;
	_Atomic uint64_t *word = &mixed(s)->words[block / WORD_BITS];

	if (huge)
		atomic_fetch_or_explicit(word, bit, memory_order_release);
	else
		atomic_fetch_and_explicit(word, ~bit, memory_order_release);
}

static struct store *place(struct store *s, uint64_t offset)
{
	return is_huge(s, offset) ? mixed(s)->huge : mixed(s)->small;
}

/* Where the run of blocks ends that are in the same place as the one at offset. */
static uint64_t run_end(struct store *s, uint64_t offset, uint64_t end)
{
	uint64_t at = offset;

	do
		at = (at & ~(s->block - 1)) + s->block;
	while (at < end && is_huge(s, at) == is_huge(s, offset));
	return min_u64(at, end);
}

static bool has_any(struct store *s, uint64_t offset, uint64_t size)
{
	uint64_t run;

	return store_next_present(s, &offset, offset + size, &run);
}

/* ---- pages --------------------------------------------------------------------------------------- */

static int address(struct store *s, uint64_t offset, void **addr)
{
	return store_address(place(s, offset), offset, addr);
}

/* Under the lock. The block has no contents yet, so it can be in either place. */
static void do_without(struct store *s, uint64_t offset)
{
	uint64_t block = offset & ~(s->block - 1);

	if (!has_any(mixed(s)->huge, block, s->block))
		set_huge(s, block, false);
}

static int fill_huge(struct store *s, uint64_t offset)
{
	int err = 0;

	os_mutex_lock(&mixed(s)->lock);
	if (is_huge(s, offset))
		err = store_fill(mixed(s)->huge, offset);
	if (err)
		do_without(s, offset);
	if (!is_huge(s, offset))
		err = 0;
	os_mutex_unlock(&mixed(s)->lock);
	return err;
}

static int fill(struct store *s, uint64_t offset)
{
	int err = is_huge(s, offset) ? fill_huge(s, offset) : 0;

	if (err || is_huge(s, offset))
		return err;
	return store_fill(mixed(s)->small, offset);
}

static void join(struct store *s, uint64_t offset)
{
	store_join(place(s, offset), offset);
}

/* No leaf reaches from one block into another, which may be elsewhere. */
static int level(struct store *s, uint64_t offset)
{
	int most = s->block == BLOCK_1G ? LEVEL_1G : LEVEL_2M;
	int there = store_level(place(s, offset), offset);

	return there < most ? there : most;
}

static bool filled_around(struct store *s, uint64_t offset)
{
	return store_filled_around(place(s, offset), offset);
}

static int allocate_huge(struct store *s, uint64_t offset, uint64_t size)
{
	int err = 0;

	os_mutex_lock(&mixed(s)->lock);
	if (is_huge(s, offset))
		err = store_allocate(mixed(s)->huge, offset, size);
	if (err == -ENOMEM)
		do_without(s, offset);
	if (err == -ENOMEM && !is_huge(s, offset))
		err = 0;
	os_mutex_unlock(&mixed(s)->lock);
	return err;
}

static int allocate(struct store *s, uint64_t offset, uint64_t size)
{
	uint64_t end = offset + size, stop;
	int err = 0;

	for (; !err && offset < end; offset = stop) {
		bool huge = is_huge(s, offset);

		stop = huge ? min_u64((offset & ~(s->block - 1)) + s->block, end)
			    : run_end(s, offset, end);
		if (huge)
			err = allocate_huge(s, offset, stop - offset);
		if (!err && !is_huge(s, offset))
			err = store_allocate(mixed(s)->small, offset, stop - offset);
	}
	return err;
}

static int punch(struct store *s, uint64_t offset, uint64_t size)
{
	uint64_t end = offset + size, stop;
	int err = 0;

	for (; !err && offset < end; offset = stop) {
		stop = run_end(s, offset, end);
		err = store_punch(place(s, offset), offset, stop - offset);
	}
	return err;
}

static bool next_present(struct store *s, uint64_t *offset, uint64_t end, uint64_t *size)
{
	uint64_t at, stop;

	for (at = *offset; at < end; at = stop) {
		stop = run_end(s, at, end);
		*offset = at;
		if (store_next_present(place(s, at), offset, stop, size))
			return true;
	}
	return false;
}

static uint64_t backed(struct store *s)
{
	return store_backed(mixed(s)->huge) + store_backed(mixed(s)->small);
}

static struct store *huge(struct store *s)
{
	return mixed(s)->huge;
}

static void stay_small(struct store *s)
{
	store_stay_small(mixed(s)->small);
}

/* ---- moving -------------------------------------------------------------------------------------- */

/* Of the pages of a run, as far as one place has them side by side. */
static int copy_run(struct store *from, struct store *to, uint64_t offset, uint64_t size)
{
	void *source, *target;
	int err = store_address(from, offset, &source);

	if (!err)
		err = store_address(to, offset, &target);
	if (!err)
		err = os_populate(target, size, true);
	if (!err)
		memcpy(target, source, size);
	return err == -EFAULT ? -ENOMEM : err;
}

static int copy_block(struct store *from, struct store *to, uint64_t block, uint64_t size)
{
	uint64_t at = block, end = block + size, run;
	int err = store_fill(to, block);

	for (; !err && at < end && store_next_present(from, &at, end, &run); at += run)
		err = copy_run(from, to, at, run);
	return err;
}

/* What is left there is of a move that failed. */
static int move(struct store *s, uint64_t block, bool huge)
{
	struct store *from = huge ? mixed(s)->small : mixed(s)->huge;
	struct store *to = huge ? mixed(s)->huge : mixed(s)->small;
	bool has_contents = has_any(from, block, s->block);
	int err = has_any(to, block, s->block) ? store_punch(to, block, s->block) : 0;

	if (!err && has_contents)
		err = copy_block(from, to, block, s->block);
	if (err) {
		store_punch(to, block, s->block);
		return err;
	}
	set_huge(s, block, huge);
	/* What stays takes memory, no more. */
	if (has_contents)
		store_punch(from, block, s->block);
	return 0;
}

/* ---- made ---------------------------------------------------------------------------------------- */

static void destroy(struct store *store)
{
	struct mixed *s = mixed(store);

	store_destroy(s->huge);
	store_destroy(s->small);
	os_free(s->words, s->nr_words * sizeof(*s->words));
	os_free(s, sizeof(*s));
}

static const struct store_ops ops = {
	.destroy = destroy,
	.address = address,
	.fill = fill,
	.join = join,
	.level = level,
	.filled_around = filled_around,
	.allocate = allocate,
	.punch = punch,
	.next_present = next_present,
	.backed = backed,
	.stay_small = stay_small,
	.is_huge = is_huge,
	.move = move,
	.huge = huge,
};

static int make_places(struct mixed *s, uint64_t size, enum store_pages pages)
{
	int err = store_create(size & ~(s->is.block - 1), pages, &s->huge);

	if (err)
		return err;
	err = store_create(size, STORE_4K, &s->small);
	if (err)
		store_destroy(s->huge);
	return err;
}

int store_create_mixed(uint64_t size, enum store_pages pages, bool huge, struct store **out)
{
	uint64_t block = pages == STORE_1G ? BLOCK_1G : BLOCK_2M;
	struct mixed *s;
	int err;

	if (size < block)
		return store_create(size, STORE_4K, out);
	s = os_alloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->is = (struct store){ .ops = &ops, .size = size, .block = block };
	s->nr_words = round_up(size / block, WORD_BITS) / WORD_BITS;
	os_mutex_init(&s->lock);
	err = make_places(s, size, pages);
	if (err)
		goto free_store;
	s->words = os_alloc(s->nr_words * sizeof(*s->words));
	if (!s->words) {
		err = -ENOMEM;
		goto destroy_places;
	}
	for (uint64_t i = 0; huge && i < s->nr_words; i++)
		atomic_init(&s->words[i], UINT64_MAX);
	s->is.fd = store_fd(s->small);
	*out = &s->is;
	return 0;

destroy_places:
	store_destroy(s->huge);
	store_destroy(s->small);
free_store:
	os_free(s, sizeof(*s));
	return err;
}
