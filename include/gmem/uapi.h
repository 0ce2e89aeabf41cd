/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The KVM interface of x86-64 Linux, as far as guest memory and a bare vCPU need it: request
 * numbers, structures, capabilities, exit reasons. Names and values are the kernel's, so a
 * program written for <linux/kvm.h> compiles with this header instead; the text is ours. It
 * exists because the kernel headers of most distributions predate guest_memfd.
 *
 * Use either this header or <linux/kvm.h> in one translation unit, never both.
 * Needs nothing but <stddef.h> and <stdint.h>; works in C11 and C++11. Anybody may include it.
 *
 * Here: the structures, by the descriptor they are given to; struct kvm_run; layout checks.
 * In uapi_nr.h, which comes along: flags and limits, requests, exit reasons, capabilities.
 */
#ifndef GMEM_UAPI_H
#define GMEM_UAPI_H

#ifdef __LINUX_KVM_H
#error "<gmem/uapi.h> replaces <linux/kvm.h>: include only one of the two"
#endif

#include <stddef.h>
#include <stdint.h>

#include "uapi_nr.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- given to the VM: memory ---- */

struct kvm_userspace_memory_region {
	uint32_t slot; /* low 16 bits: id; high 16 bits: address space */
	uint32_t flags;
	uint64_t guest_phys_addr, memory_size, userspace_addr;
};

struct kvm_userspace_memory_region2 {
	uint32_t slot;
	uint32_t flags;
	uint64_t guest_phys_addr, memory_size, userspace_addr;
	uint64_t guest_memfd_offset;
	uint32_t guest_memfd;
	uint32_t pad1;
	uint64_t pad2[14];
};

struct kvm_create_guest_memfd {
	uint64_t size;
	uint64_t flags;
	uint64_t reserved[6];
};

struct kvm_memory_attributes {
	uint64_t address, size, attributes, flags;
};

/* Given to a guest_memfd; the first four words mean what they mean in the structure above. */
struct kvm_memory_attributes2 {
	union {
		uint64_t address;
		uint64_t offset;
	};
	uint64_t size, attributes, flags;
	uint64_t error_offset; /* out: where a failed conversion stopped */
	uint64_t reserved[11];
};

struct kvm_dirty_log {
	uint32_t slot;
	uint32_t padding1;
	union {
		void *dirty_bitmap;
		uint64_t padding2;
	};
};

struct kvm_clear_dirty_log {
	uint32_t slot;
	uint32_t num_pages;
	uint64_t first_page;
	union {
		void *dirty_bitmap;
		uint64_t padding2;
	};
};

struct kvm_dirty_gfn {
	uint32_t flags;
	uint32_t slot;
	uint64_t offset;
};

struct kvm_enc_region {
	uint64_t addr, size;
};

/* ---- given to the VM: everything else ---- */

struct kvm_enable_cap {
	uint32_t cap;
	uint32_t flags;
	uint64_t args[4];
	uint8_t pad[64];
};

struct kvm_irq_level {
	union {
		uint32_t irq;
		int32_t status;
	};
	uint32_t level;
};

struct kvm_pic_state {
	uint8_t last_irr, irr, imr, isr;
	uint8_t priority_add, irq_base, read_reg_select, poll;
	uint8_t special_mask, init_state, auto_eoi, rotate_on_auto_eoi;
	uint8_t special_fully_nested_mode, init4, elcr, elcr_mask;
};

struct kvm_ioapic_state {
	uint64_t base_address;
	uint32_t ioregsel, id, irr, pad;
	union {
		uint64_t bits;
		struct {
			uint8_t vector;
			uint8_t delivery_mode : 3, dest_mode : 1, delivery_status : 1, polarity : 1,
				remote_irr : 1, trig_mode : 1;
			uint8_t mask : 1, reserve : 7;
			uint8_t reserved[4];
			uint8_t dest_id;
		} fields;
	} redirtbl[KVM_IOAPIC_NUM_PINS];
};

struct kvm_irqchip {
	uint32_t chip_id;
	uint32_t pad;
	union {
		char dummy[512];
		struct kvm_pic_state pic;
		struct kvm_ioapic_state ioapic;
	} chip;
};

