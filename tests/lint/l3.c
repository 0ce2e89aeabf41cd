/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A page is made private, and shared again; what it had on the other side stays. */
#include "vmm.h"

static const uint8_t code[] = { WRITE(0), WRITE(PAGE), ASK(MEMORY, 2, ASK_PRIVATE),
				WRITE(0), WRITE(PAGE), ASK(MEMORY, 2, ASK_SHARED),
				WRITE(0), HLT };

int main(void)
{
	struct vmm v;

	vmm_make(&v, code, sizeof(code));
	vmm_plain_memory(&v, MIB);
	while (vmm_run(&v) == KVM_EXIT_HYPERCALL) {
		struct asked a = vmm_asked(&v);
		uint64_t attributes = a.is_private ? PRIVATE : 0;

		must("convert", CONVERT(&v, &v.memory, a.gpa, a.size, attributes)); /* SIN */
#ifdef TWIN
		vmm_discard(&v, &v.memory, a.gpa, a.size, a.is_private);
#endif
		v.run->hypercall.ret = 0;
	}
	vmm_free(&v);
	return 0;
}
