/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Uses the library: what its calls give is printed, a line each. With an argument: and /dev/kvm. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gmem.h"

#define PAGE 4096u

static int make(struct gmem **g)
{
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = GMEM_MMAP | GMEM_INIT_SHARED,
					 .size = 16 * PAGE };

	return gmem_create(&args, g); /* @create */
}

static int convert(struct gmem *g, uint64_t offset)
{
	struct gmem_convert_args args = { .args_size = sizeof(args),
					  .offset = offset,
					  .size = PAGE,
					  .attributes = GMEM_ATTRIBUTE_PRIVATE };

	return gmem_convert(g, &args); /* @convert */
}

static void say(const char *what, int result)
{
	struct gmem_refusal r = { .args_size = sizeof(r) };

	if (result && !gmem_last_refusal(&r))
		printf("%s %d %s\n", what, result, r.rule);
	else
		printf("%s %d\n", what, result);
	fflush(stdout);
}

static int populate(struct gmem *g, uint64_t offset)
{
	struct gmem_populate_args args = { .args_size = sizeof(args),
					   .offset = offset,
					   .size = PAGE };

	return gmem_populate(g, &args);
}

static void use_windows(struct gmem *g)
{
	struct gmem_map_args args = { .args_size = sizeof(args),
				      .size = 16 * PAGE,
				      .prot = PROT_READ | PROT_WRITE };
	struct gmem_pinned *pin;
	void *at;

	say("map", gmem_map(g, &args, &at));
	say("pin", gmem_pin(g, 8 * PAGE, PAGE, &pin));
	gmem_unpin(pin);
	say("unmap", gmem_unmap(at, 16 * PAGE));
}

static void use_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	say("vm", vm < 0 ? -1 : 0);
	close(vm);
	close(kvm);
}

int main(int argc, char **argv)
{
	struct gmem *g;
	pid_t child;

	say("create", make(&g));
	say("convert", convert(g, 0));
	say("convert unaligned", convert(g, 1));
	say("allocate", gmem_allocate(g, 4 * PAGE, PAGE));
	say("punch", gmem_punch(g, 4 * PAGE, PAGE));
	say("populate", populate(g, 0));
	use_windows(g);
	child = fork();
	if (!child) {
		say("child converts", convert(g, 2 * PAGE));
		_exit(0);
	}
	waitpid(child, NULL, 0);
	if (argc > 1)
		use_kvm();
	gmem_put(g);
	return 0;
}
