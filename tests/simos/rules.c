/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Small scenarios for what the simulator promises: what must hold in every schedule, and what must be told when it does not. */
#include <errno.h>

#include "os/fault.h"
#include "os/sim/sim.h"

#define ALL (SIM_RANDOM | SIM_PCT | SIM_EXHAUSTIVE)

static struct os_rwlock *lock;
static struct os_mutex *mutex;
static _Atomic uint32_t *word;
static uint32_t inside_readers, inside_writers;

static void make(void)
{
	lock = os_alloc(sizeof(*lock));
	mutex = os_alloc(sizeof(*mutex));
	word = os_alloc(64);
	inside_readers = inside_writers = 0;
}

static void drop(void)
{
	os_free(lock, sizeof(*lock));
	os_free(mutex, sizeof(*mutex));
	os_free((void *)word, 64);
}

/* ---- locks ----------------------------------------------------------------------------------- */

static void reads(void *arg)
{
	os_rwlock_read_lock(lock);
	inside_readers++;
	sim_assert(!inside_writers);
	sim_point();
	sim_assert(!inside_writers && sim_rwlock_reader(lock));
	inside_readers--;
	os_rwlock_read_unlock(lock);
}

static void writes(void *arg)
{
	os_rwlock_write_lock(lock);
	inside_writers++;
	sim_assert(inside_writers == 1 && !inside_readers);
	sim_point();
	sim_assert(inside_writers == 1 && !inside_readers);
	sim_assert(sim_rwlock_writer(lock) == sim_self() && !sim_rwlock_reader(lock));
	inside_writers--;
	os_rwlock_write_unlock(lock);
}

static void locks_setup(void)
{
	make();
	sim_spawn("reader", reads, NULL);
	sim_spawn("reader 2", reads, NULL);
	sim_spawn("writer", writes, NULL);
}

SIM_SCENARIO(rule_locks) = {
	.about = "readers are together, a writer is alone",
	.searches = ALL,
	.is_broken = true,
	.setup = locks_setup,
	.teardown = drop,
};

static void readers_meet(void *arg)
{
	os_rwlock_read_lock(lock);
	inside_readers++;
	sim_point();
	sim_assert(inside_readers < 2);
	inside_readers--;
	os_rwlock_read_unlock(lock);
}

static void readers_meet_setup(void)
{
	make();
	sim_spawn("reader", readers_meet, NULL);
	sim_spawn("reader 2", readers_meet, NULL);
}

SIM_SCENARIO(finds_readers_together) = {
	.about = "claims that readers never meet",
	.searches = ALL,
	.is_broken = true,
	.setup = readers_meet_setup,
	.teardown = drop,
};

static void takes(void *arg)
{
	os_mutex_lock(mutex);
}

static void never_lets_setup(void)
{
	make();
	sim_spawn("one", takes, NULL);
}

SIM_SCENARIO(finds_lock_held_at_end) = {
	.about = "ends with a lock",
	.searches = ALL,
	.is_broken = true,
	.setup = never_lets_setup,
	.teardown = drop,
};

static void lets_what_it_has_not(void *arg)
{
	if (sim_mutex_holder(mutex) && sim_mutex_holder(mutex) != sim_self())
		os_mutex_unlock(mutex);
}

static void takes_and_lets(void *arg)
{
	os_mutex_lock(mutex);
	sim_point();
	os_mutex_unlock(mutex);
}

static void foreign_unlock_setup(void)
{
	make();
	sim_spawn("owner", takes_and_lets, NULL);
	sim_spawn("other", lets_what_it_has_not, NULL);
}

SIM_SCENARIO(finds_foreign_unlock) = {
	.about = "unlocks what another has locked",
	.searches = ALL,
	.is_broken = true,
	.setup = foreign_unlock_setup,
	.teardown = drop,
};

static void takes_twice(void *arg)
{
	os_rwlock_read_lock(lock);
	os_rwlock_read_lock(lock);
}

static void twice_setup(void)
{
	make();
	sim_spawn("one", takes_twice, NULL);
}

