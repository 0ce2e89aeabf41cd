/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Makes os_alloc() fail, for all threads: after allow_allocs(n), n more calls succeed. */
#ifndef GMEM_TESTS_CORE_FAIL_ALLOC_H
#define GMEM_TESTS_CORE_FAIL_ALLOC_H

#define ALLOW_ALL (-1)

void allow_allocs(long nr);

#endif
