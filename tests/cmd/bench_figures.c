/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The bench's arithmetic: percentiles, growth, goals, names, numbers with units; and rounds, on a clock of cases that say
 * themselves how long they take. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/report.h"
#include "bench/stats.h"

#include <errno.h>
#include <stdlib.h>

/* ---- statistics -------------------------------------------------------------------------------- */

static void percentiles_are_values_by_rank(void **state)
{
	double ten[] = { 10, 2, 3, 4, 5, 6, 7, 8, 9, 1 }, one[] = { 7 }, three[] = { 3, 1, 2 };
	struct bench_stats s = bench_stats(ten, 10);

	assert_true(s.nr == 10 && s.min == 1 && s.max == 10);
	assert_true(s.median == 5.5);
	assert_true(s.p90 == 9 && s.p99 == 10);
	s = bench_stats(one, 1);
	assert_true(s.min == 7 && s.median == 7 && s.p90 == 7 && s.p99 == 7 && s.max == 7);
	assert_true(bench_stats(three, 3).median == 2);
	assert_true(bench_stats(NULL, 0).nr == 0);
}

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

static void growth_is_the_exponent(void **state)
{
	double x[] = { 1, 10, 100, 1000 }, level[4], linear[4], squared[4];

	for (int i = 0; i < 4; i++) {
		level[i] = 5;
		linear[i] = 3 * x[i];
		squared[i] = 0.5 * x[i] * x[i];
	}
	assert_true(near(bench_growth(x, level, 4), 0));
	assert_true(near(bench_growth(x, linear, 4), 1));
	assert_true(near(bench_growth(x, squared, 4), 2));
	assert_true(bench_growth(x, linear, 1) == 0);
}

/* ---- cases that say how long they take --------------------------------------------------------- */

static const uint64_t axis[] = { 1, 2, 4, 0 };
static unsigned int nr_open, nr_rounds;

/* The way's data is the time of an operation; with an axis, times the parameter. */
static int fake_setup(struct bench_run *r)
{
	nr_open++;
	return 0;
}

static int fake_round(struct bench_run *r)
{
	const uint64_t *each = r->way->data;

	assert_int_equal(nr_open, r->way->name[0] == 'o' && !r->bcase->ways[1].name ? 1 : 2);
	nr_rounds++;
	r->elapsed = r->nr * *each * (r->param ? r->param : 1);
	return 0;
}

static void fake_teardown(struct bench_run *r)
{
	nr_open--;
}

/* One round is three times as long as the next. */
static int unsteady_round(struct bench_run *r)
{
	r->elapsed = r->nr * (nr_rounds++ % 2 ? 150 : 50);
	return 0;
}

/* The first rounds after it was opened are interrupted for 50 ms, as many as the way's data says. */
static unsigned int nr_disturbed;

static int disturbed_setup(struct bench_run *r)
{
	nr_disturbed = *(const unsigned int *)r->way->data;
	return 0;
}

static int disturbed_round(struct bench_run *r)
{
	r->elapsed = r->nr * 100;
	if (nr_disturbed && nr_disturbed--)
		r->elapsed += 50000000;
	return 0;
}

static int absent_setup(struct bench_run *r)
{
	return bench_refuse(r, -EOPNOTSUPP, "not on a %s", "Tuesday");
}

static int many_values_round(struct bench_run *r)
{
	for (int i = 1; i <= 100; i++)
		bench_value(r, i);
	return 0;
}

static int breaks_round(struct bench_run *r)
{
	return ++nr_rounds > 3 ? -EIO : (int)(r->elapsed = 0);
}

static const struct bench_ops fake = { fake_setup, fake_round, fake_teardown };
static const struct bench_ops disturbed = { disturbed_setup, disturbed_round };
static const struct bench_ops absent = { absent_setup, fake_round, fake_teardown };
static const struct bench_ops unsteady = { .round = unsteady_round };
static const struct bench_ops many_values = { .round = many_values_round };
static const struct bench_ops breaks = { .round = breaks_round };
static const uint64_t fast = 100, slow = 200;
static const unsigned int once = 1, often = 5;

