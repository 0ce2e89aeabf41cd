/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Tests that want huge pages of the pool: some are of no use without. */
#ifndef GMEM_TESTS_CORE_POOL_RUN_H
#define GMEM_TESTS_CORE_POOL_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool_2m.h"

static inline int pool_run_group(long nr, int needed, const char *name,
				 const struct CMUnitTest *tests, size_t nr_tests)
{
	const char *reason = pool_open(nr);
	int ret;

	if (reason)
		printf("%s: %s\n", needed ? "skipped" : "without huge pages of the pool", reason);
	if (reason && needed)
		return 77;
	ret = _cmocka_run_group_tests(name, tests, nr_tests, NULL, NULL);
	if (!reason)
		pool_close();
	return ret;
}

#define POOL_NR_OF(tests) (sizeof(tests) / sizeof((tests)[0]))
/* As cmocka_run_group_tests(), with nr pages of the pool to spare; 77 where there are none. */
#define pool_run(nr, tests) pool_run_group(nr, 1, #tests, tests, POOL_NR_OF(tests))
/* The same, and without the pages where there are none. */
#define pool_run_or_without(nr, tests) pool_run_group(nr, 0, #tests, tests, POOL_NR_OF(tests))

#endif
