/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guest in long mode, and exits by KVM_RUN: all of it but the preloaded library. */
#include "hot_layers.h"

#include <string.h>
#include <sys/mman.h>

#include "../kvm/fixture.h"
#include "bench/guest_loops.h"
#include "os/os.h"

#define NR_LOOPS 20000u /* of a guest, for one exit */
#define NR_EXITS 2000u
#define RAM_SIZE ((uint64_t)64 << 20)
#define TABLES 0x100000u /* where the guest's page tables begin */
#define CODE 0x10000u
#define STACK 0x80000u
#define DATA 0x200000u
#define NR_STRIDE 8192u /* pages that a loop goes over: more than a cache of translations has */
#define UNBACKED ((uint64_t)48 << 20) /* private without a guest_memfd */
#define PRESENT_WRITABLE 3u

/* Guest code. Each ends in an OUT, which is an exit, and is started anew for the next. */
#define GUEST(name, code)                                                            \
	extern const char code_##name[], code_##name##_end[];                        \
	__asm__(".pushsection .rodata\n.globl code_" #name ", code_" #name "_end\n"  \
		".hidden code_" #name ", code_" #name "_end\ncode_" #name ":\n" code \
		"\ncode_" #name "_end:\n.popsection")

GUEST(integer, "1: add %rbx, %rax; xor %rax, %rdx; lea 1(%rsi,%rax,2), %rsi; dec %rcx; jnz 1b\n"
	       "out %al, %dx");
GUEST(loads, "1: mov (%rsi), %rax; mov 8(%rsi), %ebx; mov 16(%rsi), %rdi; movzbl 24(%rsi), %ebp\n"
	     "mov 32(%rsi), %r8; mov 40(%rsi), %r9; mov 48(%rsi), %r10d; mov 56(%rsi), %r11\n"
	     "dec %rcx; jnz 1b; out %al, %dx");
GUEST(stores, "1: mov %rax, (%rsi); mov %ebx, 8(%rsi); mov %rdi, 16(%rsi); mov %bl, 24(%rsi)\n"
	      "mov %r8, 32(%rsi); mov %r9, 40(%rsi); mov %r10d, 48(%rsi); mov %r11, 56(%rsi)\n"
	      "dec %rcx; jnz 1b; out %al, %dx");
GUEST(strides, "1: mov (%rsi), %rax; add $4096, %rsi; dec %rcx; jnz 1b; out %al, %dx");
GUEST(calls, "1: call 2f; dec %rcx; jnz 1b; out %al, %dx\n2: push %rax; pop %rbx; ret");
/* Not at the very start: an OUT that is to be finished where the next guest starts would be one of its. */
GUEST(outs, "nop; 1: out %al, %dx; jmp 1b");
GUEST(reads, "1: mov (%rsi), %eax; jmp 1b");

static int vm, vcpu;
static uint8_t *ram;
static struct kvm_run *kvm_run;

/* gva = gpa in 4 KiB pages, and the tables behind each other: 4, 3, 2, and all of the lowest level. */
static void make_tables(void)
{
	uint64_t *table = (uint64_t *)(ram + TABLES);
	uint64_t nr_lowest = RAM_SIZE >> 21, lowest = TABLES + 3 * OS_PAGE_SIZE;

	table[0] = (TABLES + OS_PAGE_SIZE) | PRESENT_WRITABLE;
	table[512] = (TABLES + 2 * OS_PAGE_SIZE) | PRESENT_WRITABLE;
	for (uint64_t n = 0; n < nr_lowest; n++)
		table[1024 + n] = (lowest + n * OS_PAGE_SIZE) | PRESENT_WRITABLE;
	for (uint64_t n = 0; n < nr_lowest * 512; n++)
		table[1536 + n] = n << OS_PAGE_SHIFT | PRESENT_WRITABLE;
}

static void enter_long_mode(void)
{
	struct kvm_segment data = { .limit = 0xffffffff, .selector = 16, .type = 3 };
	struct kvm_sregs s = { 0 };

	os_assert(call(vcpu, KVM_GET_SREGS, &s) == 0);
	data.present = data.s = data.db = data.g = 1;
	s.ds = s.es = s.ss = data;
	s.cs = data;
	s.cs.selector = 8;
	s.cs.type = 11;
	s.cs.db = 0;
	s.cs.l = 1;
	s.cr3 = TABLES;
	s.cr4 = 0x620;
	s.cr0 = 0x80000011;
	s.efer = 0x500;
	os_assert(call(vcpu, KVM_SET_SREGS, &s) == 0);
}

static void map_run(void)
{
	int backing;
	uint64_t offset;

	os_assert(kvm_mmap(object_of(vcpu), OS_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0,
			   &backing, &offset) == 0);
	kvm_run = mmap(NULL, OS_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, backing,
		       (off_t)offset);
	os_assert(kvm_run != MAP_FAILED);
}

static void make_guest(void)
{
	if (ram)
		return;
	fixture_start("linux-7.2");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	vcpu = (int)call_value(vm, KVM_CREATE_VCPU, 0);
	os_assert(vcpu >= 0);
	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	os_assert(ram != MAP_FAILED);
	os_assert(set_slot(vm, 0, 0, 0, RAM_SIZE, ram, -1, 0) == 0);
	make_tables();
	enter_long_mode();
	map_run();
}

static void start(const char *code, const char *end, uint64_t loops, uint64_t rsi)
{
	struct kvm_regs regs = {
		.rcx = loops, .rdx = 0x10, .rsi = rsi, .rsp = STACK, .rip = CODE, .rflags = 2
	};

	make_guest();
	memcpy(ram + CODE, code, (size_t)(end - code));
	os_assert(call(vcpu, KVM_SET_REGS, &regs) == 0);
}

static long run(void)
{
	return kvm_ioctl(object_of(vcpu), (unsigned int)KVM_RUN, 0);
}

static void run_to_out(void)
{
	os_assert(run() == 0 && kvm_run->exit_reason == KVM_EXIT_IO);
}

/* A first round, so that the second finds what it needs and starts with RSI where the first did. */
#define PREPARE(name, guest, loops, rsi)                             \
	static void name(void)                                       \
	{                                                            \
		start(code_##guest, code_##guest##_end, loops, rsi); \
		run_to_out();                                        \
		start(code_##guest, code_##guest##_end, loops, rsi); \
	}

PREPARE(prepare_integer, integer, NR_LOOPS, DATA)
PREPARE(prepare_loads, loads, NR_LOOPS, DATA)
PREPARE(prepare_stores, stores, NR_LOOPS, DATA)
PREPARE(prepare_strides, strides, NR_STRIDE, DATA)
PREPARE(prepare_calls, calls, NR_LOOPS, DATA)
PREPARE(prepare_outs, outs, 0, DATA)

static void guest_integer(void)
{
	run_to_out();
}

static void guest_load(void)
{
	run_to_out();
}

static void guest_store(void)
{
	run_to_out();
}

static void guest_tlb_miss(void)
{
	run_to_out();
}

static void guest_call(void)
{
	run_to_out();
}

/* A sort, strings, a tree, hashes: what compilers make of C. */
static void prepare_mixed(void)
{
	struct kvm_regs regs = {
		.rdi = GUEST_MIXED_ROUNDS, .rsp = STACK, .rip = CODE, .rflags = 2
	};

	make_guest();
	memcpy(ram + CODE, guest_mixed, sizeof(guest_mixed));
	os_assert(call(vcpu, KVM_SET_REGS, &regs) == 0);
}

static void guest_mixed_c(void)
{
	struct kvm_regs regs = { 0 };

	os_assert(run() == 0 && kvm_run->exit_reason == KVM_EXIT_HLT);
	os_assert(call(vcpu, KVM_GET_REGS, &regs) == 0 && regs.rax == GUEST_MIXED_SUM);
}

static void exit_out(void)
{
	for (unsigned int i = 0; i < NR_EXITS; i++)
		run_to_out();
}

/* Behind the end of the memory is a device. */
static void prepare_mmio(void)
{
	uint64_t *lowest;

	start(code_reads, code_reads_end, 0, RAM_SIZE - OS_PAGE_SIZE);
	lowest = (uint64_t *)(ram + TABLES + 3 * OS_PAGE_SIZE);
	lowest[(RAM_SIZE >> OS_PAGE_SHIFT) - 1] = RAM_SIZE | PRESENT_WRITABLE;
	os_assert(run() == 0 && kvm_run->exit_reason == KVM_EXIT_MMIO);
}

static void exit_mmio(void)
{
	for (unsigned int i = 0; i < NR_EXITS; i++)
		os_assert(run() == 0 && kvm_run->exit_reason == KVM_EXIT_MMIO);
}

static void prepare_memory_fault(void)
{
	start(code_reads, code_reads_end, 0, UNBACKED);
	os_assert(set_private(vm, UNBACKED, OS_PAGE_SIZE, true) == 0);
	os_assert(run() < 0 && kvm_run->exit_reason == KVM_EXIT_MEMORY_FAULT);
}

static void exit_memory_fault(void)
{
	for (unsigned int i = 0; i < NR_EXITS; i++)
		os_assert(run() < 0 && kvm_run->exit_reason == KVM_EXIT_MEMORY_FAULT);
}

const struct hot_path hot_guest_paths[] = {
	{ "guest_integer", NR_LOOPS * 5, prepare_integer, guest_integer },
	{ "guest_load", NR_LOOPS * 8, prepare_loads, guest_load },
	{ "guest_store", NR_LOOPS * 8, prepare_stores, guest_store },
	{ "guest_tlb_miss", NR_STRIDE, prepare_strides, guest_tlb_miss },
	{ "guest_call", NR_LOOPS, prepare_calls, guest_call },
	{ "guest_mixed_c", GUEST_MIXED_INSNS, prepare_mixed, guest_mixed_c },
	{ "exit_out", NR_EXITS, prepare_outs, exit_out },
	{ "exit_mmio", NR_EXITS, prepare_mmio, exit_mmio },
	{ "exit_memory_fault", NR_EXITS, prepare_memory_fault, exit_memory_fault },
	{ 0 },
};
