/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A VM with a guest_memfd of huge pages and a window on it, under gmem run --profile in-place --pages 2m, 2m-shared (SHARED says so) or
 * 1g-shared (HUGE does), and what of it is in huge pages.
 */
#ifndef GMEM_TESTS_E2E_WINDOW_HUGE_H
#define GMEM_TESTS_E2E_WINDOW_HUGE_H

#include "inplace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../core/pool_run.h"

#ifndef HUGE
#define HUGE (2ul << 20)
#endif
#define IS_LARGE (HUGE > 2ul << 20)
#define NR_BLOCKS (IS_LARGE ? 1u : 2u)
#define SIZE (NR_BLOCKS * HUGE + 3 * PAGE)
#define BASE (16ul << 20) /* of the slot */
#define NR_FLIPS (IS_LARGE ? 2 : 60)

/* ---- what there is ------------------------------------------------------------------------------- */

/* Bytes of huge pages of the pool that this process has mapped in the range. */
static inline uint64_t huge_in(uint64_t from, uint64_t to)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	uint64_t sum = 0, kb, start, end, at = 0;
	char line[512], rights[8];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %4s", &start, &end, rights) == 3)
			at = start;
		else if (at >= from && at < to &&
			 (sscanf(line, "Shared_Hugetlb: %lu kB", &kb) == 1 ||
			  sscanf(line, "Private_Hugetlb: %lu kB", &kb) == 1))
			sum += kb << 10;
	}
	fclose(f);
	return sum;
}

static inline uint64_t huge_bytes(void)
{
	return huge_in(0, UINT64_MAX);
}

static inline uint64_t huge_shown(const struct inplace *t)
{
	return huge_in((uintptr_t)t->host, (uintptr_t)t->host + SIZE);
}

static inline bool may_share(void)
{
#ifdef SHARED
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { 0 };
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || syscall(SYS_capget, &head, caps))
		return false;
	close((int)fd);
	return caps[CAP_BPF / 32].effective >> CAP_BPF % 32 & 1;
#else
	return false;
#endif
}

static inline void make(struct inplace *t, uint64_t flags)
{
	guest_make(&t->g, KVM_X86_SW_PROTECTED_VM);
	t->fd = guest_gmem(&t->g, SIZE, flags);
	t->host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	assert_ptr_not_equal(t->host, MAP_FAILED);
	guest_set_gmem(&t->g, 1, BASE, SIZE, t->host, t->fd);
}

static inline void unmake(struct inplace *t)
{
	munmap(t->host, SIZE);
	close(t->fd);
	guest_free(&t->g);
	assert_int_equal(huge_bytes(), 0);
}

/* ---- touching and changing it --------------------------------------------------------------------- */

/* Real mode reaches 64 KiB of the file from here. */
static inline void look_at(struct guest *g, uint64_t offset)
{
	struct kvm_sregs s;

	assert_int_equal(ioctl(g->vcpu, KVM_GET_SREGS, &s), 0);
	s.ds.base = BASE + offset;
	assert_int_equal(ioctl(g->vcpu, KVM_SET_SREGS, &s), 0);
}

static inline uint8_t exchange(struct inplace *t, uint64_t offset, uint8_t value)
{
	look_at(&t->g, offset & ~0xffffull);
	return guest_exchange(&t->g, offset & 0xffff, value);
}

static inline void expect_hidden(struct inplace *t, uint64_t offset)
{
	uint8_t value;

	assert_int_equal(host_read(t->host + offset, &value), SIGBUS);
}

static inline void set(struct inplace *t, uint64_t offset, uint64_t size, uint64_t attributes)
{
	assert_int_equal(inplace_convert(t->fd, offset, size, attributes, NULL), 0);
}

/* ---- a guest that runs meanwhile ------------------------------------------------------------------- */

static _Atomic int done;

static inline void nothing(int sig)
{
}

/* From the start of the file on, in ecx and at 0x8000. */
static inline void guest_counts(struct inplace *t)
{
	struct kvm_regs regs;

	look_at(&t->g, 0);
	/* again: inc dword [0x8000]; inc ecx; jmp again */
	GUEST_CODE(&t->g, INC_DATA, 0x66, 0x41, 0xeb, 0xf7);
	guest_regs(&t->g, &regs);
	regs.rcx = 0;
	assert_int_equal(ioctl(t->g.vcpu, KVM_SET_REGS, &regs), 0);
}

static inline void *run_guest(void *arg)
{
	struct guest *g = arg;
	int r = 0;

	while (!done && (!r || r == -EINTR))
		r = guest_run(g);
	return (void *)(intptr_t)(r == -EINTR ? 0 : r);
}

#endif
