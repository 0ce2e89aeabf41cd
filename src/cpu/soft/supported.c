/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the engine can do, as CPUID leaves: x86-64-v2 with BMI, MOVBE and the system features that
 * operating systems look for. Vendor, family, model and stepping are the host's, since programs
 * choose VMCALL or VMMCALL by the vendor they see themselves.
 */
#include "cpu/fpu_image.h"
#include "cpu/soft/sse.h"
#include "cpu/soft/sys.h"

#define BIT(n) (1u << (n))

#define LEAF1_ECX                                                                                 \
	(BIT(0) /* SSE3 */ | BIT(9) /* SSSE3 */ | BIT(13) /* CMPXCHG16B */ | BIT(17) /* PCID */ | \
	 BIT(19) /* SSE4.1 */ | BIT(20) /* SSE4.2 */ | BIT(22) /* MOVBE */ |                      \
	 BIT(23) /* POPCNT */ | BIT(26) /* XSAVE */ | BIT(31) /* hypervisor */)
#define LEAF1_EDX                                                                           \
	(BIT(0) /* FPU */ | BIT(2) /* DE */ | BIT(3) /* PSE */ | BIT(4) /* TSC */ |         \
	 BIT(5) /* MSR */ | BIT(6) /* PAE */ | BIT(7) /* MCE */ | BIT(8) /* CX8 */ |        \
	 BIT(9) /* APIC */ | BIT(11) /* SEP */ | BIT(12) /* MTRR */ | BIT(13) /* PGE */ |   \
	 BIT(14) /* MCA */ | BIT(15) /* CMOV */ | BIT(16) /* PAT */ | BIT(17) /* PSE36 */ | \
	 BIT(19) /* CLFLUSH */ | BIT(24) /* FXSR */ | BIT(25) /* SSE */ | BIT(26) /* SSE2 */)
#define LEAF7_EBX                                                                                  \
	(BIT(0) /* FSGSBASE */ | BIT(1) /* TSC_ADJUST */ | BIT(3) /* BMI1 */ | BIT(7) /* SMEP */ | \
	 BIT(8) /* BMI2 */ | BIT(9) /* ERMS */ | BIT(10) /* INVPCID */ | BIT(20) /* SMAP */)
#define LEAF7_ECX (BIT(2) /* UMIP */ | BIT(22) /* RDPID */)
#define EXT1_ECX (BIT(0) /* LAHF in 64-bit code */ | BIT(5) /* LZCNT */ | BIT(8) /* PREFETCHW */)
#define EXT1_EDX                                                                \
	(BIT(11) /* SYSCALL */ | BIT(20) /* NX */ | BIT(26) /* 1 GiB pages */ | \
	 BIT(27) /* RDTSCP */ | BIT(29) /* long mode */)
/* The part of leaf 1 EDX that AMD processors repeat in 0x80000001. */
#define EXT1_EDX_REPEATED 0x0183f3ffu

#define CLFLUSH_8_QWORDS 0x800u
#define ARAT BIT(2)
#define INVARIANT_TSC BIT(8)
#define KVM_FEATURE_NOP_IO_DELAY BIT(1)
#define VIRTUAL_BITS 48u
#define MIN_PHYS_BITS 46u
#define MAX_PHYS_BITS 52u

struct list {
	struct cpu_cpuid *entries;
	unsigned int nr, max;
};

struct leaf {
	uint32_t eax, ebx, ecx, edx;
};

static struct leaf host_leaf(uint32_t function, uint32_t index)
{
	struct leaf l;

	__asm__ volatile("cpuid"
			 : "=a"(l.eax), "=b"(l.ebx), "=c"(l.ecx), "=d"(l.edx)
			 : "a"(function), "c"(index));
	return l;
}

static void add(struct list *list, uint32_t function, struct leaf l)
{
	if (list->nr < list->max)
		list->entries[list->nr++] = (struct cpu_cpuid){
			.function = function, .eax = l.eax, .ebx = l.ebx, .ecx = l.ecx, .edx = l.edx
		};
}

