/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * One run of a scenario by a program that knows nothing of gmem but KVM's interface, to be run by "sweep" under
 * `gmem run` with one call that fails. A step that fails must have changed nothing, and is made once more. What is
 * written out is what there is after each step, so it is the same whatever failed.
 *
 *	sweep-program SCENARIO
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/pool_2m.h"

#include "helper.h"
#include "left.h"
#include "scenario.h"

static void wrong(const char *step, const char *what, int err, const struct text *t)
{
	fprintf(stderr, "step \"%s\": %s: %s\n%s\n", step, what, strerror(-err), t ? t->s : "");
	exit(1);
}

static void look(const struct scenario *s, struct world *w, struct text *t)
{
	t->size = 0;
	s->look(w, t);
}

static void make_step(const struct scenario *s, struct world *w, const struct step *step)
{
	static struct text before, after;
	int err;

	if (!step->calm)
		look(s, w, &before);
	err = step->run(w);
	if (err) {
		if (!step->calm)
			look(s, w, &after);
		if (!step->calm && strcmp(before.s, after.s))
			wrong(step->name, "failed, and has changed something", err, &after);
		fprintf(stderr, "step \"%s\": %s\n", step->name, strerror(-err));
		err = step->run(w);
	}
	if (err)
		wrong(step->name, "tried again", err, NULL);
	if (step->calm)
		return;
	look(s, w, &after);
	printf("%s: %s\n", step->name, after.s);
}

/* 0 where there are none for the scenario. */
static unsigned long long pages_used(const struct scenario *s)
{
	bool pool = s->pages && !strncmp(s->pages, "2m", 2);

	return pool ? (unsigned long long)(pool_beside("nr_hugepages") - pool_free()) : 0;
}

static void say_left(const struct scenario *s)
{
	const char *expected = getenv("SWEEP_LEFT");
	unsigned long long fds = 0, files = 0, used = 0;
	struct left l;

	if (expected && sscanf(expected, "%llu %llu %llu", &fds, &files, &used) < 2)
		fds = 0;
	left_look(&l);
	/*
	 * The last close of a copy elsewhere is found some milliseconds later, or seconds where much else runs. Who
	 * asks for less than there can be wants what has settled.
	 */
	for (int i = 0; fds && i < (fds > 1 ? 4000 : 400) &&
			(l.fds > fds || l.files > files || pages_used(s) > used);
	     i++) {
		struct timespec t = { .tv_nsec = 5000000 };

		nanosleep(&t, NULL);
		left_look(&l);
	}
	printf("left: %llu descriptors, %llu mappings of files, %llu pages of the pool\n",
	       (unsigned long long)l.fds, (unsigned long long)l.files, pages_used(s));
}

static const struct scenario *find(const char *name)
{
	for (size_t i = 0; kvm_scenarios[i]; i++)
		if (!strcmp(kvm_scenarios[i]->name, name))
			return kvm_scenarios[i];
	fprintf(stderr, "no scenario \"%s\"\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	const struct scenario *s;
	struct world *w;

	if (argc > 2 && !strcmp(argv[1], "serve"))
		return helper_main(argc, argv);
	s = find(argc > 1 ? argv[1] : "");
	if (s->lack && s->lack()) {
		printf("skipped: %s\n", s->lack());
		return 77;
	}
	w = s->make();
	for (size_t i = 0; i < s->nr; i++) {
		if (s->swept_from && i == s->swept_from)
			fputs("swept from here\n", stderr);
		make_step(s, w, &s->steps[i]);
	}
	s->unmake(w);
	say_left(s);
	return 0;
}
