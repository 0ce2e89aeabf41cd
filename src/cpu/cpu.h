/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * cpu: the one interface between KVM's vCPU object and an engine that runs guest code.
 *
 * An engine has the architectural state of one vCPU (struct cpu_state), which the owner may read and
 * write whenever the vCPU does not run (it holds the vCPU's lock), and run(), which returns with a
 * reason. An access that cannot complete leaves the guest state exactly as before the instruction.
 *
 * I/O: run() returns CPU_EXIT_IO / _MMIO / _HYPERCALL with the instruction not yet done (RIP on it). The
 * owner calls complete() before the next run(), with the data for a read; the engine then finishes the
 * instruction, or drops the completion when RIP was changed meanwhile. An access of several pieces (page
 * crossing, more than 8 bytes, string instructions) exits once for each.
 */
#ifndef GMEM_CPU_CPU_H
#define GMEM_CPU_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "mmu/mmu.h"

/* Register numbers are the encoding's. */
enum { CPU_RAX, CPU_RCX, CPU_RDX, CPU_RBX, CPU_RSP, CPU_RBP, CPU_RSI, CPU_RDI };
enum { CPU_ES, CPU_CS, CPU_SS, CPU_DS, CPU_FS, CPU_GS, CPU_NR_SEGS };

struct cpu_seg {
	uint64_t base;
	uint32_t limit; /* in bytes, granularity applied */
	uint16_t sel;
	uint8_t type; /* the descriptor's four type bits */
	uint8_t s, dpl, p, avl, l, db, g;
	uint8_t unusable;
};

struct cpu_table {
	uint64_t base;
	uint16_t limit;
};

union cpu_xmm {
	uint8_t u8[16];
	uint16_t u16[8];
	uint32_t u32[4];
	uint64_t u64[2];
	float f32[4];
	double f64[2];
} __attribute__((aligned(16)));

/* An event that is to be delivered, or was being delivered, at the next instruction boundary. */
struct cpu_event {
	bool pending;  /* raised, not yet delivered */
	bool injected; /* by the owner, or its delivery was cut short: deliver first */
	bool has_error;
	bool soft;
	uint8_t vector;
	uint32_t error;
};

#define CPU_NR_MTRR_FIXED 11
#define CPU_NR_MTRR_VAR 8

struct cpu_state {
	uint64_t gpr[16];
	uint64_t rip;
	uint64_t rflags;
	struct cpu_seg seg[CPU_NR_SEGS];
	struct cpu_seg ldt, tr;
	struct cpu_table gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, cr8;
	uint64_t efer, xcr0, apic_base;
	uint64_t pdptrs[4]; /* loaded with CR3 in PAE mode */
	uint64_t dr[4], dr6, dr7;

	/* model specific registers */
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, misc_enable, tsc_aux, tsc_offset, tsc_adjust, xss;
	uint64_t mtrr_def_type, mtrr_fixed[CPU_NR_MTRR_FIXED], mtrr_var[2 * CPU_NR_MTRR_VAR];

	/* SSE, and x87 as far as FXSAVE carries it */
	union cpu_xmm xmm[16];
	uint32_t mxcsr;
	uint16_t fcw, fsw, fop;
	uint8_t ftw; /* the abridged form: a bit a register, 1 = in use */
	uint64_t fip, fdp;
	uint8_t st[8][16];

	struct cpu_event exception; /* vectors 0..31 */
	struct cpu_event interrupt; /* external or software interrupt */
	bool nmi_injected, nmi_pending, nmi_masked;
	uint8_t interrupt_shadow; /* CPU_SHADOW_* */
	bool halted;
};
#define CPU_SHADOW_STI 1u
#define CPU_SHADOW_MOV_SS 2u

struct cpu_cpuid {
	uint32_t function, index;
	bool index_matters;
	uint32_t eax, ebx, ecx, edx;
};

enum cpu_exit_reason {
	CPU_EXIT_KICK, /* MMU_REQ_KICK was seen; or the caller should look at signals */
	CPU_EXIT_IO,   /* IN, OUT, INS, OUTS */
	CPU_EXIT_MMIO,
	CPU_EXIT_HYPERCALL,    /* VMCALL, VMMCALL at CPL 0; registers hold number and arguments */
	CPU_EXIT_HLT,	       /* RIP behind it */
	CPU_EXIT_SHUTDOWN,     /* triple fault */
	CPU_EXIT_MEMORY_FAULT, /* fault: error, gpa, size, is_private */
	CPU_EXIT_ERROR,	       /* fault.error alone (-EFAULT, -ENOMEM, -EINTR) */
	CPU_EXIT_EMULATION, /* an instruction cannot be run (fetch from nothing, ...): insn bytes */
	CPU_EXIT_DELIVERY,  /* event delivery met MMIO: internal error "delivery event", gpa */
	CPU_EXIT_IRQ_WINDOW, /* interrupts can be taken now and the owner asked for the window */
	CPU_EXIT_DEBUG,	     /* guest debug: single step or breakpoint */
};

struct cpu_exit {
	enum cpu_exit_reason reason;
	union {
		struct {
			bool in;
			uint8_t size; /* 1, 2, 4 */
			uint16_t port;
			uint32_t count;	    /* elements; more than 1 only for INS and OUTS */
			uint8_t data[4096]; /* OUT: what is written */
		} io;
		struct {
			uint64_t gpa;
			uint8_t data[8];
			uint32_t len;
			bool is_write;
		} mmio;
		struct mmu_fault_info fault;
		struct {
			uint8_t bytes[15];
			uint8_t nr_bytes;
		} insn;
		struct {
			uint64_t gpa;
			uint32_t vector_info;
		} delivery;
		struct {
			uint32_t exception;
			uint64_t pc, dr6, dr7;
		} debug;
	};
};

struct cpu;

struct cpu_ops {
	const char *name;
	/* The state is the reset state. -ENOMEM. */
	int (*create)(struct mmu *mmu, struct mmu_vcpu *v, struct cpu **out);
	void (*destroy)(struct cpu *cpu);
	/* The architectural state. Writing: call state_changed() after it. */
	struct cpu_state *(*state)(struct cpu *cpu);
	void (*state_changed)(struct cpu *cpu);
	/* entries are copied. -ENOMEM. */
	int (*set_cpuid)(struct cpu *cpu, const struct cpu_cpuid *entries, unsigned int nr);
	/* Runs guest code until there is a reason to stop. The caller is the vCPU's thread, holds the
	 * vCPU's lock and is outside (mmu_vcpu_enter/leave is the engine's). budget: instructions to run
	 * at the most, 0 = no limit (then CPU_EXIT_KICK). */
	void (*run)(struct cpu *cpu, uint64_t budget, struct cpu_exit *exit);
	/* Finishes the I/O, MMIO or hypercall that run() returned with; data: what a read got (size *
	 * count bytes; len for MMIO), NULL for writes; hypercall: 8 bytes for RAX. False: the rest of the
	 * instruction is done by run(), before any event and any kick; it may need more pieces, and
	 * run() then returns with them. */
	bool (*complete)(struct cpu *cpu, const void *data);
	/* Guest virtual to guest physical for KVM_TRANSLATE, with the state as it is. 0, -EFAULT. */
	int (*translate)(struct cpu *cpu, uint64_t gva, uint64_t *gpa, bool *writable, bool *user);
	/* Guest access to a model specific register: by the owner (host) for KVM_GET/SET_MSRS.
	 * -ENOENT: no such register; -EINVAL: the value is not legal. */
	int (*get_msr)(struct cpu *cpu, uint32_t index, uint64_t *value);
	int (*set_msr)(struct cpu *cpu, uint32_t index, uint64_t value);
	/* The owner wants CPU_EXIT_IRQ_WINDOW as soon as an interrupt can be taken. */
	void (*request_irq_window)(struct cpu *cpu, bool want);
	bool (*can_take_interrupt)(struct cpu *cpu);
	/* KVM_SET_GUEST_DEBUG: single step and software breakpoints exit with CPU_EXIT_DEBUG. */
	void (*set_debug)(struct cpu *cpu, bool single_step, bool sw_breakpoints,
			  const uint64_t hw_dr[4], uint64_t hw_dr7);
};

extern const struct cpu_ops cpu_soft_ops;
/* What the soft engine can do, for KVM_GET_SUPPORTED_CPUID: fills at most max entries, returns how many
 * there are. The registers it knows for KVM_GET_MSR_INDEX_LIST likewise. */
unsigned int cpu_soft_supported_cpuid(struct cpu_cpuid *entries, unsigned int max);
unsigned int cpu_soft_msr_list(uint32_t *indices, unsigned int max);

#endif
