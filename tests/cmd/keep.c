/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Has a guest_memfd that `gmem snapshot` can save, says "ready", and does what its standard input says:
 *	wreck	other contents, and all pages shared
 *	fail	two pages fail: 150 and 151, which are private
 *	look	says "same" when contents and states are those of the beginning, else what is not
 * keep library|kvm|plain|guest
 *	plain	a file of a VM, in which all is shared
 *	guest	as kvm, and a guest that counts in its first page, and copies that to its last, for ever
 */
#include <fcntl.h>
#include <gmem.h>
#include <gmem/uapi.h>
#include <gmem/uapi_nr.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE ((uint64_t)4096)
#define NR_PAGES ((uint64_t)3000)
#define GPA 0x100000u /* of the file */

static struct gmem *library;
static int vm, fd;
static char *at;

static int convert(uint64_t first, uint64_t nr, int private)
{
	struct kvm_memory_attributes2 attributes = {
		.offset = first * PAGE,
		.size = nr * PAGE,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	if (library)
		return gmem_convert_simply(library, first * PAGE, nr * PAGE,
					   private ? GMEM_ATTRIBUTE_PRIVATE : 0, NULL);
	return ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, &attributes);
}

static int make_library(void)
{
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .size = NR_PAGES * PAGE,
					 .flags = GMEM_MMAP | GMEM_INIT_SHARED };
	struct gmem_map_args map = { .args_size = sizeof(map),
				     .size = NR_PAGES * PAGE,
				     .prot = PROT_READ | PROT_WRITE };
	void *window;

	if (gmem_create(&args, &library) || gmem_map(library, &map, &window))
		return 1;
	at = window;
	return 0;
}

static int make_kvm(unsigned long type)
{
	struct kvm_create_guest_memfd args = { .size = NR_PAGES * PAGE,
					       .flags = GUEST_MEMFD_FLAG_MMAP |
							GUEST_MEMFD_FLAG_INIT_SHARED };

	vm = ioctl(open("/dev/kvm", O_RDWR), KVM_CREATE_VM, type);
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
	at = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return fd < 0 || at == MAP_FAILED;
}

/* inc dword [0]; mov eax, [0]; mov es:[0], eax; jmp back: ds is at the first page and es at the last. */
static const uint8_t code[] = { 0x66, 0xff, 0x06, 0x00, 0x00, 0x66, 0xa1, 0x00,
				0x00, 0x26, 0x66, 0xa3, 0x00, 0x00, 0xeb, 0xf0 };

static void set_slot(uint32_t slot, uint64_t gpa, uint64_t size, void *memory, int gmem)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot,
		.flags = gmem < 0 ? 0 : KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
		.guest_memfd = gmem < 0 ? 0 : (uint32_t)gmem,
	};

	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &r))
		abort();
}

static void *run_guest(void *arg)
{
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs s;
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);

	if (ioctl(vcpu, KVM_GET_SREGS, &s))
		abort();
	s.cs.base = s.cs.selector = 0;
	s.ds.base = GPA;
	s.es.base = GPA + (NR_PAGES - 1) * PAGE;
	if (ioctl(vcpu, KVM_SET_SREGS, &s) || ioctl(vcpu, KVM_SET_REGS, &regs))
		abort();
	ioctl(vcpu, KVM_RUN, 0);
	abort(); /* it has no end */
}

static int start_guest(void)
{
	char *ram = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;

	memcpy(ram, code, sizeof(code));
	set_slot(0, 0, PAGE, ram, -1);
	set_slot(1, GPA, NR_PAGES * PAGE, at, fd);
	return pthread_create(&thread, NULL, run_guest, NULL);
}

static char expected(uint64_t page)
{
	return (char)(page % 7 ? 0 : page % 251 + 1);
}

static int is_private(uint64_t page)
{
	return page / 100 % 2;
}

static int is_hidden(uint64_t page)
{
	return madvise(at + page * PAGE, PAGE, MADV_POPULATE_READ) != 0;
}

static void fill(void)
{
	for (uint64_t page = 0; page < NR_PAGES; page++)
		if (expected(page))
			memset(at + page * PAGE, expected(page), PAGE);
	for (uint64_t page = 100; page < NR_PAGES; page += 200)
		if (convert(page, 100, 1))
			abort();
}

static void wreck(void)
{
	if (convert(0, NR_PAGES, 0))
		abort();
	memset(at, 'x', NR_PAGES * PAGE);
	printf("wrecked\n");
}

static void fail(void)
{
	printf(gmem_poison(library, 150 * PAGE, 2 * PAGE) ? "cannot\n" : "failed\n");
}

static void look(void)
{
	for (uint64_t page = 0; page < NR_PAGES; page++)
		if (is_hidden(page) != is_private(page)) {
			printf("page %d has another state\n", (int)page);
			return;
		}
	if (convert(0, NR_PAGES, 0))
		abort();
	for (uint64_t page = 0; page < NR_PAGES; page++)
		for (uint64_t i = 0; i < PAGE; i += 511)
			if (at[page * PAGE + i] != expected(page)) {
				printf("page %d has other contents\n", (int)page);
				return;
			}
	printf("same\n");
}

int main(int argc, char **argv)
{
	bool is_library = argc > 1 && !strcmp(argv[1], "library");
	bool is_plain = argc > 1 && !strcmp(argv[1], "plain");
	char line[64];

	if (is_library ? make_library()
		       : make_kvm(is_plain ? KVM_X86_DEFAULT_VM : KVM_X86_SW_PROTECTED_VM)) {
		printf("failed\n");
		return 1;
	}
	if (!is_plain)
		fill();
	if (argc > 1 && !strcmp(argv[1], "guest") && start_guest())
		return 1;
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "wreck\n"))
			wreck();
		else if (!strcmp(line, "fail\n"))
			fail();
		else if (!strcmp(line, "look\n"))
			look();
		fflush(stdout);
	}
	return 0;
}
