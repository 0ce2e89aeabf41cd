/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Descriptors: reading, checking and loading them into segment registers, LDTR and TR. */
#include "cpu/soft/sys.h"

void sys_need_cpl0(struct soft *c)
{
	if (c->cpl)
		soft_raise_error(c, VEC_GP, 0);
}

bool sys_canonical(const struct soft *c, uint64_t addr)
{
	unsigned int unused = c->state.cr4 & CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(addr << unused) >> unused) == addr;
}

bool seg_read(struct soft *c, uint16_t sel, bool wide, struct desc *d)
{
	const struct cpu_state *s = &c->state;
	uint32_t last = (sel | 7u) + (wide ? 8 : 0);
	uint64_t base = sel & 4 ? s->ldt.base : s->gdt.base;
	uint32_t limit = sel & 4 ? s->ldt.limit : s->gdt.limit;

	if ((sel & 4) && s->ldt.unusable)
		return false;
	if (last > limit)
		return false;
	d->lin = base + (sel & ~7u);
	if (!c->long_mode)
		d->lin = (uint32_t)d->lin;
	d->lo = soft_load_sys(c, d->lin, 8);
	d->hi = wide ? soft_load_sys(c, d->lin + 8, 8) : 0;
	return true;
}

void seg_from_desc(struct cpu_seg *seg, uint16_t sel, const struct desc *d)
{
	uint32_t limit = (d->lo & 0xffff) | (d->lo >> 32 & 0xf0000);

	seg->sel = sel;
	seg->base = (d->lo >> 16 & 0xffffff) | (d->lo >> 32 & 0xff000000) | d->hi << 32;
	seg->type = desc_type(d);
	seg->s = desc_s(d);
	seg->dpl = desc_dpl(d);
	seg->p = desc_p(d);
	seg->avl = d->lo >> 52 & 1;
	seg->l = desc_l(d);
	seg->db = desc_db(d);
	seg->g = d->lo >> 55 & 1;
	seg->limit = seg->g ? limit << 12 | 0xfff : limit;
	seg->unusable = 0;
}

void seg_set_accessed(struct soft *c, struct desc *d)
{
	if (desc_type(d) & DESC_ACCESSED)
		return;
	d->lo |= (uint64_t)DESC_ACCESSED << 40;
	soft_store_sys(c, d->lin + 5, 1, d->lo >> 40);
}

void seg_set_busy(struct soft *c, struct desc *d, bool busy)
{
	d->lo &= ~(2ull << 40);
	d->lo |= (busy ? 2ull : 0) << 40;
	soft_store_sys(c, d->lin + 5, 1, d->lo >> 40);
}

void seg_set_null(struct cpu_seg *seg, uint16_t sel, unsigned int dpl)
{
	*seg = (struct cpu_seg){ .sel = sel, .dpl = dpl, .unusable = 1 };
}

void seg_set_flat_code(struct cpu_seg *seg, uint16_t sel, unsigned int dpl, bool l)
{
	*seg = (struct cpu_seg){ .sel = sel,
				 .limit = UINT32_MAX,
				 .type = 11,
				 .s = 1,
				 .dpl = dpl,
				 .p = 1,
				 .l = l,
				 .db = !l,
				 .g = 1 };
}

void seg_set_flat_data(struct cpu_seg *seg, uint16_t sel, unsigned int dpl)
{
	*seg = (struct cpu_seg){ .sel = sel,
				 .limit = UINT32_MAX,
				 .type = 3,
				 .s = 1,
				 .dpl = dpl,
				 .p = 1,
				 .db = 1,
				 .g = 1 };
}

void seg_set_real(struct soft *c, struct cpu_seg *seg, uint16_t sel)
{
	if (sys_v86(c) || seg->unusable)
		*seg = (struct cpu_seg){
			.limit = 0xffff, .type = 3, .s = 1, .p = 1, .dpl = sys_v86(c) ? 3 : 0
		};
	seg->sel = sel;
	seg->base = (uint32_t)sel << 4;
}

bool seg_in_limit(const struct cpu_seg *seg, uint64_t offset, unsigned int size)
{
	uint64_t last = offset + size - 1;

	if (seg->s && (seg->type & (DESC_CODE | DESC_DOWN)) == DESC_DOWN)
		return offset > seg->limit && last <= (seg->db ? UINT32_MAX : 0xffff);
	return last <= seg->limit;
}

void seg_drop_inner(struct cpu_seg *seg, unsigned int cpl)
{
	bool conforming = seg->s && (seg->type & (DESC_CODE | DESC_CONFORMING)) ==
					    (DESC_CODE | DESC_CONFORMING);

	if (!seg->unusable && !conforming && seg->dpl < cpl)
		seg_set_null(seg, 0, 0);
}

void seg_check_ss(struct soft *c, uint16_t sel, unsigned int cpl, uint8_t vec, struct cpu_seg *ss)
{
	struct desc d;

	if (!seg_read(c, sel, false, &d))
		soft_raise_error(c, vec, sel_error(sel));
	if ((sel & 3) != cpl || desc_dpl(&d) != cpl || !desc_is_writable_data(&d))
		soft_raise_error(c, vec, sel_error(sel));
	if (!desc_p(&d))
		soft_raise_error(c, VEC_SS, sel_error(sel));
	seg_set_accessed(c, &d);
	seg_from_desc(ss, sel, &d);
}

