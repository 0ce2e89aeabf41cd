/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the designs before guest_memfd asked of programs, 2022 to 2023: the fifth, eighth and tenth version of the
 * series by which guests should get memory of files, and the thirteenth, which made guest_memfd. Numbers and
 * layouts are the series'; where several used a name for different things, here the version stands behind it.
 * docs/generations.md tells how a guest lives in each; profiles memfd-v5, memfd-v8, restrictedmem-v10 and gmem-v13
 * of gmem answer to them. No released kernel does.
 *
 * Comes beside <gmem/uapi.h>. Needs what that needs; memfd_restricted() also <fcntl.h>, <sys/ioctl.h>, <unistd.h>.
 */
#ifndef GMEM_EARLY_H
#define GMEM_EARLY_H

#include <gmem/ioctl.h>
#include <gmem/uapi.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the file ---- */

/* v5 and v8: a flag of memfd_create(). Later kernels gave the number to another flag, MFD_NOEXEC_SEAL. */
#define MFD_INACCESSIBLE 0x0008U

/*
 * v9 and v10: a system call, whose number was never settled. gmem answers to the one in GMEM_RESTRICTED_NR of the
 * environment, if that is set, so a program that was built for a kernel of that time runs with 451 there; and, with
 * no number at all, to this.
 */
#define GMEM_NR_memfd_restricted 451

/* The descriptor, or -1 and errno: EINVAL: flags are not 0, or a profile without it; those of open("/dev/kvm"). */
static inline int memfd_restricted(unsigned int flags)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int fd;

	if (kvm < 0)
		return -1;
	fd = ioctl(kvm, GMEM_MEMFD_RESTRICTED, (unsigned long)flags);
	close(kvm);
	return fd;
}

/* statfs of the files of v8 and v10; the second number is concluded, not read. */
#define INACCESSIBLE_MAGIC 0x494e4143
#define RESTRICTEDMEM_MAGIC 0x5245534d

/* ---- memslots: KVM_SET_USER_MEMORY_REGION reads more where the flag is set (v13 has REGION2) ---- */

#define KVM_MEM_PRIVATE (1UL << 2)

struct kvm_userspace_memory_region_v5 {
	struct kvm_userspace_memory_region region;
	uint64_t private_offset;
	uint32_t private_fd;
	uint32_t padding[5];
};

struct kvm_userspace_memory_region_v8 {
	struct kvm_userspace_memory_region region;
	uint64_t private_offset;
	uint32_t private_fd;
	uint32_t pad1;
	uint64_t pad2[14];
};

struct kvm_userspace_memory_region_v10 {
	struct kvm_userspace_memory_region region;
	uint64_t restricted_offset;
	uint32_t restricted_fd;
	uint32_t pad1;
	uint64_t pad2[14];
};

/* ---- who says what a page is ---- */

/* v8: KVM_MEMORY_ENCRYPT_REG_REGION and KVM_MEMORY_ENCRYPT_UNREG_REGION of uapi_nr.h, by guest address. */

/* v10 */
#define KVM_CAP_MEMORY_ATTRIBUTES_V10 225
#define KVM_GET_SUPPORTED_MEMORY_ATTRIBUTES GMEM_UAPI_OUT(0xd2, uint64_t)
#define KVM_SET_MEMORY_ATTRIBUTES_V10 GMEM_UAPI_INOUT(0xd3, struct kvm_memory_attributes)
#define KVM_MEMORY_ATTRIBUTE_READ (1ULL << 0)
#define KVM_MEMORY_ATTRIBUTE_WRITE (1ULL << 1)
#define KVM_MEMORY_ATTRIBUTE_EXECUTE (1ULL << 2)

/* v13: each one lower than it became. */
#define KVM_CAP_USER_MEMORY2_V13 230
#define KVM_CAP_MEMORY_FAULT_INFO_V13 231
#define KVM_CAP_MEMORY_ATTRIBUTES_V13 232
#define KVM_CAP_GUEST_MEMFD_V13 233
#define KVM_CAP_VM_TYPES_V13 234

/* v13: kvm_create_guest_memfd.flags; dropped before the merge. */
#define KVM_GUEST_MEMFD_ALLOW_HUGEPAGE (1ULL << 0)

/* ---- the exit ---- */

#define KVM_EXIT_MEMORY_ERROR 36		  /* v5; KVM_RUN fails with EPERM */
#define KVM_EXIT_MEMORY_FAULT_V8 38		  /* v8; KVM_RUN returns 0 */
#define KVM_EXIT_MEMORY_FAULT_V10 38		  /* v10; the same */
#define KVM_MEMORY_EXIT_FLAG_PRIVATE_V5 (1U << 0) /* also v8 and v10 */

/* v5 and v8: at kvm_run.memory_fault. v10 has that structure's own form. */
struct kvm_run_memory_v5 {
	uint32_t flags;
	uint32_t padding;
	uint64_t gpa;
	uint64_t size;
};

#ifdef __cplusplus
}
#endif

GMEM_UAPI_SIZE(kvm_userspace_memory_region_v5, 64);
GMEM_UAPI_SIZE(kvm_userspace_memory_region_v8, 160);
GMEM_UAPI_SIZE(kvm_userspace_memory_region_v10, 160);
GMEM_UAPI_SIZE(kvm_run_memory_v5, 24);

#endif
