/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Every capability by name: its value on /dev/kvm, on a default VM and on a protected VM. */
#include "probe.h"

#define CAP(name)                     \
	{                             \
		KVM_CAP_##name, #name \
	}

static const struct {
	long nr;
	const char *name;
} caps[] = {
	CAP(IRQCHIP),
	CAP(HLT),
	CAP(MMU_SHADOW_CACHE_CONTROL),
	CAP(USER_MEMORY),
	CAP(SET_TSS_ADDR),
	CAP(VAPIC),
	CAP(EXT_CPUID),
	CAP(CLOCKSOURCE),
	CAP(NR_VCPUS),
	CAP(NR_MEMSLOTS),
	CAP(PIT),
	CAP(NOP_IO_DELAY),
	CAP(PV_MMU),
	CAP(MP_STATE),
	CAP(COALESCED_MMIO),
	CAP(SYNC_MMU),
	CAP(IOMMU),
	CAP(DESTROY_MEMORY_REGION_WORKS),
	CAP(USER_NMI),
	CAP(SET_GUEST_DEBUG),
	CAP(REINJECT_CONTROL),
	CAP(IRQ_ROUTING),
	CAP(IRQ_INJECT_STATUS),
	CAP(ASSIGN_DEV_IRQ),
	CAP(JOIN_MEMORY_REGIONS_WORKS),
	CAP(MCE),
	CAP(IRQFD),
	CAP(PIT2),
	CAP(SET_BOOT_CPU_ID),
	CAP(PIT_STATE2),
	CAP(IOEVENTFD),
	CAP(SET_IDENTITY_MAP_ADDR),
	CAP(XEN_HVM),
	CAP(ADJUST_CLOCK),
	CAP(INTERNAL_ERROR_DATA),
	CAP(VCPU_EVENTS),
	CAP(HYPERV),
	CAP(HYPERV_VAPIC),
	CAP(HYPERV_SPIN),
	CAP(PCI_SEGMENT),
	CAP(INTR_SHADOW),
	CAP(DEBUGREGS),
	CAP(X86_ROBUST_SINGLESTEP),
	CAP(ENABLE_CAP),
	CAP(XSAVE),
	CAP(XCRS),
	CAP(ASYNC_PF),
	CAP(TSC_CONTROL),
	CAP(GET_TSC_KHZ),
	CAP(MAX_VCPUS),
	CAP(ONE_REG),
	CAP(TSC_DEADLINE_TIMER),
	CAP(SYNC_REGS),
	CAP(PCI_2_3),
	CAP(KVMCLOCK_CTRL),
	CAP(SIGNAL_MSI),
	CAP(READONLY_MEM),
	CAP(IRQFD_RESAMPLE),
	CAP(DEVICE_CTRL),
	CAP(EXT_EMUL_CPUID),
	CAP(HYPERV_TIME),
	CAP(IOAPIC_POLARITY_IGNORED),
	CAP(ENABLE_CAP_VM),
	CAP(IOEVENTFD_NO_LENGTH),
	CAP(VM_ATTRIBUTES),
	CAP(CHECK_EXTENSION_VM),
	CAP(DISABLE_QUIRKS),
	CAP(X86_SMM),
	CAP(MULTI_ADDRESS_SPACE),
	CAP(GUEST_DEBUG_HW_BPS),
	CAP(GUEST_DEBUG_HW_WPS),
	CAP(SPLIT_IRQCHIP),
	CAP(IOEVENTFD_ANY_LENGTH),
	CAP(HYPERV_SYNIC),
	CAP(VCPU_ATTRIBUTES),
	CAP(MAX_VCPU_ID),
	CAP(X2APIC_API),
	CAP(MSI_DEVID),
	CAP(IMMEDIATE_EXIT),
	CAP(X86_DISABLE_EXITS),
	CAP(HYPERV_SYNIC2),
	CAP(HYPERV_VP_INDEX),
	CAP(GET_MSR_FEATURES),
	CAP(HYPERV_EVENTFD),
	CAP(HYPERV_TLBFLUSH),
	CAP(NESTED_STATE),
	CAP(MSR_PLATFORM_INFO),
	CAP(HYPERV_SEND_IPI),
	CAP(COALESCED_PIO),
	CAP(HYPERV_ENLIGHTENED_VMCS),
	CAP(EXCEPTION_PAYLOAD),
	CAP(MANUAL_DIRTY_LOG_PROTECT),
	CAP(HYPERV_CPUID),
	CAP(MANUAL_DIRTY_LOG_PROTECT2),
	CAP(PMU_EVENT_FILTER),
	CAP(HYPERV_DIRECT_TLBFLUSH),
	CAP(HALT_POLL),
	CAP(ASYNC_PF_INT),
	CAP(LAST_CPU),
	CAP(SMALLER_MAXPHYADDR),
	CAP(STEAL_TIME),
	CAP(X86_USER_SPACE_MSR),
	CAP(X86_MSR_FILTER),
	CAP(ENFORCE_PV_FEATURE_CPUID),
	CAP(SYS_HYPERV_CPUID),
	CAP(DIRTY_LOG_RING),
	CAP(X86_BUS_LOCK_EXIT),
	CAP(SET_GUEST_DEBUG2),
	CAP(SGX_ATTRIBUTE),
	CAP(VM_COPY_ENC_CONTEXT_FROM),
	CAP(PTP_KVM),
	CAP(HYPERV_ENFORCE_CPUID),
	CAP(SREGS2),
	CAP(EXIT_HYPERCALL),
	CAP(BINARY_STATS_FD),
	CAP(EXIT_ON_EMULATION_FAILURE),
	CAP(VM_MOVE_ENC_CONTEXT_FROM),
	CAP(VM_GPA_BITS),
	CAP(XSAVE2),
	CAP(SYS_ATTRIBUTES),
	CAP(PMU_CAPABILITY),
	CAP(DISABLE_QUIRKS2),
	CAP(VM_TSC_CONTROL),
	CAP(SYSTEM_EVENT_DATA),
	CAP(X86_TRIPLE_FAULT_EVENT),
	CAP(X86_NOTIFY_VMEXIT),
	CAP(VM_DISABLE_NX_HUGE_PAGES),
	CAP(DIRTY_LOG_RING_ACQ_REL),
	CAP(DIRTY_LOG_RING_WITH_BITMAP),
	CAP(PMU_EVENT_MASKED_EVENTS),
	CAP(COUNTER_OFFSET),
	CAP(USER_MEMORY2),
	CAP(MEMORY_FAULT_INFO),
	CAP(MEMORY_ATTRIBUTES),
	CAP(GUEST_MEMFD),
	CAP(VM_TYPES),
	CAP(PRE_FAULT_MEMORY),
	CAP(X86_APIC_BUS_CYCLES_NS),
	CAP(X86_GUEST_MODE),
	CAP(GUEST_MEMFD_FLAGS),
	{ 5, "unused 5" },
	{ 20, "unused 20" },
	{ 245, "unused 245" },
	CAP(S390_HPAGE_2G),
	{ 250, "in-place conversion" },
	{ 260, "unused 260" },
	{ 1L << 32, "IRQCHIP plus 2 to the 32" },
};

