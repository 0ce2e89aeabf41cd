/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Huge pages behind a store.
 *
 * thp: touching a page and collapsing the 2 MiB around it costs less than touching a fourth of them, and works
 * whatever the system's policy for shared memory is. It is tried once for each block that nobody has touched yet.
 * Where there is something already, its pages would be copied; they stay as they are.
 *
 * 2m, 1g: the pool's pages come when a block is filled. Pages that are punched alone are noted, so that the huge page
 * goes when the last of its pages does; until each of them is touched again what is around it is mapped by 4 KiB, or they
 * would be taken for punched while they are in use.
 *
 *	block		[ not filled | filled, nothing noted | filled, some noted | not filled ]
 *	mapped by	      -		    the block	    less
 */
#include <errno.h>
#include <string.h>

#include "core/store_private.h"

#define PUNCHED 1u
#define BLOCK_PAGES (BLOCK_2M >> OS_PAGE_SHIFT)

static uint64_t block_of(const struct memfd_store *s, uint64_t offset)
{
	return offset & ~(s->block - 1);
}

/* ---- the bits -------------------------------------------------------------------------------- */

/* Which of the words, and which bit of it. */
static uint64_t word_of(const struct window *w, uint64_t offset, uint64_t *bit)
{
	uint64_t block = offset % STORE_WINDOW_SIZE / w->block;

	*bit = (uint64_t)1 << block % 64;
	return block / 64;
}

static bool has_bit(const struct window *w, const _Atomic uint64_t *words, uint64_t offset)
{
	uint64_t bit, word = word_of(w, offset, &bit);

	return atomic_load_explicit(&words[word], memory_order_acquire) & bit;
}

/* True: it was so before. */
static bool set_bit(const struct window *w, _Atomic uint64_t *words, uint64_t offset)
{
	uint64_t bit, word = word_of(w, offset, &bit);

	return atomic_fetch_or_explicit(&words[word], bit, memory_order_acq_rel) & bit;
}

static void clear_bit(const struct window *w, _Atomic uint64_t *words, uint64_t offset)
{
	uint64_t bit, word = word_of(w, offset, &bit);

	atomic_fetch_and_explicit(&words[word], ~bit, memory_order_relaxed);
}

static bool is_filled(struct window *w, uint64_t offset)
{
	return has_bit(w, w->filled, offset);
}

static bool set_filled(struct window *w, uint64_t offset)
{
	return set_bit(w, w->filled, offset);
}

/* Of the blocks that lie wholly in the range. */
static void clear_filled(struct window *w, uint64_t offset, uint64_t end)
{
	for (offset = round_up(offset, w->block); offset + w->block <= end; offset += w->block) {
		clear_bit(w, w->filled, offset);
		clear_bit(w, w->apart, offset);
	}
}

static bool all_filled(struct window *w)
{
	if (w->block == STORE_WINDOW_SIZE)
		return is_filled(w, 0);
	for (unsigned int i = 0; i < WINDOW_WORDS; i++)
		if (~atomic_load_explicit(&w->filled[i], memory_order_acquire))
			return false;
	return true;
}

/* ---- thp ------------------------------------------------------------------------------------- */

static bool is_absent(struct memfd_store *s, uint64_t block)
{
	uint64_t from, to;

	return os_file_data(s->is.fd, block, &from, &to) || from >= block + BLOCK_2M;
}

/* What does not succeed leaves pages of 4 KiB, or none: the touch will tell. */
static void collapse(struct memfd_store *s, struct window *w, uint64_t offset)
{
	uint64_t block = block_of(s, offset);
	char *at = (char *)w->addr + block % STORE_WINDOW_SIZE;

	if (s->is.size - block < BLOCK_2M || is_filled(w, block) || set_filled(w, block) ||
	    !is_absent(s, block))
		return;
	if (!os_populate(at + (offset - block), OS_PAGE_SIZE, true))
		os_collapse(at, BLOCK_2M);
}

/* Blocks that are allocated whole become huge pages; what is left of the range, also of those where that was not
 * possible, is allocated as usual. */
int store_allocate_thp(struct store *store, uint64_t offset, uint64_t size)
{
	struct memfd_store *s = memfd_store(store);
	uint64_t end = offset + size, at = round_up(offset, BLOCK_2M);
	int err = 0;

	for (; !err && at + BLOCK_2M <= end; at += BLOCK_2M) {
		struct window *w;

		if (os_signal_pending())
			return -EINTR;
		err = window_get(s, at, &w);
		if (!err)
			collapse(s, w, at);
	}
	return err ? err : store_allocate_small(store, offset, size);
}

