/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The registry without memory: an add changes nothing, a hole keeps more pinned than need be. */
#include "map/host_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "os/os.h"

#define PAGE ((uint64_t)4096)
#define BASE ((uint64_t)1 << 40)

static bool no_memory;
static int pins;

void *__real_os_alloc(size_t size);
void *__wrap_os_alloc(size_t size);
void *__wrap_os_alloc(size_t size)
{
	return no_memory ? NULL : __real_os_alloc(size);
}

static void get(void *owner)
{
	pins++;
}

static void put(void *owner)
{
	pins--;
}

static const struct host_map_ops ops = { .get = get, .put = put };

static int add(struct host_map *m, uint64_t page, uint64_t nr)
{
	return host_map_add(m, BASE + page * PAGE, nr * PAGE, NULL, &pins, 0);
}

static void without_memory_nothing_is_lost(void **state)
{
	struct host_map_range r;
	struct host_map *m;
	int nr = 0;

	assert_int_equal(host_map_create(&ops, &m), 0);
	assert_int_equal(add(m, 0, 10), 0);
	no_memory = true;
	/* As many as there is room for, and then no more. */
	while (!add(m, 100 + 2 * (uint64_t)nr, 1))
		nr++;
	assert_int_equal(pins, nr + 1);
	assert_int_equal(add(m, 0, 5), -ENOMEM);
	assert_int_equal(host_map_move(m, BASE, 5 * PAGE, BASE + 50 * PAGE, 5 * PAGE, false),
			 -ENOMEM);
	assert_true(host_map_find(m, BASE, 1, &r));
	assert_int_equal(r.size, 10 * PAGE);
	put(r.owner);
	/* The room kept for a split is used up by the first. */
	host_map_remove(m, BASE + 2 * PAGE, PAGE);
	host_map_remove(m, BASE + 5 * PAGE, PAGE);
	assert_true(host_map_find(m, BASE + 5 * PAGE, PAGE, &r));
	put(r.owner);
	no_memory = false;
	host_map_remove(m, BASE, 1000 * PAGE);
	assert_int_equal(pins, 0);
	host_map_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_memory_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
