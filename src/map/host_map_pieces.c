/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include <errno.h>
#include <string.h>

#include "map/host_map_private.h"

#define FIRST_CAPACITY 32

size_t pieces_behind(const struct host_map *m, uint64_t addr)
{
	size_t low = 0, high = m->nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (piece_end(&m->pieces[mid]) <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct piece *pieces_first(const struct host_map *m, uint64_t addr, uint64_t end)
{
	size_t i = pieces_behind(m, addr);

	return i < m->nr && m->pieces[i].w.addr < end ? &m->pieces[i] : NULL;
}

bool pieces_any_guarded(const struct host_map *m, uint64_t addr, uint64_t end)
{
	for (size_t i = pieces_behind(m, addr); i < m->nr && m->pieces[i].w.addr < end; i++)
		if (m->pieces[i].guarded)
			return true;
	return false;
}

int pieces_reserve(struct host_map *m, size_t nr_more)
{
	size_t capacity = m->capacity ? m->capacity : FIRST_CAPACITY;
	size_t gone = m->nr_gone;
	struct piece *pieces;

	while (capacity < m->nr + gone + nr_more)
		capacity *= 2;
	if (capacity == m->capacity)
		return 0;
	pieces = os_alloc(capacity * sizeof(*pieces));
	if (!pieces)
		return -ENOMEM;
	if (m->pieces) {
		memcpy(pieces, m->pieces, m->nr * sizeof(*pieces));
		memcpy(&pieces[capacity - gone], &m->pieces[m->capacity - gone],
		       gone * sizeof(*pieces));
		os_free(m->pieces, m->capacity * sizeof(*pieces));
	}
	m->pieces = pieces;
	m->capacity = capacity;
	return 0;
}

/* ---- counting: the guard knows how many mappings the windows are made of ------------------------ */

static void counted(struct host_map *m, const struct piece *p)
{
	if (p->guarded)
		m->guard.nr_mappings += guard_count(&m->guard, &p->w);
}

static void uncounted(struct host_map *m, const struct piece *p)
{
	uint64_t nr = p->guarded ? guard_count(&m->guard, &p->w) : 0;

	os_assert(m->guard.nr_mappings >= nr);
	m->guard.nr_mappings -= nr;
}

/* ---- the array ---------------------------------------------------------------------------------- */

static void insert_at(struct host_map *m, size_t i, const struct piece *piece)
{
	os_assert(m->nr + m->nr_gone < m->capacity);
	memmove(&m->pieces[i + 1], &m->pieces[i], (m->nr - i) * sizeof(*piece));
	m->pieces[i] = *piece;
	m->nr++;
	os_racy_store(&m->any, m->nr);
	m->ops.get(piece->owner);
}

static void remove_at(struct host_map *m, size_t i)
{
	struct piece gone = m->pieces[i];

	m->nr--;
	memmove(&m->pieces[i], &m->pieces[i + 1], (m->nr - i) * sizeof(*m->pieces));
	m->nr_gone++;
	m->pieces[m->capacity - m->nr_gone] = gone;
	os_racy_store(&m->any, m->nr);
}

struct piece *pieces_insert(struct host_map *m, const struct piece *piece)
{
	size_t i = pieces_behind(m, piece->w.addr);

	os_assert(i == m->nr || m->pieces[i].w.addr >= piece_end(piece));
	insert_at(m, i, piece);
	return &m->pieces[i];
}

static void cut_front(struct piece *p, uint64_t addr)
{
	uint64_t by = addr - p->w.addr;

	p->w.addr += by;
	p->w.size -= by;
	p->w.offset += by;
}

void pieces_split(struct host_map *m, uint64_t addr)
{
	size_t i = pieces_behind(m, addr);
	struct piece tail;

	if (i == m->nr || m->pieces[i].w.addr >= addr)
		return;
	tail = m->pieces[i];
	uncounted(m, &tail);
	cut_front(&tail, addr);
	m->pieces[i].w.size = addr - m->pieces[i].w.addr;
	counted(m, &m->pieces[i]);
	counted(m, &tail);
	insert_at(m, i + 1, &tail);
}

static bool same_way(const struct piece *a, const struct piece *b)
{
	return a->no_fork == b->no_fork && a->w.prot == b->w.prot && a->w.pkey == b->w.pkey &&
	       a->w.lock == b->w.lock && a->w.advice == b->w.advice && a->w.barred == b->w.barred;
}

static bool continues(const struct piece *a, const struct piece *b)
{
	return piece_end(a) == b->w.addr && a->file == b->file && a->owner == b->owner &&
	       a->w.offset + a->w.size == b->w.offset && a->guarded == b->guarded &&
	       (!a->guarded || same_way(a, b));
}

/* Whether marks were needed in one of them is nothing the program has done. */
static bool watch_alike(struct host_map *m, struct piece *a, struct piece *b)
{
	if (a->w.watched == b->w.watched)
		return true;
	return guard_watch(&m->guard, a->w.watched ? &b->w : &a->w) == 0;
}

void pieces_join(struct host_map *m, uint64_t addr, uint64_t end)
{
	size_t i = pieces_behind(m, addr);

	i = i ? i - 1 : 0;
	while (i + 1 < m->nr && m->pieces[i].w.addr <= end) {
		if (!continues(&m->pieces[i], &m->pieces[i + 1]) ||
		    !watch_alike(m, &m->pieces[i], &m->pieces[i + 1])) {
			i++;
			continue;
		}
		uncounted(m, &m->pieces[i]);
		uncounted(m, &m->pieces[i + 1]);
		m->pieces[i].w.size += m->pieces[i + 1].w.size;
		remove_at(m, i + 1);
		counted(m, &m->pieces[i]);
	}
}

void pieces_drop(struct host_map *m, uint64_t addr, uint64_t end)
{
	size_t i;

	pieces_split(m, addr);
	pieces_split(m, end);
	i = pieces_behind(m, addr);
	while (i < m->nr && m->pieces[i].w.addr < end) {
		uncounted(m, &m->pieces[i]);
		if (m->pieces[i].guarded)
			guard_clear(&m->guard, m->pieces[i].w.addr, m->pieces[i].w.size);
		remove_at(m, i);
	}
}

void host_map_unlock(struct host_map *m)
{
	while (m->nr_gone) {
		void *owner = m->pieces[m->capacity - m->nr_gone].owner;

		m->nr_gone--;
		os_mutex_unlock(&m->lock);
		m->ops.put(owner);
		os_mutex_lock(&m->lock);
	}
	os_mutex_unlock(&m->lock);
}
