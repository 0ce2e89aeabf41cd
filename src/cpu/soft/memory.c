/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory by guest virtual address: segments, then pages, then host memory or a device. Whatever can stop
 * an access happens before its first byte is written.
 */
#include "cpu/soft/sys.h"
#include "cpu/soft/tlb.h"

/* ---- addresses ------------------------------------------------------------------------------ */

uint64_t soft_ea(struct soft *c, const struct insn *i)
{
	uint64_t ea = i->disp;

	if (i->base < 16)
		ea += c->state.gpr[i->base];
	else if (i->base == REG_RIP)
		ea += soft_next_rip(c);
	if (i->index != REG_NONE)
		ea += c->state.gpr[i->index & 15] << i->scale;
	if (i->asize == 8)
		return ea;
	return i->asize == 4 ? (uint32_t)ea : (uint16_t)ea;
}

_Noreturn static void segment_fault(struct soft *c, unsigned int seg)
{
	soft_raise_error(c, seg == CPU_SS ? VEC_SS : VEC_GP, 0);
}

static bool segment_allows(const struct soft *c, const struct cpu_seg *s, enum soft_access access)
{
	if (sys_real_segments(c))
		return true;
	if (s->unusable || !s->p)
		return false;
	if (access == ACCESS_WRITE)
		return (s->type & (DESC_CODE | DESC_RW)) == DESC_RW;
	return access == ACCESS_EXEC || !(s->type & DESC_CODE) || (s->type & DESC_RW);
}

static uint64_t linear_64(struct soft *c, unsigned int seg, uint64_t ea, unsigned int size)
{
	uint64_t lin = ea + (seg >= CPU_FS ? c->state.seg[seg].base : 0);

	if (!sys_canonical(c, lin) || !sys_canonical(c, lin + size - 1))
		segment_fault(c, seg);
	return lin;
}

uint64_t soft_linear(struct soft *c, unsigned int seg, uint64_t ea, unsigned int size,
		     enum soft_access access)
{
	const struct cpu_seg *s = &c->state.seg[seg];

	if (c->mode == 8)
		return linear_64(c, seg, ea, size);
	if (!segment_allows(c, s, access) || !seg_in_limit(s, ea, size))
		segment_fault(c, seg);
	return (uint32_t)(s->base + ea);
}

uint64_t soft_mem(struct soft *c, const struct insn *i, unsigned int size, enum soft_access access)
{
	return soft_linear(c, i->seg, soft_ea(c, i), size, access);
}

static uint64_t stack_mask(const struct soft *c)
{
	if (c->mode == 8)
		return ~0ull;
	return c->state.seg[CPU_SS].db ? 0xffffffff : 0xffff;
}

uint64_t soft_stack_linear(struct soft *c, int64_t delta, unsigned int size,
			   enum soft_access access)
{
	uint64_t sp = (c->state.gpr[CPU_RSP] + delta) & stack_mask(c);

	return soft_linear(c, CPU_SS, sp, size, access);
}

void soft_stack_move(struct soft *c, int64_t delta)
{
	uint64_t mask = stack_mask(c), *rsp = &c->state.gpr[CPU_RSP];
	uint64_t sp = (*rsp + delta) & mask;

	*rsp = mask == 0xffff ? (*rsp & ~mask) | sp : sp;
}

/* ---- the long way: two pages, devices, alignment ------------------------------------------------ */

/* An access that may cross a page: where its one or two parts lie. */
struct span {
	struct place part[2];
	unsigned int len[2];
};

/* The host may have lost the memory without our knowing: better found before the first byte changes. */
static void touch(uint8_t *p, enum soft_access access)
{
	if (access == ACCESS_WRITE)
		__asm__ volatile("lock orb $0, %0" : "+m"(*p) : : "memory", "cc");
	else
		(void)*(volatile uint8_t *)p;
}

static void span_find(struct soft *c, struct span *s, uint64_t lin, unsigned int size,
		      enum soft_access access, uint8_t bits)
{
	unsigned int first = 4096 - (lin & 0xfff);
	uint64_t second = lin + first;

	s->len[0] = size < first ? size : first;
	s->len[1] = size - s->len[0];
	s->part[0] = place_find(c, lin, access, bits);
	if (!s->len[1])
		return;
	/* What the first page refuses comes before what the second does. */
	if (s->part[0].host)
		touch(s->part[0].host, access);
	s->part[1] = place_find(c, c->long_mode ? second : (uint32_t)second, access, bits);
}

static void span_read(struct soft *c, const struct span *s, void *dst)
{
	uint8_t *d = dst;

	for (int n = 0; n < 2; d += s->len[n++]) {
		if (!s->len[n])
			continue;
		if (s->part[n].host)
			memcpy(d, s->part[n].host, s->len[n]);
		else
			mmio_read(c, s->part[n].gpa, d, s->len[n]);
	}
}

static void span_touch(const struct span *s)
{
	for (int n = 0; n < 2; n++)
		if (s->len[n] && s->part[n].host)
			touch(s->part[n].host, ACCESS_WRITE);
}

