/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * machine: a VM for the cases, by one way to speak to KVM (uapi.h): vCPUs in 64-bit mode that call the functions
 * of guest_call.h, RAM of the program's for their code, stacks and scratch, and slots for what is measured.
 *
 *	0		RAM: page tables, code, stacks, scratch		slot 0
 *	MACHINE_DATA	up to MACHINE_END, 2 MiB pages, as it is	the case's own slots
 *
 * A case opens one in setup and closes it in teardown; a vCPU belongs to the thread that runs it.
 */
#ifndef GMEM_BENCH_MACHINE_H
#define GMEM_BENCH_MACHINE_H

#include <stdbool.h>

#include <gmem/uapi.h>

#include "bench/bench.h"
#include "bench/guest_call.h"
#include "bench/uapi.h"

#define MACHINE_MAX_VCPUS 64
#define MACHINE_MAX_SLOTS 8

#define MACHINE_CODE ((uint64_t)0x40000)
#define MACHINE_STACKS ((uint64_t)0x80000)
#define MACHINE_STACK ((uint64_t)16 << 10) /* bytes each */
#define MACHINE_SCRATCHES ((uint64_t)4 << 20)
#define MACHINE_SCRATCH ((uint64_t)128 << 10)
#define MACHINE_RAM ((uint64_t)16 << 20)

#define MACHINE_DATA ((uint64_t)4 << 30)
#define MACHINE_END ((uint64_t)8 << 30)

struct machine_vcpu {
	int fd;
	struct kvm_run *run;
};

struct machine {
	const struct uapi *u;
	int kvm, vm;
	unsigned int nr_vcpus;
	uint64_t run_size;
	uint8_t *ram; /* NULL until the first vCPU */
	struct machine_vcpu vcpus[MACHINE_MAX_VCPUS];
	/* Of slots that have something to give back, by number. */
	struct {
		void *mapped; /* NULL: none; hva lies in it */
		uint64_t mapped_size;
		uint8_t *hva;
		int gmem; /* -1: none */
	} slots[MACHINE_MAX_SLOTS];
};

/* A VM of this type (KVM_X86_*); the way's data says how. Results here are 0 or -errno, with a reason in r; after an error
 * machine_close() is the caller's all the same. */
int machine_open(struct bench_run *r, struct machine *m, unsigned int type);
void machine_close(struct machine *m);
/* For a case whose r->own is a machine from malloc() and nothing else. */
void machine_teardown(struct bench_run *r);
/* More vCPUs, all standing at GUEST_EXIT. */
int machine_add_vcpus(struct bench_run *r, struct machine *m, unsigned int nr);

enum machine_backing {
	MACHINE_HVA = 1,     /* memory of the program */
	MACHINE_HUGE = 2,    /* huge pages of it, please */
	MACHINE_GMEM = 4,    /* a guest_memfd */
	MACHINE_MMAP = 8,    /* that can be mapped */
	MACHINE_SHARED = 16, /* and begins as shared */
};
/* A slot (1 and up) at gpa, backed as said. */
int machine_add_slot(struct bench_run *r, struct machine *m, unsigned int slot, uint64_t gpa,
		     uint64_t size, unsigned int backing);

/* KVM_SET_MEMORY_ATTRIBUTES. */
int machine_set_private(const struct machine *m, uint64_t gpa, uint64_t size, bool to_private);
/* fallocate of the slot's guest_memfd: all of the range is there, or none of it. */
int machine_allocate(const struct machine *m, unsigned int slot, uint64_t offset, uint64_t size);
int machine_punch(const struct machine *m, unsigned int slot, uint64_t offset, uint64_t size);

/* The next run of the vCPU starts with these registers; RSP and RFLAGS are filled in, and what returns from there comes to a
 * HLT. */
int machine_begin_at(const struct machine *m, unsigned int vcpu, struct kvm_regs regs);
/* The next run of the vCPU calls fn. */
int machine_begin(const struct machine *m, unsigned int vcpu, enum guest_function fn, uint64_t a,
		  uint64_t b, uint64_t c);
/* KVM_RUN: 0 or -errno. */
int machine_run(const struct machine *m, unsigned int vcpu);
/* Runs until the HLT; -EPROTO: something else ended the run. */
int machine_finish(const struct machine *m, unsigned int vcpu);
/* err again, or -EPROTO; r is told in words how a run ended that should have ended otherwise. */
int machine_say(struct bench_run *r, const struct machine *m, unsigned int vcpu, int err);
/* begin and finish. */
int machine_call(const struct machine *m, unsigned int vcpu, enum guest_function fn, uint64_t a,
		 uint64_t b, uint64_t c);

/* What a vCPU has for itself; the program sees it at ram +. */
static inline uint64_t machine_scratch(unsigned int vcpu)
{
	return MACHINE_SCRATCHES + vcpu * MACHINE_SCRATCH;
}

/*
 * Ways of a case that is measured by the KVM interface; what stands beside them in the braces comes after. Linked into the
 * program (BENCH_LINKED) gmem and the machine's own kernel; else gmem in a child, and the host's kernel.
 */
#ifdef BENCH_LINKED
#define MACHINE_OURS(ops_)                                                         \
	{                                                                          \
		.name = "gmem", .ours = true, .ops = &(ops_), .data = &uapi_linked \
	}
#define MACHINE_KERNEL "kernel"
#else
#define MACHINE_OURS(ops_)                                                        \
	{                                                                         \
		.name = "gmem", .ours = true, .ops = &(ops_), .data = &uapi_libc, \
		.place = BENCH_UNDER_GMEM                                         \
	}
#define MACHINE_KERNEL "host"
#endif
#define MACHINE_WAYS(ops_)                                                 \
	MACHINE_OURS(ops_),                                                \
	{                                                                  \
		.name = MACHINE_KERNEL, .ops = &(ops_), .data = &uapi_libc \
	}

#endif
