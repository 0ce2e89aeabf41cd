/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a conversion leaves alone, who is told of which parts in which order, and what it says when refused. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "../cpu_time.h"
#include "fail_alloc.h"
#include "fixture.h"
#include "recorder.h"

#define MAX_REFUSED 16

/* ---- what really changes ---------------------------------------------------------------------- */

static void assert_parts(const struct recorder *r, const struct gmem_refused *parts,
			 unsigned int nr)
{
	assert_int_equal(r->nr_parts, nr);
	assert_memory_equal(r->parts, parts, nr * sizeof(*parts));
}

static void a_change_is_cut_to_what_changes(void **state)
{
	struct gmem_file *f = file_of(8 * MB, GMEM_FILE_INIT_SHARED);
	struct gmem_conversion c = { .offset = MB / 2, .size = 7 * MB, .attributes = P };
	struct recorder r;

	recorders_add(&r, 1, f);
	assert_int_equal(convert(f, 0, MB, P), 0);
	assert_int_equal(convert(f, 7 * MB, MB, P), 0);
	assert_int_equal(convert(f, 4 * MB - PAGE, 2 * PAGE, P), 0);
	diary_clear();
	assert_int_equal(gmem_file_convert(f, &c), 0);
	assert_string_equal(diary(), "ap ab ae");
	assert_int_equal(r.last.offset, MB);
	assert_int_equal(r.last.size, 6 * MB);
	assert_ptr_equal(r.last.conversion, &c);
	/* What was asked stays as it was. */
	assert_int_equal(c.offset, MB / 2);
	assert_int_equal(c.size, 7 * MB);
	assert_true(all_are(f, 0, 8 * MB, P));
	recorders_remove(&r, 1);
	close_file(f);
}

static void only_what_changes_is_a_part(void **state)
{
	struct gmem_file *f = file_of(8 * MB, GMEM_FILE_INIT_SHARED);
	static const struct gmem_refused to_private[] = { { 0, MB },
							  { MB + PAGE, 3 * MB - 2 * PAGE },
							  { 4 * MB + PAGE, 4 * MB - PAGE } };
	static const struct gmem_refused to_shared[] = { { 3 * PAGE, PAGE }, { 5 * PAGE, PAGE } };
	struct recorder r;

	recorders_add(&r, 1, f);
	assert_int_equal(convert(f, MB, PAGE, P), 0);
	assert_int_equal(convert(f, 4 * MB - PAGE, 2 * PAGE, P), 0);
	r.refuse_begin = -ENOMEM;
	assert_int_equal(convert(f, 0, 8 * MB, P), -ENOMEM);
	assert_parts(&r, to_private, 3);
	assert_int_equal(convert(f, 0, 8 * MB, P), -ENOMEM);
	r.refuse_begin = 0;
	assert_int_equal(convert(f, 0, 8 * MB, P), 0);
	/* At the end all of it is so. */
	assert_int_equal(r.nr_parts, 0);

	assert_int_equal(convert(f, 0, 8 * MB, 0), 0);
	assert_int_equal(convert(f, 3 * PAGE, PAGE, P), 0);
	assert_int_equal(convert(f, 5 * PAGE, PAGE, P), 0);
	r.refuse_begin = -ENOMEM;
	assert_int_equal(convert(f, 0, MB, 0), -ENOMEM);
	assert_parts(&r, to_shared, 2);
	recorders_remove(&r, 1);
	close_file(f);
}

