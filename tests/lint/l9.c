/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A page is in a pipe, so it cannot become private for a while; the call is made again and again. */
#include "vmm.h"

#include <sys/uio.h>
#include <time.h>

#define NR_TRIES 300

static const uint8_t code[] = { WRITE(0), ASK(MEMORY, 1, ASK_PRIVATE), WRITE(0), HLT };

static int ends[2];

static void hold(const struct memory *m)
{
	struct iovec page = { m->host, PAGE };

	must("pipe2", pipe2(ends, O_CLOEXEC));
	must("vmsplice", (int)vmsplice(ends[1], &page, 1, 0));
}

static void let_go(void)
{
	static char bytes[PAGE];

	must("read", (int)read(ends[0], bytes, PAGE));
}

static void before_next_try(void)
{
#ifdef TWIN
	struct timespec t = { .tv_nsec = 1000000 };

	nanosleep(&t, NULL);
#endif
}

static void convert(struct vmm *v, const struct asked *a)
{
	int tries = 0;

	while (CONVERT(v, &v->memory, a->gpa, a->size, PRIVATE)) { /* SIN */
		must("convert", errno == EAGAIN ? 0 : -1);
		if (++tries == NR_TRIES)
			let_go();
		before_next_try();
	}
}

int main(void)
{
	struct vmm v;

	vmm_make(&v, code, sizeof(code));
	vmm_plain_memory(&v, MIB);
	hold(&v.memory);
	while (vmm_run(&v) == KVM_EXIT_HYPERCALL) {
		struct asked a = vmm_asked(&v);

		convert(&v, &a);
		vmm_discard(&v, &v.memory, a.gpa, a.size, a.is_private);
		v.run->hypercall.ret = 0;
	}
	vmm_free(&v);
	return 0;
}
