/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Rounds: how many operations each has, whose turn it is, and when there were enough. */
#include "bench/measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_NS 2000000.0 /* what a round should take */
#define LONG_ROUND_NS 3e7  /* what is beside us may be a thousand times as slow */
#define LONG_TRIES_NS 3e8  /* of tries that came to nothing new */
#define LONGEST_NS 15e9	   /* for all ways together; then one round a pass has to do */
#define MAX_NR ((uint64_t)1 << 30)
#define MAX_ROUNDS 400u
#define MIN_ROUNDS 5u
#define SLOW_ROUNDS 3u
#define DEFAULT_SECONDS 0.4
#define PASSES 3u
#define TRIES 3u

/* A way while the case is measured: its run, all values so far, and what each round came to. */
struct turn {
	struct bench_run run;
	struct bench_figure *figure;
	double *values, *rounds;
	size_t nr, room, nr_rounds, rounds_room;
	uint64_t spent;
	bool open;
};

/* The ways of a case are opened several times, each time in another order. */
struct pass {
	const struct bench_options *options;
	unsigned int number, of;
	uint64_t passed; /* in rounds, of all passes */
};

static void fail(struct turn *t, int err)
{
	t->figure->err = err;
	snprintf(t->figure->reason, sizeof(t->figure->reason), "%s",
		 t->run.reason[0] ? t->run.reason : strerror(-err));
}

static bool is_wanted(const struct turn *t, const struct bench_options *o)
{
	return !o->compare || t->run.way->ours || strcmp(o->compare, t->run.way->name) == 0;
}

static void open_turn(struct turn *t, const struct bench_options *o)
{
	int err = is_wanted(t, o) ? o->host->open(&t->run)
				  : bench_refuse(&t->run, -EOPNOTSUPP, "not asked for");

	if (err)
		fail(t, err);
	t->open = !err;
}

static void close_turn(struct turn *t, const struct bench_options *o)
{
	if (t->open)
		o->host->close(&t->run);
	t->open = false;
}

/* False when the way has failed, and is closed. */
static bool one_round(struct turn *t, const struct bench_options *o)
{
	int err;

	t->run.done = t->run.nr;
	t->run.elapsed = 0;
	t->run.nr_values = 0;
	err = o->host->round(&t->run);
	if (!err)
		return true;
	fail(t, err);
	o->host->close(&t->run);
	t->open = false;
	return false;
}

static double value_of(const struct bench_run *r)
{
	double ns = r->elapsed ? (double)r->elapsed : 1, nr = r->done ? (double)r->done : 1;

	return r->bcase->unit == BENCH_RATE ? nr * 1e9 / ns : ns / nr;
}

static void keep(double **values, size_t *nr, size_t *room, double value)
{
	if (*nr == *room) {
		*room = *room ? *room * 2 : 64;
		*values = realloc(*values, *room * sizeof(**values));
		if (!*values)
			abort();
	}
	(*values)[(*nr)++] = value;
}

static void keep_round(struct turn *t)
{
	const struct bench_run *r = &t->run;
	double value = value_of(r);

	for (size_t i = 0; i < r->nr_values; i++)
		keep(&t->values, &t->nr, &t->room, r->values[i]);
	if (r->nr_values)
		value = bench_stats(r->values, r->nr_values).median;
	else
		keep(&t->values, &t->nr, &t->room, value);
	keep(&t->rounds, &t->nr_rounds, &t->rounds_room, value);
	t->spent += r->elapsed;
}

/* Where calibration begins: a number that the case has fixed may be too much for a way that is a thousand times as slow. */
static uint64_t first_nr(const struct bench_case *c)
{
	if (!c->nr)
		return 1;
	return c->slow || c->nr < 4096 ? c->nr : c->nr / 1024;
}

/* How many operations a round should have, if so many take ns; as many as now: enough. */
static uint64_t nr_for(const struct bench_run *r, double ns)
{
	double more = ROUND_NS / ns;
	uint64_t fixed = r->bcase->nr, grown;

	if (fixed)
		more = ns < LONG_ROUND_NS ? 16 : 1;
	if (more < 1.5 || r->done < r->nr || r->nr >= MAX_NR)
		return r->nr;
	grown = (uint64_t)((double)r->nr * (more > 16 ? 16 : more)) + 1;
	return fixed && grown > fixed ? fixed : grown;
}

