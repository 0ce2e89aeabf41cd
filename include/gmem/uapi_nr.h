/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The numbers of the KVM interface: flags and limits, requests, exit reasons, capabilities.
 * Part of <gmem/uapi.h>, which programs include; the structures a request is sized by are there.
 */
#ifndef GMEM_UAPI_NR_H
#define GMEM_UAPI_NR_H

/* ---- how a request number is put together: direction, argument size, 0xAE, number ---- */

#define KVMIO 0xAE
#define GMEM_UAPI_REQ(dir, nr, size) \
	(((unsigned long)(dir) << 30) | ((unsigned long)(size) << 16) | (KVMIO << 8) | (nr))
#define GMEM_UAPI_NONE(nr) GMEM_UAPI_REQ(0, nr, 0)
#define GMEM_UAPI_IN(nr, type) GMEM_UAPI_REQ(1, nr, sizeof(type))
#define GMEM_UAPI_OUT(nr, type) GMEM_UAPI_REQ(2, nr, sizeof(type))
#define GMEM_UAPI_INOUT(nr, type) GMEM_UAPI_REQ(3, nr, sizeof(type))

/* ---- constants that are not requests, exits or capabilities ---- */

#define KVM_API_VERSION 12

/* KVM_CREATE_VM: machine types */
#define KVM_X86_DEFAULT_VM 0
#define KVM_X86_SW_PROTECTED_VM 1
#define KVM_X86_SEV_VM 2
#define KVM_X86_SEV_ES_VM 3
#define KVM_X86_SNP_VM 4
#define KVM_X86_TDX_VM 5

/* kvm_userspace_memory_region(2).flags */
#define KVM_MEM_LOG_DIRTY_PAGES (1UL << 0)
#define KVM_MEM_READONLY (1UL << 1)
#define KVM_MEM_GUEST_MEMFD (1UL << 2)

/* kvm_create_guest_memfd.flags */
#define GUEST_MEMFD_FLAG_MMAP (1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED (1ULL << 1)

#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ULL << 3)
#define KVM_MEMORY_EXIT_FLAG_PRIVATE (1ULL << 3)

/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, args[0] */
#define KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE (1 << 0)
#define KVM_DIRTY_LOG_INITIALLY_SET (1 << 1)

/* kvm_dirty_gfn.flags */
#define KVM_DIRTY_GFN_F_DIRTY (1UL << 0)
#define KVM_DIRTY_GFN_F_RESET (1UL << 1)
#define KVM_DIRTY_GFN_F_MASK 0x3

/* page index of each part of a vCPU's mapping; page 0 is struct kvm_run */
#define KVM_PIO_PAGE_OFFSET 1
#define KVM_COALESCED_MMIO_PAGE_OFFSET 2
#define KVM_DIRTY_LOG_PAGE_OFFSET 64

/* kvm_run.flags */
#define KVM_RUN_X86_SMM (1 << 0)
#define KVM_RUN_X86_BUS_LOCK (1 << 1)
#define KVM_RUN_X86_GUEST_MODE (1 << 2)

/* kvm_run.kvm_valid_regs and kvm_dirty_regs */
#define KVM_SYNC_X86_REGS (1UL << 0)
#define KVM_SYNC_X86_SREGS (1UL << 1)
#define KVM_SYNC_X86_EVENTS (1UL << 2)
#define KVM_SYNC_X86_VALID_FIELDS (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

#define KVM_SREGS2_FLAGS_PDPTRS_VALID 1

#define KVM_CPUID_FLAG_SIGNIFCANT_INDEX (1 << 0)
#define KVM_CPUID_FLAG_STATEFUL_FUNC (1 << 1)
#define KVM_CPUID_FLAG_STATE_READ_NEXT (1 << 2)

#define KVM_NR_INTERRUPTS 256
#define KVM_MAX_XCRS 16
#define KVM_APIC_REG_SIZE 0x400
#define KVM_IOAPIC_NUM_PINS 24
#define KVM_IRQCHIP_PIC_MASTER 0
#define KVM_IRQCHIP_PIC_SLAVE 1
#define KVM_IRQCHIP_IOAPIC 2
#define KVM_NR_IRQCHIPS 3
#define KVM_PIT_SPEAKER_DUMMY 1