struct kvm_pit_config {
	uint32_t flags;
	uint32_t pad[15];
};

struct kvm_pit_channel_state {
	uint32_t count;
	uint16_t latched_count;
	uint8_t count_latched, status_latched, status, read_state, write_state, write_latch;
	uint8_t rw_mode, mode, bcd, gate;
	int64_t count_load_time;
};

struct kvm_pit_state2 {
	struct kvm_pit_channel_state channels[3];
	uint32_t flags;
	uint32_t reserved[9];
};

struct kvm_reinject_control {
	uint8_t pit_reinject;
	uint8_t reserved[31];
};

struct kvm_ioeventfd {
	uint64_t datamatch, addr;
	uint32_t len;
	int32_t fd;
	uint32_t flags;
	uint8_t pad[36];
};

struct kvm_irqfd {
	uint32_t fd, gsi, flags, resamplefd;
	uint8_t pad[16];
};

struct kvm_irq_routing_irqchip {
	uint32_t irqchip, pin;
};

struct kvm_irq_routing_msi {
	uint32_t address_lo, address_hi, data;
	union {
		uint32_t pad;
		uint32_t devid;
	};
};

struct kvm_irq_routing_entry {
	uint32_t gsi, type, flags, pad;
	union {
		struct kvm_irq_routing_irqchip irqchip;
		struct kvm_irq_routing_msi msi;
		uint32_t pad[8];
	} u;
};

struct kvm_irq_routing {
	uint32_t nr, flags;
	struct kvm_irq_routing_entry entries[];
};

struct kvm_msi {
	uint32_t address_lo, address_hi, data, flags, devid;
	uint8_t pad[12];
};

struct kvm_clock_data {
	uint64_t clock;
	uint32_t flags, pad0;
	uint64_t realtime, host_tsc;
	uint32_t pad[4];
};

struct kvm_coalesced_mmio_zone {
	uint64_t addr;
	uint32_t size;
	union {
		uint32_t pad;
		uint32_t pio;
	};
};

struct kvm_coalesced_mmio {
	uint64_t phys_addr;
	uint32_t len;
	union {
		uint32_t pad;
		uint32_t pio;
	};
	uint8_t data[8];
};

struct kvm_coalesced_mmio_ring {
	uint32_t first, last;
	struct kvm_coalesced_mmio coalesced_mmio[];
};

struct kvm_create_device {
	uint32_t type, fd, flags;
};

struct kvm_device_attr {
	uint32_t flags, group;
	uint64_t attr, addr;
};

struct kvm_msr_filter_range {
	uint32_t flags, nmsrs, base;
	uint8_t *bitmap;
};

struct kvm_msr_filter {
	uint32_t flags;
	struct kvm_msr_filter_range ranges[KVM_MSR_FILTER_MAX_RANGES];
};

/* what a descriptor of KVM_GET_STATS_FD begins with, and one record of its index */
struct kvm_stats_header {
	uint32_t flags, name_size, num_desc, id_offset, desc_offset, data_offset;
};

struct kvm_stats_desc {
	uint32_t flags;
	int16_t exponent;
	uint16_t size;
	uint32_t offset, bucket_size;
	char name[];
};

/* ---- given to a vCPU ---- */

struct kvm_regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags;
};

struct kvm_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint8_t type, present, dpl, db, s, l, g, avl;
	uint8_t unusable;
	uint8_t padding;
};

struct kvm_dtable {
	uint64_t base;
	uint16_t limit;
	uint16_t padding[3];
};

struct kvm_sregs {
	struct kvm_segment cs, ds, es, fs, gs, ss, tr, ldt;
	struct kvm_dtable gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, cr8, efer, apic_base;
	uint64_t interrupt_bitmap[KVM_NR_INTERRUPTS / 64];
};

struct kvm_sregs2 {
	struct kvm_segment cs, ds, es, fs, gs, ss, tr, ldt;
	struct kvm_dtable gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, cr8, efer, apic_base;
	uint64_t flags;
	uint64_t pdptrs[4];
};

struct kvm_fpu {
	uint8_t fpr[8][16];
	uint16_t fcw, fsw;
	uint8_t ftwx, pad1;
	uint16_t last_opcode;
	uint64_t last_ip, last_dp;
	uint8_t xmm[16][16];
	uint32_t mxcsr, pad2;
};

