/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a VM costs that has a large guest_memfd and does nothing: memory and page tables of the process, its vCPU
 * with the interpreter's caches included. At most 1 MiB, the first VM (with what a process has once) as the next.
 */
#include "t.h"

#define TIB (1ul << 40)
#define GPA (1ul << 32)
#define LIMIT_KIB 1024

static long field(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	CHECK(at);
	return strtol(at + strlen(name), NULL, 10);
}

/* Pages of files that are only read, code for one, are the machine's, not ours. */
static long memory_kib(void)
{
	static char status[8192];
	int fd = open("/proc/self/status", O_RDONLY);
	ssize_t n = read(fd, status, sizeof(status) - 1);

	CHECK(n > 0);
	close(fd);
	status[n] = 0;
	return field(status, "RssAnon:") + field(status, "RssShmem:") + field(status, "VmPTE:");
}

static void *reserve(uint64_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

static void run_a_little(const struct spinning *s)
{
	struct kvm_regs regs;

	s->run->immediate_exit = 0;
	s->code[0xff0] = 0xf4; /* hlt */
	for (int i = 0; i < 100; i++) {
		CHECK(ioctl(s->vcpu, KVM_GET_REGS, &regs) == 0);
		regs.rip = 0xfff0;
		CHECK(ioctl(s->vcpu, KVM_SET_REGS, &regs) == 0);
		CHECK(ioctl(s->vcpu, KVM_RUN, 0) == 0);
		CHECK(s->run->exit_reason == KVM_EXIT_HLT);
	}
}

static void make_idle(void)
{
	struct spinning s = make_spinning_of(KVM_X86_SW_PROTECTED_VM);
	int gmem = make_gmem(s.vm, TIB, 0);
	struct kvm_userspace_memory_region2 region = { .slot = 1,
						       .flags = KVM_MEM_GUEST_MEMFD,
						       .guest_phys_addr = GPA,
						       .memory_size = TIB,
						       .guest_memfd = (uint32_t)gmem };
	struct kvm_memory_attributes all = { .address = GPA,
					     .size = TIB,
					     .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE };

	region.userspace_addr = (uintptr_t)reserve(TIB);
	CHECK(ioctl(s.vm, KVM_SET_USER_MEMORY_REGION2, &region) == 0);
	CHECK(ioctl(s.vm, KVM_SET_MEMORY_ATTRIBUTES, &all) == 0);
	run_a_little(&s);
}

static void expect_cheap(const char *what)
{
	long before = memory_kib(), cost;

	make_idle();
	cost = memory_kib() - before;
	printf("%s: %ld KiB\n", what, cost);
	CHECK(cost <= LIMIT_KIB);
}

int main(void)
{
	memory_kib();
	expect_cheap("the first VM");
	expect_cheap("one more");
	return 0;
}
