/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Structures that grow: each begins with the size that the caller was compiled with. */
#include <errno.h>
#include <string.h>

#include "core/range.h"
#include "lib/lib.h"
#include "obs/obs.h"

static uint32_t size_of(const void *args)
{
	uint32_t size;

	memcpy(&size, args, sizeof(size));
	return size;
}

static bool all_zero(const char *from, const char *to)
{
	while (from < to)
		if (*from++)
			return false;
	return true;
}

/* No version ends in the middle of a pointer. */
static bool ends_inside_a_field(uint32_t given, uint32_t size)
{
	return given % (size % 8 ? 4 : 8);
}

static int check_size(const void *args, uint32_t size, uint32_t least)
{
	uint32_t given;

	if (!args)
		return obs_refuse(RULE_LIB_NO_ARGUMENTS);
	given = size_of(args);
	if (given < least || given > OS_PAGE_SIZE || ends_inside_a_field(given, size))
		return obs_refuse(RULE_LIB_ARGS_SIZE);
	if (given > size && !all_zero((const char *)args + size, (const char *)args + given))
		return obs_refuse(RULE_LIB_ARGS_LATER);
	return 0;
}

int lib_args_in(void *dst, uint32_t size, uint32_t least, const void *args)
{
	int err = check_size(args, size, least);
	uint32_t given;

	if (err)
		return err;
	given = size_of(args);
	memset(dst, 0, size);
	memcpy(dst, args, given < size ? given : size);
	return 0;
}

int lib_args_out(void *args, const void *src, uint32_t size, uint32_t least)
{
	uint32_t given;

	if (!args)
		return obs_refuse(RULE_LIB_NO_ANSWER_ROOM);
	given = size_of(args);
	if (given < least || given > OS_PAGE_SIZE || ends_inside_a_field(given, size))
		return obs_refuse(RULE_LIB_ARGS_SIZE);
	if (given > size)
		memset((char *)args + size, 0, given - size);
	memcpy((char *)args + sizeof(given), (const char *)src + sizeof(given),
	       (given < size ? given : size) - sizeof(given));
	return 0;
}

int lib_check_range(uint64_t offset, uint64_t size)
{
	if (!size)
		return obs_refuse(RULE_LIB_SIZE_ZERO);
	if (!range_inside(offset, size, LIB_OFFSET_MAX))
		return obs_refuse(RULE_LIB_RANGE_TOO_FAR);
	if (!lib_is_aligned(offset) || !lib_is_aligned(size))
		return obs_refuse(RULE_LIB_RANGE_UNALIGNED);
	return 0;
}

int lib_check_inside(const struct gmem *g, uint64_t offset, uint64_t size)
{
	int err = lib_check_range(offset, size);

	if (err)
		return err;
	if (!range_inside(offset, size, g->file->size))
		return obs_refuse(RULE_LIB_RANGE_PAST_END);
	return 0;
}
