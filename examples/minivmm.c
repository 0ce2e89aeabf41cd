/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * minivmm: a virtual machine monitor with private guest memory, small enough to read.
 *
 *	minivmm [-object memory-backend-guest-memfd,id=NAME,size=SIZE[,share=on]]...
 *
 * Each memory region has a guest_memfd for its private pages. With share=off its shared pages are a
 * second memory, which the host maps: a page has two copies, and a conversion throws one away. With
 * share=on there is the guest_memfd alone: the host maps it and can touch none of its pages.
 *
 * Where guest_memfds convert in place, a region is the guest_memfd alone, whatever share says: the host has it
 * mapped, can touch its shared pages, and gets SIGBUS on its private ones.
 *
 * It speaks to /dev/kvm and to nothing else. The guest is miniguest.S; it converts pages by
 * hypercall and tells which scene it plays, and the host draws a map of the pages.
 */
#include "minivmm.h"

#include <errno.h>
#include <fcntl.h>
#include <gmem/uapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

extern const char miniguest_start[], miniguest_end[];

static void die(const char *what)
{
	fflush(stdout);
	fprintf(stderr, "minivmm: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int check(int result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

static void *map(size_t size, int fd, const char *what)
{
	int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		die(what);
	return p;
}

/* ---- the machine ---- */

static void create_vm(struct vmm *v)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_EXIT_HYPERCALL,
		.args = { 1 << KVM_HC_MAP_GPA_RANGE },
	};

	v->kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "open /dev/kvm");
	v->vm = check(ioctl(v->kvm, KVM_CREATE_VM, (unsigned long)KVM_X86_SW_PROTECTED_VM),
		      "KVM_CREATE_VM of a VM with private memory (KVM_X86_SW_PROTECTED_VM)");
	check(ioctl(v->vm, KVM_ENABLE_CAP, &cap), "KVM_ENABLE_CAP(KVM_CAP_EXIT_HYPERCALL)");
	v->in_place = ioctl(v->vm, KVM_CHECK_EXTENSION,
			    (unsigned long)KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0;
}

static void add_slot(struct vmm *v, uint32_t slot, uint64_t gpa, size_t size, void *host,
		     int guest_memfd)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = guest_memfd < 0 ? 0 : KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
		.guest_memfd = (uint32_t)guest_memfd,
	};

	check(ioctl(v->vm, KVM_SET_USER_MEMORY_REGION2, &region), "KVM_SET_USER_MEMORY_REGION2");
}

static void create_region(struct vmm *v, struct region *r, uint64_t gpa)
{
	struct kvm_create_guest_memfd create = {
		.size = r->size,
		.flags = r->share ? GUEST_MEMFD_FLAG_MMAP : 0,
	};

	if (v->in_place) {
		r->share = true;
		create.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	}
	r->gpa = gpa;
	r->guest_memfd = check(ioctl(v->vm, KVM_CREATE_GUEST_MEMFD, &create),
			       r->share ? "KVM_CREATE_GUEST_MEMFD(GUEST_MEMFD_FLAG_MMAP)"
					: "KVM_CREATE_GUEST_MEMFD");
	r->memfd = -1;
	if (!r->share) {
		r->memfd = check(memfd_create(r->id, MFD_CLOEXEC), "memfd_create");
		check(ftruncate(r->memfd, (off_t)r->size), "ftruncate");
	}
	r->host = map(r->size, r->share ? r->guest_memfd : r->memfd, "mmap");
	r->is_private = calloc(r->size / PAGE, sizeof(bool));
	if (!r->is_private)
		die("calloc");
	add_slot(v, (uint32_t)(1 + (r - v->regions)), gpa, r->size, r->host, r->guest_memfd);
}

static void create_memory(struct vmm *v)
{
	uint64_t gpa = FIRST_REGION_GPA;

	v->plain = map(PLAIN_SIZE, -1, "mmap");
	add_slot(v, 0, 0, PLAIN_SIZE, v->plain, -1);
	for (size_t i = 0; i < v->nr_regions; i++) {
		create_region(v, &v->regions[i], gpa);
		gpa += v->regions[i].size;
	}
	memcpy(v->plain + GUEST_GPA, miniguest_start, (size_t)(miniguest_end - miniguest_start));
}

