/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What is drawn of pages is what they are, to the byte; and can be told apart without colours. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "see/map_draw.h"

#define PAGE 4096ull
#define GPA 0x40000000ull

static struct account_snapshot *new_snapshot(uint64_t gpa, uint64_t size, uint32_t flags)
{
	struct account_snapshot *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->nr_slots = 1;
	s->slots[0] = (struct account_slot){
		.vm = 1, .id = 3, .flags = flags, .gpa = gpa, .size = size, .file = 7
	};
	return s;
}

static void add_run(struct account_snapshot *s, uint64_t gpa, uint32_t nr_pages, uint16_t states)
{
	s->runs[s->nr_runs++] =
		(struct account_run){ .gpa = gpa, .nr_pages = nr_pages, .states = states };
}

static struct map new_map(void)
{
	return (struct map){ .log_from = UINT64_MAX };
}

static struct map_spaces cells_of(struct map *m, struct account_snapshot *s, uint64_t block)
{
	const struct map_layout layout = {
		.block = block, .end = UINT64_MAX, .columns = 64, .max_rows = 64
	};
	struct map_spaces spaces;

	map_apply_snapshot(m, 0, 0, s);
	assert_int_equal(map_spaces_make(m, &layout, &spaces), 0);
	return spaces;
}

static void done(struct map *m, struct account_snapshot *s, struct map_spaces *spaces)
{
	map_spaces_free(spaces);
	map_free(m);
	free(s);
}

static void each_state_has_its_class(void **unused)
{
	static const enum map_class wanted[ACCOUNT_NR_STATES] = {
		MAP_SHARED_EMPTY,  MAP_SHARED,	      MAP_SHARED_STRAY, MAP_SHARED_TWICE,
		MAP_PRIVATE_EMPTY, MAP_PRIVATE_STRAY, MAP_PRIVATE,	MAP_PRIVATE_TWICE,
	};
	struct account_snapshot *s = new_snapshot(GPA, 8 * PAGE, 0);
	struct map m = new_map();
	struct map_spaces spaces;

	for (unsigned int i = 0; i < 8; i++)
		add_run(s, GPA + i * PAGE, 1, (uint16_t)(1u << i));
	spaces = cells_of(&m, s, 0);
	assert_int_equal(spaces.nr, 1);
	assert_int_equal(spaces.list[0].block, PAGE);
	assert_int_equal(spaces.list[0].nr_rows, 1);
	for (unsigned int i = 0; i < 64; i++) {
		const struct map_cell *c = &spaces.list[0].rows[0].cells[i];

		for (unsigned int k = 0; k < MAP_NR_CLASSES; k++)
			assert_int_equal(c->bytes[k], i < 8 && wanted[i] == k ? PAGE : 0);
		assert_int_equal(c->none, i < 8 ? 0 : PAGE);
	}
	done(&m, s, &spaces);
	assert_int_equal(map_class_of(ACCOUNT_IN_FILE, ACCOUNT_ALL_IN_FILE), MAP_SHARED);
}

static void a_block_has_the_shares_of_its_pages(void **unused)
{
	struct account_snapshot *s = new_snapshot(GPA, 256 * PAGE, 0);
	struct map m = new_map();
	struct map_spaces spaces;
	const struct map_cell *c;

	add_run(s, GPA, 5, 1 << 6);
	add_run(s, GPA + 5 * PAGE, 11, 1 << 1 | ACCOUNT_PINNED);
	spaces = cells_of(&m, s, 16 * PAGE);
	c = spaces.list[0].rows[0].cells;
	assert_int_equal(c->bytes[MAP_PRIVATE], 5 * PAGE);
	assert_int_equal(c->bytes[MAP_SHARED], 11 * PAGE);
	assert_int_equal(c->pinned, 11 * PAGE);
	assert_int_equal(c[1].bytes[MAP_SHARED_EMPTY], 16 * PAGE);
	assert_int_equal(c[16].none, 16 * PAGE);
	done(&m, s, &spaces);
}