/* Against a search page by page, for every small range of a mixed file. */
static void cutting_is_exact_for_every_range(void **state)
{
	static const char pages[] = "PPSSPSPPPPPSSSSSSPS";
	uint64_t nr = sizeof(pages) - 1, first, last, i, page;
	struct gmem_file *f = file_of(nr * PAGE, GMEM_FILE_INIT_SHARED);
	struct recorder r;

	recorders_add(&r, 1, f);
	for (page = 0; page < nr; page++)
		assert_int_equal(convert(f, page * PAGE, PAGE, pages[page] == 'P' ? P : 0), 0);
	r.refuse_begin = -ENOMEM;
	for (i = 0; i < nr * nr * 2; i++) {
		char old = i % 2 ? 'S' : 'P';
		uint64_t from = i / 2 % nr, to = i / 2 / nr;

		if (to < from)
			continue;
		for (first = from; first <= to && pages[first] != old; first++)
			;
		for (last = to; last > from && pages[last] != old; last--)
			;
		diary_clear();
		assert_int_equal(convert(f, from * PAGE, (to - from + 1) * PAGE, i % 2 ? P : 0),
				 first > to ? 0 : -ENOMEM);
		if (first > to) {
			assert_string_equal(diary(), "");
			continue;
		}
		assert_int_equal(r.last.offset, first * PAGE);
		assert_int_equal(r.last.size, (last - first + 1) * PAGE);
	}
	recorders_remove(&r, 1);
	close_file(f);
}

static void a_change_says_which_state_is_left(void **state)
{
	struct gmem_file *f = file_of(MB, GMEM_FILE_INIT_SHARED);
	struct recorder r;

	recorders_add(&r, 1, f);
	assert_int_equal(convert(f, 0, PAGE, P), 0);
	assert_int_equal(r.last.filter, GMEM_FILTER_SHARED);
	assert_ptr_equal(r.last.file, f);
	assert_int_equal(convert(f, 0, PAGE, 0), 0);
	assert_int_equal(r.last.filter, GMEM_FILTER_PRIVATE);
	assert_int_equal(gmem_file_punch(f, 0, 2 * PAGE), 0);
	assert_int_equal(r.last.filter, GMEM_FILTER_SHARED | GMEM_FILTER_PRIVATE);
	assert_int_equal(r.last.file == f && !r.last.conversion, 1);
	gmem_file_release(f);
	assert_int_equal(r.last.filter, GMEM_FILTER_SHARED | GMEM_FILTER_PRIVATE);
	close_file(f);
}

static void without_in_place_the_state_that_is_left_is_the_first(void **state)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		unsigned int flags = i ? GMEM_FILE_INIT_SHARED : 0;
		struct gmem_file *f;
		struct recorder r;

		assert_int_equal(gmem_file_create(MB, flags, &f), 0);
		recorders_add(&r, 1, f);
		assert_int_equal(gmem_file_punch(f, 0, PAGE), 0);
		assert_int_equal(r.last.filter, i ? GMEM_FILTER_SHARED : GMEM_FILTER_PRIVATE);
		assert_int_equal(r.nr_parts, 1);
		/* Its map is nobody's word. */
		assert_false(gmem_file_is_private(f, 0));
		recorders_remove(&r, 1);
		gmem_file_put(f);
	}
}

static void a_page_is_private_until_the_file_is_released(void **state)
{
	struct gmem_file *f = file_of(MB, 0);

	assert_true(gmem_file_is_private(f, PAGE));
	assert_int_equal(convert(f, PAGE, PAGE, 0), 0);
	assert_false(gmem_file_is_private(f, PAGE));
	assert_true(gmem_file_is_private(f, 2 * PAGE));
	gmem_file_release(f);
	assert_false(gmem_file_is_private(f, 2 * PAGE));
	/* Who would have to let go of its pages is not asked any more. */
	assert_int_equal(convert(f, PAGE, PAGE, ATTR_PRIVATE), -EBADF);
	close_file(f);
}

/* ---- order ------------------------------------------------------------------------------------- */