struct kvm_xsave {
	uint32_t region[1024];
	uint32_t extra[]; /* as much as KVM_CAP_XSAVE2 says, beyond 4096 bytes */
};

struct kvm_xcr {
	uint32_t xcr, reserved;
	uint64_t value;
};

struct kvm_xcrs {
	uint32_t nr_xcrs, flags;
	struct kvm_xcr xcrs[KVM_MAX_XCRS];
	uint64_t padding[16];
};

struct kvm_msr_entry {
	uint32_t index, reserved;
	uint64_t data;
};

struct kvm_msrs {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry entries[];
};

struct kvm_msr_list { /* for /dev/kvm */
	uint32_t nmsrs;
	uint32_t indices[];
};

struct kvm_cpuid_entry {
	uint32_t function, eax, ebx, ecx, edx, padding;
};

struct kvm_cpuid {
	uint32_t nent, padding;
	struct kvm_cpuid_entry entries[];
};

struct kvm_cpuid_entry2 {
	uint32_t function, index, flags, eax, ebx, ecx, edx;
	uint32_t padding[3];
};

struct kvm_cpuid2 { /* also for /dev/kvm */
	uint32_t nent, padding;
	struct kvm_cpuid_entry2 entries[];
};

struct kvm_mp_state {
	uint32_t mp_state;
};

struct kvm_vcpu_events {
	struct {
		uint8_t injected, nr, has_error_code, pending;
		uint32_t error_code;
	} exception;
	struct {
		uint8_t injected, nr, soft, shadow;
	} interrupt;
	struct {
		uint8_t injected, pending, masked, pad;
	} nmi;
	uint32_t sipi_vector;
	uint32_t flags;
	struct {
		uint8_t smm, pending, smm_inside_nmi, latched_init;
	} smi;
	struct {
		uint8_t pending;
	} triple_fault;
	uint8_t reserved[26];
	uint8_t exception_has_payload;
	uint64_t exception_payload;
};

struct kvm_debugregs {
	uint64_t db[4];
	uint64_t dr6, dr7;
	uint64_t flags;
	uint64_t reserved[9];
};

struct kvm_guest_debug_arch {
	uint64_t debugreg[8];
};

struct kvm_guest_debug {
	uint32_t control, pad;
	struct kvm_guest_debug_arch arch;
};

struct kvm_debug_exit_arch {
	uint32_t exception, pad;
	uint64_t pc, dr6, dr7;
};

struct kvm_translation {
	uint64_t linear_address, physical_address;
	uint8_t valid, writeable, usermode;
	uint8_t pad[5];
};

struct kvm_interrupt {
	uint32_t irq;
};

struct kvm_signal_mask {
	uint32_t len;
	uint8_t sigset[];
};

struct kvm_lapic_state {
	char regs[KVM_APIC_REG_SIZE];
};

struct kvm_tpr_access_ctl {
	uint32_t enabled, flags;
	uint32_t reserved[8];
};

struct kvm_vapic_addr {
	uint64_t vapic_addr;
};

struct kvm_x86_mce {
	uint64_t status, addr, misc, mcg_status;
	uint8_t bank;
	uint8_t pad1[7];
	uint64_t pad2[3];
};

struct kvm_one_reg {
	uint64_t id, addr;
};

struct kvm_pre_fault_memory {
	uint64_t gpa, size, flags;
	uint64_t padding[5];
};

/* ---- page 0 of a vCPU's mapping ---- */

struct kvm_sync_regs {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
};

struct kvm_run {
	uint8_t request_interrupt_window; /* in */
	uint8_t immediate_exit;		  /* in */
	uint8_t padding1[6];

	uint32_t exit_reason; /* out, with the next three */
	uint8_t ready_for_interrupt_injection;
	uint8_t if_flag;
	uint16_t flags;

	uint64_t cr8; /* in and out, with apic_base */
	uint64_t apic_base;