static const struct bench_case cases[] = {
	{ .name = "two/ways",
	  .what = "x",
	  .unit = BENCH_TIME,
	  .ways = { { .name = "ours", .ours = true, .ops = &fake, .data = &fast },
		    { .name = "beside", .ops = &fake, .data = &slow } },
	  .goals = { { .limit = 150 },
		     { .beside = "beside", .limit = 0.6 },
		     { .beside = "beside", .limit = 0.4 } } },
	{ .name = "two/series",
	  .what = "x",
	  .unit = BENCH_RATE,
	  .axis = axis,
	  .axis_name = "cores",
	  .ways = { { .name = "ours", .ours = true, .ops = &fake, .data = &fast } },
	  .goals = { { .limit = 2.4e6 },
		     { .stat = BENCH_SPEEDUP, .param = 4, .limit = 0.25 },
		     { .stat = BENCH_GROWTH, .limit = 0.1 },
		     { .limit = 1e7, .param = 1 } } },
	{ .name = "absent",
	  .what = "x",
	  .unit = BENCH_TIME,
	  .ways = { { .name = "ours", .ours = true, .ops = &many_values },
		    { .name = "beside", .ops = &absent } },
	  .goals = { { .stat = BENCH_P99, .limit = 99 },
		     { .stat = BENCH_P99, .limit = 98 },
		     { .beside = "beside", .limit = 1 },
		     { .way = "nobody", .limit = 1 } } },
	{ .name = "unsteady",
	  .what = "x",
	  .unit = BENCH_TIME,
	  .nr = 1,
	  .ways = { { .name = "ours", .ours = true, .ops = &unsteady } },
	  .goals = { { .limit = 101 },
		     { .limit = 51 },
		     { .limit = 49 },
		     { .limit = 101, .size = BENCH_2M } } },
	{ .name = "disturbed/once",
	  .what = "x",
	  .unit = BENCH_TIME,
	  .ways = { { .name = "ours", .ours = true, .ops = &disturbed, .data = &once } } },
	{ .name = "disturbed/often",
	  .what = "x",
	  .unit = BENCH_TIME,
	  .ways = { { .name = "ours", .ours = true, .ops = &disturbed, .data = &often } } },
	{ .name = "disturbed/fixed",
	  .what = "x",
	  .unit = BENCH_TIME,
	  .nr = 20000,
	  .ways = { { .name = "ours", .ours = true, .ops = &disturbed, .data = &often } } },
	{ .name = "breaks",
	  .what = "x",
	  .unit = BENCH_TIME,
	  .nr = 1,
	  .ways = { { .name = "ours", .ours = true, .ops = &breaks } } },
	{ 0 },
};
static const struct bench_case more_cases[] = { { .name = "two-more", .what = "x" }, { 0 } };
const struct bench_case *const bench_sets[] = { cases, more_cases, NULL };

static const struct bench_options options = { .host = &bench_here, .rounds = 4 };
static struct bench_result result;

static enum bench_verdict verdict(int goal, double *value)
{
	return bench_judge(&result, &result.bcase->goals[goal], value);
}

static void ways_take_turns_and_are_held_against_each_other(void **state)
{
	const struct bench_figure *f = result.points[0].figures;
	double value;

	nr_rounds = 0;
	bench_measure(bench_find("two/ways"), &options, &result);
	assert_int_equal(nr_open, 0);
	assert_int_equal(result.nr_ways, 2);
	assert_true(near(f[0].stats.median, 100) && near(f[1].stats.median, 200));
	assert_int_equal(f[0].stats.nr, 4);
	/* A round is made to last. */
	assert_in_range(f[0].nr, 10000, 40000);
	assert_true(near(f[0].ratio[1], 0.5) && near(f[0].difference[1], -100));
	assert_int_equal(verdict(0, &value), BENCH_MET);
	assert_int_equal(verdict(1, &value), BENCH_MET);
	assert_true(near(value, 0.5));
	assert_int_equal(verdict(2, &value), BENCH_MISSED);
}

