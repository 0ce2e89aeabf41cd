/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Functions that are called as compilers of C++ and Rust call them: a VM that is closed, and a vCPU that is left open. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <gmem/uapi.h>

#define CALLED(name) __asm__(name) __attribute__((noinline))

static int make_vm(int kvm) CALLED("_ZN9kvm_ioctl3Kvm9create_vm17h0123456789abcdefE");
static int make_vcpu(int vm) CALLED("_ZNK2Fd4callIP14kvm_enable_capEEimT_");
static int ask_version(int kvm) CALLED("_RNvNtCs1234_9kvm_ioctl3kvm11api_version");
static int ask_size(int kvm) CALLED("_Zed");

static int make_vm(int kvm)
{
	return ioctl(kvm, KVM_CREATE_VM, 0);
}

static int make_vcpu(int vm)
{
	return ioctl(vm, KVM_CREATE_VCPU, 0); /* LEAK */
}

static int ask_version(int kvm)
{
	return ioctl(kvm, KVM_GET_API_VERSION, 0);
}

static int ask_size(int kvm)
{
	return ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = make_vm(kvm);

	if (vm < 0 || make_vcpu(vm) < 0 || ask_version(kvm) < 0 || ask_size(kvm) < 0)
		return 1;
	return close(vm);
}
