/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Pages become private and shared while another thread maps, moves, cuts, protects and advises windows of
 * them, and puts memory of its own where they were. What the file holds is never read while it is private, and
 * the program's own memory stays the program's.
 *
 * Page i of the file is full of i + 1, all below OWN; the program's own memory is full of OWN.
 */
#include "window.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define NR_PLACES 8
#define SECONDS 2
#define OWN 0xaa

static struct window *window;
static uint8_t *place[NR_PLACES]; /* of PAGES pages each */
static bool own[NR_PLACES][PAGES];
static _Atomic bool done;
static unsigned long nr_changes, nr_looks, nr_seen;

static unsigned int random_below(unsigned int *seed, unsigned int n)
{
	return (unsigned int)rand_r(seed) % n;
}

/* ---- the thread that changes mappings ---------------------------------------------------- */

static void put_own(unsigned int p, unsigned int first, unsigned int nr)
{
	uint8_t *at = place[p] + first * PAGE;

	assert_ptr_equal(mmap(at, nr * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 at);
	memset(at, OWN, nr * PAGE);
	for (unsigned int i = first; i < first + nr; i++)
		own[p][i] = true;
}

/* The file's pages at their own offset, so that page i of a place is page i of the file or none. */
static void put_file(unsigned int p, unsigned int first, unsigned int nr)
{
	uint8_t *at = place[p] + first * PAGE;
	void *got = mmap(at, nr * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, window->fd,
			 (off_t)(first * PAGE));

	assert_ptr_equal(got, at);
	for (unsigned int i = first; i < first + nr; i++)
		own[p][i] = false;
}

static void move(unsigned int from, unsigned int to, unsigned int first, unsigned int nr)
{
	uint8_t *at = place[from] + first * PAGE, *there = place[to] + first * PAGE;
	void *got = mremap(at, nr * PAGE, nr * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there);

	/* More than one mapping cannot be moved at once. */
	if (got == MAP_FAILED) {
		put_own(from, first, nr);
		put_file(to, first, nr);
		return;
	}
	for (unsigned int i = first; i < first + nr; i++)
		own[to][i] = own[from][i];
	put_own(from, first, nr);
}

static void change_protection(unsigned int p, unsigned int first, unsigned int nr)
{
	uint8_t *at = place[p] + first * PAGE;

	assert_int_equal(mprotect(at, nr * PAGE, PROT_READ), 0);
	assert_int_equal(mprotect(at, nr * PAGE, PROT_READ | PROT_WRITE), 0);
}

/* What is lost of the program's own memory is written again. */
static void advise(unsigned int p, unsigned int first, unsigned int nr, int advice)
{
	uint8_t *at = place[p] + first * PAGE;

	assert_int_equal(madvise(at, nr * PAGE, advice), 0);
	for (unsigned int i = 0; i < nr; i++)
		if (own[p][first + i])
			memset(at + i * PAGE, OWN, PAGE);
}

static void own_memory_is_whole(void)
{
	for (unsigned int p = 0; p < NR_PLACES; p++)
		for (unsigned int i = 0; i < PAGES; i++)
			if (own[p][i])
				assert_int_equal(place[p][i * PAGE + 77], OWN);
}

static void change_something(unsigned int *seed)
{
	unsigned int p = random_below(seed, NR_PLACES);
	unsigned int first = random_below(seed, PAGES);
	unsigned int nr = 1 + random_below(seed, PAGES - first);

	switch (random_below(seed, 7)) {
	case 0:
		put_own(p, first, nr);
		break;
	case 1:
	case 2:
		put_file(p, first, nr);
		break;
	case 3:
		move(p, (p + 1) % NR_PLACES, first, nr);
		break;
	case 4:
		change_protection(p, first, nr);
		break;
	case 5:
		advise(p, first, nr, MADV_DONTNEED);
		break;
	default:
		assert_int_equal(munmap(place[p] + first * PAGE, nr * PAGE), 0);
		put_own(p, first, nr);
		break;
	}
}

static void *change_mappings(void *arg)
{
	unsigned int seed = 1;

	while (!done) {
		change_something(&seed);
		if (++nr_changes % 16 == 0)
			own_memory_is_whole();
	}
	return NULL;
}

/* ---- the thread that converts, and looks ------------------------------------------------- */

static int byte_by_call(const uint8_t *p)
{
	uint8_t byte;
	struct iovec to = { &byte, 1 }, from = { (void *)p, 1 };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1 ? byte : -1;
}

/* The page is private: through no place can the file's byte be had. */
static void expect_nowhere(unsigned int page)
{
	for (unsigned int p = 0; p < NR_PLACES; p++) {
		int byte = byte_by_call(place[p] + page * PAGE + 9);

		nr_looks++;
		assert_true(byte == -1 || byte == OWN || byte == 0);
		/* And by a load, which ends somewhere. */
		window_read(place[p] + page * PAGE + 9);
	}
}

static void count_where(unsigned int page)
{
	for (unsigned int p = 0; p < NR_PLACES; p++)
		nr_seen += byte_by_call(place[p] + page * PAGE + 9) == (int)page + 1;
}

static void convert_and_look(unsigned int *seed)
{
	unsigned int first = random_below(seed, PAGES);
	unsigned int nr = 1 + random_below(seed, PAGES - first);
	int err = window_convert(window, first, nr, true);

	assert_int_equal(err, 0);
	for (unsigned int i = first; i < first + nr; i += 1 + nr / 4)
		expect_nowhere(i);
	assert_int_equal(window_convert(window, first, nr, false), 0);
	count_where(first);
}

static void nothing_private_is_seen_while_mappings_change(void **state)
{
	time_t end = time(NULL) + SECONDS;
	pthread_t thread;
	unsigned int seed = 7;

	window = *state;
	for (unsigned int p = 0; p < NR_PLACES; p++) {
		place[p] = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(place[p], MAP_FAILED);
		put_own(p, 0, PAGES);
	}
	assert_int_equal(pthread_create(&thread, NULL, change_mappings, NULL), 0);
	while (time(NULL) <= end)
		convert_and_look(&seed);
	done = true;
	pthread_join(thread, NULL);
	own_memory_is_whole();
	print_message("%lu changes, %lu looks, %lu times a shared page was met\n", nr_changes,
		      nr_looks, nr_seen);
	assert_true(nr_changes > 100 && nr_looks > 1000 && nr_seen > 10);
	for (unsigned int i = 0; i < PAGES; i++)
		expect_shown(window->map + i * PAGE, (uint8_t)(i + 1));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WINDOW_TEST(nothing_private_is_seen_while_mappings_change),
	};

	window_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
