/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The program: passes over all scenarios, one scenario, one schedule. */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "os/sim/sim_private.h"

#define SCHEDULES 100000
#define CHUNK 500      /* schedules of one process */
#define SOAK_PASS 2000 /* schedules, when there is a time to fill */
#define MAX_JOBS 16
#define MAX_PATTERNS 32

struct options {
	const char *scenarios[MAX_PATTERNS], *schedule;
	unsigned int nr_scenarios, searches, jobs;
	uint64_t schedules, start, seconds, seed;
	bool list, have_seed, no_shrink;
};

struct tally {
	uint64_t wanted, runs, points, switches, max_points, max_contended, exhaustive, next_seed;
	bool exhausted, failed;
};

struct running {
	int pid;
	unsigned int scenario;
	struct sim_job job;
	struct sim_slot *slot;
};

static struct tally tallies[128];
static struct running running[MAX_JOBS];
static struct options opts;
static time_t deadline; /* 0: none */

static const char *search_name(unsigned int search)
{
	return search == SIM_PCT ? "pct" : search == SIM_EXHAUSTIVE ? "exhaustive" : "random";
}

/* ---- one that failed ------------------------------------------------------------------------- */

static void print_schedule(const struct sim_scenario *s, const struct sim_slot *slot)
{
	size_t size = (size_t)slot->nr_choices * 16 + 64;
	char *text = malloc(size);

	if (!text)
		return;
	sim_schedule_text(slot->choices, slot->nr_choices, text, size);
	printf("  replay:   gmem-sim --scenario %s --schedule %s\n", s->name, text);
	free(text);
}

static void print_failure(const struct sim_slot *slot)
{
	printf("  ");
	sim_print_where(slot->text);
	printf("\n");
}

static void report(const struct sim_job *job, struct sim_slot *slot)
{
	const struct sim_scenario *s = job->scenario;
	struct sim_slot *again = sim_slot_new();
	uint32_t before = slot->nr_choices;
	unsigned int tries;

	printf("FAILED %s, %s: %s\n", s->name, search_name(job->search), s->about);
	print_failure(slot);
	if (slot->seed)
		printf("  seed:     gmem-sim --seed 0x%llx\n", (unsigned long long)slot->seed);
	if (!opts.no_shrink) {
		tries = sim_shrink(s, slot);
		printf("  shortest: %u choices that are not the default, of %u at first; %u schedules tried\n",
		       slot->nr_choices, before, tries);
	}
	print_schedule(s, slot);
	printf("  timeline:\n");
	fflush(stdout);
	if (again)
		sim_replay(s, slot->choices, slot->nr_choices, true, again);
	fflush(stdout);
}

/* ---- many ------------------------------------------------------------------------------------ */

static void collect(struct running *r)
{
	struct tally *t = &tallies[r->scenario];

	sim_job_finish(r->pid, r->slot);
	r->pid = 0;
	t->runs += r->slot->runs;
	t->points += r->slot->points;
	t->switches += r->slot->switches;
	if (r->slot->max_points > t->max_points)
		t->max_points = r->slot->max_points;
	if (r->slot->max_contended > t->max_contended)
		t->max_contended = r->slot->max_contended;
	if (r->job.search == SIM_EXHAUSTIVE) {
		t->exhaustive = r->slot->runs;
		t->exhausted = r->slot->exhausted;
	}
	if (r->slot->failed && !t->failed) {
		t->failed = true;
		report(&r->job, r->slot);
	}
}

static struct running *free_place(void)
{
	unsigned int i;

	for (;;) {
		siginfo_t info = { 0 };

		for (i = 0; i < opts.jobs; i++)
			if (!running[i].pid)
				return &running[i];
		if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT))
			exit(2);
		for (i = 0; i < opts.jobs; i++)
			if (running[i].pid == info.si_pid)
				collect(&running[i]);
	}
}

