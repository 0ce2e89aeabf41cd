/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "ioctl_args.h"

#include <gmem/ioctl.h>

static const unsigned long requests[] = {
	KVM_GET_API_VERSION,
	KVM_CREATE_VM,
	KVM_GET_MSR_INDEX_LIST,
	KVM_CHECK_EXTENSION,
	KVM_GET_VCPU_MMAP_SIZE,
	KVM_GET_SUPPORTED_CPUID,
	KVM_GET_EMULATED_CPUID,
	KVM_GET_MSR_FEATURE_INDEX_LIST,
	KVM_X86_GET_MCE_CAP_SUPPORTED,
	KVM_SET_USER_MEMORY_REGION,
	KVM_SET_USER_MEMORY_REGION2,
	KVM_CREATE_GUEST_MEMFD,
	KVM_SET_MEMORY_ATTRIBUTES,
	KVM_SET_MEMORY_ATTRIBUTES2,
	KVM_SET_MEMORY_ATTRIBUTES2, /* as often as all that it has to do with */
	GMEM_CONVERT,
	GMEM_GET_ATTRIBUTES,
	KVM_GET_DIRTY_LOG,
	KVM_CLEAR_DIRTY_LOG,
	KVM_RESET_DIRTY_RINGS,
	KVM_SET_NR_MMU_PAGES,
	KVM_GET_NR_MMU_PAGES,
	KVM_REGISTER_COALESCED_MMIO,
	KVM_UNREGISTER_COALESCED_MMIO,
	KVM_MEMORY_ENCRYPT_OP,
	KVM_MEMORY_ENCRYPT_REG_REGION,
	KVM_MEMORY_ENCRYPT_UNREG_REGION,
	KVM_CREATE_VCPU,
	KVM_SET_BOOT_CPU_ID,
	KVM_SET_TSS_ADDR,
	KVM_SET_IDENTITY_MAP_ADDR,
	KVM_ENABLE_CAP,
	KVM_CREATE_IRQCHIP,
	KVM_GET_IRQCHIP,
	KVM_SET_IRQCHIP,
	KVM_IRQ_LINE,
	KVM_IRQ_LINE_STATUS,
	KVM_SET_GSI_ROUTING,
	KVM_SIGNAL_MSI,
	KVM_IRQFD,
	KVM_IOEVENTFD,
	KVM_CREATE_PIT,
	KVM_CREATE_PIT2,
	KVM_GET_PIT2,
	KVM_SET_PIT2,
	KVM_REINJECT_CONTROL,
	KVM_SET_CLOCK,
	KVM_GET_CLOCK,
	KVM_SET_TSC_KHZ,
	KVM_GET_TSC_KHZ,
	KVM_X86_SET_MSR_FILTER,
	KVM_SET_DEVICE_ATTR,
	KVM_GET_DEVICE_ATTR,
	KVM_HAS_DEVICE_ATTR,
	KVM_GET_STATS_FD,
	KVM_RUN,
	KVM_GET_REGS,
	KVM_SET_REGS,
	KVM_GET_SREGS,
	KVM_SET_SREGS,
	KVM_GET_SREGS2,
	KVM_SET_SREGS2,
	KVM_TRANSLATE,
	KVM_INTERRUPT,
	KVM_GET_MSRS,
	KVM_SET_MSRS,
	KVM_SET_CPUID,
	KVM_SET_SIGNAL_MASK,
	KVM_GET_FPU,
	KVM_SET_FPU,
	KVM_GET_LAPIC,
	KVM_SET_LAPIC,
	KVM_SET_CPUID2,
	KVM_GET_CPUID2,
	KVM_TPR_ACCESS_REPORTING,
	KVM_SET_VAPIC_ADDR,
	KVM_GET_MP_STATE,
	KVM_SET_MP_STATE,
	KVM_NMI,
	KVM_SET_GUEST_DEBUG,
	KVM_X86_SETUP_MCE,
	KVM_X86_SET_MCE,
	KVM_GET_VCPU_EVENTS,
	KVM_SET_VCPU_EVENTS,
	KVM_GET_DEBUGREGS,
	KVM_SET_DEBUGREGS,
	KVM_GET_XSAVE,
	KVM_SET_XSAVE,
	KVM_GET_XSAVE2,
	KVM_GET_XCRS,
	KVM_SET_XCRS,
	KVM_GET_ONE_REG,
	KVM_SET_ONE_REG,
	KVM_KVMCLOCK_CTRL,
	KVM_SMI,
	KVM_PRE_FAULT_MEMORY,
};

