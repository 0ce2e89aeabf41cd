/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Stacks that are about to be the current one: pushes of whole frames, pops before the commit. */
#include "cpu/soft/sys.h"

static uint64_t sp_mask(const struct stack *s)
{
	return s->size == 8 ? UINT64_MAX : s->size == 4 ? UINT32_MAX : 0xffff;
}

static uint64_t sp_add(const struct stack *s, uint64_t delta)
{
	uint64_t mask = sp_mask(s);

	if (s->size == 4)
		return (uint32_t)(s->sp + delta);
	return (s->sp & ~mask) | ((s->sp + delta) & mask);
}

void stack_current(struct soft *c, struct stack *s)
{
	s->ss = c->state.seg[CPU_SS];
	s->sp = c->state.gpr[CPU_RSP];
	s->size = c->mode == 8 ? 8 : s->ss.db ? 4 : 2;
	s->cpl = c->cpl;
	s->error = 0;
}

void stack_new(struct soft *c, struct stack *s, const struct cpu_seg *ss, uint64_t sp,
	       unsigned int cpl)
{
	s->ss = *ss;
	s->sp = sp;
	s->size = c->long_mode ? 8 : ss->db ? 4 : 2;
	s->cpl = cpl;
	s->error = sel_error(ss->sel);
}

static uint64_t stack_linear(struct soft *c, const struct stack *s, uint64_t sp, unsigned int size)
{
	uint64_t offset = sp & sp_mask(s);

	if (s->size == 8) {
		if (!sys_canonical(c, offset) || !sys_canonical(c, offset + size - 1))
			soft_raise_error(c, VEC_SS, 0);
		return offset;
	}
	if (s->ss.unusable || !seg_in_limit(&s->ss, offset, size))
		soft_raise_error(c, VEC_SS, s->error);
	return (uint32_t)(s->ss.base + offset);
}

/* An inner stack is the processor's own access: the CPL that the cache goes by is still the old
 * one. */
static void stack_probe(struct soft *c, const struct stack *s, uint64_t lin, unsigned int size)
{
	if (s->cpl == 3)
		soft_probe_write(c, lin, size);
	else
		soft_probe_write_sys(c, lin, size);
}

static void stack_store(struct soft *c, const struct stack *s, uint64_t lin, unsigned int size,
			uint64_t value)
{
	if (s->cpl == 3)
		soft_store(c, lin, size, value);
	else
		soft_store_sys(c, lin, size, value);
}

void stack_push(struct soft *c, struct stack *s, const uint64_t *value, unsigned int nr,
		unsigned int size)
{
	uint64_t lin[48];
	unsigned int n;

	os_assert(nr <= 48);
	for (n = 0; n < nr; n++) {
		lin[n] = stack_linear(c, s, sp_add(s, -(uint64_t)(n + 1) * size), size);
		stack_probe(c, s, lin[n], size);
	}
	for (n = 0; n < nr; n++)
		stack_store(c, s, lin[n], size, value[n]);
	s->sp = sp_add(s, -(uint64_t)nr * size);
}

uint64_t stack_peek(struct soft *c, struct stack *s, unsigned int n, unsigned int size)
{
	uint64_t lin = stack_linear(c, s, sp_add(s, (uint64_t)n * size), size);

	return s->cpl == 3 ? soft_load(c, lin, size) : soft_load_sys(c, lin, size);
}

void stack_drop(struct stack *s, uint64_t bytes)
{
	s->sp = sp_add(s, bytes);
}

void stack_commit(struct soft *c, const struct stack *s)
{
	c->state.seg[CPU_SS] = s->ss;
	c->state.gpr[CPU_RSP] = s->sp;
}