#define KVM_MP_STATE_RUNNABLE 0
#define KVM_MP_STATE_UNINITIALIZED 1
#define KVM_MP_STATE_INIT_RECEIVED 2
#define KVM_MP_STATE_HALTED 3
#define KVM_MP_STATE_SIPI_RECEIVED 4
#define KVM_MP_STATE_STOPPED 5
#define KVM_MP_STATE_AP_RESET_HOLD 9

/* kvm_vcpu_events.flags: which optional parts are meant */
#define KVM_VCPUEVENT_VALID_NMI_PENDING 0x01
#define KVM_VCPUEVENT_VALID_SIPI_VECTOR 0x02
#define KVM_VCPUEVENT_VALID_SHADOW 0x04
#define KVM_VCPUEVENT_VALID_SMM 0x08
#define KVM_VCPUEVENT_VALID_PAYLOAD 0x10
#define KVM_VCPUEVENT_VALID_TRIPLE_FAULT 0x20
#define KVM_X86_SHADOW_INT_MOV_SS 0x01
#define KVM_X86_SHADOW_INT_STI 0x02

/* kvm_guest_debug.control */
#define KVM_GUESTDBG_ENABLE 0x00000001
#define KVM_GUESTDBG_SINGLESTEP 0x00000002
#define KVM_GUESTDBG_USE_SW_BP 0x00010000
#define KVM_GUESTDBG_USE_HW_BP 0x00020000
#define KVM_GUESTDBG_INJECT_DB 0x00040000
#define KVM_GUESTDBG_INJECT_BP 0x00080000
#define KVM_GUESTDBG_BLOCKIRQ 0x00100000

/* KVM_CAP_DISABLE_QUIRKS2 */
#define KVM_X86_QUIRK_LINT0_REENABLED (1 << 0)
#define KVM_X86_QUIRK_CD_NW_CLEARED (1 << 1)
#define KVM_X86_QUIRK_LAPIC_MMIO_HOLE (1 << 2)
#define KVM_X86_QUIRK_OUT_7E_INC_RIP (1 << 3)
#define KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT (1 << 4)
#define KVM_X86_QUIRK_FIX_HYPERCALL_INSN (1 << 5)
#define KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS (1 << 6)
#define KVM_X86_QUIRK_SLOT_ZAP_ALL (1 << 7)
#define KVM_X86_QUIRK_STUFF_FEATURE_MSRS (1 << 8)
#define KVM_X86_QUIRK_IGNORE_GUEST_PAT (1 << 9)
#define KVM_X86_QUIRK_VMCS12_ALLOW_FREEZE_IN_SMM (1 << 10)

/* KVM_CAP_X86_DISABLE_EXITS */
#define KVM_X86_DISABLE_EXITS_MWAIT (1 << 0)
#define KVM_X86_DISABLE_EXITS_HLT (1 << 1)
#define KVM_X86_DISABLE_EXITS_PAUSE (1 << 2)
#define KVM_X86_DISABLE_EXITS_CSTATE (1 << 3)

/* kvm_clock_data.flags; 1 was never a flag */
#define KVM_CLOCK_TSC_STABLE 2
#define KVM_CLOCK_REALTIME (1 << 2)
#define KVM_CLOCK_HOST_TSC (1 << 3)

/* kvm_ioeventfd.flags, kvm_irqfd.flags, kvm_msi.flags */
#define KVM_IOEVENTFD_FLAG_DATAMATCH (1 << 0)
#define KVM_IOEVENTFD_FLAG_PIO (1 << 1)
#define KVM_IOEVENTFD_FLAG_DEASSIGN (1 << 2)
#define KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY (1 << 3)
#define KVM_IOEVENTFD_FLAG_FAST_MMIO (1 << 4)
#define KVM_IOEVENTFD_VALID_FLAG_MASK 0x1f
#define KVM_IRQFD_FLAG_DEASSIGN (1 << 0)
#define KVM_IRQFD_FLAG_RESAMPLE (1 << 1)
#define KVM_MSI_VALID_DEVID (1U << 0)
#define KVM_IRQ_ROUTING_IRQCHIP 1
#define KVM_IRQ_ROUTING_MSI 2

