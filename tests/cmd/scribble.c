/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A program that writes all over the memory in which it is observed, all the time, while its VM converts pages.
 *
 *	scribble SEED MILLISECONDS
 *
 * With an even seed it leaves out what its own account of memory works in, and so lives longer. It tries to make that
 * memory shorter, too, which must not be possible.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gmem/uapi.h>

#define SIZE (2u << 20)
#define WORD_SNAPSHOT \
	10 /* of the header, and the next: where that part begins, and ends (obs/region.h) */

static struct {
	uint64_t *words;
	uint64_t nr;
	uint64_t left_out, left_out_end;
	uint64_t seed;
	_Atomic bool stop;
} s;

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Half of it into the first pages, and where the snapshots are; numbers that may mean something, and any. */
static void *scribble(void *arg)
{
	uint64_t x = s.seed;

	while (!atomic_load(&s.stop)) {
		uint64_t at = next(&x), value = next(&x);

		at = at & 1 ? (at >> 8) % 4096 : (at >> 8) % s.nr;
		if (at >= s.left_out && at < s.left_out_end)
			continue;
		__atomic_store_n(&s.words[at], value & 3 ? value >> (value >> 8 & 63) : value,
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void map_region(void)
{
	const char *path = getenv("GMEM_OBS");
	int fd = open(path ? path : "", O_RDWR);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		fail("the region");
	if (!ftruncate(fd, 4096) || !ftruncate(fd, st.st_size * 2)) {
		errno = 0;
		fail("it has another size now");
	}
	s.nr = (uint64_t)st.st_size / sizeof(*s.words);
	s.words = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s.words == MAP_FAILED)
		fail("mmap");
	if (s.seed & 2)
		return;
	s.left_out = s.words[WORD_SNAPSHOT] / sizeof(*s.words);
	s.left_out_end = s.words[WORD_SNAPSHOT + 1] / sizeof(*s.words);
}

static void convert(int vm, uint64_t i)
{
	struct kvm_memory_attributes a = {
		.address = i % (SIZE / 4096) * 4096,
		.size = 4096,
		.attributes = i & 512 ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};

	/* Now and then one that is refused. */
	if (i % 16 == 5)
		a.flags = 1;
	ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a);
}

static int make_vm(void)
{
	struct kvm_create_guest_memfd c = { .size = SIZE };
	struct kvm_userspace_memory_region2 r = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.memory_size = SIZE,
	};
	int kvm = open("/dev/kvm", O_RDWR);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	void *host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int file = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &c);

	r.userspace_addr = (uintptr_t)host;
	r.guest_memfd = (uint32_t)file;
	if (vm < 0 || file < 0 || ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &r))
		fail("a VM");
	close(kvm);
	close(file);
	return vm;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	uint64_t end;
	pthread_t thread;

	s.seed = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 0x9e3779b97f4a7c16ull | 1;
	end = now_ms() + (argc > 2 ? strtoull(argv[2], NULL, 0) : 1000);
	map_region();
	if (pthread_create(&thread, NULL, scribble, NULL))
		fail("a thread");
	while (now_ms() < end) {
		int vm = make_vm();

		for (uint64_t i = 0; i < 3000; i++)
			convert(vm, i);
		close(vm);
	}
	atomic_store(&s.stop, true);
	pthread_join(thread, NULL);
	puts("scribbled");
	return 0;
}