static void the_last_begins_last_and_ends_first(void **state)
{
	struct gmem_file *f = file_of(MB, 0);
	struct recorder r[3];

	recorders_add(r, 3, f);
	r[0].consumer.last = true;
	assert_int_equal(convert(f, 0, PAGE, 0), 0);
	assert_string_equal(diary(), "bb cb ab ae be ce");
	diary_clear();
	assert_int_equal(convert(f, 0, PAGE, P), 0);
	assert_string_equal(diary(), "ap bp cp bb cb ab ae be ce");
	diary_clear();
	assert_int_equal(gmem_file_punch(f, 0, PAGE), 0);
	assert_string_equal(diary(), "bb cb ab ae be ce");

	r[0].refuse_begin = -EAGAIN;
	diary_clear();
	assert_int_equal(convert(f, 0, PAGE, 0), -EAGAIN);
	assert_string_equal(diary(), "bb cb ab bx cx");
	r[0].refuse_begin = 0;
	r[1].refuse_begin = -ENOMEM;
	diary_clear();
	assert_int_equal(convert(f, 0, PAGE, 0), -ENOMEM);
	assert_string_equal(diary(), "bb");
	r[1].refuse_begin = 0;
	r[2].refuse_begin = -ENOMEM;
	r[2].consumer.last = true;
	diary_clear();
	assert_int_equal(convert(f, 0, PAGE, 0), -ENOMEM);
	assert_string_equal(diary(), "bb ab cb ax bx");
	assert_true(all_are(f, 0, MB, P));
	recorders_remove(r, 3);
	close_file(f);
}

/* ---- refusals ---------------------------------------------------------------------------------- */

static struct gmem_refused told[MAX_REFUSED];

static struct gmem_conversion ask_all(uint64_t offset, uint64_t size, uint32_t max)
{
	memset(told, 0xee, sizeof(told));
	return (struct gmem_conversion){
		.offset = offset, .size = size, .attributes = P, .refused = told, .max_refused = max
	};
}

static void refuses(struct recorder *r, const struct gmem_refused *what, unsigned int nr)
{
	r->refuse_prepare = -EAGAIN;
	r->refuse = what;
	r->nr_refuse = nr;
}

static void all_refusals_are_told_in_one_call(void **state)
{
	/* In no order, twice, touching, over the edges and of half a page. */
	static const struct gmem_refused a[] = {
		{ 9 * PAGE, PAGE }, { PAGE, 2 * PAGE }, { 20 * PAGE + 5, 10 }, { 9 * PAGE, PAGE }
	};
	static const struct gmem_refused c[] = { { 3 * PAGE, PAGE },
						 { MB - PAGE, 7 * PAGE },
						 { 8 * PAGE, 2 * PAGE } };
	static const struct gmem_refused all[] = {
		{ PAGE, 3 * PAGE }, { 8 * PAGE, 2 * PAGE }, { 20 * PAGE, PAGE }, { MB - PAGE, PAGE }
	};
	struct gmem_file *f = file_of(4 * MB, GMEM_FILE_INIT_SHARED);
	struct gmem_conversion conversion = ask_all(0, MB, MAX_REFUSED);
	struct recorder r[3];

	recorders_add(r, 3, f);
	refuses(&r[0], a, 4);
	refuses(&r[2], c, 3);
	assert_int_equal(gmem_file_convert(f, &conversion), -EAGAIN);
	assert_string_equal(diary(), "ap bp cp");
	assert_int_equal(conversion.error_offset, PAGE);
	assert_int_equal(conversion.nr_refused, 4);
	assert_memory_equal(told, all, sizeof(all));
	assert_true(all_are(f, 0, 4 * MB, 0));

	/* Room for two: the lowest, and how many there were. */
	conversion = ask_all(0, MB, 2);
	assert_int_equal(gmem_file_convert(f, &conversion), -EAGAIN);
	assert_int_equal(conversion.nr_refused, 4);
	assert_memory_equal(told, all, 2 * sizeof(all[0]));
	assert_int_equal(told[2].offset, 0xeeeeeeeeeeeeeeee);

	/* One is enough: the lowest of all, not of the first. */
	conversion = (struct gmem_conversion){ .offset = PAGE * 3, .size = MB, .attributes = P };
	refuses(&r[0], a, 1);
	refuses(&r[2], c, 1);
	assert_int_equal(gmem_file_convert(f, &conversion), -EAGAIN);
	assert_int_equal(conversion.error_offset, 3 * PAGE);
	assert_int_equal(conversion.nr_refused, 0);

	/* What is private already is no part of it. */
	r[0].refuse_prepare = r[2].refuse_prepare = 0;
	assert_int_equal(convert(f, 10 * PAGE, MB - 10 * PAGE, P), 0);
	refuses(&r[0], a, 1);
	refuses(&r[2], &(struct gmem_refused){ 8 * PAGE, 7 * PAGE }, 1);
	conversion = ask_all(0, MB, MAX_REFUSED);
	assert_int_equal(gmem_file_convert(f, &conversion), -EAGAIN);
	assert_int_equal(conversion.nr_refused, 1);
	assert_memory_equal(told, &all[1], sizeof(all[1]));

	r[0].refuse_prepare = r[2].refuse_prepare = 0;
	conversion = ask_all(0, MB, MAX_REFUSED);
	conversion.nr_refused = 99;
	assert_int_equal(gmem_file_convert(f, &conversion), 0);
	assert_int_equal(conversion.nr_refused, 0);
	recorders_remove(r, 3);
	close_file(f);
}