/* Values that come from the machine below and not from the kernel. */
static bool of_the_machine(long nr)
{
	return nr == KVM_CAP_NR_VCPUS || nr == KVM_CAP_VM_GPA_BITS || nr == KVM_CAP_PTP_KVM;
}

static const char *value(int fd, long nr)
{
	static char texts[3][32];
	static unsigned int next;
	char *text = texts[next++ % COUNT(texts)];
	int ret;

	if (fd < 0)
		return "none";
	ret = ioctl(fd, KVM_CHECK_EXTENSION, nr);
	if (ret < 0)
		return err_str(ret);
	if (of_the_machine(nr))
		return ret ? "some" : "0";
	snprintf(text, sizeof(texts[0]), "%#x", ret);
	return text;
}

static void all_caps(void)
{
	int dev = dev_open(), vm = vm_new(0);
	int guarded = vm_type_exists(1) ? vm_new(1) : -1;

	for (size_t i = 0; i < COUNT(caps); i++)
		say(qf("%ld %s", caps[i].nr, caps[i].name), "%s %s %s", value(dev, caps[i].nr),
		    value(vm, caps[i].nr), value(guarded, caps[i].nr));
}

/* ---- KVM_ENABLE_CAP ---- */

static int enable(int fd, uint32_t cap, uint32_t flags, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .flags = flags, .args = { arg } };

	return ioctl(fd, KVM_ENABLE_CAP, &c);
}