/* Devices first: their pieces leave, and memory must not have changed when they do. */
static void span_write(struct soft *c, const struct span *s, const void *src)
{
	const uint8_t *p = src;

	for (int n = 0; n < 2; p += s->len[n++]) {
		if (s->len[n] && !s->part[n].host)
			mmio_write(c, s->part[n].gpa, p, s->len[n]);
	}
	if (s->len[1])
		span_touch(s);
	p = src;
	for (int n = 0; n < 2; p += s->len[n++]) {
		if (!s->len[n] || !s->part[n].host)
			continue;
		memcpy(s->part[n].host, p, s->len[n]);
		code_written(c, s->part[n].host);
	}
}

static void check_alignment(struct soft *c, uint64_t lin, unsigned int size)
{
	if (unlikely(c->user_bit & TLB_ALIGN) && (lin & (size - 1)))
		soft_raise_error(c, VEC_AC, 0);
}

static uint64_t long_load(struct soft *c, uint64_t lin, unsigned int size, uint8_t bits)
{
	struct span s;
	uint64_t v = 0;

	span_find(c, &s, lin, size, ACCESS_READ, bits);
	if (s.part[0].host && !s.len[1])
		return host_load(s.part[0].host, size);
	span_read(c, &s, &v);
	return v;
}

static void long_store(struct soft *c, uint64_t lin, unsigned int size, uint64_t value,
		       uint8_t bits)
{
	struct span s;

	span_find(c, &s, lin, size, ACCESS_WRITE, bits);
	if (s.part[0].host && !s.len[1]) {
		host_store(s.part[0].host, size, value);
		code_written(c, s.part[0].host);
		return;
	}
	span_write(c, &s, &value);
}

/* ---- loads and stores --------------------------------------------------------------------------- */

uint64_t soft_load(struct soft *c, uint64_t lin, unsigned int size)
{
	const uint8_t *p = tlb_lookup(c, ACCESS_READ, lin, size);

	if (likely(p))
		return host_load(p, size);
	if (unlikely(c->user_bit & TLB_ALIGN)) {
		struct span s;

		span_find(c, &s, lin, size, ACCESS_READ, c->user_bit);
		check_alignment(c, lin, size);
	}
	return long_load(c, lin, size, c->user_bit);
}

void soft_store(struct soft *c, uint64_t lin, unsigned int size, uint64_t value)
{
	uint8_t *p = tlb_lookup(c, ACCESS_WRITE, lin, size);

	if (likely(p)) {
		host_store(p, size, value);
		code_written(c, p);
		return;
	}
	if (unlikely(c->user_bit & TLB_ALIGN)) {
		struct span s;

		span_find(c, &s, lin, size, ACCESS_WRITE, c->user_bit);
		check_alignment(c, lin, size);
	}
	long_store(c, lin, size, value, c->user_bit);
}

void soft_load_bytes(struct soft *c, uint64_t lin, void *dst, unsigned int size)
{
	struct span s;

	span_find(c, &s, lin, size, ACCESS_READ, c->user_bit);
	span_read(c, &s, dst);
}

void soft_store_bytes(struct soft *c, uint64_t lin, const void *src, unsigned int size)
{
	struct span s;

	span_find(c, &s, lin, size, ACCESS_WRITE, c->user_bit);
	span_write(c, &s, src);
}

uint64_t soft_load_sys(struct soft *c, uint64_t lin, unsigned int size)
{
	return long_load(c, lin, size, 0);
}

void soft_store_sys(struct soft *c, uint64_t lin, unsigned int size, uint64_t value)
{
	long_store(c, lin, size, value, 0);
}

void soft_probe_write(struct soft *c, uint64_t lin, unsigned int size)
{
	struct span s;

	span_find(c, &s, lin, size, ACCESS_WRITE, c->user_bit);
	span_touch(&s);
}

void soft_probe_write_sys(struct soft *c, uint64_t lin, unsigned int size)
{
	struct span s;

	span_find(c, &s, lin, size, ACCESS_WRITE, 0);
	span_touch(&s);
}

void *soft_rmw_ptr(struct soft *c, uint64_t lin, unsigned int size)
{
	struct span s;

	span_find(c, &s, lin, size, ACCESS_WRITE, c->user_bit);
	if (size <= 8)
		check_alignment(c, lin, size);
	if (!s.part[0].host || (s.len[1] && s.part[1].host != s.part[0].host + s.len[0]))
		return NULL;
	if (s.len[1])
		code_written(c, s.part[1].host);
	code_written(c, s.part[0].host);
	return s.part[0].host;
}

/* ---- LOCK across two pages that do not lie side by side -------------------------------------------- */

/* One for all: such accesses are rare, and real processors lock the bus for them. */
static _Atomic uint32_t split_lock;

void soft_split_lock(struct soft *c)
{
	while (atomic_exchange_explicit(&split_lock, 1, memory_order_acquire))
		os_relax();
	c->split_held = true;
}

void soft_split_unlock(struct soft *c)
{
	if (!c->split_held)
		return;
	c->split_held = false;
	atomic_store_explicit(&split_lock, 0, memory_order_release);
}
