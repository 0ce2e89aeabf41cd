/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Files whose memory counts in one limit. */
#include "test.h"

#include <errno.h>
#include <stdatomic.h>

#include "core/limit.h"
#include "fail_alloc.h"
#include "fixture.h"

#define NR_THREADS 4

static struct gmem_limit *limit_of(uint64_t bytes)
{
	struct gmem_limit *limit;

	assert_int_equal(gmem_limit_create(bytes, &limit), 0);
	return limit;
}

static struct gmem_file *limited_file(struct gmem_limit *limit, uint64_t size, unsigned int flags)
{
	struct gmem_file *f = file_of(size, flags);

	gmem_file_set_limit(f, limit);
	return f;
}

static int look(struct gmem_file *f, uint64_t offset)
{
	void *addr;
	int level;

	return gmem_file_page(f, offset, &addr, &level);
}

static int level_at(struct gmem_file *f, uint64_t offset)
{
	void *addr;
	int level;

	assert_int_equal(gmem_file_page(f, offset, &addr, &level), 0);
	return level;
}

static void a_page_too_many_is_refused_and_takes_nothing(void **state)
{
	struct gmem_limit *limit = limit_of(3 * PAGE);
	struct gmem_file *f = limited_file(limit, MB, 0);

	for (uint64_t i = 0; i < 3; i++)
		page_at(f, i * 7 * PAGE)[0] = 1;
	assert_int_equal(gmem_limit_used(limit), 3 * PAGE);
	assert_int_equal(look(f, 2 * PAGE), -ENOMEM);
	assert_int_equal(look(f, 7 * PAGE), 0);
	assert_int_equal(gmem_limit_used(limit), 3 * PAGE);
	gmem_file_punch(f, 7 * PAGE, PAGE);
	assert_int_equal(look(f, 2 * PAGE), 0);
	assert_int_equal(look(f, 3 * PAGE), -ENOMEM);
	close_file(f);
	gmem_limit_put(limit);
}

static void files_share_it_and_return_it_when_they_end(void **state)
{
	struct gmem_limit *limit = limit_of(2 * PAGE);
	struct gmem_file *a = limited_file(limit, MB, 0), *b = limited_file(limit, MB, 0);
	struct gmem_file *last = limited_file(limit, MB, 0);

	assert_int_equal(look(last, 0), 0);
	assert_int_equal(gmem_limit_used(limit), PAGE);
	gmem_file_put(last);
	assert_int_equal(gmem_limit_used(limit), 0);
	assert_int_equal(look(a, 0), 0);
	assert_int_equal(look(b, 0), 0);
	assert_int_equal(look(b, PAGE), -ENOMEM);
	gmem_file_put(a);
	assert_int_equal(look(b, PAGE), 0);
	assert_int_equal(look(b, 2 * PAGE), -ENOMEM);
	gmem_file_put(b);
	gmem_limit_put(limit);
}

static void an_allocation_fits_or_takes_nothing(void **state)
{
	struct gmem_limit *limit = limit_of(8 * PAGE);
	struct gmem_file *f = limited_file(limit, MB, 0);

	assert_int_equal(look(f, 4 * PAGE), 0);
	assert_int_equal(gmem_file_allocate(f, 0, 9 * PAGE), -ENOMEM);
	assert_int_equal(gmem_limit_used(limit), PAGE);
	assert_int_equal(gmem_file_allocate(f, 0, 8 * PAGE), 0);
	assert_int_equal(gmem_limit_used(limit), 8 * PAGE);
	/* What is allocated needs no more room. */
	assert_int_equal(gmem_file_allocate(f, 0, 8 * PAGE), 0);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(look(f, i * PAGE), 0);
	assert_int_equal(look(f, 8 * PAGE), -ENOMEM);
	close_file(f);
	gmem_limit_put(limit);
}

