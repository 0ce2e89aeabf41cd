/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A store on a memfd, and its windows.
 *
 * Windows are found through tables of TABLE_SLOTS pointers, as many levels of them as the size asks
 * for; the top table is only as long as needed. A file of up to 2 TiB has one level:
 *
 *	top [ 0 | 1 | ... ]  ->  (table [ ... ]  ->)  window  ->  1 GiB of host addresses
 *
 * A window or table that is made stays until the end, so lookups load pointers and take no lock;
 * only making them does.
 */
#include "core/store_private.h"

#include <errno.h>

#include "os/paths.h"

#define TABLE_SHIFT 11
#define TABLE_SLOTS ((uint64_t)1 << TABLE_SHIFT)
#define ALLOCATE_STEP ((uint64_t)16 << 20)

/* ---- life ------------------------------------------------------------------------------------ */

/* The last window is as short as the file. */
static uint64_t window_bytes(const struct memfd_store *s, uint64_t window)
{
	uint64_t rest = s->file_size - window * STORE_WINDOW_SIZE;

	return rest < STORE_WINDOW_SIZE ? rest : STORE_WINDOW_SIZE;
}

static void window_free(struct memfd_store *s, struct window *w, uint64_t window)
{
	os_unmap(w->addr, window_bytes(s, window));
	os_free(w, sizeof(*w));
}

static void table_destroy(struct memfd_store *s, slot_t *table, uint64_t nr, int depth,
			  uint64_t first)
{
	uint64_t span = (uint64_t)1 << (TABLE_SHIFT * (depth - 1));
	uint64_t i;

	for (i = 0; i < nr; i++) {
		void *below = os_racy_load(&table[i]);

		if (!below)
			continue;
		if (depth == 1)
			window_free(s, below, first + i);
		else
			table_destroy(s, below, TABLE_SLOTS, depth - 1, first + i * span);
	}
	os_free(table, nr * sizeof(slot_t));
}

static void destroy(struct store *store)
{
	struct memfd_store *s = memfd_store(store);
	struct attr_map *punched = os_racy_load(&s->punched);

	table_destroy(s, s->top, s->nr_top, s->depth, 0);
	if (punched)
		attr_map_destroy(punched);
	os_fd_close(s->is.fd);
	os_free(s, sizeof(*s));
}

/* ---- windows --------------------------------------------------------------------------------- */

/* The slot of a window; a table that is missing on the way is made when the caller holds the lock. */
static slot_t *window_slot(struct memfd_store *s, uint64_t window, bool make)
{
	slot_t *table = s->top;
	slot_t *slot;
	int depth;

	for (depth = s->depth; depth > 1; depth--) {
		slot = &table[window >> (TABLE_SHIFT * (depth - 1))];
		window &= ((uint64_t)1 << (TABLE_SHIFT * (depth - 1))) - 1;
		table = atomic_load_explicit(slot, memory_order_acquire);
		if (!table && make) {
			table = os_alloc(TABLE_SLOTS * sizeof(slot_t));
			atomic_store_explicit(slot, table, memory_order_release);
		}
		if (!table)
			return NULL;
	}
	return &table[window];
}

struct window *window_find(struct memfd_store *s, uint64_t offset)
{
	slot_t *slot = window_slot(s, offset / STORE_WINDOW_SIZE, false);

	return slot ? atomic_load_explicit(slot, memory_order_acquire) : NULL;
}

/* So that a host page table can use the leaf that a nested one does. */
static size_t window_align(uint64_t bytes)
{
	if (bytes >= STORE_WINDOW_SIZE)
		return STORE_WINDOW_SIZE;
	return bytes >= BLOCK_2M ? BLOCK_2M : OS_PAGE_SIZE;
}

