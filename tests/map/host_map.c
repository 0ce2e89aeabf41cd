/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "map/host_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "os/os.h"

#define PAGE ((uint64_t)4096)
#define BASE ((uint64_t)1 << 40)
#define NR_PAGES 48
#define NR_OWNERS 3

struct owner {
	_Atomic int pins;
};

static struct owner owners[NR_OWNERS];

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

/* Files are told apart and never looked into, but for host_map_backing(). */
static struct gmem_file *file_of(int owner)
{
	return (struct gmem_file *)(void *)&owners[owner];
}

static int setup(void **state)
{
	memset(owners, 0, sizeof(owners));
	return host_map_create(&ops, (struct host_map **)state);
}

static int teardown(void **state)
{
	host_map_destroy(*state);
	for (int i = 0; i < NR_OWNERS; i++)
		assert_int_equal(owners[i].pins, 0);
	return 0;
}

static void add(struct host_map *m, uint64_t page, uint64_t nr, int owner, uint64_t pgoff)
{
	assert_int_equal(host_map_add(m, BASE + page * PAGE, nr * PAGE, file_of(owner),
				      &owners[owner], pgoff * PAGE),
			 0);
}

static void expect_piece(struct host_map *m, uint64_t at, uint64_t page, uint64_t nr, int owner,
			 uint64_t pgoff)
{
	struct host_map_range r;

	assert_true(host_map_find(m, BASE + at * PAGE, 1, &r));
	assert_int_equal(r.addr, BASE + page * PAGE);
	assert_int_equal(r.size, nr * PAGE);
	assert_ptr_equal(r.owner, &owners[owner]);
	assert_ptr_equal(r.file, file_of(owner));
	assert_int_equal(r.offset, pgoff * PAGE);
	put(r.owner);
}

static void expect_nothing(struct host_map *m, uint64_t page, uint64_t nr)
{
	struct host_map_range r;

	assert_false(host_map_find(m, BASE + page * PAGE, nr * PAGE, &r));
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
	host_map_remove(m, BASE, NR_PAGES * PAGE);
	assert_int_equal(owners[0].pins, 0);
	assert_false(host_map_any(m));
}

static void a_hole_makes_two_pieces_and_two_pins(void **state)
{
	struct host_map *m = *state;

	add(m, 0, 10, 0, 0);
	host_map_remove(m, BASE + 4 * PAGE, 2 * PAGE);
	assert_int_equal(owners[0].pins, 2);
	expect_piece(m, 3, 0, 4, 0, 0);
	expect_piece(m, 6, 6, 4, 0, 6);
	expect_nothing(m, 4, 2);
	host_map_remove(m, BASE, 5 * PAGE);
	assert_int_equal(owners[0].pins, 1);
	host_map_remove(m, BASE + 9 * PAGE, 3 * PAGE);
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

	assert_int_equal(host_map_create(&low, &m), 0);
	add(m, 0, 4, 0, 0);
	lowest = 100;
	add(m, 0, 4, 0, 8);
	assert_int_equal(host_map_move(m, BASE, 4 * PAGE, BASE + 10 * PAGE, 4 * PAGE, false), 0);
	assert_int_equal(lowest, 1);
	assert_int_equal(owners[0].pins, 1);
	host_map_destroy(m);
}

static void a_move_takes_the_offset_along(void **state)
{
	struct host_map *m = *state;

	add(m, 0, 8, 0, 100);
	assert_int_equal(
		host_map_move(m, BASE + 2 * PAGE, 4 * PAGE, BASE + 20 * PAGE, 6 * PAGE, false), 0);
	expect_piece(m, 22, 20, 6, 0, 102);
	expect_nothing(m, 2, 4);
	expect_piece(m, 0, 0, 2, 0, 100);
	expect_piece(m, 7, 6, 2, 0, 106);
	/* Grown and shrunk in place. */
	assert_int_equal(
		host_map_move(m, BASE + 20 * PAGE, 6 * PAGE, BASE + 20 * PAGE, 9 * PAGE, false), 0);
	expect_piece(m, 28, 20, 9, 0, 102);
	assert_int_equal(
		host_map_move(m, BASE + 20 * PAGE, 9 * PAGE, BASE + 20 * PAGE, PAGE, false), 0);
	expect_piece(m, 20, 20, 1, 0, 102);
	expect_nothing(m, 21, 8);
}

