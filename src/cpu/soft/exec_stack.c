/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* PUSH POP (not of segments), PUSHA POPA, ENTER LEAVE. rSP changes last. */
#include "cpu/soft/exec.h"
#include "cpu/soft/fast.h"

static void push_reg(struct soft *c, const struct insn *i)
{
	stack_push_value(c, i->size, reg_get(c, i->dst, i->size));
}

static void push_imm(struct soft *c, const struct insn *i)
{
	stack_push_value(c, i->size, i->imm);
}

static void push_mem(struct soft *c, const struct insn *i)
{
	stack_push_value(c, i->size, operand_load(c, i, i->size));
}

static void pop_reg(struct soft *c, const struct insn *i)
{
	uint64_t v = stack_top(c, i->size);

	stack_add(c, i->size);
	reg_set(c, i->dst, i->size, v);
}

/* An address with rSP in it is made of the value after the pop. */
static void pop_mem(struct soft *c, const struct insn *i)
{
	uint64_t v = stack_top(c, i->size);
	struct insn moved = *i;

	if (i->base == CPU_RSP)
		moved.disp += i->size;
	operand_store(c, &moved, i->size, v);
	soft_stack_move(c, i->size);
}

static void pusha(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size;
	uint64_t lin[8];

	for (int n = 0; n < 8; n++) {
		lin[n] = soft_stack_linear(c, -(int64_t)size * (n + 1), size, ACCESS_WRITE);
		soft_probe_write(c, lin[n], size);
	}
	for (int n = 0; n < 8; n++)
		soft_store(c, lin[n], size, c->state.gpr[n]);
	soft_stack_move(c, -8 * (int64_t)size);
}

static void popa(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size;
	uint64_t v[8];

	for (int n = 0; n < 8; n++)
		v[n] = soft_load(c, soft_stack_linear(c, size * n, size, ACCESS_READ), size);
	soft_stack_move(c, 8 * size);
	for (int n = 0; n < 8; n++)
		if (7 - n != CPU_RSP)
			reg_set(c, 7 - n, size, v[n]);
}

/* The frame pointers of the enclosing levels, read at rBP downwards. */
static void enter_read(struct soft *c, const struct insn *i, unsigned int level, uint64_t *outer)
{
	unsigned int size = i->size;
	uint64_t bp = c->state.gpr[CPU_RBP];
	uint64_t mask = size_mask(c->mode == 8 ? 8 : c->state.seg[CPU_SS].db ? 4 : 2);

	for (unsigned int n = 1; n < level; n++) {
		uint64_t from = soft_linear(c, CPU_SS, (bp - n * size) & mask, size, ACCESS_READ);

		outer[n] = soft_load(c, from, size);
	}
}

static void enter_store(struct soft *c, unsigned int size, unsigned int nth, uint64_t value)
{
	soft_store(c, soft_stack_linear(c, -(int64_t)size * nth, size, ACCESS_WRITE), size, value);
}

static void enter(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size, level = i->imm2 & 31;
	int64_t frame = (int64_t)size * (level ? level + 1 : 1);
	uint64_t sp = c->state.gpr[CPU_RSP] - size, outer[32];
	uint64_t top = soft_stack_linear(c, -(int64_t)size, size, ACCESS_WRITE);
	uint64_t bottom = soft_stack_linear(c, -frame, frame, ACCESS_WRITE);
	uint64_t last = soft_stack_linear(c, -frame - (uint16_t)i->imm, 1, ACCESS_WRITE);

	soft_probe_write(c, top, size);
	soft_probe_write(c, last, 1);
	enter_read(c, i, level, outer);
	soft_probe_write(c, bottom, frame);
	enter_store(c, size, 1, reg_get(c, CPU_RBP, size));
	for (unsigned int n = 1; n < level; n++)
		enter_store(c, size, n + 1, outer[n]);
	if (level)
		enter_store(c, size, level + 1, sp);
	soft_stack_move(c, -frame - (uint16_t)i->imm);
	reg_set(c, CPU_RBP, size, sp);
}

static void leave(struct soft *c, const struct insn *i)
{
	unsigned int stack = c->mode == 8 ? 8 : c->state.seg[CPU_SS].db ? 4 : 2;
	uint64_t bp = reg_get(c, CPU_RBP, stack);
	uint64_t v = soft_load(c, soft_linear(c, CPU_SS, bp, i->size, ACCESS_READ), i->size);

	reg_set(c, CPU_RSP, stack, bp);
	soft_stack_move(c, i->size);
	reg_set(c, CPU_RBP, i->size, v);
}

static bool take(struct insn *i, soft_exec *exec)
{
	i->exec = exec;
	return true;
}

static bool select_push(const struct soft_decoded *d, struct insn *i)
{
	if (i->flags & INSN_MEM)
		return take(i, push_mem);
	if (decoded_is_imm(d, 0))
		return take(i, push_imm);
	i->fast = fast_push(i);
	return take(i, push_reg);
}

static bool select_pop(struct insn *i)
{
	if (i->flags & INSN_MEM)
		return take(i, pop_mem);
	i->fast = fast_pop(i);
	return take(i, pop_reg);
}

bool select_stack(const struct soft_decoded *d, struct insn *i)
{
	if (decoded_class(d, 0) == ZYDIS_REGCLASS_SEGMENT)
		return false;
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
		return select_push(d, i);
	case ZYDIS_MNEMONIC_POP:
		return select_pop(i);
	case ZYDIS_MNEMONIC_PUSHA:
	case ZYDIS_MNEMONIC_PUSHAD:
		i->size = d->in->operand_width / 8;
		return take(i, pusha);
	case ZYDIS_MNEMONIC_POPA:
	case ZYDIS_MNEMONIC_POPAD:
		i->size = d->in->operand_width / 8;
		return take(i, popa);
	case ZYDIS_MNEMONIC_ENTER:
		return take(i, enter);
	case ZYDIS_MNEMONIC_LEAVE:
		return take(i, leave);
	default:
		return false;
	}
}
