/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * <gmem.h>: pages become private or shared, in place.
 *
 * FORK. A child converts as any other process that has the file: its home does it, and the child is
 * told and waited for as others are.
 */
#ifndef GMEM_CONVERT_H
#define GMEM_CONVERT_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- conversion ---------------------------------------------------------------------------- */

struct gmem_range {
	uint64_t offset, size; /* bytes */
};

struct gmem_convert_args {
	uint32_t args_size;    /* sizeof(struct gmem_convert_args) */
	uint32_t flags;	       /* 0 */
	uint64_t offset, size; /* bytes, multiples of GMEM_PAGE_SIZE, inside the file; size > 0 */
	uint64_t attributes;   /* what the pages become: GMEM_ATTRIBUTE_PRIVATE or 0 */
	/* out. Filled in when the result is -EAGAIN, -ENOMEM, -EINTR or -EIO, else left alone:
	 * the lowest page that refused, else offset. As KVM (series v7): bytes from the start of
	 * the file. */
	uint64_t error_offset;
	/* NULL: the first refusal is enough. Else room for max_refused ranges: all that refuse
	 * are put here in order, joined where they touch, and nr_refused says how many there
	 * were, which may be more. gmem. */
	struct gmem_range *refused;
	uint32_t max_refused;
	uint32_t nr_refused; /* out, when refused is not NULL: 0 but for -EAGAIN */
};

/*
 * Conversion in place: every page of the range gets these attributes, or none does. What is in
 * the pages stays. It works on any file, with or without GMEM_MMAP, bound or not, before or after
 * its pages have memory. The state survives a punch, unbinding, and the process that asked.
 *
 * When it returns 0, to private: no CPU access and no system call through any window, in any
 * process that uses gmem, succeeds on the range any more, and consumers have let go of it. To
 * shared: consumers have let go of it, the windows of this process and those of every process
 * that answered within the patience have it; one that was late gets it when it runs again, and
 * SIGBUS until then; as this one does when it is not the home, and the home was late.
 *
 * Pages that are so already are left alone, pinned or not, and are not told to anybody (gmem; the
 * series takes the whole range again). If all are: 0 at once.
 *	-EINVAL	 in this order, as KVM: flags; attributes; size 0, or offset + size wraps; offset or
 *		 size not a multiple of GMEM_PAGE_SIZE; past the end of the file
 *	-EAGAIN	 to private: a page is pinned (see "pins"), a consumer refuses, or another process
 *		 did not hide the range within the patience. Nothing has changed, and nothing was
 *		 unmapped before the pins were looked at. error_offset and refused say where
 *	-EINTR	 gmem_interrupt(): only where nothing has changed
 *	-ENOMEM	 as everywhere; error_offset is offset
 * Excludes faults, punches, allocations and other conversions of the file while it runs.
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_convert(struct gmem *g, struct gmem_convert_args *args);

/* The two conversions; *error_offset as above, NULL: not wanted. */
static inline int gmem_convert_simply(struct gmem *g, uint64_t offset, uint64_t size,
				      uint64_t attributes, uint64_t *error_offset)
{
	struct gmem_convert_args args;
	int err;

	args.args_size = sizeof(args);
	args.flags = 0;
	args.offset = offset;
	args.size = size;
	args.attributes = attributes;
	args.error_offset = error_offset ? *error_offset : 0;
	args.refused = 0;
	args.max_refused = 0;
	args.nr_refused = 0;
	err = gmem_convert(g, &args);
	if (error_offset)
		*error_offset = args.error_offset;
	return err;
}

static inline int gmem_make_private(struct gmem *g, uint64_t offset, uint64_t size,
				    uint64_t *error_offset)
{
	return gmem_convert_simply(g, offset, size, GMEM_ATTRIBUTE_PRIVATE, error_offset);
}

static inline int gmem_make_shared(struct gmem *g, uint64_t offset, uint64_t size,
				   uint64_t *error_offset)
{
	return gmem_convert_simply(g, offset, size, 0, error_offset);
}

#ifdef __cplusplus
}
#endif

#endif
