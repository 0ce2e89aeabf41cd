/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The translation cache's fast half: from a guest virtual address to a host pointer with one compare.
 * Private to src/cpu/soft; the slow half is paging.c.
 *
 * The low bits of a tag say for whom the entry is good; c->user_bit has what matches now:
 *
 *	0	supervisor; with SMAP no user page has such an entry
 *	TLB_USER	CPL 3
 *	TLB_AC		supervisor with SMAP and RFLAGS.AC: user pages too
 *	TLB_ALIGN	CPL 3 with alignment checks: no entry has it, every access takes the long way
 */
#ifndef GMEM_CPU_SOFT_TLB_H
#define GMEM_CPU_SOFT_TLB_H

#include <string.h>

#include "cpu/soft/soft.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define TLB_USER 1u
#define TLB_AC 2u
#define TLB_ALIGN 4u

/* Canonical whatever the number of levels; what is not may still be with five. */
static inline bool canonical_48(uint64_t lin)
{
	return (uint64_t)((int64_t)(lin << 16) >> 16) == lin;
}

#define PAGE_MASK_4K (~(uint64_t)0xfff)

static inline struct tlb_entry *tlb_entry(struct soft *c, enum soft_access access, uint64_t lin)
{
	return &c->tlb[access][(lin >> 12) & (TLB_SIZE - 1)];
}

/* Host pointer when [lin, lin + size) lies in one cached page. The page of the last byte is compared
 * with the entry of the first: a crossing access never matches. */
static inline uint8_t *tlb_lookup(struct soft *c, enum soft_access access, uint64_t lin,
				  unsigned int size)
{
	struct tlb_entry *e = tlb_entry(c, access, lin);

	if (likely(e->tag == (((lin + size - 1) & PAGE_MASK_4K) | c->user_bit)))
		return e->host + (lin & 0xfff);
	return NULL;
}

/* A store went to host: when that is code that runs now, its block ends. A block that lies on two pages is
 * one instruction, and ends anyway. */
static inline void code_written(struct soft *c, const void *host)
{
	const uint8_t *page = (const uint8_t *)((uintptr_t)host & ~(uintptr_t)0xfff);

	if (unlikely(page == c->code_page))
		soft_end_block(c);
}

static inline uint64_t host_load(const uint8_t *p, unsigned int size)
{
	union {
		uint16_t u16;
		uint32_t u32;
		uint64_t u64;
	} v;

	switch (size) {
	case 1:
		return *(const volatile uint8_t *)p;
	case 2:
		memcpy(&v.u16, p, 2);
		return v.u16;
	case 4:
		memcpy(&v.u32, p, 4);
		return v.u32;
	default:
		memcpy(&v.u64, p, 8);
		return v.u64;
	}
}

static inline void host_store(uint8_t *p, unsigned int size, uint64_t value)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)p = value;
		break;
	case 2:
		memcpy(p, &(uint16_t){ value }, 2);
		break;
	case 4:
		memcpy(p, &(uint32_t){ value }, 4);
		break;
	default:
		memcpy(p, &value, 8);
	}
}

/* ---- the slow half (paging.c) ----------------------------------------------------------------- */

/* Where a guest virtual address lies: in host memory, or at a device (host NULL). */
struct place {
	uint8_t *host;
	uint64_t gpa;
};

/* Walks the guest's tables as code with the tag bits of user_bit would, and fills the cache. Leaves on
 * a fault of either kind. */
struct place place_find(struct soft *c, uint64_t lin, enum soft_access access, uint8_t bits);
/* Guest virtual to guest physical alone; leaves likewise. */
uint64_t walk_guest(struct soft *c, uint64_t lin, enum soft_access access, uint8_t bits);
/* mmu_fault() said that this page is a device for such an access (MMU_*), for the instruction that now
 * runs again. */
bool mmio_is_device(const struct soft *c, uint64_t gpa, uint32_t access);
bool mmio_was_answered(const struct soft *c, uint64_t gpa, uint32_t access);
/* A device access of at most a page; they leave until every piece of it has been done. */
void mmio_read(struct soft *c, uint64_t gpa, void *dst, unsigned int len);
void mmio_write(struct soft *c, uint64_t gpa, const void *src, unsigned int len);
/* What has been done so far is part of the state now (an iteration of REP is over): forget pieces. */
void mmio_forget(struct soft *c);

/* ---- operands: the short way in 64-bit code, the long way (soft_mem) elsewhere ---------------- */

static inline uint64_t operand_ea64(const struct soft *c, const struct insn *i)
{
	uint64_t ea = i->disp;

	if (i->base < 16)
		ea += c->state.gpr[i->base];
	else if (i->base == REG_RIP)
		ea += soft_next_rip(c);
	if (i->index != REG_NONE)
		ea += c->state.gpr[i->index & 15] << i->scale;
	if (i->seg >= CPU_FS)
		ea += c->state.seg[i->seg].base;
	return ea;
}

/* The host pointer of i's operand when it is cached; else NULL and *lin, fully checked. */
static inline uint8_t *operand_host(struct soft *c, const struct insn *i, unsigned int size,
				    enum soft_access access, uint64_t *lin)
{
	uint8_t *p;

	if (likely(i->flags & INSN_EA64)) {
		*lin = operand_ea64(c, i);
		p = tlb_lookup(c, access, *lin, size);
		if (likely(p))
			return p;
	}
	*lin = soft_mem(c, i, size, access);
	return tlb_lookup(c, access, *lin, size);
}

static inline uint64_t operand_load(struct soft *c, const struct insn *i, unsigned int size)
{
	uint64_t lin;
	const uint8_t *p = operand_host(c, i, size, ACCESS_READ, &lin);

	return likely(p) ? host_load(p, size) : soft_load(c, lin, size);
}

static inline void operand_store(struct soft *c, const struct insn *i, unsigned int size,
				 uint64_t value)
{
	uint64_t lin;
	uint8_t *p = operand_host(c, i, size, ACCESS_WRITE, &lin);

	if (unlikely(!p)) {
		soft_store(c, lin, size, value);
		return;
	}
	host_store(p, size, value);
	code_written(c, p);
}

/* For read-modify-write: the pointer when the page is cached for writing (which implies reading). NULL:
 * load and store by *lin, with operand_finish(). */
static inline uint8_t *operand_rmw(struct soft *c, const struct insn *i, unsigned int size,
				   uint64_t *lin)
{
	uint8_t *p = operand_host(c, i, size, ACCESS_WRITE, lin);

	return likely(p) ? p : soft_rmw_ptr(c, *lin, size);
}

static inline uint64_t rmw_load(struct soft *c, const uint8_t *p, uint64_t lin, unsigned int size)
{
	return likely(p) ? host_load(p, size) : soft_load(c, lin, size);
}

static inline void rmw_store(struct soft *c, uint8_t *p, uint64_t lin, unsigned int size,
			     uint64_t value)
{
	if (likely(p)) {
		host_store(p, size, value);
		code_written(c, p);
	} else {
		soft_store(c, lin, size, value);
	}
}

#endif