static void load_ss(struct soft *c, uint16_t sel)
{
	struct cpu_seg ss;

	if (!sel_is_null(sel)) {
		seg_check_ss(c, sel, c->cpl, VEC_GP, &ss);
	} else {
		if (c->mode != 8 || c->cpl == 3 || (sel & 3) != c->cpl)
			soft_raise_error(c, VEC_GP, 0);
		seg_set_null(&ss, sel, c->cpl);
	}
	c->state.seg[CPU_SS] = ss;
}

static void load_data(struct soft *c, struct cpu_seg *seg, uint16_t sel)
{
	struct desc d;
	unsigned int rpl = sel & 3;

	if (sel_is_null(sel)) {
		seg_set_null(seg, sel, 0);
		return;
	}
	if (!seg_read(c, sel, false, &d) || !desc_s(&d))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (desc_is_code(&d) && !(desc_type(&d) & DESC_RW))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (!desc_is_conforming(&d) && (rpl > desc_dpl(&d) || c->cpl > desc_dpl(&d)))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (!desc_p(&d))
		soft_raise_error(c, VEC_NP, sel_error(sel));
	seg_set_accessed(c, &d);
	seg_from_desc(seg, sel, &d);
}

void soft_load_segment(struct soft *c, unsigned int seg, uint16_t sel)
{
	if (sys_real_segments(c))
		seg_set_real(c, &c->state.seg[seg], sel);
	else if (seg == CPU_SS)
		load_ss(c, sel);
	else
		load_data(c, &c->state.seg[seg], sel);
}

void seg_load_ldt(struct soft *c, uint16_t sel)
{
	struct desc d;

	if (sel_is_null(sel)) {
		seg_set_null(&c->state.ldt, sel, 0);
		return;
	}
	if ((sel & 4) || !seg_read(c, sel, c->long_mode, &d) || desc_s(&d) ||
	    desc_type(&d) != DESC_LDT)
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (!desc_p(&d))
		soft_raise_error(c, VEC_NP, sel_error(sel));
	if (c->long_mode && (d.hi >> 40 & 31))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	d.hi &= UINT32_MAX;
	seg_from_desc(&c->state.ldt, sel, &d);
}

void seg_load_tr(struct soft *c, uint16_t sel)
{
	struct desc d;

	if (sel_is_null(sel))
		soft_raise_error(c, VEC_GP, 0);
	if ((sel & 4) || !seg_read(c, sel, c->long_mode, &d) || desc_s(&d))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (desc_type(&d) != DESC_TSS32 && (desc_type(&d) != DESC_TSS16 || c->long_mode))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	if (!desc_p(&d))
		soft_raise_error(c, VEC_NP, sel_error(sel));
	if (c->long_mode && (d.hi >> 40 & 31))
		soft_raise_error(c, VEC_GP, sel_error(sel));
	d.hi &= UINT32_MAX;
	seg_set_busy(c, &d, true);
	seg_from_desc(&c->state.tr, sel, &d);
}

static bool tss_is_32bit(const struct cpu_seg *tr)
{
	return tr->type & 8;
}

/* Reads from the task state segment, as part of a transfer: #TS where it ends. */
static uint64_t tss_load(struct soft *c, uint32_t offset, unsigned int size)
{
	const struct cpu_seg *tr = &c->state.tr;

	if (tr->unusable || offset + size - 1 > tr->limit)
		soft_raise_error(c, VEC_TS, sel_error(tr->sel));
	return soft_load_sys(c, tr->base + offset, size);
}

void tss_inner_stack(struct soft *c, unsigned int cpl, uint16_t *ss, uint32_t *esp)
{
	if (tss_is_32bit(&c->state.tr)) {
		*ss = tss_load(c, 8 + cpl * 8, 2);
		*esp = tss_load(c, 4 + cpl * 8, 4);
	} else {
		*ss = tss_load(c, 4 + cpl * 4, 2);
		*esp = tss_load(c, 2 + cpl * 4, 2);
	}
}

uint64_t tss_rsp(struct soft *c, unsigned int slot)
{
	uint64_t rsp = tss_load(c, 4 + slot * 8, 8);

	if (!sys_canonical(c, rsp))
		soft_raise_error(c, VEC_SS, 0);
	return rsp;
}

bool soft_io_allowed(struct soft *c, uint16_t port, unsigned int size)
{
	const struct cpu_seg *tr = &c->state.tr;
	uint32_t at, mask = ((1u << size) - 1) << (port & 7);

	if (!sys_protected(c) || (c->cpl <= sys_iopl(c) && !sys_v86(c)))
		return true;
	if (tr->unusable || !tss_is_32bit(tr) || tr->limit < 103)
		return false;
	at = soft_load_sys(c, tr->base + 102, 2) + port / 8;
	/* The processor always reads two bytes, which is why the map must end with one of ones. */
	if (at + 1 > tr->limit)
		return false;
	return !(soft_load_sys(c, tr->base + at, 2) & mask);
}
