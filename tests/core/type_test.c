/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a VM type is told. The test type keeps, page by page, what hardware would: whether a page is the guest's,
 * and whether it is prepared; and asserts with every call that the page is present, that the call says something
 * new, and that it comes inside a bracket where one is due.
 */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fail_alloc.h"
#include "fixture.h"
#include "recorder.h"

#define NR_PAGES 600ull
#define MAX_CALLS 2000

struct call {
	char what; /* p: prepare, P: make_private, S: make_shared, R: reclaim */
	uint64_t offset, size;
};

static struct type {
	struct gmem_file *file;
	struct gmem_consumer consumer;
	bool inside;	     /* between begin and end */
	uint32_t attributes; /* of the change */
	enum gmem_change_kind kind;
	bool prepared[NR_PAGES];
	int refuse_prepare;
	struct call calls[MAX_CALLS];
	unsigned int nr_calls;
} type;

static void note(char what, uint64_t offset, uint64_t size)
{
	os_assert(type.nr_calls < MAX_CALLS);
	type.calls[type.nr_calls++] = (struct call){ what, offset, size };
}

static void assert_present(uint64_t offset, uint64_t size)
{
	uint64_t from = offset, nr;

	assert_true(size && offset + size <= gmem_file_size(type.file));
	assert_true(store_next_present(gmem_file_store(type.file), &from, offset + size, &nr));
	assert_int_equal(from, offset);
	assert_int_equal(nr, size);
}

static int prepare(void *arg, uint64_t offset, uint64_t size)
{
	assert_ptr_equal(arg, &type);
	assert_false(type.inside);
	assert_int_equal(size, PAGE);
	assert_present(offset, size);
	assert_true(gmem_file_is_private(type.file, offset));
	assert_false(type.prepared[offset / PAGE]);
	note('p', offset, size);
	if (!type.refuse_prepare)
		type.prepared[offset / PAGE] = true;
	return type.refuse_prepare;
}

static void make(char what, uint64_t offset, uint64_t size)
{
	assert_true(type.inside && type.kind == GMEM_CHANGE_CONVERT);
	assert_int_equal(type.attributes, what == 'P' ? P : 0);
	assert_present(offset, size);
	/* The map still says what it was. */
	assert_true(all_are(type.file, offset, size, what == 'P' ? 0 : P));
	note(what, offset, size);
}

static void forget(uint64_t offset, uint64_t size)
{
	memset(type.prepared + offset / PAGE, 0, size / PAGE);
}

static void make_private(void *arg, uint64_t offset, uint64_t size)
{
	make('P', offset, size);
}

static void make_shared(void *arg, uint64_t offset, uint64_t size)
{
	make('S', offset, size);
	forget(offset, size);
}

static void reclaim(void *arg, uint64_t offset, uint64_t size)
{
	assert_true(type.inside && type.kind != GMEM_CHANGE_CONVERT);
	assert_present(offset, size);
	note('R', offset, size);
	forget(offset, size);
}

static int watch_begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	assert_false(type.inside);
	type.inside = true;
	type.attributes = ch->attributes;
	type.kind = ch->kind;
	return 0;
}

static void watch_end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	type.inside = false;
}

static const struct gmem_consumer_ops watch_ops = { .begin = watch_begin, .end = watch_end };
static const struct gmem_type_ops type_ops = { prepare, make_private, make_shared, reclaim };

static void open_type(unsigned int flags)
{
	memset(&type, 0, sizeof(type));
	type.file = file_of(NR_PAGES * PAGE, flags);
	gmem_file_set_type(type.file, &type_ops, &type);
	type.consumer.ops = &watch_ops;
	gmem_file_add_consumer(type.file, &type.consumer);
}

static void close_type(void)
{
	gmem_file_remove_consumer(type.file, &type.consumer);
	close_file(type.file);
}

static void touch(uint64_t page, uint64_t nr)
{
	for (; nr; page++, nr--)
		page_at(type.file, page * PAGE)[0] = 1;
}

/* Everything told since the last time, in pages: "P3+1 S7+20". */
static const char *told(void)
{
	static char text[1024];
	unsigned int i;
	int at = 0;

	text[0] = 0;
	for (i = 0; i < type.nr_calls && at < (int)sizeof(text); i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%c%llu+%llu", i ? " " : "",
			       type.calls[i].what, type.calls[i].offset / (unsigned long long)PAGE,
			       type.calls[i].size / (unsigned long long)PAGE);
	type.nr_calls = 0;
	return text;
}

