/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * inject: the rules of gmem-inject(5), from text to the table that programs go by (obs/inject.h), and what became of
 * them. Pure functions but for see_inject_read().
 */
#ifndef GMEM_SEE_INJECT_H
#define GMEM_SEE_INJECT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "obs/inject.h"

/* Where the text is wrong, both from 1, and what was expected there. */
struct see_inject_problem {
	uint32_t line, column;
	char text[200];
};

/* 0, or -EINVAL with the problem. Rules that are for other profiles are checked and left out. The table is whole or
 * not touched. */
int see_inject_parse(const char *text, size_t size, const char *profile, struct inject_table *table,
		     struct see_inject_problem *problem);

/*
 * What an argument is: "@NAME" is always the file NAME; what has a line's end or ; in it, or begins with the first word
 * of a rule, is rules; all else is the name of a file. BOTH: it would be rules, and there is a file of just that name.
 */
enum see_inject_source { SEE_INJECT_RULES, SEE_INJECT_FILE, SEE_INJECT_BOTH };
enum see_inject_source see_inject_source(const char *argument);
/* A file's contents, to be freed; -errno. -EFBIG: no rules are that long. */
int see_inject_read(const char *path, char **text, size_t *size);

/* The first word of its rules; NULL: no such point. All of them, with blanks between. */
const char *see_inject_point(unsigned int point);
const char *see_inject_points(void);
/* A line for each rule: how often it fitted and was made. */
void see_inject_tell(const struct inject_table *table, FILE *to);

#endif
