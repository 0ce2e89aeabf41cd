/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* kvm/ without a shim: descriptors are entries of a table. */
#ifndef GMEM_TESTS_KVM_FIXTURE_H
#define GMEM_TESTS_KVM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gmem/uapi.h>

#include "kvm/kvm.h"

#define PAGE 4096ull
#define GB (1ull << 30)
#define SHARED_FILE (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

/* Sets descriptors and profile up; a fresh table. */
void fixture_start(const char *profile);
/* The same in the default profile: a group's setup. */
int fixture_setup(void **state);
/* An open /dev/kvm. */
int fixture_open(void);
/* A descriptor for an object that the test has made; it takes over the count. */
int fixture_install(struct kvm_object *o);
/* The name that its handle was made with; NULL: none. */
const char *fixture_name(int fd);
/* The last close of fd. */
void fixture_close(int fd);
/* Nothing is open any more. */
void fixture_end(void);
/* A descriptor that is open and not ours. */
int fixture_foreign(void);

long call(int fd, unsigned long cmd, const void *arg);
long call_value(int fd, unsigned long cmd, uint64_t arg);
struct kvm_object *object_of(int fd);

int make_vm(unsigned int type);
/* vCPU 0. */
int make_vcpu(int vm);
/* Slot 0 is ram, one page, at 0; the vCPU will jump to itself there for ever, in real mode. */
void make_loop(int vm, int vcpu, char *ram);
/* Closes both, and nothing is open then. */
void end_vm(int vm, int vcpu);
int make_gmem(int vm, uint64_t size, uint64_t flags);
long set_slot(int vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, const void *hva,
	      int gmem, uint64_t offset);
long set_private(int vm, uint64_t gpa, uint64_t size, bool is_private);

#endif
