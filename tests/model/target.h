/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * target: makes the calls of a program for real, on a host (host.h), and says what came of them in the model's words.
 * One of them in a process, one thread.
 */
#ifndef GMEM_MODEL_TARGET_H
#define GMEM_MODEL_TARGET_H

#include "host.h"

/* 0, or -errno after a message: -ENOENT and the like, there is no /dev/kvm. */
int target_open(const struct host *host, const char *profile);
/* Leaves out of the rules what the host does not offer. */
void target_limit(struct rules *r);
/* Pages that no dirty log is looked at for, as said at the time: GUEST_PAGES of them. */
void target_ignore(const bool *pages);
/* Everything is gone again, for the next program. */
void target_reset(void);
/* False, after a message: the host could not be brought to where the call could be made. */
bool target_step(const struct op *op, struct answer *a);

#endif
