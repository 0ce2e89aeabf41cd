/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* CPUID, model specific registers, time, HLT, hypercalls, caches; instructions that are never
 * valid. */
#include "cpu/soft/control.h"
#include "cpu/soft/decode.h"
#include "cpu/soft/io.h"

#define KVM_EPERM 1
#define MSR_TSC 0x10

static void set_pair(struct soft *c, uint64_t value)
{
	c->state.gpr[CPU_RAX] = (uint32_t)value;
	c->state.gpr[CPU_RDX] = value >> 32;
}

static void exec_cpuid(struct soft *c, const struct insn *i)
{
	uint64_t *gpr = c->state.gpr;
	uint32_t out[4];

	soft_cpuid(c, gpr[CPU_RAX], gpr[CPU_RCX], out);
	gpr[CPU_RAX] = out[0];
	gpr[CPU_RBX] = out[1];
	gpr[CPU_RCX] = out[2];
	gpr[CPU_RDX] = out[3];
}

static void exec_rdmsr(struct soft *c, const struct insn *i)
{
	uint64_t value;

	sys_need_cpl0(c);
	if (soft_msr_get(c, c->state.gpr[CPU_RCX], &value, true))
		soft_raise_error(c, VEC_GP, 0);
	set_pair(c, value);
}

static void exec_wrmsr(struct soft *c, const struct insn *i)
{
	const uint64_t *gpr = c->state.gpr;
	uint64_t value = (uint32_t)gpr[CPU_RAX] | gpr[CPU_RDX] << 32;

	sys_need_cpl0(c);
	if (soft_msr_set(c, gpr[CPU_RCX], value, true))
		soft_raise_error(c, VEC_GP, 0);
	soft_attend(c);
}

static uint64_t read_tsc(struct soft *c)
{
	uint64_t tsc = 0;

	if (c->cpl && (c->state.cr4 & CR4_TSD))
		soft_raise_error(c, VEC_GP, 0);
	soft_msr_get(c, MSR_TSC, &tsc, true);
	return tsc;
}

static void exec_rdtsc(struct soft *c, const struct insn *i)
{
	set_pair(c, read_tsc(c));
}

static void exec_rdtscp(struct soft *c, const struct insn *i)
{
	if (!soft_has(c, FEATURE_RDTSCP))
		soft_raise(c, VEC_UD);
	set_pair(c, read_tsc(c));
	c->state.gpr[CPU_RCX] = (uint32_t)c->state.tsc_aux;
}

static void exec_rdpid(struct soft *c, const struct insn *i)
{
	if (!soft_has(c, FEATURE_RDPID))
		soft_raise(c, VEC_UD);
	reg_set(c, i->dst, c->mode == 8 ? 8 : 4, (uint32_t)c->state.tsc_aux);
}

/* There are no counters. */
static void exec_rdpmc(struct soft *c, const struct insn *i)
{
	soft_raise_error(c, VEC_GP, 0);
}

static void exec_hlt(struct soft *c, const struct insn *i)
{
	sys_need_cpl0(c);
	c->state.halted = true;
	soft_exit_after(c, CPU_EXIT_HLT);
}

static void exec_hypercall(struct soft *c, const struct insn *i)
{
	if (c->cpl) {
		reg_set(c, CPU_RAX, c->mode == 8 ? 8 : 4, (uint64_t)-KVM_EPERM);
		return;
	}
	c->exit->reason = CPU_EXIT_HYPERCALL;
	c->io_pending = IO_HYPERCALL;
	c->io_rip = soft_rip(c);
	soft_leave(c, LEAVE_EXIT);
}

/* Guest memory is always coherent; no cache is modelled. */
static void exec_cache(struct soft *c, const struct insn *i)
{
	sys_need_cpl0(c);
}

static void exec_undefined(struct soft *c, const struct insn *i)
{
	soft_raise(c, VEC_UD);
}

soft_exec *processor_select(const struct soft_decoded *d)
{
	static const struct {
		uint16_t mnemonic;
		soft_exec *exec;
	} table[] = {
		{ ZYDIS_MNEMONIC_CPUID, exec_cpuid },
		{ ZYDIS_MNEMONIC_RDMSR, exec_rdmsr },
		{ ZYDIS_MNEMONIC_WRMSR, exec_wrmsr },
		{ ZYDIS_MNEMONIC_RDTSC, exec_rdtsc },
		{ ZYDIS_MNEMONIC_RDTSCP, exec_rdtscp },
		{ ZYDIS_MNEMONIC_RDPID, exec_rdpid },
		{ ZYDIS_MNEMONIC_RDPMC, exec_rdpmc },
		{ ZYDIS_MNEMONIC_HLT, exec_hlt },
		{ ZYDIS_MNEMONIC_VMCALL, exec_hypercall },
		{ ZYDIS_MNEMONIC_VMMCALL, exec_hypercall },
		{ ZYDIS_MNEMONIC_WBINVD, exec_cache },
		{ ZYDIS_MNEMONIC_INVD, exec_cache },
		{ ZYDIS_MNEMONIC_MONITOR, exec_undefined },
		{ ZYDIS_MNEMONIC_MWAIT, exec_undefined },
		{ ZYDIS_MNEMONIC_UD0, exec_undefined },
		{ ZYDIS_MNEMONIC_UD1, exec_undefined },
		{ ZYDIS_MNEMONIC_UD2, exec_undefined },
		{ ZYDIS_MNEMONIC_RSM, exec_undefined },
	};
	unsigned int n;

	for (n = 0; n < sizeof(table) / sizeof(table[0]); n++)
		if (table[n].mnemonic == d->in->mnemonic)
			return table[n].exec;
	return NULL;
}