#define KVM_CREATE_DEVICE_TEST 1
#define KVM_DEV_TYPE_VFIO 4

/* KVM_CAP_X86_USER_SPACE_MSR and kvm_run.msr.reason */
#define KVM_MSR_EXIT_REASON_INVAL (1 << 0)
#define KVM_MSR_EXIT_REASON_UNKNOWN (1 << 1)
#define KVM_MSR_EXIT_REASON_FILTER (1 << 2)

#define KVM_MSR_FILTER_READ (1 << 0)
#define KVM_MSR_FILTER_WRITE (1 << 1)
#define KVM_MSR_FILTER_DEFAULT_ALLOW 0
#define KVM_MSR_FILTER_DEFAULT_DENY (1 << 0)
#define KVM_MSR_FILTER_MAX_RANGES 16
#define KVM_MSR_FILTER_MAX_BITMAP_SIZE 0x600

/* hypercalls a guest makes with VMCALL or VMMCALL, and what it gets in RAX (negated) */
#define KVM_HC_VAPIC_POLL_IRQ 1
#define KVM_HC_KICK_CPU 5
#define KVM_HC_CLOCK_PAIRING 9
#define KVM_HC_SEND_IPI 10
#define KVM_HC_SCHED_YIELD 11
#define KVM_HC_MAP_GPA_RANGE 12
#define KVM_ENOSYS 1000
#define KVM_EOPNOTSUPP 95
#define KVM_EOPNOTSUPP 95
#define KVM_MAP_GPA_RANGE_PAGE_SZ_4K 0
#define KVM_MAP_GPA_RANGE_PAGE_SZ_2M (1 << 0)
#define KVM_MAP_GPA_RANGE_PAGE_SZ_1G (1 << 1)
#define KVM_MAP_GPA_RANGE_ENC_STAT(n) ((n) << 4)
#define KVM_MAP_GPA_RANGE_ENCRYPTED KVM_MAP_GPA_RANGE_ENC_STAT(1)
#define KVM_MAP_GPA_RANGE_DECRYPTED KVM_MAP_GPA_RANGE_ENC_STAT(0)

#define KVM_CPUID_SIGNATURE 0x40000000
#define KVM_CPUID_FEATURES 0x40000001
#define KVM_FEATURE_HC_MAP_GPA_RANGE 16

/* ---- requests to /dev/kvm ---- */
#define KVM_GET_API_VERSION GMEM_UAPI_NONE(0x00)
#define KVM_CREATE_VM GMEM_UAPI_NONE(0x01)
#define KVM_GET_MSR_INDEX_LIST GMEM_UAPI_INOUT(0x02, struct kvm_msr_list)
#define KVM_CHECK_EXTENSION GMEM_UAPI_NONE(0x03)
#define KVM_GET_VCPU_MMAP_SIZE GMEM_UAPI_NONE(0x04)
#define KVM_GET_SUPPORTED_CPUID GMEM_UAPI_INOUT(0x05, struct kvm_cpuid2)
#define KVM_GET_EMULATED_CPUID GMEM_UAPI_INOUT(0x09, struct kvm_cpuid2)
#define KVM_GET_MSR_FEATURE_INDEX_LIST GMEM_UAPI_INOUT(0x0a, struct kvm_msr_list)
#define KVM_X86_GET_MCE_CAP_SUPPORTED GMEM_UAPI_OUT(0x9d, uint64_t)