static int to(uint32_t attributes, uint64_t page, uint64_t nr)
{
	return convert(type.file, page * PAGE, nr * PAGE, attributes);
}

static int prepare_page(uint64_t page)
{
	int err;

	gmem_file_fault_begin(type.file);
	err = gmem_file_prepare(type.file, page * PAGE);
	gmem_file_fault_end(type.file);
	return err;
}

/* ---- conversion -------------------------------------------------------------------------------- */

static void it_hears_of_present_pages_only(void **state)
{
	open_type(GMEM_FILE_INIT_SHARED);
	assert_int_equal(to(P, 0, NR_PAGES), 0);
	assert_string_equal(told(), "");
	assert_int_equal(to(0, 0, NR_PAGES), 0);
	touch(3, 1);
	touch(7, 20);
	touch(599, 1);
	assert_int_equal(to(P, 0, NR_PAGES), 0);
	assert_string_equal(told(), "P3+1 P7+20 P599+1");
	assert_int_equal(to(0, 0, NR_PAGES), 0);
	assert_string_equal(told(), "S3+1 S7+20 S599+1");
	/* Cut to the range. */
	assert_int_equal(to(P, 10, 5), 0);
	assert_string_equal(told(), "P10+5");
	assert_int_equal(to(P, 30, 500), 0);
	assert_string_equal(told(), "");
	close_type();
}

static void it_hears_of_what_changes_only(void **state)
{
	open_type(GMEM_FILE_INIT_SHARED);
	touch(0, 100);
	assert_int_equal(to(P, 0, 1), 0);
	assert_int_equal(to(P, 10, 10), 0);
	assert_int_equal(to(P, 50, 1), 0);
	assert_string_equal(told(), "P0+1 P10+10 P50+1");
	assert_int_equal(to(P, 0, 100), 0);
	assert_string_equal(told(), "P1+9 P20+30 P51+49");
	assert_int_equal(to(P, 0, 100), 0);
	assert_string_equal(told(), "");
	/* Parts and present pages that overlap in every way. */
	assert_int_equal(to(0, 0, NR_PAGES), 0);
	told();
	assert_int_equal(gmem_file_punch(type.file, 20 * PAGE, 20 * PAGE), 0);
	assert_int_equal(gmem_file_punch(type.file, 60 * PAGE, PAGE), 0);
	assert_string_equal(told(), "R20+20 R60+1");
	assert_int_equal(to(P, 15, 10), 0);
	assert_int_equal(to(P, 45, 5), 0);
	assert_string_equal(told(), "P15+5 P45+5");
	assert_int_equal(to(P, 0, NR_PAGES), 0);
	assert_string_equal(told(), "P0+15 P40+5 P50+10 P61+39");
	close_type();
}

static void it_hears_nothing_of_what_fails(void **state)
{
	struct recorder r;

	open_type(GMEM_FILE_INIT_SHARED);
	recorders_add(&r, 1, type.file);
	touch(0, 100);
	r.refuse_begin = -EAGAIN;
	assert_int_equal(to(P, 0, 100), -EAGAIN);
	r.refuse_begin = 0;
	r.refuse_prepare = -EAGAIN;
	assert_int_equal(to(P, 0, 100), -EAGAIN);
	assert_string_equal(told(), "");
	r.refuse_prepare = 0;
	assert_int_equal(to(P, 0, 100), 0);
	assert_string_equal(told(), "P0+100");
	recorders_remove(&r, 1);
	close_type();
}

/* A punch, and the end, as often as the pages were there. */
static void it_gets_back_what_is_freed(void **state)
{
	open_type(0);
	assert_int_equal(gmem_file_punch(type.file, 0, NR_PAGES * PAGE), 0);
	assert_string_equal(told(), "");
	touch(1, 2);
	touch(500, 100);
	assert_int_equal(to(0, 2, 1), 0);
	told();
	assert_int_equal(gmem_file_punch(type.file, 0, 510 * PAGE), 0);
	assert_string_equal(told(), "R1+2 R500+10");
	gmem_file_get(type.file);
	gmem_file_release(type.file);
	assert_string_equal(told(), "R510+90");
	gmem_file_put(type.file);
	close_type();
}

/* ---- prepare ----------------------------------------------------------------------------------- */

