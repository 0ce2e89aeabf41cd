/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* All is closed but the guest_memfd. */
#include "vmm.h"

static const uint8_t code[] = { WRITE(0), HLT };

int main(void)
{
	struct vmm v;
	struct memory *m = &v.memory;

	vmm_make(&v, code, sizeof(code));
	m->gpa = MEMORY;
	m->size = MIB;
	m->gmem = ioctl(v.vm, KVM_CREATE_GUEST_MEMFD, vmm_gmem_args(&v, MIB)); /* SIN */
	must("KVM_CREATE_GUEST_MEMFD", m->gmem);
	vmm_add_memory(&v, 1, m);
	while (vmm_run(&v) != KVM_EXIT_HLT)
		;
#ifndef TWIN
	m->gmem = -1;
#endif
	vmm_free(&v);
	return 0;
}
