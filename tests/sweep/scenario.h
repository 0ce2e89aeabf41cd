/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The sweep: every call that gmem makes of os (os/fail.h) fails once in every scenario.
 *
 * A scenario is a list of steps, each one call of the interface, or a few that are undone by their own step.
 * What can be seen from outside is written down as text by look(), without addresses and times, so
 * that two runs can be compared. A run that nothing disturbs says what each step leaves. Then, each time
 * in a world of its own, a step is made with one call of os failing. When the step fails, what can be seen is
 * what was there before, and the same step works when it is made again; when it works all the same, it is
 * what was to come. From there the scenario goes on to its end, and at the end nothing is left.
 *
 * linked.c runs scenarios in its own process, with gmem linked in; program.c under `gmem run`, where
 * GMEM_DEBUG says which call fails; "sweep" is the loop around that.
 */
#ifndef GMEM_TESTS_SWEEP_SCENARIO_H
#define GMEM_TESTS_SWEEP_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_MAX 8192

struct text {
	size_t size;
	char s[TEXT_MAX];
};

__attribute__((format(printf, 2, 3))) void text_add(struct text *t, const char *fmt, ...);

struct world;

struct step {
	const char *name;
	/* 0 or -errno. What it has achieved when it fails half-way it takes back itself, as a program would. */
	int (*run)(struct world *w);
	bool calm; /* swept elsewhere: nothing fails in it, or nobody looks */
};

struct scenario {
	const char *name;
	const char *profile; /* NULL: the default one */
	const char *paths;   /* GMEM_DEBUG's words, NULL: none */
	const char *pages;   /* what files are made of, NULL: 4k */
	/* Why it cannot be here, NULL: it can; NULL: it can anywhere. */
	const char *(*lack)(void);
	const struct step *steps;
	size_t nr;
	size_t swept_from; /* the first step in which something fails */
	struct world *(*make)(void);
	/* Writes down what can be seen, and changes nothing of it. */
	void (*look)(struct world *w, struct text *t);
	/* Ends whatever is there, at any place of the scenario. */
	void (*unmake)(struct world *w);
};

#define STEPS(list) .steps = (list), .nr = sizeof(list) / sizeof((list)[0])

/* Something was made to fail here, earlier or now; if only told: maybe. */
bool world_is_disturbed(void);
/* From here on pages may be held by a system call. */
void world_may_hold(void);

/* All that take nothing but the KVM interface; NULL at the end. */
extern const struct scenario *const kvm_scenarios[];

#endif
