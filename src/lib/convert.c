/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What pages are: conversion, questions, contents. */
#include <errno.h>
#include <stddef.h>

#include "lib/calls.h"
#include "lib/lib.h"
#include "obs/obs.h"

_Static_assert(sizeof(struct gmem_range) == sizeof(struct gmem_refused) &&
		       offsetof(struct gmem_range, size) == offsetof(struct gmem_refused, size),
	       "a range is what core calls refused");
_Static_assert(sizeof(struct gmem_extent) == sizeof(struct gmem_run) &&
		       offsetof(struct gmem_extent, attributes) ==
			       offsetof(struct gmem_run, attributes),
	       "an extent is what map calls a run");
_Static_assert(GMEM_ATTRIBUTE_PRIVATE == ATTR_PRIVATE, "one bit for private");

#define PATIENCE_MAX_MS 3600000u

/* In the order of the kernel's checks (series v7). */
static int check_convert(const struct gmem *g, const struct gmem_convert_args *a)
{
	if (a->flags)
		return obs_refuse(RULE_LIB_CONVERT_FLAGS);
	if (a->attributes & ~(uint64_t)GMEM_ATTRIBUTE_PRIVATE)
		return obs_refuse(RULE_LIB_CONVERT_ATTRIBUTES);
	return lib_check_inside(g, a->offset, a->size);
}

int lib_convert(struct gmem *g, struct gmem_convert_args *args)
{
	struct gmem_convert_args a;
	struct gmem_conversion c;
	int err =
		lib_args_in(&a, sizeof(a), LIB_MIN_OF(struct gmem_convert_args, nr_refused), args);

	if (err)
		return err;
	if (!g)
		return obs_refuse(RULE_LIB_NO_FILE);
	err = check_convert(g, &a);
	if (err)
		return err;
	c = (struct gmem_conversion){ .offset = a.offset,
				      .size = a.size,
				      .attributes = (uint32_t)a.attributes,
				      .error_offset = a.error_offset,
				      .refused = (struct gmem_refused *)a.refused,
				      .max_refused = a.max_refused };
	lib_enter();
	err = host_file_convert(g->file, &c);
	lib_leave();
	if (err)
		args->error_offset = c.error_offset;
	if (a.refused)
		args->nr_refused = c.nr_refused;
	return err;
}

int lib_set_patience(uint32_t milliseconds)
{
	if (!milliseconds || milliseconds > PATIENCE_MAX_MS)
		return obs_refuse(RULE_LIB_PATIENCE);
	atomic_store(&host_file_patience_ms, milliseconds);
	return 0;
}

uint32_t gmem_patience(void)
{
	return atomic_load(&host_file_patience_ms);
}

int lib_attributes(struct gmem *g, uint64_t offset, uint32_t *attributes)
{
	if (!g || !attributes)
		return obs_refuse(RULE_LIB_NO_FILE_OR_PLACE);
	if (offset >= g->file->size)
		return obs_refuse(RULE_LIB_OFFSET_PAST_END);
	/* Elsewhere: asks what is shared, unless that was done. */
	if (!lib_home_file(g)) {
		lib_enter();
		host_file_hold(g->file);
		host_file_let(g->file);
		lib_leave();
	}
	*attributes = attr_map_get(g->file->state, offset >> OS_PAGE_SHIFT);
	return 0;
}

int lib_query(struct gmem *g, uint64_t offset, uint64_t size, struct gmem_extent *extents,
	      uint32_t max, uint32_t *nr)
{
	int err;

	if (!g || !nr || (max && !extents))
		return obs_refuse(RULE_LIB_NO_FILE_OR_PLACE);
	err = lib_check_range(offset, size);
	if (err)
		return err;
	lib_enter();
	err = host_file_query(g->file, offset, size, (struct gmem_run *)extents, max, nr);
	lib_leave();
	return err;
}

int lib_poison(struct gmem *g, uint64_t offset, uint64_t size)
{
	int err;

	if (!g)
		return obs_refuse(RULE_LIB_NO_FILE);
	err = lib_check_inside(g, offset, size);
	if (err)
		return err;
	if (!lib_home_file(g))
		return obs_refuse(RULE_POISON_HOME);
	lib_enter();
	err = gmem_file_poison(lib_home_file(g), offset, size);
	lib_leave();
	return err;
}

int lib_punch(struct gmem *g, uint64_t offset, uint64_t size)
{
	int err;

	if (!g)
		return obs_refuse(RULE_LIB_NO_FILE);
	err = lib_check_range(offset, size);
	if (err)
		return err;
	lib_enter();
	err = host_file_punch(g->file, offset, size);
	lib_leave();
	return err;
}

int lib_allocate(struct gmem *g, uint64_t offset, uint64_t size)
{
	int err;

	if (!g)
		return obs_refuse(RULE_LIB_NO_FILE);
	err = lib_check_inside(g, offset, size);
	if (err)
		return err;
	lib_enter();
	err = host_file_allocate(g->file, offset, size);
	lib_leave();
	return err;
}
