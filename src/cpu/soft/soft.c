/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The engine as cpu.h has it. */
#include <errno.h>

#include "cpu/soft/block.h"
#include "cpu/soft/io.h"
#include "cpu/soft/run.h"
#include "cpu/soft/sys.h"
#include "cpu/soft/tlb.h"
#include "os/paths.h"

#define DEFAULT_PHYS_BITS 36

static struct soft *to_soft(struct cpu *cpu)
{
	return (struct soft *)cpu;
}

static void choose_paths(struct soft *c)
{
	c->use_tlb = !os_path_off(OS_PATH_TLB);
	c->use_blocks = !os_path_off(OS_PATH_BLOCKS);
	c->use_chain = c->use_blocks && !os_path_off(OS_PATH_CHAIN);
	c->use_flags = !os_path_off(OS_PATH_FLAGS);
	c->use_fast = c->use_flags && !os_path_off(OS_PATH_HANDLERS);
	c->use_pairs = !os_path_off(OS_PATH_FUSE);
	c->use_mxcsr = !os_path_off(OS_PATH_MXCSR);
}

static int op_create(struct mmu *mmu, struct mmu_vcpu *v, struct cpu **out)
{
	struct soft *c = os_alloc(sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	err = blocks_create(&c->blocks);
	if (err) {
		os_free(c, sizeof(*c));
		return err;
	}
	c->mmu = mmu;
	c->vcpu = v;
	c->phys_bits = DEFAULT_PHYS_BITS;
	choose_paths(c);
	soft_tlb_flush(c);
	soft_reset(c);
	*out = (struct cpu *)c;
	return 0;
}

static void op_destroy(struct cpu *cpu)
{
	struct soft *c = to_soft(cpu);

	blocks_destroy(c->blocks);
	os_free(c->cpuid, c->nr_cpuid * sizeof(*c->cpuid));
	os_free(c, sizeof(*c));
}

static struct cpu_state *op_state(struct cpu *cpu)
{
	struct soft *c = to_soft(cpu);

	flags_sync(c);
	return &c->state;
}

static void op_state_changed(struct cpu *cpu)
{
	struct soft *c = to_soft(cpu);

	c->flag_op = FLAGS_DONE;
	c->state.rflags |= RFLAGS_ONE;
	soft_tlb_flush(c);
	soft_mode_changed(c);
	soft_attend(c);
}

static int op_set_cpuid(struct cpu *cpu, const struct cpu_cpuid *entries, unsigned int nr)
{
	struct soft *c = to_soft(cpu);
	struct cpu_cpuid *copy = NULL;

	if (nr) {
		copy = os_alloc(nr * sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, entries, nr * sizeof(*copy));
	}
	os_free(c->cpuid, c->nr_cpuid * sizeof(*c->cpuid));
	c->cpuid = copy;
	c->nr_cpuid = nr;
	c->phys_bits = DEFAULT_PHYS_BITS;
	for (unsigned int n = 0; n < nr; n++) {
		uint8_t bits = copy[n].eax;

		if (copy[n].function == 0x80000008 && bits >= 32 && bits <= 52)
			c->phys_bits = bits;
	}
	soft_tlb_flush(c);
	return 0;
}

static void op_run(struct cpu *cpu, uint64_t budget, struct cpu_exit *exit)
{
	run_guest(to_soft(cpu), budget, exit);
}

static bool op_complete(struct cpu *cpu, const void *data)
{
	struct soft *c = to_soft(cpu);
	uint8_t pending = c->io_pending;

	c->io_pending = IO_NONE;
	if (c->state.rip != c->io_rip) {
		mmio_instruction_over(c);
		return true;
	}
	c->half_done = pending == IO_MMIO || pending == IO_INS;
	if (pending == IO_MMIO)
		mmio_complete(c, data);
	else if (pending)
		io_complete(c, pending, data);
	return !c->half_done;
}

static int op_translate(struct cpu *cpu, uint64_t gva, uint64_t *gpa, bool *writable, bool *user)
{
	*writable = true;
	*user = false;
	return run_translate(to_soft(cpu), gva, gpa);
}

static int op_get_msr(struct cpu *cpu, uint32_t index, uint64_t *value)
{
	return soft_msr_get(to_soft(cpu), index, value, false);
}

static int op_set_msr(struct cpu *cpu, uint32_t index, uint64_t value)
{
	struct soft *c = to_soft(cpu);
	int err = soft_msr_set(c, index, value, false);

	if (!err)
		op_state_changed(cpu);
	return err;
}

static void op_request_irq_window(struct cpu *cpu, bool want)
{
	struct soft *c = to_soft(cpu);

	c->want_irq_window = want;
	soft_attend(c);
}

static bool op_can_take_interrupt(struct cpu *cpu)
{
	const struct cpu_state *s = &to_soft(cpu)->state;

	return (s->rflags & RFLAGS_IF) && !s->interrupt_shadow && !s->interrupt.injected &&
	       !s->interrupt.pending;
}

static void op_set_debug(struct cpu *cpu, bool single_step, bool sw_breakpoints,
			 const uint64_t hw_dr[4], uint64_t hw_dr7)
{
	struct soft *c = to_soft(cpu);

	c->debug_step = single_step;
	c->debug_sw = sw_breakpoints;
	for (int n = 0; n < 4; n++)
		c->debug_dr[n] = hw_dr ? hw_dr[n] : 0;
	c->debug_dr7 = hw_dr7;
	soft_attend(c);
}

const struct cpu_ops cpu_soft_ops = {
	.name = "soft",
	.create = op_create,
	.destroy = op_destroy,
	.state = op_state,
	.state_changed = op_state_changed,
	.set_cpuid = op_set_cpuid,
	.run = op_run,
	.complete = op_complete,
	.translate = op_translate,
	.get_msr = op_get_msr,
	.set_msr = op_set_msr,
	.request_irq_window = op_request_irq_window,
	.can_take_interrupt = op_can_take_interrupt,
	.set_debug = op_set_debug,
};