/* The kernel moves several mappings by one call, ours and others, since 6.17. */
static void several_mappings_move_each_to_its_place(void **state)
{
	struct host_map *m = *state;

	add(m, 2, 2, 0, 100);
	add(m, 6, 3, 1, 50);
	add(m, 22, 1, 0, 0);
	assert_int_equal(host_map_move(m, BASE, 8 * PAGE, BASE + 20 * PAGE, 8 * PAGE, false), 0);
	expect_nothing(m, 0, 8);
	expect_piece(m, 8, 8, 1, 1, 52);
	expect_nothing(m, 20, 2);
	expect_piece(m, 22, 22, 2, 0, 100);
	expect_nothing(m, 24, 2);
	expect_piece(m, 26, 26, 2, 1, 50);
	expect_nothing(m, 28, 10);
}

static void a_duplicate_leaves_the_old_one(void **state)
{
	struct host_map *m = *state;

	add(m, 0, 4, 0, 0);
	assert_int_equal(host_map_move(m, BASE, 0, BASE + 10 * PAGE, 4 * PAGE, false), 0);
	assert_int_equal(host_map_move(m, BASE, 4 * PAGE, BASE + 20 * PAGE, 4 * PAGE, true), 0);
	assert_int_equal(owners[0].pins, 3);
	expect_piece(m, 0, 0, 4, 0, 0);
	expect_piece(m, 10, 10, 4, 0, 0);
	expect_piece(m, 20, 20, 4, 0, 0);
}

static void a_foreign_mapping_moved_over_one_of_ours_drops_it(void **state)
{
	struct host_map *m = *state;

	add(m, 10, 4, 0, 0);
	assert_int_equal(host_map_move(m, BASE, 2 * PAGE, BASE + 10 * PAGE, 2 * PAGE, false), 0);
	expect_piece(m, 12, 12, 2, 0, 2);
	expect_nothing(m, 10, 2);
}

static void a_file_that_is_not_shared_is_mapped_as_an_empty_one(void **state)
{
	struct host_map *m = *state;
	struct gmem_file *shared, *hidden;
	struct stat st;
	int fd, again;

	assert_int_equal(gmem_file_create(PAGE, GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED, &shared),
			 0);
	assert_int_equal(gmem_file_create(PAGE, GMEM_FILE_MMAP, &hidden), 0);
	assert_int_equal(host_map_backing(m, shared, &fd), 0);
	assert_int_equal(fd, store_fd(gmem_file_store(shared)));
	assert_int_equal(host_map_backing(m, hidden, &fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(host_map_backing(m, hidden, &again), 0);
	assert_int_equal(again, fd);
	gmem_file_release(shared);
	gmem_file_put(shared);
	gmem_file_release(hidden);
	gmem_file_put(hidden);
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

static void model_move(struct model *model, uint64_t page, uint64_t nr, uint64_t to, bool keep_old)
{
	for (uint64_t i = 0; i < nr; i++) {
		model->owner[to + i] = model->owner[page + i];
		model->pgoff[to + i] = model->pgoff[page + i];
	}
	if (!keep_old)
		model_set(model, page, nr, -1, 0);
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
		host_map_remove(m, BASE + page * PAGE, nr * PAGE);
		model_set(model, page, nr, -1, 0);
		break;
	case 1:
		/* Not to where it overlaps itself. */
		if (to < page + nr && page < to + nr)
			break;
		assert_int_equal(host_map_move(m, BASE + page * PAGE, nr * PAGE, BASE + to * PAGE,
					       nr * PAGE, next(x) & 1),
				 0);
		model_move(model, page, nr, to, *x & 1);
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
	for (int i = 0; i < 20000; i++) {
		step(m, &model, &x);
		compare(m, &model);
	}
}

static void change_forever(void *arg)
{
	struct host_map *m = arg;
	uint64_t x = 7 + (uint64_t)(uintptr_t)&x;

	for (int i = 0; i < 20000; i++) {
		uint64_t page = next(&x) % NR_PAGES, nr = 1 + next(&x) % 5;
		struct host_map_range r;

		if (next(&x) & 1)
			add(m, page, nr, (int)(next(&x) % NR_OWNERS), page);
		else
			host_map_remove(m, BASE + page * PAGE, nr * PAGE);
		if (host_map_find(m, BASE + page * PAGE, 1, &r)) {
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
		T(replacing_a_mapping_by_the_same_file_keeps_the_file),
		T(a_move_takes_the_offset_along),
		T(several_mappings_move_each_to_its_place),
		T(a_duplicate_leaves_the_old_one),
		T(a_foreign_mapping_moved_over_one_of_ours_drops_it),
		T(a_file_that_is_not_shared_is_mapped_as_an_empty_one),
		T(the_registry_says_what_the_model_says),
		T(threads_beside_each_other_lose_no_pin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
