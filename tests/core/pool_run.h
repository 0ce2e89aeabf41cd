/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Tests that are of no use without huge pages of the pool. */
#ifndef GMEM_TESTS_CORE_POOL_RUN_H
#define GMEM_TESTS_CORE_POOL_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool_2m.h"

static inline int pool_run_group(long nr, const char *name, const struct CMUnitTest *tests,
				 size_t nr_tests)
{
	const char *reason = pool_open(nr);
	int ret;

	if (reason) {
		printf("skipped: %s\n", reason);
		return 77;
	}
	ret = _cmocka_run_group_tests(name, tests, nr_tests, NULL, NULL);
	pool_close();
	return ret;
}

/* As cmocka_run_group_tests(), with nr pages of the pool to spare; 77 where there are none. */
#define pool_run(nr, tests) pool_run_group(nr, #tests, tests, sizeof(tests) / sizeof((tests)[0]))

#endif
