/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Many fill and write a store of huge pages beside each other, and others allocate; a punch has it alone. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "os/os.h"
#include "pool_2m.h"
#include "store_model.h"

#define PAGE OS_PAGE_SIZE
#define NR_BLOCKS 4u
#define NR_PAGES (NR_BLOCKS * 512u)
#define NR_THREADS 4u
#define NR_ROUNDS 150

static struct store *store;
static uint8_t bytes[NR_PAGES]; /* that a page is full of */
static pthread_barrier_t round_begins, round_ends;
static _Atomic uint32_t wrong;

/* Thread n has the pages that are n modulo their number, some of them in each round. */
static void write_mine(struct rng *rng, unsigned int n)
{
	for (unsigned int i = 0; i < 200; i++) {
		unsigned int page = (unsigned int)rng_below(rng, NR_PAGES / NR_THREADS);
		void *addr;

		page = page * NR_THREADS + n;
		if (store_fill(store, page * PAGE) || store_address(store, page * PAGE, &addr)) {
			wrong++;
			return;
		}
		wrong += ((uint8_t *)addr)[0] != bytes[page] ||
			 memcmp(addr, (char *)addr + 1, PAGE - 1);
		bytes[page] = (uint8_t)(1 + rng_below(rng, 255));
		memset(addr, bytes[page], PAGE);
		if (rng_below(rng, 4000) == 0)
			wrong += store_allocate(store, page / 512 * 512 * PAGE, 512 * PAGE) != 0;
	}
}

static void *writer(void *arg)
{
	struct rng rng = { 77 + (uintptr_t)arg };

	for (int i = 0; i < NR_ROUNDS; i++) {
		pthread_barrier_wait(&round_begins);
		write_mine(&rng, (unsigned int)(uintptr_t)arg);
		pthread_barrier_wait(&round_ends);
	}
	return NULL;
}

/* Pieces, and often what makes a block whole again or takes all of it. */
static void punch_some(struct rng *rng)
{
	for (int i = 0; i < 6; i++) {
		uint64_t first = rng_below(rng, NR_PAGES), nr = 1 + rng_below(rng, 300);

		if (rng_below(rng, 20) == 0) {
			first &= ~(uint64_t)511;
			nr = 512;
		}
		nr = nr < NR_PAGES - first ? nr : NR_PAGES - first;
		assert_int_equal(store_punch(store, first * PAGE, nr * PAGE), 0);
		memset(bytes + first, 0, nr);
	}
}

static void check_all(void)
{
	for (unsigned int page = 0; page < NR_PAGES; page++) {
		uint8_t *p = guest_at(store, page * PAGE);

		assert_int_equal(p[0], bytes[page]);
		assert_memory_equal(p, p + 1, PAGE - 1);
	}
}

static void run(enum store_pages pages)
{
	uint64_t before = os_alloc_live();
	pthread_t threads[NR_THREADS];
	struct rng rng = { 5 };

	memset(bytes, 0, sizeof(bytes));
	store = make_store(NR_PAGES * PAGE, pages);
	pthread_barrier_init(&round_begins, NULL, NR_THREADS + 1);
	pthread_barrier_init(&round_ends, NULL, NR_THREADS + 1);
	for (uintptr_t n = 0; n < NR_THREADS; n++)
		pthread_create(&threads[n], NULL, writer, (void *)n);
	for (int i = 0; i < NR_ROUNDS; i++) {
		pthread_barrier_wait(&round_begins);
		pthread_barrier_wait(&round_ends);
		punch_some(&rng);
	}
	for (unsigned int n = 0; n < NR_THREADS; n++)
		pthread_join(threads[n], NULL);
	check_all();
	assert_int_equal(atomic_load(&wrong), 0);
	store_destroy(store);
	assert_int_equal(os_alloc_live(), before);
}

static void beside_each_other_on_huge_pages_nothing_is_lost(void **state)
{
	run(STORE_THP);
}

static void beside_each_other_on_pages_of_the_pool_nothing_is_lost(void **state)
{
	if (pool_open(NR_BLOCKS)) {
		skip();
		return;
	}
	run(STORE_2M);
	pool_close();
}

/* ---- the first look at a window ------------------------------------------------------------------ */

#define FIRST_NS 300000000ull

static struct store *_Atomic fresh;
static void *seen[2];

static void *look_first(void *arg)
{
	for (;;) {
		pthread_barrier_wait(&round_begins);
		if (!atomic_load(&fresh))
			return NULL;
		wrong += store_address(fresh, 0, &seen[(uintptr_t)arg]) != 0;
		pthread_barrier_wait(&round_ends);
	}
}

static void a_window_is_made_once(void **state)
{
	uint64_t before = os_alloc_live(), start = os_clock_ns();
	pthread_t thread;

	pthread_barrier_init(&round_begins, NULL, 2);
	pthread_barrier_init(&round_ends, NULL, 2);
	pthread_create(&thread, NULL, look_first, (void *)0);
	while (os_clock_ns() - start < FIRST_NS) {
		fresh = make_store(PAGE, STORE_4K);
		pthread_barrier_wait(&round_begins);
		wrong += store_address(fresh, 0, &seen[1]) != 0;
		pthread_barrier_wait(&round_ends);
		assert_ptr_equal(seen[0], seen[1]);
		store_destroy(fresh);
		assert_int_equal(os_alloc_live(), before);
	}
	atomic_store(&fresh, NULL);
	pthread_barrier_wait(&round_begins);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&wrong), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beside_each_other_on_huge_pages_nothing_is_lost),
		cmocka_unit_test(beside_each_other_on_pages_of_the_pool_nothing_is_lost),
		cmocka_unit_test(a_window_is_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