static const uint64_t interesting[] = {
	0,
	1,
	2,
	3,
	4,
	7,
	8,
	15,
	16,
	63,
	64,
	255,
	256,
	0xfff,
	0x1000,
	0x1001,
	0x2000,
	0x10000,
	0x200000,
	0x7fffffff,
	0x80000000,
	0xc0000000,
	0xfee00000,
	0xffffffff,
	0x100000000,
	1ULL << 40,
	1ULL << 47,
	1ULL << 51,
	1ULL << 52,
	1ULL << 62,
	0x7ffffffffffff000,
	0x7fffffffffffffff,
	1ULL << 63,
	0xfffffffffffff000,
	0xffffffffffffffff,
};

uint64_t number(struct thread *t)
{
	switch (rng_below(&t->r, 4)) {
	case 0:
		return rng_next(&t->r);
	case 1:
		return rng_below(&t->r, 4096);
	default:
		return interesting[rng_below(&t->r, COUNT(interesting))];
	}
}

int some_fd(struct thread *t)
{
	switch (rng_below(&t->r, 12)) {
	case 0:
		return -1;
	case 1:
		return t->w->memfd;
	case 2:
		return t->w->event;
	case 3:
		return (int)number(t);
	default:
		return t->w->fds[rng_below(&t->r, NR_FDS)];
	}
}

unsigned long some_request(struct thread *t)
{
	if (rng_one_in(&t->r, 40))
		return KVMIO << 8 | rng_below(&t->r, 0xe0) | rng_below(&t->r, 4) << 30 | 16 << 16;
	return requests[rng_below(&t->r, COUNT(requests))];
}

void soup(struct thread *t, uint8_t *at, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i += 8) {
		uint64_t v = number(t);
		uint32_t half = rng_one_in(&t->r, 8) ? (uint32_t)some_fd(t) : (uint32_t)number(t);

		memcpy(at + i, &v, 8);
		if (rng_one_in(&t->r, 3))
			memcpy(at + i + rng_below(&t->r, 2) * 4, &half, 4);
	}
}

/* A slot over memory we can spare; everything else about it may be wrong. */
static void make_region(struct thread *t, struct kvm_userspace_memory_region2 *m)
{
	uint64_t at = rng_below(&t->r, ARENA / PG) * PG;

	m->slot = rng_one_in(&t->r, 8) ? (uint32_t)number(t) : (uint32_t)rng_below(&t->r, 6);
	m->flags = rng_one_in(&t->r, 8) ? (uint32_t)number(t) : (uint32_t)rng_below(&t->r, 8);
	m->guest_phys_addr = rng_one_in(&t->r, 4) ? number(t) : rng_below(&t->r, 64) * PG;
	m->memory_size = rng_one_in(&t->r, 4) ? 0 : (rng_below(&t->r, (ARENA - at) / PG) + 1) * PG;
	m->userspace_addr = (uintptr_t)t->w->arena + at;
	if (rng_one_in(&t->r, 8))
		m->userspace_addr = 0xffff800000000000;
	if (rng_one_in(&t->r, 8))
		m->userspace_addr |= rng_below(&t->r, PG);
	if (rng_one_in(&t->r, 16))
		m->memory_size |= 1;
	m->guest_memfd = (uint32_t)some_fd(t);
	m->guest_memfd_offset = rng_one_in(&t->r, 3) ? number(t) : rng_below(&t->r, 16) * PG;
}

static void make_log(struct thread *t, uint8_t *at, bool clear)
{
	uint64_t map = (uintptr_t)t->buffer + rng_below(&t->r, BUFFER);

	soup(t, at, 24);
	*(uint32_t *)(void *)at = (uint32_t)rng_below(&t->r, 6);
	if (rng_one_in(&t->r, 8))
		map = number(t) | 1ULL << 63;
	memcpy(at + (clear ? 16 : 8), &map, 8);
}

/* The timer's signal must get through, or a spinning guest would be the program's own fault. */
static void make_mask(struct thread *t, uint8_t *at)
{
	soup(t, at, 16);
	if (rng_one_in(&t->r, 2))
		*(uint32_t *)(void *)at = 8;
	at[4 + (SIGUSR1 - 1) / 8] &= (uint8_t) ~(1 << ((SIGUSR1 - 1) % 8));
}

/* Requests to a guest_memfd, most of them legal: the place of their first three fields is the same. */
static void make_conversion(struct thread *t, unsigned long req, uint8_t *at, size_t len)
{
	uint64_t *word = (uint64_t *)(void *)at;

	memset(at, 0, len);
	word[0] = rng_below(&t->r, 64) * PG;
	word[1] = (rng_below(&t->r, 32) + 1) * PG;
	word[2] = rng_below(&t->r, 2) * 8;
	if (req == GMEM_CONVERT && rng_one_in(&t->r, 2)) {
		struct gmem_ioctl_convert *c = (void *)at;

		c->refused = (uintptr_t)t->buffer + rng_below(&t->r, BUFFER);
		c->max_refused = (uint32_t)rng_below(&t->r, 8);
	} else if (req == GMEM_GET_ATTRIBUTES) {
		struct gmem_ioctl_attributes *q = (void *)at;

		q->runs = (uintptr_t)t->buffer + rng_below(&t->r, BUFFER);
		q->max_runs = (uint32_t)rng_below(&t->r, 8);
	}
	if (rng_one_in(&t->r, 8))
		at[rng_below(&t->r, len)] ^= (uint8_t)(1 << rng_below(&t->r, 8));
}

