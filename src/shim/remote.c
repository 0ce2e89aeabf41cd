/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/remote.h"

#include <fcntl.h>
#include <linux/falloc.h>

long remote_fallocate(struct handle *h, int mode, int64_t offset, int64_t size)
{
	return kvm_gmem_fallocate(h->object, mode, offset, size);
}

long remote_punch(struct kvm_object *gmem, int64_t offset, int64_t size)
{
	return kvm_gmem_fallocate(gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);
}

int remote_socket(void)
{
	return -1;
}

void remote_after_fork(void)
{
}
