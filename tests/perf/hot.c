/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Runs all hot paths, or those that are named; "--list" prints "NAME OPERATIONS" for each. See hot.h. */
#include "hot.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool wanted(const char *name, char *const *names)
{
	for (char *const *n = names; *n; n++)
		if (strcmp(*n, name) == 0)
			return true;
	return !names[0];
}

/* What tools/perf-baseline tells callgrind to count. */
__attribute__((noinline)) void measured(const struct hot_path *p)
{
	p->run();
}

static void run(const struct hot_path *paths, char *const *names)
{
	for (const struct hot_path *p = paths; p->name; p++) {
		if (!wanted(p->name, names))
			continue;
		p->prepare();
		measured(p);
	}
}

static void list(const struct hot_path *paths)
{
	for (const struct hot_path *p = paths; p->name; p++)
		printf("%s %llu\n", p->name, (unsigned long long)p->nr);
}

int main(int argc, char **argv)
{
	bool only_list = argc > 1 && strcmp(argv[1], "--list") == 0;

	for (const struct hot_path *const *table = hot_tables; *table; table++) {
		if (only_list)
			list(*table);
		else
			run(*table, argv + 1);
	}
	return 0;
}
