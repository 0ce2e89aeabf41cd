/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A page is private where the slot has no guest_memfd, so the guest cannot have it so; it tries for ever. */
#include "vmm.h"

#define NR_TRIES 5
#define WHERE (64 * PAGE)

/* mov ax, 0x4000; mov ds, ax */
static const uint8_t code[] = { 0xb8, 0x00, 0x40, 0x8e, 0xd8, WRITE(0), HLT };

int main(void)
{
	struct vmm v;
	int tries = 0;

	vmm_make(&v, code, sizeof(code));
	/* In place no page is private of which there is no guest_memfd. */
	if (v.in_place)
		return 0;
	must("convert", CONVERT(&v, &v.memory, WHERE, PAGE, PRIVATE));
	while (ioctl(v.vcpu, KVM_RUN, 0) && ++tries < NR_TRIES) { /* SIN */
#ifdef TWIN
		must("convert", CONVERT(&v, &v.memory, WHERE, PAGE, 0));
#endif
	}
	vmm_free(&v);
	return 0;
}
