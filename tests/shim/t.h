/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A test of the shim is a program of the ordinary kind, run by `gmem run`: it knows nothing of gmem
 * but the KVM interface. It ends with 0, or says what did not hold and ends with 1.
 */
#ifndef GMEM_TESTS_SHIM_T_H
#define GMEM_TESTS_SHIM_T_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmem/uapi.h>

#define PAGE 4096ul

#define CHECK(cond)                                                                        \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: does not hold: %s (errno %d)\n", __FILE__, \
				__LINE__, #cond, errno);                                   \
			exit(1);                                                           \
		}                                                                          \
	} while (0)

/* The call fails with this errno. */
#define FAILS(call, err)                   \
	do {                               \
		errno = 0;                 \
		CHECK((long)(call) == -1); \
		CHECK(errno == (err));     \
	} while (0)

static inline int open_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static inline int make_vm(unsigned long type)
{
	int kvm = open_kvm();
	int vm = ioctl(kvm, KVM_CREATE_VM, type);

	CHECK(vm >= 0);
	close(kvm);
	return vm;
}

static inline int make_gmem(int vm, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd args = { .size = size, .flags = flags };
	int fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);

	CHECK(fd >= 0);
	return fd;
}

/* A VM with one vCPU that spins in its first instruction, for ever. */
struct spinning {
	int vm, vcpu;
	struct kvm_run *run;
	unsigned char *code;
};

static inline struct spinning make_spinning_of(unsigned long type)
{
	struct spinning s = { .vm = make_vm(type) };
	struct kvm_userspace_memory_region region = { .guest_phys_addr = 0xfffff000,
						      .memory_size = PAGE };

	s.code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(s.code != MAP_FAILED);
	s.code[0xff0] = 0xeb; /* jmp to itself */
	s.code[0xff1] = 0xfe;
	region.userspace_addr = (uintptr_t)s.code;
	CHECK(ioctl(s.vm, KVM_SET_USER_MEMORY_REGION, &region) == 0);
	s.vcpu = ioctl(s.vm, KVM_CREATE_VCPU, 0);
	CHECK(s.vcpu >= 0);
	s.run = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s.vcpu, 0);
	CHECK(s.run != MAP_FAILED);
	return s;
}

static inline struct spinning make_spinning(void)
{
	return make_spinning_of(0);
}

static inline int exit_status(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif
