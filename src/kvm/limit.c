/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* How much memory guests may have: one limit (core/limit.h) for each VM, and one for all files that no VM makes. */
#include "kvm/limit.h"

#include <errno.h>

#include "kvm/kvm.h"
#include "kvm/state.h"

static uint64_t bytes; /* 0: no limit */

static struct os_mutex lock;
static struct gmem_limit *of_files;

/* "65536", "64K" to "1T". */
static bool parse(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	uint64_t value = 0;
	unsigned int shift = 0;

	do {
		if (*text < '0' || *text > '9' || value > UINT64_MAX / 10 - 1)
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
	} while (*++text >= '0' && *text <= '9');
	for (unsigned int i = 0; *text && units[i]; i++)
		if (units[i] == *text)
			shift = 10 * (i + 1);
	if (!value || (*text && (!shift || text[1])) || value > (uint64_t)INT64_MAX >> shift)
		return false;
	*out = value << shift;
	return true;
}

int kvm_set_limit(const char *size)
{
	return size && !parse(size, &bytes) ? -EINVAL : 0;
}

int limit_make(struct gmem_limit **out)
{
	*out = NULL;
	return bytes ? gmem_limit_create(bytes, out) : 0;
}

int limit_of_files(struct gmem_limit **out)
{
	int err = 0;

	os_mutex_lock(&lock);
	if (!of_files)
		err = limit_make(&of_files);
	*out = of_files;
	os_mutex_unlock(&lock);
	return err;
}
