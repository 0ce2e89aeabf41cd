/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * mprotect, mlock and madvise over a range that meets windows. The kernel does what it would do, part by part
 * in the order of addresses, and what it did to a window is remembered, so that whatever is mapped there
 * later, shown or hidden, is the same again.
 */
#include <errno.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include "map/host_map_private.h"
#include "obs/rules.h"
#include "os/window.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define MADV_GUARD_INSTALL_NR 102
#define MADV_GUARD_REMOVE_NR 103

struct call {
	int prot, pkey; /* mprotect */
	int flags;	/* mlock */
	int advice;	/* madvise */
	bool goes_on;	/* over what is not mapped */
	/* What the kernel is asked for a range, and what it means for a window; NULL: nothing. */
	long (*kernel)(const struct call *c, struct host_map *m, uint64_t addr, uint64_t size);
	long (*window)(const struct call *c, struct host_map *m, struct piece *p, uint64_t addr,
		       uint64_t size);
	void (*remember)(const struct call *c, struct piece *p);
};

static bool is_range(uint64_t addr, uint64_t size)
{
	return size && !((addr | size) & (OS_PAGE_SIZE - 1)) && addr + size > addr;
}

/* The pieces in [addr, end) become pieces of their own, are changed, and joined with what is alike. */
static void remember(struct host_map *m, const struct call *c, uint64_t addr, uint64_t end)
{
	pieces_split(m, addr);
	pieces_split(m, end);
	for (size_t i = pieces_behind(m, addr); i < m->nr && m->pieces[i].w.addr < end; i++)
		c->remember(c, &m->pieces[i]);
	pieces_join(m, addr, end);
}

static long part(struct host_map *m, const struct call *c, struct piece *p, uint64_t addr,
		 uint64_t end)
{
	bool guarded = p && p->guarded;
	long ret;

	if (guarded && c->window)
		ret = c->window(c, m, p, addr, end - addr);
	else
		ret = c->kernel(c, m, addr, end - addr);
	if (!ret && guarded && c->remember)
		remember(m, c, addr, end);
	return ret;
}

/* Windows one by one, and whatever is between them. */
static long each_part(struct host_map *m, const struct call *c, uint64_t addr, uint64_t end)
{
	long ret, unmapped = 0;

	while (addr < end) {
		struct piece *p = pieces_first(m, addr, end);
		uint64_t stop = end;

		if (p && p->w.addr > addr) {
			stop = p->w.addr;
			p = NULL;
		} else if (p) {
			stop = lower(end, piece_end(p));
		}
		ret = part(m, c, p, addr, stop);
		if (ret == -ENOMEM && c->goes_on)
			unmapped = ret;
		else if (ret)
			return ret;
		addr = stop;
	}
	return unmapped;
}

static long run_call(struct host_map *m, const struct call *c, uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size;
	long ret = is_range(addr, size) ? host_map_loosen(m, addr, size, true) : 0;

	if (ret)
		return ret;
	os_mutex_lock(&m->lock);
	if (!is_range(addr, size) || !pieces_any_guarded(m, addr, end)) {
		os_mutex_unlock(&m->lock);
		return c->kernel(c, m, addr, size);
	}
	ret = pieces_reserve(m, 2);
	if (!ret)
		ret = each_part(m, c, addr, end);
	host_map_unlock(m);
	return ret;
}

/* ---- mprotect ----------------------------------------------------------------------------------- */

static long protect_kernel(const struct call *c, struct host_map *m, uint64_t addr, uint64_t size)
{
	return os_window_protect(addr, size, c->prot, c->pkey);
}

/* A window is many mappings, of which the kernel may have changed some. */
static long protect_window(const struct call *c, struct host_map *m, struct piece *p, uint64_t addr,
			   uint64_t size)
{
	long ret;

	if (p->w.barred && c->prot != PROT_NONE)
		return -ENOMEM;
	ret = os_window_protect(addr, size, c->prot, c->pkey);
	if (ret)
		os_window_protect(addr, size, p->w.prot,
				  c->pkey < 0 || p->w.pkey > 0 ? p->w.pkey : 0);
	return ret;
}

static void protect_remember(const struct call *c, struct piece *p)
{
	p->w.prot = c->prot & (PROT_READ | PROT_WRITE);
	if (c->pkey >= 0)
		p->w.pkey = c->pkey;
}

long host_map_mprotect(struct host_map *m, uint64_t addr, uint64_t size, int prot, int pkey)
{
	struct call c = { .prot = prot,
			  .pkey = pkey,
			  .kernel = protect_kernel,
			  .window = protect_window,
			  .remember = protect_remember };
	struct host_map_range r;

	if ((prot & PROT_EXEC) && is_range(addr, size) && host_map_find(m, addr, size, &r)) {
		m->ops.put(r.owner);
		return obs_refuse(RULE_WINDOW_EXEC);
	}
	return run_call(m, &c, addr, size);
}

/* ---- mlock -------------------------------------------------------------------------------------- */

