/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * remote: what a forked child does with a guest_memfd of its parent. The parent is its home: it
 * holds the state, and the vCPUs and mappings that must be told. A request goes over a socket that
 * was made before the fork; when the answer is there, the home has finished (a punch has zapped its
 * vCPUs).
 *
 *	child  --- request, and one end of a fresh socket pair --->  home's service thread
 *	       <-- the answer, on that pair ----------------------
 *
 * One socket serves all children and grandchildren: answers cannot be mixed up. When the home is
 * gone nobody else has the file but its children, and they work on its store directly.
 */
#ifndef GMEM_SHIM_REMOTE_H
#define GMEM_SHIM_REMOTE_H

#include <stdint.h>

#include "shim/handle.h"

/* kvm_gmem_fallocate() at the home of the file. */
long remote_fallocate(struct handle *h, int mode, int64_t offset, int64_t size);

/* A punch of the pages behind a mapping. */
long remote_punch(struct kvm_object *gmem, int64_t offset, int64_t size);

/* At home, before a fork: the children's end, made at the first call; -1: cannot be. */
int remote_socket(void);
/* In the child: what was the parent's is not ours. */
void remote_after_fork(void);

#endif
