/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The registry without memory: a call that would need some changes nothing. */
#include "map/host_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "core/attr_map.h"
#include "map/guard.h"
#include "os/os.h"

#define PAGE ((uint64_t)4096)
#define RW (PROT_READ | PROT_WRITE)

static bool no_memory;
static int pins;

void *__real_os_alloc(size_t size);
void *__wrap_os_alloc(size_t size);
void *__wrap_os_alloc(size_t size)
{
	return no_memory ? NULL : __real_os_alloc(size);
}

/* As another thread may: once, where so much was unmapped, it maps something of its own. */
static uint64_t wanted_size;
static uint8_t *taken;

long __real_os_window_unmap(uint64_t addr, uint64_t size);
long __wrap_os_window_unmap(uint64_t addr, uint64_t size);
long __wrap_os_window_unmap(uint64_t addr, uint64_t size)
{
	long ret = __real_os_window_unmap(addr, size);

	if (size == wanted_size && !taken)
		taken = mmap((void *)(uintptr_t)addr, size, RW,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return ret;
}

static bool no_guard;
int __real_guard_add(struct guard *g, struct guard_window *w);
int __wrap_guard_add(struct guard *g, struct guard_window *w);
int __wrap_guard_add(struct guard *g, struct guard_window *w)
{
	return no_guard ? -ENOMEM : __real_guard_add(g, w);
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

static int map(struct host_map *m, struct host_file *f, uint64_t addr, uint64_t nr)
{
	uint64_t at;

	return host_map_mmap(m, f, &pins, addr, nr * PAGE, RW, MAP_SHARED | (addr ? MAP_FIXED : 0),
			     0, &at);
}

static void make_file(struct host_file *f, unsigned int flags)
{
	f->size = 64 * PAGE;
	f->flags = GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED | flags;
	assert_int_equal(os_memfd_create("file", f->size, &f->store_fd), 0);
	assert_int_equal(attr_map_create(ATTR_PRIVATE, 0, &f->state), 0);
}

static void nothing_is_lost(unsigned int flags)
{
	uint64_t base =
		(uintptr_t)mmap(NULL, 1024 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct host_file f = { 0 };
	struct host_map_range r;
	struct host_map *m;
	uint64_t nr = 0;

	make_file(&f, flags);
	assert_int_equal(host_map_create(&ops, &m), 0);
	assert_int_equal(map(m, &f, base, 10), 0);
	no_memory = true;
	/* As many as there is room for, and then no more. */
	while (!map(m, &f, base + (100 + 2 * nr) * PAGE, 1))
		nr++;
	assert_int_equal(pins, nr + 1);
	assert_int_equal(map(m, &f, base, 5), -ENOMEM);
	assert_int_equal(map(m, &f, 0, 5), -ENOMEM);
	assert_int_equal(host_map_mremap(m, base, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
					 base + 50 * PAGE),
			 -ENOMEM);
	assert_true(host_map_find(m, base, 1, &r));
	assert_int_equal(r.size, 10 * PAGE);
	put(r.owner);
	/* One hole there is room for. */
	assert_int_equal(host_map_munmap(m, base + 8 * PAGE, PAGE), 0);
	assert_int_equal(host_map_munmap(m, base + 2 * PAGE, PAGE), -ENOMEM);
	if (flags)
		assert_int_equal(host_map_mprotect(m, base + 2 * PAGE, PAGE, PROT_READ, -1),
				 -ENOMEM);
	((volatile uint8_t *)base)[2 * PAGE] = 1;
	/* What exists is converted all the same. */
	if (flags) {
		no_memory = false;
		assert_int_equal(attr_map_reserve(f.state, 0, 64), 0);
		no_memory = true;
		assert_int_equal(host_map_hide(m, &f, 0, 64 * PAGE), 0);
		assert_true(host_map_is_hidden(m, base + PAGE));
		assert_int_equal(host_map_show(m, &f, 0, 64 * PAGE), 0);
		assert_false(host_map_is_hidden(m, base + PAGE));
	}
	no_memory = false;
	assert_int_equal(host_map_munmap(m, base, 1024 * PAGE), 0);
	assert_int_equal(pins, 0);
	host_map_destroy(m);
	os_fd_close(f.store_fd);
	attr_map_destroy(f.state);
}

static void without_memory_nothing_is_lost(void **state)
{
	nothing_is_lost(0);
}

static void without_memory_no_window_is_lost(void **state)
{
	nothing_is_lost(GMEM_FILE_IN_PLACE);
}

static void what_another_thread_maps_where_a_mapping_failed_stays(void **state)
{
	struct host_file f = { 0 };
	struct host_map *m;

	wanted_size = 1024 * PAGE;
	make_file(&f, GMEM_FILE_IN_PLACE);
	assert_int_equal(host_map_create(&ops, &m), 0);
	no_guard = true;
	assert_int_equal(map(m, &f, 0, 1024), -ENOMEM);
	no_guard = false;
	wanted_size = 0;
	assert_non_null(taken);
	assert_int_equal(msync(taken, 1024 * PAGE, MS_ASYNC), 0);
	munmap(taken, 1024 * PAGE);
	host_map_destroy(m);
	attr_map_destroy(f.state);
	os_fd_close(f.store_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_memory_nothing_is_lost),
		cmocka_unit_test(without_memory_no_window_is_lost),
		cmocka_unit_test(what_another_thread_maps_where_a_mapping_failed_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
