/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Mappings of guest_memfds, and what happens to them. */
#include <linux/userfaultfd.h>
#include <setjmp.h>

#include "t.h"

static sigjmp_buf out;

static void leave(int signo)
{
	siglongjmp(out, signo);
}

/* The signal that a read of this address gives, 0: none. */
static int touch(volatile char *p)
{
	int signo = sigsetjmp(out, 1);

	if (signo == 0)
		(void)*p;
	return signo;
}

static void kinds_of_mapping(int vm)
{
	int none = make_gmem(vm, PAGE, 0), priv = make_gmem(vm, PAGE, 1),
	    both = make_gmem(vm, PAGE, 3);
	char *mem;

	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, none, 0), ENODEV);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, both, 0), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, both, 0), EPERM);
	FAILS(mmap(NULL, 0, PROT_READ, MAP_SHARED, both, 0), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, both, 100), EINVAL);
	FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, vm, 0), ENODEV);
	mem = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, priv, 0);
	CHECK(mem != MAP_FAILED && touch(mem) == SIGBUS);
	FAILS(write(1, mem, 1), EFAULT);
	munmap(mem, PAGE);
	mem = mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED_VALIDATE, both, 0);
	CHECK(touch(mem) == 0 && touch(mem + PAGE) == SIGBUS);
	munmap(mem, 3 * PAGE);
	close(none);
	close(priv);
	close(both);
}

static void advice(int vm)
{
	int gmem = make_gmem(vm, 4 * PAGE, 3);
	char *mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);
	unsigned char in_core[4];

	memset(mem, 7, 4 * PAGE);
	FAILS(madvise(mem, PAGE, MADV_FREE), EINVAL);
	FAILS(madvise(mem, PAGE, MADV_WIPEONFORK), EINVAL);
	FAILS(madvise(mem, PAGE, 25 /* COLLAPSE */), EINVAL);
	CHECK(madvise(mem, 4 * PAGE, MADV_DONTNEED) == 0 && mem[PAGE] == 7);
	CHECK(madvise(mem + PAGE, PAGE, MADV_REMOVE) == 0);
	CHECK(mem[0] == 7 && mem[PAGE] == 0 && mem[2 * PAGE] == 7);
	FAILS(msync(mem, PAGE, MS_SYNC), EINVAL);
	CHECK(msync(mem, PAGE, MS_ASYNC) == 0);
	FAILS(mprotect(mem, PAGE, PROT_READ | PROT_EXEC), EACCES);
	CHECK(mprotect(mem, PAGE, PROT_READ) == 0);
	CHECK(mlock(mem, PAGE) == 0);
	CHECK(mincore(mem, 4 * PAGE, in_core) == 0);
	/* After it is gone the same addresses are anybody's. */
	for (int i = 0; i < 2; i++) {
		int fixed = i ? MAP_FIXED : MAP_FIXED_NOREPLACE;

		if (i == 0)
			munmap(mem, 4 * PAGE);
		CHECK(mmap(mem, 4 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0) == mem);
		mem[0] = 1;
		CHECK(mprotect(mem, PAGE, PROT_READ | PROT_EXEC) == 0);
		if (i == 0)
			CHECK(mmap(mem, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				   gmem, 0) == mem);
	}
	munmap(mem, 4 * PAGE);
	close(gmem);
}

static void moves(int vm)
{
	int gmem = make_gmem(vm, 4 * PAGE, 3);
	char *mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);
	char *place = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *second;

	mem[0] = 'a';
	mem[3 * PAGE] = 'd';
	CHECK(mremap(mem, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
	CHECK(place[0] == 'a' && place[3 * PAGE] == 'd');
	FAILS(mprotect(place, PAGE, PROT_READ | PROT_EXEC), EACCES);
	second = mremap(place, 0, 4 * PAGE, MREMAP_MAYMOVE);
	CHECK(second != MAP_FAILED && second[0] == 'a');
	FAILS(mprotect(second, PAGE, PROT_READ | PROT_EXEC), EACCES);
	CHECK(munmap(place + PAGE, PAGE) == 0);
	CHECK(touch(place + PAGE) == SIGSEGV && touch(place) == 0 && touch(place + 2 * PAGE) == 0);
	close(gmem);
	/* Still there: mappings hold the file. */
	CHECK(madvise(second, PAGE, MADV_REMOVE) == 0);
	CHECK(second[0] == 0 && place[0] == 0 && place[3 * PAGE] == 'd');
	munmap(place, 16 * PAGE);
	munmap(second, 4 * PAGE);
}

static void userfaultfd_is_refused(int vm)
{
	int gmem = make_gmem(vm, PAGE, 3);
	char *mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)mem, PAGE },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (uffd >= 0) {
		CHECK(ioctl(uffd, UFFDIO_API, &api) == 0);
		FAILS(ioctl(uffd, UFFDIO_REGISTER, &reg), EINVAL);
		close(uffd);
	}
	munmap(mem, PAGE);
	close(gmem);
}

/* Unmapping many small pieces while the VM lives, as allocators do. */
static void other_memory_is_left_alone(int vm)
{
	for (int i = 0; i < 10000; i++) {
		char *mem = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		mem[PAGE] = 1;
		CHECK(mprotect(mem, PAGE, PROT_READ) == 0);
		CHECK(munmap(mem, 2 * PAGE) == 0);
	}
	CHECK(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) == 1);
}

int main(void)
{
	int vm = make_vm(0);

	signal(SIGBUS, leave);
	signal(SIGSEGV, leave);
	kinds_of_mapping(vm);
	advice(vm);
	moves(vm);
	userfaultfd_is_refused(vm);
	other_memory_is_left_alone(vm);
	close(vm);
	return 0;
}
