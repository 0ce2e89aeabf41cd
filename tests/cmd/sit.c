/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Makes guest_memfds that `gmem map` can look at, says "ready", and sits until its standard input ends:
 * sit library|kvm
 */
#include <fcntl.h>
#include <gmem.h>
#include <gmem/uapi.h>
#include <gmem/uapi_nr.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((uint64_t)4096)
#define SIZE (1024 * PAGE)

/* Pages 0, 3, 6 ... of 100 each become private. */
static int library(void)
{
	struct gmem_create_args args = { .args_size = sizeof(args), .size = SIZE };
	struct gmem *g, *private;

	/* One that has gone: its number is nobody's. */
	if (gmem_create(&args, &g))
		return 1;
	gmem_put(g);
	args.flags = GMEM_MMAP | GMEM_INIT_SHARED;
	if (gmem_create(&args, &g))
		return 1;
	args.flags = 0;
	args.size = 2 * PAGE;
	if (gmem_create(&args, &private))
		return 2;
	for (uint64_t page = 0; page < 300; page += 3)
		if (gmem_make_private(g, page * PAGE, PAGE, NULL))
			return 3;
	return 0;
}

static int kvm(void)
{
	struct kvm_create_guest_memfd args = {
		.size = SIZE, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED
	};
	struct kvm_memory_attributes2 attributes = { .offset = 4 * PAGE,
						     .size = 8 * PAGE,
						     .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE };
	int vm = ioctl(open("/dev/kvm", O_RDWR), KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	int gmem = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);

	if (gmem < 0)
		return 4;
	return ioctl(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &attributes) ? 5 : 0;
}

int main(int argc, char **argv)
{
	char byte;
	int ret = argc > 1 && !strcmp(argv[1], "kvm") ? kvm() : library();

	printf(ret ? "failed\n" : "ready\n");
	fflush(stdout);
	while (!ret && read(STDIN_FILENO, &byte, 1) == 1)
		;
	return ret;
}