static void start(unsigned int scenario, unsigned int search, uint64_t first, uint64_t nr)
{
	struct running *r = free_place();

	if (tallies[scenario].failed)
		return;
	r->scenario = scenario;
	r->job = (struct sim_job){ .scenario = sim_scenarios[scenario],
				   .search = search,
				   .first = first,
				   .nr = nr,
				   .expected = tallies[scenario].max_contended };
	r->pid = sim_job_start(&r->job, r->slot);
	if (r->pid < 0) {
		perror("fork");
		exit(2);
	}
}

static void finish_all(void)
{
	unsigned int i;

	for (i = 0; i < opts.jobs; i++)
		if (running[i].pid)
			collect(&running[i]);
}

static bool is_chosen(unsigned int i)
{
	const struct sim_scenario *s = sim_scenarios[i];
	unsigned int k;

	for (k = 0; k < opts.nr_scenarios; k++)
		if (!strcmp(opts.scenarios[k], s->name) ||
		    (!s->is_broken && !fnmatch(opts.scenarios[k], s->name, 0)))
			return true;
	return !opts.nr_scenarios && !s->is_broken;
}

static unsigned int searches_of(unsigned int i)
{
	unsigned int searches = sim_scenarios[i]->searches;

	return opts.searches ? searches & opts.searches : searches;
}

static bool divide(uint64_t schedules)
{
	uint64_t shares = 0;
	unsigned int i;

	for (i = 0; i < sim_nr_scenarios; i++)
		if (is_chosen(i) && searches_of(i))
			shares += sim_scenarios[i]->share ? sim_scenarios[i]->share : 1;
	for (i = 0; i < sim_nr_scenarios; i++) {
		unsigned int share = sim_scenarios[i]->share ? sim_scenarios[i]->share : 1;

		tallies[i].wanted = is_chosen(i) && searches_of(i) ? schedules * share / shares : 0;
	}
	return shares;
}

static void exhaustive_pass(void)
{
	unsigned int i;

	for (i = 0; i < sim_nr_scenarios; i++) {
		uint64_t most = tallies[i].wanted;

		if (!most || !(searches_of(i) & SIM_EXHAUSTIVE))
			continue;
		if (searches_of(i) != SIM_EXHAUSTIVE)
			most = (most + 1) / 2;
		start(i, SIM_EXHAUSTIVE, 0, most);
	}
	finish_all();
}

static bool time_is_over(void)
{
	return deadline && time(NULL) >= deadline;
}

/* Both searches in turn. */
static void seeds_of(unsigned int scenario, uint64_t want)
{
	unsigned int kinds = searches_of(scenario) & (SIM_RANDOM | SIM_PCT), nr = 0;
	struct tally *t = &tallies[scenario];
	uint64_t done, some, chunk = want / 2 + 1 < CHUNK ? want / 2 + 1 : CHUNK;

	if (sim_scenarios[scenario]->threads_stay)
		chunk = 1;
	for (done = 0; kinds && done < want && !time_is_over(); done += some) {
		bool pct = kinds == SIM_PCT || (kinds != SIM_RANDOM && ++nr % 2);

		some = want - done < chunk ? want - done : chunk;
		start(scenario, pct ? SIM_PCT : SIM_RANDOM, t->next_seed, some);
		t->next_seed += some;
	}
}

/* What chance makes of it: whatever the exhaustive search has left over; with a time to fill, a small part, so that
 * all scenarios have their turn often. */
