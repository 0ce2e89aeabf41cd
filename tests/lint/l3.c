/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A page is made private, and shared again; what it had on the other side stays. The twin lets go of it before the guest
 * runs again, though it completes the exit first, as who saves a vCPU's state must.
 */
#include "vmm.h"

static const uint8_t code[] = { WRITE(0), WRITE(PAGE), ASK(MEMORY, 2, ASK_PRIVATE),
				WRITE(0), WRITE(PAGE), ASK(MEMORY, 2, ASK_SHARED),
				WRITE(0), HLT };

#ifdef TWIN
static void complete_exit(struct vmm *v)
{
	v->run->immediate_exit = 1;
	must("complete", ioctl(v->vcpu, KVM_RUN, 0) == -1 && errno == EINTR ? 0 : -1);
	v->run->immediate_exit = 0;
}
#endif

int main(void)
{
	struct vmm v;

	vmm_make(&v, code, sizeof(code));
	vmm_plain_memory(&v, MIB);
	while (vmm_run(&v) == KVM_EXIT_HYPERCALL) {
		struct asked a = vmm_asked(&v);
		uint64_t attributes = a.is_private ? PRIVATE : 0;

		v.run->hypercall.ret = 0;
		must("convert", CONVERT(&v, &v.memory, a.gpa, a.size, attributes)); /* SIN */
#ifdef TWIN
		complete_exit(&v);
		vmm_discard(&v, &v.memory, a.gpa, a.size, a.is_private);
#endif
	}
	vmm_free(&v);
	return 0;
}
