/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Requests to a guest_memfd: conversion in place as the series has it, and two of our own (gmem/ioctl.h).
 * They need no VM, no memslot and no mapping, and work in every process: host_file.h knows the way to the file.
 */
#include "core/range.h"
#include "kvm/vm.h"

#include <gmem/ioctl.h>

#include <errno.h>

/* What both ways to convert ask for, and where it is checked. */
struct request {
	const struct host_file *file;
	uint64_t offset, size, attributes;
};

/* In the series' order; the eighth version asks first whether the VM has private memory at all. */
static int check_attributes(const struct request *r)
{
	bool no_private = r->file->flags & GMEM_FILE_NO_PRIVATE;
	uint64_t legal = no_private ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE;

	if (no_private && !kvm_profile()->shared_without_private)
		return obs_refuse(RULE_CONVERT_NO_PRIVATE);
	if (r->attributes & ~legal)
		return obs_refuse(RULE_CONVERT_ILLEGAL);
	return 0;
}

static int check_range(const struct request *r)
{
	if (!r->size || range_wraps(r->offset, r->size))
		return obs_refuse(RULE_CONVERT_RANGE);
	if ((r->offset | r->size) & (OS_PAGE_SIZE - 1))
		return obs_refuse(RULE_CONVERT_UNALIGNED);
	if (!range_inside(r->offset, r->size, r->file->size))
		return obs_refuse(RULE_CONVERT_PAST_END);
	return 0;
}

static bool all_zero(const uint64_t *words, unsigned int nr)
{
	uint64_t any = 0;

	while (nr)
		any |= words[--nr];
	return !any;
}

/* Before a structure is read: is there such a request at all? */
static int check_mode(const struct gmem *g)
{
	if (!host_file_converts(g->host))
		return obs_refuse(RULE_GMEM_NOT_IN_PLACE);
	return 0;
}

static void tell_asked(const struct request *r, int err)
{
	if (obs_watched() && (err || obs_looks_closer()))
		obs_span(OBS_ASKED, 0, err, r->offset, r->size, r->attributes);
}

/* ---- KVM_SET_MEMORY_ATTRIBUTES2 -------------------------------------------------------------------- */

static int check_kvm(const struct gmem *g, const struct kvm_memory_attributes2 *a)
{
	struct request r = { g->host, a->offset, a->size, a->attributes };
	int err;

	if (a->flags)
		return obs_refuse(RULE_CONVERT_FLAGS);
	if (!all_zero(a->reserved, NR_ROWS(a->reserved)))
		return obs_refuse(RULE_CONVERT_RESERVED);
	err = check_attributes(&r);
	return err ? err : check_range(&r);
}