static long lock_kernel(const struct call *c, struct host_map *m, uint64_t addr, uint64_t size)
{
	return os_window_lock(addr, size, c->flags);
}

/* Whether it may be locked, the first call says; whether all of it is present, the second. */
static long lock_window(const struct call *c, struct host_map *m, struct piece *p, uint64_t addr,
			uint64_t size)
{
	return os_window_lock(addr, size, MLOCK_ONFAULT);
}

static void lock_remember(const struct call *c, struct piece *p)
{
	p->w.lock = c->flags & MLOCK_ONFAULT ? GUARD_LOCKED_ON_FAULT : GUARD_LOCKED;
}

static long unlock_kernel(const struct call *c, struct host_map *m, uint64_t addr, uint64_t size)
{
	return os_window_unlock(addr, size);
}

static void unlock_remember(const struct call *c, struct piece *p)
{
	p->w.lock = GUARD_UNLOCKED;
}

/* The second half of a lock, without ours: it may take long, and changes no window but by making pages of
 * it present. A hidden page ends it, as one that cannot be had, whatever hides it. */
static long make_present(uint64_t addr, uint64_t size)
{
	long ret = os_window_lock(addr, size, 0);

	return ret == -EHWPOISON || ret == -EFAULT ? obs_refuse_as(RULE_WINDOW_HIDDEN, -ENOMEM)
						   : ret;
}

long host_map_mlock(struct host_map *m, uint64_t addr, uint64_t size, int flags, bool lock)
{
	uint64_t first = addr & ~(uint64_t)(OS_PAGE_SIZE - 1);
	uint64_t bytes = os_page_up(size + (addr - first));
	struct call c = { .flags = flags,
			  .kernel = lock ? lock_kernel : unlock_kernel,
			  .window = lock ? lock_window : NULL,
			  .remember = lock ? lock_remember : unlock_remember };
	long ret;

	if (lock && flags & ~MLOCK_ONFAULT)
		return obs_refuse(RULE_WINDOW_LOCK_FLAGS);
	ret = run_call(m, &c, first, bytes);
	return ret || !lock || flags ? ret : make_present(first, bytes);
}

/* ---- madvise ------------------------------------------------------------------------------------ */

static long advise_kernel(const struct call *c, struct host_map *m, uint64_t addr, uint64_t size)
{
	return os_window_advise(addr, size, c->advice);
}

static void fork_remember(const struct call *c, struct piece *p)
{
	p->no_fork = c->advice == MADV_DONTFORK;
}

static long nothing(const struct call *c, struct host_map *m, struct piece *p, uint64_t addr,
		    uint64_t size)
{
	return 0;
}

static long refuse(const struct call *c, struct host_map *m, struct piece *p, uint64_t addr,
		   uint64_t size)
{
	return obs_refuse(RULE_WINDOW_ADVICE);
}

/* Marks must stay; for a shared mapping of a file nobody sees the difference. */
static long drop_window(const struct call *c, struct host_map *m, struct piece *p, uint64_t addr,
			uint64_t size)
{
	uint64_t end = addr + size;
	long ret = 0;

	while (!ret && addr < end) {
		bool marked;
		uint64_t nr = guard_pages_run(m->guard.pages, addr, end - addr, IS_MARKED, &marked);

		if (!marked)
			ret = os_window_advise(addr, nr, c->advice);
		addr += nr;
	}
	return ret;
}

/* A mark is bad memory to the kernel, and to the program a page that cannot be touched. */
static long populate_window(const struct call *c, struct host_map *m, struct piece *p,
			    uint64_t addr, uint64_t size)
{
	long ret = os_window_advise(addr, size, c->advice);

	return ret == -EHWPOISON ? obs_refuse_as(RULE_WINDOW_HIDDEN, -EFAULT) : ret;
}

static void advice_remember(const struct call *c, struct piece *p)
{
	uint8_t clear, set = guard_advice_bit(c->advice, &clear);

	p->w.advice = (uint8_t)((p->w.advice & ~clear) | set);
}

static void choose(struct call *c)
{
	switch (c->advice) {
	case MADV_DONTFORK:
	case MADV_DOFORK:
		c->window = nothing;
		c->remember = fork_remember;
		break;
	case MADV_FREE:
	case MADV_WIPEONFORK:
	case MADV_COLLAPSE:
	case MADV_GUARD_INSTALL_NR:
	case MADV_GUARD_REMOVE_NR:
		c->window = refuse;
		break;
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
		c->window = drop_window;
		break;
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		c->goes_on = false;
		c->window = populate_window;
		break;
	case MADV_NORMAL:
	case MADV_SEQUENTIAL:
	case MADV_RANDOM:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
		c->remember = advice_remember;
		break;
	default:
		break;
	}
}

long host_map_madvise(struct host_map *m, uint64_t addr, uint64_t size, int advice)
{
	struct call c = { .advice = advice, .goes_on = true, .kernel = advise_kernel };

	choose(&c);
	return run_call(m, &c, addr, os_page_up(size));
}
