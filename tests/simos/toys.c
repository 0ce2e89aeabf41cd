/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Toys: a few lines each, most of them broken in a way that is known, so that the searches have to find it. */
#include <stdatomic.h>

#include "os/sim/sim.h"

#define ALL (SIM_RANDOM | SIM_PCT | SIM_EXHAUSTIVE)

static struct os_mutex *lock_a, *lock_b;
static _Atomic uint32_t *words;

static void make(void)
{
	lock_a = os_alloc(sizeof(*lock_a));
	lock_b = os_alloc(sizeof(*lock_b));
	words = os_alloc(4 * sizeof(*words));
	sim_name(lock_a, sizeof(*lock_a), "A");
	sim_name(lock_b, sizeof(*lock_b), "B");
	sim_name(words, 4 * sizeof(*words), "words");
}

static void drop(void)
{
	os_free(lock_a, sizeof(*lock_a));
	os_free(lock_b, sizeof(*lock_b));
	os_free((void *)words, 4 * sizeof(*words));
}

/* ---- an update is lost ----------------------------------------------------------------------- */

static void add_in_two_steps(void *arg)
{
	uint32_t seen = os_racy_load(&words[0]);

	os_racy_store(&words[0], seen + 1);
}

static void add_at_once(void *arg)
{
	atomic_fetch_add(&words[0], 1);
}

static void must_be_two(void *arg)
{
	sim_assert(atomic_load(&words[0]) == 2);
}

static void lost_update_setup(void)
{
	make();
	sim_spawn("one", add_in_two_steps, NULL);
	sim_spawn("two", add_in_two_steps, NULL);
	sim_invariant(SIM_AT_END, must_be_two, NULL);
}

SIM_SCENARIO(toy_lost_update) = {
	.about = "two fibres load, add and store",
	.searches = ALL,
	.is_broken = true,
	.setup = lost_update_setup,
	.teardown = drop,
};

static void right_update_setup(void)
{
	make();
	sim_spawn("one", add_at_once, NULL);
	sim_spawn("two", add_at_once, NULL);
	sim_invariant(SIM_AT_END, must_be_two, NULL);
}

SIM_SCENARIO(toy_right_update) = {
	.about = "two fibres add at once",
	.searches = ALL,
	.is_broken = true,
	.setup = right_update_setup,
	.teardown = drop,
};

/* ---- Dekker ---------------------------------------------------------------------------------- */

static bool fences;

static void enter(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg;

	os_racy_store(&words[me], 1);
	if (fences)
		atomic_thread_fence(memory_order_seq_cst);
	if (os_racy_load(&words[1 - me]))
		return;
	atomic_fetch_add(&words[2], 1);
	sim_point();
	sim_assert(atomic_load(&words[2]) == 1);
	atomic_fetch_sub(&words[2], 1);
}

static void dekker_setup(void)
{
	make();
	fences = false;
	sim_spawn("one", enter, (void *)0);
	sim_spawn("two", enter, (void *)1);
}

static void dekker_fence_setup(void)
{
	dekker_setup();
	fences = true;
}

SIM_SCENARIO(toy_dekker) = {
	.about = "each says that it comes, and looks for the other; no fence in between",
	.searches = ALL,
	.preemptions = 3,
	.is_broken = true,
	.setup = dekker_setup,
	.teardown = drop,
};

SIM_SCENARIO(toy_dekker_fence) = {
	.about = "each says that it comes, a fence, and looks for the other",
	.searches = ALL,
	.preemptions = 3,
	.is_broken = true,
	.setup = dekker_fence_setup,
	.teardown = drop,
};

/* ---- a wake-up is missed --------------------------------------------------------------------- */

static void sleeper(void *arg)
{
	while (!atomic_load(&words[0])) {
		/* What it waits for may have come by now; the word it sleeps on does not tell. */
		os_wait(&words[1], 0, -1);
	}
}

static void waker(void *arg)
{
	atomic_store(&words[0], 1);
	os_wake_all(&words[1]);
}

static void missed_wake_setup(void)
{
	make();
	sim_name((const void *)&words[1], 4, "progress");
	sim_spawn("sleeper", sleeper, NULL);
	sim_spawn("waker", waker, NULL);
}

SIM_SCENARIO(toy_missed_wake) = {
	.about = "a sleeper looks at one word and sleeps on another",
	.searches = ALL,
	.is_broken = true,
	.setup = missed_wake_setup,
	.teardown = drop,
};

/* ---- two locks in two orders ----------------------------------------------------------------- */