int store_fill_thp(struct store *store, uint64_t offset)
{
	struct memfd_store *s = memfd_store(store);
	struct window *w;
	int err;

	os_assert(offset < s->is.size);
	err = window_get(s, offset, &w);
	if (!err)
		collapse(s, w, offset);
	return err;
}

static int all_or_2m(struct memfd_store *s, uint64_t offset)
{
	struct window *w = window_find(s, offset);

	return w && all_filled(w) ? LEVEL_1G : LEVEL_2M;
}

int store_level_thp(struct store *s, uint64_t offset)
{
	int level = store_level_by_size(s, offset), most = all_or_2m(memfd_store(s), offset);

	return level < most ? level : most;
}

/* The system takes a huge page apart when a piece of it goes. */
static void note_apart(struct window *w, uint64_t offset, uint64_t end)
{
	for (offset &= ~(w->block - 1); offset < end; offset += w->block)
		if (is_filled(w, offset))
			set_bit(w, w->apart, offset);
}

static void after_punch(struct window *w, uint64_t offset, uint64_t end)
{
	note_apart(w, offset, end);
	clear_filled(w, offset, end);
}

int store_punch_thp(struct store *s, uint64_t offset, uint64_t size)
{
	int err = os_file_punch(s->fd, offset, size);

	if (!err)
		window_for_each(memfd_store(s), offset, offset + size, after_punch);
	return err;
}

static bool is_whole(struct memfd_store *s, uint64_t block)
{
	uint64_t from, to;

	return !os_file_data(s->is.fd, block, &from, &to) && from == block &&
	       to >= block + BLOCK_2M;
}

/* The page itself is about to be touched. What else is missing would take memory that somebody has given back on purpose. If the system has no huge page now, or a
 * page is held by somebody, the next fault asks again. */
void store_join_thp(struct store *store, uint64_t offset)
{
	struct memfd_store *s = memfd_store(store);
	struct window *w = window_find(s, offset);
	uint64_t block = block_of(s, offset);
	char *at;

	if (!w || !has_bit(w, w->apart, offset))
		return;
	at = (char *)w->addr + block % STORE_WINDOW_SIZE;
	if (!os_populate(at + (offset - block), OS_PAGE_SIZE, true) && is_whole(s, block) &&
	    !os_collapse(at, BLOCK_2M))
		clear_bit(w, w->apart, offset);
}

/* ---- pool: what is punched of a page that is there ------------------------------------------------- */

static struct attr_map *punched_of(struct memfd_store *s)
{
	return atomic_load_explicit(&s->punched, memory_order_acquire);
}

/* Under the lock. */
static int note_locked(struct memfd_store *s, uint64_t offset, uint64_t size, uint32_t value)
{
	struct attr_map *map = punched_of(s);
	int err = 0;

	if (!map) {
		err = attr_map_create_for(PUNCHED, 0, s->file_size >> OS_PAGE_SHIFT, &map);
		if (err)
			return err;
		atomic_store_explicit(&s->punched, map, memory_order_release);
	}
	err = attr_map_reserve(map, offset >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT);
	if (!err)
		attr_map_set(map, offset >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT, value);
	return err;
}

static bool is_noted(struct memfd_store *s, uint64_t offset)
{
	struct attr_map *map = punched_of(s);

	return map && attr_map_get(map, offset >> OS_PAGE_SHIFT) == PUNCHED;
}

/* None of the range is taken for punched from here on. */
static int forget_punched(struct memfd_store *s, uint64_t offset, uint64_t size)
{
	struct attr_map *map = punched_of(s);
	uint32_t value;
	int err = 0;

	if (!map ||
	    (attr_map_uniform(map, offset >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT, &value) &&
	     !value))
		return 0;
	os_mutex_lock(&s->lock);
	err = note_locked(s, offset, size, 0);
	os_mutex_unlock(&s->lock);
	return err;
}

/* ---- pool ------------------------------------------------------------------------------------ */

static int take_from_pool(struct memfd_store *s, struct window *w, uint64_t offset)
{
	uint64_t block = block_of(s, offset);
	int err = forget_punched(s, block, s->block);

	if (err)
		return err;
	if (os_populate((char *)w->addr + block % STORE_WINDOW_SIZE, s->block, true))
		return -ENOMEM;
	set_filled(w, block);
	return 0;
}

int store_fill_pool(struct store *store, uint64_t offset)
{
	struct memfd_store *s = memfd_store(store);
	struct window *w;
	int err;

	os_assert(offset < s->is.size);
	err = window_get(s, offset, &w);
	if (err)
		return err;
	if (!is_filled(w, offset))
		return take_from_pool(s, w, offset);
	return is_noted(s, offset) ? forget_punched(s, offset, OS_PAGE_SIZE) : 0;
}

