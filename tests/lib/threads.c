/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Many threads on one file through the library: what each was promised holds while the others are at it. Right
 * under the thread sanitizer, too.
 */
#include "t.h"

#include <pthread.h>
#include <stdatomic.h>

#define NR_PAGES 16
#define NR_CONVERTERS 2
#define NR_ROUNDS 10000

static struct gmem *file;
static _Atomic bool done;
static _Atomic unsigned long nr_pinned, nr_looked, nr_refused, nr_guest;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* ---- a guest: its translations say what the page was when they were made ------------------------ */

static pthread_mutex_t guest_lock = PTHREAD_MUTEX_INITIALIZER;
static int known[NR_PAGES]; /* -1: no translation */

static int drop(void *data, const struct gmem_change *change)
{
	struct gmem_change_info info = { .args_size = sizeof(info) };

	assert_int_equal(gmem_change_describe(change, &info), 0);
	pthread_mutex_lock(&guest_lock);
	for (uint64_t p = info.offset / PAGE; p < (info.offset + info.size) / PAGE; p++)
		if (p < NR_PAGES)
			known[p] = -1;
	pthread_mutex_unlock(&guest_lock);
	return 0;
}

static void end_nothing(void *data, const struct gmem_change *change)
{
}

static const struct gmem_consumer_callbacks callbacks = { .ops_size = sizeof(callbacks),
							  .begin = drop,
							  .end = end_nothing };

static void *be_guest(void *arg)
{
	uint64_t random = 7;

	while (!done) {
		uint64_t page = next_random(&random) % NR_PAGES;
		uint32_t attributes, now;
		void *at;

		assert_int_equal(gmem_fault_begin(file), 0);
		assert_int_equal(gmem_attributes(file, page * PAGE, &attributes), 0);
		assert_int_equal(gmem_page(file, page * PAGE, &at, NULL), 0);
		pthread_mutex_lock(&guest_lock);
		known[page] = (int)attributes;
		pthread_mutex_unlock(&guest_lock);
		/* Nothing changes in between. */
		assert_int_equal(gmem_attributes(file, page * PAGE, &now), 0);
		assert_int_equal(now, attributes);
		gmem_fault_end(file);
		nr_guest++;
	}
	return NULL;
}

/* A translation that is there is of the page as it is: begin would have dropped it. */
static void *check_guest(void *arg)
{
	uint64_t random = 9;

	while (!done) {
		uint64_t page = next_random(&random) % NR_PAGES;
		uint32_t now;

		assert_int_equal(gmem_fault_begin(file), 0);
		assert_int_equal(gmem_attributes(file, page * PAGE, &now), 0);
		pthread_mutex_lock(&guest_lock);
		assert_true(known[page] == -1 || known[page] == (int)now);
		pthread_mutex_unlock(&guest_lock);
		gmem_fault_end(file);
		nr_looked++;
	}
	return NULL;
}

/* ---- the others --------------------------------------------------------------------------------- */

static void *convert(void *arg)
{
	uint64_t random = (uintptr_t)arg;

	for (int i = 0; i < NR_ROUNDS; i++) {
		uint64_t first = next_random(&random) % NR_PAGES;
		uint64_t nr = 1 + next_random(&random) % (NR_PAGES - first);
		bool to_private = next_random(&random) % 2;
		int err = to_private ? gmem_make_private(file, first * PAGE, nr * PAGE, NULL)
				     : gmem_make_shared(file, first * PAGE, nr * PAGE, NULL);

		assert_true(!err || (to_private && err == -EAGAIN));
		nr_refused += err == -EAGAIN;
		if (i % 64 == 0)
			assert_int_equal(gmem_punch(file, first * PAGE, PAGE), 0);
	}
	return NULL;
}

static void *pin(void *arg)
{
	uint64_t random = 11;

	while (!done) {
		uint64_t page = next_random(&random) % NR_PAGES;
		struct gmem_pinned *p;
		int err = gmem_pin(file, page * PAGE, PAGE, &p);

		assert_true(err == 0 || err == -EFAULT);
		if (err)
			continue;
		for (int i = 0; i < 10; i++)
			assert_int_equal(t_state(file, page), 0);
		gmem_unpin(p);
		nr_pinned++;
	}
	return NULL;
}

/* Runs follow each other without a gap, whatever happens meanwhile. */
static void *look(void *arg)
{
	while (!done) {
		struct gmem_stats stats = { .args_size = sizeof(stats) };
		struct gmem_extent e[NR_PAGES];
		uint64_t at = 0;
		uint32_t nr;

		assert_int_equal(gmem_query(file, 0, NR_PAGES * PAGE, e, NR_PAGES, &nr), 0);
		for (uint32_t i = 0; i < nr; i++) {
			assert_int_equal(e[i].offset, at);
			assert_true(!i || e[i].attributes != e[i - 1].attributes);
			at += e[i].size;
		}
		assert_int_equal(at, NR_PAGES * PAGE);
		assert_int_equal(gmem_get_stats(file, &stats), 0);
		assert_true(stats.private_bytes <= stats.size);
	}
	return NULL;
}

static void *come_and_go(void *arg)
{
	int fd;

	assert_int_equal(gmem_descriptor(file, &fd), 0);
	while (!done) {
		struct gmem *again, *other = t_create(2, BOTH);
		char *window = t_map(file, 0, NR_PAGES);

		assert_int_equal(gmem_open(fd, 0, &again), 0);
		assert_ptr_equal(again, file);
		gmem_put(again);
		gmem_put(other);
		assert_int_equal(gmem_unmap(window, NR_PAGES * PAGE), 0);
	}
	close(fd);
	return NULL;
}

static void promises_hold_between_threads(void **state)
{
	void *(*const others[])(void *) = { be_guest, check_guest, pin, look, come_and_go };
	enum { NR_OTHERS = sizeof(others) / sizeof(others[0]) };
	pthread_t threads[NR_OTHERS], converters[NR_CONVERTERS];
	struct gmem_consumer *consumer;

	memset(known, 0xff, sizeof(known));
	file = t_create(NR_PAGES, BOTH);
	assert_int_equal(gmem_consumer_add(file, &callbacks, NULL, &consumer), 0);
	for (int i = 0; i < NR_OTHERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, others[i], NULL), 0);
	for (uintptr_t i = 0; i < NR_CONVERTERS; i++)
		assert_int_equal(pthread_create(&converters[i], NULL, convert, (void *)(i + 1)), 0);
	for (int i = 0; i < NR_CONVERTERS; i++)
		pthread_join(converters[i], NULL);
	done = true;
	for (int i = 0; i < NR_OTHERS; i++)
		pthread_join(threads[i], NULL);
	gmem_consumer_remove(file, consumer);
	gmem_put(file);
	print_message("%lu faults, %lu looks, %lu pins, %lu refusals\n", nr_guest, nr_looked,
		      nr_pinned, nr_refused);
	assert_true(nr_guest && nr_looked && nr_pinned);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(promises_hold_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
