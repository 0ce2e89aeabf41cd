/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A block of 2 MiB that windows have as a huge page while it is shared all through: threads of the host, system calls and guests
 * write beside a page that is private and shared again by turns, so that the block moves. No write is lost, none fails.
 */
#include "map/host_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../core/pool_run.h"
#include "map/host_map_private.h"
#include "map/pins.h"
#include "os/fail.h"
#include "os/os.h"
#include "os/window.h"

#define PAGE ((uint64_t)4096)
#define BLOCK ((uint64_t)2 << 20)
#define FLIPPED (100 * PAGE)
#define NR_FLIPS 40
#define FLAGS (GMEM_FILE_MMAP | GMEM_FILE_HUGETLB | GMEM_FILE_IN_PLACE | GMEM_FILE_HUGE_WINDOWS)

static struct gmem_file *file;
static struct host_file *host;
static uint8_t *windows[2];
static int ends[2];
static _Atomic bool stop;

static void count(void *owner)
{
}

static const struct host_map_ops ops = { .get = count, .put = count };

/* ---- who writes ---------------------------------------------------------------------------------- */

struct writer {
	uint64_t offset, count, failed;
};

static uint64_t *at(unsigned int window, const struct writer *w)
{
	return (uint64_t *)(void *)(windows[window] + w->offset);
}

static void by_hand(void *arg)
{
	struct writer *w = arg;

	for (; !atomic_load(&stop); w->count++)
		if (__atomic_fetch_add(at(w->count % 2, w), 1, __ATOMIC_RELAXED) != w->count)
			w->failed++;
}

static void by_system_call(void *arg)
{
	struct writer *w = arg;

	while (!atomic_load(&stop)) {
		uint64_t value = ++w->count;

		if (write(ends[1], &value, 8) != 8 || read(ends[0], at(w->count % 2, w), 8) != 8 ||
		    __atomic_load_n(at(0, w), __ATOMIC_RELAXED) != value)
			w->failed++;
	}
}

/* A guest without a translation that outlives the look. */
static void by_guest(void *arg)
{
	struct writer *w = arg;

	for (; !atomic_load(&stop); w->count++) {
		void *addr;
		int level;

		gmem_file_fault_begin(file);
		if (gmem_file_page(file, w->offset, &addr, &level) ||
		    __atomic_fetch_add((uint64_t *)addr, 1, __ATOMIC_RELAXED) != w->count)
			w->failed++;
		gmem_file_fault_end(file);
	}
}

static void touch(uint64_t offset)
{
	void *addr;
	int level;

	gmem_file_fault_begin(file);
	assert_int_equal(gmem_file_page(file, offset, &addr, &level), 0);
	gmem_file_fault_end(file);
}

/* ---- the test ------------------------------------------------------------------------------------ */

static bool is_huge(void)
{
	return store_is_huge(gmem_file_store(file), 0);
}

static int convert(uint64_t offset, uint64_t size, uint32_t attributes)
{
	struct gmem_conversion c = { .offset = offset, .size = size, .attributes = attributes };

	return host_file_convert(host, &c);
}

static void make_file(struct host_map *m, uint64_t size)
{
	assert_int_equal(gmem_file_create(size, FLAGS, &file), 0);
	assert_int_equal(host_file_create(m, file, &host), 0);
}

static uint8_t *map_window(struct host_map *m, uint64_t size)
{
	uint64_t addr;

	assert_int_equal(host_map_mmap(m, host, &file, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED,
				       0, &addr),
			 0);
	return (uint8_t *)(uintptr_t)addr;
}

static void drop_file(void)
{
	host_file_put(host);
	gmem_file_put(file);
}

/* What a call has under way is a reference, and refuses. */
static unsigned int flip(void)
{
	unsigned int nr_huge = 0;

	for (unsigned int i = 0; i < NR_FLIPS; i++) {
		int err;

		do
			err = convert(FLIPPED, PAGE, ATTR_PRIVATE);
		while (err == -EAGAIN);
		assert_int_equal(err, 0);
		assert_false(is_huge());
		assert_int_equal(convert(FLIPPED, PAGE, 0), 0);
		windows[i % 2][FLIPPED]++;
		nr_huge += is_huge();
	}
	return nr_huge;
}

static void no_write_beside_a_page_that_flips_is_lost(void **state)
{
	void (*const fns[])(void *) = { by_hand, by_system_call, by_guest };
	struct writer writers[3] = { { .offset = 3 * PAGE },
				     { .offset = 5 * PAGE },
				     { .offset = 7 * PAGE } };
	struct os_thread *threads[3];
	struct host_map *m = host_map_of_process(&ops);

	make_file(m, BLOCK + PAGE);
	for (int i = 0; i < 2; i++)
		windows[i] = map_window(m, BLOCK + PAGE);
	assert_int_equal(pipe(ends), 0);
	touch(3 * PAGE);
	assert_int_equal(convert(0, BLOCK, 0), 0);
	if (!is_huge())
		print_message("what is shared is small here: nothing moves\n");
	for (int i = 0; i < 3; i++)
		assert_int_equal(os_thread_create(fns[i], &writers[i], "writer", &threads[i]), 0);
	print_message("%u of %d together again at once\n", flip(), NR_FLIPS);
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++) {
		os_thread_join(threads[i]);
		assert_true(writers[i].count > 0);
		assert_int_equal(writers[i].failed, 0);
		assert_int_equal(*at(0, &writers[i]), writers[i].count);
	}
	assert_int_equal(windows[0][FLIPPED], NR_FLIPS);
	gmem_file_check(file);
	for (int i = 0; i < 2; i++)
		assert_int_equal(host_map_munmap(m, (uintptr_t)windows[i], BLOCK + PAGE), 0);
	drop_file();
	close(ends[0]);
	close(ends[1]);
}