static int window_map(struct memfd_store *s, uint64_t window, struct window **out)
{
	uint64_t bytes = window_bytes(s, window);
	struct window *w = os_alloc(sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->block = s->block;
	err = os_map_file(s->is.fd, window * STORE_WINDOW_SIZE, bytes, window_align(bytes),
			  OS_MAP_READ | OS_MAP_WRITE | OS_MAP_HIDDEN, &w->addr);
	if (err)
		os_free(w, sizeof(*w));
	else
		*out = w;
	return err;
}

static int window_make(struct memfd_store *s, uint64_t window, struct window **out)
{
	slot_t *slot;
	int err = 0;

	os_mutex_lock(&s->lock);
	slot = window_slot(s, window, true);
	*out = slot ? os_racy_load(slot) : NULL;
	if (!slot)
		err = -ENOMEM;
	else if (!*out)
		err = window_map(s, window, out);
	if (!err)
		atomic_store_explicit(slot, *out, memory_order_release);
	os_mutex_unlock(&s->lock);
	return err;
}

int window_get(struct memfd_store *s, uint64_t offset, struct window **out)
{
	*out = window_find(s, offset);
	return *out ? 0 : window_make(s, offset / STORE_WINDOW_SIZE, out);
}

struct walk {
	uint64_t offset, end;
	void (*fn)(struct window *w, uint64_t offset, uint64_t end);
};

/* The table's first slot stands for the byte at base. */
static void table_walk(const struct walk *walk, slot_t *table, uint64_t nr, int depth,
		       uint64_t base)
{
	uint64_t span = STORE_WINDOW_SIZE << (TABLE_SHIFT * (depth - 1));
	uint64_t i = walk->offset > base ? (walk->offset - base) / span : 0;

	for (; i < nr && base + i * span < walk->end; i++) {
		void *below = atomic_load_explicit(&table[i], memory_order_acquire);
		uint64_t from = base + i * span, to = from + span;

		if (below && depth == 1)
			walk->fn(below, from > walk->offset ? from : walk->offset,
				 to < walk->end ? to : walk->end);
		else if (below)
			table_walk(walk, below, TABLE_SLOTS, depth - 1, from);
	}
}

void window_for_each(struct memfd_store *s, uint64_t offset, uint64_t end,
		     void (*fn)(struct window *w, uint64_t offset, uint64_t end))
{
	struct walk walk = { offset, end, fn };

	table_walk(&walk, s->top, s->nr_top, s->depth, 0);
}

static int address(struct store *s, uint64_t offset, void **addr)
{
	struct window *w;
	int err = window_get(memfd_store(s), offset, &w);

	if (err)
		return err;
	*addr = (char *)w->addr + offset % STORE_WINDOW_SIZE;
	return 0;
}

/* ---- pages ----------------------------------------------------------------------------------- */

int store_level_by_size(const struct store *s, uint64_t offset)
{
	os_assert(offset < s->size);
	if (round_up(offset + 1, STORE_WINDOW_SIZE) <= s->size)
		return LEVEL_1G;
	return round_up(offset + 1, BLOCK_2M) <= s->size ? LEVEL_2M : LEVEL_4K;
}

/* The system may look for signals only when it is through. */
int store_allocate_small(struct store *s, uint64_t offset, uint64_t size)
{
	uint64_t end = offset + size, step;
	int err;

	for (;; offset += step) {
		step = end - offset < ALLOCATE_STEP ? end - offset : ALLOCATE_STEP;
		err = os_file_allocate(s->fd, offset, step);
		if (err || step == end - offset)
			return err;
		if (os_signal_pending())
			return -EINTR;
	}
}

static int punch(struct store *s, uint64_t offset, uint64_t size)
{
	return os_file_punch(s->fd, offset, size);
}

static bool next_present(struct store *s, uint64_t *offset, uint64_t end, uint64_t *size)
{
	uint64_t from, to;
	int err = os_file_data(s->fd, *offset, &from, &to);

	os_assert(!err || err == -ENXIO);
	if (err || from >= end)
		return false;
	*offset = from;
	*size = (to < end ? to : end) - from;
	return true;
}

static uint64_t backed(struct store *s)
{
	uint64_t bytes = 0;
	int err = os_file_backed(s->fd, &bytes);

	os_assert(!err);
	return bytes;
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static const struct store_ops ops_4k = {
	.destroy = destroy,
	.address = address,
	.allocate = store_allocate_small,
	.punch = punch,
	.next_present = next_present,
	.backed = backed,
};

static const struct store_ops ops_thp = {
	.destroy = destroy,
	.address = address,
	.fill = store_fill_thp,
	.join = store_join_thp,
	.level = store_level_thp,
	.allocate = store_allocate_thp,
	.punch = store_punch_thp,
	.next_present = next_present,
	.backed = backed,
};

static void stay_small(struct store *s)
{
	s->ops = &ops_4k;
}

/* Of 4 KiB that are tried as huge pages all the same. */
static const struct store_ops ops_always = {
	.destroy = destroy,
	.address = address,
	.fill = store_fill_thp,
	.join = store_join_thp,
	.allocate = store_allocate_thp,
	.punch = store_punch_thp,
	.next_present = next_present,
	.backed = backed,
	.stay_small = stay_small,
};

static const struct store_ops ops_pool = {
	.destroy = destroy,
	.address = address,
	.fill = store_fill_pool,
	.level = store_level_pool,
	.filled_around = store_filled_around_pool,
	.allocate = store_allocate_pool,
	.punch = store_punch_pool,
	.next_present = store_next_present_pool,
	.backed = backed,
};

/* Huge pages of the system's pool. */
static bool is_pool(enum store_pages pages)
{
	return pages == STORE_2M || pages == STORE_1G;
}

static const struct store_ops *ops_for(enum store_pages pages)
{
	if (is_pool(pages))
		return &ops_pool;
	if (os_path_off(OS_PATH_HUGE))
		return &ops_4k;
	if (pages == STORE_THP)
		return &ops_thp;
	return os_path_always(OS_PATH_HUGE) ? &ops_always : &ops_4k;
}

/* ---- made ------------------------------------------------------------------------------------ */

static int make_file(struct memfd_store *s)
{
	if (!is_pool(s->pages))
		return os_memfd_create("gmem-store", s->file_size, &s->is.fd);
	return os_memfd_create_huge("gmem-store", s->file_size, s->block, &s->is.fd);
}

static struct memfd_store *make_store(uint64_t size, enum store_pages pages)
{
	struct memfd_store *s;

	os_assert(size && size % OS_PAGE_SIZE == 0 && size <= INT64_MAX);
	s = os_alloc(sizeof(*s));
	if (!s)
		return NULL;
	s->is.size = size;
	s->is.fd = -1;
	s->is.ops = ops_for(pages);
	s->pages = pages;
	s->block = pages == STORE_1G ? BLOCK_1G : BLOCK_2M;
	s->file_size = is_pool(pages) ? round_up(size, s->block) : size;
	os_mutex_init(&s->lock);
	s->nr_top = round_up(size, STORE_WINDOW_SIZE) / STORE_WINDOW_SIZE;
	for (s->depth = 1; s->nr_top > TABLE_SLOTS; s->depth++)
		s->nr_top = (s->nr_top + TABLE_SLOTS - 1) / TABLE_SLOTS;
	s->top = os_alloc(s->nr_top * sizeof(slot_t));
	if (s->top)
		return s;
	os_free(s, sizeof(*s));
	return NULL;
}

int store_create(uint64_t size, enum store_pages pages, struct store **out)
{
	struct memfd_store *s = make_store(size, pages);
	int err = s ? make_file(s) : -ENOMEM;

	if (s && err) {
		os_free(s->top, s->nr_top * sizeof(slot_t));
		os_free(s, sizeof(*s));
	}
	if (!err)
		*out = &s->is;
	return err;
}

int store_create_on(int fd, uint64_t size, struct store **out)
{
	struct memfd_store *s = make_store(size, STORE_4K);

	if (!s)
		return -ENOMEM;
	s->is.ops = &ops_4k;
	s->is.fd = fd;
	*out = &s->is;
	return 0;
}
