/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A VMM that does what its words say and tells what it gets, a line for each word:
 *
 *	set:GPA+SIZE:KIND	KVM_SET_MEMORY_ATTRIBUTES	convert:OFFSET+SIZE:KIND	..._ATTRIBUTES2 on the file
 *	all:OFFSET+SIZE:KIND	GMEM_CONVERT			state			GMEM_GET_ATTRIBUTES
 *	punch:OFFSET+SIZE	allocate:OFFSET+SIZE		host:OFFSET		a read by the file's mapping
 *	touch:GPA, write:GPA	the guest does			ask:GPA+SIZE:KIND	the guest's hypercall
 *	prefault:GPA+SIZE	KVM_PRE_FAULT_MEMORY		again			KVM_RUN once more
 *
 * KIND is p or s; WORD*N is it N times. The guest has a page of code at 0 and SIZE of guest_memfd, in slot 1, at GPA.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gmem/ioctl.h"
#include "gmem/uapi.h"

#define CODE_SIZE 0x1000ul
#define GPA 0x10000ul
#define SIZE 0x80000ul

static int vm, file, vcpu, converts_in_place;
static struct kvm_run *run;
static uint8_t *code, *memory;
static sigjmp_buf out;

struct range {
	uint64_t at, size, attributes;
};

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static const char *name_of(int ret)
{
	const char *name = ret < 0 ? strerrorname_np(errno) : "ok";

	return name ? name : "?";
}

/* ---- the machine ------------------------------------------------------------------------------ */

static void add_slot(uint32_t id, uint64_t gpa, uint64_t size, void *at, int fd)
{
	struct kvm_userspace_memory_region2 slot = {
		.slot = id,
		.flags = fd < 0 ? 0 : KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)at,
		.guest_memfd = fd < 0 ? 0 : (uint32_t)fd,
	};

	must(!ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &slot), "slot");
}

static void *map(uint64_t size, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	must(at != MAP_FAILED, "mmap");
	return at;
}

static void make_machine(void)
{
	struct kvm_create_guest_memfd create = { .size = SIZE };
	struct kvm_enable_cap hypercalls = { .cap = KVM_CAP_EXIT_HYPERCALL,
					     .args = { 1 << KVM_HC_MAP_GPA_RANGE } };
	int kvm = open("/dev/kvm", O_RDWR);

	vm = ioctl(kvm, KVM_CREATE_VM, 1);
	must(vm >= 0, "vm");
	converts_in_place =
		ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0;
	if (converts_in_place)
		create.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	must(!ioctl(vm, KVM_ENABLE_CAP, &hypercalls), "hypercalls");
	file = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);
	must(file >= 0, "guest_memfd");
	code = map(CODE_SIZE, -1);
	memory = map(SIZE, converts_in_place ? file : -1);
	add_slot(0, 0, CODE_SIZE, code, -1);
	add_slot(1, GPA, SIZE, memory, file);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	must(vcpu >= 0, "vcpu");
	run = mmap(NULL, 0x3000, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	must(run != MAP_FAILED, "kvm_run");
}

/* ---- the guest ---------------------------------------------------------------------------------- */

static void tell_run(void)
{
	int ret = ioctl(vcpu, KVM_RUN, 0);
	const char *name = name_of(ret);

	switch (run->exit_reason) {
	case KVM_EXIT_HLT:
		printf("%s HLT\n", name);
		break;
	case KVM_EXIT_INTR:
		printf("%s INTR\n", name);
		break;
	case KVM_EXIT_MEMORY_FAULT:
		printf("%s MEMORY_FAULT 0x%llx %s\n", name,
		       (unsigned long long)run->memory_fault.gpa,
		       run->memory_fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE ? "private"
									      : "shared");
		break;
	case KVM_EXIT_HYPERCALL:
		printf("%s HYPERCALL 0x%llx\n", name, (unsigned long long)run->hypercall.args[0]);
		run->hypercall.ret = 0;
		break;
	default:
		printf("%s exit %u\n", name, run->exit_reason);
	}
}

/* In real mode, with this data segment. */
static void run_code(const char *bytes, size_t nr, uint64_t base, struct kvm_regs regs)
{
	struct kvm_sregs sregs;

	memcpy(code, bytes, nr);
	must(!ioctl(vcpu, KVM_GET_SREGS, &sregs), "sregs");
	sregs.cs.base = sregs.cs.selector = 0;
	sregs.ds.base = base;
	sregs.ds.selector = (uint16_t)(base >> 4);
	regs.rflags = 2;
	must(!ioctl(vcpu, KVM_SET_SREGS, &sregs) && !ioctl(vcpu, KVM_SET_REGS, &regs), "registers");
	tell_run();
}

static void touch(const struct range *r)
{
	run_code("\xa0\x00\x00\xf4", 4, r->at, (struct kvm_regs){ 0 }); /* mov al,[0]; hlt */
}