static bool is_watched(struct host_map *m, uint64_t addr)
{
	return pieces_first(m, addr, addr + 1)->w.watched;
}

/* A file of one block with a window, shared after a page was touched. Is it huge? */
static bool share_block(struct host_map *m)
{
	make_file(m, BLOCK);
	windows[0] = map_window(m, BLOCK);
	touch(3 * PAGE);
	assert_int_equal(convert(0, BLOCK, 0), 0);
	return is_huge();
}

/* Such mappings join with nothing: what is shared is small when there are many. */
static void without_room_for_mappings_what_is_shared_is_small(void **state)
{
	struct host_map *m = host_map_of_process(&ops);
	bool huge;

	huge = share_block(m);
	assert_int_equal(convert(0, BLOCK, ATTR_PRIVATE), 0);
	guard_set_limits(&m->guard, 9, 9);
	assert_int_equal(convert(0, BLOCK, 0), 0);
	assert_false(is_huge());
	assert_int_equal(convert(0, BLOCK, ATTR_PRIVATE), 0);
	/* As many as the process has, and a quarter of it. */
	guard_set_limits(&m->guard, 5 * (uint64_t)os_window_count(), 1000);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(convert(0, BLOCK, 0), 0);
		assert_int_equal(convert(0, BLOCK, ATTR_PRIVATE), 0);
	}
	assert_int_equal(convert(0, BLOCK, 0), 0);
	assert_int_equal(is_huge(), huge);
	assert_int_equal(host_map_munmap(m, (uintptr_t)windows[0], BLOCK), 0);
	drop_file();
}

/* The mappings are spent, so marks of a userfaultfd hide single pages: in the same window, but nothing of the huge page. */
static void a_huge_page_in_a_window_with_marks_can_go(void **state)
{
	struct host_map *m = host_map_of_process(&ops);
	uint64_t addr, offset;
	int marks_fd;

	if (os_marks_open(&marks_fd))
		skip();
	os_fd_close(marks_fd);
	make_file(m, 2 * BLOCK);
	windows[0] = map_window(m, 2 * BLOCK);
	addr = (uintptr_t)windows[0];
	touch(3 * PAGE);
	assert_int_equal(convert(0, BLOCK, 0), 0);
	assert_int_equal(convert(BLOCK, PAGE, 0), 0);
	windows[0][3 * PAGE] = 3;
	guard_set_limits(&m->guard, 8, 8);
	for (offset = BLOCK; offset < BLOCK + 40 * PAGE; offset += 2 * PAGE)
		assert_int_equal(convert(offset, PAGE, 0), 0);
	for (offset = BLOCK; offset < BLOCK + 20 * PAGE; offset += 2 * PAGE)
		assert_int_equal(convert(offset, PAGE, ATTR_PRIVATE), 0);
	print_message("%s, %s\n", is_huge() ? "huge" : "small",
		      is_watched(m, addr) ? "with marks" : "without marks");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(convert(FLIPPED, PAGE, ATTR_PRIVATE), 0);
		assert_true(host_map_is_hidden(m, addr + FLIPPED));
		assert_false(is_huge());
		assert_int_equal(windows[0][3 * PAGE], 3);
		assert_int_equal(convert(FLIPPED, PAGE, 0), 0);
		assert_int_equal(windows[0][FLIPPED], 0);
		/* It does not come back while they are there. */
		assert_true(!is_huge() || !is_watched(m, addr));
	}
	gmem_file_check(file);
	assert_int_equal(host_map_munmap(m, addr, 2 * BLOCK), 0);
	drop_file();
}

static bool huge_when_shared(struct host_map *m)
{
	bool huge;

	huge = share_block(m);
	windows[0][3 * PAGE] = 3;
	assert_int_equal(convert(FLIPPED, PAGE, ATTR_PRIVATE), 0);
	assert_int_equal(windows[0][3 * PAGE], 3);
	assert_int_equal(host_map_munmap(m, (uintptr_t)windows[0], BLOCK), 0);
	drop_file();
	return huge;
}

static bool is_possible(void)
{
	int fd;

	if (!pins_are_exact() || os_closer_make(&fd))
		return false;
	os_fd_close(fd);
	return true;
}

static void who_had_no_descriptor_left_has_huge_pages_later(void **state)
{
	const struct os_fail_plan plan = { .points = 1u << OS_FAIL_MARKS, .nr = UINT64_MAX };
	struct host_map *m = host_map_of_process(&ops);

	if (!is_possible())
		skip();
	os_fail_arm(&plan);
	assert_false(huge_when_shared(m));
	os_fail_disarm(NULL);
	assert_true(huge_when_shared(m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_had_no_descriptor_left_has_huge_pages_later),
		cmocka_unit_test(without_room_for_mappings_what_is_shared_is_small),
		cmocka_unit_test(a_huge_page_in_a_window_with_marks_can_go),
		cmocka_unit_test(no_write_beside_a_page_that_flips_is_lost),
	};

	return pool_run(2, tests);
}
