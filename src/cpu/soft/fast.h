/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * fast: handlers that call each other. Private to src/cpu/soft; 64-bit code only.
 *
 * A fast handler executes its instruction and then calls the next one's as its last act. Compilers make a jump
 * of that; where they don't (no optimization, sanitizers) the depth is bounded by the block's length. The last
 * one returns the instruction that ended the block, with c->next_rip set: to the run loop, which looks at
 * requests and goes on with the next block.
 *
 *	run_blocks -> insns[0].fast -> insns[1].fast -> ... -> the end: insns[nr].fast, or a branch
 *
 * What a fast handler owes:
 *   - It does what the instruction's plain handler does, to the last bit, or it leaves all to that one by
 *     calling fast_plain() (fast_plain_last() if the instruction ends blocks) before anything has changed:
 *     a page that is not cached, a store to the page of the running code, an odd address.
 *   - c->cur is the instruction before memory is touched: the host may have lost the page.
 *   - A pair has the first one done, registers and flags, when the second one can stop.
 *
 * A handler in whose name "quiet" occurs does not leave flags behind; it is chosen when they are overwritten
 * before anybody can see them (fast_choose()).
 *
 * fast_choose() gives the instructions of a new block their fast handlers; each file offers what it has.
 */
#ifndef GMEM_CPU_SOFT_FAST_H
#define GMEM_CPU_SOFT_FAST_H

#include "cpu/soft/exec.h"

#define FAST(name) static struct insn *name(struct soft *c, struct insn *i)
#define NEXT(c, i, n) return (i)[n].fast((c), (i) + (n))

/* The fast handler of an instruction whose plain one has been selected, by the same file; NULL: none. It
 * counts in 64-bit code only. */
soft_fast *fast_mov(const struct insn *i);
soft_fast *fast_extend(const struct insn *i, bool sign);
soft_fast *fast_lea(const struct insn *i);
soft_fast *fast_cmov(const struct insn *i);
soft_fast *fast_setcc(const struct insn *i);
soft_fast *fast_push(const struct insn *i);
soft_fast *fast_pop(const struct insn *i);
soft_fast *fast_nop(void);
soft_fast *fast_alu(const struct insn *i, int op, bool quiet);
soft_fast *fast_unary(const struct insn *i, int op);
soft_fast *fast_shift(const struct insn *i, bool quiet);
soft_fast *fast_imul(const struct insn *i, bool quiet); /* aux: three operands */
soft_fast *fast_jcc(const struct insn *i);
soft_fast *fast_jmp(const struct insn *i, bool relative);
soft_fast *fast_call(const struct insn *i, bool relative);
soft_fast *fast_ret(const struct insn *i);
bool fast_is_jcc(const struct insn *i);
/* It leads to a place that is known. */
bool fast_is_relative(const struct insn *i);
/* One handler for i[0] and i[1], which have fast handlers each. */
soft_fast *fast_pair(const struct insn *i);

/* The instructions of a block that was decoded for 64-bit code at linear address lin, and one more behind
 * them. */
void fast_choose(const struct soft *c, struct insn *insns, unsigned int nr, uint64_t lin);

/* i by its plain handler, then the next one. */
struct insn *fast_plain(struct soft *c, struct insn *i);
struct insn *fast_plain_last(struct soft *c, struct insn *i);

/* ---- registers: never AH and the like, never 16 bits ---------------------------------------------- */

static inline uint64_t fast_get(const struct soft *c, unsigned int reg, unsigned int size)
{
	uint64_t v = c->state.gpr[reg];

	return size == 8 ? v : size == 4 ? (uint32_t)v : (uint8_t)v;
}

static inline void fast_set(struct soft *c, unsigned int reg, unsigned int size, uint64_t v)
{
	uint64_t *r = &c->state.gpr[reg];

	*r = size == 8 ? v : size == 4 ? (uint32_t)v : (*r & ~0xffull) | (v & 0xff);
}

/* 64-bit addresses, no AH. */
static inline bool fast_operands(const struct insn *i)
{
	return (i->dst < 16 || i->dst == REG_NONE) && (i->src < 16 || i->src == REG_NONE) &&
	       (!(i->flags & INSN_MEM) || (i->flags & INSN_EA64));
}

static inline bool fast_size(unsigned int size)
{
	return size == 1 || size == 4 || size == 8;
}

/* 1 4 8 -> 0 1 2 */
static inline unsigned int fast_size_index(unsigned int size)
{
	return size / 4;
}

/* ---- operands in memory ----------------------------------------------------------------------------- */

/* How an address is made: [base + disp], [base + index * scale + disp], anything with 64 bits. */
enum fast_address { AT_BASE, AT_INDEX, AT_ANY, AT_NR };

static inline enum fast_address fast_address(const struct insn *i)
{
	if (i->seg >= CPU_FS || i->base >= 16)
		return AT_ANY;
	return i->index == REG_NONE ? AT_BASE : AT_INDEX;
}

static inline uint64_t fast_linear(const struct soft *c, const struct insn *i, enum fast_address at)
{
	uint64_t lin = i->disp;

	if (at != AT_ANY || i->base < 16)
		lin += c->state.gpr[i->base];
	if (at == AT_INDEX || (at == AT_ANY && i->index != REG_NONE))
		lin += c->state.gpr[i->index] << i->scale;
	if (at == AT_ANY && i->seg >= CPU_FS)
		lin += c->state.seg[i->seg].base;
	return lin;
}

/* The host pointer, or NULL: for the plain handler. */
static inline const uint8_t *fast_read(struct soft *c, const struct insn *i, enum fast_address at,
				       unsigned int size)
{
	c->cur = i;
	return tlb_lookup(c, ACCESS_READ, fast_linear(c, i, at), size);
}

/* The same for a store, which must not be to running code. */
static inline uint8_t *fast_write_at(struct soft *c, uint64_t lin, unsigned int size)
{
	struct tlb_entry *e = tlb_entry(c, ACCESS_WRITE, lin);

	if (unlikely(e->tag != (((lin + size - 1) & PAGE_MASK_4K) | c->user_bit)) ||
	    unlikely(e->host == c->code_page))
		return NULL;
	return e->host + (lin & 0xfff);
}

static inline uint8_t *fast_write(struct soft *c, const struct insn *i, enum fast_address at,
				  unsigned int size)
{
	c->cur = i;
	return fast_write_at(c, fast_linear(c, i, at), size);
}

/* Handlers for each way to make an address: name_base, name_index, name_any, in this order in a table. */
#define FAST_AT(name, body, ...)                                              \
	FAST(name##_base){ body(AT_BASE, __VA_ARGS__) } FAST(                 \
		name##_index){ body(AT_INDEX, __VA_ARGS__) } FAST(name##_any) \
	{                                                                     \
		body(AT_ANY, __VA_ARGS__)                                     \
	}
#define FAST_ADDRESSES(name)                          \
	{                                             \
		name##_base, name##_index, name##_any \
	}

#endif