static void a_goal_by_difference_is_in_the_unit(void **state)
{
	struct bench_goal g = { .beside = "beside", .limit = 30, .difference = true };
	char text[64];
	double value;

	bench_measure(bench_find("two/ways"), &options, &result);
	assert_int_equal(bench_judge(&result, &g, &value), BENCH_MET);
	assert_true(near(value, -100));
	assert_string_equal(bench_format_held(result.bcase, &g, value, text), "-100 ns");
	assert_string_equal(bench_format_goal(result.bcase, &g, text), "<= beside + 30.0 ns");
}

static void a_series_has_points_and_grows(void **state)
{
	double value;

	bench_measure(bench_find("two/series"), &options, &result);
	assert_int_equal(result.nr_points, 3);
	assert_true(near(result.points[2].figures[0].stats.median, 1e9 / 400));
	assert_true(bench_result_growth(&result, 0, false, &value));
	assert_true(near(value, -1));
	assert_int_equal(verdict(0, &value), BENCH_MET); /* the worst of all points */
	assert_true(near(value, 2.5e6));
	assert_int_equal(verdict(1, &value), BENCH_MET);
	assert_true(near(value, 0.25));
	assert_int_equal(verdict(2, &value), BENCH_MET);
	assert_int_equal(verdict(3, &value), BENCH_MET);
	assert_true(near(value, 1e7));
}

static void what_is_absent_is_not_judged(void **state)
{
	double value;

	bench_measure(bench_find("absent"), &options, &result);
	assert_int_equal(result.points[0].figures[1].err, -EOPNOTSUPP);
	assert_string_equal(result.points[0].figures[1].reason, "not on a Tuesday");
	assert_int_equal(result.points[0].figures[0].stats.nr, 400);
	assert_int_equal(verdict(0, &value), BENCH_MET);
	assert_int_equal(verdict(1, &value), BENCH_MISSED);
	assert_int_equal(verdict(2, &value), BENCH_UNKNOWN);
	assert_int_equal(verdict(3, &value), BENCH_UNKNOWN);
}

static void a_goal_may_be_met_by_the_best_rounds_alone(void **state)
{
	double value;

	bench_measure(bench_find("unsteady"), &options, &result);
	assert_true(near(result.points[0].figures[0].stats.median, 100));
	assert_int_equal(verdict(0, &value), BENCH_MET);
	assert_int_equal(verdict(1, &value), BENCH_MET_AT_BEST);
	assert_true(near(value, 100));
	assert_int_equal(verdict(2, &value), BENCH_MISSED);
	assert_int_equal(verdict(3, &value), BENCH_UNKNOWN); /* of another size */
}

static void a_try_that_was_interrupted_makes_no_short_rounds(void **state)
{
	bench_measure(bench_find("disturbed/once"), &options, &result);
	assert_in_range(result.points[0].figures[0].nr, 10000, 40000);
	assert_true(near(result.points[0].figures[0].stats.max, 100));
}

static void rounds_grow_when_all_tries_were_interrupted(void **state)
{
	struct bench_options o = options;

	o.rounds = 10;
	bench_measure(bench_find("disturbed/often"), &o, &result);
	assert_in_range(result.points[0].figures[0].nr, 5000, 40000);
	bench_measure(bench_find("disturbed/fixed"), &o, &result);
	assert_int_equal(result.points[0].figures[0].nr, 20000);
}

static void a_way_that_breaks_has_an_error(void **state)
{
	nr_rounds = 0;
	bench_measure(bench_find("breaks"), &options, &result);
	assert_int_equal(result.points[0].figures[0].err, -EIO);
	assert_string_equal(result.points[0].figures[0].reason, strerror(EIO));
}

static void others_are_left_out_when_one_is_asked_for(void **state)
{
	struct bench_options o = options;

	o.compare = "somebody";
	nr_open = 1; /* so that what runs alone sees two */
	bench_measure(bench_find("two/ways"), &o, &result);
	nr_open = 0;
	assert_int_equal(result.points[0].figures[0].err, 0);
	assert_int_equal(result.points[0].figures[1].err, -EOPNOTSUPP);
}

/* ---- names and numbers ------------------------------------------------------------------------- */

static void count_case(const struct bench_case *c, void *arg)
{
	++*(int *)arg;
}

