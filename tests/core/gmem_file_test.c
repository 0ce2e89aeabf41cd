/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The gmem_file: conversion, discard, release, and what its consumers hear of them. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "../cpu_time.h"
#include "core/binding.h"
#include "core/gmem_file.h"
#include "fail_alloc.h"
#include "fixture.h"
#include "recorder.h"

/* Owners of bindings. */
static char slot_a = 'a', slot_b = 'b', slot_c = 'c';

static int level_at(struct gmem_file *f, uint64_t offset)
{
	void *addr;
	int level;

	assert_int_equal(gmem_file_page(f, offset, &addr, &level), 0);
	return level;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void the_flag_says_what_pages_are_at_first(void **state)
{
	struct gmem_file *f = file_of(4 * MB, GMEM_FILE_MMAP);

	assert_true(all_are(f, 0, 4 * MB, P));
	assert_int_equal(gmem_file_size(f), 4 * MB);
	assert_int_equal(gmem_file_flags(f), GMEM_FILE_MMAP | GMEM_FILE_IN_PLACE);
	close_file(f);
	f = file_of(4 * MB, GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED);
	assert_true(all_are(f, 0, 4 * MB, 0));
	close_file(f);
}

static void a_page_has_an_address_and_a_level(void **state)
{
	struct gmem_file *f = file_of(2 * GB + 4 * MB + PAGE, 0);
	void *addr;
	int level;

	assert_int_equal(level_at(f, 5 * PAGE), LEVEL_1G);
	assert_int_equal(level_at(f, 2 * GB), LEVEL_2M);
	assert_int_equal(level_at(f, 2 * GB + 4 * MB), LEVEL_4K);
	page_at(f, GB + PAGE)[1] = 7;
	assert_int_equal(page_at(f, GB)[PAGE + 1], 7);
	assert_int_equal(gmem_file_page(f, 2 * GB + 4 * MB + PAGE, &addr, &level), -EFAULT);

	/* Mixed attributes forbid the larger leaf, uniform ones allow it again. */
	assert_int_equal(convert(f, GB + 6 * PAGE, PAGE, 0), 0);
	assert_int_equal(level_at(f, 0), LEVEL_1G);
	assert_int_equal(level_at(f, GB), LEVEL_4K);
	assert_int_equal(level_at(f, GB + 2 * MB), LEVEL_2M);
	assert_int_equal(convert(f, GB + 6 * PAGE, PAGE, P), 0);
	assert_int_equal(level_at(f, GB), LEVEL_1G);
	close_file(f);
}

static void the_biggest_file_works_to_its_end(void **state)
{
	uint64_t size = (uint64_t)INT64_MAX - PAGE + 1;
	struct gmem_file *f = file_of(size, 0);

	page_at(f, size - PAGE)[PAGE - 1] = 1;
	page_at(f, 0)[0] = 1;
	assert_int_equal(convert(f, size - PAGE, PAGE, 0), 0);
	assert_int_equal(convert(f, 0, size, 0), 0);
	assert_true(all_are(f, 0, size, 0));
	assert_int_equal(gmem_file_punch(f, 0, size), 0);
	assert_int_equal(page_at(f, size - PAGE)[PAGE - 1], 0);
	gmem_file_release(f);
	assert_int_equal(store_backed(gmem_file_store(f)), 0);
	close_file(f);
}

static void allocation_backs_pages(void **state)
{
	struct gmem_file *f = file_of(MB, 0);

	assert_int_equal(gmem_file_allocate(f, PAGE, 3 * PAGE), 0);
	assert_int_equal(store_backed(gmem_file_store(f)), 3 * PAGE);
	close_file(f);
}

/* ---- conversion ------------------------------------------------------------------------------ */

static void a_conversion_is_a_bracket_around_the_change(void **state)
{
	struct gmem_file *f = file_of(4 * MB, GMEM_FILE_INIT_SHARED);
	struct recorder r[2];
	unsigned int i;

	recorders_add(r, 2, f);
	assert_int_equal(convert(f, MB, MB, P), 0);
	assert_string_equal(diary(), "ap bp ab bb ae be");
	assert_true(all_are(f, MB, MB, P));
	assert_true(all_are(f, 0, MB, 0) && all_are(f, 2 * MB, 2 * MB, 0));
	for (i = 0; i < 2; i++) {
		assert_int_equal(r[i].value_at_begin, 0);
		assert_int_equal(r[i].value_at_end, P);
		assert_int_equal(r[i].last.kind, GMEM_CHANGE_CONVERT);
		assert_int_equal(r[i].last.offset, MB);
		assert_int_equal(r[i].last.size, MB);
		assert_int_equal(r[i].last.attributes, P);
		assert_int_equal(r[i].last.generation, 1);
	}
	recorders_remove(r, 2);
	close_file(f);
}

static void a_conversion_to_shared_cannot_be_refused_by_a_pin(void **state)
{
	struct gmem_file *f = file_of(4 * MB, 0);
	struct recorder r[2];

	recorders_add(r, 2, f);
	r[0].refuse_prepare = -EAGAIN;
	assert_int_equal(convert(f, 0, 4 * MB, 0), 0);
	assert_string_equal(diary(), "ab bb ae be");
	recorders_remove(r, 2);
	close_file(f);
}

static void a_refusal_touches_nothing(void **state)
{
	struct gmem_file *f = file_of(4 * MB, GMEM_FILE_INIT_SHARED);
	struct recorder r[3];
	uint64_t where = 0;

	recorders_add(r, 3, f);
	r[1].refuse_prepare = -EAGAIN;
	r[1].refuse = &(struct gmem_refused){ 3 * PAGE, PAGE };
	r[1].nr_refuse = 1;
	assert_int_equal(convert_where(f, 0, MB, P, &where), -EAGAIN);
	assert_int_equal(where, 3 * PAGE);
	assert_string_equal(diary(), "ap bp cp");
	assert_true(all_are(f, 0, 4 * MB, 0));

	/* The pin is dropped, the same call goes through. */
	diary_clear();
	r[1].refuse_prepare = 0;
	assert_int_equal(convert(f, 0, MB, P), 0);
	assert_string_equal(diary(), "ap bp cp ab bb cb ae be ce");
	recorders_remove(r, 3);
	close_file(f);
}

static void a_failed_begin_aborts_exactly_those_that_began(void **state)
{
	struct gmem_file *f = file_of(4 * MB, GMEM_FILE_INIT_SHARED);
	struct recorder r[4];
	uint64_t where = 0;

	recorders_add(r, 4, f);
	r[2].refuse_begin = -EAGAIN;
	assert_int_equal(convert_where(f, MB, PAGE, P, &where), -EAGAIN);
	assert_int_equal(where, MB);
	assert_string_equal(diary(), "ap bp cp dp ab bb cb ax bx");
	assert_true(all_are(f, 0, 4 * MB, 0));
	gmem_file_check(f);

	diary_clear();
	r[2].refuse_begin = 0;
	assert_int_equal(convert(f, MB, PAGE, P), 0);
	assert_string_equal(diary(), "ap bp cp dp ab bb cb db ae be ce de");
	recorders_remove(r, 4);
	close_file(f);
}

static void what_is_so_already_is_told_to_nobody(void **state)
{
	struct gmem_file *f = file_of(4 * MB, 0);
	struct recorder r;

	recorders_add(&r, 1, f);
	r.refuse_prepare = -EAGAIN;
	assert_int_equal(convert(f, 0, 4 * MB, P), 0);
	assert_string_equal(diary(), "");
	assert_int_equal(r.last.generation, 0);
	recorders_remove(&r, 1);
	close_file(f);
}

static void contents_survive_conversions(void **state)
{
	struct gmem_file *f = file_of(4 * MB, 0);

	memset(page_at(f, MB), 0x5a, MB);
	assert_int_equal(convert(f, MB + PAGE, PAGE, 0), 0);
	assert_int_equal(convert(f, 0, 4 * MB, 0), 0);
	assert_int_equal(convert(f, 0, 4 * MB, P), 0);
	assert_int_equal(page_at(f, MB)[0], 0x5a);
	assert_int_equal(memcmp(page_at(f, MB), page_at(f, MB) + 1, MB - 1), 0);
	assert_int_equal(store_backed(gmem_file_store(f)), MB);
	close_file(f);
}

static void no_memory_changes_nothing(void **state)
{
	struct gmem_file *f = file_of(4 * GB, GMEM_FILE_INIT_SHARED);
	struct recorder r[2];
	uint64_t where;
	long allowed;
	int err = -ENOMEM;
	void *page;

	/* The recorders look at it. */
	assert_int_equal(store_address(gmem_file_store(f), 3 * PAGE, &page), 0);
	recorders_add(r, 2, f);
	for (allowed = 0; err; allowed++) {
		diary_clear();
		allow_allocs(allowed);
		err = convert_where(f, 3 * PAGE, 2 * GB, P, &where);
		allow_allocs(ALLOW_ALL);
		gmem_file_check(f);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(where, 3 * PAGE);
		assert_string_equal(diary(), "ap bp");
		assert_true(all_are(f, 0, 4 * GB, 0));
	}
	assert_true(allowed > 1);
	assert_true(all_are(f, 3 * PAGE, 2 * GB, P));
	recorders_remove(r, 2);
	close_file(f);
}

static void creation_may_fail_anywhere(void **state)
{
	uint64_t before = os_alloc_live();
	struct gmem_file *f = NULL;
	long allowed;
	int err = -ENOMEM;

	for (allowed = 0; err; allowed++) {
		allow_allocs(allowed);
		err = gmem_file_create(4 * MB, 0, &f);
		allow_allocs(ALLOW_ALL);
		assert_true(!err || err == -ENOMEM);
		if (err)
			assert_int_equal(os_alloc_live(), before);
	}
	assert_true(allowed > 2);
	gmem_file_put(f);
}

/* ---- discard --------------------------------------------------------------------------------- */

static void a_punch_is_a_bracket_that_nobody_refuses(void **state)
{
	struct gmem_file *f = file_of(4 * MB, 0);
	struct recorder r[2];

	recorders_add(r, 2, f);
	r[0].refuse_prepare = -EAGAIN;
	memset(page_at(f, 0), 0x77, 4 * MB);
	assert_int_equal(convert(f, MB + PAGE, PAGE, 0), 0);
	diary_clear();
	assert_int_equal(gmem_file_punch(f, MB, MB), 0);
	assert_string_equal(diary(), "ab bb ae be");
	assert_int_equal(r[0].last.kind, GMEM_CHANGE_DISCARD);
	assert_int_equal(r[0].last.generation, 2);
	assert_int_equal(r[0].byte_at_begin, 0x77);
	assert_int_equal(r[0].byte_at_end, 0);
	assert_int_equal(page_at(f, 2 * MB - PAGE)[PAGE - 1], 0);
	assert_int_equal(page_at(f, MB - PAGE)[PAGE - 1], 0x77);
	assert_int_equal(page_at(f, 2 * MB)[0], 0x77);
	/* A page is what it was, though it is empty. */
	assert_true(all_are(f, MB + PAGE, PAGE, 0));
	assert_true(all_are(f, MB, PAGE, P));
	recorders_remove(r, 2);
	close_file(f);
}

static void a_punch_ends_with_the_file(void **state)
{
	struct gmem_file *f = file_of(4 * MB, 0);
	struct recorder r;

	recorders_add(&r, 1, f);
	assert_int_equal(gmem_file_punch(f, 3 * MB, UINT64_MAX - 8 * MB + 1), 0);
	assert_int_equal(r.last.offset, 3 * MB);
	assert_int_equal(r.last.size, MB);
	diary_clear();
	assert_int_equal(gmem_file_punch(f, 4 * MB, MB), 0);
	assert_string_equal(diary(), "");
	recorders_remove(&r, 1);
	close_file(f);
}

/* ---- bindings -------------------------------------------------------------------------------- */

static void one_page_has_one_slot(void **state)
{
	struct gmem_file *f = file_of(4 * MB, 0);
	struct gmem_binding *a, *b, *c;

	assert_int_equal(gmem_file_bind(f, MB, MB, &slot_a, &a), 0);
	assert_int_equal(gmem_file_bind(f, MB, MB, &slot_b, &b), -EEXIST);
	assert_int_equal(gmem_file_bind(f, 0, MB + PAGE, &slot_b, &b), -EEXIST);
	assert_int_equal(gmem_file_bind(f, 2 * MB - PAGE, MB, &slot_b, &b), -EEXIST);
	assert_int_equal(gmem_file_bind(f, MB + PAGE, PAGE, &slot_b, &b), -EEXIST);
	assert_int_equal(gmem_file_bind(f, 0, 4 * MB, &slot_b, &b), -EEXIST);
	assert_int_equal(gmem_file_bind(f, 0, MB, &slot_b, &b), 0);
	assert_int_equal(gmem_file_bind(f, 2 * MB, 2 * MB, &slot_c, &c), 0);
	gmem_file_check(f);
	gmem_file_unbind(f, a);
	assert_int_equal(gmem_file_bind(f, MB + PAGE, PAGE, &slot_a, &a), 0);
	gmem_file_unbind(f, a);
	gmem_file_unbind(f, b);
	gmem_file_unbind(f, c);
	close_file(f);
}

struct parts {
	char owners[8];
	uint64_t offset[8], size[8];
	unsigned int nr;
};

static void note_part(void *arg, void *owner, uint64_t offset, uint64_t size)
{
	struct parts *p = arg;

	assert_true(p->nr < 8);
	p->owners[p->nr] = *(const char *)owner;
	p->offset[p->nr] = offset;
	p->size[p->nr++] = size;
}

static void bindings_are_found_in_order_and_in_part(void **state)
{
	struct gmem_file *f = file_of(8 * MB, 0);
	struct gmem_binding *a, *b, *c;
	struct parts p = { 0 };

	assert_int_equal(gmem_file_bind(f, 6 * MB, MB, &slot_c, &c), 0);
	assert_int_equal(gmem_file_bind(f, MB, MB, &slot_a, &a), 0);
	assert_int_equal(gmem_file_bind(f, 3 * MB, MB, &slot_b, &b), 0);
	gmem_file_fault_begin(f);
	gmem_file_for_bindings(f, MB + PAGE, 5 * MB, note_part, &p);
	assert_string_equal(p.owners, "abc");
	assert_int_equal(p.offset[0], MB + PAGE);
	assert_int_equal(p.size[0], MB - PAGE);
	assert_int_equal(p.offset[1], 3 * MB);
	assert_int_equal(p.size[1], MB);
	assert_int_equal(p.offset[2], 6 * MB);
	assert_int_equal(p.size[2], PAGE);
	p.nr = 0;
	gmem_file_for_bindings(f, 2 * MB, MB, note_part, &p);
	gmem_file_for_bindings(f, 7 * MB, MB, note_part, &p);
	gmem_file_for_bindings(f, 0, MB, note_part, &p);
	assert_int_equal(p.nr, 0);
	gmem_file_fault_end(f);
	gmem_file_unbind(f, a);
	gmem_file_unbind(f, b);
	gmem_file_unbind(f, c);
	close_file(f);
}

#define MANY 32764

static void count_part(void *arg, void *owner, uint64_t offset, uint64_t size)
{
	unsigned int *nr = arg;

	assert_ptr_equal(owner, (void *)(uintptr_t)(offset / (2 * PAGE) + 1));
	assert_int_equal(size, PAGE);
	(*nr)++;
}

static void all_slots_of_a_vm_bind_fast(void **state)
{
	static struct gmem_binding *bindings[MANY];
	static uint32_t order[MANY];
	struct gmem_file *f = file_of(2 * PAGE * MANY, 0);
	struct gmem_binding *extra;
	struct rng rng = { 9 };
	uint64_t start = cpu_time_ns();
	uint32_t i, j, t, k, n;

	for (i = 0; i < MANY; i++)
		order[i] = i;
	for (i = MANY - 1; i; i--) {
		j = (uint32_t)rng_below(&rng, i + 1);
		t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
	for (i = 0; i < MANY; i++) {
		k = order[i];
		assert_int_equal(gmem_file_bind(f, 2 * PAGE * k, PAGE, (void *)(uintptr_t)(k + 1),
						&bindings[k]),
				 0);
	}
	gmem_file_check(f);
	for (i = 0; i < MANY; i++) {
		n = 0;
		gmem_file_for_bindings(f, 2 * PAGE * i, 7 * PAGE, count_part, &n);
		assert_int_equal(n, i + 4 <= MANY ? 4 : MANY - i);
		assert_int_equal(gmem_file_bind(f, 2 * PAGE * i, 2 * PAGE, NULL, &extra), -EEXIST);
	}
	for (i = 0; i < MANY / 2; i++)
		gmem_file_unbind(f, bindings[order[i]]);
	gmem_file_check(f);
	for (; i < MANY; i++)
		gmem_file_unbind(f, bindings[order[i]]);
	/* Sanitizers included; a list would take minutes. */
	assert_true(cpu_time_ns() - start < 5000000000ull);
	close_file(f);
}

static unsigned int depth_of(const struct gmem_binding *b)
{
	unsigned int left, right;

	if (!b)
		return 0;
	left = depth_of(b->left);
	right = depth_of(b->right);
	return 1 + (left > right ? left : right);
}

static void the_tree_is_shallow_in_any_order(void **state)
{
	static struct gmem_binding b[MANY];
	uint32_t order, i;

	for (order = 0; order < 3; order++) {
		struct binding_tree tree = { 0 };

		for (i = 0; i < MANY; i++) {
			uint32_t k = order == 0 ? i : order == 1 ? MANY - i : (i * 7919) % MANY;

			b[i].offset = k * PAGE;
			b[i].size = PAGE;
			assert_int_equal(binding_insert(&tree, &b[i]), 0);
		}
		binding_check(&tree, (MANY + 1) * PAGE);
		assert_true(depth_of(tree.root) < 60);
		for (i = 0; i < MANY; i += 2)
			binding_remove(&tree, &b[i]);
		binding_check(&tree, (MANY + 1) * PAGE);
		assert_int_equal(tree.nr, MANY / 2);
	}
}

/* ---- release --------------------------------------------------------------------------------- */

static void release_tells_and_forgets(void **state)
{
	struct gmem_file *f = file_of(4 * MB, 0);
	struct gmem_binding *a, *b;
	struct parts p = { 0 };
	struct recorder r[2];
	void *addr;
	int level;

	recorders_add(r, 2, f);
	assert_int_equal(gmem_file_bind(f, 0, MB, &slot_a, &a), 0);
	assert_int_equal(gmem_file_bind(f, MB, MB, &slot_b, &b), 0);
	page_at(f, 0)[0] = 1;
	gmem_file_get(f);
	gmem_file_release(f);
	assert_string_equal(diary(), "ab bb ae be");
	assert_int_equal(r[1].last.kind, GMEM_CHANGE_RELEASE);
	assert_int_equal(r[1].last.size, 4 * MB);
	assert_int_equal(gmem_file_page(f, 0, &addr, &level), -EFAULT);
	assert_int_equal(store_backed(gmem_file_store(f)), 0);
	gmem_file_fault_begin(f);
	gmem_file_for_bindings(f, 0, 4 * MB, note_part, &p);
	gmem_file_fault_end(f);
	assert_int_equal(p.nr, 0);
	assert_int_equal(gmem_file_bind(f, 2 * MB, MB, &slot_c, &b), -EBADF);

	/* An owner may come late, or never. */
	gmem_file_unbind(f, a);
	recorders_remove(r, 1);
	diary_clear();
	assert_int_equal(gmem_file_punch(f, 0, MB), 0);
	assert_string_equal(diary(), "");
	gmem_file_put(f);
	close_file(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_flag_says_what_pages_are_at_first),
		cmocka_unit_test(a_page_has_an_address_and_a_level),
		cmocka_unit_test(the_biggest_file_works_to_its_end),
		cmocka_unit_test(allocation_backs_pages),
		cmocka_unit_test(a_conversion_is_a_bracket_around_the_change),
		cmocka_unit_test(a_conversion_to_shared_cannot_be_refused_by_a_pin),
		cmocka_unit_test(a_refusal_touches_nothing),
		cmocka_unit_test(a_failed_begin_aborts_exactly_those_that_began),
		cmocka_unit_test(what_is_so_already_is_told_to_nobody),
		cmocka_unit_test(contents_survive_conversions),
		cmocka_unit_test(no_memory_changes_nothing),
		cmocka_unit_test(creation_may_fail_anywhere),
		cmocka_unit_test(a_punch_is_a_bracket_that_nobody_refuses),
		cmocka_unit_test(a_punch_ends_with_the_file),
		cmocka_unit_test(one_page_has_one_slot),
		cmocka_unit_test(bindings_are_found_in_order_and_in_part),
		cmocka_unit_test(all_slots_of_a_vm_bind_fast),
		cmocka_unit_test(the_tree_is_shallow_in_any_order),
		cmocka_unit_test(release_tells_and_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