/* ---- requests to a VM: memory ---- */
#define KVM_SET_USER_MEMORY_REGION GMEM_UAPI_IN(0x46, struct kvm_userspace_memory_region)
#define KVM_SET_USER_MEMORY_REGION2 GMEM_UAPI_IN(0x49, struct kvm_userspace_memory_region2)
#define KVM_CREATE_GUEST_MEMFD GMEM_UAPI_INOUT(0xd4, struct kvm_create_guest_memfd)
#define KVM_SET_MEMORY_ATTRIBUTES GMEM_UAPI_IN(0xd2, struct kvm_memory_attributes)
#define KVM_GET_DIRTY_LOG GMEM_UAPI_IN(0x42, struct kvm_dirty_log)
#define KVM_CLEAR_DIRTY_LOG GMEM_UAPI_INOUT(0xc0, struct kvm_clear_dirty_log)
#define KVM_RESET_DIRTY_RINGS GMEM_UAPI_NONE(0xc7)
#define KVM_SET_NR_MMU_PAGES GMEM_UAPI_NONE(0x44)
#define KVM_GET_NR_MMU_PAGES GMEM_UAPI_NONE(0x45)
#define KVM_REGISTER_COALESCED_MMIO GMEM_UAPI_IN(0x67, struct kvm_coalesced_mmio_zone)
#define KVM_UNREGISTER_COALESCED_MMIO GMEM_UAPI_IN(0x68, struct kvm_coalesced_mmio_zone)
#define KVM_MEMORY_ENCRYPT_OP GMEM_UAPI_INOUT(0xba, unsigned long)
#define KVM_MEMORY_ENCRYPT_REG_REGION GMEM_UAPI_OUT(0xbb, struct kvm_enc_region)
#define KVM_MEMORY_ENCRYPT_UNREG_REGION GMEM_UAPI_OUT(0xbc, struct kvm_enc_region)

/* ---- requests to a guest_memfd: only kernels with in-place conversion have one ---- */
#define KVM_SET_MEMORY_ATTRIBUTES2 GMEM_UAPI_INOUT(0xd2, struct kvm_memory_attributes2)

/* ---- requests to a VM: vCPUs, devices, time; some are vCPU requests too ---- */
#define KVM_CREATE_VCPU GMEM_UAPI_NONE(0x41)
#define KVM_SET_BOOT_CPU_ID GMEM_UAPI_NONE(0x78)
#define KVM_SET_TSS_ADDR GMEM_UAPI_NONE(0x47)
#define KVM_SET_IDENTITY_MAP_ADDR GMEM_UAPI_IN(0x48, uint64_t)
#define KVM_ENABLE_CAP GMEM_UAPI_IN(0xa3, struct kvm_enable_cap)
#define KVM_CREATE_IRQCHIP GMEM_UAPI_NONE(0x60)
#define KVM_GET_IRQCHIP GMEM_UAPI_INOUT(0x62, struct kvm_irqchip)
#define KVM_SET_IRQCHIP GMEM_UAPI_OUT(0x63, struct kvm_irqchip)
#define KVM_IRQ_LINE GMEM_UAPI_IN(0x61, struct kvm_irq_level)
#define KVM_IRQ_LINE_STATUS GMEM_UAPI_INOUT(0x67, struct kvm_irq_level)
#define KVM_SET_GSI_ROUTING GMEM_UAPI_IN(0x6a, struct kvm_irq_routing)
#define KVM_SIGNAL_MSI GMEM_UAPI_IN(0xa5, struct kvm_msi)
#define KVM_IRQFD GMEM_UAPI_IN(0x76, struct kvm_irqfd)
#define KVM_IOEVENTFD GMEM_UAPI_IN(0x79, struct kvm_ioeventfd)
#define KVM_CREATE_PIT GMEM_UAPI_NONE(0x64)
#define KVM_CREATE_PIT2 GMEM_UAPI_IN(0x77, struct kvm_pit_config)
#define KVM_GET_PIT2 GMEM_UAPI_OUT(0x9f, struct kvm_pit_state2)
#define KVM_SET_PIT2 GMEM_UAPI_IN(0xa0, struct kvm_pit_state2)
#define KVM_REINJECT_CONTROL GMEM_UAPI_NONE(0x71)
#define KVM_SET_CLOCK GMEM_UAPI_IN(0x7b, struct kvm_clock_data)
#define KVM_GET_CLOCK GMEM_UAPI_OUT(0x7c, struct kvm_clock_data)
#define KVM_SET_TSC_KHZ GMEM_UAPI_NONE(0xa2)
#define KVM_GET_TSC_KHZ GMEM_UAPI_NONE(0xa3)
#define KVM_X86_SET_MSR_FILTER GMEM_UAPI_IN(0xc6, struct kvm_msr_filter)
#define KVM_CREATE_DEVICE GMEM_UAPI_INOUT(0xe0, struct kvm_create_device)
#define KVM_SET_DEVICE_ATTR GMEM_UAPI_IN(0xe1, struct kvm_device_attr)
#define KVM_GET_DEVICE_ATTR GMEM_UAPI_IN(0xe2, struct kvm_device_attr)
#define KVM_HAS_DEVICE_ATTR GMEM_UAPI_IN(0xe3, struct kvm_device_attr)
#define KVM_GET_STATS_FD GMEM_UAPI_NONE(0xce)

