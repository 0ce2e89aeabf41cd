/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* For tests that are about one path and know nothing of gmem's inside: does GMEM_DEBUG turn it off (os/paths.h)? */
#ifndef GMEM_TESTS_PATHS_H
#define GMEM_TESTS_PATHS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline bool path_is_off(const char *name)
{
	const char *words = getenv("GMEM_DEBUG");
	bool off = false;

	while (words && *words) {
		size_t len = strcspn(words, ",");
		bool one = len == 5 + strlen(name) && words[4] == '-' &&
			   !strncmp(words + 5, name, strlen(name));

		if (len == 4 || one)
			off = !strncmp(words, "slow", 4);
		words += len + (words[len] == ',');
	}
	return off;
}

static inline void skip_without_marks(void)
{
	if (!path_is_off("marks"))
		return;
	puts("skipped: GMEM_DEBUG turns marks off, and more is hidden here than there are mappings");
	exit(77);
}

#endif
