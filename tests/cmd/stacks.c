/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Ways in which stacks are hard to follow, one a run: stacks WAY. Lines with a mark are told as places by the test. */
#include "stacks.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#include "gmem/uapi.h"

#define NR_PAGES 0x100000ull
#define NR_TWICE 20000u

static int vm;

/* What a debugger has no description of: it is called kvm_ioctl, and no more is known. */
__asm__(".pushsection .text\n"
	".type kvm_ioctl, @function\n"
	"kvm_ioctl:\n"
	"	push %rbx\n"
	"	call ioctl@PLT\n"
	"	pop %rbx\n"
	"	ret\n"
	".size kvm_ioctl, . - kvm_ioctl\n"
	".popsection\n");
int kvm_ioctl(int fd, unsigned long request, void *arg);

static __attribute__((noinline)) int vm_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	__asm__ volatile("" : : "r"(ret) : "memory", "rbx");
	return ret;
}

/* What is in the frames beyond this one is not copied. */
static __attribute__((noinline)) int kvm_vm_ioctl(int fd, unsigned long request, void *arg)
{
	char pad[4096];
	int ret;

	__asm__ volatile("" : : "r"(pad) : "memory");
	ret = ioctl(fd, request, arg); /* MARK deep */
	__asm__ volatile("" : : "r"(pad) : "memory");
	return ret;
}

/* How far below is the next frame? The frame pointer alone says. */
static __attribute__((noinline)) int vcpu_ioctl(int fd, unsigned long request, void *arg)
{
	char *pad = __builtin_alloca(16 + ((uintptr_t)arg >> 4) % 16 * 16);
	int ret;

	__asm__ volatile("" : : "r"(pad) : "memory");
	ret = ioctl(fd, request, arg);
	__asm__ volatile("" : : "r"(pad) : "memory");
	return ret;
}

typedef int call(int fd, unsigned long request, void *arg);

/* One frame of one size, for whoever calls it from wherever. */
static __attribute__((noinline)) int convert(call *by, uint64_t page, uint64_t attributes)
{
	struct kvm_memory_attributes a = {
		.address = page * 4096,
		.size = 4096,
		.attributes = attributes,
	};
	int ret = by(vm, KVM_SET_MEMORY_ATTRIBUTES, &a); /* MARK convert */

	__asm__ volatile("" : : "r"(&a) : "memory");
	return ret;
}

static __attribute__((noinline)) int hot(void)
{
	int ret = 0;

	for (uint64_t i = 0; !ret && i < NR_PAGES; i++)
		ret = convert(vm_ioctl, i, KVM_MEMORY_ATTRIBUTE_PRIVATE); /* MARK hot */
	return ret;
}

static __attribute__((noinline)) int twice(void)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < NR_TWICE; i++) {
		ret |= convert(vm_ioctl, i & 1, KVM_MEMORY_ATTRIBUTE_PRIVATE); /* MARK one */
		ret |= convert(vm_ioctl, i & 1, 0);			       /* MARK two */
	}
	return ret;
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, (void *)KVM_X86_SW_PROTECTED_VM);
	if (vm < 0)
		return 1;
	if (!strcmp(way, "hot"))
		return hot();
	if (!strcmp(way, "twice"))
		return twice();
	if (!strcmp(way, "static"))
		return convert(vm_ioctl, 0, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	if (!strcmp(way, "library"))
		return convert(library_ioctl, 0, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	if (!strcmp(way, "pointer"))
		return convert(vcpu_ioctl, 0, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	if (!strcmp(way, "blind"))
		return convert(kvm_ioctl, 0, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	if (!strcmp(way, "deep"))
		return convert(kvm_vm_ioctl, 0, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	return 1;
}
