/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/fail.h"
#include "os/os.h"

uint32_t os_paths_off, os_paths_always;

static const char *const names[OS_PATH_NR] = {
	[OS_PATH_TLB] = "tlb",	 [OS_PATH_BLOCKS] = "blocks",	  [OS_PATH_CHAIN] = "chain",
	[OS_PATH_FUSE] = "fuse", [OS_PATH_FLAGS] = "flags",	  [OS_PATH_LEAVES] = "leaves",
	[OS_PATH_HUGE] = "huge", [OS_PATH_MARKS] = "marks",	  [OS_PATH_BATCH] = "batch",
	[OS_PATH_FDS] = "fds",	 [OS_PATH_HANDLERS] = "handlers", [OS_PATH_MXCSR] = "mxcsr",
};

/* The bits that "" (all) or "-name" stands for; 0: no such path. */
static uint32_t bits_of(const char *word, size_t len)
{
	if (!len)
		return (1u << OS_PATH_NR) - 1;
	for (unsigned int i = 0; *word == '-' && i < OS_PATH_NR; i++)
		if (strlen(names[i]) == len - 1 && !strncmp(names[i], word + 1, len - 1))
			return 1u << i;
	return 0;
}

static int set_word(const char *word, size_t len)
{
	bool slow = len >= 4 && !strncmp(word, "slow", 4);
	bool fast = len >= 4 && !strncmp(word, "fast", 4);
	uint32_t bits = slow || fast ? bits_of(word + 4, len - 4) : 0;

	if (!bits)
		return os_fail_word(word, len);
	os_paths_off = slow ? os_paths_off | bits : os_paths_off & ~bits;
	os_paths_always = fast ? os_paths_always | bits : os_paths_always & ~bits;
	return 0;
}

int os_paths_set(const char *words)
{
	int err = 0;

	while (words && *words) {
		size_t len = strcspn(words, ",");

		if (set_word(words, len))
			err = -EINVAL;
		words += len + (words[len] == ',');
	}
	return err;
}

/* Whoever links with us: the preloaded library, the library, each test. Before shim_init(). */
__attribute__((constructor(101))) static void set_paths(void)
{
	const char *words = getenv("GMEM_DEBUG");

	if (os_paths_set(words))
		os_log(OS_LOG_ERROR, "GMEM_DEBUG: unknown word in \"%s\"", words);
}