	union {
		struct {
			uint64_t hardware_exit_reason;
		} hw;
		struct {
			uint64_t hardware_entry_failure_reason;
			uint32_t cpu;
		} fail_entry;
		struct {
			uint32_t exception, error_code;
		} ex;
		struct {
			uint8_t direction, size;
			uint16_t port;
			uint32_t count;
			uint64_t data_offset; /* from the start of struct kvm_run */
		} io;
		struct {
			struct kvm_debug_exit_arch arch;
		} debug;
		struct {
			uint64_t phys_addr;
			uint8_t data[8];
			uint32_t len;
			uint8_t is_write;
		} mmio;
		struct {
			uint64_t nr;
			uint64_t args[6];
			uint64_t ret;
			union {
				uint32_t longmode;
				uint64_t flags;
			};
		} hypercall;
		struct {
			uint64_t rip;
			uint32_t is_write, pad;
		} tpr_access;
		struct {
			uint32_t suberror, ndata;
			uint64_t data[16];
		} internal;
		struct { /* the same words, for KVM_INTERNAL_ERROR_EMULATION */
			uint32_t suberror, ndata;
			uint64_t flags;
			struct {
				uint8_t insn_size;
				uint8_t insn_bytes[15];
			};
		} emulation_failure;
		struct {
			uint32_t type, ndata;
			union {
				uint64_t flags;
				uint64_t data[16];
			};
		} system_event;
		struct {
			uint8_t vector;
		} eoi;
		struct {
			uint8_t error; /* in */
			uint8_t pad[7];
			uint32_t reason, index;
			uint64_t data;
		} msr;
		struct {
			uint32_t flags;
		} notify;
		struct {
			uint64_t flags, gpa, size;
		} memory_fault;
		char padding[256];
	};

	uint64_t kvm_valid_regs; /* in: what to store below at every exit */
	uint64_t kvm_dirty_regs; /* in: what to load from below at the next run */
	union {
		struct kvm_sync_regs regs;
		char padding[2048];
	} s;
};

#ifdef __cplusplus
}
#endif

/*
 * Layout: a structure that grows or moves a member changes a request number or breaks a program,
 * so sizes and the offsets others rely on are pinned here.
 */
#ifdef __cplusplus
#define GMEM_UAPI_CHECK(cond) static_assert(cond, #cond)
#else
#define GMEM_UAPI_CHECK(cond) _Static_assert(cond, #cond)
#endif
#define GMEM_UAPI_SIZE(type, size) GMEM_UAPI_CHECK(sizeof(struct type) == (size))
#define GMEM_UAPI_AT(member, off) GMEM_UAPI_CHECK(offsetof(struct kvm_run, member) == (off))