static void what_was_put_together_is_spread(void **unused)
{
	struct account_snapshot *s = new_snapshot(GPA, 4 * PAGE, 0);
	struct map m = new_map();
	struct map_spaces spaces;

	add_run(s, GPA, 4, 1 << 0 | 1 << 6);
	spaces = cells_of(&m, s, 4 * PAGE);
	assert_int_equal(spaces.list[0].total.bytes[MAP_PRIVATE], 2 * PAGE);
	assert_int_equal(spaces.list[0].total.bytes[MAP_SHARED_EMPTY], 2 * PAGE);
	done(&m, s, &spaces);
}

static void a_tebibyte_of_many_runs_fits(void **unused)
{
	uint64_t size = 1ull << 40, step = size / (ACCOUNT_NR_RUNS / 2);
	struct account_snapshot *s = new_snapshot(GPA, size, 0);
	struct map m = new_map();
	struct map_spaces spaces;

	for (uint64_t at = 0; at < size; at += step) {
		add_run(s, GPA + at, 1, 1 << 7);
		add_run(s, GPA + at + PAGE, (uint32_t)(step / PAGE - 1), 1 << 4);
	}
	assert_int_equal(s->nr_runs, ACCOUNT_NR_RUNS);
	spaces = cells_of(&m, s, 0);
	assert_in_range(spaces.list[0].nr_rows, 16, 64);
	assert_int_equal(spaces.list[0].total.bytes[MAP_PRIVATE_TWICE], ACCOUNT_NR_RUNS / 2 * PAGE);
	assert_int_equal(spaces.list[0].total.bytes[MAP_PRIVATE_EMPTY],
			 size - ACCOUNT_NR_RUNS / 2 * PAGE);
	done(&m, s, &spaces);
}

static void too_small_blocks_are_refused(void **unused)
{
	struct account_snapshot *s = new_snapshot(GPA, 1ull << 40, 0);
	const struct map_layout layout = { .block = PAGE, .end = UINT64_MAX, .columns = 64 };
	struct map m = new_map();
	struct map_spaces spaces;

	map_apply_snapshot(&m, 0, 0, s);
	assert_int_equal(map_spaces_make(&m, &layout, &spaces), -EFBIG);
	map_free(&m);
	free(s);
}

static void a_snapshot_that_lies_is_cut(void **unused)
{
	struct account_snapshot *s = new_snapshot(GPA, 4 * PAGE, 0);
	struct map m = new_map();
	struct map_spaces spaces;

	s->nr_slots = 3;
	s->slots[1] = (struct account_slot){ .vm = 1, .id = 4, .gpa = 1, .size = PAGE };
	s->slots[2] = (struct account_slot){
		.vm = 1, .id = 5, .gpa = UINT64_MAX - 4095, .size = 2 * PAGE
	};
	add_run(s, 0, 1, 2);
	add_run(s, GPA + 3 * PAGE, UINT32_MAX, 1 << 6);
	add_run(s, UINT64_MAX - 4095, 1, 1 << 7);
	s->runs[0].slot = 65535;
	spaces = cells_of(&m, s, 0);
	assert_int_equal(m.nr_slots, 1);
	assert_int_equal(spaces.list[0].total.bytes[MAP_PRIVATE], PAGE);
	assert_int_equal(spaces.list[0].total.bytes[MAP_SHARED_EMPTY], 3 * PAGE);
	done(&m, s, &spaces);
}

#define NR 200u

/* Page by page, as the runs have to be. */
static uint16_t simply(uint16_t states, const struct map_step *step)
{
	static const struct {
		unsigned int set, clear;
	} bits[] = {
		[MAP_SET_PRIVATE] = { ACCOUNT_PRIVATE, 0 },
		[MAP_SET_SHARED] = { 0, ACCOUNT_PRIVATE },
		[MAP_FILE_GETS] = { ACCOUNT_IN_FILE, 0 },
		[MAP_FILE_LOSES] = { 0, ACCOUNT_IN_FILE },
		[MAP_PROGRAM_GETS] = { ACCOUNT_IN_PROGRAM, 0 },
		[MAP_PROGRAM_LOSES] = { 0, ACCOUNT_IN_PROGRAM },
	};
	uint16_t out = 0;

	if (step->op == MAP_SET_STATES)
		return step->states;
	for (unsigned int s = 0; s < ACCOUNT_NR_STATES; s++)
		if (states >> s & 1)
			out |= (uint16_t)(1u << ((s | bits[step->op].set) & ~bits[step->op].clear));
	return out;
}