int store_allocate_pool(struct store *store, uint64_t offset, uint64_t size)
{
	struct memfd_store *s = memfd_store(store);
	uint64_t end = offset + size;
	int err = 0;

	for (uint64_t at = block_of(s, offset); !err && at < end; at += s->block) {
		struct window *w;

		if (os_signal_pending())
			return -EINTR;
		err = window_get(s, at, &w);
		if (!err && !is_filled(w, at))
			err = take_from_pool(s, w, at);
	}
	return err ? err : forget_punched(s, offset, size);
}

/* Whole blocks, to the end of the file's last. What is noted of them is forgotten when they are filled again. */
static int punch_blocks(struct memfd_store *s, uint64_t offset, uint64_t end)
{
	int err = os_file_punch(s->is.fd, offset, end - offset);

	if (!err)
		window_for_each(s, offset, end, clear_filled);
	return err;
}

/* Notes it, and says whether the block is to go. Without memory for that the block just stays. */
static bool note_punched(struct memfd_store *s, uint64_t offset, uint64_t size)
{
	uint64_t block = block_of(s, offset), end = block + s->block;
	uint32_t value = 0;
	int err;

	if (end > s->is.size)
		end = s->is.size;
	os_mutex_lock(&s->lock);
	err = note_locked(s, offset, size, PUNCHED);
	os_mutex_unlock(&s->lock);
	return !err &&
	       attr_map_uniform(punched_of(s), block >> OS_PAGE_SHIFT,
				(end - block) >> OS_PAGE_SHIFT, &value) &&
	       value == PUNCHED;
}

/* A piece of one block, which may be none, behind the last window. */
static int punch_piece(struct memfd_store *s, uint64_t offset, uint64_t size)
{
	struct window *w = size ? window_find(s, offset) : NULL;

	if (!w || !is_filled(w, offset))
		return 0;
	if (note_punched(s, offset, size))
		return punch_blocks(s, block_of(s, offset), block_of(s, offset) + s->block);
	memset((char *)w->addr + offset % STORE_WINDOW_SIZE, 0, size);
	return 0;
}

int store_punch_pool(struct store *store, uint64_t offset, uint64_t size)
{
	struct memfd_store *s = memfd_store(store);
	uint64_t end = offset + size == s->is.size ? s->file_size : offset + size;
	uint64_t first = round_up(offset, s->block), last = block_of(s, end);
	int err;

	/* Inside one block. */
	if (first > last)
		return punch_piece(s, offset, size);
	err = punch_piece(s, offset, first - offset);
	if (!err && first < last)
		err = punch_blocks(s, first, last);
	return err ? err : punch_piece(s, last, end - last);
}

bool store_next_present_pool(struct store *store, uint64_t *offset, uint64_t end, uint64_t *size)
{
	struct memfd_store *s = memfd_store(store);
	struct attr_map *map = punched_of(s);
	uint64_t at = *offset;

	while (at < end) {
		struct window *w = window_find(s, at);
		uint64_t stop = block_of(s, at) + s->block;
		uint32_t value = 0;

		stop = stop < end ? stop : end;
		if (w && is_filled(w, at)) {
			*size = stop - at;
			if (map)
				*size = attr_map_run(map, at >> OS_PAGE_SHIFT,
						     *size >> OS_PAGE_SHIFT, &value)
					<< OS_PAGE_SHIFT;
			*offset = at;
			if (!value)
				return true;
			stop = at + *size;
		}
		at = stop;
	}
	return false;
}

int store_level_pool(struct store *store, uint64_t offset)
{
	struct memfd_store *s = memfd_store(store);
	struct attr_map *map = punched_of(s);
	int level = store_level_by_size(store, offset), most = all_or_2m(s, offset);

	if (map)
		most = attr_map_level(map, offset >> OS_PAGE_SHIFT, most);
	return level < most ? level : most;
}

bool store_filled_around_pool(struct store *store, uint64_t offset)
{
	struct attr_map *map = punched_of(memfd_store(store));
	uint64_t block = offset & ~(BLOCK_2M - 1), end = block + BLOCK_2M;
	uint32_t value = 0;

	os_assert(offset < store->size);
	if (end > store->size)
		end = store->size;
	return !map || (attr_map_uniform(map, block >> OS_PAGE_SHIFT,
					 (end - block) >> OS_PAGE_SHIFT, &value) &&
			!value);
}
