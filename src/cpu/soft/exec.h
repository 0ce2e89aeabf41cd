/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * exec: what the integer instruction files share. Private to src/cpu/soft.
 *
 * Handlers are made by macros, one for each operation, operand size and operand form, so that size and form
 * are constants in it. A table by operation, size and form gives the handler at decoding.
 */
#ifndef GMEM_CPU_SOFT_EXEC_H
#define GMEM_CPU_SOFT_EXEC_H

#include "cpu/soft/decode.h"
#include "cpu/soft/flags.h"
#include "cpu/soft/tlb.h"

/* destination, source: register, immediate, memory */
enum { FORM_RR, FORM_RI, FORM_RM, FORM_MR, FORM_MI, FORM_NR };

/* 1 2 4 8 -> 0 1 2 3 */
static inline unsigned int size_index(unsigned int size)
{
	return size == 8 ? 3 : size >> 1;
}

static inline uint64_t size_mask(unsigned int size)
{
	return size == 8 ? ~0ull : (1ull << 8 * size) - 1;
}

static inline int64_t sign_extend(uint64_t v, unsigned int size)
{
	unsigned int shift = flags_shift(size);

	return (int64_t)(v << shift) >> shift;
}

/* One of the FORM_*, or FORM_NR when the first two operands are not of these kinds. */
static inline unsigned int operand_form(const struct soft_decoded *d)
{
	if (d->nr < 2)
		return FORM_NR;
	if (d->mem_op == 0)
		return decoded_is_imm(d, 1) ? FORM_MI : decoded_is_reg(d, 1) ? FORM_MR : FORM_NR;
	if (!decoded_is_reg(d, 0))
		return FORM_NR;
	if (d->mem_op == 1)
		return FORM_RM;
	return decoded_is_imm(d, 1) ? FORM_RI : decoded_is_reg(d, 1) ? FORM_RR : FORM_NR;
}

/* The r/m operand, register or memory, for the less frequent instructions. dst or src names the register. */
static inline uint64_t rm_load(struct soft *c, const struct insn *i, unsigned int reg,
			       unsigned int size)
{
	return i->flags & INSN_MEM ? operand_load(c, i, size) : reg_get(c, reg, size);
}

static inline void rm_store(struct soft *c, const struct insn *i, unsigned int reg,
			    unsigned int size, uint64_t value)
{
	if (i->flags & INSN_MEM)
		operand_store(c, i, size, value);
	else
		reg_set(c, reg, size, value);
}

/* A read-modify-write r/m operand that is register dst or memory: begin, compute, end. */
struct rm {
	uint8_t *host;
	uint64_t lin;
};

static inline uint64_t rm_begin(struct soft *c, const struct insn *i, unsigned int size,
				struct rm *rm)
{
	if (!(i->flags & INSN_MEM))
		return reg_get(c, i->dst, size);
	rm->host = operand_rmw(c, i, size, &rm->lin);
	return rmw_load(c, rm->host, rm->lin, size);
}

static inline void rm_end(struct soft *c, const struct insn *i, unsigned int size,
			  const struct rm *rm, uint64_t value)
{
	if (i->flags & INSN_MEM)
		rmw_store(c, rm->host, rm->lin, size, value);
	else
		reg_set(c, i->dst, size, value);
}

/* ---- the stack: the short way in 64-bit code ----------------------------------------------------- */

static inline void stack_push_value(struct soft *c, unsigned int size, uint64_t value)
{
	uint64_t lin = c->state.gpr[CPU_RSP] - size;
	uint8_t *p = NULL;

	if (likely(c->mode == 8))
		p = tlb_lookup(c, ACCESS_WRITE, lin, size);
	if (likely(p)) {
		host_store(p, size, value);
		code_written(c, p);
		c->state.gpr[CPU_RSP] = lin;
		return;
	}
	lin = soft_stack_linear(c, -(int64_t)size, size, ACCESS_WRITE);
	soft_store(c, lin, size, value);
	soft_stack_move(c, -(int64_t)size);
}

static inline uint64_t stack_top(struct soft *c, unsigned int size)
{
	uint8_t *p = NULL;

	if (likely(c->mode == 8))
		p = tlb_lookup(c, ACCESS_READ, c->state.gpr[CPU_RSP], size);
	if (likely(p))
		return host_load(p, size);
	return soft_load(c, soft_stack_linear(c, 0, size, ACCESS_READ), size);
}

static inline void stack_add(struct soft *c, uint64_t bytes)
{
	if (likely(c->mode == 8))
		c->state.gpr[CPU_RSP] += bytes;
	else
		soft_stack_move(c, bytes);
}

/* exec_*.c, asked by soft_select_int() in exec_alu.c */
bool select_alu(const struct soft_decoded *d, struct insn *i);
bool select_mov(const struct soft_decoded *d, struct insn *i);
bool select_stack(const struct soft_decoded *d, struct insn *i);
bool select_branch(const struct soft_decoded *d, struct insn *i);
bool select_muldiv(const struct soft_decoded *d, struct insn *i);
bool select_shift(const struct soft_decoded *d, struct insn *i);
bool select_atomic(const struct soft_decoded *d, struct insn *i);
bool select_flags(const struct soft_decoded *d, struct insn *i);
bool select_bcd(const struct soft_decoded *d, struct insn *i);
bool select_io(const struct soft_decoded *d, struct insn *i);

#endif
