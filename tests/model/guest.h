/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * guest: a VM for programs of the model: 64 KiB of RAM in slot 0 with page tables and code, NR_VCPUS vCPUs in 64-bit
 * mode that see the guest pages of the model where they are, and what a vCPU does for a call (enum op_fn).
 */
#ifndef GMEM_MODEL_GUEST_H
#define GMEM_MODEL_GUEST_H

#include "bench/uapi.h"
#include "model.h"

struct guest_vcpu {
	int fd;
	struct kvm_run *run;
	uint64_t fn;
	uint32_t pending; /* the exit that waits for an answer; 0: none */
};

struct guest_vm {
	const struct uapi *u;
	int kvm, vm; /* -1: there is none */
	uint8_t *ram;
	uint64_t run_size;
	bool sync_regs;
	struct guest_vcpu vcpus[NR_VCPUS];
};

int guest_prepare(struct guest_vm *g, const struct uapi *u, int kvm);
/* OP_VM; in_place: the number of that capability. False, after a message: no guest can be made. */
bool guest_begin(struct guest_vm *g, const struct op *op, uint32_t in_place, struct answer *a);
int64_t guest_enable(struct guest_vm *g, uint64_t cap, uint64_t value, uint64_t flags);
void guest_end(struct guest_vm *g);
/* OP_RUN, OP_RESUME; false after a message. */
bool guest_run(struct guest_vm *g, const struct op *op, struct answer *a);
void guest_prefault(struct guest_vm *g, const struct op *op, struct answer *a);

#endif