/* 64-bit mode with the first GiB mapped one to one by 2 MiB pages. */
static void enter_long_mode(struct vmm *v)
{
	struct kvm_segment data = {
		.limit = ~0u, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	struct kvm_segment code = {
		.limit = ~0u, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	uint64_t *pml4 = (uint64_t *)(v->plain + PML4_GPA);
	uint64_t *pdpt = (uint64_t *)(v->plain + PDPT_GPA);
	uint64_t *pd = (uint64_t *)(v->plain + PD_GPA);
	struct kvm_sregs s;

	pml4[0] = PDPT_GPA | 3; /* 3: present, writable */
	pdpt[0] = PD_GPA | 3;
	for (uint64_t i = 0; i < 512; i++)
		pd[i] = i << 21 | 0x80 | 3; /* 0x80: a large page */
	check(ioctl(v->vcpu, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
	code.selector = 8;
	data.selector = 16;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr3 = PML4_GPA;
	s.cr4 = 1 << 5;					       /* PAE */
	s.efer = 1 << 8 | 1 << 10;			       /* LME, LMA */
	s.cr0 = 1u << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 0; /* PG, WP, NE, ET, PE */
	check(ioctl(v->vcpu, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
}

static void set_cpuid(struct vmm *v)
{
	enum { NR_ENTRIES = 128 };
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + NR_ENTRIES * sizeof(*cpuid->entries));

	if (!cpuid)
		die("calloc");
	cpuid->nent = NR_ENTRIES;
	check(ioctl(v->kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	check(ioctl(v->vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
}

static void create_vcpu(struct vmm *v)
{
	struct kvm_regs regs = {
		.rip = GUEST_GPA,
		.rsp = STACK_GPA,
		.rflags = 2,
		.r12 = v->regions[0].gpa,
		.r13 = v->nr_regions > 1 ? v->regions[1].gpa : 0,
	};

	v->vcpu = check(ioctl(v->vm, KVM_CREATE_VCPU, 0ul), "KVM_CREATE_VCPU");
	v->run_size =
		(size_t)check(ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0ul), "KVM_GET_VCPU_MMAP_SIZE");
	v->run = map(v->run_size, v->vcpu, "mmap of the vCPU");
	set_cpuid(v);
	enter_long_mode(v);
	check(ioctl(v->vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* ---- conversion ---- */

static struct region *find_region(struct vmm *v, uint64_t gpa)
{
	for (size_t i = 0; i < v->nr_regions; i++) {
		if (gpa - v->regions[i].gpa < v->regions[i].size)
			return &v->regions[i];
	}
	return NULL;
}

/* The page has one copy, and who may touch it changes. Somebody may hold it for a moment. */
static void convert_in_place(struct region *r, uint64_t offset, uint64_t size, bool is_private)
{
	struct kvm_memory_attributes2 attributes = {
		.offset = offset,
		.size = size,
		.attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};
	int result;

	do {
		result = ioctl(r->guest_memfd, KVM_SET_MEMORY_ATTRIBUTES2, &attributes);
	} while (result < 0 && (errno == EAGAIN || errno == EINTR));
	check(result, "KVM_SET_MEMORY_ATTRIBUTES2");
}

static void set_attributes(struct vmm *v, uint64_t gpa, uint64_t size, bool is_private)
{
	struct kvm_memory_attributes attributes = {
		.address = gpa,
		.size = size,
		.attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	check(ioctl(v->vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes), "KVM_SET_MEMORY_ATTRIBUTES");
}

/* The copy that nobody can reach any more only costs memory, and may be all that is left of a
 * secret. With share=on there is one copy, which stays. */
static void drop_other_copy(struct region *r, uint64_t offset, uint64_t size, bool is_private)
{
	int fd = is_private ? r->memfd : r->guest_memfd;

	if (!r->share)
		check(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				(off_t)size),
		      "fallocate(FALLOC_FL_PUNCH_HOLE)");
}

static void convert(struct vmm *v, uint64_t gpa, uint64_t size, bool is_private)
{
	struct region *r = find_region(v, gpa);

	if (v->in_place)
		convert_in_place(r, gpa - r->gpa, size, is_private);
	else
		set_attributes(v, gpa, size, is_private);
	if (!r)
		return; /* plain memory; the guest will see what it gets by that */
	drop_other_copy(r, gpa - r->gpa, size, is_private);
	for (uint64_t page = 0; page < size / PAGE; page++)
		r->is_private[(gpa - r->gpa) / PAGE + page] = is_private;
}

/* KVM has looked at nothing but alignment; the range must lie within one region or in the plain
 * memory, of which nothing can convert in place. */
static bool is_convertible(struct vmm *v, uint64_t gpa, uint64_t size)
{
	struct region *r = find_region(v, gpa);
	uint64_t end = r ? r->gpa + r->size : v->in_place ? 0 : PLAIN_SIZE;

	return gpa < end && size <= end - gpa;
}

static void on_hypercall(struct vmm *v)
{
	uint64_t gpa = v->run->hypercall.args[0], nr_pages = v->run->hypercall.args[1];
	bool is_private = v->run->hypercall.args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED;

	v->nr_hypercalls++;
	if (v->run->hypercall.nr != KVM_HC_MAP_GPA_RANGE || nr_pages > UINT64_MAX / PAGE ||
	    !is_convertible(v, gpa, nr_pages * PAGE)) {
		v->run->hypercall.ret = (uint64_t)-EINVAL;
		return;
	}
	convert(v, gpa, nr_pages * PAGE, is_private);
	v->run->hypercall.ret = 0;
}

/* ---- running ---- */

static void on_io(struct vmm *v)
{
	unsigned char byte = *((unsigned char *)v->run + v->run->io.data_offset);

	if (v->run->io.direction != KVM_EXIT_IO_OUT)
		return;
	if (v->run->io.port == PORT_CONSOLE)
		show_console(v, (char)byte);
	else if (v->run->io.port == PORT_SCENE)
		show_scene(byte);
	else if (v->run->io.port == PORT_LOOK)
		show_look(v, byte);
}

/* The guest wants a page in a way that the host does not hold. The instruction has done nothing
 * and is repeated by the next KVM_RUN. */
static void on_memory_fault(struct vmm *v)
{
	uint64_t gpa = v->run->memory_fault.gpa, size = v->run->memory_fault.size;
	bool is_private = v->run->memory_fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE;

	printf("   host:  KVM_EXIT_MEMORY_FAULT: %s access to 0x%llx, %llu bytes; made it %s\n",
	       is_private ? "private" : "shared", (unsigned long long)gpa, (unsigned long long)size,
	       is_private ? "shared" : "private");
	convert(v, gpa, size, !is_private);
}

/* Does one exit; false when the guest has halted. */
static bool on_exit_reason(struct vmm *v)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		on_io(v);
		return true;
	case KVM_EXIT_HYPERCALL:
		on_hypercall(v);
		return true;
	case KVM_EXIT_HLT:
		return false;
	default:
		fflush(stdout);
		fprintf(stderr, "minivmm: exit for reason %u\n", v->run->exit_reason);
		exit(1);
	}
}

static void run(struct vmm *v)
{
	bool goes_on = true;

	while (goes_on) {
		int result = ioctl(v->vcpu, KVM_RUN, 0ul);

		v->nr_exits++;
		if (result == 0)
			goes_on = on_exit_reason(v);
		else if (errno == EFAULT && v->run->exit_reason == KVM_EXIT_MEMORY_FAULT)
			on_memory_fault(v);
		else if (errno != EINTR)
			die("KVM_RUN");
	}
	printf("\nThe guest halted after %u conversions and %u exits.\n", v->nr_hypercalls,
	       v->nr_exits);
}

/* ---- options ---- */

static void usage(const char *problem, const char *word)
{
	fprintf(stderr,
		"minivmm: %s '%s'\nusage: minivmm "
		"[-object memory-backend-guest-memfd,id=NAME,size=SIZE[,share=on|off]]...\n",
		problem, word);
	exit(2);
}

/* "64M" in bytes; 0 when it is no size. */
static size_t parse_size(const char *text)
{
	char *unit;
	size_t size = strtoul(text, &unit, 10);

	size <<= *unit == 'K' ? 10 : *unit == 'M' ? 20 : 0;
	return size % PAGE || size > 512ul << 20 ? 0 : size;
}

static void parse_object(struct vmm *v, char *text)
{
	static char backend[] = "memory-backend-guest-memfd";
	static char id[] = "id", size[] = "size", share[] = "share";
	static char *const keys[] = { backend, id, size, share, NULL };
	struct region r = { .id = "ram", .size = 1 << 20 };
	char *all = text, *value;

	while (*text) {
		switch (getsubopt(&text, keys, &value)) {
		case 0:
			break;
		case 1:
			r.id = value;
			break;
		case 2:
			r.size = parse_size(value ? value : "");
			break;
		case 3:
			r.share = value && strcmp(value, "on") == 0;
			break;
		default:
			usage("unknown property", value ? value : all);
		}
	}
	if (v->nr_regions == REGIONS_MAX)
		usage("too many objects", all);
	if (r.size < (v->nr_regions ? VAULT_PAGES : STRIPES_END) * PAGE)
		usage("too small, too large or no whole pages", all);
	v->regions[v->nr_regions++] = r;
}

static void parse_options(struct vmm *v, int argc, char **argv)
{
	static char ram[] = "memory-backend-guest-memfd,id=ram,size=1M";
	static char vault[] = "memory-backend-guest-memfd,id=vault,size=256K,share=on";

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-object") != 0 || !argv[i + 1])
			usage("unknown or incomplete option", argv[i]);
		parse_object(v, argv[++i]);
	}
	if (v->nr_regions == 0) {
		parse_object(v, ram);
		parse_object(v, vault);
	}
}

int main(int argc, char **argv)
{
	struct vmm v = { .at_line_start = true };

	parse_options(&v, argc, argv);
	create_vm(&v);
	create_memory(&v);
	create_vcpu(&v);
	show_prepare();
	run(&v);
	return 0;
}
