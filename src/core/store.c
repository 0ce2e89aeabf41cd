/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A store on a memfd, and its windows.
 *
 * Windows are found through tables of TABLE_SLOTS pointers, as many levels of them as the size asks
 * for; the top table is only as long as needed. A file of up to 2 TiB has one level:
 *
 *	top [ 0 | 1 | ... ]  ->  (table [ ... ]  ->)  1 GiB of host addresses
 *
 * A window or table that is made stays until the end, so lookups load pointers and take no lock;
 * only making them does.
 */
#include "core/store.h"

#include <errno.h>

#include "core/attr_map.h"
#include "os/os.h"

#define TABLE_SHIFT 11
#define TABLE_SLOTS ((uint64_t)1 << TABLE_SHIFT)
#define BLOCK_2M ((uint64_t)2 << 20)

typedef _Atomic(void *) slot_t;

struct store {
	uint64_t size;
	int fd;
	int depth; /* levels of tables */
	slot_t *top;
	uint64_t nr_top;
	struct os_mutex lock; /* making of tables and windows */
};

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

static uint64_t nr_windows(const struct store *s)
{
	return (s->size + STORE_WINDOW_SIZE - 1) / STORE_WINDOW_SIZE;
}

int store_create_memfd(uint64_t size, struct store **out)
{
	struct store *s;
	int err;

	os_assert(size && size % OS_PAGE_SIZE == 0 && size <= INT64_MAX);
	s = os_alloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->size = size;
	os_mutex_init(&s->lock);
	s->nr_top = nr_windows(s);
	for (s->depth = 1; s->nr_top > TABLE_SLOTS; s->depth++)
		s->nr_top = (s->nr_top + TABLE_SLOTS - 1) / TABLE_SLOTS;
	s->top = os_alloc(s->nr_top * sizeof(slot_t));
	err = s->top ? os_memfd_create("gmem-store", size, &s->fd) : -ENOMEM;
	if (err) {
		os_free(s->top, s->nr_top * sizeof(slot_t));
		os_free(s, sizeof(*s));
		return err;
	}
	*out = s;
	return 0;
}

/* The last window is as short as the file, to the page. */
static uint64_t window_bytes(const struct store *s, uint64_t window)
{
	uint64_t rest = s->size - window * STORE_WINDOW_SIZE;

	return rest < STORE_WINDOW_SIZE ? rest : STORE_WINDOW_SIZE;
}

static void table_destroy(struct store *s, slot_t *table, uint64_t nr, int depth, uint64_t first)
{
	uint64_t span = (uint64_t)1 << (TABLE_SHIFT * (depth - 1));
	uint64_t i;

	for (i = 0; i < nr; i++) {
		void *below = os_racy_load(&table[i]);

		if (!below)
			continue;
		if (depth == 1)
			os_unmap(below, window_bytes(s, first + i));
		else
			table_destroy(s, below, TABLE_SLOTS, depth - 1, first + i * span);
	}
	os_free(table, nr * sizeof(slot_t));
}

void store_destroy(struct store *s)
{
	table_destroy(s, s->top, s->nr_top, s->depth, 0);
	os_fd_close(s->fd);
	os_free(s, sizeof(*s));
}

/* The slot of a window; a table that is missing on the way is made when the caller holds the lock. */
static slot_t *window_slot(struct store *s, uint64_t window, bool make)
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

/* So that a host page table can use the leaf that a nested one does. */
static size_t window_align(uint64_t bytes)
{
	if (bytes >= STORE_WINDOW_SIZE)
		return STORE_WINDOW_SIZE;
	return bytes >= BLOCK_2M ? BLOCK_2M : OS_PAGE_SIZE;
}

static int window_make(struct store *s, uint64_t window, void **addr)
{
	uint64_t bytes = window_bytes(s, window);
	slot_t *slot;
	int err = 0;

	os_mutex_lock(&s->lock);
	slot = window_slot(s, window, true);
	*addr = slot ? os_racy_load(slot) : NULL;
	if (!slot)
		err = -ENOMEM;
	else if (!*addr)
		err = os_map_file(s->fd, window * STORE_WINDOW_SIZE, bytes, window_align(bytes),
				  OS_MAP_READ | OS_MAP_WRITE | OS_MAP_HIDDEN, addr);
	if (!err)
		atomic_store_explicit(slot, *addr, memory_order_release);
	os_mutex_unlock(&s->lock);
	return err;
}

int store_address(struct store *s, uint64_t offset, void **addr)
{
	uint64_t window = offset / STORE_WINDOW_SIZE;
	slot_t *slot;
	void *base = NULL;
	int err;

	os_assert(offset < s->size);
	slot = window_slot(s, window, false);
	if (slot)
		base = atomic_load_explicit(slot, memory_order_acquire);
	if (!base) {
		err = window_make(s, window, &base);
		if (err)
			return err;
	}
	*addr = (char *)base + offset % STORE_WINDOW_SIZE;
	return 0;
}

int store_level(struct store *s, uint64_t offset)
{
	os_assert(offset < s->size);
	if (round_up(offset + 1, STORE_WINDOW_SIZE) <= s->size)
		return LEVEL_1G;
	return round_up(offset + 1, BLOCK_2M) <= s->size ? LEVEL_2M : LEVEL_4K;
}

int store_allocate(struct store *s, uint64_t offset, uint64_t size)
{
	os_assert(size && offset < s->size && size <= s->size - offset);
	return os_file_allocate(s->fd, offset, size);
}

int store_punch(struct store *s, uint64_t offset, uint64_t size)
{
	os_assert(size && offset < s->size && size <= s->size - offset);
	return os_file_punch(s->fd, offset, size);
}

bool store_next_present(struct store *s, uint64_t *offset, uint64_t end, uint64_t *size)
{
	uint64_t from, to;
	int err;

	os_assert(end <= s->size && *offset < end);
	err = os_file_data(s->fd, *offset, &from, &to);
	os_assert(!err || err == -ENXIO);
	if (err || from >= end)
		return false;
	*offset = from;
	*size = (to < end ? to : end) - from;
	return true;
}

uint64_t store_backed(struct store *s)
{
	uint64_t bytes = 0;
	int err = os_file_backed(s->fd, &bytes);

	os_assert(!err);
	return bytes;
}

int store_fd(struct store *s)
{
	return s->fd;
}
