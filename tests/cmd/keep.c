/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Has a guest_memfd that `gmem snapshot` can save, says "ready", and does what its standard input says:
 *	wreck	other contents, and all pages shared
 *	fail	two pages fail: 150 and 151, which are private
 *	look	says "same" when contents and states are those of the beginning, else what is not
 * keep library|kvm|plain|vm|blocks [guest]
 *	plain	a file of a VM, in which all is shared
 *	vm	a file of a VM, all of which the guest has as private memory: it is what writes and reads there
 *	blocks	as kvm: 2 MiB of both kinds, private all through, and shared all through
 *	guest	and a guest that counts in its first page, and copies that to its last, for ever
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
#define FILL 0x100u   /* where the guest has code */
#define COPY 0x200u

static struct gmem *library;
static int vm, fd, vcpu;
static char *at;  /* NULL: the guest alone gets there */
static char *ram; /* of the guest: a page of code, and one for what it copies */
static bool converts, of_blocks;

static int convert(uint64_t first, uint64_t nr, int private)
{
	struct kvm_memory_attributes2 attributes = {
		.offset = first * PAGE,
		.size = nr * PAGE,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	if (!converts)
		return 0;
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

static int make_kvm(unsigned long type, uint64_t flags)
{
	struct kvm_create_guest_memfd args = { .size = NR_PAGES * PAGE, .flags = flags };

	vm = ioctl(open("/dev/kvm", O_RDWR), KVM_CREATE_VM, type);
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
	if (flags)
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

/* shared: what the guest has where it has no private memory */
static void make_slots(char *shared)
{
	ram = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	set_slot(0, 0, 2 * PAGE, ram, -1);
	set_slot(1, GPA, NR_PAGES * PAGE, shared, fd);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
}

static void *run_guest(void *arg)
{
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs s;

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
	pthread_t thread;

	if (!ram)
		make_slots(at);
	memcpy(ram, code, sizeof(code));
	return pthread_create(&thread, NULL, run_guest, NULL);
}

/* rep stosd; hlt and rep movsd; hlt, with addresses of 32 bits. */
static const uint8_t fill_code[] = { 0x67, 0xf3, 0x66, 0xab, 0xf4 };
static const uint8_t copy_code[] = { 0x67, 0xf3, 0x66, 0xa5, 0xf4 };

static int make_private_guest(void)
{
	struct kvm_memory_attributes all = { .address = GPA,
					     .size = NR_PAGES * PAGE,
					     .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE };
	struct kvm_sregs s;
	char *shared = mmap(NULL, NR_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	make_slots(shared);
	memcpy(ram + FILL, fill_code, sizeof(fill_code));
	memcpy(ram + COPY, copy_code, sizeof(copy_code));
	if (ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &all) || ioctl(vcpu, KVM_GET_SREGS, &s))
		return 1;
	s.cs.base = s.cs.selector = 0;
	s.ds.limit = s.es.limit = UINT32_MAX;
	return ioctl(vcpu, KVM_SET_SREGS, &s);
}

static void let_guest(const struct kvm_regs *regs)
{
	struct kvm_run *run = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, vcpu, 0);

	if (ioctl(vcpu, KVM_SET_REGS, regs) || ioctl(vcpu, KVM_RUN, 0) ||
	    run->exit_reason != KVM_EXIT_HLT)
		abort();
	munmap(run, PAGE);
}

static void put_page(uint64_t page, char byte)
{
	struct kvm_regs regs = { .rflags = 2,
				 .rip = FILL,
				 .rax = 0x01010101u * (uint8_t)byte,
				 .rdi = GPA + page * PAGE,
				 .rcx = PAGE / 4 };

	if (at)
		memset(at + page * PAGE, byte, PAGE);
	else
		let_guest(&regs);
}

static const char *get_page(uint64_t page)
{
	struct kvm_regs regs = {
		.rflags = 2, .rip = COPY, .rsi = GPA + page * PAGE, .rdi = PAGE, .rcx = PAGE / 4
	};

	if (at)
		return at + page * PAGE;
	let_guest(&regs);
	return ram + PAGE;
}

static char expected(uint64_t page)
{
	return (char)(page % 7 ? 0 : page % 251 + 1);
}

static int is_private(uint64_t page)
{
	if (!converts)
		return 0;
	if (of_blocks && page >= 1024)
		return page < 2048;
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
			put_page(page, expected(page));
	for (uint64_t page = 0, next; page < NR_PAGES; page = next) {
		for (next = page + 1; next < NR_PAGES && is_private(next) == is_private(page);)
			next++;
		if (is_private(page) && convert(page, next - page, 1))
			abort();
	}
}

static void wreck(void)
{
	if (convert(0, NR_PAGES, 0))
		abort();
	for (uint64_t page = 0; page < NR_PAGES; page++)
		put_page(page, 'x');
	printf("wrecked\n");
}

static void fail(void)
{
	printf(gmem_poison(library, 150 * PAGE, 2 * PAGE) ? "cannot\n" : "failed\n");
}

static void look(void)
{
	for (uint64_t page = 0; at && page < NR_PAGES; page++)
		if (is_hidden(page) != is_private(page)) {
			printf("page %d has another state\n", (int)page);
			return;
		}
	if (convert(0, NR_PAGES, 0))
		abort();
	for (uint64_t page = 0; page < NR_PAGES; page++) {
		const char *contents = get_page(page);

		if (contents[0] != expected(page) || memcmp(contents, contents + 1, PAGE - 1)) {
			printf("page %d has other contents\n", (int)page);
			return;
		}
	}
	printf("same\n");
}

static int make(const char *kind)
{
	bool is_vm = !strcmp(kind, "vm"), is_plain = !strcmp(kind, "plain");
	uint64_t flags = is_vm ? 0 : GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;

	converts = !is_vm && !is_plain;
	of_blocks = !strcmp(kind, "blocks");
	if (!strcmp(kind, "library"))
		return make_library();
	if (make_kvm(is_plain ? KVM_X86_DEFAULT_VM : KVM_X86_SW_PROTECTED_VM, flags))
		return 1;
	return is_vm ? make_private_guest() : 0;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "kvm";
	char line[64];

	if (make(kind)) {
		printf("failed\n");
		return 1;
	}
	fill();
	if (argc > 2 && !strcmp(argv[2], "guest") && start_guest())
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
