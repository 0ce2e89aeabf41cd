/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * compare: programs made by the model and on a host side by side. A process opens a host once and forks no more; who
 * wants to see what a program does alone, or whether it kills, tries it in a child.
 */
#ifndef GMEM_MODEL_COMPARE_H
#define GMEM_MODEL_COMPARE_H

#include "generate.h"
#include "target.h"
#include "watch.h"

struct setting {
	const struct host *host;
	const char *profile;
	bool limit;	   /* by what the host offers: it is a kernel, not gmem */
	uint64_t patience; /* seconds that a call may take */
};

enum verdict { SAME, DIFFERS, NO_PROGRAM, CANNOT, NO_ANSWER };

struct difference {
	size_t at; /* index of the call */
	enum op_kind kind;
	struct answer model, host;
};

/* Calls made in this process, by kind; worked: that did what they are for (a run: to its end). */
struct counts {
	uint64_t made[NR_OPS], worked[NR_OPS];
};
extern struct counts *compare_counts; /* NULL: nobody counts */
extern struct pace *compare_pace;     /* NULL: nobody waits */

/* In this process: 0 or -errno. */
int compare_open(const struct setting *s);
const struct rules *compare_rules(void);
/* Of a program as it is. NO_PROGRAM: the model does not define it (d->at). */
enum verdict compare_program(const struct program *p, struct difference *d);

/* The calls that a seed gives: random ones, then looks at everything there is. NULL: only counted. */
void compare_generate(const struct rules *r, uint64_t seed, uint64_t nr, struct program *p);

/* In a child. status as waitpid() has it when the child did not end by itself (a signal): CANNOT. NO_ANSWER: a call,
 * d->at, took too long. */
enum verdict compare_alone(const struct setting *s, const struct program *p, struct difference *d,
			   int *status);

#endif
