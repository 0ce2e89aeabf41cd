/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Sixteen pages, and sixteen calls. */
#include "vmm.h"

#ifdef TWIN
#define STEP a.size
#else
#define STEP PAGE
#endif

static const uint8_t code[] = { ASK(MEMORY, 16, ASK_PRIVATE), WRITE(0), HLT };

int main(void)
{
	struct vmm v;

	vmm_make(&v, code, sizeof(code));
	vmm_plain_memory(&v, MIB);
	while (vmm_run(&v) == KVM_EXIT_HYPERCALL) {
		struct asked a = vmm_asked(&v);

		for (uint64_t gpa = a.gpa; gpa < a.gpa + a.size; gpa += STEP)
			must("convert", CONVERT(&v, &v.memory, gpa, STEP, PRIVATE)); /* SIN */
		vmm_discard(&v, &v.memory, a.gpa, a.size, a.is_private);
		v.run->hypercall.ret = 0;
	}
	vmm_free(&v);
	return 0;
}