static void a_page_is_prepared_once_while_it_is_private_and_there(void **state)
{
	open_type(0);
	touch(5, 2);
	assert_int_equal(prepare_page(5), 0);
	assert_int_equal(prepare_page(5), 0);
	assert_int_equal(prepare_page(6), 0);
	assert_string_equal(told(), "p5+1 p6+1");
	/* It was shared in between. */
	assert_int_equal(to(0, 0, 6), 0);
	assert_int_equal(to(P, 0, 6), 0);
	told();
	assert_int_equal(prepare_page(5), 0);
	assert_int_equal(prepare_page(6), 0);
	assert_string_equal(told(), "p5+1");
	/* It was gone in between. */
	assert_int_equal(gmem_file_punch(type.file, 6 * PAGE, PAGE), 0);
	told();
	touch(6, 1);
	assert_int_equal(prepare_page(5), 0);
	assert_int_equal(prepare_page(6), 0);
	assert_string_equal(told(), "p6+1");
	gmem_file_check(type.file);
	close_type();
}

static void a_page_that_was_shared_unseen_is_prepared_again(void **state)
{
	open_type(0);
	touch(5, 1);
	assert_int_equal(prepare_page(5), 0);
	assert_int_equal(gmem_file_punch(type.file, 5 * PAGE, PAGE), 0);
	assert_int_equal(to(0, 0, NR_PAGES), 0);
	assert_int_equal(to(P, 0, NR_PAGES), 0);
	touch(5, 1);
	told();
	assert_int_equal(prepare_page(5), 0);
	assert_string_equal(told(), "p5+1");
	close_type();
}

static void a_prepare_that_fails_is_asked_again(void **state)
{
	open_type(0);
	touch(5, 1);
	type.refuse_prepare = -EIO;
	assert_int_equal(prepare_page(5), -EIO);
	/* What is none of the errors there are is one. */
	type.refuse_prepare = 17;
	assert_int_equal(prepare_page(5), -EIO);
	type.refuse_prepare = -4096;
	assert_int_equal(prepare_page(5), -EIO);
	type.refuse_prepare = -4095;
	assert_int_equal(prepare_page(5), -4095);
	type.refuse_prepare = 0;
	assert_int_equal(prepare_page(5), 0);
	assert_string_equal(told(), "p5+1 p5+1 p5+1 p5+1 p5+1");
	close_type();
}

static void without_memory_no_page_is_taken_for_prepared(void **state)
{
	int err = -ENOMEM;
	long allowed;

	open_type(0);
	touch(7, 1);
	for (allowed = 0; err; allowed++) {
		allow_allocs(allowed);
		err = prepare_page(7);
		allow_allocs(ALLOW_ALL);
		assert_true(!err || err == -ENOMEM);
		if (err)
			assert_string_equal(told(), "");
	}
	assert_true(allowed > 2);
	assert_string_equal(told(), "p7+1");
	close_type();
}

static int count_prepare(void *arg, uint64_t offset, uint64_t size)
{
	++*(unsigned int *)arg;
	return 0;
}

/* What is taken out of a folded part of the set needs memory: without, the whole set goes. */
static void without_memory_to_forget_a_page_all_are_prepared_again(void **state)
{
	static const struct gmem_type_ops ops = { .prepare = count_prepare };
	struct gmem_file *f = file_of(GB, 0);
	unsigned int nr = 0;
	uint64_t at;
	int err = 0;

	gmem_file_set_type(f, &ops, &nr);
	for (at = 0; at < 2 * MB; at += PAGE)
		assert_int_equal(gmem_file_prepare(f, at), 0);
	assert_int_equal(nr, 512);
	/* Until every cell of the set is taken. */
	allow_allocs(0);
	for (; !err; at += 2 * MB)
		err = gmem_file_prepare(f, at);
	assert_int_equal(err, -ENOMEM);
	assert_true(at < GB);
	assert_int_equal(gmem_file_punch(f, 7 * PAGE, PAGE), 0);
	allow_allocs(ALLOW_ALL);
	gmem_file_check(f);
	nr = 0;
	assert_int_equal(gmem_file_prepare(f, 7 * PAGE), 0);
	assert_int_equal(nr, 1);
	assert_int_equal(gmem_file_prepare(f, 0), 0);
	assert_int_equal(gmem_file_prepare(f, 0), 0);
	assert_int_equal(nr, 2);
	assert_true(gmem_file_attribute_bytes(f) <= 2 * attr_map_bytes_bound(GB / PAGE));
	close_file(f);
}

