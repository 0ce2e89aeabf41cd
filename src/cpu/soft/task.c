/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Task switches, of 16- and 32-bit task state segments; not in long mode.
 *
 * Everything is read and checked in the old task; then its state is stored and the new one's taken.
 * From there on an exception is the new task's: its segments are loaded one by one, as far as they
 * are good. What the guest must not see (a page that the nested tables lack, a device) can stop a switch
 * anywhere; it is taken back then, and begins again. The debug trap bit of the new task is not looked at.
 */
#include "cpu/soft/sys.h"

struct task {
	bool wide; /* 32 bits */
	struct desc desc;
	struct cpu_seg tr;
	uint32_t cr3, eip, eflags;
	uint32_t gpr[8];
	uint16_t sel[CPU_NR_SEGS], ldt;
};

struct layout {
	uint8_t size, cr3, eip, eflags, gpr, sel, ldt, nr_sels, sel_step, min_limit;
};

static const struct layout layouts[2] = {
	{ .size = 2,
	  .eip = 14,
	  .eflags = 16,
	  .gpr = 18,
	  .sel = 34,
	  .ldt = 42,
	  .nr_sels = 4,
	  .sel_step = 2,
	  .min_limit = 0x2b },
	{ .size = 4,
	  .cr3 = 28,
	  .eip = 32,
	  .eflags = 36,
	  .gpr = 40,
	  .sel = 72,
	  .ldt = 96,
	  .nr_sels = 6,
	  .sel_step = 4,
	  .min_limit = 0x67 },
};

static void find_task(struct soft *c, uint16_t sel, enum task_reason why, struct task *t)
{
	uint8_t vec = why == TASK_RETURN ? VEC_TS : VEC_GP;
	bool busy;

	if (sel_is_null(sel) || (sel & 4) || !seg_read(c, sel, false, &t->desc) ||
	    desc_s(&t->desc) || (desc_type(&t->desc) & 5) != 1)
		soft_raise_error(c, vec, sel_error(sel));
	busy = desc_type(&t->desc) & 2;
	if (busy != (why == TASK_RETURN))
		soft_raise_error(c, vec, sel_error(sel));
	if (!desc_p(&t->desc))
		soft_raise_error(c, VEC_NP, sel_error(sel));
	t->wide = desc_type(&t->desc) & 8;
	seg_from_desc(&t->tr, sel, &t->desc);
	t->tr.type |= 2;
	if (t->tr.limit < layouts[t->wide].min_limit)
		soft_raise_error(c, VEC_TS, sel_error(sel));
}

static void read_task(struct soft *c, struct task *t)
{
	const struct layout *l = &layouts[t->wide];
	unsigned int n;

	t->cr3 = t->wide ? soft_load_sys(c, t->tr.base + l->cr3, 4) : 0;
	t->eip = soft_load_sys(c, t->tr.base + l->eip, l->size);
	t->eflags = soft_load_sys(c, t->tr.base + l->eflags, l->size);
	for (n = 0; n < 8; n++)
		t->gpr[n] = soft_load_sys(c, t->tr.base + l->gpr + n * l->size, l->size);
	for (n = 0; n < CPU_NR_SEGS; n++)
		t->sel[n] = n < l->nr_sels
				    ? soft_load_sys(c, t->tr.base + l->sel + n * l->sel_step, 2)
				    : 0;
	t->ldt = soft_load_sys(c, t->tr.base + l->ldt, 2);
}

/* ---- stores that can be taken back -------------------------------------------------------------- */

static void task_begin(struct soft *c)
{
	struct task_undo *u = &c->task_undo;

	flags_sync(c);
	u->state = c->state;
	u->cur = c->cur;
	u->block_rip = c->block_rip;
	u->budget = c->budget;
	u->nr_stores = 0;
	u->active = true;
}

static void remember(struct soft *c, uint64_t lin, unsigned int size, uint64_t old)
{
	struct task_undo *u = &c->task_undo;

	os_assert(u->nr_stores < TASK_MAX_STORES);
	u->store[u->nr_stores].lin = lin;
	u->store[u->nr_stores].size = size;
	u->store[u->nr_stores++].old = old;
}

