/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * hold: a program with a VM whose pages are in states that it knows, and which does as it is told on its input, a word
 * a line; each is answered by a line.
 *
 *	states	64 pages at 4 GiB, each in state number (page * 5) % 8: private 4, in the file 2, in the program 1
 *	leak	16 MiB at 0 of a guest whose bounce buffers leak: what was shared once stays in the program, what
 *		was private in the file
 *	pin	3 pages of an in-place file (profile in-place) are in a pipe, by vmsplice
 *	twice	a second VM, with two slots, nothing in them
 *	size N	a slot of N GiB at 1 TiB, with a guest_memfd, and a page in every GiB
 *	jail	a filter of system calls that allows all of them, on all threads
 *	pause	pause() until a signal; the answer comes before it, and then a line "Interrupted system call"
 *	convert	pages are made private and shared until the next line
 *	exit	_exit, kill, fall: the end by _exit(3), by SIGKILL, by return
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <gmem/uapi.h>

#define PAGE 4096ull
#define NR 64ull
#define GPA (1ull << 32)
#define FAR (1ull << 40)
#define GIB (1ull << 30)

static int kvm, vm, vcpu;

static void must(const char *what, long ret)
{
	if (ret < 0) {
		printf("failed: %s: %s\n", what, strerror(errno));
		exit(1);
	}
}

static int made(const char *what, int fd)
{
	must(what, fd);
	return fd;
}

static int make_vm(unsigned long type)
{
	return made("KVM_CREATE_VM", ioctl(kvm, KVM_CREATE_VM, type));
}

static int make_gmem(int of, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd g = { .size = size, .flags = flags };

	return made("KVM_CREATE_GUEST_MEMFD", ioctl(of, KVM_CREATE_GUEST_MEMFD, &g));
}

static void set_slot(int of, uint32_t slot, uint64_t gpa, uint64_t size, void *memory, int gmem)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot,
		.flags = gmem < 0 ? 0 : KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
		.guest_memfd = gmem < 0 ? 0 : (uint32_t)gmem,
	};

	must("KVM_SET_USER_MEMORY_REGION2", ioctl(of, KVM_SET_USER_MEMORY_REGION2, &r));
}

static void set_private(uint64_t gpa, uint64_t size, bool is_private)
{
	struct kvm_memory_attributes a = {
		.address = gpa,
		.size = size,
		.attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	must("KVM_SET_MEMORY_ATTRIBUTES", ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a));
}

static void prefault(uint64_t gpa)
{
	struct kvm_pre_fault_memory f = { .gpa = gpa, .size = PAGE };

	must("KVM_PRE_FAULT_MEMORY", ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &f));
}

static char *map(uint64_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must("mmap", memory == MAP_FAILED ? -1 : 0);
	return memory;
}

static void make_states(void)
{
	char *memory = map(NR * PAGE);

	set_slot(vm, 3, GPA, NR * PAGE, memory, make_gmem(vm, NR * PAGE, 0));
	for (uint64_t i = 0; i < NR; i++) {
		uint64_t state = i * 5 % 8, gpa = GPA + i * PAGE;

		if (state & 2) {
			set_private(gpa, PAGE, true);
			prefault(gpa);
		}
		set_private(gpa, PAGE, state & 4);
		if (state & 1)
			memory[i * PAGE] = 1;
	}
}

static void make_leak(void)
{
	uint64_t nr = 4096;
	char *memory = map(nr * PAGE);
	struct kvm_pre_fault_memory f = { .gpa = 0, .size = nr / 2 * PAGE };

	set_slot(vm, 0, 0, nr * PAGE, memory, make_gmem(vm, nr * PAGE, 0));
	memset(memory, 1, 64 * PAGE);
	set_private(64 * PAGE, (nr - 64) * PAGE, true);
	must("KVM_PRE_FAULT_MEMORY", ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &f));
	for (uint64_t i = 256; i < 3072; i += 192) {
		set_private(i * PAGE, 40 * PAGE, false);
		memset(memory + i * PAGE, 1, 28 * PAGE);
		set_private(i * PAGE, 12 * PAGE, true);
	}
}

static void pin(void)
{
	int file = make_gmem(vm, NR * PAGE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	char *memory = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	struct iovec three = { .iov_base = memory + 7 * PAGE, .iov_len = 3 * PAGE };
	int ends[2];

	must("mmap of a guest_memfd", memory == MAP_FAILED ? -1 : 0);
	set_slot(vm, 5, GPA, NR * PAGE, memory, file);
	memset(memory, 1, 16 * PAGE);
	must("pipe", pipe(ends));
	must("vmsplice", vmsplice(ends[1], &three, 1, 0));
}

static void make_large(uint64_t gib)
{
	char *memory = map(gib * GIB);

	set_slot(vm, 9, FAR, gib * GIB, memory, make_gmem(vm, gib * GIB, 0));
	for (uint64_t i = 0; i < gib; i++)
		memory[i * GIB] = 1;
}

static void jail(void)
{
	struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { .len = 1, .filter = allow };

	must("prctl", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must("seccomp",
	     syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program));
}

static void convert(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };

	while (!poll(&input, 1, 1)) {
		set_private(GPA, PAGE, true);
		set_private(GPA, PAGE, false);
	}
}

static void obey(const char *word)
{
	if (!strcmp(word, "states"))
		make_states();
	else if (!strcmp(word, "leak"))
		make_leak();
	else if (!strcmp(word, "pin"))
		pin();
	else if (!strncmp(word, "size ", 5))
		make_large(strtoull(word + 5, NULL, 10));
	else if (!strcmp(word, "jail"))
		jail();
	else if (!strcmp(word, "_exit"))
		_exit(3);
	else if (!strcmp(word, "kill"))
		kill(getpid(), SIGKILL);
	else if (!strcmp(word, "exit"))
		exit(3);
	if (!strcmp(word, "twice")) {
		int second = make_vm(KVM_X86_SW_PROTECTED_VM);

		set_slot(second, 0, 0, 16 * PAGE, map(16 * PAGE), -1);
		set_slot(second, 1, GPA, 16 * PAGE, map(16 * PAGE), -1);
	}
}

int main(void)
{
	char line[64];

	setlinebuf(stdout);
	kvm = made("/dev/kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	vcpu = made("KVM_CREATE_VCPU", ioctl(vm, KVM_CREATE_VCPU, 0));
	printf("ready %d\n", (int)getpid());
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strcmp(line, "fall"))
			break;
		obey(line);
		printf("%s\n", line);
		if (!strcmp(line, "convert"))
			convert();
		if (!strcmp(line, "pause"))
			printf("%s\n", strerror(pause() ? errno : 0));
	}
	return 3;
}