SIM_SCENARIO(finds_lock_taken_twice) = {
	.about = "reads under the lock, twice",
	.searches = ALL,
	.is_broken = true,
	.setup = twice_setup,
	.teardown = drop,
};

/* ---- waits, time, signals, threads ------------------------------------------------------------ */

static struct sim_fibre *waiter;
static int result;

static void waits_with_timeout(void *arg)
{
	uint64_t start = os_clock_ns();

	result = os_wait(word, 0, 1000000);
	sim_assert(result == -ETIMEDOUT);
	(void)start;
}

static void waits_for_signal(void *arg)
{
	while (!os_signal_pending())
		os_wait(word, 0, -1);
	sim_assert(os_wait(word, 0, -1) == -EINTR);
	os_signal_set_pending(false);
}

static void sends_signal(void *arg)
{
	sim_signal(waiter);
}

static void thread_main(void *arg)
{
	atomic_fetch_add(word + 1, 1);
}

static void makes_thread(void *arg)
{
	struct os_thread *t;

	sim_assert(!os_thread_create(thread_main, NULL, "thread", &t));
	os_thread_join(t);
	sim_assert(atomic_load(word + 1) == 1);
}

static bool is_set(void *arg)
{
	return os_racy_load(word + 2);
}

static void waits_until(void *arg)
{
	sim_wait_for(is_set, NULL, "the third word is set");
	sim_assert(os_racy_load(word + 2) == 1);
}

static void sets(void *arg)
{
	os_racy_store(word + 2, 1);
	/* It sees its own, wherever it is. */
	sim_assert(os_racy_load(word + 2) == 1);
}

static void waits_setup(void)
{
	make();
	sim_spawn("timeout", waits_with_timeout, NULL);
	waiter = sim_spawn("waiter", waits_for_signal, NULL);
	sim_spawn("signals", sends_signal, NULL);
	sim_spawn("threads", makes_thread, NULL);
	sim_spawn("until", waits_until, NULL);
	sim_spawn("sets", sets, NULL);
}

SIM_SCENARIO(rule_waits) = {
	.about = "timeouts, signals, threads and conditions",
	.searches = SIM_RANDOM | SIM_PCT,
	.is_broken = true,
	.setup = waits_setup,
	.teardown = drop,
};

static void spins(void *arg)
{
	while (!os_racy_load(word))
		os_relax();
}

static void spins_without_rest(void *arg)
{
	while (!os_racy_load(word))
		;
}

static void ends_spin(void *arg)
{
	os_racy_store(word, 1);
}

static void spin_setup(void)
{
	make();
	sim_spawn("spins", spins, NULL);
	sim_spawn("rude", spins_without_rest, NULL);
	sim_spawn("sets", ends_spin, NULL);
}

SIM_SCENARIO(rule_spins) = {
	.about = "who spins gets what he waits for, in every search",
	.searches = ALL,
	.preemptions = 1,
	.is_broken = true,
	.setup = spin_setup,
	.teardown = drop,
};

static void spins_for_ever(void *arg)
{
	while (!os_racy_load(word))
		os_relax();
}

static void for_ever_setup(void)
{
	make();
	sim_spawn("spins", spins_for_ever, NULL);
}

SIM_SCENARIO(finds_no_progress) = {
	.about = "spins for what never comes",
	.searches = ALL,
	.max_points = 5000,
	.is_broken = true,
	.setup = for_ever_setup,
	.teardown = drop,
};

/* ---- choices ---------------------------------------------------------------------------------- */

static void chooses(void *arg)
{
	unsigned int a = sim_choose(5), b = sim_choose(7);

	sim_assert(a < 5 && b < 7);
	sim_assert(!(a == 4 && b == 5));
}

static void choose_setup(void)
{
	make();
	sim_spawn("one", chooses, NULL);
}

SIM_SCENARIO(finds_choice) = {
	.about = "one pair of choices is bad",
	.searches = ALL,
	.is_broken = true,
	.setup = choose_setup,
	.teardown = drop,
};

/* ---- faults, memory, mappings ----------------------------------------------------------------- */