static void seeds_pass(void)
{
	unsigned int i;

	for (i = 0; i < sim_nr_scenarios; i++) {
		const struct tally *t = &tallies[i];

		if (!t->wanted)
			continue;
		if (deadline)
			seeds_of(i, t->wanted * SOAK_PASS / opts.schedules + 1);
		else
			seeds_of(i, t->exhaustive < t->wanted ? t->wanted - t->exhaustive : 0);
	}
	finish_all();
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static bool print_tallies(void)
{
	struct tally sum = { 0 };
	unsigned int i, nr_failed = 0;

	for (i = 0; i < sim_nr_scenarios; i++) {
		const struct tally *t = &tallies[i];

		if (!t->wanted)
			continue;
		printf("%-32s %8llu schedules, %6llu points each (most %llu)%s%s\n",
		       sim_scenarios[i]->name, (unsigned long long)t->runs,
		       (unsigned long long)(t->runs ? t->points / t->runs : 0),
		       (unsigned long long)t->max_points,
		       t->exhausted ? ", all within the bound" : "", t->failed ? ", FAILED" : "");
		sum.runs += t->runs;
		sum.points += t->points;
		sum.switches += t->switches;
		nr_failed += t->failed;
	}
	printf("%llu schedules, %llu points, %llu switches, %.1f s of processor time; %u failed\n",
	       (unsigned long long)sum.runs, (unsigned long long)sum.points,
	       (unsigned long long)sum.switches, cpu_seconds(), nr_failed);
	return !nr_failed;
}

static int search_all(void)
{
	unsigned int i;

	for (i = 0; i < opts.jobs; i++) {
		running[i].slot = sim_slot_new();
		if (!running[i].slot)
			return 2;
	}
	for (i = 0; i < sim_nr_scenarios; i++)
		tallies[i].next_seed = opts.start;
	printf("seeds from %llu on\n", (unsigned long long)opts.start);
	if (!divide(opts.schedules)) {
		fprintf(stderr, "gmem-sim: there is no such scenario, or no such search for it\n");
		return 2;
	}
	if (opts.seconds)
		deadline = time(NULL) + (time_t)opts.seconds;
	else
		exhaustive_pass();
	do {
		seeds_pass();
	} while (deadline && !time_is_over());
	return print_tallies() ? 0 : 1;
}

/* ---- one ------------------------------------------------------------------------------------- */

static int replay_seed(void)
{
	const struct sim_scenario *s = sim_seed_scenario(opts.seed);
	struct sim_slot *slot = sim_slot_new();
	struct sim_job job = { .scenario = s,
			       .search = sim_seed_search(opts.seed),
			       .first = opts.seed & ((1ull << 44) - 1),
			       .nr = 1,
			       .one = true,
			       .record = opts.no_shrink };

	if (!s || !slot) {
		fprintf(stderr, "gmem-sim: no scenario has this seed\n");
		return 2;
	}
	sim_job_finish(sim_job_start(&job, slot), slot);
	printf("%s, %s: %llu points, hash %016llx\n", s->name, search_name(job.search),
	       (unsigned long long)slot->points, (unsigned long long)slot->hash);
	if (slot->failed && opts.no_shrink)
		print_failure(slot);
	else if (slot->failed)
		report(&job, slot);
	return slot->failed;
}

static int replay_schedule(void)
{
	const struct sim_scenario *s =
		opts.nr_scenarios ? sim_scenario_find(opts.scenarios[0]) : NULL;
	struct sim_slot *slot = sim_slot_new(), *list = sim_slot_new();

	if (!s || !slot || !list ||
	    sim_schedule_parse(opts.schedule, list->choices, &list->nr_choices)) {
		fprintf(stderr,
			"gmem-sim: --schedule needs --scenario, and the text of a report\n");
		return 2;
	}
	sim_replay(s, list->choices, list->nr_choices, true, slot);
	printf("%s: %llu points, hash %016llx, %s\n", s->name, (unsigned long long)slot->points,
	       (unsigned long long)slot->hash, slot->failed ? "FAILED" : "nothing failed");
	return slot->failed;
}

static void list(void)
{
	unsigned int i;

	for (i = 0; i < sim_nr_scenarios; i++)
		printf("%-32s %s%s%s%s %s\n", sim_scenarios[i]->name,
		       sim_scenarios[i]->searches & SIM_RANDOM ? "R" : "-",
		       sim_scenarios[i]->searches & SIM_PCT ? "P" : "-",
		       sim_scenarios[i]->searches & SIM_EXHAUSTIVE ? "E" : "-",
		       sim_scenarios[i]->is_broken ? "  (broken on purpose)" : " ",
		       sim_scenarios[i]->about);
}

static const char usage[] =
	"gmem-sim: the objects of gmem as fibres in one thread, under schedules that can be repeated\n"
	"\n"
	"  --list                what scenarios there are (R random, P pct, E exhaustive)\n"
	"  --scenario NAME       this one alone, also if it is broken on purpose; 'race*': all of these; again: more\n"
	"  --search NAME         random, pct or exhaustive alone\n"
	"  --schedules N         how many in all (100000)\n"
	"  --seconds N           new seeds for so long, without the exhaustive search (also: GMEM_SOAK)\n"
	"  --start N             number of the first seed (0; with --seconds: the time)\n"
	"  --jobs N              processes at a time (2)\n"
	"  --seed N              one schedule again, by the seed of a report\n"
	"  --schedule TEXT       one schedule again, by its choices\n"
	"  --no-shrink           what failed is told as it is\n"
	"  --whole               timelines tell every access\n";

static unsigned int search_of(const char *name)
{
	unsigned int search;

	for (search = SIM_RANDOM; search <= SIM_EXHAUSTIVE; search <<= 1)
		if (!strcmp(name, search_name(search)))
			return search;
	fprintf(stderr, "gmem-sim: there is no search %s\n", name);
	exit(2);
}

static void take_option(int c)
{
	switch (c) {
	case 'l':
		opts.list = true;
		break;
	case 'n':
		if (opts.nr_scenarios < MAX_PATTERNS)
			opts.scenarios[opts.nr_scenarios++] = optarg;
		break;
	case 's':
		opts.searches |= search_of(optarg);
		break;
	case 'N':
		opts.schedules = strtoull(optarg, NULL, 0);
		break;
	case 't':
		opts.seconds = strtoull(optarg, NULL, 0);
		break;
	case 'f':
		opts.start = strtoull(optarg, NULL, 0);
		break;
	case 'j':
		opts.jobs = (unsigned int)strtoul(optarg, NULL, 0);
		break;
	case 'S':
		opts.seed = strtoull(optarg, NULL, 0);
		opts.have_seed = true;
		break;
	case 'c':
		opts.schedule = optarg;
		break;
	case 'k':
		opts.no_shrink = true;
		break;
	case 'w':
		sim_timeline_whole = true;
		break;
	default:
		fputs(usage, c == 'h' ? stdout : stderr);
		exit(c == 'h' ? 0 : 2);
	}
}

static const struct option long_options[] = {
	{ "list", 0, NULL, 'l' },      { "scenario", 1, NULL, 'n' }, { "search", 1, NULL, 's' },
	{ "schedules", 1, NULL, 'N' }, { "seconds", 1, NULL, 't' },  { "start", 1, NULL, 'f' },
	{ "jobs", 1, NULL, 'j' },      { "seed", 1, NULL, 'S' },     { "schedule", 1, NULL, 'c' },
	{ "no-shrink", 0, NULL, 'k' }, { "whole", 0, NULL, 'w' },    { "help", 0, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

int sim_main(int argc, char **argv)
{
	const char *soak = getenv("GMEM_SOAK");
	int c;

	opts.schedules = SCHEDULES;
	opts.jobs = 2;
	opts.seconds = soak ? strtoull(soak, NULL, 0) : 0;
	while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		take_option(c);
	if (opts.seconds && !opts.start)
		opts.start = (uint64_t)time(NULL) * 1000;
	if (!opts.jobs || opts.jobs > MAX_JOBS)
		opts.jobs = MAX_JOBS;
	if (opts.list) {
		list();
		return 0;
	}
	if (opts.have_seed)
		return replay_seed();
	return opts.schedule ? replay_schedule() : search_all();
}
