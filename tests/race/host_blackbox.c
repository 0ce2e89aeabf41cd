/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the host may do with pages of a file through its own mappings: SIGBUS and EFAULT where a page is
 * private, whatever the mapping went through.
 */
#include "blackbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define EFAULT_OF(call)                                                           \
	do {                                                                      \
		errno = 0;                                                        \
		if ((long)(call) != -1 || errno != EFAULT)                        \
			fail_msg("%s on a private page: errno %d", #call, errno); \
	} while (0)

/* ---- system calls ---- */

static void calls_that_take_bytes(uint8_t *page)
{
	struct iovec v = { page, 64 }, w = { NULL, 0 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	int file = memfd_create("file", 0), p[2], s[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
	EFAULT_OF(write(file, page, 64));
	EFAULT_OF(pwrite(file, page + 4000, 96, 0));
	EFAULT_OF(writev(file, &v, 1));
	EFAULT_OF(pwritev(file, &v, 1, 0));
	EFAULT_OF(write(p[1], page, 64));
	EFAULT_OF(send(s[0], page, 64, 0));
	EFAULT_OF(sendmsg(s[0], &m, 0));
	EFAULT_OF(vmsplice(p[1], &v, 1, 0));
	EFAULT_OF(open((const char *)page, O_RDONLY));
	EFAULT_OF(syscall(SYS_stat, page, &(struct stat){ 0 }));
	EFAULT_OF(syscall(SYS_nanosleep, page, NULL));
	EFAULT_OF(syscall(SYS_rt_sigprocmask, SIG_BLOCK, page, NULL, 8));
	EFAULT_OF(syscall(SYS_ppoll, page, 1, NULL, NULL, 0));
	EFAULT_OF(syscall(SYS_process_vm_writev, getpid(), &v, 1, &v, 1, 0));
	w.iov_base = page - PAGE;
	w.iov_len = 64;
	EFAULT_OF(process_vm_readv(getpid(), &w, 1, &v, 1, 0));
	EFAULT_OF(process_vm_writev(getpid(), &w, 1, &v, 1, 0));
	EFAULT_OF(syscall(SYS_futex, page, FUTEX_WAIT, 77, &(struct timespec){ 0 }, NULL, 0));
	EFAULT_OF(syscall(SYS_futex, page, FUTEX_WAKE, 1, NULL, NULL, 0));
	EFAULT_OF(
		syscall(SYS_futex, page, FUTEX_WAIT_PRIVATE, 77, &(struct timespec){ 0 }, NULL, 0));
	close(file);
	unpin(p);
	unpin(s);
}

static void calls_that_give_bytes(uint8_t *page)
{
	struct iovec v = { page, 64 };
	int zero = open("/dev/zero", O_RDONLY), p[2], s[2], file = memfd_create("file", 0);

	assert_int_equal(pipe(p), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(send(s[0], "x", 1, 0), 1);
	assert_int_equal(write(file, "x", 1), 1);
	EFAULT_OF(read(zero, page, 64));
	EFAULT_OF(read(p[0], page, 64));
	EFAULT_OF(readv(zero, &v, 1));
	EFAULT_OF(pread(file, page, 64, 0));
	EFAULT_OF(preadv(file, &v, 1, 0));
	EFAULT_OF(recv(s[1], page, 64, 0));
	EFAULT_OF(syscall(SYS_getrandom, page, 64, 0));
	EFAULT_OF(syscall(SYS_uname, page));
	EFAULT_OF(syscall(SYS_fstat, file, page));
	EFAULT_OF(syscall(SYS_pipe2, page, 0));
	EFAULT_OF(syscall(SYS_getcwd, page, 64));
	EFAULT_OF(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, page));
	EFAULT_OF(ioctl(p[0], 0x541b /* FIONREAD */, page));
	EFAULT_OF(syscall(SYS_readlink, "/proc/self/exe", page, 64));
	close(zero);
	close(file);
	unpin(p);
	unpin(s);
}

static void system_calls_get_efault(void **state)
{
	struct box b;

	box_make(&b, BOTH_FLAGS);
	memset(b.w.host, 'x', SIZE);
	assert_int_equal(to_private(&b, 3, 1), 0);
	calls_that_take_bytes(b.w.host + 3 * PAGE);
	calls_that_give_bytes(b.w.host + 3 * PAGE);
	guest_fetch(&b.g, b.g.look, 3 * PAGE, 0, PAGE_WORDS);
	for (unsigned int i = 0; i < PAGE_WORDS; i++)
		assert_int_equal(b.g.look[i], 0x7878787878787878);
	box_free(&b);
}

static void a_transfer_ends_where_a_page_is_private(void **state)
{
	int file = memfd_create("file", 0);
	struct box b;

	box_make(&b, BOTH_FLAGS);
	memset(b.w.host, 'x', SIZE);
	assert_int_equal(to_private(&b, 3, 1), 0);
	assert_int_equal(pwrite(file, b.w.host, SIZE, 0), 3 * PAGE);
	assert_int_equal(pwrite(file, b.w.host + 4 * PAGE, 4 * PAGE, 0), 4 * PAGE);
	assert_int_equal(pread(file, b.w.host, SIZE, 0), 3 * PAGE);
	assert_int_equal(pwrite(file, b.w.host + 2 * PAGE + 100, 2 * PAGE, 0), PAGE - 100);
	close(file);
	box_free(&b);
}

static void direct_io_gets_efault(void **state)
{
	char name[] = "/tmp/gmem-direct-XXXXXX";
	int fd = mkstemp(name), direct;
	struct box b;

	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	direct = open(name, O_RDWR | O_DIRECT);
	close(fd);
	if (direct < 0)
		skip();
	box_make(&b, BOTH_FLAGS);
	if (pread(direct, b.w.host, PAGE, 0) == PAGE) {
		assert_int_equal(to_private(&b, 1, 1), 0);
		EFAULT_OF(pread(direct, b.w.host + PAGE, PAGE, 0));
		EFAULT_OF(pwrite(direct, b.w.host + PAGE, PAGE, 0));
		/* It is over and holds nothing. */
		assert_int_equal(to_private(&b, 0, 1), 0);
	}
	close(direct);
	box_free(&b);
}

static void the_process_s_own_memory_file_gets_nothing(void **state)
{
	int mem = open("/proc/self/mem", O_RDWR);
	uint64_t value = 1;
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(to_private(&b, 0, 1), 0);
	assert_true(mem >= 0);
	assert_true(pread(mem, &value, 8, (off_t)(uintptr_t)b.w.host) <= 0);
	assert_true(pwrite(mem, &value, 8, (off_t)(uintptr_t)b.w.host) <= 0);
	assert_int_equal(guest_load(&b.g, 0), 0);
	close(mem);
	box_free(&b);
}

struct copy {
	uint8_t *local, *remote;
	bool write;
	ssize_t ret;
};

static void *copy_one_page(void *arg)
{
	struct copy *c = arg;
	struct iovec local = { c->local, PAGE }, remote = { c->remote, PAGE };

	c->ret = c->write ? process_vm_writev(getpid(), &local, 1, &remote, 1, 0)
			  : process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	return NULL;
}

/* The copy waits in the middle, at a page of the other side that is not there, and holds ours. */
static void wait_in_a_copy(struct box *b, int fd, bool write)
{
	uint8_t *hole =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register reg = { .range = { (uintptr_t)hole, PAGE },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = { .range = { (uintptr_t)hole, PAGE } };
	struct copy c = { hole, b->w.host, write, -1 };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t at = UNTOUCHED;
	pthread_t thread;

	assert_int_equal(ioctl(fd, UFFDIO_REGISTER, &reg), 0);
	assert_int_equal(pthread_create(&thread, NULL, copy_one_page, &c), 0);
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(convert(b->w.gmem, 0, SIZE, true, &at), -EAGAIN);
	assert_int_equal(at, 0);
	assert_int_equal(ioctl(fd, UFFDIO_ZEROPAGE, &zero), 0);
	pthread_join(thread, NULL);
	assert_int_equal(c.ret, PAGE);
	assert_int_equal(to_private(b, 0, PAGES), 0);
	assert_int_equal(to_shared(b, 0, PAGES), 0);
	munmap(hole, PAGE);
}

static void a_copy_under_way_holds_its_pages(void **state)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = { .api = UFFD_API };
	struct box b;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		skip(); /* an ordinary user may not catch the kernel's own faults */
	box_make(&b, BOTH_FLAGS);
	assert_int_equal(host_store(b.w.host, 'A'), TOUCHED);
	wait_in_a_copy(&b, fd, false);
	wait_in_a_copy(&b, fd, true);
	close(fd);
	box_free(&b);
}

/* ---- mappings ---- */

static void mmap_is_refused_as_ever(void **state)
{
	struct box b;
	uint8_t *p;

	box_make(&b, BOTH_FLAGS);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, b.w.gmem, 0), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	p = world_map(b.w.gmem, SIZE - PAGE, 3 * PAGE);
	expect_open(p, 0, 0);
	expect_shut(p, 1);
	expect_shut(p, 2);
	assert_int_equal(to_private(&b, PAGES - 1, 1), 0);
	expect_shut(p, 0);
	munmap(p, 3 * PAGE);
	box_free(&b);
}

static void windows_before_and_after(void **state)
{
	uint8_t *early, *late, *reading;
	uint64_t value;
	struct box b;

	box_make(&b, BOTH_FLAGS);
	early = world_map(b.w.gmem, 2 * PAGE, 4 * PAGE);
	reading = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, b.w.gmem, 0);
	assert_int_equal(host_store(b.w.host + 3 * PAGE, 'A'), TOUCHED);
	assert_int_equal(to_private(&b, 3, 2), 0);
	late = world_map(b.w.gmem, 3 * PAGE, 3 * PAGE);
	expect_shut(b.w.host, 3);
	expect_shut(early, 1);
	expect_shut(early, 2);
	expect_shut(late, 0);
	expect_shut(late, 1);
	assert_int_equal(host_load(reading + 3 * PAGE, &value), TOUCH_BUS);
	expect_open(early, 0, 0);
	expect_open(late, 2, 0);
	assert_int_equal(to_shared(&b, 3, 1), 0);
	expect_open(b.w.host, 3, 'A');
	expect_open(early, 1, 'A');
	expect_open(late, 0, 'A');
	assert_int_equal(host_load(reading + 3 * PAGE, &value), TOUCHED);
	assert_int_equal(value, 'A');
	expect_shut(late, 1);
	munmap(early, 4 * PAGE);
	munmap(late, 3 * PAGE);
	munmap(reading, SIZE);
	box_free(&b);
}

static void a_part_that_was_unmapped_stays_so(void **state)
{
	unsigned char vec;
	struct box b;
	uint8_t *p;

	box_make(&b, BOTH_FLAGS);
	p = world_map(b.w.gmem, 0, SIZE);
	assert_int_equal(munmap(p + 2 * PAGE, 2 * PAGE), 0);
	assert_int_equal(to_private(&b, 1, 5), 0);
	assert_int_equal(to_shared(&b, 2, 1), 0);
	expect_shut(p, 1);
	expect_shut(p, 4);
	expect_open(p, 0, 0);
	assert_int_equal(mincore(p + 2 * PAGE, PAGE, &vec), -1);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(mincore(p + 3 * PAGE, PAGE, &vec), -1);
	/* Something else there is not disturbed by conversions. */
	assert_ptr_equal(mmap(p + 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 p + 2 * PAGE);
	memset(p + 2 * PAGE, 'z', 2 * PAGE);
	assert_int_equal(to_shared(&b, 0, PAGES), 0);
	assert_int_equal(to_private(&b, 0, PAGES), 0);
	assert_int_equal(p[2 * PAGE], 'z');
	assert_int_equal(p[4 * PAGE - 1], 'z');
	expect_shut(p, 4);
	munmap(p, SIZE);
	box_free(&b);
}

static void mapped_over(void **state)
{
	struct box b;
	uint8_t *p;

	box_make(&b, BOTH_FLAGS);
	p = world_map(b.w.gmem, 0, SIZE);
	assert_int_equal(to_private(&b, 0, 4), 0);
	assert_ptr_equal(mmap(p, 2 * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 p);
	p[0] = p[PAGE] = 'z';
	/* the same file at another offset, over itself */
	assert_ptr_equal(mmap(p + 2 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED, b.w.gmem, 0),
			 p + 2 * PAGE);
	for (unsigned int i = 2; i < 6; i++)
		expect_shut(p, i);
	expect_open(p, 6, 0);
	assert_int_equal(to_shared(&b, 1, 1), 0);
	expect_open(p, 3, 0);
	expect_shut(p, 2);
	expect_shut(p, 4);
	assert_int_equal(to_private(&b, 6, 1), 0);
	expect_shut(p, 6);
	assert_int_equal(p[0], 'z');
	munmap(p, SIZE);
	box_free(&b);
}

static void moved_grown_and_shrunk(void **state)
{
	uint8_t *p, *room = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct box b;

	box_make(&b, BOTH_FLAGS);
	p = world_map(b.w.gmem, 0, 4 * PAGE);
	assert_int_equal(host_store(p, 'A'), TOUCHED);
	assert_int_equal(to_private(&b, 1, 5), 0);
	p = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + PAGE);
	assert_ptr_equal(p, room + PAGE);
	expect_open(p, 0, 'A');
	expect_shut(p, 1);
	assert_int_equal(to_shared(&b, 1, 1), 0);
	expect_open(p, 1, 0);
	p = mremap(p, 4 * PAGE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, room + SIZE);
	assert_ptr_equal(p, room + SIZE);
	expect_open(p, 1, 0);
	expect_shut(p, 2);
	expect_shut(p, 5);
	expect_open(p, 6, 0);
	assert_int_equal(to_private(&b, 7, 1), 0);
	expect_shut(p, 7);
	p = mremap(p, SIZE, 3 * PAGE, 0);
	assert_ptr_equal(p, room + SIZE);
	expect_shut(p, 2);
	assert_int_equal(to_shared(&b, 0, PAGES), 0);
	expect_open(p, 2, 0);
	assert_int_equal(to_private(&b, 0, 1), 0);
	expect_shut(p, 0);
	munmap(room, 2 * SIZE);
	box_free(&b);
}

static void protection_is_kept(void **state)
{
	struct box b;
	uint64_t value;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(mprotect(b.w.host + 2 * PAGE, 4 * PAGE, PROT_READ), 0);
	assert_int_equal(to_private(&b, 1, 3), 0);
	assert_int_equal(to_shared(&b, 1, 3), 0);
	assert_int_equal(host_store(b.w.host + PAGE, 'A'), TOUCHED);
	assert_int_equal(host_load(b.w.host + 2 * PAGE, &value), TOUCHED);
	assert_int_equal(host_store(b.w.host + 2 * PAGE, 'A'), TOUCH_OTHER); /* SIGSEGV */
	assert_int_equal(to_private(&b, 2, 1), 0);
	/* Made writable while it is private: still private. */
	assert_int_equal(mprotect(b.w.host, SIZE, PROT_READ | PROT_WRITE), 0);
	expect_shut(b.w.host, 2);
	assert_int_equal(to_shared(&b, 2, 1), 0);
	expect_open(b.w.host, 2, 0);
	assert_int_equal(mprotect(b.w.host, PAGE, PROT_NONE), 0);
	assert_int_equal(to_private(&b, 0, 1), 0);
	assert_int_equal(to_shared(&b, 0, 1), 0);
	assert_int_equal(host_load(b.w.host, &value), TOUCH_OTHER);
	assert_int_equal(mprotect(b.w.host, PAGE, PROT_READ | PROT_WRITE), 0);
	expect_open(b.w.host, 0, 0);
	assert_int_equal(mprotect(b.w.host, PAGE, PROT_READ | PROT_EXEC), -1);
	assert_int_equal(errno, EACCES);
	box_free(&b);
}

static void advice_opens_nothing(void **state)
{
	static const int any[] = { MADV_DONTNEED, MADV_NORMAL,	 MADV_WILLNEED, MADV_RANDOM,
				   MADV_DODUMP,	  MADV_DONTDUMP, MADV_COLD,	MADV_PAGEOUT,
				   MADV_DONTFORK, MADV_DOFORK };
	struct box b;

	box_make(&b, BOTH_FLAGS);
	for (unsigned int i = 0; i < PAGES; i++)
		assert_int_equal(host_store(b.w.host + i * PAGE, 'A'), TOUCHED);
	assert_int_equal(to_private(&b, 2, 3), 0);
	for (unsigned int i = 0; i < sizeof(any) / sizeof(any[0]); i++) {
		madvise(b.w.host, SIZE, any[i]);
		for (unsigned int k = 0; k < PAGES; k++) {
			if (k >= 2 && k < 5)
				expect_shut(b.w.host, k);
			else
				expect_open(b.w.host, k, 'A');
		}
	}
	EFAULT_OF(madvise(b.w.host, SIZE, MADV_POPULATE_READ));
	EFAULT_OF(madvise(b.w.host + 3 * PAGE, PAGE, MADV_POPULATE_WRITE));
	assert_int_equal(madvise(b.w.host, SIZE, MADV_COLLAPSE), -1);
	assert_int_equal(errno, EINVAL);
	/* A punch: contents go, the state stays. */
	assert_int_equal(madvise(b.w.host, SIZE, MADV_REMOVE), 0);
	expect_open(b.w.host, 0, 0);
	private_block(&b, 3, 0, 'B');
	box_free(&b);
}

/* By number: a sanitizer has a mlock() that does nothing. */
static void locked_in_memory(void **state)
{
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(syscall(SYS_mlock, b.w.host, SIZE), 0);
	assert_int_equal(to_private(&b, 2, 3), 0);
	expect_shut(b.w.host, 2);
	assert_int_equal(syscall(SYS_mlock, b.w.host + 3 * PAGE, PAGE), -1);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(to_shared(&b, 2, 3), 0);
	expect_open(b.w.host, 2, 0);
	assert_int_equal(munlock(b.w.host, SIZE), 0);
	assert_int_equal(to_private(&b, 0, PAGES), 0);
	expect_shut(b.w.host, 7);
	box_free(&b);
}

static void asking_for_residence_opens_nothing(void **state)
{
	struct box b;
	unsigned char vec[PAGES];

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(mincore(b.w.host, SIZE, vec), 0);
	assert_int_equal(host_store(b.w.host, 'A'), TOUCHED);
	assert_int_equal(to_private(&b, 0, 2), 0);
	assert_int_equal(mincore(b.w.host, SIZE, vec), 0);
	expect_shut(b.w.host, 0);
	box_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(system_calls_get_efault),
		cmocka_unit_test(a_transfer_ends_where_a_page_is_private),
		/* before direct I/O, after which references are counted where one may */
		cmocka_unit_test(a_copy_under_way_holds_its_pages),
		cmocka_unit_test(direct_io_gets_efault),
		cmocka_unit_test(the_process_s_own_memory_file_gets_nothing),
		cmocka_unit_test(mmap_is_refused_as_ever),
		cmocka_unit_test(windows_before_and_after),
		cmocka_unit_test(a_part_that_was_unmapped_stays_so),
		cmocka_unit_test(mapped_over),
		cmocka_unit_test(moved_grown_and_shrunk),
		cmocka_unit_test(protection_is_kept),
		cmocka_unit_test(advice_opens_nothing),
		cmocka_unit_test(locked_in_memory),
		cmocka_unit_test(asking_for_residence_opens_nothing),
	};

	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