/* Only a conversion that fails by itself is told where; that it cannot be told outweighs why it failed. */
static long set_attributes(void *object, void *data, uint64_t arg)
{
	struct gmem *g = object;
	struct kvm_memory_attributes2 a;
	struct gmem_conversion c = { 0 };
	int err = check_mode(g);

	if (err)
		return err;
	if (os_copy_in(&a, arg, sizeof(a)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	err = check_kvm(g, &a);
	if (err) {
		tell_asked(&(struct request){ g->host, a.offset, a.size, a.attributes }, err);
		return err;
	}
	c.offset = c.error_offset = a.offset;
	c.size = a.size;
	c.attributes = (uint32_t)a.attributes;
	account_changed();
	err = host_file_convert(g->host, &c);
	tell_asked(&(struct request){ g->host, a.offset, a.size, a.attributes }, err);
	if (!err)
		return 0;
	a.error_offset = c.error_offset;
	if (os_copy_out(arg, &a, sizeof(a)))
		return obs_refuse(RULE_ARGUMENT_UNWRITABLE);
	return err;
}

/* ---- GMEM_CONVERT ---------------------------------------------------------------------------------- */

_Static_assert(sizeof(struct gmem_refused) == sizeof(struct gmem_ioctl_range) &&
		       offsetof(struct gmem_refused, size) ==
			       offsetof(struct gmem_ioctl_range, size),
	       "what core tells is what the program gets");

static int check_convert(const struct gmem *g, const struct gmem_ioctl_convert *a)
{
	struct request r = { g->host, a->offset, a->size, a->attributes };
	int err;

	if (a->flags || !all_zero(a->reserved, NR_ROWS(a->reserved)))
		return obs_refuse(RULE_GMEM_CONVERT_FLAGS);
	if (a->max_refused > GMEM_IOCTL_MAX_RANGES)
		return obs_refuse(RULE_GMEM_CONVERT_MAX);
	err = check_attributes(&r);
	return err ? err : check_range(&r);
}

static int tell_refused(const struct gmem_ioctl_convert *a, const struct gmem_conversion *c)
{
	uint32_t nr = c->nr_refused < c->max_refused ? c->nr_refused : c->max_refused;

	return nr ? os_copy_out(a->refused, c->refused, nr * sizeof(c->refused[0])) : 0;
}

static long convert_and_tell(struct gmem *g, struct gmem_ioctl_convert *a,
			     struct gmem_conversion *c)
{
	int err;

	account_changed();
	err = host_file_convert(g->host, c);
	tell_asked(&(struct request){ g->host, a->offset, a->size, a->attributes }, err);
	a->nr_refused = err ? c->nr_refused : 0;
	a->error_offset = err ? c->error_offset : a->error_offset;
	if (err && tell_refused(a, c))
		return obs_refuse(RULE_GMEM_RANGES_UNWRITABLE);
	return err;
}

static long convert(void *object, void *data, uint64_t arg)
{
	struct gmem_ioctl_convert a;
	struct gmem_conversion c = { 0 };
	struct gmem *g = object;
	long err = check_mode(g);

	if (err)
		return err;
	if (os_copy_in(&a, arg, sizeof(a)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	err = check_convert(g, &a);
	if (err)
		return err;
	c.offset = c.error_offset = a.offset;
	c.size = a.size;
	c.attributes = (uint32_t)a.attributes;
	c.max_refused = gmem_refused_room(a.max_refused, a.size);
	if (c.max_refused) {
		c.refused = os_alloc(c.max_refused * sizeof(c.refused[0]));
		if (!c.refused)
			return obs_refuse(RULE_CONVERT_NO_ROOM);
	}
	err = convert_and_tell(g, &a, &c);
	if (c.refused)
		os_free(c.refused, c.max_refused * sizeof(c.refused[0]));
	if (os_copy_out(arg, &a, sizeof(a)) && err)
		return obs_refuse(RULE_ARGUMENT_UNWRITABLE);
	return err;
}

/* ---- GMEM_GET_ATTRIBUTES --------------------------------------------------------------------------- */

static int check_query(const struct gmem *g, const struct gmem_ioctl_attributes *a)
{
	struct request r = { g->host, a->offset, a->size, 0 };

	if (!all_zero(a->reserved, NR_ROWS(a->reserved)))
		return obs_refuse(RULE_GMEM_QUERY_RESERVED);
	if (!a->max_runs || a->max_runs > GMEM_IOCTL_MAX_RANGES)
		return obs_refuse(RULE_GMEM_QUERY_MAX);
	return check_range(&r);
}

_Static_assert(sizeof(struct gmem_run) == sizeof(struct gmem_ioctl_run) &&
		       offsetof(struct gmem_run, attributes) ==
			       offsetof(struct gmem_ioctl_run, attributes),
	       "what map/ tells is what the program gets");

/* In one go at home, and so of one moment; elsewhere the answer may come in parts. */
static int query(struct gmem *g, const struct gmem_ioctl_attributes *a, struct gmem_run *runs,
		 uint32_t *nr)
{
	uint64_t at = a->offset, end = a->offset + a->size;
	uint32_t some;
	int err;

	for (*nr = 0; at < end && *nr < a->max_runs; *nr += some) {
		some = 0;
		err = host_file_query(g->host, at, end - at, runs + *nr, a->max_runs - *nr, &some);
		if (err)
			return obs_refuse_as(RULE_GMEM_QUERY_FAILED, err);
		os_assert(some);
		at = runs[*nr + some - 1].offset + runs[*nr + some - 1].size;
	}
	return 0;
}

static long query_and_tell(struct gmem *g, struct gmem_ioctl_attributes *a, struct gmem_run *runs)
{
	int err = query(g, a, runs, &a->nr_runs);

	if (!err && os_copy_out(a->runs, runs, a->nr_runs * sizeof(runs[0])))
		err = obs_refuse(RULE_GMEM_RANGES_UNWRITABLE);
	return err;
}

static long get_attributes(void *object, void *data, uint64_t arg)
{
	struct gmem_ioctl_attributes a;
	struct gmem_run *runs;
	uint64_t size;
	long err;

	if (os_copy_in(&a, arg, sizeof(a)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	err = check_query(object, &a);
	if (err)
		return err;
	if (a.max_runs > a.size / OS_PAGE_SIZE)
		a.max_runs = (uint32_t)(a.size / OS_PAGE_SIZE);
	size = a.max_runs * sizeof(*runs);
	runs = os_alloc(size);
	if (!runs)
		return obs_refuse(RULE_CONVERT_NO_ROOM);
	err = query_and_tell(object, &a, runs);
	os_free(runs, size);
	if (!err && os_copy_out(arg + offsetof(struct gmem_ioctl_attributes, nr_runs), &a.nr_runs,
				sizeof(a.nr_runs)))
		err = obs_refuse(RULE_ARGUMENT_UNWRITABLE);
	return err;
}

static const struct ioctl_row rows[] = {
	IOCTL_ROW(KVM_SET_MEMORY_ATTRIBUTES2, set_attributes, true),
	IOCTL_ROW(GMEM_CONVERT, convert, true),
	IOCTL_ROW(GMEM_GET_ATTRIBUTES, get_attributes, true),
};

long gmem_ioctl(struct gmem *g, unsigned int cmd, uint64_t arg)
{
	long r = ioctl_run(rows, NR_ROWS(rows), g, cmd, arg);

	return r == -NO_SUCH_REQUEST ? obs_refuse(RULE_GMEM_REQUEST_UNKNOWN) : r;
}
