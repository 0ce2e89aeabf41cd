/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Locks: nobody spins and nobody sleeps on a futex, and who holds what is known. Whoever waits is let go when the
 * lock is free, and who gets it is the schedule's choice; a reader keeps away while a writer waits, as in os/lock.c.
 *
 * Mutex word: 1 + number of the holder. Readers-writer word: WRITER + number, or how many readers.
 */
#include "os/sim/sim_private.h"

#define WRITER ((uint32_t)1 << 31)
#define HERE __builtin_return_address(0)

static void hold(const void *lock, bool shared)
{
	struct sim_fibre *f = sim.self;

	if (!f)
		return;
	if (f->nr_held == SIM_MAX_HELD)
		sim_fail("too many locks: %s holds %d", f->name, SIM_MAX_HELD);
	f->held[f->nr_held++] = (struct sim_held){ lock, shared };
}

static int held_at(const struct sim_fibre *f, const void *lock)
{
	unsigned int i;

	for (i = 0; i < f->nr_held; i++)
		if (f->held[i].lock == lock)
			return (int)i;
	return -1;
}

_Noreturn static void bad(const char *what, const void *lock, const void *pc)
{
	char name[80];

	sim_addr_text(lock, name, sizeof(name));
	sim_fail("%s: %s by %s {%p}", what, name, sim.self ? sim.self->name : "nobody", pc);
}

static void let(const void *lock, const void *pc)
{
	struct sim_fibre *f = sim.self;
	int i;

	if (!f)
		return;
	i = held_at(f, lock);
	if (i < 0)
		bad("unlock of a lock that it does not hold", lock, pc);
	f->held[i] = f->held[--f->nr_held];
}

static void before_lock(enum sim_kind kind, const void *lock, const void *pc)
{
	sim_touch(lock, 1, false, pc);
	sim_step(kind, lock, 0, pc);
	sim_touch(lock, 1, false, pc);
	sim_stores_drain();
}

/* The lock is not free. */
static void wait_for(const void *lock, const void *pc)
{
	if (sim.quiet)
		bad("wait for a lock where nobody else may run", lock, pc);
	sim.self->pc = pc;
	sim_block(SIM_ON_LOCK, lock);
	sim_touch(lock, 1, false, pc);
}

static void after_unlock(const void *lock, const void *pc)
{
	let(lock, pc);
	sim_wake_blocked(SIM_ON_LOCK, lock);
	sim_step(SIM_UNLOCK, lock, 0, pc);
}

static uint32_t own_number(void)
{
	return sim.self ? sim.self->index : SIM_NOBODY;
}

/* ---- mutexes --------------------------------------------------------------------------------- */

void os_mutex_init(struct os_mutex *m)
{
	atomic_store_explicit(&m->word, 0, memory_order_relaxed);
}

bool os_mutex_trylock(struct os_mutex *m)
{
	before_lock(SIM_LOCK, m, HERE);
	if (atomic_load(&m->word))
		return false;
	atomic_store(&m->word, 1 + own_number());
	sim_race_acquire(m, 0);
	hold(m, false);
	return true;
}

void os_mutex_lock(struct os_mutex *m)
{
	before_lock(SIM_LOCK, m, HERE);
	if (atomic_load(&m->word) == 1 + own_number())
		bad("deadlock with itself", m, HERE);
	while (atomic_load(&m->word))
		wait_for(m, HERE);
	atomic_store(&m->word, 1 + own_number());
	sim_race_acquire(m, 0);
	hold(m, false);
}

void os_mutex_unlock(struct os_mutex *m)
{
	sim_touch(m, 1, false, HERE);
	sim_stores_drain();
	os_assert(atomic_load(&m->word));
	sim_race_release(m, 0);
	atomic_store(&m->word, 0);
	after_unlock(m, HERE);
}

/* ---- readers and writers --------------------------------------------------------------------- */

void os_rwlock_init(struct os_rwlock *l)
{
	atomic_store_explicit(&l->word, 0, memory_order_relaxed);
	atomic_store_explicit(&l->writers_waiting, 0, memory_order_relaxed);
}

void os_rwlock_read_lock(struct os_rwlock *l)
{
	before_lock(SIM_READ_LOCK, l, HERE);
	if (sim.self && held_at(sim.self, l) >= 0)
		bad("deadlock with itself", l, HERE);
	while (atomic_load(&l->word) & WRITER || atomic_load(&l->writers_waiting))
		wait_for(l, HERE);
	atomic_fetch_add(&l->word, 1);
	sim_race_acquire(l, 0);
	hold(l, true);
}

void os_rwlock_read_unlock(struct os_rwlock *l)
{
	uint32_t word = atomic_load(&l->word);

	sim_touch(l, 1, false, HERE);
	sim_stores_drain();
	os_assert(word && !(word & WRITER));
	sim_race_release(l, 1);
	atomic_store(&l->word, word - 1);
	after_unlock(l, HERE);
}

void os_rwlock_write_lock(struct os_rwlock *l)
{
	before_lock(SIM_WRITE_LOCK, l, HERE);
	if (sim.self && held_at(sim.self, l) >= 0)
		bad("deadlock with itself", l, HERE);
	if (atomic_load(&l->word)) {
		atomic_fetch_add(&l->writers_waiting, 1);
		while (atomic_load(&l->word))
			wait_for(l, HERE);
		atomic_fetch_sub(&l->writers_waiting, 1);
	}
	atomic_store(&l->word, WRITER + own_number());
	sim_race_acquire(l, 0);
	sim_race_acquire(l, 1);
	hold(l, false);
}

void os_rwlock_write_unlock(struct os_rwlock *l)
{
	sim_touch(l, 1, false, HERE);
	sim_stores_drain();
	os_assert(atomic_load(&l->word) & WRITER);
	sim_race_release(l, 0);
	atomic_store(&l->word, 0);
	after_unlock(l, HERE);
}

/* ---- for checks ------------------------------------------------------------------------------ */

static struct sim_fibre *holder(const void *lock, bool shared)
{
	unsigned int i;

	for (i = 0; i < sim.nr_fibres; i++) {
		int at = held_at(&sim.fibres[i], lock);

		if (at >= 0 && sim.fibres[i].held[at].shared == shared)
			return &sim.fibres[i];
	}
	return NULL;
}

struct sim_fibre *sim_mutex_holder(const struct os_mutex *m)
{
	return holder(m, false);
}

struct sim_fibre *sim_rwlock_writer(const struct os_rwlock *l)
{
	return holder(l, false);
}

struct sim_fibre *sim_rwlock_reader(const struct os_rwlock *l)
{
	return holder(l, true);
}
