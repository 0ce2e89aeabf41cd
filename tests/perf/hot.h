/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * hot: the paths whose instructions are counted against tests/perf/baseline.json.
 *
 * There are two programs: perf-hot has the layers linked in, perf-hot-shim knows the KVM interface and has the library
 * that is otherwise preloaded. tools/perf-baseline runs each once under callgrind, which counts from where measured() in hot.c is entered
 * to its return and puts that down, once a path. run() does its operation many times and nothing else; what it
 * needs is set up before, by prepare(), and so is a first round, where the path is not about being the first.
 */
#ifndef GMEM_TESTS_PERF_HOT_H
#define GMEM_TESTS_PERF_HOT_H

#include <stdint.h>

struct hot_path {
	const char *name;
	uint64_t nr; /* operations that one call of run() does */
	void (*prepare)(void);
	void (*run)(void);
};

/* All of a program, to a NULL; each table ends with an empty name. One of a table is done before the next is
 * prepared. */
extern const struct hot_path *const hot_tables[];

/* hot.c's own; with a name that is known outside, or it would have none. */
void measured(const struct hot_path *p);

#endif