static void a_then_b(void *arg)
{
	os_mutex_lock(lock_a);
	os_mutex_lock(lock_b);
	os_mutex_unlock(lock_b);
	os_mutex_unlock(lock_a);
}

static void b_then_a(void *arg)
{
	os_mutex_lock(lock_b);
	os_mutex_lock(lock_a);
	os_mutex_unlock(lock_a);
	os_mutex_unlock(lock_b);
}

static void abba_setup(void)
{
	make();
	sim_spawn("ab", a_then_b, NULL);
	sim_spawn("ba", b_then_a, NULL);
}

SIM_SCENARIO(toy_abba) = {
	.about = "two locks, taken in both orders",
	.searches = ALL,
	.is_broken = true,
	.setup = abba_setup,
	.teardown = drop,
};

/* ---- memory that is freed while another uses it ---------------------------------------------- */

struct object {
	_Atomic uint32_t users;
	uint32_t value;
};
static _Atomic(struct object *) published;

static void uses(void *arg)
{
	struct object *o = atomic_load(&published);

	if (!o)
		return;
	atomic_fetch_add(&o->users, 1);
	o->value++;
	atomic_fetch_sub(&o->users, 1);
}

static void frees(void *arg)
{
	struct object *o = atomic_exchange(&published, NULL);

	while (atomic_load(&o->users))
		os_relax();
	os_free(o, sizeof(*o));
}

static void freed_setup(void)
{
	atomic_store(&published, (struct object *)os_alloc(sizeof(struct object)));
	sim_spawn("uses", uses, NULL);
	sim_spawn("frees", frees, NULL);
}

SIM_SCENARIO(toy_freed) = {
	.about = "a reference is counted after the pointer was loaded",
	.searches = ALL,
	.is_broken = true,
	.setup = freed_setup,
};

/* ---- guest memory that is unmapped while another uses it -------------------------------------- */

static char *mapped;
static int fd;

static void touches(void *arg)
{
	os_mutex_lock(lock_a);
	if (atomic_load(&words[0]))
		mapped[100] = 1;
	os_mutex_unlock(lock_a);
}

static void unmaps(void *arg)
{
	/* The lock is forgotten. */
	atomic_store(&words[0], 0);
	os_unmap(mapped, OS_PAGE_SIZE);
}

static void unmapped_setup(void)
{
	void *at;

	make();
	sim_assert(!os_memfd_create("toy", OS_PAGE_SIZE, &fd));
	sim_assert(!os_map_file(fd, 0, OS_PAGE_SIZE, 0, OS_MAP_READ | OS_MAP_WRITE, &at));
	mapped = at;
	atomic_store(&words[0], 1);
	sim_spawn("touches", touches, NULL);
	sim_spawn("unmaps", unmaps, NULL);
}

static void unmapped_teardown(void)
{
	os_fd_close(fd);
	drop();
}

SIM_SCENARIO(toy_unmapped) = {
	.about = "memory is unmapped without the lock under which it is touched",
	.searches = ALL,
	.is_broken = true,
	.setup = unmapped_setup,
	.teardown = unmapped_teardown,
};

/* ---- needs two changes, each at one place among many ----------------------------------------- */

#define MUCH_ELSE 12

static void much_else(void)
{
	unsigned int i;

	for (i = 0; i < MUCH_ELSE; i++)
		os_racy_load(&words[3]);
}

static void deep_first(void *arg)
{
	much_else();
	atomic_store(&words[0], 1);
	sim_assert(atomic_load(&words[1]) != 1);
	atomic_store(&words[0], 2);
	much_else();
}

static void deep_second(void *arg)
{
	much_else();
	if (atomic_load(&words[0]) == 1)
		atomic_store(&words[1], 1);
	atomic_store(&words[1], 2);
	much_else();
}

static void deep_setup(void)
{
	make();
	sim_spawn("first", deep_first, NULL);
	sim_spawn("second", deep_second, NULL);
}

SIM_SCENARIO(toy_deep) = {
	.about = "fails when each of two is stopped at one place among many",
	.searches = ALL,
	.is_broken = true,
	.setup = deep_setup,
	.teardown = drop,
};

/* ---- a leak ---------------------------------------------------------------------------------- */

static void leak_setup(void)
{
	make();
	sim_spawn("one", add_at_once, NULL);
}

SIM_SCENARIO(toy_leak) = {
	.about = "nobody gives the memory back",
	.searches = ALL,
	.is_broken = true,
	.setup = leak_setup,
};