/* Or the guest would give memory to pages that nobody counted. */
static void a_leaf_has_no_page_without_memory(void **state)
{
	struct gmem_limit *limit = limit_of(4 * MB);
	struct gmem_file *f = limited_file(limit, 4 * MB, 0);

	assert_int_equal(level_at(f, 0), LEVEL_4K);
	assert_false(gmem_file_neighbours_ready(f, 0));
	assert_int_equal(gmem_file_allocate(f, 0, 2 * MB), 0);
	assert_int_equal(level_at(f, 5 * PAGE), LEVEL_2M);
	gmem_file_punch(f, 9 * PAGE, PAGE);
	assert_int_equal(level_at(f, 5 * PAGE), LEVEL_4K);
	assert_int_equal(gmem_file_allocate(f, 0, 2 * MB), 0);
	assert_int_equal(level_at(f, 5 * PAGE), LEVEL_2M);
	gmem_file_punch(f, 0, PAGE);
	assert_int_equal(level_at(f, 5 * PAGE), LEVEL_4K);
	close_file(f);
	gmem_limit_put(limit);
}

static void a_huge_page_comes_where_it_fits_and_a_small_one_else(void **state)
{
	struct gmem_limit *limit = limit_of(2 * MB + 2 * PAGE);
	struct gmem_file *f = limited_file(limit, 6 * MB, GMEM_FILE_THP);

	assert_int_equal(look(f, 0), 0);
	/* The system had a huge page, or not. */
	if (gmem_limit_used(limit) == 2 * MB)
		assert_int_equal(level_at(f, PAGE), LEVEL_2M);
	else
		assert_int_equal(gmem_file_allocate(f, 0, 2 * MB), 0);
	assert_int_equal(look(f, 2 * MB), 0);
	assert_int_equal(look(f, 4 * MB), 0);
	assert_int_equal(gmem_limit_used(limit), 2 * MB + 2 * PAGE);
	assert_int_equal(look(f, 4 * MB + PAGE), -ENOMEM);
	close_file(f);
	gmem_limit_put(limit);
}

/* The system serves the host, and asks nobody. */
static void what_the_host_touches_counts_and_is_not_refused(void **state)
{
	struct gmem_limit *limit = limit_of(2 * PAGE);
	struct gmem_file *f = limited_file(limit, MB, 0);

	assert_int_equal(gmem_limit_bytes(limit), 2 * PAGE);
	for (uint64_t i = 0; i < 3; i++)
		page_at(f, i * PAGE)[0] = 1;
	assert_int_equal(gmem_limit_used(limit), 3 * PAGE);
	assert_int_equal(look(f, 3 * PAGE), -ENOMEM);
	assert_int_equal(look(f, 2 * PAGE), 0);
	gmem_file_punch(f, 0, 2 * PAGE);
	assert_int_equal(look(f, 3 * PAGE), 0);
	close_file(f);
	gmem_limit_put(limit);
}

/* ---- what the system refuses ------------------------------------------------------------------- */

static void without_memory_there_is_no_limit(void **state)
{
	struct gmem_limit *limit = NULL;

	allow_allocs(0);
	assert_int_equal(gmem_limit_create(PAGE, &limit), -ENOMEM);
	allow_allocs(ALLOW_ALL);
	assert_null(limit);
}

static void a_fault_that_the_system_refuses_takes_nothing(void **state)
{
	static const unsigned int kinds[] = { 0, GMEM_FILE_THP };

	for (unsigned int i = 0; i < 2; i++) {
		struct gmem_limit *limit = limit_of(4 * MB);
		struct gmem_file *f = limited_file(limit, 4 * MB, kinds[i]);

		fail_all(OS_FAIL_MAP);
		assert_int_equal(look(f, 0), -ENOMEM);
		fail_none();
		fail_all(OS_FAIL_POPULATE);
		assert_int_equal(look(f, 0), -ENOMEM);
		fail_none();
		assert_int_equal(gmem_limit_used(limit), 0);
		assert_int_equal(look(f, 0), 0);
		close_file(f);
		gmem_limit_put(limit);
	}
}