static void enable_on_vm(void)
{
	int vm = vm_new(0);
	long quirks = ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);

	say_ok("VM: ENABLE_CAP(NULL)", ioctl(vm, KVM_ENABLE_CAP, NULL));
	say_ok("VM: unknown cap", enable(vm, 9999, 0, 0));
	say_ok("VM: a cap that cannot be enabled", enable(vm, KVM_CAP_USER_MEMORY, 0, 0));
	say_ok("VM: EXIT_HYPERCALL", enable(vm, KVM_CAP_EXIT_HYPERCALL, 0, 1 << 12));
	say_ok("VM: EXIT_HYPERCALL 0", enable(vm, KVM_CAP_EXIT_HYPERCALL, 0, 0));
	say_ok("VM: EXIT_HYPERCALL other bit", enable(vm, KVM_CAP_EXIT_HYPERCALL, 0, 1 << 11));
	say_ok("VM: EXIT_HYPERCALL high bit", enable(vm, KVM_CAP_EXIT_HYPERCALL, 0, 1ULL << 44));
	say_ok("VM: EXIT_HYPERCALL with flags", enable(vm, KVM_CAP_EXIT_HYPERCALL, 1, 1 << 12));
	say_ok("VM: unknown cap with flags", enable(vm, 9999, 1, 0));
	say_ok("VM: DISABLE_QUIRKS2 all", enable(vm, KVM_CAP_DISABLE_QUIRKS2, 0, quirks));
	say_ok("VM: DISABLE_QUIRKS2 bit 20", enable(vm, KVM_CAP_DISABLE_QUIRKS2, 0, 1 << 20));
	say_ok("VM: DISABLE_QUIRKS", enable(vm, KVM_CAP_DISABLE_QUIRKS, 0, 1));
	say_ok("VM: MAX_VCPU_ID 100", enable(vm, KVM_CAP_MAX_VCPU_ID, 0, 100));
	say_ok("VM: MAX_VCPU_ID again", enable(vm, KVM_CAP_MAX_VCPU_ID, 0, 101));
	say_ok("VM: CREATE_VCPU 100 after MAX_VCPU_ID 100", ioctl(vm, KVM_CREATE_VCPU, 100));
	say_ok("VM: MAX_VCPU_ID 0", enable(vm_new(0), KVM_CAP_MAX_VCPU_ID, 0, 0));
	say_ok("VM: X86_USER_SPACE_MSR bit 5", enable(vm, KVM_CAP_X86_USER_SPACE_MSR, 0, 32));
	say_ok("VM: SPLIT_IRQCHIP too many pins", enable(vm, KVM_CAP_SPLIT_IRQCHIP, 0, 5000));
	say_ok("VM: X86_DISABLE_EXITS unknown bit", enable(vm, KVM_CAP_X86_DISABLE_EXITS, 0, 256));
}

static void enable_dirty(void)
{
	int vm = vm_new(0);

	for (uint64_t arg = 0; arg < 5; arg++)
		say_ok(qf("VM: MANUAL_DIRTY_LOG_PROTECT2 %lu", arg),
		       enable(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0, arg));
	say_ok("VM: MANUAL_DIRTY_LOG_PROTECT2 with flags",
	       enable(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1, 1));
	say_ok("VM: MANUAL_DIRTY_LOG_PROTECT (the first)",
	       enable(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT, 0, 1));
	say_ok("VM: DIRTY_LOG_RING 5000", enable(vm, KVM_CAP_DIRTY_LOG_RING, 0, 5000));
	say_ok("VM: DIRTY_LOG_RING 2048", enable(vm, KVM_CAP_DIRTY_LOG_RING, 0, 2048));
	say_ok("VM: DIRTY_LOG_RING 2 MiB", enable(vm, KVM_CAP_DIRTY_LOG_RING, 0, M2));
	say_ok("VM: DIRTY_LOG_RING 0", enable(vm, KVM_CAP_DIRTY_LOG_RING, 0, 0));
	say_ok("VM: RESET_DIRTY_RINGS without a ring", ioctl(vm, KVM_RESET_DIRTY_RINGS, 0));
	ioctl(vm, KVM_CREATE_VCPU, 0);
	say_ok("VM: DIRTY_LOG_RING after a vCPU", enable(vm, KVM_CAP_DIRTY_LOG_RING, 0, 65536));
}

static void enable_elsewhere(void)
{
	int vm = vm_new(0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);

	say_ok("/dev/kvm: ENABLE_CAP", enable(dev_open(), KVM_CAP_EXIT_HYPERCALL, 0, 0));
	say_ok("vCPU: unknown cap", enable(vcpu, 9999, 0, 0));
	say_ok("vCPU: EXIT_HYPERCALL", enable(vcpu, KVM_CAP_EXIT_HYPERCALL, 0, 1 << 12));
	say_ok("vCPU: unknown cap with flags", enable(vcpu, 9999, 1, 0));
	say_ok("vCPU: ENABLE_CAP(NULL)", ioctl(vcpu, KVM_ENABLE_CAP, NULL));
	say_ok("vCPU: ENFORCE_PV_FEATURE_CPUID",
	       enable(vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 0, 0));
	say_ok("vCPU: CHECK_EXTENSION", ioctl(vcpu, KVM_CHECK_EXTENSION, 3));
}

static const struct probe_case list[] = {
	{ "caps", "all caps", all_caps },
	{ "enable", "on a VM", enable_on_vm },
	{ "enable", "dirty log", enable_dirty },
	{ "enable", "elsewhere", enable_elsewhere },
};

const struct probe_list cases_caps = { list, COUNT(list) };
