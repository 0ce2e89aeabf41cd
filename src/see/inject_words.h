/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Between the files of the parser: a rule's words, and what they may be. */
#ifndef GMEM_SEE_INJECT_WORDS_H
#define GMEM_SEE_INJECT_WORDS_H

#include "see/inject.h"

/* A piece of the text. It need not end with 0. */
struct word {
	const char *text;
	size_t size;
	uint32_t line, column;
};

struct parse {
	const char *profile;
	struct inject_rule *rule;
	struct see_inject_problem *problem;
	uint64_t given; /* a bit for each word of the table that the rule has */
	bool is_left_out;
};

bool word_is(const struct word *w, const char *text);
/* Returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int word_problem(const struct parse *p, const struct word *w,
						       const char *fmt, ...);

/* "name=value": value may be empty, and is_bare when there is no "=". */
int word_apply(struct parse *p, const struct word *name, const struct word *value, bool is_bare);
/* Has the rule all it must have? first: the rule's first word. */
int word_finish(struct parse *p, const struct word *first);

#endif