static double elapsed(const struct bench_run *r)
{
	return r->elapsed ? (double)r->elapsed : 1;
}

/* A round that took long may have been interrupted: that there are operations enough is said by the shortest of several. */
static bool is_sure(const struct turn *t, unsigned int tries, double ns)
{
	const struct bench_run *r = &t->run;

	if (tries >= TRIES || r->bcase->slow || r->nr == r->bcase->nr || r->nr >= MAX_NR)
		return true;
	return r->done < r->nr || ns >= LONG_TRIES_NS;
}

/* Rounds of so many; how many the next ones should have. */
static uint64_t try_rounds(struct turn *t, const struct bench_options *o, uint64_t nr)
{
	double shortest = 0, all = 0;
	uint64_t next = nr;

	t->run.nr = nr;
	for (unsigned int tries = 1; next == nr; tries++) {
		if (!one_round(t, o))
			return nr;
		all += elapsed(&t->run);
		if (tries == 1 || elapsed(&t->run) < shortest)
			shortest = elapsed(&t->run);
		next = nr_for(&t->run, shortest);
		if (is_sure(t, tries, all))
			break;
	}
	return next;
}

/* Warms up. More operations until a round takes long enough, or cannot do more. */
static void calibrate(struct turn *t, const struct bench_options *o)
{
	uint64_t nr = 0, next = first_nr(t->run.bcase);

	while (t->open && nr != next) {
		nr = next;
		next = try_rounds(t, o, nr);
	}
	t->figure->nr = t->run.done;
}

/* A round that is much shorter than wanted tells that all tries had been disturbed. */
static void grow(struct turn *t)
{
	double ns = elapsed(&t->run);

	t->figure->nr = t->run.done;
	if (t->run.bcase->nr || ns < ROUND_NS / 4)
		t->run.nr = nr_for(&t->run, ns);
}

/* Whether a way has had its share of this pass. */
static bool wants_more(const struct turn *t, const struct pass *p)
{
	const struct bench_options *o = p->options;
	unsigned int few = t->run.bcase->slow ? SLOW_ROUNDS : MIN_ROUNDS;
	unsigned int least = few > p->of ? few : p->of;
	double seconds = o->seconds > 0 ? o->seconds : DEFAULT_SECONDS;
	double part = (p->number + 1.0) / p->of, passed = (double)p->passed;

	if (!t->open)
		return false;
	if (o->rounds)
		return (double)t->nr_rounds < part * o->rounds;
	if ((double)t->nr_rounds < part * least)
		return passed < part * LONGEST_NS || t->nr_rounds <= p->number;
	/* What is not counted in a round takes time, too. */
	return (double)t->nr_rounds < part * MAX_ROUNDS &&
	       (double)t->spent < part * seconds * 1e9 && passed < part * seconds * 8e9;
}

static bool anybody_wants_more(const struct turn *turns, size_t nr, const struct pass *p)
{
	for (size_t i = 0; i < nr; i++)
		if (wants_more(&turns[i], p))
			return true;
	return false;
}

static void take_turn(struct turn *t, const struct bench_options *o)
{
	if (!t->open || !one_round(t, o))
		return;
	keep_round(t);
	grow(t);
}

/* Memory is had at the first touch: who is first in the pass is the first to get some. Forward and backward in turn, or it
 * would be pages of the same one of the others each time. */
static struct turn *nth(struct turn *turns, size_t nr, const struct pass *p, size_t i)
{
	size_t step = p->number % 2 ? nr - 1 - i : i;

	return &turns[(step + p->number) % nr];
}

/* All have as many rounds, so that each has a neighbour to be held against. */
static void take_turns(struct turn *turns, size_t nr, struct pass *p)
{
	for (size_t i = 0; i < nr; i++)
		if (nth(turns, nr, p, i)->open)
			calibrate(nth(turns, nr, p, i), p->options);
	while (anybody_wants_more(turns, nr, p)) {
		uint64_t began = bench_clock();

		for (size_t i = 0; i < nr; i++)
			take_turn(nth(turns, nr, p, i), p->options);
		p->passed += bench_clock() - began;
	}
}