static void pages_of_such_a_file_are_mapped_one_by_one(void **state)
{
	struct gmem_file *f = file_of(4 * MB, 0);
	struct gmem_type_ops ops = type_ops;
	void *addr;
	int level;

	assert_int_equal(gmem_file_page(f, 0, &addr, &level), 0);
	assert_int_equal(level, LEVEL_2M);
	gmem_file_set_type(f, &ops, NULL);
	assert_int_equal(gmem_file_page(f, 0, &addr, &level), 0);
	assert_int_equal(level, LEVEL_4K);
	ops.prepare = NULL;
	assert_int_equal(gmem_file_page(f, 0, &addr, &level), 0);
	assert_int_equal(level, LEVEL_2M);
	assert_int_equal(gmem_file_prepare(f, 0), 0);
	close_file(f);
}

static void a_type_may_care_for_nothing(void **state)
{
	static const struct gmem_type_ops none;
	struct gmem_file *f = file_of(4 * MB, 0);

	assert_int_equal(gmem_file_prepare(f, 0), 0);
	gmem_file_set_type(f, &none, NULL);
	assert_false(gmem_file_prepares(f));
	page_at(f, 0)[0] = 1;
	assert_int_equal(gmem_file_prepare(f, 0), 0);
	assert_int_equal(convert(f, 0, MB, 0), 0);
	assert_int_equal(convert(f, 0, MB, P), 0);
	assert_int_equal(gmem_file_punch(f, 0, MB), 0);
	gmem_file_get(f);
	gmem_file_release(f);
	assert_int_equal(gmem_file_punch(f, 0, MB), 0);
	gmem_file_put(f);
	close_file(f);
}

/* ---- all of it --------------------------------------------------------------------------------- */

/* Hardware and map agree after any sequence: a page that is present is the guest's if and only if it is private;
 * one that was never converted is what it was at first. */
static void the_hardware_agrees_with_the_map(void **state)
{
	static char hardware[NR_PAGES]; /* 'P', 'S'; 0: not there */
	struct rng rng = { 21 };
	uint64_t i, k, page, nr;
	unsigned int c;

	open_type(0);
	memset(hardware, 0, sizeof(hardware));
	for (i = 0; i < 5000; i++) {
		page = rng_below(&rng, NR_PAGES);
		nr = 1 + rng_below(&rng, 1 + rng_below(&rng, NR_PAGES - page));
		switch (rng_below(&rng, 4)) {
		case 0:
			for (k = page; k < page + nr; k++) {
				touch(k, 1);
				if (!hardware[k])
					hardware[k] =
						all_are(type.file, k * PAGE, PAGE, P) ? 'P' : 'S';
			}
			break;
		case 1:
			assert_int_equal(gmem_file_punch(type.file, page * PAGE, nr * PAGE), 0);
			break;
		case 2:
			if (hardware[page] == 'P')
				assert_int_equal(prepare_page(page), 0);
			break;
		default:
			assert_int_equal(to((uint32_t)rng_next(&rng) & P, page, nr), 0);
		}
		for (c = 0; c < type.nr_calls; c++)
			for (k = type.calls[c].offset / PAGE;
			     k < (type.calls[c].offset + type.calls[c].size) / PAGE; k++) {
				char what = type.calls[c].what;

				if (what == 'p')
					continue;
				assert_true(hardware[k] && hardware[k] != what);
				hardware[k] = what == 'R' ? 0 : what;
			}
		type.nr_calls = 0;
		for (k = 0; k < NR_PAGES; k++)
			assert_true(!hardware[k] ||
				    (hardware[k] == 'P') == all_are(type.file, k * PAGE, PAGE, P));
	}
	close_type();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_hears_of_present_pages_only),
		cmocka_unit_test(it_hears_of_what_changes_only),
		cmocka_unit_test(it_hears_nothing_of_what_fails),
		cmocka_unit_test(it_gets_back_what_is_freed),
		cmocka_unit_test(a_page_is_prepared_once_while_it_is_private_and_there),
		cmocka_unit_test(a_page_that_was_shared_unseen_is_prepared_again),
		cmocka_unit_test(a_prepare_that_fails_is_asked_again),
		cmocka_unit_test(without_memory_no_page_is_taken_for_prepared),
		cmocka_unit_test(without_memory_to_forget_a_page_all_are_prepared_again),
		cmocka_unit_test(pages_of_such_a_file_are_mapped_one_by_one),
		cmocka_unit_test(a_type_may_care_for_nothing),
		cmocka_unit_test(the_hardware_agrees_with_the_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
