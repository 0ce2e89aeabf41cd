/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The registry is an array of pieces sorted by address, which never overlap: a program has few mappings
 * of guest memory, and looks them up far more often than it changes them. Every piece pins its owner
 * once; neighbours that continue each other are one piece.
 */
#include "map/host_map.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "os/os.h"

#define FIRST_CAPACITY 32

struct host_map {
	struct host_map_ops ops;
	struct os_mutex lock;
	struct host_map_range *pieces;
	size_t nr, capacity;
	_Atomic size_t any; /* nr, for a look without the lock */
	int empty_fd;	    /* -1 until one is asked for */
};

/* ---- the array ------------------------------------------------------------------------------ */

static uint64_t end_of(const struct host_map_range *p)
{
	return p->addr + p->size;
}

/* Index of the first piece that ends behind addr. */
static size_t first_behind(const struct host_map *m, uint64_t addr)
{
	size_t low = 0, high = m->nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (end_of(&m->pieces[mid]) <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int reserve(struct host_map *m, size_t nr_more)
{
	size_t capacity = m->capacity ? m->capacity : FIRST_CAPACITY;
	struct host_map_range *pieces;

	while (capacity < m->nr + nr_more)
		capacity *= 2;
	if (capacity == m->capacity)
		return 0;
	pieces = os_alloc(capacity * sizeof(*pieces));
	if (!pieces)
		return -ENOMEM;
	if (m->pieces) {
		memcpy(pieces, m->pieces, m->nr * sizeof(*pieces));
		os_free(m->pieces, m->capacity * sizeof(*pieces));
	}
	m->pieces = pieces;
	m->capacity = capacity;
	return 0;
}

static void insert_at(struct host_map *m, size_t i, const struct host_map_range *piece)
{
	os_assert(m->nr < m->capacity);
	memmove(&m->pieces[i + 1], &m->pieces[i], (m->nr - i) * sizeof(*piece));
	m->pieces[i] = *piece;
	m->nr++;
	os_racy_store(&m->any, m->nr);
}

static void remove_at(struct host_map *m, size_t i)
{
	m->nr--;
	memmove(&m->pieces[i], &m->pieces[i + 1], (m->nr - i) * sizeof(*m->pieces));
	os_racy_store(&m->any, m->nr);
}

static void cut_front(struct host_map_range *p, uint64_t addr)
{
	uint64_t by = addr - p->addr;

	p->addr += by;
	p->size -= by;
	p->offset += by;
}

/* ---- pieces --------------------------------------------------------------------------------- */

/* A hole in the middle of a piece makes two of it. The kernel has unmapped already, so this cannot be
 * refused; without memory the piece stays whole, which keeps its file longer and nothing worse. */
static void split(struct host_map *m, size_t i, uint64_t addr, uint64_t end)
{
	struct host_map_range tail = m->pieces[i];

	if (reserve(m, 1)) {
		os_log(OS_LOG_ERROR, "no memory to note an unmapped part of a guest_memfd mapping");
		return;
	}
	cut_front(&tail, end);
	m->pieces[i].size = addr - m->pieces[i].addr;
	insert_at(m, i + 1, &tail);
	m->ops.get(tail.owner);
}

/* Takes [addr, end) out of the first piece it meets. True with the owner to put when the piece is
 * gone, and *again while there may be more. */
static bool remove_first(struct host_map *m, uint64_t addr, uint64_t end, void **owner, bool *again)
{
	size_t i = first_behind(m, addr);
	struct host_map_range *p;

	*again = false;
	if (i == m->nr || m->pieces[i].addr >= end)
		return false;
	p = &m->pieces[i];
	if (p->addr < addr && end < end_of(p)) {
		split(m, i, addr, end);
		return false;
	}
	*again = end_of(p) < end;
	if (p->addr < addr) {
		p->size = addr - p->addr;
		return false;
	}
	if (end < end_of(p)) {
		cut_front(p, end);
		return false;
	}
	*owner = p->owner;
	remove_at(m, i);
	return true;
}

static bool continues(const struct host_map_range *a, const struct host_map_range *b)
{
	return end_of(a) == b->addr && a->file == b->file && a->owner == b->owner &&
	       a->offset + a->size == b->offset;
}

/* Makes pieces i and i + 1 one if they continue each other; true with the owner to put. */
static bool join(struct host_map *m, size_t i, void **owner)
{
	if (i + 1 >= m->nr || !continues(&m->pieces[i], &m->pieces[i + 1]))
		return false;
	m->pieces[i].size += m->pieces[i + 1].size;
	*owner = m->pieces[i + 1].owner;
	remove_at(m, i + 1);
	return true;
}

/* ---- the interface -------------------------------------------------------------------------- */

int host_map_create(const struct host_map_ops *ops, struct host_map **out)
{
	struct host_map *m = os_alloc(sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->ops = *ops;
	m->empty_fd = -1;
	os_mutex_init(&m->lock);
	*out = m;
	return 0;
}

void host_map_destroy(struct host_map *m)
{
	for (size_t i = 0; i < m->nr; i++)
		m->ops.put(m->pieces[i].owner);
	if (m->pieces)
		os_free(m->pieces, m->capacity * sizeof(*m->pieces));
	if (m->empty_fd >= 0)
		os_fd_close(m->empty_fd);
	os_free(m, sizeof(*m));
}

int host_map_backing(struct host_map *m, struct gmem_file *f, int *fd)
{
	int ret = 0;

	if (gmem_file_flags(f) & GMEM_FILE_INIT_SHARED) {
		*fd = store_fd(gmem_file_store(f));
		return 0;
	}
	os_mutex_lock(&m->lock);
	if (m->empty_fd < 0)
		ret = os_memfd_create("gmem-empty", 0, &m->empty_fd);
	*fd = m->empty_fd;
	os_mutex_unlock(&m->lock);
	return ret;
}

/* Room for two: the new piece, and one that dropping what it covers may split. */
static int reserve_for_add(struct host_map *m)
{
	int ret;

	os_mutex_lock(&m->lock);
	ret = reserve(m, 2);
	os_mutex_unlock(&m->lock);
	return ret;
}

/* -EAGAIN when another thread has put something there meanwhile. */
static int insert_piece(struct host_map *m, const struct host_map_range *piece)
{
	void *before, *after;
	bool put_before = false, put_after = false;
	size_t i;
	int ret;

	os_mutex_lock(&m->lock);
	ret = reserve(m, 1);
	i = first_behind(m, piece->addr);
	if (!ret && i < m->nr && m->pieces[i].addr < end_of(piece))
		ret = -EAGAIN;
	if (!ret) {
		m->ops.get(piece->owner);
		insert_at(m, i, piece);
		put_after = join(m, i, &after);
		put_before = i && join(m, i - 1, &before);
	}
	os_mutex_unlock(&m->lock);
	if (put_after)
		m->ops.put(after);
	if (put_before)
		m->ops.put(before);
	return ret;
}

int host_map_add(struct host_map *m, uint64_t addr, uint64_t size, struct gmem_file *f, void *owner,
		 uint64_t offset)
{
	struct host_map_range piece = { addr, size, f, owner, offset };
	int ret = reserve_for_add(m);

	os_assert(size && addr + size > addr);
	if (ret)
		return ret;
	/* Pinned over the gap: owner may be what the dropped mapping was of, and its last pin. */
	m->ops.get(owner);
	do {
		host_map_remove(m, addr, size);
		ret = insert_piece(m, &piece);
	} while (ret == -EAGAIN);
	m->ops.put(owner);
	return ret;
}

void host_map_remove(struct host_map *m, uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size < addr ? UINT64_MAX : addr + size;
	bool again = size != 0;

	while (again) {
		void *owner;
		bool gone;

		os_mutex_lock(&m->lock);
		gone = remove_first(m, addr, end, &owner, &again);
		os_mutex_unlock(&m->lock);
		if (gone)
			m->ops.put(owner);
	}
}

/* How much of the new mapping the part [addr, stop) of the old one makes: its last part grows and
 * shrinks with the mapping. 0: nothing is left of it. */
static uint64_t moved_size(uint64_t addr, uint64_t stop, uint64_t end, uint64_t rest)
{
	return stop == end || stop - addr > rest ? rest : stop - addr;
}

/* Notes at their new place the pieces of [addr, end), which moves by distance and is new_size there. */
static int add_moved(struct host_map *m, uint64_t addr, uint64_t end, uint64_t distance,
		     uint64_t new_size)
{
	uint64_t new_end = addr + new_size;
	struct host_map_range p;
	int ret = 0;

	while (!ret && addr < end && addr < new_end && host_map_find(m, addr, end - addr, &p)) {
		uint64_t from = p.addr > addr ? p.addr : addr;
		uint64_t stop = end_of(&p) < end ? end_of(&p) : end;

		if (from < new_end)
			ret = host_map_add(m, from + distance,
					   moved_size(from, stop, end, new_end - from), p.file,
					   p.owner, p.offset + (from - p.addr));
		m->ops.put(p.owner);
		addr = stop;
	}
	return ret;
}

int host_map_move(struct host_map *m, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
		  uint64_t new_size, bool keep_old)
{
	/* An old size of 0 asks for a second mapping of the same pages. */
	uint64_t end = old_addr + (old_size ? old_size : 1);
	int ret = reserve_for_add(m);

	if (ret)
		return ret;
	if (new_addr != old_addr)
		host_map_remove(m, new_addr, new_size);
	ret = add_moved(m, old_addr, end, new_addr - old_addr, new_size);
	if (new_addr == old_addr && new_size < old_size)
		host_map_remove(m, old_addr + new_size, old_size - new_size);
	else if (new_addr != old_addr && !keep_old && old_size)
		host_map_remove(m, old_addr, old_size);
	return ret;
}

bool host_map_find(struct host_map *m, uint64_t addr, uint64_t size, struct host_map_range *out)
{
	uint64_t end = addr + size < addr ? UINT64_MAX : addr + size;
	bool found;
	size_t i;

	if (!size || !host_map_any(m))
		return false;
	os_mutex_lock(&m->lock);
	i = first_behind(m, addr);
	found = i < m->nr && m->pieces[i].addr < end;
	if (found) {
		*out = m->pieces[i];
		m->ops.get(out->owner);
	}
	os_mutex_unlock(&m->lock);
	return found;
}

bool host_map_any(struct host_map *m)
{
	return os_racy_load(&m->any) != 0;
}

void host_map_after_fork(struct host_map *m)
{
	os_mutex_init(&m->lock);
}