/* Another way is first in each pass: it matters who gets which of the machine's pages. */
static void make_pass(struct turn *turns, size_t nr, struct pass *p)
{
	for (size_t i = 0; i < nr; i++) {
		struct turn *t = nth(turns, nr, p, i);

		if (!t->figure->err)
			open_turn(t, p->options);
	}
	take_turns(turns, nr, p);
	for (size_t i = 0; i < nr; i++)
		close_turn(nth(turns, nr, p, i), p->options);
}

static void hold_against(struct turn *a, struct turn *b, size_t way)
{
	size_t nr = a->nr_rounds < b->nr_rounds ? a->nr_rounds : b->nr_rounds;
	double *held = nr ? malloc(nr * sizeof(*held)) : NULL;

	if (!held)
		return;
	for (size_t i = 0; i < nr; i++)
		held[i] = b->rounds[i] > 0 ? a->rounds[i] / b->rounds[i] : 0;
	a->figure->ratio[way] = bench_stats(held, nr).median;
	for (size_t i = 0; i < nr; i++)
		held[i] = a->rounds[i] - b->rounds[i];
	a->figure->difference[way] = bench_stats(held, nr).median;
	free(held);
}

static void begin_turn(struct turn *t, const struct bench_result *result, struct bench_point *p,
		       size_t way)
{
	t->figure = &p->figures[way];
	t->figure->way = &result->bcase->ways[way];
	t->run.bcase = result->bcase;
	t->run.way = t->figure->way;
	t->run.param = p->param;
	t->run.size = result->size;
}

static void end_turn(struct turn *t)
{
	t->figure->stats = bench_stats(t->values, t->nr);
	free(t->values);
	free(t->rounds);
	free(t->run.values);
}

static void measure_point(struct bench_result *result, struct bench_point *p,
			  const struct bench_options *o)
{
	struct turn turns[BENCH_MAX_WAYS] = { 0 };
	size_t nr = result->nr_ways;
	bool once = result->bcase->once || result->bcase->axis || nr == 1;
	unsigned int passes = result->bcase->passes ? result->bcase->passes : PASSES;
	struct pass pass = { .options = o, .of = once ? 1 : passes };

	/* Nothing is measured in more passes than there are rounds. */
	if (o->rounds && o->rounds < pass.of)
		pass.of = o->rounds;
	for (size_t i = 0; i < nr; i++)
		begin_turn(&turns[i], result, p, i);
	for (; pass.number < pass.of; pass.number++)
		make_pass(turns, nr, &pass);
	for (size_t i = 0; i < nr * nr; i++)
		hold_against(&turns[i / nr], &turns[i % nr], i % nr);
	for (size_t i = 0; i < nr; i++)
		end_turn(&turns[i]);
}

void bench_measure(const struct bench_case *c, const struct bench_options *o,
		   struct bench_result *result)
{
	memset(result, 0, sizeof(*result));
	result->bcase = c;
	result->size = o->size ? o->size : BENCH_1G;
	while (result->nr_ways < BENCH_MAX_WAYS && c->ways[result->nr_ways].name)
		result->nr_ways++;
	result->nr_points = c->axis ? 0 : 1;
	while (c->axis && result->nr_points < BENCH_MAX_POINTS && c->axis[result->nr_points]) {
		result->points[result->nr_points].param = c->axis[result->nr_points];
		result->nr_points++;
	}
	for (size_t i = 0; i < result->nr_points; i++)
		measure_point(result, &result->points[i], o);
}

double bench_best(const struct bench_case *c, const struct bench_stats *s)
{
	return c->unit == BENCH_RATE ? s->max : s->min;
}

bool bench_result_growth(const struct bench_result *r, size_t way, bool best, double *growth)
{
	double x[BENCH_MAX_POINTS], y[BENCH_MAX_POINTS];

	for (size_t i = 0; i < r->nr_points; i++) {
		const struct bench_figure *f = &r->points[i].figures[way];

		if (f->err || !f->stats.nr || f->stats.min <= 0)
			return false;
		x[i] = (double)r->points[i].param;
		y[i] = best ? bench_best(r->bcase, &f->stats) : f->stats.median;
	}
	*growth = bench_growth(x, y, r->nr_points);
	return r->nr_points > 1;
}
