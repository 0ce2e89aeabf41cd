/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The guest asks for pages of two slots; the one in which the range begins is all that is looked at. */
#include "vmm.h"

#define SIZE (64 * PAGE)

static const uint8_t code[] = { WRITE(0), ASK(MEMORY + SIZE - 4 * PAGE, 8, ASK_PRIVATE), HLT };

static struct vmm v;
static struct memory second;

static void add_second(void)
{
	second.gpa = MEMORY + SIZE;
	second.size = SIZE;
	second.gmem = must("KVM_CREATE_GUEST_MEMFD",
			   ioctl(v.vm, KVM_CREATE_GUEST_MEMFD, vmm_gmem_args(&v, SIZE)));
	vmm_add_memory(&v, 2, &second);
}

/* How much of it there was in the slot. */
static uint64_t convert(struct asked *a)
{
	const struct memory *m = a->gpa < second.gpa ? &v.memory : &second;
	uint64_t room = m->gpa + m->size - a->gpa, size = a->size < room ? a->size : room;

	must("convert", CONVERT(&v, m, a->gpa, size, PRIVATE)); /* SIN */
	vmm_discard(&v, m, a->gpa, size, true);
	return size;
}

int main(void)
{
	vmm_make(&v, code, sizeof(code));
	vmm_plain_memory(&v, SIZE);
	add_second();
	while (vmm_run(&v) == KVM_EXIT_HYPERCALL) {
		struct asked a = vmm_asked(&v);
		uint64_t done = convert(&a);

#ifdef TWIN
		for (; done < a.size; done += convert(&a)) {
			a.gpa += done;
			a.size -= done;
			done = 0;
		}
#endif
		v.run->hypercall.ret = 0;
		(void)done;
	}
	vmm_free(&v);
	munmap(second.host, second.size);
	close(second.gmem);
	close(second.memfd);
	return 0;
}