static void store(struct soft *c, uint64_t lin, unsigned int size, uint64_t value)
{
	uint64_t old = soft_load_sys(c, lin, size);

	soft_store_sys(c, lin, size, value);
	remember(c, lin, size, old);
}

static void set_busy(struct soft *c, struct desc *d, bool busy)
{
	uint64_t old = soft_load_sys(c, d->lin + 5, 1);

	seg_set_busy(c, d, busy);
	remember(c, d->lin + 5, 1, old);
}

void task_undo(struct soft *c)
{
	struct task_undo *u = &c->task_undo;

	u->active = false;
	c->state = u->state;
	c->cur = u->cur;
	c->block_rip = u->block_rip;
	c->budget = u->budget;
	c->flag_op = FLAGS_DONE;
	soft_tlb_flush(c);
	soft_mode_changed(c);
	while (u->nr_stores--) {
		unsigned int n = u->nr_stores;

		soft_store_sys(c, u->store[n].lin, u->store[n].size, u->store[n].old);
	}
}

/* ---- in the old task ---------------------------------------------------------------------------- */

/* A page fault on what the switch stores is the old task's, and comes before the first store. */
static void probe_stores(struct soft *c, enum task_reason why, const struct task *t)
{
	const struct cpu_seg *tr = &c->state.tr;
	const struct layout *l = &layouts[tr->type >> 3 & 1];
	uint32_t end = l->sel + l->nr_sels * l->sel_step;
	struct desc old;

	soft_probe_write_sys(c, tr->base + l->eip, end - l->eip);
	if (why != TASK_CALL && seg_read(c, tr->sel, false, &old))
		soft_probe_write_sys(c, old.lin + 5, 1);
	if (why != TASK_RETURN)
		soft_probe_write_sys(c, t->desc.lin + 5, 1);
	if (why == TASK_CALL)
		soft_probe_write_sys(c, t->tr.base, 2);
}

static void save_old(struct soft *c, enum task_reason why, uint64_t rip)
{
	const struct cpu_state *s = &c->state;
	const struct layout *l = &layouts[s->tr.type >> 3 & 1];
	uint64_t flags = soft_rflags(c);
	unsigned int n;

	if (why == TASK_RETURN)
		flags &= ~(uint64_t)RFLAGS_NT;
	store(c, s->tr.base + l->eip, l->size, rip);
	store(c, s->tr.base + l->eflags, l->size, flags);
	for (n = 0; n < 8; n++)
		store(c, s->tr.base + l->gpr + n * l->size, l->size, s->gpr[n]);
	for (n = 0; n < l->nr_sels; n++)
		store(c, s->tr.base + l->sel + n * l->sel_step, 2, s->seg[n].sel);
}

static void change_busy(struct soft *c, enum task_reason why, struct task *t)
{
	struct desc old;

	if (why != TASK_CALL && seg_read(c, c->state.tr.sel, false, &old))
		set_busy(c, &old, false);
	if (why != TASK_RETURN)
		set_busy(c, &t->desc, true);
	if (why == TASK_CALL)
		store(c, t->tr.base, 2, c->state.tr.sel);
}

/* ---- in the new task ------------------------------------------------------------------------- */

static void take_registers(struct soft *c, const struct task *t, enum task_reason why)
{
	/* Exceptions from here on are at the new task's first instruction. */
	static const struct insn boundary;
	struct cpu_state *s = &c->state;
	uint64_t flags = t->eflags &
			 (RFLAGS_ANY | RFLAGS_IF | RFLAGS_IOPL | RFLAGS_VM | RFLAGS_AC | RFLAGS_ID);
	unsigned int n;

	if (why == TASK_CALL)
		flags |= RFLAGS_NT;
	if (why == TASK_RETURN)
		s->nmi_masked = false;
	for (n = 0; n < 8; n++)
		s->gpr[n] = t->wide ? t->gpr[n] : (s->gpr[n] & 0xffff0000) | t->gpr[n];
	for (n = 0; n < CPU_NR_SEGS; n++)
		seg_set_null(&s->seg[n], t->sel[n], n == CPU_SS ? t->sel[CPU_CS] & 3 : 0);
	seg_set_null(&s->ldt, t->ldt, 0);
	s->tr = t->tr;
	s->cr0 |= CR0_TS;
	soft_set_rflags(c, flags | RFLAGS_ONE);
	c->cur = &boundary;
	c->block_rip = t->eip;
	soft_mode_changed(c);
}

