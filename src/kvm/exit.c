/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "kvm/exit.h"
#include "kvm/state.h"
#include "kvm/vm.h"

#include <errno.h>

/* Of the internal error "delivery event". */
#define DELIVERY_WORDS 5
#define DELIVERY_WORD_GPA 3
/* Of a failed emulation's: flags, the instruction if known, what the hardware said (nothing here). */
#define INSN_WORDS 2
#define VENDOR_WORDS 5

static uint8_t *port_data(struct vcpu *vcpu)
{
	return (uint8_t *)vcpu->run + KVM_PIO_PAGE_OFFSET * OS_PAGE_SIZE;
}

void exit_memory_fault(struct vcpu *vcpu, const struct mmu_fault_info *info)
{
	const struct kvm_memory_exit *how = kvm_memory_exit();
	struct kvm_run *run = vcpu->run;

	run->exit_reason = how->reason;
	run->memory_fault.flags = info->is_private ? how->flag_private : 0;
	run->memory_fault.gpa = info->gpa;
	run->memory_fault.size = info->size;
}

int exit_memory_fault_result(int error)
{
	const struct kvm_memory_exit *early = kvm_profile()->memory_exit;

	if (error != -EFAULT)
		return error;
	if (early && !early->error)
		return 0;
	return obs_refuse_as(RULE_RUN_MEMORY_FAULT, early ? early->error : error);
}

static int exit_io(struct vcpu *vcpu)
{
	const struct cpu_exit *e = &vcpu->exit;
	struct kvm_run *run = vcpu->run;

	if (!e->io.in && e->io.count == 1 &&
	    ioevent_write(vcpu, true, e->io.port, e->io.data, e->io.size)) {
		vcpu->ops->complete(vcpu->cpu, NULL);
		return EXIT_GO_ON;
	}
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = e->io.in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = e->io.size;
	run->io.port = e->io.port;
	run->io.count = e->io.count;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * OS_PAGE_SIZE;
	if (!e->io.in)
		__builtin_memcpy(port_data(vcpu), e->io.data, e->io.size * e->io.count);
	vcpu->pending = PENDING_IO;
	return 0;
}

static int exit_mmio(struct vcpu *vcpu)
{
	const struct cpu_exit *e = &vcpu->exit;
	struct kvm_run *run = vcpu->run;

	if (e->mmio.is_write &&
	    ioevent_write(vcpu, false, e->mmio.gpa, e->mmio.data, e->mmio.len)) {
		vcpu->ops->complete(vcpu->cpu, NULL);
		return EXIT_GO_ON;
	}
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = e->mmio.gpa;
	run->mmio.len = e->mmio.len;
	run->mmio.is_write = e->mmio.is_write;
	if (e->mmio.is_write)
		__builtin_memcpy(run->mmio.data, e->mmio.data, sizeof(run->mmio.data));
	vcpu->pending = PENDING_MMIO;
	return 0;
}

static int exit_emulation(struct vcpu *vcpu)
{
	const struct cpu_exit *e = &vcpu->exit;
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	__builtin_memset(run->internal.data, 0, sizeof(run->internal.data));
	run->emulation_failure.ndata = 1 + VENDOR_WORDS;
	if (!e->insn.nr_bytes)
		return 0;
	run->emulation_failure.ndata += INSN_WORDS;
	run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run->emulation_failure.insn_size = e->insn.nr_bytes;
	__builtin_memset(run->emulation_failure.insn_bytes, 0x90,
			 sizeof(run->emulation_failure.insn_bytes));
	__builtin_memcpy(run->emulation_failure.insn_bytes, e->insn.bytes, e->insn.nr_bytes);
	return 0;
}

static int exit_delivery(struct vcpu *vcpu)
{
	const struct cpu_exit *e = &vcpu->exit;
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	run->internal.ndata = DELIVERY_WORDS;
	__builtin_memset(run->internal.data, 0, sizeof(run->internal.data));
	run->internal.data[0] = e->delivery.vector_info;
	run->internal.data[DELIVERY_WORD_GPA] = e->delivery.gpa;
	return 0;
}

static int exit_hlt(struct vcpu *vcpu)
{
	if (vcpu->vm->irqchip) {
		vcpu->mp_state = KVM_MP_STATE_HALTED;
		return EXIT_GO_ON;
	}
	vcpu->run->exit_reason = KVM_EXIT_HLT;
	return 0;
}

static int exit_debug(struct vcpu *vcpu)
{
	const struct cpu_exit *e = &vcpu->exit;
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = e->debug.exception;
	run->debug.arch.pc = e->debug.pc;
	run->debug.arch.dr6 = e->debug.dr6;
	run->debug.arch.dr7 = e->debug.dr7;
	return 0;
}

static int exit_reason(struct vcpu *vcpu, uint32_t reason)
{
	vcpu->run->exit_reason = reason;
	return 0;
}

int exit_handle(struct vcpu *vcpu)
{
	const struct cpu_exit *e = &vcpu->exit;

	switch (e->reason) {
	case CPU_EXIT_KICK:
		return EXIT_GO_ON;
	case CPU_EXIT_IO:
		return exit_io(vcpu);
	case CPU_EXIT_MMIO:
		return exit_mmio(vcpu);
	case CPU_EXIT_HYPERCALL:
		return hypercall(vcpu);
	case CPU_EXIT_HLT:
		return exit_hlt(vcpu);
	case CPU_EXIT_SHUTDOWN:
		return exit_reason(vcpu, KVM_EXIT_SHUTDOWN);
	case CPU_EXIT_IRQ_WINDOW:
		return exit_reason(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	case CPU_EXIT_MEMORY_FAULT:
		exit_memory_fault(vcpu, &e->fault);
		return exit_memory_fault_result(e->fault.error);
	case CPU_EXIT_ERROR:
		return obs_refuse_as(RULE_RUN_HOST_FAULT, e->fault.error);
	case CPU_EXIT_EMULATION:
		return exit_emulation(vcpu);
	case CPU_EXIT_DELIVERY:
		return exit_delivery(vcpu);
	case CPU_EXIT_DEBUG:
		return exit_debug(vcpu);
	}
	os_assert(!"an exit reason of the engine that kvm/ knows");
	return 0;
}

/* Like the kernel, before a signal or immediate_exit is looked at: what is left of the instruction. */
static int finish(struct vcpu *vcpu, const void *data, bool immediate)
{
	int r = EXIT_GO_ON;

	if (!vcpu->ops->complete(vcpu->cpu, data) && (immediate || os_signal_pending())) {
		vcpu->ops->run(vcpu->cpu, 1, &vcpu->exit);
		r = exit_handle(vcpu);
	}
	return r == EXIT_GO_ON && immediate ? obs_refuse_quietly(RULE_RUN_IMMEDIATE_EXIT) : r;
}

int exit_complete(struct vcpu *vcpu, bool immediate)
{
	const struct cpu_exit *e = &vcpu->exit;
	enum vcpu_pending pending = vcpu->pending;
	uint64_t ret;

	vcpu->pending = PENDING_NONE;
	switch (pending) {
	case PENDING_IO:
		return finish(vcpu, e->io.in ? port_data(vcpu) : NULL, immediate);
	case PENDING_MMIO:
		return finish(vcpu, e->mmio.is_write ? NULL : vcpu->run->mmio.data, immediate);
	case PENDING_HYPERCALL:
		ret = vcpu->run->hypercall.ret;
		return finish(vcpu, &ret, immediate);
	case PENDING_NONE:
		break;
	}
	return immediate ? obs_refuse_quietly(RULE_RUN_IMMEDIATE_EXIT) : EXIT_GO_ON;
}