GMEM_UAPI_SIZE(kvm_userspace_memory_region, 32);
GMEM_UAPI_SIZE(kvm_userspace_memory_region2, 160);
GMEM_UAPI_SIZE(kvm_create_guest_memfd, 64);
GMEM_UAPI_SIZE(kvm_memory_attributes, 32);
GMEM_UAPI_SIZE(kvm_memory_attributes2, 128);
GMEM_UAPI_SIZE(kvm_pre_fault_memory, 64);
GMEM_UAPI_SIZE(kvm_dirty_log, 16);
GMEM_UAPI_SIZE(kvm_clear_dirty_log, 24);
GMEM_UAPI_SIZE(kvm_dirty_gfn, 16);
GMEM_UAPI_SIZE(kvm_enable_cap, 104);
GMEM_UAPI_SIZE(kvm_regs, 144);
GMEM_UAPI_SIZE(kvm_sregs, 312);
GMEM_UAPI_SIZE(kvm_sregs2, 320);
GMEM_UAPI_SIZE(kvm_segment, 24);
GMEM_UAPI_SIZE(kvm_dtable, 16);
GMEM_UAPI_SIZE(kvm_cpuid2, 8);
GMEM_UAPI_SIZE(kvm_cpuid_entry2, 40);
GMEM_UAPI_SIZE(kvm_xcrs, 392);
GMEM_UAPI_SIZE(kvm_mp_state, 4);
GMEM_UAPI_SIZE(kvm_fpu, 416);
GMEM_UAPI_SIZE(kvm_xsave, 4096);
GMEM_UAPI_SIZE(kvm_msrs, 8);
GMEM_UAPI_SIZE(kvm_msr_list, 4);
GMEM_UAPI_SIZE(kvm_msr_entry, 16);
GMEM_UAPI_SIZE(kvm_vcpu_events, 64);
GMEM_UAPI_SIZE(kvm_debugregs, 128);
GMEM_UAPI_SIZE(kvm_guest_debug, 72);
GMEM_UAPI_SIZE(kvm_translation, 24);
GMEM_UAPI_SIZE(kvm_interrupt, 4);
GMEM_UAPI_SIZE(kvm_signal_mask, 4);
GMEM_UAPI_SIZE(kvm_lapic_state, 1024);
GMEM_UAPI_SIZE(kvm_tpr_access_ctl, 40);
GMEM_UAPI_SIZE(kvm_vapic_addr, 8);
GMEM_UAPI_SIZE(kvm_x86_mce, 64);
GMEM_UAPI_SIZE(kvm_irqchip, 520);
GMEM_UAPI_SIZE(kvm_ioapic_state, 216);
GMEM_UAPI_SIZE(kvm_pic_state, 16);
GMEM_UAPI_SIZE(kvm_pit_config, 64);
GMEM_UAPI_SIZE(kvm_pit_state2, 112);
GMEM_UAPI_SIZE(kvm_ioeventfd, 64);
GMEM_UAPI_SIZE(kvm_irqfd, 32);
GMEM_UAPI_SIZE(kvm_irq_routing, 8);
GMEM_UAPI_SIZE(kvm_irq_routing_entry, 48);
GMEM_UAPI_SIZE(kvm_msi, 32);
GMEM_UAPI_SIZE(kvm_clock_data, 48);
GMEM_UAPI_SIZE(kvm_create_device, 12);
GMEM_UAPI_SIZE(kvm_device_attr, 24);
GMEM_UAPI_SIZE(kvm_stats_header, 24);
GMEM_UAPI_SIZE(kvm_stats_desc, 16);
GMEM_UAPI_SIZE(kvm_sync_regs, 520);
GMEM_UAPI_SIZE(kvm_run, 2352);

GMEM_UAPI_AT(immediate_exit, 1);
GMEM_UAPI_AT(exit_reason, 8);
GMEM_UAPI_AT(ready_for_interrupt_injection, 12);
GMEM_UAPI_AT(if_flag, 13);
GMEM_UAPI_AT(flags, 14);
GMEM_UAPI_AT(cr8, 16);
GMEM_UAPI_AT(apic_base, 24);
GMEM_UAPI_AT(io.size, 33);
GMEM_UAPI_AT(io.port, 34);
GMEM_UAPI_AT(io.count, 36);
GMEM_UAPI_AT(io.data_offset, 40);
GMEM_UAPI_AT(mmio.data, 40);
GMEM_UAPI_AT(mmio.len, 48);
GMEM_UAPI_AT(mmio.is_write, 52);
GMEM_UAPI_AT(hypercall.args, 40);
GMEM_UAPI_AT(hypercall.ret, 88);
GMEM_UAPI_AT(hypercall.flags, 96);
GMEM_UAPI_AT(memory_fault.gpa, 40);
GMEM_UAPI_AT(memory_fault.size, 48);
GMEM_UAPI_AT(internal.ndata, 36);
GMEM_UAPI_AT(internal.data, 40);
GMEM_UAPI_AT(emulation_failure.flags, 40);
GMEM_UAPI_AT(emulation_failure.insn_size, 48);
GMEM_UAPI_AT(emulation_failure.insn_bytes, 49);
GMEM_UAPI_AT(system_event.ndata, 36);
GMEM_UAPI_AT(system_event.data, 40);
GMEM_UAPI_AT(debug.arch.pc, 40);
GMEM_UAPI_AT(debug.arch.dr7, 56);
GMEM_UAPI_AT(msr.reason, 40);
GMEM_UAPI_AT(msr.index, 44);
GMEM_UAPI_AT(msr.data, 48);
GMEM_UAPI_AT(kvm_valid_regs, 288);
GMEM_UAPI_AT(kvm_dirty_regs, 296);
GMEM_UAPI_AT(s, 304);

#endif /* GMEM_UAPI_H */
