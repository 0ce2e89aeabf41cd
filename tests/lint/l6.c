/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The guest will use the range in a page of 2 MiB, and gets it in two halves. */
#include "vmm.h"

#ifdef TWIN
#define PIECE (2 * MIB)
#else
#define PIECE MIB
#endif

static const uint8_t code[] = { ASK(MEMORY, 512, ASK_PRIVATE | KVM_MAP_GPA_RANGE_PAGE_SZ_2M),
				WRITE(0), HLT };

static void convert(struct vmm *v, uint64_t gpa, uint64_t size)
{
	for (uint64_t at = gpa; at < gpa + size; at += PIECE)
		must("convert", CONVERT(v, &v->memory, at, PIECE, PRIVATE)); /* SIN */
}

int main(void)
{
	struct vmm v;

	vmm_make(&v, code, sizeof(code));
	vmm_plain_memory(&v, 4 * MIB);
	while (vmm_run(&v) == KVM_EXIT_HYPERCALL) {
		struct asked a = vmm_asked(&v);

		convert(&v, a.gpa, a.size);
		vmm_discard(&v, &v.memory, a.gpa, a.size, a.is_private);
		v.run->hypercall.ret = 0;
	}
	vmm_free(&v);
	return 0;
}