static void an_allocation_ends_where_the_system_refuses(void **state)
{
	const struct os_fail_plan second = { .points = 1u << OS_FAIL_SIGNAL, .first = 1, .nr = 1 };
	struct gmem_limit *limit = limit_of(8 * MB);
	struct gmem_file *f = limited_file(limit, 8 * MB, 0);

	/* What it has got so far stays, and is in nobody's way when it goes on. */
	os_fail_arm(&second);
	assert_int_equal(gmem_file_allocate(f, 0, 8 * MB), -EINTR);
	fail_none();
	assert_true(gmem_limit_used(limit) < 8 * MB);
	fail_all(OS_FAIL_POPULATE);
	assert_int_equal(gmem_file_allocate(f, 0, 4 * PAGE), -ENOMEM);
	fail_none();
	fail_all(OS_FAIL_ALLOCATE);
	assert_true(gmem_file_allocate(f, 0, 8 * MB) < 0);
	fail_none();
	assert_int_equal(gmem_file_allocate(f, 0, 8 * MB), 0);
	assert_int_equal(gmem_limit_used(limit), 8 * MB);
	close_file(f);
	gmem_limit_put(limit);
}

/* ---- several threads ------------------------------------------------------------------------- */

struct taker {
	struct gmem_file *f;
	uint64_t first;
	_Atomic unsigned int *nr_ready, *nr_taken;
};

/* All at once, as far as there are processors for them. */
static void take(void *arg)
{
	struct taker *t = arg;

	atomic_fetch_add(t->nr_ready, 1);
	while (atomic_load(t->nr_ready) < NR_THREADS)
		os_yield();
	for (uint64_t i = 0; i < 8; i++) {
		gmem_file_fault_begin(t->f);
		if (!look(t->f, (t->first + i * NR_THREADS) * PAGE))
			atomic_fetch_add(t->nr_taken, 1);
		gmem_file_fault_end(t->f);
	}
}

static void take_together(struct gmem_file *f, unsigned int *nr_taken)
{
	_Atomic unsigned int nr_ready = 0, nr = 0;
	struct os_thread *threads[NR_THREADS];
	struct taker takers[NR_THREADS];

	for (uint64_t i = 0; i < NR_THREADS; i++) {
		takers[i] = (struct taker){ f, i, &nr_ready, &nr };
		assert_int_equal(os_thread_create(take, &takers[i], "taker", &threads[i]), 0);
	}
	for (uint64_t i = 0; i < NR_THREADS; i++)
		os_thread_join(threads[i]);
	*nr_taken = nr;
}

static void threads_take_no_more_than_there_is(void **state)
{
	struct gmem_limit *limit = limit_of(3 * PAGE);
	struct gmem_file *f = limited_file(limit, MB, 0);
	unsigned int nr_taken;

	for (unsigned int round = 0; round < 200; round++) {
		take_together(f, &nr_taken);
		assert_int_equal(nr_taken, 3);
		assert_int_equal(gmem_limit_used(limit), 3 * PAGE);
		gmem_file_punch(f, 0, MB);
	}
	close_file(f);
	gmem_limit_put(limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_too_many_is_refused_and_takes_nothing),
		cmocka_unit_test(files_share_it_and_return_it_when_they_end),
		cmocka_unit_test(an_allocation_fits_or_takes_nothing),
		cmocka_unit_test(a_leaf_has_no_page_without_memory),
		cmocka_unit_test(a_huge_page_comes_where_it_fits_and_a_small_one_else),
		cmocka_unit_test(what_the_host_touches_counts_and_is_not_refused),
		cmocka_unit_test(without_memory_there_is_no_limit),
		cmocka_unit_test(a_fault_that_the_system_refuses_takes_nothing),
		cmocka_unit_test(an_allocation_ends_where_the_system_refuses),
		cmocka_unit_test(threads_take_no_more_than_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
