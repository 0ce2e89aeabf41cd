/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Locks on futexes, in C11 atomics, so that a thread sanitizer understands them.
 *
 * Mutex word: 0 free, 1 held, 2 held and somebody may sleep.
 *
 * Readers-writer word: WRITER | SLEEPERS | number of readers. Whoever goes to sleep sets SLEEPERS
 * first; whoever frees the lock with SLEEPERS set clears it and wakes all. A reader keeps away while
 * a writer waits.
 */
#include "os/os.h"

#define SPINS 100

#define WRITER ((uint32_t)1 << 31)
#define SLEEPERS ((uint32_t)1 << 30)

void os_mutex_init(struct os_mutex *m)
{
	atomic_store_explicit(&m->word, 0, memory_order_relaxed);
}

bool os_mutex_trylock(struct os_mutex *m)
{
	uint32_t free = 0;

	return atomic_compare_exchange_strong_explicit(&m->word, &free, 1, memory_order_acquire,
						       memory_order_relaxed);
}

static bool mutex_spin(struct os_mutex *m)
{
	int i;

	for (i = 0; i < SPINS; i++) {
		uint32_t word = atomic_load_explicit(&m->word, memory_order_relaxed);

		if (!word && os_mutex_trylock(m))
			return true;
		if (word == 2)
			return false;
		os_relax();
	}
	return false;
}

void os_mutex_lock(struct os_mutex *m)
{
	if (os_mutex_trylock(m) || mutex_spin(m))
		return;
	while (atomic_exchange_explicit(&m->word, 2, memory_order_acquire))
		os_wait(&m->word, 2, -1);
}

void os_mutex_unlock(struct os_mutex *m)
{
	uint32_t word = atomic_exchange_explicit(&m->word, 0, memory_order_release);

	os_assert(word);
	if (word == 2)
		os_wake(&m->word, 1);
}

void os_rwlock_init(struct os_rwlock *l)
{
	atomic_store_explicit(&l->word, 0, memory_order_relaxed);
	atomic_store_explicit(&l->writers_waiting, 0, memory_order_relaxed);
}

/* Sets SLEEPERS in the word last seen as *word; false when it has changed. */
static bool announce_sleep(struct os_rwlock *l, uint32_t *word)
{
	if (*word & SLEEPERS)
		return true;
	if (!atomic_compare_exchange_strong(&l->word, word, *word | SLEEPERS))
		return false;
	*word |= SLEEPERS;
	return true;
}

static bool read_try(struct os_rwlock *l, uint32_t *word)
{
	*word = atomic_load(&l->word);
	while (!(*word & WRITER) && !atomic_load(&l->writers_waiting)) {
		if (atomic_compare_exchange_weak_explicit(
			    &l->word, word, *word + 1, memory_order_acquire, memory_order_relaxed))
			return true;
	}
	return false;
}

void os_rwlock_read_lock(struct os_rwlock *l)
{
	uint32_t word;
	int spins;

	for (spins = 0; spins < SPINS; spins++) {
		if (read_try(l, &word))
			return;
		os_relax();
	}
	while (!read_try(l, &word)) {
		if (!announce_sleep(l, &word))
			continue;
		/* A waiting writer that has come and gone before SLEEPERS was set wakes nobody. */
		if (!(word & WRITER) && !atomic_load(&l->writers_waiting))
			continue;
		os_wait(&l->word, word, -1);
	}
}

static void wake_sleepers(struct os_rwlock *l)
{
	os_wake_all(&l->word);
}

void os_rwlock_read_unlock(struct os_rwlock *l)
{
	uint32_t word = atomic_fetch_sub_explicit(&l->word, 1, memory_order_release) - 1;

	os_assert(!((word + 1) & WRITER) && (word + 1) & ~SLEEPERS);
	/* If somebody took the lock in between, the flag and the wake-up are his. */
	if (word == SLEEPERS && atomic_compare_exchange_strong(&l->word, &word, 0))
		wake_sleepers(l);
}

static bool write_try(struct os_rwlock *l, uint32_t *word)
{
	*word = atomic_load(&l->word);
	while (!(*word & ~SLEEPERS)) {
		if (atomic_compare_exchange_weak(&l->word, word, *word | WRITER))
			return true;
	}
	return false;
}

void os_rwlock_write_lock(struct os_rwlock *l)
{
	uint32_t word;
	int spins;

	if (write_try(l, &word))
		return;
	atomic_fetch_add(&l->writers_waiting, 1);
	for (spins = 0; !write_try(l, &word); spins++) {
		if (spins < SPINS)
			os_relax();
		else if (announce_sleep(l, &word))
			os_wait(&l->word, word, -1);
	}
	/* Before the unlock: a reader that still sees a waiting writer after it has set SLEEPERS
	 * relies on that writer's unlock to come. */
	atomic_fetch_sub(&l->writers_waiting, 1);
}

void os_rwlock_write_unlock(struct os_rwlock *l)
{
	uint32_t word = atomic_exchange(&l->word, 0);

	os_assert(word & WRITER);
	if (word & SLEEPERS)
		wake_sleepers(l);
}