static void a_begin_may_refuse_and_all_is_undone(void **state)
{
	static const struct gmem_refused late[] = { { 2 * MB + 4 * PAGE, PAGE },
						    { 2 * MB + 2 * PAGE, PAGE } };
	struct gmem_file *f = file_of(4 * MB, GMEM_FILE_INIT_SHARED);
	struct gmem_conversion conversion = ask_all(MB, 3 * MB, MAX_REFUSED);
	struct recorder r[2];

	recorders_add(r, 2, f);
	r[0].consumer.last = true;
	r[0].refuse_begin = -EAGAIN;
	r[0].refuse = late;
	r[0].nr_refuse = 2;
	assert_int_equal(gmem_file_convert(f, &conversion), -EAGAIN);
	assert_string_equal(diary(), "ap bp bb ab bx");
	assert_int_equal(r[1].last.generation, gmem_file_generation(f));
	assert_true(r[1].last.aborted);
	assert_int_equal(r[1].nr_parts, 1);
	assert_int_equal(conversion.error_offset, 2 * MB + 2 * PAGE);
	assert_int_equal(conversion.nr_refused, 2);
	assert_int_equal(told[0].offset, late[1].offset);
	assert_int_equal(told[1].offset, late[0].offset);

	/* Nobody said where: the start of what was asked. */
	r[0].nr_refuse = 0;
	conversion = ask_all(MB, 3 * MB, MAX_REFUSED);
	assert_int_equal(gmem_file_convert(f, &conversion), -EAGAIN);
	assert_int_equal(conversion.error_offset, MB);
	assert_int_equal(conversion.nr_refused, 0);
	assert_true(all_are(f, 0, 4 * MB, 0));
	recorders_remove(r, 2);
	close_file(f);
}

/* Whatever a consumer says, another process perhaps: it is cut, and the error stays. */
static void a_refusal_outside_the_change_is_cut_or_does_not_count(void **state)
{
	static const struct gmem_refused odd[] = { { 0, PAGE },	      { 2 * MB, PAGE },
						   { MB + 7, 0 },     { UINT64_MAX, 5 },
						   { UINT64_MAX, 1 }, { MB - 1, 1 } };
	static const struct gmem_refused large[] = { { 2 * MB - PAGE, UINT64_MAX }, { 5, MB } };
	struct gmem_file *f = file_of(4 * MB, GMEM_FILE_INIT_SHARED);
	struct gmem_conversion conversion = ask_all(MB, MB, MAX_REFUSED);
	struct recorder r;

	recorders_add(&r, 1, f);
	refuses(&r, odd, 6);
	assert_int_equal(gmem_file_convert(f, &conversion), -EAGAIN);
	assert_int_equal(conversion.error_offset, MB);
	assert_int_equal(conversion.nr_refused, 0);
	refuses(&r, large, 2);
	conversion = ask_all(MB, MB, MAX_REFUSED);
	assert_int_equal(gmem_file_convert(f, &conversion), -EAGAIN);
	assert_int_equal(conversion.error_offset, MB);
	assert_int_equal(conversion.nr_refused, 2);
	assert_true(told[0].offset == MB && told[0].size == PAGE);
	assert_true(told[1].offset == 2 * MB - PAGE && told[1].size == PAGE);
	recorders_remove(&r, 1);
	close_file(f);
}

