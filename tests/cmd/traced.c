/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A VMM of few calls, for tests of what is seen of them: the comment @NAME is on the line that an event must have. */
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gmem/uapi.h"

#define SIZE 0x10000ul
#define HLT 0xf4

static void must(int ok)
{
	if (!ok) {
		perror("traced");
		exit(1);
	}
}

static int convert(int vm, uint64_t gpa, uint64_t size, uint64_t attributes)
{
	struct kvm_memory_attributes a = { .address = gpa, .size = size, .attributes = attributes };

	return ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a); /* @convert */
}

static void run(int vm)
{
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 3); /* @vcpu */
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_run *r;

	must(vcpu >= 0);
	r = mmap(NULL, 0x3000, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	must(r != MAP_FAILED && !ioctl(vcpu, KVM_GET_SREGS, &sregs));
	sregs.cs.base = sregs.cs.selector = 0;
	must(!ioctl(vcpu, KVM_SET_SREGS, &sregs) && !ioctl(vcpu, KVM_SET_REGS, &regs));
	must(!ioctl(vcpu, KVM_RUN, 0)); /* @run */
	must(r->exit_reason == KVM_EXIT_HLT);
	munmap(r, 0x3000);
	close(vcpu);
}

/* As many conversions as are asked for. */
static void repeat(int vm, long nr)
{
	for (long i = 0; i < nr; i++)
		must(!convert(vm, 0x1000, 0x1000, i % 2 ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE));
}

static void child(void)
{
	int pid = fork();

	if (!pid)
		_exit(0);
	must(waitpid(pid, NULL, 0) == pid);
}

static int mappable(int kvm)
{
	struct kvm_create_guest_memfd create = {
		.size = SIZE, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED
	};
	int file = ioctl(ioctl(kvm, KVM_CREATE_VM, 0), KVM_CREATE_GUEST_MEMFD, &create);

	must(file >= 0);
	return file;
}

static void policies(char *p)
{
	unsigned long nodes = 1, none = 0;
	int mode;

	must(!syscall(SYS_mbind, p, 0x1000, MPOL_BIND, &nodes, 64, MPOL_MF_MOVE)); /* @bind */
	must(syscall(SYS_mbind, p, 0x1000, MPOL_BIND, &none, 64, 0) < 0);	   /* @bind2 */
	must(!syscall(SYS_get_mempolicy, &mode, NULL, 0, p, MPOL_F_ADDR));	   /* @policy */
	must(syscall(SYS_set_mempolicy_home_node, p, 0x1000, 1000, 0) < 0);	   /* @home */
	must(mode == MPOL_BIND);
	must(!syscall(SYS_mbind, p, 0x1000, MPOL_DEFAULT, NULL, 0, 0)); /* @unbind */
}

/* In a profile in which it can be written. */
static void write_all(int kvm)
{
	int file = mappable(kvm);
	char two[2 * 0x1000] = "x";
	struct iovec iov[2] = { { two, 0x800 }, { two, 0x1000 } };
	struct iovec bad = { (void *)8, 0x10 };

	must(pwrite(file, two, sizeof(two), 0x1000) == sizeof(two)); /* @pwrite */
	must(pwrite(file, two, sizeof(two), 0xf000) == 0x1000);	     /* @part */
	must(pwrite(file, two, 1, SIZE) < 0);			     /* @past */
	must(lseek(file, 0x3000, SEEK_SET) == 0x3000);
	must(write(file, two, 0x10) == 0x10);	       /* @write */
	must(writev(file, iov, 2) == 0x1800);	       /* @writev */
	must(pwritev(file, iov, 2, 0x5000) == 0x1800); /* @pwritev */
	must(pwritev2(file, &bad, 1, 0x6000, 0) < 0);  /* @pwritev2 */
	close(file);
}

/* System calls on a guest_memfd that can be mapped, and on its mapping. */
static void call(int kvm)
{
	int file = mappable(kvm);
	char *p;

	must(fallocate(file, 0, 0x1000, 0x1000) < 0);				  /* @grow */
	must(!fallocate(file, FALLOC_FL_KEEP_SIZE, 0x1000, 0x2000));		  /* @allocate2 */
	must(posix_fallocate(file, 0x1001, 0x1000) != 0);			  /* @posix */
	must(ftruncate(file, 0x2000) < 0);					  /* @truncate */
	must(mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, file, 0) == MAP_FAILED);	  /* @private */
	p = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0x1000); /* @map */
	must(p != MAP_FAILED);
	must(!madvise(p, 0x1000, MADV_DONTNEED)); /* @advise */
	must(madvise(p, 0x1000, MADV_FREE) < 0);  /* @free */
	policies(p);
	must(!mprotect(p, 0x2000, PROT_READ));	 /* @protect */
	must(pwrite(file, p, 0x10, 0x1000) < 0); /* @no_pwrite */
	must(write(file, p, 0x10) < 0);		 /* @no_write */
	must(!munmap(p, 0x2000));		 /* @unmap */
	close(file);
}

int main(int argc, char **argv)
{
	int kvm = open("/dev/kvm", O_RDWR), vm, file;
	struct kvm_create_guest_memfd create = { .size = SIZE };
	struct kvm_userspace_memory_region2 slot = { .flags = KVM_MEM_GUEST_MEMFD,
						     .memory_size = SIZE };
	char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	vm = ioctl(kvm, KVM_CREATE_VM, 1); /* @vm */
	must(vm >= 0 && memory != MAP_FAILED);
	memory[0] = (char)HLT;
	file = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create); /* @file */
	must(file >= 0);
	slot.guest_memfd = (uint32_t)file;
	slot.userspace_addr = (uintptr_t)memory;
	must(!ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &slot)); /* @slot */
	if (argc > 1 && !strcmp(argv[1], "calls")) {
		call(kvm);
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "writes")) {
		write_all(kvm);
		return 0;
	}
	if (argc > 1) {
		repeat(vm, atol(argv[1]));
		return 0;
	}
	run(vm);
	must(!convert(vm, 0x2000, 0x3000, KVM_MEMORY_ATTRIBUTE_PRIVATE));
	must(convert(vm, 0x2001, 0x3000, 0) < 0);
	must(!madvise(memory + 0x2000, 0x3000, MADV_DONTNEED));			     /* @discard */
	must(!fallocate(file, FALLOC_FL_KEEP_SIZE, 0x1000, 0x2000));		     /* @allocate */
	must(!fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE)); /* @punch */
	child();
	close(file);
	close(vm);
	close(kvm);
	return 5;
}
