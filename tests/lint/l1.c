/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The guest_memfd gets memory for pages that are shared. */
#include "vmm.h"

#define SECRET (64 * PAGE)
#ifdef TWIN
#define WANTED SECRET
#else
#define WANTED (1 * MIB)
#endif

static const uint8_t code[] = { WRITE(0), HLT };

int main(void)
{
	struct vmm v;

	vmm_make(&v, code, sizeof(code));
	vmm_plain_memory(&v, MIB);
	must("convert", CONVERT(&v, &v.memory, MEMORY, SECRET, PRIVATE));
	must("fallocate", fallocate(v.memory.gmem, FALLOC_FL_KEEP_SIZE, 0, WANTED)); /* SIN */
	while (vmm_run(&v) != KVM_EXIT_HLT)
		;
	vmm_free(&v);
	return 0;
}