static void another_error_than_a_refusal_ends_the_asking(void **state)
{
	static const struct gmem_refused pin = { 5 * PAGE, PAGE };
	struct gmem_file *f = file_of(4 * MB, GMEM_FILE_INIT_SHARED);
	struct gmem_conversion conversion = ask_all(PAGE, MB, MAX_REFUSED);
	struct recorder r[3];

	recorders_add(r, 3, f);
	refuses(&r[0], &pin, 1);
	r[1].refuse_prepare = -ENOMEM;
	assert_int_equal(gmem_file_convert(f, &conversion), -ENOMEM);
	assert_string_equal(diary(), "ap bp");
	assert_int_equal(conversion.error_offset, PAGE);
	assert_int_equal(conversion.nr_refused, 0);
	recorders_remove(r, 3);
	close_file(f);
}

static void no_memory_for_the_refusals_is_told(void **state)
{
	static const struct gmem_refused pins[] = { { 5 * PAGE, PAGE }, { 3 * MB, PAGE } };
	struct gmem_file *f = file_of(4 * GB, GMEM_FILE_INIT_SHARED);
	struct gmem_conversion conversion;
	struct recorder r;
	int err = -ENOMEM;
	long allowed;

	recorders_add(&r, 1, f);
	refuses(&r, pins, 2);
	for (allowed = 0; err == -ENOMEM; allowed++) {
		conversion = ask_all(0, 4 * GB, MAX_REFUSED);
		allow_allocs(allowed);
		err = gmem_file_convert(f, &conversion);
		allow_allocs(ALLOW_ALL);
		assert_int_equal(conversion.error_offset, err == -ENOMEM ? 0 : 5 * PAGE);
		assert_int_equal(conversion.nr_refused, err == -ENOMEM ? 0 : 2);
		assert_true(all_are(f, 0, 4 * GB, 0));
		gmem_file_check(f);
	}
	assert_int_equal(err, -EAGAIN);
	assert_true(allowed > 2);
	/* Who asked for one needs none. */
	allow_allocs(0);
	conversion = (struct gmem_conversion){ .size = 4 * GB, .attributes = P };
	assert_int_equal(gmem_file_convert(f, &conversion), -EAGAIN);
	allow_allocs(ALLOW_ALL);
	recorders_remove(&r, 1);
	close_file(f);
}

/* ---- signals ----------------------------------------------------------------------------------- */

static void a_signal_ends_a_long_conversion_before_anything_happens(void **state)
{
	struct gmem_file *f = file_of(4 * GB, GMEM_FILE_INIT_SHARED);
	struct recorder r;
	uint64_t where;

	recorders_add(&r, 1, f);
	os_signal_set_pending(true);
	assert_int_equal(convert_where(f, GB, 3 * GB, P, &where), -EINTR);
	assert_int_equal(where, GB);
	assert_string_equal(diary(), "ap");
	assert_true(all_are(f, 0, 4 * GB, 0));
	/* Short ones, and those that are short once cut, go through. */
	assert_int_equal(convert(f, 0, GB - PAGE, P), 0);
	assert_int_equal(convert(f, 0, GB, P), 0);
	assert_int_equal(convert(f, 0, GB, P), 0);
	assert_int_equal(convert(f, 0, 4 * GB, P), -EINTR);
	os_signal_set_pending(false);
	assert_int_equal(convert(f, 0, 4 * GB, P), 0);
	recorders_remove(&r, 1);
	close_file(f);
}