static int touch(volatile char *p)
{
	struct os_catch c;

	if (os_catch(&c))
		return (uintptr_t)p == c.addr ? -EFAULT : -EIO;
	p[0] = 1;
	os_catch_end(&c);
	return 0;
}

static void catches(void *arg)
{
	void *map;

	sim_assert(!os_map_anon(OS_PAGE_SIZE, OS_MAP_READ | OS_MAP_WRITE, &map));
	sim_assert(!touch(map));
	sim_point();
	os_unmap(map, OS_PAGE_SIZE);
	sim_assert(touch(map) == -EFAULT);
	sim_point();
	sim_assert(touch((volatile char *)map + 8) == -EFAULT);
}

static void catch_setup(void)
{
	make();
	sim_spawn("one", catches, NULL);
	sim_spawn("two", catches, NULL);
}

SIM_SCENARIO(rule_catches) = {
	.about = "each fibre catches its own faults",
	.searches = ALL,
	.is_broken = true,
	.setup = catch_setup,
	.teardown = drop,
};

static int depth(int n);
/* Not known to the compiler, which would make a loop of it. */
static int (*volatile deeper)(int n) = depth;

static int depth(int n)
{
	volatile char room[4096];

	room[n] = (char)n;
	return n ? deeper(n - 1) + room[n] : 0;
}

static void overflows(void *arg)
{
	depth(200);
}

static void overflow_setup(void)
{
	make();
	sim_spawn("deep", overflows, NULL);
}

SIM_SCENARIO(finds_stack_overflow) = {
	.about = "needs more stack than there is",
	.searches = ALL,
	.is_broken = true,
	.setup = overflow_setup,
	.teardown = drop,
};

static void frees_twice(void *arg)
{
	void *p = os_alloc(100);

	os_free(p, 100);
	os_free(p, 100);
}

static void double_free_setup(void)
{
	make();
	sim_spawn("one", frees_twice, NULL);
}

SIM_SCENARIO(finds_double_free) = {
	.about = "frees twice",
	.searches = ALL,
	.is_broken = true,
	.setup = double_free_setup,
	.teardown = drop,
};

static void leaves_fd(void *arg)
{
	int fd;

	sim_assert(!os_memfd_create("left", OS_PAGE_SIZE, &fd));
}

static void fd_setup(void)
{
	make();
	sim_spawn("one", leaves_fd, NULL);
}

SIM_SCENARIO(finds_fd_left) = {
	.about = "leaves a descriptor",
	.searches = ALL,
	.is_broken = true,
	.setup = fd_setup,
	.teardown = drop,
};

/* ---- invariants ------------------------------------------------------------------------------- */

static void halves_are_equal(void *arg)
{
	if (sim_mutex_holder(mutex))
		return;
	if (os_racy_load(word) != os_racy_load(word + 1))
		sim_fail("halves: %u and %u", os_racy_load(word), os_racy_load(word + 1));
}

static void sets_halves(void *arg)
{
	bool locked = arg;

	if (locked)
		os_mutex_lock(mutex);
	os_racy_store(word, 1);
	os_racy_store(word + 1, 1);
	if (locked)
		os_mutex_unlock(mutex);
}

static void idles(void *arg)
{
	sim_point();
	sim_point();
}

static void halves_setup(void)
{
	make();
	sim_spawn("sets", sets_halves, NULL);
	sim_spawn("idles", idles, NULL);
	sim_invariant(SIM_AT_SWITCH, halves_are_equal, NULL);
}

SIM_SCENARIO(finds_invariant) = {
	.about = "two words are equal at every switch, but nobody locks",
	.searches = ALL,
	.is_broken = true,
	.setup = halves_setup,
	.teardown = drop,
};

static void locked_halves_setup(void)
{
	make();
	sim_spawn("sets", sets_halves, (void *)1);
	sim_spawn("idles", idles, NULL);
	sim_invariant(SIM_AT_POINT, halves_are_equal, NULL);
}

SIM_SCENARIO(rule_invariant) = {
	.about = "two words are equal whenever the lock is free",
	.searches = ALL,
	.is_broken = true,
	.setup = locked_halves_setup,
	.teardown = drop,
};

