/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * ours: the frame of every exported function that takes a descriptor.
 *
 *	struct handle *h = ours_begin(fd);
 *	if (!h)
 *		return real()->read(fd, buf, size);
 *	return ours_end(h, op_data(h, OP_READ));
 */
#ifndef GMEM_SHIM_OURS_H
#define GMEM_SHIM_OURS_H

#include "shim/fdtable.h"
#include "shim/ops.h"
#include "shim/shim.h"

static inline struct handle *ours_begin(int fd)
{
	struct handle *h;

	if (__builtin_expect(!fdtable_peek(fd), 1))
		return NULL;
	shim_enter();
	h = fdtable_get_slow(fd);
	if (!h)
		shim_leave();
	return h;
}

static inline long ours_end_raw(struct handle *h, long ret)
{
	handle_put(h);
	shim_leave();
	return ret;
}

static inline long ours_end(struct handle *h, long ret)
{
	return shim_return(ours_end_raw(h, ret));
}

static inline enum kvm_object_type ours_type(struct handle *h)
{
	return ((struct kvm_object *)h->object)->type;
}

#endif
