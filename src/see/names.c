/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/names.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "gmem/ioctl.h"
#include "gmem/uapi.h"
#include "obs/rules.h"

static const struct see_kind kinds[OBS_NR_EVENTS] = {
#define KIND(id, name, a, b, c) { name, { a, b, c } },
	OBS_KINDS(KIND)
#undef KIND
};

const struct see_kind *see_kind(unsigned int kind)
{
	return kind < OBS_NR_EVENTS ? &kinds[kind] : NULL;
}

static bool is_same(const char *name, const char *typed)
{
	while (*name && (*name == *typed || (*name == ' ' && *typed == '-'))) {
		name++;
		typed++;
	}
	return !*name && !*typed;
}

unsigned int see_kind_by_name(const char *name)
{
	unsigned int kind = 0;

	while (kind < OBS_NR_EVENTS && !is_same(kinds[kind].name, name))
		kind++;
	return kind;
}

struct name {
	uint64_t number;
	const char *text;
};

static const char *find(const struct name *names, size_t nr, uint64_t number)
{
	for (size_t i = 0; i < nr; i++) {
		if (names[i].number == number)
			return names[i].text;
	}
	return NULL;
}

static const char *function(uint64_t number)
{
	static const char *const names[] = {
		NULL,
#define FUNCTION(name) #name,
#include "obs/functions.def"
#undef FUNCTION
	};

	return number < sizeof(names) / sizeof(names[0]) ? names[number] : NULL;
}

const char *see_request(uint64_t request)
{
#define NAME(name)                     \
	{                              \
		(uint32_t) name, #name \
	}
	static const struct name names[] = {
		NAME(KVM_GET_API_VERSION),
		NAME(KVM_CREATE_VM),
		NAME(KVM_CHECK_EXTENSION),
		NAME(KVM_GET_VCPU_MMAP_SIZE),
		NAME(KVM_GET_SUPPORTED_CPUID),
		NAME(KVM_GET_EMULATED_CPUID),
		NAME(KVM_GET_MSR_INDEX_LIST),
		NAME(KVM_GET_MSR_FEATURE_INDEX_LIST),
		NAME(KVM_ENABLE_CAP),
		NAME(KVM_SET_USER_MEMORY_REGION),
		NAME(KVM_SET_USER_MEMORY_REGION2),
		NAME(KVM_CREATE_GUEST_MEMFD),
		NAME(KVM_SET_MEMORY_ATTRIBUTES),
		NAME(KVM_SET_MEMORY_ATTRIBUTES2),
		NAME(GMEM_CONVERT),
		NAME(GMEM_GET_ATTRIBUTES),
		NAME(KVM_PRE_FAULT_MEMORY),
		NAME(KVM_GET_DIRTY_LOG),
		NAME(KVM_CLEAR_DIRTY_LOG),
		NAME(KVM_RESET_DIRTY_RINGS),
		NAME(KVM_SET_NR_MMU_PAGES),
		NAME(KVM_SET_TSS_ADDR),
		NAME(KVM_SET_IDENTITY_MAP_ADDR),
		NAME(KVM_CREATE_VCPU),
		NAME(KVM_SET_BOOT_CPU_ID),
		NAME(KVM_IOEVENTFD),
		NAME(KVM_REGISTER_COALESCED_MMIO),
		NAME(KVM_UNREGISTER_COALESCED_MMIO),
		NAME(KVM_GET_CLOCK),
		NAME(KVM_SET_CLOCK),
		NAME(KVM_CREATE_IRQCHIP),
		NAME(KVM_GET_IRQCHIP),
		NAME(KVM_SET_IRQCHIP),
		NAME(KVM_IRQ_LINE),
		NAME(KVM_IRQ_LINE_STATUS),
		NAME(KVM_IRQFD),
		NAME(KVM_SIGNAL_MSI),
		NAME(KVM_SET_GSI_ROUTING),
		NAME(KVM_CREATE_PIT),
		NAME(KVM_CREATE_PIT2),
		NAME(KVM_CREATE_DEVICE),
		NAME(KVM_RUN),
		NAME(KVM_GET_REGS),
		NAME(KVM_SET_REGS),
		NAME(KVM_GET_SREGS),
		NAME(KVM_SET_SREGS),
		NAME(KVM_GET_SREGS2),
		NAME(KVM_SET_SREGS2),
		NAME(KVM_GET_FPU),
		NAME(KVM_SET_FPU),
		NAME(KVM_GET_XSAVE),
		NAME(KVM_GET_XSAVE2),
		NAME(KVM_SET_XSAVE),
		NAME(KVM_GET_XCRS),
		NAME(KVM_SET_XCRS),
		NAME(KVM_GET_DEBUGREGS),
		NAME(KVM_SET_DEBUGREGS),
		NAME(KVM_GET_VCPU_EVENTS),
		NAME(KVM_SET_VCPU_EVENTS),
		NAME(KVM_GET_MP_STATE),
		NAME(KVM_SET_MP_STATE),
		NAME(KVM_INTERRUPT),
		NAME(KVM_NMI),
		NAME(KVM_SET_GUEST_DEBUG),
		NAME(KVM_SET_CPUID),
		NAME(KVM_SET_CPUID2),
		NAME(KVM_GET_CPUID2),
		NAME(KVM_GET_MSRS),
		NAME(KVM_SET_MSRS),
		NAME(KVM_TRANSLATE),
		NAME(KVM_SET_SIGNAL_MASK),
		NAME(KVM_GET_TSC_KHZ),
		NAME(KVM_SET_TSC_KHZ),
	};

	if (request > OBS_REQUEST_LIBRARY)
		return function(request - OBS_REQUEST_LIBRARY);
	return find(names, sizeof(names) / sizeof(names[0]), request);
}