static void each_change_has_its_number(void **state)
{
	static const struct gmem_refused pin = { 0, PAGE };
	struct gmem_file *f = file_of(MB, 0);
	struct recorder r;
	uint64_t nr;

	recorders_add(&r, 1, f);
	for (nr = 0; nr < 6; nr += 2) {
		assert_int_equal(gmem_file_generation(f), nr);
		assert_int_equal(convert(f, 0, PAGE, 0), 0);
		assert_int_equal(r.last.generation, nr + 1);
		refuses(&r, &pin, 1);
		assert_int_equal(convert(f, 0, PAGE, P), -EAGAIN);
		assert_int_equal(r.last.generation, nr + 2);
		assert_int_equal(gmem_file_generation(f), nr + 1);
		r.refuse_prepare = 0;
		assert_int_equal(convert(f, 0, PAGE, P), 0);
		assert_int_equal(r.last.generation, nr + 2);
	}
	assert_int_equal(gmem_file_punch(f, 0, PAGE), 0);
	assert_int_equal(r.last.generation, nr + 1);
	recorders_remove(&r, 1);
	close_file(f);
}

static void a_begin_may_be_interrupted(void **state)
{
	struct gmem_file *f = file_of(MB, GMEM_FILE_INIT_SHARED);
	struct recorder r[2];
	uint64_t where;

	recorders_add(r, 2, f);
	r[1].refuse_begin = -EINTR;
	assert_int_equal(convert_where(f, PAGE, PAGE, P, &where), -EINTR);
	assert_int_equal(where, PAGE);
	assert_string_equal(diary(), "ap bp ab bb ax");
	assert_true(all_are(f, 0, MB, 0));
	recorders_remove(r, 2);
	close_file(f);
}

/* ---- cost -------------------------------------------------------------------------------------- */

#define ALTERNATING (GB / PAGE)

static void attributes_cost_no_more_than_the_bound(void **state)
{
	struct gmem_file *f = file_of(GB, GMEM_FILE_INIT_SHARED);
	uint64_t start = cpu_time_ns(), i, bytes, ns;
	struct gmem_conversion c = { .size = PAGE, .attributes = P };

	for (i = 0; i < ALTERNATING; i += 2) {
		c.offset = i * PAGE;
		assert_int_equal(gmem_file_convert(f, &c), 0);
	}
	ns = (cpu_time_ns() - start) / (ALTERNATING / 2);
	bytes = gmem_file_attribute_bytes(f);
	print_message("1 GiB of alternating pages: %llu bytes, %llu ns a conversion\n",
		      (unsigned long long)bytes, (unsigned long long)ns);
	assert_true(bytes <= attr_map_bytes_bound(ALTERNATING));
	/* Sanitizers included; alone it is a fraction of a microsecond. */
	assert_true(ns < 20000);
	gmem_file_check(f);

	start = cpu_time_ns();
	assert_int_equal(convert(f, 0, GB, P), 0);
	print_message("to one kind again: %llu us\n",
		      (unsigned long long)(cpu_time_ns() - start) / 1000);
	assert_int_equal(gmem_file_attribute_bytes(f), bytes);
	assert_true(all_are(f, 0, GB, P));
	close_file(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_is_cut_to_what_changes),
		cmocka_unit_test(only_what_changes_is_a_part),
		cmocka_unit_test(cutting_is_exact_for_every_range),
		cmocka_unit_test(a_change_says_which_state_is_left),
		cmocka_unit_test(without_in_place_the_state_that_is_left_is_the_first),
		cmocka_unit_test(a_page_is_private_until_the_file_is_released),
		cmocka_unit_test(the_last_begins_last_and_ends_first),
		cmocka_unit_test(all_refusals_are_told_in_one_call),
		cmocka_unit_test(a_begin_may_refuse_and_all_is_undone),
		cmocka_unit_test(a_refusal_outside_the_change_is_cut_or_does_not_count),
		cmocka_unit_test(another_error_than_a_refusal_ends_the_asking),
		cmocka_unit_test(no_memory_for_the_refusals_is_told),
		cmocka_unit_test(a_signal_ends_a_long_conversion_before_anything_happens),
		cmocka_unit_test(each_change_has_its_number),
		cmocka_unit_test(a_begin_may_be_interrupted),
		cmocka_unit_test(attributes_cost_no_more_than_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