static void write_guest(const struct range *r)
{
	run_code("\xa2\x00\x00\xf4", 4, r->at, (struct kvm_regs){ .rax = 0x5a });
}

static void ask(const struct range *r)
{
	struct kvm_regs regs = {
		.rax = KVM_HC_MAP_GPA_RANGE,
		.rbx = r->at,
		.rcx = r->size >> 12,
		.rdx = r->attributes ? KVM_MAP_GPA_RANGE_ENCRYPTED : 0,
	};

	run_code("\x0f\x01\xc1\xf4", 4, 0, regs); /* vmcall; hlt */
}

static void again(const struct range *r)
{
	tell_run();
}

static void prefault(const struct range *r)
{
	struct kvm_pre_fault_memory p = { .gpa = r->at, .size = r->size };
	int ret = ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &p);

	printf("%s left 0x%llx\n", name_of(ret), (unsigned long long)p.size);
}

/* ---- memory --------------------------------------------------------------------------------------- */

static void set(const struct range *r)
{
	struct kvm_memory_attributes a = { .address = r->at,
					   .size = r->size,
					   .attributes = r->attributes };

	puts(name_of(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a)));
}

static void convert(const struct range *r)
{
	struct kvm_memory_attributes2 a = { .offset = r->at,
					    .size = r->size,
					    .attributes = r->attributes };
	int ret = ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, &a);

	if (ret)
		printf("%s at 0x%llx\n", name_of(ret), (unsigned long long)a.error_offset);
	else
		puts("ok");
}

static void convert_all(const struct range *r)
{
	struct gmem_ioctl_range refused[8];
	struct gmem_ioctl_convert a = {
		.offset = r->at,
		.size = r->size,
		.attributes = r->attributes,
		.refused = (uintptr_t)refused,
		.max_refused = 8,
	};

	printf("%s", name_of(ioctl(file, GMEM_CONVERT, &a)));
	for (uint32_t i = 0; i < a.nr_refused; i++)
		printf(" 0x%llx+0x%llx", (unsigned long long)refused[i].offset,
		       (unsigned long long)refused[i].size);
	puts("");
}

static void state(const struct range *r)
{
	struct gmem_ioctl_run runs[64];
	struct gmem_ioctl_attributes a = { .size = SIZE, .runs = (uintptr_t)runs, .max_runs = 64 };

	must(!ioctl(file, GMEM_GET_ATTRIBUTES, &a), "attributes");
	for (uint32_t i = 0; i < a.nr_runs; i++)
		printf("%s0x%llx%s", i ? " " : "", (unsigned long long)runs[i].offset,
		       runs[i].attributes ? "p" : "s");
	puts("");
}

static void change(const struct range *r, int mode)
{
	puts(name_of(fallocate(file, mode | FALLOC_FL_KEEP_SIZE, (off_t)r->at, (off_t)r->size)));
}

static void punch(const struct range *r)
{
	change(r, FALLOC_FL_PUNCH_HOLE);
}

static void allocate(const struct range *r)
{
	change(r, 0);
}

static void on_bus(int signo, siginfo_t *info, void *context)
{
	static const char *const codes[] = { "?", "ADRALN", "ADRERR", "OBJERR", "MCEERR_AR" };
	int why = info->si_code;

	printf("SIGBUS %s at 0x%lx\n", why > 0 && why < 5 ? codes[why] : "?",
	       (unsigned long)((uintptr_t)info->si_addr - (uintptr_t)memory));
	siglongjmp(out, 1);
}

static void host(const struct range *r)
{
	if (!sigsetjmp(out, 1))
		printf("0x%x\n", *(volatile uint8_t *)(memory + r->at));
}

/* ---- words ---------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*act)(const struct range *r);
} words[] = {
	{ "set", set },	    { "convert", convert },   { "all", convert_all },
	{ "state", state }, { "punch", punch },	      { "allocate", allocate },
	{ "host", host },   { "touch", touch },	      { "write", write_guest },
	{ "ask", ask },	    { "prefault", prefault }, { "again", again },
};

static void act(const char *word)
{
	size_t n = strcspn(word, ":*");
	const char *times = strchr(word, '*');
	struct range r = { 0 };
	char *end = (char *)(uintptr_t)word + n;

	if (*end == ':')
		r.at = strtoull(end + 1, &end, 0);
	if (*end == '+')
		r.size = strtoull(end + 1, &end, 0);
	if (!strncmp(end, ":p", 2))
		r.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].name) != n || strncmp(words[i].name, word, n) != 0)
			continue;
		for (long left = times ? atol(times + 1) : 1; left; left--)
			words[i].act(&r);
		return;
	}
	fprintf(stderr, "victim: %s?\n", word);
	exit(2);
}

int main(int argc, char **argv)
{
	struct sigaction bus = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGBUS, &bus, NULL);
	make_machine();
	for (int i = 1; i < argc; i++)
		act(argv[i]);
	return 0;
}
