/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Which seeded bug runs, for the copy of the sources that tools/mutants makes: the first line of each file that it
 * has changed includes this one. GMEM_MUTANT in the environment names the bug; without it everything is as it should
 * be. One that is not known ends the program, so that a slip of the pen is no survivor.
 *
 * Each program and library has a number of its own, which is there before anything else of it runs. No libc: the
 * layers below have none.
 */
#ifndef GMEM_TESTS_MUTANTS_MUTANT_H
#define GMEM_TESTS_MUTANTS_MUTANT_H

#include "os/mutant_names.h"

#define MUTANT_SHARED __attribute__((weak, visibility("hidden")))

MUTANT_SHARED int mutant_number;
void mutant_choose(int argc, char **argv, char **envp);

static inline int mutant_same(const char *a, const char *b)
{
	for (; *a && *a == *b; a++)
		b++;
	return *a == *b;
}

/* From 1 on; 0: none. */
static inline int mutant_find(const char *name)
{
	if (!*name)
		return 0;
	for (int i = 1; mutant_names[i]; i++)
		if (mutant_same(mutant_names[i], name))
			return i;
	__builtin_trap();
}

__attribute__((weak, visibility("hidden"), constructor(101))) void mutant_choose(int argc,
										 char **argv,
										 char **envp)
{
	static const char variable[] = "GMEM_MUTANT=";

	for (; envp && *envp; envp++) {
		unsigned int i = 0;

		while (variable[i] && (*envp)[i] == variable[i])
			i++;
		if (!variable[i])
			mutant_number = mutant_find(*envp + i);
	}
}

/* No access that a schedule or a race detector should see. */
__attribute__((no_sanitize("thread"))) static inline int mutant_is(int number)
{
	return mutant_number == number;
}

#endif
