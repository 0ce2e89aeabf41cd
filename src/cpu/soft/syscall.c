/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* SYSCALL, SYSRET, SYSENTER, SYSEXIT: transfers whose segments are fixed, not read from a table. */
#include "cpu/soft/decode.h"
#include "cpu/soft/far.h"

/* Intel processors know it in 64-bit code only; AMD's everywhere in protected mode. */
static void need_syscall(struct soft *c)
{
	if (!(c->state.efer & EFER_SCE))
		soft_raise(c, VEC_UD);
	if (c->mode != 8 && (!soft_vendor_is_amd(c) || sys_real_segments(c)))
		soft_raise(c, VEC_UD);
}

static void set_stack(struct soft *c, uint16_t sel, unsigned int cpl)
{
	seg_set_flat_data(&c->state.seg[CPU_SS], sel, cpl);
}

/* In legacy mode the return address is all that is kept, and the target is in STAR. */
static void syscall_legacy(struct soft *c)
{
	struct cpu_state *s = &c->state;
	uint16_t sel = s->star >> 32 & ~3u;
	struct cpu_seg cs;

	s->gpr[CPU_RCX] = (uint32_t)soft_next_rip(c);
	soft_set_rflags(c, soft_rflags(c) & ~(uint64_t)(RFLAGS_VM | RFLAGS_IF | RFLAGS_RF));
	seg_set_flat_code(&cs, sel, 0, false);
	set_stack(c, sel + 8, 0);
	far_commit(c, &cs, (uint32_t)s->star);
}

static void exec_syscall(struct soft *c, const struct insn *i)
{
	struct cpu_state *s = &c->state;
	uint16_t sel = s->star >> 32 & ~3u;
	uint64_t flags = soft_rflags(c) & ~(uint64_t)RFLAGS_RF;
	uint64_t target = c->mode == 8 ? s->lstar : s->cstar;
	struct cpu_seg cs;

	need_syscall(c);
	if (!c->long_mode) {
		syscall_legacy(c);
		return;
	}
	s->gpr[CPU_RCX] = soft_next_rip(c);
	s->gpr[11] = flags;
	soft_set_rflags(c, (flags & ~s->sfmask) | RFLAGS_ONE);
	seg_set_flat_code(&cs, sel, 0, true);
	set_stack(c, sel + 8, 0);
	far_commit(c, &cs, target);
}

static uint64_t sysret_flags(struct soft *c)
{
	const uint64_t settable = RFLAGS_ANY | RFLAGS_IF | RFLAGS_IOPL | RFLAGS_AC | RFLAGS_ID |
				  RFLAGS_VIF | RFLAGS_VIP;

	if (!c->long_mode)
		return soft_rflags(c) | RFLAGS_IF;
	return (c->state.gpr[11] & settable) | RFLAGS_ONE;
}

static void exec_sysret(struct soft *c, const struct insn *i)
{
	struct cpu_state *s = &c->state;
	uint16_t sel = s->star >> 48;
	bool to_64 = i->size == 8;
	struct cpu_seg cs;

	need_syscall(c);
	sys_need_cpl0(c);
	if (to_64 && !sys_canonical(c, s->gpr[CPU_RCX]))
		soft_raise_error(c, VEC_GP, 0);
	soft_set_rflags(c, sysret_flags(c));
	seg_set_flat_code(&cs, (to_64 ? sel + 16 : sel) | 3, 3, to_64);
	set_stack(c, (sel + 8) | 3, 3);
	far_commit(c, &cs, to_64 ? s->gpr[CPU_RCX] : (uint32_t)s->gpr[CPU_RCX]);
}

/* AMD's processors have it outside long mode only. */
static void need_sysenter(struct soft *c)
{
	if (!soft_has(c, FEATURE_SEP) || (c->long_mode && soft_vendor_is_amd(c)))
		soft_raise(c, VEC_UD);
	if (!sys_protected(c) || !(c->state.sysenter_cs & 0xfffc))
		soft_raise_error(c, VEC_GP, 0);
}

static void exec_sysenter(struct soft *c, const struct insn *i)
{
	struct cpu_state *s = &c->state;
	uint16_t sel = s->sysenter_cs & 0xfffc;
	uint64_t mask = c->long_mode ? UINT64_MAX : UINT32_MAX;
	struct cpu_seg cs;

	need_sysenter(c);
	soft_set_rflags(c, soft_rflags(c) & ~(uint64_t)(RFLAGS_VM | RFLAGS_IF | RFLAGS_RF));
	s->gpr[CPU_RSP] = s->sysenter_esp & mask;
	seg_set_flat_code(&cs, sel, 0, c->long_mode);
	set_stack(c, sel + 8, 0);
	far_commit(c, &cs, s->sysenter_eip & mask);
}

static void exec_sysexit(struct soft *c, const struct insn *i)
{
	struct cpu_state *s = &c->state;
	bool to_64 = i->size == 8;
	uint16_t sel = (s->sysenter_cs & 0xfffc) + (to_64 ? 32 : 16);
	uint64_t mask = to_64 ? UINT64_MAX : UINT32_MAX;
	struct cpu_seg cs;

	need_sysenter(c);
	sys_need_cpl0(c);
	if (to_64 && (!sys_canonical(c, s->gpr[CPU_RCX]) || !sys_canonical(c, s->gpr[CPU_RDX])))
		soft_raise_error(c, VEC_GP, 0);
	s->gpr[CPU_RSP] = s->gpr[CPU_RCX] & mask;
	seg_set_flat_code(&cs, sel | 3, 3, to_64);
	set_stack(c, (sel + 8) | 3, 3);
	far_commit(c, &cs, s->gpr[CPU_RDX] & mask);
}

soft_exec *far_select_syscall(const struct soft_decoded *d)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_SYSCALL:
		return exec_syscall;
	case ZYDIS_MNEMONIC_SYSRET:
		return exec_sysret;
	case ZYDIS_MNEMONIC_SYSENTER:
		return exec_sysenter;
	case ZYDIS_MNEMONIC_SYSEXIT:
		return exec_sysexit;
	default:
		return NULL;
	}
}
