/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* limit: how much memory guests may have, as kvm_set_limit() says. Any thread. */
#ifndef GMEM_KVM_LIMIT_H
#define GMEM_KVM_LIMIT_H

#include "core/limit.h"

/* Of a VM: one reference, or NULL if there is none. -ENOMEM. */
int limit_make(struct gmem_limit **out);
/* Of the files that no VM makes (memfd.c), all together; NULL: none. It stays as long as the process. -ENOMEM. */
int limit_of_files(struct gmem_limit **out);

#endif
