/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The registry: what it knows of mappings is what the program's calls have made of them. Files 0 and 1 cannot
 * be converted, file 2 can; what the first byte of a page says tells which page of which file it is.
 */
#include "map/host_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/attr_map.h"
#include "os/os.h"

#define PAGE ((uint64_t)4096)
#define NR_PAGES 48
#define FILE_PAGES 160
#define NR_OWNERS 3
#define RW (PROT_READ | PROT_WRITE)

struct owner {
	_Atomic int pins;
	struct host_file file;
};

static struct owner owners[NR_OWNERS];
static uint64_t base; /* NR_PAGES that are the test's */

static void get(void *owner)
{
	((struct owner *)owner)->pins++;
}

static void put(void *owner)
{
	int pins = ((struct owner *)owner)->pins--;

	assert_true(pins > 0);
}

static const struct host_map_ops ops = { .get = get, .put = put };

static uint8_t stamp(int owner, uint64_t pgoff)
{
	return (uint8_t)(1 + owner * 80 + (int)pgoff % 80);
}

static void make_file(struct host_map *m, int i)
{
	struct host_file *f = &owners[i].file;

	f->map = m;
	f->size = FILE_PAGES * PAGE;
	f->flags = GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED | (i == 2 ? GMEM_FILE_IN_PLACE : 0);
	assert_int_equal(os_memfd_create("file", f->size, &f->store_fd), 0);
	for (uint64_t p = 0; p < FILE_PAGES; p++) {
		uint8_t byte = stamp(i, p);

		assert_int_equal(pwrite(f->store_fd, &byte, 1, (off_t)(p * PAGE)), 1);
	}
	assert_int_equal(attr_map_create(ATTR_PRIVATE, 0, &f->state), 0);
}

static int setup_with(struct host_map **m, const struct host_map_ops *with)
{
	memset(owners, 0, sizeof(owners));
	assert_int_equal(host_map_create(with, m), 0);
	for (int i = 0; i < NR_OWNERS; i++)
		make_file(*m, i);
	base = (uintptr_t)mmap(NULL, NR_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);
	return 0;
}

static int setup(void **state)
{
	return setup_with((struct host_map **)state, &ops);
}

static int teardown(void **state)
{
	host_map_destroy(*state);
	munmap((void *)base, NR_PAGES * PAGE);
	for (int i = 0; i < NR_OWNERS; i++) {
		assert_int_equal(owners[i].pins, 0);
		attr_map_destroy(owners[i].file.state);
		os_fd_close(owners[i].file.store_fd);
	}
	return 0;
}

static void add(struct host_map *m, uint64_t page, uint64_t nr, int owner, uint64_t pgoff)
{
	uint64_t at;

	assert_int_equal(host_map_mmap(m, &owners[owner].file, &owners[owner], base + page * PAGE,
				       nr * PAGE, RW, MAP_SHARED | MAP_FIXED, pgoff * PAGE, &at),
			 0);
	assert_int_equal(at, base + page * PAGE);
}

