/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Pins and mappings against conversions. Who has pinned a page, and could touch it afterwards, has it until he lets
 * go: it does not become private under him. And a mapping that is made shows no private page.
 */
#include "map/host_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "map/pins.h"
#include "os/os.h"

#define PAGE ((uint64_t)4096)
#define NR_PAGES 4
#define RUN_NS 700000000ull

static struct gmem_file *file;
static struct host_file *host;
static struct host_map *m;
static uint8_t *window;
static int ends[2];
static _Atomic bool stop;
static _Atomic uint64_t nr_held, nr_refused, nr_private;

static void count(void *owner)
{
}

static const struct host_map_ops ops = { .get = count, .put = count };

/* By the kernel: no signal. */
static bool readable(const uint8_t *at)
{
	uint8_t byte;

	if (write(ends[1], at, 1) != 1)
		return false;
	os_assert(read(ends[0], &byte, 1) == 1);
	return true;
}

/* Nobody but converts makes pages shared. */
static void converter(void *arg)
{
	for (uint64_t i = 0; !atomic_load(&stop); i++) {
		struct gmem_conversion c = { .offset = i / 2 % NR_PAGES * PAGE,
					     .size = PAGE,
					     .attributes = i % 2 ? 0 : ATTR_PRIVATE };
		int err = host_file_convert(host, &c);

		os_assert(!err || (err == -EAGAIN && c.attributes));
		if (c.attributes)
			atomic_fetch_add(err ? &nr_refused : &nr_private, 1);
	}
}

/* While nothing changes: in the middle of a change the two need not agree. */
static bool is_private(uint64_t page, const uint8_t *in, bool *seen)
{
	bool is;

	host_file_hold(host);
	is = gmem_file_is_private(file, page * PAGE);
	if (in)
		*seen = readable(in + page * PAGE);
	host_file_let(host);
	return is;
}

static void pin_and_look(uint64_t page)
{
	struct pin *pin;

	assert_int_equal(pin_intend(host, page * PAGE, 1, &pin), 0);
	if (readable(window + page * PAGE)) {
		atomic_fetch_add(&nr_held, 1);
		for (int i = 0; i < 20; i++)
			assert_false(is_private(page, NULL, NULL));
	}
	pin_drop(pin);
}

static void map_and_look(uint64_t page)
{
	uint64_t at;

	assert_int_equal(host_map_mmap(m, host, &file, 0, NR_PAGES * PAGE, PROT_READ, MAP_SHARED, 0,
				       &at),
			 0);
	for (int i = 0; i < 5; i++) {
		bool seen;
		bool is = is_private(page, (uint8_t *)(uintptr_t)at, &seen);

		assert_int_equal(seen, !is);
	}
	assert_int_equal(host_map_munmap(m, at, NR_PAGES * PAGE), 0);
}

static void race(void (*other)(uint64_t page))
{
	uint64_t start = os_clock_ns(), at;
	struct os_thread *thread;

	assert_int_equal(gmem_file_create(NR_PAGES * PAGE,
					  GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED |
						  GMEM_FILE_IN_PLACE,
					  &file),
			 0);
	assert_int_equal(host_map_create(&ops, &m), 0);
	assert_int_equal(host_file_create(m, file, &host), 0);
	assert_int_equal(host_map_mmap(m, host, &file, 0, NR_PAGES * PAGE, PROT_READ, MAP_SHARED, 0,
				       &at),
			 0);
	window = (uint8_t *)(uintptr_t)at;
	assert_int_equal(pipe(ends), 0);
	atomic_store(&stop, false);
	assert_int_equal(os_thread_create(converter, NULL, "converter", &thread), 0);
	for (uint64_t i = 0; os_clock_ns() - start < RUN_NS; i++)
		other(i % NR_PAGES);
	atomic_store(&stop, true);
	os_thread_join(thread);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(host_map_munmap(m, at, NR_PAGES * PAGE), 0);
	gmem_file_check(file);
	host_file_put(host);
	gmem_file_put(file);
	host_map_destroy(m);
}

static void who_has_a_pin_keeps_the_page(void **state)
{
	race(pin_and_look);
	print_message("%lu pins held, %lu conversions to private, %lu refused\n",
		      (unsigned long)nr_held, (unsigned long)nr_private, (unsigned long)nr_refused);
}

static void a_new_mapping_shows_no_private_page(void **state)
{
	race(map_and_look);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_a_pin_keeps_the_page),
		cmocka_unit_test(a_new_mapping_shows_no_private_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