static bool is_conversion(unsigned long req)
{
	return req == KVM_SET_MEMORY_ATTRIBUTES2 || req == GMEM_CONVERT ||
	       req == GMEM_GET_ATTRIBUTES;
}

static void fill(struct thread *t, unsigned long req, uint8_t *at, size_t len)
{
	if (rng_one_in(&t->r, 2))
		soup(t, at, len);
	else
		rng_fill(&t->r, at, len);
	if (req == KVM_SET_USER_MEMORY_REGION || req == KVM_SET_USER_MEMORY_REGION2) {
		struct kvm_userspace_memory_region2 m;

		make_region(t, &m);
		memcpy(at, &m, len < 48 ? len : 48);
	} else if (req == KVM_CREATE_GUEST_MEMFD && rng_one_in(&t->r, 2)) {
		((uint64_t *)(void *)at)[0] = (rng_below(&t->r, 64) + 1) * PG;
		((uint64_t *)(void *)at)[1] = rng_below(&t->r, 4);
	} else if (req == KVM_GET_DIRTY_LOG || req == KVM_CLEAR_DIRTY_LOG) {
		make_log(t, at, req == KVM_CLEAR_DIRTY_LOG);
	} else if (req == KVM_SET_SIGNAL_MASK) {
		make_mask(t, at);
	} else if (is_conversion(req) && rng_one_in(&t->r, 2)) {
		make_conversion(t, req, at, len);
	} else if (req == KVM_SET_MEMORY_ATTRIBUTES && rng_one_in(&t->r, 2)) {
		((uint64_t *)(void *)at)[0] = rng_below(&t->r, 64) * PG;
		((uint64_t *)(void *)at)[1] = (rng_below(&t->r, 64) + 1) * PG;
		((uint64_t *)(void *)at)[2] = rng_below(&t->r, 2) * 8;
		((uint64_t *)(void *)at)[3] = 0;
	} else if (req == KVM_PRE_FAULT_MEMORY) {
		((uint64_t *)(void *)at)[1] = rng_below(&t->r, 256) * PG + rng_one_in(&t->r, 8);
	} else if (req == KVM_X86_SET_MSR_FILTER) {
		memset(at, 0, len);
		*(uint32_t *)(void *)at = (uint32_t)number(t);
	}
}

/* How many bytes of argument the request's own number speaks of; lists get some entries. */
static size_t arg_size(unsigned long req)
{
	size_t size = (req >> 16) & 0x3fff;

	return size == 4 || size == 8 ? size + 1024 : size;
}

unsigned long argument(struct thread *t, unsigned long req)
{
	size_t size = arg_size(req);
	uint8_t *at;

	if (size == 0)
		return rng_one_in(&t->r, 2) ? 0 : number(t);
	switch (rng_below(&t->r, 16)) {
	case 0:
		return 0;
	case 1: /* no memory, or the kernel's */
		return rng_one_in(&t->r, 2) ? 0xffff888000000000 : 0x10;
	case 2: /* not canonical */
		return 0x4141414141414141;
	case 3: /* inaccessible */
		return (uintptr_t)t->buffer + BUFFER + rng_below(&t->r, PG);
	case 4: /* a mapping of a guest_memfd, or what was one */
		return (uintptr_t)t->maps[rng_below(&t->r, NR_MAPS)];
	case 5: /* cut off */
		fill(t, req, t->buffer, size);
		at = t->buffer + BUFFER - ((rng_below(&t->r, size) + 8) & ~7UL);
		memmove(at, t->buffer, (size_t)(t->buffer + BUFFER - at));
		return (uintptr_t)at;
	case 6: /* misaligned */
		at = t->buffer + 1 + rng_below(&t->r, 7);
		rng_fill(&t->r, at, size);
		if (req != KVM_SET_USER_MEMORY_REGION && req != KVM_SET_USER_MEMORY_REGION2 &&
		    req != KVM_GET_DIRTY_LOG && req != KVM_SET_SIGNAL_MASK)
			return (uintptr_t)at;
		__attribute__((fallthrough));
	default:
		at = t->buffer + 4096;
		fill(t, req, at, size);
		return (uintptr_t)at;
	}
}
