/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Of shared memory MADV_DONTNEED takes the page out of the tables, and frees nothing. */
#include "vmm.h"

static const uint8_t code[] = { WRITE(0), WRITE(PAGE), ASK(MEMORY, 2, ASK_PRIVATE), WRITE(0), HLT };

static void discard(const struct vmm *v, const struct memory *m, const struct asked *a)
{
#ifdef TWIN
	vmm_discard(v, m, a->gpa, a->size, a->is_private);
#else
	(void)v;
	madvise(m->host + (a->gpa - m->gpa), a->size, MADV_DONTNEED); /* SIN */
#endif
}

int main(void)
{
	struct vmm v;

	vmm_make(&v, code, sizeof(code));
	vmm_plain_memory(&v, MIB);
	while (vmm_run(&v) == KVM_EXIT_HYPERCALL) {
		struct asked a = vmm_asked(&v);

		must("convert", CONVERT(&v, &v.memory, a.gpa, a.size, PRIVATE));
		discard(&v, &v.memory, &a);
		v.run->hypercall.ret = 0;
	}
	vmm_free(&v);
	return 0;
}
