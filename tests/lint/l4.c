/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The guest's flags are no attributes, so the call fails; the guest does not hear of it. */
#include "vmm.h"

static const uint8_t code[] = { ASK(MEMORY, 1, ASK_PRIVATE), WRITE(0), HLT };

int main(void)
{
	struct vmm v;

	vmm_make(&v, code, sizeof(code));
	vmm_plain_memory(&v, MIB);
	while (vmm_run(&v) == KVM_EXIT_HYPERCALL) {
		struct asked a = vmm_asked(&v);
		uint64_t flags = v.run->hypercall.args[2];
		int result = CONVERT(&v, &v.memory, a.gpa, a.size, flags); /* SIN */

		v.run->hypercall.ret = 0;
		if (result)
			perror("convert");
#ifdef TWIN
		if (result)
			v.run->hypercall.ret = (uint64_t)-errno;
#endif
	}
	vmm_free(&v);
	return 0;
}
