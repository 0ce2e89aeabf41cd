/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "bench/measure.h"

#include <fnmatch.h>
#include <string.h>

static const struct bench_case *next_case(size_t *set, size_t *at)
{
	while (bench_sets[*set]) {
		const struct bench_case *c = &bench_sets[*set][*at];

		if (c->name) {
			(*at)++;
			return c;
		}
		(*set)++;
		*at = 0;
	}
	return NULL;
}

const struct bench_case *bench_find(const char *name)
{
	size_t set = 0, at = 0;
	const struct bench_case *c;

	while ((c = next_case(&set, &at)))
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

bool bench_matches(const char *name, const char *word)
{
	size_t length = strlen(word);

	if (strpbrk(word, "*?["))
		return fnmatch(word, name, 0) == 0;
	while (length && word[length - 1] == '/')
		length--;
	return strncmp(name, word, length) == 0 && (name[length] == '\0' || name[length] == '/');
}

static bool wanted(const struct bench_case *c, char *const *words, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (bench_matches(c->name, words[i]))
			return true;
	return nr == 0;
}

size_t bench_for_each(char *const *words, size_t nr,
		      void (*call)(const struct bench_case *c, void *arg), void *arg)
{
	size_t set = 0, at = 0, found = 0;
	const struct bench_case *c;

	while ((c = next_case(&set, &at))) {
		if (!wanted(c, words, nr))
			continue;
		found++;
		call(c, arg);
	}
	return found;
}