static void check_runs(const struct map_runs *r, const uint16_t *pages)
{
	uint64_t at = 0;

	for (uint64_t i = 0; i < r->nr; i++) {
		assert_int_equal(r->list[i].first, at);
		assert_true(r->list[i].end > at);
		for (; at < r->list[i].end; at++)
			assert_int_equal(r->list[i].states, pages[at]);
	}
	assert_int_equal(at, NR);
}

static void runs_are_what_their_pages_are(void **unused)
{
	struct map_runs r = { 0 };
	uint16_t pages[NR];
	unsigned int seed = 1;

	assert_int_equal(map_runs_fill(&r, NR, 1), 0);
	for (unsigned int i = 0; i < NR; i++)
		pages[i] = 1;
	for (unsigned int turn = 0; turn < 20000; turn++) {
		uint64_t first = (unsigned int)rand_r(&seed) % NR;
		uint64_t end = first + 1 + (unsigned int)rand_r(&seed) % (NR - first);
		struct map_step step = { .op = (enum map_op)(rand_r(&seed) % 7),
					 .who = (uint32_t)rand_r(&seed) % 3 };

		step.states = (uint16_t)(1 + rand_r(&seed) % 255);
		map_runs_change(&r, first, end, &step, NULL, NULL);
		for (uint64_t k = first; k < end; k++)
			pages[k] = simply(pages[k], &step);
		check_runs(&r, pages);
	}
	free(r.list);
}

/* As the eye weighs colours. */
static double grey(uint32_t rgb)
{
	return (0.299 * (double)(rgb >> 16) + 0.587 * (double)(rgb >> 8 & 0xff) +
		0.114 * (double)(rgb & 0xff)) /
	       255;
}

static double grey_of(const struct map_pattern *p)
{
	int nr = 0;

	for (int y = 0; y < 8; y++)
		nr += __builtin_popcount(p->rows[y]);
	return (grey(p->paper) * (64 - nr) + grey(p->ink) * nr) / 64;
}

static double contrast(const struct map_pattern *p)
{
	double c = grey(p->paper) - grey(p->ink);

	return c < 0 ? -c : c;
}

static void classes_differ_without_colours(void **unused)
{
	static const uint8_t plain[8];

	for (int i = 0; i < MAP_NR_CLASSES; i++) {
		const struct map_pattern *a = &map_patterns[i];

		if (memcmp(a->rows, plain, 8) != 0)
			assert_true(contrast(a) > 0.3);
		for (int k = 0; k < i; k++) {
			const struct map_pattern *b = &map_patterns[k];
			double distance = grey_of(a) - grey_of(b);

			if (!memcmp(a->rows, b->rows, 8))
				assert_true(distance > 0.2 || distance < -0.2);
		}
	}
}

static void text_in_a_page_cannot_end_it(void **unused)
{
	struct account_snapshot *s = new_snapshot(GPA, 4 * PAGE, 0);
	struct map m = new_map();
	char *out = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&out, &size);

	strcpy(m.title, "</script><script>alert(\"&\\\n");
	map_apply_snapshot(&m, 0, 0, s);
	assert_true(map_html(&m, NULL, to));
	fclose(to);
	assert_null(strstr(out, "<script>alert"));
	assert_non_null(strstr(out, "\\u003c/script\\u003e\\u003cscript\\u003ealert(\\u0022\\u0026"
				    "\\u005c\\u000a"));
	free(out);
	map_free(&m);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_state_has_its_class),
		cmocka_unit_test(a_block_has_the_shares_of_its_pages),
		cmocka_unit_test(what_was_put_together_is_spread),
		cmocka_unit_test(a_tebibyte_of_many_runs_fits),
		cmocka_unit_test(too_small_blocks_are_refused),
		cmocka_unit_test(a_snapshot_that_lies_is_cut),
		cmocka_unit_test(runs_are_what_their_pages_are),
		cmocka_unit_test(classes_differ_without_colours),
		cmocka_unit_test(text_in_a_page_cannot_end_it),
	};

	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
