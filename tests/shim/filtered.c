/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A program that is started under a filter of system calls, and has nothing to do with KVM, runs. */
#include <stddef.h>

#include "forbid.h"
#include "t.h"

/* madvise(2), which the allocators do without, fails. */
static void refuse_advice(void)
{
	forbid(SYS_madvise, EPERM);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return 0;
	refuse_advice();
	execl("/proc/self/exe", argv[0], "again", NULL);
	return 1;
}
