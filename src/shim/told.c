/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/told.h"

#include "kvm/kvm.h"
#include "os/sys.h"
#include "shim/handle.h"

static void tell(struct kvm_object *gmem, long nr, uint64_t how, uint64_t start, long r,
		 uint64_t at, uint64_t size)
{
	obs_span_file(OBS_CALL, kvm_gmem_number(gmem), start, os_sys_failed(r) ? r : 0,
		      (uint64_t)nr | how << OBS_CALL_SHIFT, at, size);
}

void told_file_call(struct kvm_object *o, long nr, uint64_t how, uint64_t start, long r,
		    uint64_t offset, uint64_t size)
{
	if (o->type != KVM_OBJECT_GMEM)
		return;
	tell(o, nr, how, start, r, offset, size);
	if (nr == SYS_mmap && !os_sys_failed(r))
		obs_count_file(OBS_MAPPED, kvm_gmem_number(o), (uint64_t)r, size, offset);
}

void told_map_call(const struct change *c, long nr, uint64_t how, uint64_t start, long r,
		   uint64_t addr, uint64_t size)
{
	if (c->nr_owners)
		tell(c->owners[0], nr, how, start, r, addr, size);
}

void told_policy_call(struct kvm_object *gmem, long nr, uint64_t how, uint64_t start, long r,
		      uint64_t addr, uint64_t size)
{
	tell(gmem, nr, how, start, r, addr, size);
}
