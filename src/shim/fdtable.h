/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * fdtable: which numbers are descriptors of ours. Read without a lock by every call that takes a
 * descriptor; two levels, the lower made when first needed.
 *
 * The table follows what the program does through us. What it does behind us (a raw system call, a
 * close inside the C library) is noticed at the next call on that number, since the kernel is asked
 * what is there (handle_is_behind), but for KVM_RUN, which must be fast.
 */
#ifndef GMEM_SHIM_FDTABLE_H
#define GMEM_SHIM_FDTABLE_H

#include <stdatomic.h>
#include <stddef.h>

#include "shim/handle.h"

#define FDTABLE_BITS 12
#define FDTABLE_SIZE (1 << FDTABLE_BITS)
#define FDTABLE_NR_CHUNKS 4096

struct fdtable_chunk {
	struct handle *_Atomic handle[FDTABLE_SIZE];
};
extern struct fdtable_chunk *_Atomic fdtable_chunks[FDTABLE_NR_CHUNKS];

/* What the table says, without a check: for a first, cheap "not ours". */
static inline struct handle *fdtable_peek(int fd)
{
	struct fdtable_chunk *chunk;

	if ((unsigned int)fd >= FDTABLE_NR_CHUNKS * FDTABLE_SIZE)
		return NULL;
	chunk = atomic_load_explicit(&fdtable_chunks[fd >> FDTABLE_BITS], memory_order_acquire);
	if (!chunk)
		return NULL;
	return atomic_load_explicit(&chunk->handle[fd & (FDTABLE_SIZE - 1)], memory_order_acquire);
}

/* The handle behind a descriptor, with one more user (handle_put); NULL: not ours. */
struct handle *fdtable_get_slow(int fd);
static inline struct handle *fdtable_get(int fd)
{
	return __builtin_expect(!fdtable_peek(fd), 1) ? NULL : fdtable_get_slow(fd);
}
/* The same without asking the kernel whether the number is still what it was. */
struct handle *fdtable_get_unchecked(int fd);

/* fd is a descriptor of h from now on; -ENOMEM. What stood there before is gone. */
int fdtable_set(int fd, struct handle *h);
/* fd is about to be closed, or was found to be something else. */
void fdtable_clear(int fd);
/* fd is about to be closed; the caller then says handle_number_gone(h), unless another thread was
 * first. */
bool fdtable_forget(int fd, struct handle *h);
/* A call that is not ours has just made this number. */
static inline void fdtable_fresh(int fd)
{
	if (__builtin_expect(fdtable_peek(fd) != NULL, 0))
		fdtable_clear(fd);
}
/* Calls fn for every number in [first, last] that is ours. */
void fdtable_for_each(unsigned int first, unsigned int last, void (*fn)(int fd, struct handle *h));

#endif
