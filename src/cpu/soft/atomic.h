/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * atomic: read-modify-write of guest memory that other processors see as one step. Private to src/cpu/soft.
 *
 *	old = atomic_begin(c, &a, lin, size);
 *	while (!atomic_try(c, &a, &old, f(old)))
 *		;
 *	atomic_end(c, &a);
 *
 * On host memory it is the host's own LOCK CMPXCHG. An access that crosses a cache line, and one without
 * one pointer (a device; two pages that lie apart in host memory) is made under a lock that keeps such
 * accesses from each other, but not from ones that do not cross: hosts with split lock detection stop the
 * thread for 10 ms at each, or kill it.
 */
#ifndef GMEM_CPU_SOFT_ATOMIC_H
#define GMEM_CPU_SOFT_ATOMIC_H

#include "cpu/soft/tlb.h"

struct atomic_rmw {
	uint8_t *host; /* NULL: by lin */
	uint64_t lin;
	unsigned int size;
	bool split; /* under the split lock */
};

struct unaligned64 {
	uint64_t v;
} __attribute__((packed, may_alias));

#define HOST_CMPXCHG(suffix, type)                                                   \
	__asm__ volatile("lock cmpxchg" suffix " %3, %1"                             \
			 : "=@ccz"(done), "+m"(*(struct unaligned64 *)p), "+a"(*old) \
			 : "r"((type)value)                                          \
			 : "memory")

/* True when *p was *old and is value now; else *old is what it was. */
static inline bool host_cmpxchg(uint8_t *p, unsigned int size, uint64_t *old, uint64_t value)
{
	bool done;

	switch (size) {
	case 1:
		HOST_CMPXCHG("b", uint8_t);
		break;
	case 2:
		HOST_CMPXCHG("w", uint16_t);
		break;
	case 4:
		HOST_CMPXCHG("l", uint32_t);
		break;
	default:
		HOST_CMPXCHG("q", uint64_t);
	}
	return done;
}

static inline uint64_t atomic_begin(struct soft *c, struct atomic_rmw *a, uint64_t lin,
				    unsigned int size)
{
	a->lin = lin;
	a->size = size;
	a->host = tlb_lookup(c, ACCESS_WRITE, lin, size);
	if (unlikely(!a->host))
		a->host = soft_rmw_ptr(c, lin, size);
	a->split = !a->host || (lin & 63) + size > 64;
	if (unlikely(a->split))
		soft_split_lock(c);
	return rmw_load(c, a->host, lin, size);
}

static inline bool atomic_try(struct soft *c, struct atomic_rmw *a, uint64_t *old, uint64_t value)
{
	if (likely(!a->split))
		return host_cmpxchg(a->host, a->size, old, value);
	rmw_store(c, a->host, a->lin, a->size, value);
	return true;
}

static inline void atomic_end(struct soft *c, struct atomic_rmw *a)
{
	if (unlikely(a->split))
		soft_split_unlock(c);
	if (likely(a->host))
		code_written(c, a->host);
}

#endif
