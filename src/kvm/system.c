/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Requests to /dev/kvm. */
#include "kvm/object.h"
#include "kvm/state.h"
#include "kvm/vm.h"

#include <gmem/ioctl.h>

#include <errno.h>

static long get_api_version(void *object, void *data, uint64_t arg)
{
	return arg ? obs_refuse(RULE_ARGUMENT_NOT_ZERO) : KVM_API_VERSION;
}

static long create_vm(void *object, void *data, uint64_t arg)
{
	struct vm *vm;
	int fd;
	int r = kvm_fds->reserve(true, NULL, &fd);

	if (r)
		return obs_refuse_as(RULE_NO_DESCRIPTOR, r);
	r = vm_create(arg, &vm);
	if (r) {
		kvm_fds->cancel(fd);
		return r;
	}
	kvm_fds->commit(fd, &vm->object);
	return fd;
}

static long check_extension(void *object, void *data, uint64_t arg)
{
	return caps_check(NULL, arg);
}

static long get_vcpu_mmap_size(void *object, void *data, uint64_t arg)
{
	return arg ? obs_refuse(RULE_ARGUMENT_NOT_ZERO) : (long)(VCPU_NR_PAGES * OS_PAGE_SIZE);
}

static long get_supported_cpuid(void *object, void *data, uint64_t arg)
{
	return cpuid_list_supported(arg);
}

static long get_emulated_cpuid(void *object, void *data, uint64_t arg)
{
	return cpuid_list_emulated(arg);
}

static long get_msr_index_list(void *object, void *data, uint64_t arg)
{
	return msr_list(arg);
}

static long get_msr_feature_list(void *object, void *data, uint64_t arg)
{
	return msr_feature_list(arg);
}

static long get_feature_msrs(void *object, void *data, uint64_t arg)
{
	return msr_get_features(arg);
}

static long memfd_restricted(void *object, void *data, uint64_t arg)
{
	return kvm_memfd_restricted((unsigned int)arg);
}

static const struct ioctl_row rows[] = {
	IOCTL_ROW(KVM_CHECK_EXTENSION, check_extension, false),
	IOCTL_ROW(KVM_GET_VCPU_MMAP_SIZE, get_vcpu_mmap_size, false),
	IOCTL_ROW(KVM_GET_API_VERSION, get_api_version, false),
	IOCTL_ROW(KVM_CREATE_VM, create_vm, false),
	IOCTL_ROW(KVM_GET_SUPPORTED_CPUID, get_supported_cpuid, true),
	IOCTL_ROW(KVM_GET_EMULATED_CPUID, get_emulated_cpuid, true),
	IOCTL_ROW(KVM_GET_MSR_INDEX_LIST, get_msr_index_list, true),
	IOCTL_ROW(KVM_GET_MSR_FEATURE_INDEX_LIST, get_msr_feature_list, true),
	IOCTL_ROW(KVM_GET_MSRS, get_feature_msrs, true),
	IOCTL_ROW(GMEM_MEMFD_RESTRICTED, memfd_restricted, false),
};

long system_ioctl(unsigned int cmd, uint64_t arg)
{
	long r = ioctl_run(rows, NR_ROWS(rows), NULL, cmd, arg);

	return r == -NO_SUCH_REQUEST ? obs_refuse(RULE_SYSTEM_REQUEST_UNKNOWN) : r;
}