/* ---- requests to a vCPU ---- */
#define KVM_RUN GMEM_UAPI_NONE(0x80)
#define KVM_GET_REGS GMEM_UAPI_OUT(0x81, struct kvm_regs)
#define KVM_SET_REGS GMEM_UAPI_IN(0x82, struct kvm_regs)
#define KVM_GET_SREGS GMEM_UAPI_OUT(0x83, struct kvm_sregs)
#define KVM_SET_SREGS GMEM_UAPI_IN(0x84, struct kvm_sregs)
#define KVM_GET_SREGS2 GMEM_UAPI_OUT(0xcc, struct kvm_sregs2)
#define KVM_SET_SREGS2 GMEM_UAPI_IN(0xcd, struct kvm_sregs2)
#define KVM_TRANSLATE GMEM_UAPI_INOUT(0x85, struct kvm_translation)
#define KVM_INTERRUPT GMEM_UAPI_IN(0x86, struct kvm_interrupt)
#define KVM_GET_MSRS GMEM_UAPI_INOUT(0x88, struct kvm_msrs)
#define KVM_SET_MSRS GMEM_UAPI_IN(0x89, struct kvm_msrs)
#define KVM_SET_CPUID GMEM_UAPI_IN(0x8a, struct kvm_cpuid)
#define KVM_SET_SIGNAL_MASK GMEM_UAPI_IN(0x8b, struct kvm_signal_mask)
#define KVM_GET_FPU GMEM_UAPI_OUT(0x8c, struct kvm_fpu)
#define KVM_SET_FPU GMEM_UAPI_IN(0x8d, struct kvm_fpu)
#define KVM_GET_LAPIC GMEM_UAPI_OUT(0x8e, struct kvm_lapic_state)
#define KVM_SET_LAPIC GMEM_UAPI_IN(0x8f, struct kvm_lapic_state)
#define KVM_SET_CPUID2 GMEM_UAPI_IN(0x90, struct kvm_cpuid2)
#define KVM_GET_CPUID2 GMEM_UAPI_INOUT(0x91, struct kvm_cpuid2)
#define KVM_TPR_ACCESS_REPORTING GMEM_UAPI_INOUT(0x92, struct kvm_tpr_access_ctl)
#define KVM_SET_VAPIC_ADDR GMEM_UAPI_IN(0x93, struct kvm_vapic_addr)
#define KVM_GET_MP_STATE GMEM_UAPI_OUT(0x98, struct kvm_mp_state)
#define KVM_SET_MP_STATE GMEM_UAPI_IN(0x99, struct kvm_mp_state)
#define KVM_NMI GMEM_UAPI_NONE(0x9a)
#define KVM_SET_GUEST_DEBUG GMEM_UAPI_IN(0x9b, struct kvm_guest_debug)
#define KVM_X86_SETUP_MCE GMEM_UAPI_IN(0x9c, uint64_t)
#define KVM_X86_SET_MCE GMEM_UAPI_IN(0x9e, struct kvm_x86_mce)
#define KVM_GET_VCPU_EVENTS GMEM_UAPI_OUT(0x9f, struct kvm_vcpu_events)
#define KVM_SET_VCPU_EVENTS GMEM_UAPI_IN(0xa0, struct kvm_vcpu_events)
#define KVM_GET_DEBUGREGS GMEM_UAPI_OUT(0xa1, struct kvm_debugregs)
#define KVM_SET_DEBUGREGS GMEM_UAPI_IN(0xa2, struct kvm_debugregs)
#define KVM_GET_XSAVE GMEM_UAPI_OUT(0xa4, struct kvm_xsave)
#define KVM_SET_XSAVE GMEM_UAPI_IN(0xa5, struct kvm_xsave)
#define KVM_GET_XSAVE2 GMEM_UAPI_OUT(0xcf, struct kvm_xsave)
#define KVM_GET_XCRS GMEM_UAPI_OUT(0xa6, struct kvm_xcrs)
#define KVM_SET_XCRS GMEM_UAPI_IN(0xa7, struct kvm_xcrs)
#define KVM_GET_ONE_REG GMEM_UAPI_IN(0xab, struct kvm_one_reg)
#define KVM_SET_ONE_REG GMEM_UAPI_IN(0xac, struct kvm_one_reg)
#define KVM_KVMCLOCK_CTRL GMEM_UAPI_NONE(0xad)
#define KVM_SMI GMEM_UAPI_NONE(0xb7)
#define KVM_PRE_FAULT_MEMORY GMEM_UAPI_INOUT(0xd5, struct kvm_pre_fault_memory)