static void names_fit_words(void **state)
{
	char two[] = "two", pattern[] = "t*", slash[] = "two/";
	char *words[] = { two, pattern };
	int nr = 0;

	assert_true(bench_matches("a/b/c", "a/b/c") && bench_matches("a/b/c", "a"));
	assert_true(bench_matches("a/b/c", "a/b/") && bench_matches("a/b/c", "*/c"));
	assert_false(bench_matches("a/b/c", "a/b/c/d") || bench_matches("ab/c", "a"));
	assert_false(bench_matches("a/b/c", "?/c"));
	assert_int_equal(bench_for_each(words, 1, count_case, &nr), 2);
	assert_int_equal(nr, 2);
	assert_int_equal(bench_for_each(words + 1, 1, count_case, &nr), 3);
	words[0] = slash;
	assert_int_equal(bench_for_each(words, 1, count_case, &nr), 2);
	assert_int_equal(bench_for_each(NULL, 0, count_case, &nr), 9);
	assert_null(bench_find("two"));
	assert_non_null(bench_find("two-more"));
}

static void numbers_have_three_digits_and_a_unit(void **state)
{
	struct bench_case c = { .unit = BENCH_TIME };
	char text[24];

	assert_string_equal(bench_format(&c, 1.234, text), "1.23 ns");
	assert_string_equal(bench_format(&c, 999.4, text), "999 ns");
	assert_string_equal(bench_format(&c, 999.6, text), "1.00 us");
	assert_string_equal(bench_format(&c, 45.67e6, text), "45.7 ms");
	assert_string_equal(bench_format(&c, 5e12, text), "5000 s");
	c.unit = BENCH_BYTES;
	assert_string_equal(bench_format(&c, 44 << 20, text), "44.0 MiB");
	c.unit = BENCH_RATE;
	assert_string_equal(bench_format(&c, 4e8, text), "400 M/s");
}

/* ---- a run as text and a drawing ------------------------------------------------------ */

static struct bench_result results[3];

static char *written(void (*write)(FILE *to, const struct bench_report *r))
{
	struct bench_report report = { .results = results, .nr = 3 };
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	bench_measure(bench_find("two/ways"), &options, &results[0]);
	bench_measure(bench_find("two/series"), &options, &results[1]);
	bench_measure(bench_find("absent"), &options, &results[2]);
	bench_machine(&report.machine, "1 < 2");
	write(f, &report);
	fclose(f);
	return text;
}

static void reports_have_what_was_measured(void **state)
{
	char *text = written(bench_report_text);

	assert_non_null(strstr(text, "two/ways"));
	assert_non_null(strstr(text, "x0.50"));
	assert_non_null(strstr(text, "<= x0.40 beside: missed (x0.50)"));
	assert_non_null(strstr(text, "cores^-1.00"));
	assert_non_null(strstr(text, "not on a Tuesday"));
	assert_non_null(strstr(text, "2.50 M/s"));
	free(text);
}

static void a_drawing_escapes_its_text(void **state)
{
	char *svg = written(bench_report_svg);

	assert_non_null(strstr(svg, "gmem 1 &lt; 2"));
	assert_non_null(strstr(svg, ">two/series<"));
	assert_null(strstr(svg, "nan"));
	assert_null(strstr(svg, "inf"));
	free(svg);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_are_values_by_rank),
		cmocka_unit_test(growth_is_the_exponent),
		cmocka_unit_test(ways_take_turns_and_are_held_against_each_other),
		cmocka_unit_test(a_goal_by_difference_is_in_the_unit),
		cmocka_unit_test(a_series_has_points_and_grows),
		cmocka_unit_test(what_is_absent_is_not_judged),
		cmocka_unit_test(a_goal_may_be_met_by_the_best_rounds_alone),
		cmocka_unit_test(a_try_that_was_interrupted_makes_no_short_rounds),
		cmocka_unit_test(rounds_grow_when_all_tries_were_interrupted),
		cmocka_unit_test(a_way_that_breaks_has_an_error),
		cmocka_unit_test(others_are_left_out_when_one_is_asked_for),
		cmocka_unit_test(names_fit_words),
		cmocka_unit_test(numbers_have_three_digits_and_a_unit),
		cmocka_unit_test(reports_have_what_was_measured),
		cmocka_unit_test(a_drawing_escapes_its_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
