/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A call that the kernel refuses has changed nothing. */
#include <sys/resource.h>

#include "t.h"

static bool is_kvm(int fd)
{
	return ioctl(fd, KVM_GET_API_VERSION, 0) == 12;
}

static void a_refused_copy_leaves_what_is_there(void)
{
	struct rlimit limit, low;
	int kvm = open_kvm();

	FAILS(dup3(0, kvm, 0x123456), EINVAL);
	CHECK(is_kvm(kvm));
	FAILS(dup2(999, kvm), EBADF);
	CHECK(is_kvm(kvm));
	CHECK(dup2(kvm, 300) == 300);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	low = limit;
	low.rlim_cur = 200;
	CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
	FAILS(dup2(0, 300), EBADF);
	CHECK(is_kvm(300));
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	/* And no count has gone wrong. */
	CHECK(close(kvm) == 0);
	CHECK(is_kvm(300));
	CHECK(close(300) == 0);
	FAILS(ioctl(300, KVM_GET_API_VERSION, 0), EBADF);
}

static void advice_on_no_range(int vm)
{
	int gmem = make_gmem(vm, 8 * PAGE, 3);
	char *m = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);

	CHECK(m != MAP_FAILED);
	m[0] = 1;
	FAILS(madvise(m, ~(PAGE - 1), MADV_REMOVE), EINVAL);
	FAILS(madvise(m, ~0ul, MADV_REMOVE), EINVAL);
	FAILS(madvise(m + 1, PAGE, MADV_REMOVE), EINVAL);
	CHECK(m[0] == 1);
	munmap(m, 8 * PAGE);
	close(gmem);
}

/* Not so this one: what is there is done, and the hole is told. */
static void advice_over_a_hole(int vm)
{
	int gmem = make_gmem(vm, 8 * PAGE, 3);
	char *m = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);

	CHECK(m != MAP_FAILED);
	m[0] = m[7 * PAGE] = 1;
	CHECK(munmap(m + 2 * PAGE, 2 * PAGE) == 0);
	FAILS(madvise(m, 8 * PAGE, MADV_REMOVE), ENOMEM);
	CHECK(m[0] == 0 && m[7 * PAGE] == 0);
	munmap(m, 8 * PAGE);
	close(gmem);
}

int main(void)
{
	int vm = make_vm(0);

	a_refused_copy_leaves_what_is_there();
	advice_on_no_range(vm);
	advice_over_a_hole(vm);
	return 0;
}