static void take_ldt(struct soft *c, uint16_t sel)
{
	struct desc d;

	if (sel_is_null(sel))
		return;
	if ((sel & 4) || !seg_read(c, sel, false, &d) || desc_s(&d) || desc_type(&d) != DESC_LDT ||
	    !desc_p(&d))
		soft_raise_error(c, VEC_TS, sel_error(sel));
	seg_from_desc(&c->state.ldt, sel, &d);
}

static void take_code(struct soft *c, uint16_t sel)
{
	unsigned int rpl = sel & 3;
	struct desc d;

	if (sel_is_null(sel) || !seg_read(c, sel, false, &d) || !desc_is_code(&d))
		soft_raise_error(c, VEC_TS, sel_error(sel));
	if (desc_is_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl)
		soft_raise_error(c, VEC_TS, sel_error(sel));
	if (!desc_p(&d))
		soft_raise_error(c, VEC_NP, sel_error(sel));
	seg_set_accessed(c, &d);
	seg_from_desc(&c->state.seg[CPU_CS], sel, &d);
}

static void take_data(struct soft *c, unsigned int seg, uint16_t sel)
{
	struct desc d;

	if (sel_is_null(sel))
		return;
	if (!seg_read(c, sel, false, &d) || !desc_s(&d) ||
	    (desc_is_code(&d) && !(desc_type(&d) & DESC_RW)))
		soft_raise_error(c, VEC_TS, sel_error(sel));
	if (!desc_is_conforming(&d) && (desc_dpl(&d) < (sel & 3u) || desc_dpl(&d) < c->cpl))
		soft_raise_error(c, VEC_TS, sel_error(sel));
	if (!desc_p(&d))
		soft_raise_error(c, VEC_NP, sel_error(sel));
	seg_set_accessed(c, &d);
	seg_from_desc(&c->state.seg[seg], sel, &d);
}

static void take_segments(struct soft *c, const struct task *t)
{
	static const uint8_t data[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };
	struct cpu_seg ss;
	unsigned int n;

	take_ldt(c, t->ldt);
	if (sys_v86(c)) {
		for (n = 0; n < CPU_NR_SEGS; n++)
			seg_set_real(c, &c->state.seg[n], t->sel[n]);
		return;
	}
	if (sel_is_null(t->sel[CPU_SS]))
		soft_raise_error(c, VEC_TS, sel_error(t->sel[CPU_SS]));
	take_code(c, t->sel[CPU_CS]);
	seg_check_ss(c, t->sel[CPU_SS], t->sel[CPU_CS] & 3, VEC_TS, &ss);
	c->state.seg[CPU_SS] = ss;
	soft_mode_changed(c);
	for (n = 0; n < sizeof(data); n++)
		take_data(c, data[n], t->sel[data[n]]);
}

uint64_t task_switch(struct soft *c, uint16_t sel, enum task_reason why, uint64_t rip,
		     bool has_error, uint32_t error)
{
	uint64_t pushed = error;
	struct stack st;
	struct task t;

	find_task(c, sel, why, &t);
	read_task(c, &t);
	probe_stores(c, why, &t);
	task_begin(c);
	save_old(c, why, rip);
	change_busy(c, why, &t);
	if (t.wide && (c->state.cr0 & CR0_PG) && !mode_set_cr3(c, t.cr3))
		soft_raise_error(c, VEC_TS, sel_error(sel));
	take_registers(c, &t, why);
	take_segments(c, &t);
	if (has_error) {
		stack_current(c, &st);
		stack_push(c, &st, &pushed, 1, t.wide ? 4 : 2);
		stack_commit(c, &st);
	}
	if (t.eip > c->state.seg[CPU_CS].limit)
		soft_raise_error(c, VEC_GP, 0);
	c->task_undo.active = false;
	return t.eip;
}
