/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Exits: from what the engine stopped for to what the program finds in kvm_run, and back: completing what
 * the program answered. vcpu->lock held.
 */
#ifndef GMEM_KVM_EXIT_H
#define GMEM_KVM_EXIT_H

#include "kvm/object.h"

#define EXIT_GO_ON 1 /* nothing for the program: run again */

/* vcpu->exit holds why the engine stopped. What KVM_RUN returns (0 or -errno), or EXIT_GO_ON. */
int exit_handle(struct vcpu *vcpu);
/* Finishes the I/O or hypercall of the last exit with what the program left in kvm_run. EXIT_GO_ON, or what
 * KVM_RUN returns at once: -EINTR for immediate_exit, 0 when an access has a further piece. */
int exit_complete(struct vcpu *vcpu, bool immediate);
/* Fills the memory-fault exit. */
void exit_memory_fault(struct vcpu *vcpu, const struct mmu_fault_info *info);
/* What KVM_RUN returns beside it. Of pages that cannot be had, and would not by a conversion (ENOMEM, EHWPOISON), has been
 * told where that was found. */
int exit_memory_fault_result(int error);

/* hypercall.c: EXIT_GO_ON when KVM answers it itself, 0 when the program shall. */
int hypercall(struct vcpu *vcpu);

/* inject.c: failures on purpose. What KVM_RUN returns at once, or EXIT_GO_ON. Before the guest runs. */
int inject_run(struct vcpu *vcpu);
/* Shall this request of the guest stay hidden, so that its next touches of the pages tell the program? No lock of the
 * VM held. */
bool inject_hypercall(struct vcpu *vcpu, uint64_t gpa, uint64_t pages, bool to_private);

#endif
