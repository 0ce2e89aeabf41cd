/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * generate: random calls. It looks at the model, so that most calls do something and the rest fail in an interesting
 * way. The calls that a seed gives depend on the model alone, not on what a host says.
 */
#ifndef GMEM_MODEL_GENERATE_H
#define GMEM_MODEL_GENERATE_H

#include "model.h"

struct generator {
	uint64_t state; /* of the random numbers */
	uint64_t nr;	/* calls so far */
	unsigned int weights[NR_OPS];
	unsigned int sum;
};

void generate_begin(struct generator *g, const struct rules *r, uint64_t seed);
/* The next call; one whose answer is not defined is to be left out. */
void generate(struct generator *g, struct model *m, struct op *op);
/* Where the numbers of a program start from the seed of a run. */
uint64_t generate_seed(uint64_t seed, uint64_t program);

#endif
