/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Locks keep others out, waits end. */
#include "test.h"

#include <errno.h>

#include "os/os.h"

#define NR_THREADS 4

static void run_threads(void (*fn)(void *), int nr)
{
	struct os_thread *t[NR_THREADS];
	int i;

	for (i = 0; i < nr; i++)
		assert_int_equal(os_thread_create(fn, (void *)(intptr_t)i, "lock", &t[i]), 0);
	for (i = 0; i < nr; i++)
		os_thread_join(t[i]);
}

/* ---- mutex ----------------------------------------------------------------------------------- */

static struct os_mutex mutex = OS_MUTEX_INIT;
static uint64_t counter; /* plain: a race on it is a lost increment */

static void count_with_the_mutex(void *arg)
{
	int i;

	for (i = 0; i < 50000; i++) {
		if (i % 3 || !os_mutex_trylock(&mutex))
			os_mutex_lock(&mutex);
		counter++;
		if (i % 1000 == 0)
			os_yield();
		os_mutex_unlock(&mutex);
	}
}

static void a_mutex_lets_in_one(void **state)
{
	counter = 0;
	run_threads(count_with_the_mutex, NR_THREADS);
	assert_int_equal(counter, NR_THREADS * 50000);
	assert_true(os_mutex_trylock(&mutex));
	assert_false(os_mutex_trylock(&mutex));
	os_mutex_unlock(&mutex);
}

static int unlock_twice(void)
{
	os_mutex_lock(&mutex);
	os_mutex_unlock(&mutex);
	os_mutex_unlock(&mutex);
	return 0;
}

static void unlocking_a_free_mutex_is_told(void **state)
{
	assert_true(died_of(in_child(unlock_twice), SIGABRT));
}

/* ---- readers and writers --------------------------------------------------------------------- */

static struct os_rwlock rwlock;
static uint64_t pair[2]; /* equal whenever nobody writes */
static _Atomic int nr_inside, most_inside;
static _Atomic uint64_t nr_unequal;

static void read_and_write(void *arg)
{
	int i;

	for (i = 0; i < 20000; i++) {
		if ((i + (int)(intptr_t)arg) % 8 == 0) {
			os_rwlock_write_lock(&rwlock);
			pair[0]++;
			if (i % 100 == 0)
				os_yield();
			pair[1]++;
			os_rwlock_write_unlock(&rwlock);
		} else {
			os_rwlock_read_lock(&rwlock);
			if (pair[0] != pair[1])
				atomic_fetch_add(&nr_unequal, 1);
			os_rwlock_read_unlock(&rwlock);
		}
	}
}

static void a_writer_is_alone(void **state)
{
	os_rwlock_init(&rwlock);
	pair[0] = pair[1] = 0;
	run_threads(read_and_write, NR_THREADS);
	assert_int_equal(atomic_load(&nr_unequal), 0);
	assert_int_equal(pair[0], NR_THREADS * 20000 / 8);
	assert_int_equal(atomic_load(&rwlock.word), 0);
	assert_int_equal(atomic_load(&rwlock.writers_waiting), 0);
}

static void read_together(void *arg)
{
	int n;

	os_rwlock_read_lock(&rwlock);
	n = atomic_fetch_add(&nr_inside, 1) + 1;
	/* Until the other is in, too. */
	while (n < 2 && atomic_load(&nr_inside) < 2)
		os_yield();
	atomic_store(&most_inside, 2);
	os_rwlock_read_unlock(&rwlock);
}

static void readers_are_in_together(void **state)
{
	os_rwlock_init(&rwlock);
	run_threads(read_together, 2);
	assert_int_equal(atomic_load(&most_inside), 2);
}

static _Atomic bool done_writing;

/* Readers that overlap: the lock is never free of them for long. */
static void read_on_and_on(void *arg)
{
	uint64_t until;

	while (!atomic_load(&done_writing)) {
		os_rwlock_read_lock(&rwlock);
		for (until = os_clock_ns() + 200000; os_clock_ns() < until;)
			os_relax();
		os_rwlock_read_unlock(&rwlock);
	}
}

static void write_some(void *arg)
{
	uint64_t i;

	if ((intptr_t)arg) {
		read_on_and_on(arg);
		return;
	}
	for (i = 0; i < 50; i++) {
		os_rwlock_write_lock(&rwlock);
		os_rwlock_write_unlock(&rwlock);
		os_yield();
	}
	atomic_store(&done_writing, true);
}

static void readers_do_not_starve_a_writer(void **state)
{
	uint64_t start = os_clock_ns();

	os_rwlock_init(&rwlock);
	run_threads(write_some, NR_THREADS);
	assert_true(os_clock_ns() - start < 20000000000ull);
}

/* ---- waits ----------------------------------------------------------------------------------- */

static _Atomic uint32_t ball;

static void play(void *arg)
{
	uint32_t mine = (uint32_t)(intptr_t)arg;
	uint32_t i;

	for (i = 0; i < 5000; i++) {
		while (atomic_load(&ball) % 2 != mine)
			os_wait(&ball, mine ^ 1 ? i * 2 + 1 : i * 2, -1);
		atomic_fetch_add(&ball, 1);
		os_wake_all(&ball);
	}
}

static void a_wake_up_is_not_lost(void **state)
{
	atomic_store(&ball, 0);
	run_threads(play, 2);
	assert_int_equal(atomic_load(&ball), 10000);
}

static void a_wait_ends_in_time(void **state)
{
	_Atomic uint32_t word = 3;
	uint64_t start = os_clock_ns();

	assert_int_equal(os_wait(&word, 3, 20000000), -ETIMEDOUT);
	assert_true(os_clock_ns() - start >= 20000000);
	assert_int_equal(os_wait(&word, 4, -1), 0);
}

static void nothing(int signo)
{
}

static void a_signal_ends_a_wait(void **state)
{
	struct sigaction sa = { .sa_handler = nothing };
	_Atomic uint32_t word = 0;
	struct sigaction old;

	sigaction(SIGALRM, &sa, &old);
	ualarm(20000, 0);
	assert_int_equal(os_wait(&word, 0, 5000000000), -EINTR);
	sigaction(SIGALRM, &old, NULL);
}

static void look_at_signals(void *arg)
{
	sigset_t *set = arg;

	pthread_sigmask(SIG_SETMASK, NULL, set);
}

static void our_threads_take_no_signals_of_the_program(void **state)
{
	struct os_thread *t;
	sigset_t set;

	assert_int_equal(os_thread_create(look_at_signals, &set, "signals", &t), 0);
	os_thread_join(t);
	assert_true(sigismember(&set, SIGTERM) && sigismember(&set, SIGUSR1));
	assert_false(sigismember(&set, SIGSEGV));
	assert_false(sigismember(&set, SIGBUS));
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	assert_false(sigismember(&set, SIGTERM));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mutex_lets_in_one),
		cmocka_unit_test(unlocking_a_free_mutex_is_told),
		cmocka_unit_test(a_writer_is_alone),
		cmocka_unit_test(readers_are_in_together),
		cmocka_unit_test(readers_do_not_starve_a_writer),
		cmocka_unit_test(a_wake_up_is_not_lost),
		cmocka_unit_test(a_wait_ends_in_time),
		cmocka_unit_test(a_signal_ends_a_wait),
		cmocka_unit_test(our_threads_take_no_signals_of_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