/* ---- kvm_run.exit_reason; numbers left out belong to other machines ---- */
#define KVM_EXIT_UNKNOWN 0
#define KVM_EXIT_EXCEPTION 1
#define KVM_EXIT_IO 2
#define KVM_EXIT_HYPERCALL 3
#define KVM_EXIT_DEBUG 4
#define KVM_EXIT_HLT 5
#define KVM_EXIT_MMIO 6
#define KVM_EXIT_IRQ_WINDOW_OPEN 7
#define KVM_EXIT_SHUTDOWN 8
#define KVM_EXIT_FAIL_ENTRY 9
#define KVM_EXIT_INTR 10
#define KVM_EXIT_SET_TPR 11
#define KVM_EXIT_TPR_ACCESS 12
#define KVM_EXIT_NMI 16
#define KVM_EXIT_INTERNAL_ERROR 17
#define KVM_EXIT_SYSTEM_EVENT 24
#define KVM_EXIT_IOAPIC_EOI 26
#define KVM_EXIT_HYPERV 27
#define KVM_EXIT_X86_RDMSR 29
#define KVM_EXIT_X86_WRMSR 30
#define KVM_EXIT_DIRTY_RING_FULL 31
#define KVM_EXIT_AP_RESET_HOLD 32
#define KVM_EXIT_X86_BUS_LOCK 33
#define KVM_EXIT_XEN 34
#define KVM_EXIT_NOTIFY 37
#define KVM_EXIT_MEMORY_FAULT 39
#define KVM_EXIT_TDX 40

/* kvm_run.io.direction, kvm_run.hypercall.flags */
#define KVM_EXIT_IO_IN 0
#define KVM_EXIT_IO_OUT 1
#define KVM_EXIT_HYPERCALL_LONG_MODE (1UL << 0)

/* kvm_run.internal.suberror, kvm_run.emulation_failure.flags */
#define KVM_INTERNAL_ERROR_EMULATION 1
#define KVM_INTERNAL_ERROR_SIMUL_EX 2
#define KVM_INTERNAL_ERROR_DELIVERY_EV 3
#define KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON 4
#define KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES (1ULL << 0)

/* kvm_run.system_event.type */
#define KVM_SYSTEM_EVENT_SHUTDOWN 1
#define KVM_SYSTEM_EVENT_RESET 2
#define KVM_SYSTEM_EVENT_CRASH 3
#define KVM_SYSTEM_EVENT_WAKEUP 4
#define KVM_SYSTEM_EVENT_SUSPEND 5
#define KVM_SYSTEM_EVENT_SEV_TERM 6