/* Something else, so that nobody moves in. */
static void drop(struct host_map *m, uint64_t page, uint64_t nr)
{
	assert_int_equal(host_map_replace(m, base + page * PAGE, nr * PAGE, PROT_NONE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 (long)(base + page * PAGE));
}

static void move(struct host_map *m, uint64_t page, uint64_t nr, uint64_t to, uint64_t new_nr)
{
	assert_int_equal(host_map_mremap(m, base + page * PAGE, nr * PAGE, new_nr * PAGE,
					 MREMAP_MAYMOVE | MREMAP_FIXED, base + to * PAGE),
			 (long)(base + to * PAGE));
}

static void expect_piece(struct host_map *m, uint64_t at, uint64_t page, uint64_t nr, int owner,
			 uint64_t pgoff)
{
	struct host_map_range r;

	assert_true(host_map_find(m, base + at * PAGE, 1, &r));
	assert_int_equal(r.addr, base + page * PAGE);
	assert_int_equal(r.size, nr * PAGE);
	assert_ptr_equal(r.owner, &owners[owner]);
	assert_ptr_equal(r.file, &owners[owner].file);
	assert_int_equal(r.offset, pgoff * PAGE);
	put(r.owner);
	if (pgoff + (at - page) < FILE_PAGES)
		assert_int_equal(*(volatile uint8_t *)(base + at * PAGE),
				 stamp(owner, pgoff + (at - page)));
}

static void expect_nothing(struct host_map *m, uint64_t page, uint64_t nr)
{
	struct host_map_range r;

	assert_false(host_map_find(m, base + page * PAGE, nr * PAGE, &r));
}

static void a_mapping_is_found_and_pins_its_file(void **state)
{
	struct host_map *m = *state;

	assert_false(host_map_any(m));
	add(m, 4, 4, 0, 10);
	assert_true(host_map_any(m));
	assert_int_equal(owners[0].pins, 1);
	expect_piece(m, 7, 4, 4, 0, 10);
	expect_nothing(m, 3, 1);
	expect_nothing(m, 8, 1);
	drop(m, 0, NR_PAGES);
	assert_int_equal(owners[0].pins, 0);
	assert_false(host_map_any(m));
}

static void a_hole_makes_two_pieces_and_two_pins(void **state)
{
	struct host_map *m = *state;

	add(m, 0, 10, 0, 0);
	drop(m, 4, 2);
	assert_int_equal(owners[0].pins, 2);
	expect_piece(m, 3, 0, 4, 0, 0);
	expect_piece(m, 6, 6, 4, 0, 6);
	expect_nothing(m, 4, 2);
	drop(m, 0, 5);
	assert_int_equal(owners[0].pins, 1);
	drop(m, 9, 3);
	expect_piece(m, 6, 6, 3, 0, 6);
}

static void neighbours_that_continue_each_other_are_one(void **state)
{
	struct host_map *m = *state;

	add(m, 0, 2, 0, 0);
	add(m, 4, 2, 0, 4);
	assert_int_equal(owners[0].pins, 2);
	add(m, 2, 2, 0, 2);
	assert_int_equal(owners[0].pins, 1);
	expect_piece(m, 5, 0, 6, 0, 0);
	add(m, 6, 2, 0, 7);
	assert_int_equal(owners[0].pins, 2);
	add(m, 8, 2, 1, 9);
	expect_piece(m, 6, 6, 2, 0, 7);
}

static void what_is_mapped_over_is_dropped(void **state)
{
	struct host_map *m = *state;

	add(m, 0, 10, 0, 0);
	add(m, 2, 3, 1, 0);
	assert_int_equal(owners[0].pins, 2);
	assert_int_equal(owners[1].pins, 1);
	add(m, 0, 20, 2, 0);
	assert_int_equal(owners[0].pins, 0);
	assert_int_equal(owners[1].pins, 0);
}

static int lowest;

static void put_low(void *owner)
{
	put(owner);
	if (((struct owner *)owner)->pins < lowest)
		lowest = ((struct owner *)owner)->pins;
}

/* The last pin going means the file going: it must not happen on the way. */
static void replacing_a_mapping_by_the_same_file_keeps_the_file(void **state)
{
	struct host_map_ops low = { .get = get, .put = put_low };
	struct host_map *m;

	for (int i = 0; i < NR_OWNERS; i++) {
		setup_with(&m, &low);
		add(m, 0, 4, i, 0);
		lowest = 100;
		add(m, 0, 4, i, 8);
		move(m, 0, 4, 10, 4);
		assert_int_equal(lowest, 1);
		assert_int_equal(owners[i].pins, 1);
		teardown((void **)&m);
	}
}

static void a_move_takes_the_offset_along(void **state)
{
	struct host_map *m = *state;

	for (int i = 0; i < NR_OWNERS; i++) {
		add(m, 0, 8, i, 100);
		move(m, 2, 4, 20, 6);
		drop(m, 2, 4);
		expect_piece(m, 22, 20, 6, i, 102);
		expect_nothing(m, 2, 4);
		expect_piece(m, 0, 0, 2, i, 100);
		expect_piece(m, 7, 6, 2, i, 106);
		/* Shrunk in place, and grown. */
		assert_int_equal(host_map_mremap(m, base + 20 * PAGE, 6 * PAGE, PAGE, 0, 0),
				 (long)(base + 20 * PAGE));
		expect_piece(m, 20, 20, 1, i, 102);
		expect_nothing(m, 21, 8);
		assert_int_equal(host_map_mremap(m, base + 20 * PAGE, PAGE, 4 * PAGE, 0, 0),
				 (long)(base + 20 * PAGE));
		expect_piece(m, 23, 20, 4, i, 102);
		drop(m, 0, NR_PAGES);
	}
}

static void a_duplicate_leaves_the_old_one(void **state)
{
	struct host_map *m = *state;

	for (int i = 0; i < NR_OWNERS; i++) {
		add(m, 0, 4, i, 0);
		assert_int_equal(host_map_mremap(m, base, 0, 4 * PAGE,
						 MREMAP_MAYMOVE | MREMAP_FIXED, base + 10 * PAGE),
				 (long)(base + 10 * PAGE));
		assert_int_equal(owners[i].pins, 2);
		expect_piece(m, 0, 0, 4, i, 0);
		expect_piece(m, 12, 10, 4, i, 0);
		drop(m, 0, NR_PAGES);
	}
}

static void a_foreign_mapping_moved_over_one_of_ours_drops_it(void **state)
{
	struct host_map *m = *state;

	for (int i = 0; i < NR_OWNERS; i++) {
		add(m, 10, 4, i, 0);
		move(m, 0, 2, 10, 2);
		expect_piece(m, 12, 12, 2, i, 2);
		expect_nothing(m, 10, 2);
		drop(m, 0, NR_PAGES);
	}
}

/* Since 6.17 the kernel moves several mappings by one call, ours and others. */
static void several_mappings_move_each_to_its_place(void **state)
{
	struct host_map *m = *state;
	long ret;

	add(m, 2, 2, 0, 100);
	add(m, 6, 3, 1, 50);
	add(m, 22, 1, 0, 0);
	ret = host_map_mremap(m, base, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			      base + 20 * PAGE);
	if (ret == -EFAULT)
		skip();
	drop(m, 0, 8);
	expect_piece(m, 8, 8, 1, 1, 52);
	expect_nothing(m, 20, 2);
	expect_piece(m, 22, 22, 2, 0, 100);
	expect_nothing(m, 24, 2);
	expect_piece(m, 26, 26, 2, 1, 50);
	expect_nothing(m, 28, 10);
}

/* ---- against a model: who each page is of, and which page of the file ------------------------ */

struct model {
	int owner[NR_PAGES]; /* -1: nobody's */
	uint64_t pgoff[NR_PAGES];
};

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static bool continues(struct model *model, int page)
{
	return page > 0 && page < NR_PAGES && model->owner[page] == model->owner[page - 1] &&
	       model->pgoff[page] == model->pgoff[page - 1] + 1;
}

static void compare(struct host_map *m, struct model *model)
{
	int runs[NR_OWNERS] = { 0 };

	for (int first = 0, end; first < NR_PAGES; first = end) {
		for (end = first + 1; continues(model, end); end++)
			;
		if (model->owner[first] < 0) {
			end = first + 1;
			expect_nothing(m, (uint64_t)first, 1);
			continue;
		}
		runs[model->owner[first]]++;
		expect_piece(m, (uint64_t)end - 1, (uint64_t)first, (uint64_t)(end - first),
			     model->owner[first], model->pgoff[first]);
	}
	for (int i = 0; i < NR_OWNERS; i++)
		assert_int_equal(owners[i].pins, runs[i]);
	assert_int_equal(host_map_any(m), runs[0] + runs[1] + runs[2] > 0);
}

static void model_set(struct model *model, uint64_t page, uint64_t nr, int owner, uint64_t pgoff)
{
	for (uint64_t i = 0; i < nr; i++) {
		model->owner[page + i] = owner;
		model->pgoff[page + i] = pgoff + i;
	}
}

static void model_move(struct model *model, uint64_t page, uint64_t nr, uint64_t to)
{
	for (uint64_t i = 0; i < nr; i++) {
		model->owner[to + i] = model->owner[page + i];
		model->pgoff[to + i] = model->pgoff[page + i];
	}
	model_set(model, page, nr, -1, 0);
}

static bool is_one(struct model *model, uint64_t page, uint64_t nr)
{
	for (uint64_t i = 1; i < nr; i++)
		if (!continues(model, (int)(page + i)))
			return false;
	return model->owner[page] >= 0;
}

static void step(struct host_map *m, struct model *model, uint64_t *x)
{
	uint64_t page = next(x) % NR_PAGES, nr = 1 + next(x) % 12, to = next(x) % NR_PAGES;
	int owner = (int)(next(x) % NR_OWNERS);
	uint64_t pgoff = next(x) % 4 ? page : next(x) % 100;

	nr = nr < NR_PAGES - page ? nr : NR_PAGES - page;
	nr = nr < NR_PAGES - to ? nr : NR_PAGES - to;
	switch (next(x) % 4) {
	case 0:
		drop(m, page, nr);
		model_set(model, page, nr, -1, 0);
		break;
	case 1:
		/* Not to where it overlaps itself, and one mapping. */
		if ((to < page + nr && page < to + nr) || !is_one(model, page, nr))
			break;
		move(m, page, nr, to, nr);
		drop(m, page, nr);
		model_move(model, page, nr, to);
		break;
	default:
		add(m, page, nr, owner, pgoff);
		model_set(model, page, nr, owner, pgoff);
	}
}

static void the_registry_says_what_the_model_says(void **state)
{
	struct host_map *m = *state;
	struct model model;
	uint64_t x = 42;

	memset(&model, 0, sizeof(model));
	model_set(&model, 0, NR_PAGES, -1, 0);
	for (int i = 0; i < 4000; i++) {
		step(m, &model, &x);
		compare(m, &model);
	}
}

static void change_forever(void *arg)
{
	struct host_map *m = arg;
	uint64_t x = 7 + (uint64_t)(uintptr_t)&x;

	for (int i = 0; i < 3000; i++) {
		uint64_t page = next(&x) % NR_PAGES, nr = 1 + next(&x) % 5;
		struct host_map_range r;

		nr = nr < NR_PAGES - page ? nr : NR_PAGES - page;
		if (next(&x) & 1)
			add(m, page, nr, (int)(next(&x) % NR_OWNERS), page);
		else
			drop(m, page, nr);
		if (host_map_find(m, base + page * PAGE, 1, &r)) {
			assert_true(((struct owner *)r.owner)->pins > 0);
			put(r.owner);
		}
	}
}

static void threads_beside_each_other_lose_no_pin(void **state)
{
	struct os_thread *threads[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(os_thread_create(change_forever, *state, "mapper", &threads[i]),
				 0);
	for (int i = 0; i < 2; i++)
		os_thread_join(threads[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_mapping_is_found_and_pins_its_file),
		T(a_hole_makes_two_pieces_and_two_pins),
		T(neighbours_that_continue_each_other_are_one),
		T(what_is_mapped_over_is_dropped),
		cmocka_unit_test(replacing_a_mapping_by_the_same_file_keeps_the_file),
		T(a_move_takes_the_offset_along),
		T(several_mappings_move_each_to_its_place),
		T(a_duplicate_leaves_the_old_one),
		T(a_foreign_mapping_moved_over_one_of_ours_drops_it),
		T(the_registry_says_what_the_model_says),
		T(threads_beside_each_other_lose_no_pin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