const char *see_exit(uint64_t reason)
{
#define EXIT(name)                     \
	{                              \
		KVM_EXIT_##name, #name \
	}
	static const struct name names[] = {
		EXIT(UNKNOWN),
		EXIT(EXCEPTION),
		EXIT(IO),
		EXIT(HYPERCALL),
		EXIT(DEBUG),
		EXIT(HLT),
		EXIT(MMIO),
		EXIT(IRQ_WINDOW_OPEN),
		EXIT(SHUTDOWN),
		EXIT(FAIL_ENTRY),
		EXIT(INTR),
		EXIT(SET_TPR),
		EXIT(TPR_ACCESS),
		EXIT(NMI),
		EXIT(INTERNAL_ERROR),
		EXIT(SYSTEM_EVENT),
		EXIT(IOAPIC_EOI),
		EXIT(HYPERV),
		EXIT(X86_RDMSR),
		EXIT(X86_WRMSR),
		EXIT(DIRTY_RING_FULL),
		EXIT(AP_RESET_HOLD),
		EXIT(X86_BUS_LOCK),
		EXIT(XEN),
		EXIT(NOTIFY),
		EXIT(MEMORY_FAULT),
		EXIT(TDX),
	};

	return find(names, sizeof(names) / sizeof(names[0]), reason);
}

const char *see_errno(int result)
{
	return result < 0 ? strerrorname_np(-result) : NULL;
}

const char *see_rule(unsigned int rule)
{
	return rule && rule < OBS_NR_RULES ? obs_rule_id((enum obs_rule)rule) : NULL;
}

const char *see_rule_text(unsigned int rule)
{
	return rule && rule < OBS_NR_RULES ? obs_rule_text((enum obs_rule)rule) : NULL;
}

const char *see_discard(uint64_t call)
{
	static const char *const calls[] = { "madvise", "munmap", "mmap", "fallocate" };

	call &= 0xff;
	return call < sizeof(calls) / sizeof(calls[0]) ? calls[call] : NULL;
}