static void add_sub(struct list *list, uint32_t function, uint32_t index, struct leaf l)
{
	if (list->nr < list->max) {
		add(list, function, l);
		list->entries[list->nr - 1].index = index;
		list->entries[list->nr - 1].index_matters = true;
	}
}

/* Brand strings and the hypervisor's signature are text in registers. */
static struct leaf text_leaf(const char *text)
{
	uint32_t r[4] = { 0 };
	unsigned int n;

	for (n = 0; n < 16 && text[n]; n++)
		r[n / 4] |= (uint32_t)(uint8_t)text[n] << n % 4 * 8;
	return (struct leaf){ r[0], r[1], r[2], r[3] };
}

/* SSE runs on the host's own instructions: what the host has not, the guest has not. */
static uint32_t leaf1_ecx(void)
{
	const uint32_t sse = BIT(0) | BIT(9) | BIT(19) | BIT(20);

	return LEAF1_ECX & (~sse | soft_host_features_ecx());
}

static void add_basic(struct list *list)
{
	struct leaf vendor = host_leaf(0, 0);

	vendor.eax = 0xd;
	add(list, 0, vendor);
	add(list, 1,
	    (struct leaf){ host_leaf(1, 0).eax, BIT(16) | CLFLUSH_8_QWORDS, leaf1_ecx(),
			   LEAF1_EDX });
	add(list, 2, (struct leaf){ .eax = 1 });
	add(list, 6, (struct leaf){ .eax = ARAT });
	add_sub(list, 7, 0, (struct leaf){ 0, LEAF7_EBX, LEAF7_ECX, 0 });
	add_sub(list, 0xb, 0, (struct leaf){ 0 });
	add_sub(list, 0xd, 0, (struct leaf){ (uint32_t)XCR0_SUPPORTED, XSAVE_SIZE, XSAVE_SIZE, 0 });
	add_sub(list, 0xd, 1, (struct leaf){ 0 });
}

static void add_hypervisor(struct list *list)
{
	add(list, 0x40000000, (struct leaf){ 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d });
	add(list, 0x40000001, (struct leaf){ .eax = KVM_FEATURE_NOP_IO_DELAY });
}

static bool is_intel(void)
{
	return host_leaf(0, 0).ebx == 0x756e6547; /* "Genu" */
}

static uint32_t phys_bits(void)
{
	uint32_t bits = host_leaf(0x80000008, 0).eax & 0xff;

	return bits < MIN_PHYS_BITS ? MIN_PHYS_BITS : bits > MAX_PHYS_BITS ? MAX_PHYS_BITS : bits;
}

static void add_extended(struct list *list)
{
	struct leaf vendor = host_leaf(0x80000000, 0);
	struct leaf features = { 0, 0, EXT1_ECX, EXT1_EDX };

	vendor.eax = 0x80000008;
	if (is_intel()) {
		vendor.ebx = vendor.ecx = vendor.edx = 0;
	} else {
		features.eax = host_leaf(1, 0).eax;
		features.edx |= LEAF1_EDX & EXT1_EDX_REPEATED;
	}
	add(list, 0x80000000, vendor);
	add(list, 0x80000001, features);
	add(list, 0x80000002, text_leaf("gmem software vC"));
	add(list, 0x80000003, text_leaf("PU"));
	add(list, 0x80000004, text_leaf(""));
	add(list, 0x80000006, (struct leaf){ .ecx = 0x01006040 });
	add(list, 0x80000007, (struct leaf){ .edx = INVARIANT_TSC });
	add(list, 0x80000008, (struct leaf){ .eax = phys_bits() | VIRTUAL_BITS << 8 });
}

unsigned int cpu_soft_supported_cpuid(struct cpu_cpuid *entries, unsigned int max)
{
	struct list list = { .entries = entries, .max = max };

	add_basic(&list);
	add_hypervisor(&list);
	add_extended(&list);
	return list.nr;
}