/* ---- data races ------------------------------------------------------------------------------- */

static uint32_t *plain;

static void adds_locked(void *arg)
{
	os_mutex_lock(mutex);
	plain[0]++;
	os_mutex_unlock(mutex);
}

static void adds_anyhow(void *arg)
{
	plain[0]++;
}

static void race_make(void)
{
	make();
	plain = (uint32_t *)(void *)word + 8;
}

static void data_race_setup(void)
{
	race_make();
	sim_spawn("locks", adds_locked, NULL);
	sim_spawn("forgets", adds_anyhow, NULL);
}

SIM_SCENARIO(finds_data_race) = {
	.about = "one takes the lock, the other forgets it",
	.searches = ALL,
	.is_broken = true,
	.setup = data_race_setup,
	.teardown = drop,
};

static void publishes(void *arg)
{
	bool release = arg;

	plain[1] = 5;
	atomic_store_explicit(word, 1, release ? memory_order_release : memory_order_relaxed);
}

static void takes_published(void *arg)
{
	if (atomic_load_explicit(word, memory_order_acquire))
		sim_assert(plain[1] == 5);
}

static void relaxed_setup(void)
{
	race_make();
	sim_spawn("publishes", publishes, NULL);
	sim_spawn("takes", takes_published, NULL);
}

SIM_SCENARIO(finds_missing_release) = {
	.about = "published by a relaxed store",
	.searches = ALL,
	.is_broken = true,
	.setup = relaxed_setup,
	.teardown = drop,
};

static void reads_plain(void *arg)
{
	os_rwlock_read_lock(lock);
	sim_assert(plain[2] % 2 == 0);
	os_rwlock_read_unlock(lock);
}

static void writes_plain(void *arg)
{
	os_rwlock_write_lock(lock);
	plain[2]++;
	sim_point();
	plain[2]++;
	os_rwlock_write_unlock(lock);
}

static void writes_while_reading(void *arg)
{
	os_rwlock_read_lock(lock);
	plain[2] += 2;
	os_rwlock_read_unlock(lock);
}

static void read_write_setup(void)
{
	race_make();
	sim_spawn("reader", reads_plain, NULL);
	sim_spawn("writes", writes_while_reading, NULL);
}

SIM_SCENARIO(finds_store_under_read_lock) = {
	.about = "stores while it has the lock for reading",
	.searches = ALL,
	.is_broken = true,
	.setup = read_write_setup,
	.teardown = drop,
};

static void fences(void *arg)
{
	plain[3] = 1;
	atomic_thread_fence(memory_order_release);
	os_racy_store(word + 3, 1);
}

static void takes_fenced(void *arg)
{
	if (!os_racy_load(word + 3))
		return;
	atomic_thread_fence(memory_order_acquire);
	sim_assert(plain[3]);
}

static void joins(void *arg)
{
	sim_join(sim_spawn("child", adds_locked, NULL));
	plain[0]++;
}

static void no_race_setup(void)
{
	race_make();
	plain[0] = 7;
	switch (sim_choose(4)) {
	case 0:
		sim_spawn("one", adds_locked, NULL);
		sim_spawn("two", adds_locked, NULL);
		break;
	case 1:
		sim_spawn("publishes", publishes, (void *)1);
		sim_spawn("takes", takes_published, NULL);
		sim_spawn("joins", joins, NULL);
		break;
	case 2:
		sim_spawn("reader", reads_plain, NULL);
		sim_spawn("reader 2", reads_plain, NULL);
		sim_spawn("writer", writes_plain, NULL);
		break;
	default:
		sim_spawn("fences", fences, NULL);
		sim_spawn("takes", takes_fenced, NULL);
	}
}

static void no_race_teardown(void)
{
	plain[0]++;
	drop();
}

SIM_SCENARIO(rule_no_race) = {
	.about = "locks, releases, fences and ends of fibres put accesses in order",
	.searches = ALL,
	.is_broken = true,
	.setup = no_race_setup,
	.teardown = no_race_teardown,
};
