/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/fdtable.h"

#include <errno.h>

#include "os/os.h"
#include "shim/shim.h"

struct fdtable_chunk *_Atomic fdtable_chunks[FDTABLE_NR_CHUNKS];

static struct fdtable_chunk *chunk_make(unsigned int nr)
{
	struct fdtable_chunk *none = NULL;
	struct fdtable_chunk *chunk = os_alloc(sizeof(*chunk));

	if (!chunk)
		return NULL;
	if (atomic_compare_exchange_strong(&fdtable_chunks[nr], &none, chunk))
		return chunk;
	os_free(chunk, sizeof(*chunk));
	return none;
}

static struct handle *_Atomic *slot_of(int fd)
{
	struct fdtable_chunk *chunk = atomic_load(&fdtable_chunks[fd >> FDTABLE_BITS]);

	if (!chunk)
		chunk = chunk_make((unsigned int)fd >> FDTABLE_BITS);
	return chunk ? &chunk->handle[fd & (FDTABLE_SIZE - 1)] : NULL;
}

struct handle *fdtable_get_unchecked(int fd)
{
	struct handle *h = fdtable_peek(fd);

	if (!h || !handle_try_get(h))
		return NULL;
	/* Let go and used again for another one in between. */
	if (fdtable_peek(fd) != h) {
		handle_put(h);
		return NULL;
	}
	return h;
}

/* The number names something else by now: the table was not told. */
static void drop_stale(int fd)
{
	if (!shim_is_vfork_child())
		fdtable_clear(fd);
}

struct handle *fdtable_get_slow(int fd)
{
	struct handle *h = fdtable_get_unchecked(fd);

	if (!h)
		return NULL;
	if (h->object && handle_is_behind(h, fd))
		return h;
	if (h->object)
		drop_stale(fd);
	handle_put(h);
	return NULL;
}

/* In one step: of two who set one number, the later puts away what the earlier has put there. */
static void put_in(struct handle *_Atomic *slot, struct handle *next)
{
	struct handle *h = atomic_exchange(slot, next);
	bool kept;

	if (!h)
		return;
	/* By its number. */
	kept = handle_try_get(h);
	os_assert(kept);
	handle_number_gone(h);
	handle_put(h);
}

int fdtable_set(int fd, struct handle *h)
{
	struct handle *_Atomic *slot;

	if (fd >= FDTABLE_NR_CHUNKS * FDTABLE_SIZE)
		return -EMFILE;
	shim_enter();
	slot = slot_of(fd);
	if (slot) {
		handle_number_new(h);
		put_in(slot, h);
	}
	shim_leave();
	return slot ? 0 : -ENOMEM;
}

void fdtable_clear(int fd)
{
	if (!fdtable_peek(fd))
		return;
	shim_enter();
	put_in(slot_of(fd), NULL);
	shim_leave();
}

bool fdtable_forget(int fd, struct handle *h)
{
	struct handle *_Atomic *slot = slot_of(fd);

	return slot && atomic_compare_exchange_strong(slot, &h, NULL);
}

static bool next_ours(unsigned int *fd, unsigned int last)
{
	while (*fd <= last && *fd < FDTABLE_NR_CHUNKS * FDTABLE_SIZE) {
		if (!atomic_load(&fdtable_chunks[*fd >> FDTABLE_BITS]))
			*fd |= FDTABLE_SIZE - 1;
		else if (fdtable_peek((int)*fd))
			return true;
		++*fd;
	}
	return false;
}

void fdtable_for_each(unsigned int first, unsigned int last, void (*fn)(int fd, struct handle *h))
{
	for (unsigned int fd = first; next_ours(&fd, last); fd++) {
		struct handle *h = fdtable_peek((int)fd);

		if (h)
			fn((int)fd, h);
	}
}