/* ---- KVM_CHECK_EXTENSION and KVM_ENABLE_CAP; numbers left out belong to other machines ---- */
#define KVM_CAP_IRQCHIP 0
#define KVM_CAP_HLT 1
#define KVM_CAP_MMU_SHADOW_CACHE_CONTROL 2
#define KVM_CAP_USER_MEMORY 3
#define KVM_CAP_SET_TSS_ADDR 4
#define KVM_CAP_VAPIC 6
#define KVM_CAP_EXT_CPUID 7
#define KVM_CAP_CLOCKSOURCE 8
#define KVM_CAP_NR_VCPUS 9
#define KVM_CAP_NR_MEMSLOTS 10
#define KVM_CAP_PIT 11
#define KVM_CAP_NOP_IO_DELAY 12
#define KVM_CAP_PV_MMU 13
#define KVM_CAP_MP_STATE 14
#define KVM_CAP_COALESCED_MMIO 15
#define KVM_CAP_SYNC_MMU 16
#define KVM_CAP_IOMMU 18
#define KVM_CAP_DESTROY_MEMORY_REGION_WORKS 21
#define KVM_CAP_USER_NMI 22
#define KVM_CAP_SET_GUEST_DEBUG 23
#define KVM_CAP_REINJECT_CONTROL 24
#define KVM_CAP_IRQ_ROUTING 25
#define KVM_CAP_IRQ_INJECT_STATUS 26
#define KVM_CAP_ASSIGN_DEV_IRQ 29
#define KVM_CAP_JOIN_MEMORY_REGIONS_WORKS 30
#define KVM_CAP_MCE 31
#define KVM_CAP_IRQFD 32
#define KVM_CAP_PIT2 33
#define KVM_CAP_SET_BOOT_CPU_ID 34
#define KVM_CAP_PIT_STATE2 35
#define KVM_CAP_IOEVENTFD 36
#define KVM_CAP_SET_IDENTITY_MAP_ADDR 37
#define KVM_CAP_XEN_HVM 38
#define KVM_CAP_ADJUST_CLOCK 39
#define KVM_CAP_INTERNAL_ERROR_DATA 40
#define KVM_CAP_VCPU_EVENTS 41
#define KVM_CAP_HYPERV 44
#define KVM_CAP_HYPERV_VAPIC 45
#define KVM_CAP_HYPERV_SPIN 46
#define KVM_CAP_PCI_SEGMENT 47
#define KVM_CAP_INTR_SHADOW 49
#define KVM_CAP_DEBUGREGS 50
#define KVM_CAP_X86_ROBUST_SINGLESTEP 51
#define KVM_CAP_ENABLE_CAP 54
#define KVM_CAP_XSAVE 55
#define KVM_CAP_XCRS 56
#define KVM_CAP_ASYNC_PF 59
#define KVM_CAP_TSC_CONTROL 60
#define KVM_CAP_GET_TSC_KHZ 61
#define KVM_CAP_MAX_VCPUS 66
#define KVM_CAP_ONE_REG 70
#define KVM_CAP_TSC_DEADLINE_TIMER 72
#define KVM_CAP_SYNC_REGS 74
#define KVM_CAP_PCI_2_3 75
#define KVM_CAP_KVMCLOCK_CTRL 76
#define KVM_CAP_SIGNAL_MSI 77
#define KVM_CAP_READONLY_MEM 81
#define KVM_CAP_IRQFD_RESAMPLE 82
#define KVM_CAP_DEVICE_CTRL 89
#define KVM_CAP_EXT_EMUL_CPUID 95
#define KVM_CAP_HYPERV_TIME 96
#define KVM_CAP_IOAPIC_POLARITY_IGNORED 97
#define KVM_CAP_ENABLE_CAP_VM 98
#define KVM_CAP_IOEVENTFD_NO_LENGTH 100
#define KVM_CAP_VM_ATTRIBUTES 101
#define KVM_CAP_CHECK_EXTENSION_VM 105
#define KVM_CAP_DISABLE_QUIRKS 116
#define KVM_CAP_X86_SMM 117
#define KVM_CAP_MULTI_ADDRESS_SPACE 118
#define KVM_CAP_GUEST_DEBUG_HW_BPS 119
#define KVM_CAP_GUEST_DEBUG_HW_WPS 120
#define KVM_CAP_SPLIT_IRQCHIP 121
#define KVM_CAP_IOEVENTFD_ANY_LENGTH 122
#define KVM_CAP_HYPERV_SYNIC 123
#define KVM_CAP_VCPU_ATTRIBUTES 127
#define KVM_CAP_MAX_VCPU_ID 128
#define KVM_CAP_X2APIC_API 129
#define KVM_CAP_MSI_DEVID 131
#define KVM_CAP_IMMEDIATE_EXIT 136
#define KVM_CAP_X86_DISABLE_EXITS 143
#define KVM_CAP_HYPERV_SYNIC2 148
#define KVM_CAP_HYPERV_VP_INDEX 149
#define KVM_CAP_GET_MSR_FEATURES 153
#define KVM_CAP_HYPERV_EVENTFD 154
#define KVM_CAP_HYPERV_TLBFLUSH 155
#define KVM_CAP_NESTED_STATE 157
#define KVM_CAP_MSR_PLATFORM_INFO 159
#define KVM_CAP_HYPERV_SEND_IPI 161
#define KVM_CAP_COALESCED_PIO 162
#define KVM_CAP_HYPERV_ENLIGHTENED_VMCS 163
#define KVM_CAP_EXCEPTION_PAYLOAD 164
#define KVM_CAP_MANUAL_DIRTY_LOG_PROTECT 166
#define KVM_CAP_HYPERV_CPUID 167
#define KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 168
#define KVM_CAP_PMU_EVENT_FILTER 173
#define KVM_CAP_HYPERV_DIRECT_TLBFLUSH 175
#define KVM_CAP_HALT_POLL 182
#define KVM_CAP_ASYNC_PF_INT 183
#define KVM_CAP_LAST_CPU 184
#define KVM_CAP_SMALLER_MAXPHYADDR 185
#define KVM_CAP_STEAL_TIME 187
#define KVM_CAP_X86_USER_SPACE_MSR 188
#define KVM_CAP_X86_MSR_FILTER 189
#define KVM_CAP_ENFORCE_PV_FEATURE_CPUID 190
#define KVM_CAP_SYS_HYPERV_CPUID 191
#define KVM_CAP_DIRTY_LOG_RING 192
#define KVM_CAP_X86_BUS_LOCK_EXIT 193
#define KVM_CAP_SET_GUEST_DEBUG2 195
#define KVM_CAP_SGX_ATTRIBUTE 196
#define KVM_CAP_VM_COPY_ENC_CONTEXT_FROM 197
#define KVM_CAP_PTP_KVM 198
#define KVM_CAP_HYPERV_ENFORCE_CPUID 199
#define KVM_CAP_SREGS2 200
#define KVM_CAP_EXIT_HYPERCALL 201
#define KVM_CAP_BINARY_STATS_FD 203
#define KVM_CAP_EXIT_ON_EMULATION_FAILURE 204
#define KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM 206
#define KVM_CAP_VM_GPA_BITS 207
#define KVM_CAP_XSAVE2 208
#define KVM_CAP_SYS_ATTRIBUTES 209
#define KVM_CAP_PMU_CAPABILITY 212
#define KVM_CAP_DISABLE_QUIRKS2 213
#define KVM_CAP_VM_TSC_CONTROL 214
#define KVM_CAP_SYSTEM_EVENT_DATA 215
#define KVM_CAP_X86_TRIPLE_FAULT_EVENT 218
#define KVM_CAP_X86_NOTIFY_VMEXIT 219
#define KVM_CAP_VM_DISABLE_NX_HUGE_PAGES 220
#define KVM_CAP_DIRTY_LOG_RING_ACQ_REL 223
#define KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP 225
#define KVM_CAP_PMU_EVENT_MASKED_EVENTS 226
#define KVM_CAP_COUNTER_OFFSET 227
#define KVM_CAP_USER_MEMORY2 231
#define KVM_CAP_MEMORY_FAULT_INFO 232
#define KVM_CAP_MEMORY_ATTRIBUTES 233
#define KVM_CAP_GUEST_MEMFD 234
#define KVM_CAP_VM_TYPES 235
#define KVM_CAP_PRE_FAULT_MEMORY 236
#define KVM_CAP_X86_APIC_BUS_CYCLES_NS 237
#define KVM_CAP_X86_GUEST_MODE 238
#define KVM_CAP_GUEST_MEMFD_FLAGS 244
#define KVM_CAP_S390_HPAGE_2G 249
/* not in a released kernel: 249 in the seventh version of the series, 250 from the eighth on */
#define KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES 250
#define KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES_V7 249

#endif /* GMEM_UAPI_NR_H */
