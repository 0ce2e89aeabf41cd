/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* References to pages of a memfd, counted in the kernel. Skipped where the process may not. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/btf.h"
#include "os/os.h"
#include "os/page_refs.h"
#include "os/sanitize.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define PAGE OS_PAGE_SIZE
#define HUGE ((size_t)2 << 20)

static struct os_page_refs *refs;
static char ranges[400];

static bool is_locked_down(void)
{
	FILE *f = fopen("/sys/kernel/security/lockdown", "r");
	char text[80] = "[none]";
	bool locked;

	if (f && !fgets(text, sizeof(text), f))
		text[0] = 0;
	locked = !strstr(text, "[none]");
	if (f)
		fclose(f);
	return locked;
}

static int setup(void **state)
{
	int ret = os_page_refs_open(&refs);

	if (ret)
		print_message("not available here: %d\n", ret);
	/* A right or a description that is missing is the machine's matter, all else is ours. */
	return !ret || ret == -EPERM || ret == -ENOSYS || is_locked_down() ? 0 : -1;
}

static int teardown(void **state)
{
	if (refs)
		os_page_refs_close(refs);
	return 0;
}

#define NEED()                  \
	do {                    \
		if (!refs)      \
			skip(); \
	} while (0)

struct mapped {
	int fd;
	size_t size;
	char *at;
};

static struct mapped make(size_t size)
{
	struct mapped m = { .fd = (int)syscall(SYS_memfd_create, "pages", MFD_CLOEXEC),
			    .size = size };
	char *area;

	assert_int_equal(ftruncate(m.fd, (off_t)size), 0);
	area = mmap(NULL, size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0);
	assert_ptr_not_equal(area, MAP_FAILED);
	area += -(uintptr_t)area & (HUGE - 1);
	m.at = mmap(area, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, m.fd, 0);
	assert_ptr_equal(m.at, area);
	return m;
}

static void drop(struct mapped *m)
{
	munmap(m->at, m->size);
	close(m->fd);
}

static void note(void *arg, uint64_t pgoff, uint64_t nr)
{
	size_t used = strlen(ranges);

	assert_ptr_equal(arg, ranges);
	snprintf(ranges + used, sizeof(ranges) - used, "%s%llu+%llu", used ? " " : "",
		 (unsigned long long)pgoff, (unsigned long long)nr);
}

static const char *extra_in(const struct mapped *m, uint64_t pgoff, uint64_t nr)
{
	ranges[0] = 0;
	assert_int_equal(os_page_refs_extra(refs, m->fd, pgoff, nr, note, ranges), 0);
	return ranges;
}

static const char *extra(const struct mapped *m)
{
	return extra_in(m, 0, m->size / PAGE);
}

static void touch(const struct mapped *m, size_t from, size_t to)
{
	for (size_t page = from; page < to; page++)
		m->at[page * PAGE] = 1;
}

static void fill(int fd, const struct mapped *m, size_t page, size_t nr)
{
	struct iovec iov = { .iov_base = m->at + page * PAGE, .iov_len = nr * PAGE };

	assert_int_equal(vmsplice(fd, &iov, 1, 0), nr * PAGE);
}

static void drain(int fd, size_t size)
{
	static char bytes[4 * PAGE];

	while (size) {
		ssize_t n = read(fd, bytes, size < sizeof(bytes) ? size : sizeof(bytes));

		assert_true(n > 0);
		size -= (size_t)n;
	}
}

/* ---- what is told -------------------------------------------------------------------------- */

static void a_page_in_a_pipe_is_told_until_it_is_read(void **state)
{
	struct mapped m;
	int p[2];

	NEED();
	m = make(300 * PAGE);
	assert_int_equal(pipe(p), 0);
	touch(&m, 0, 300);
	assert_string_equal(extra(&m), "");
	fill(p[1], &m, 62, 4);
	fill(p[1], &m, 250, 1);
	assert_string_equal(extra(&m), "62+4 250+1");
	assert_string_equal(extra_in(&m, 0, 63), "62+1");
	assert_string_equal(extra_in(&m, 64, 186), "64+2");
	assert_string_equal(extra_in(&m, 65, 1), "65+1");
	assert_string_equal(extra_in(&m, 66, 184), "");
	drain(p[0], PAGE + 1);
	assert_string_equal(extra(&m), "63+3 250+1");
	drain(p[0], 4 * PAGE - 1);
	assert_string_equal(extra(&m), "");
	close(p[0]);
	close(p[1]);
	drop(&m);
}

static void mappings_and_pages_that_are_not_there_are_none(void **state)
{
	struct mapped m;
	char *more[3];

	NEED();
	m = make(64 * PAGE);
	assert_string_equal(extra(&m), "");
	touch(&m, 0, 1);
	assert_string_equal(extra(&m), "");
	touch(&m, 20, 40);
	for (int i = 0; i < 3; i++) {
		more[i] = mmap(NULL, m.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			       m.fd, 0);
		assert_ptr_not_equal(more[i], MAP_FAILED);
	}
	assert_string_equal(extra(&m), "");
	for (int i = 0; i < 3; i++)
		munmap(more[i], m.size);
	assert_int_equal(
		fallocate(m.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)m.size), 0);
	assert_string_equal(extra(&m), "");
	assert_int_equal(pwrite(m.fd, "x", 1, 5 * (off_t)PAGE), 1);
	assert_string_equal(extra(&m), "");
	drop(&m);
}

static void a_large_sparse_file_is_looked_at_quickly_and_rightly(void **state)
{
	static const size_t pages[] = { 0, 4095, 4096, 262143, 262144, ((size_t)1 << 26) - 1 };
	const size_t size = (size_t)1 << 38;
	struct mapped m;
	uint64_t begin;
	int p[2];

	NEED();
	m = make(size);
	assert_int_equal(pipe(p), 0);
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		touch(&m, pages[i], pages[i] + 1);
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		char want[40];

		snprintf(want, sizeof(want), "%zu+1", pages[i]);
		fill(p[1], &m, pages[i], 1);
		assert_string_equal(extra_in(&m, pages[i] & ~(size_t)511, 512), want);
		assert_string_equal(extra_in(&m, pages[i], 1), want);
		drain(p[0], PAGE);
	}
	drop(&m);
	m = make(size);
	touch(&m, 0, 2);
	assert_string_equal(extra_in(&m, 1 << 20, 2), "");
	touch(&m, 64, 66);
	assert_string_equal(extra_in(&m, 1 << 20, 2), "");
	begin = os_clock_ns();
	assert_string_equal(extra_in(&m, 0, size / PAGE), "");
	assert_true(os_clock_ns() - begin < 2000000000);
	close(p[0]);
	close(p[1]);
	drop(&m);
}

/* What one processor has touched waits in its list, which another cannot empty by itself. */
static void *touch_elsewhere(void *arg)
{
	const struct mapped *m = arg;
	cpu_set_t set;

	for (int cpu = 0; cpu < 2; cpu++) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			continue;
		touch(m, (size_t)cpu * 5, (size_t)cpu * 5 + 5);
	}
	return NULL;
}

static void a_page_that_waits_for_the_kernels_lists_is_not_told(void **state)
{
	NEED();
	for (int i = 0; i < 20; i++) {
		struct mapped m = make(64 * PAGE);
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, touch_elsewhere, &m), 0);
		pthread_join(thread, NULL);
		assert_string_equal(extra(&m), "");
		drop(&m);
	}
}

static void a_page_of_a_large_folio_is_told_for_all_of_it(void **state)
{
	struct mapped m;
	int p[2];

	NEED();
	m = make(4 * HUGE);
	assert_int_equal(pipe(p), 0);
	for (int i = 1; i < 3; i++) {
		m.at[(size_t)i * HUGE] = 1;
		if (madvise(m.at + (size_t)i * HUGE, HUGE, MADV_COLLAPSE)) {
			drop(&m);
			skip();
		}
	}
	touch(&m, 0, 3);
	assert_string_equal(extra(&m), "");
	fill(p[1], &m, 512 + 300, 1);
	assert_string_equal(extra(&m), "512+512");
	assert_string_equal(extra_in(&m, 600, 10), "600+10");
	assert_string_equal(extra_in(&m, 1023, 2), "1023+1");
	assert_string_equal(extra_in(&m, 1024, 512), "");
	drain(p[0], PAGE);
	assert_string_equal(extra(&m), "");
	/* Mapped by pages now. */
	munmap(m.at + HUGE + 5 * PAGE, PAGE);
	fill(p[1], &m, 512, 1);
	assert_string_equal(extra(&m), "512+512");
	drain(p[0], PAGE);
	assert_string_equal(extra(&m), "");
	close(p[0]);
	close(p[1]);
	drop(&m);
}

/* A hole in a large folio leaves smaller ones, of several slots each where the kernel splits no further than it
 * must. */
static void a_page_of_a_folio_of_a_few_pages_is_told_for_all_of_it(void **state)
{
	unsigned long long first, nr;
	struct mapped m;
	int p[2];

	NEED();
	m = make(HUGE);
	assert_int_equal(pipe(p), 0);
	m.at[0] = 1;
	if (madvise(m.at, HUGE, MADV_COLLAPSE)) {
		drop(&m);
		skip();
	}
	assert_int_equal(fallocate(m.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   300 * (off_t)PAGE, (off_t)PAGE),
			 0);
	assert_string_equal(extra(&m), "");
	touch(&m, 0, 512);
	assert_string_equal(extra(&m), "");
	fill(p[1], &m, 290, 1);
	assert_int_equal(sscanf(extra(&m), "%llu+%llu", &first, &nr), 2);
	assert_true(first <= 290 && first + nr > 290 && !(first % nr) && nr < 256);
	print_message("%llu pages\n", nr);
	assert_string_equal(extra_in(&m, 290, 1), "290+1");
	assert_string_equal(extra_in(&m, 0, 200), "");
	drain(p[0], PAGE);
	assert_string_equal(extra(&m), "");
	close(p[0]);
	close(p[1]);
	drop(&m);
}

static void buffers_registered_with_a_ring_are_told(void **state)
{
	struct io_uring_params params = { 0 };
	struct mapped m;
	struct iovec iov;
	int ring, tries;

	NEED();
	ring = (int)syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0)
		skip();
	m = make(64 * PAGE);
	touch(&m, 0, 64);
	iov.iov_base = m.at + 7 * PAGE;
	iov.iov_len = 3 * PAGE;
	assert_int_equal(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1), 0);
	assert_string_equal(extra(&m), "7+3");
	close(ring);
	for (tries = 0; tries < 500 && *extra(&m); tries++)
		usleep(10000);
	assert_string_equal(extra(&m), "");
	drop(&m);
}

/* ---- what happens meanwhile ---------------------------------------------------------------- */

struct churn {
	struct mapped m;
	_Atomic bool stop;
};

static void *churn(void *arg)
{
	struct churn *c = arg;

	for (uint64_t i = 0; !atomic_load(&c->stop); i++) {
		size_t page = 100 + i * 7 % 400;

		c->m.at[page * PAGE] = 1;
		if (i % 3 == 0)
			fallocate(c->m.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  (off_t)(page * PAGE), 50 * (off_t)PAGE);
	}
	return NULL;
}

static bool told_ninety;

static void note_ninety(void *arg, uint64_t pgoff, uint64_t nr)
{
	told_ninety = told_ninety || (pgoff <= 90 && pgoff + nr > 90);
}

static void a_pinned_page_is_told_whatever_happens_beside_it(void **state)
{
	struct churn c = { .stop = false };
	pthread_t thread;
	uint64_t end;
	int p[2];

	NEED();
	c.m = make(600 * PAGE);
	assert_int_equal(pipe(p), 0);
	touch(&c.m, 90, 91);
	fill(p[1], &c.m, 90, 1);
	assert_int_equal(pthread_create(&thread, NULL, churn, &c), 0);
	for (end = os_clock_ns() + 500000000; os_clock_ns() < end;) {
		int ret;

		told_ninety = false;
		ret = os_page_refs_extra(refs, c.m.fd, 0, 600, note_ninety, NULL);
		assert_true((ret == 0 && told_ninety) || ret == -EAGAIN);
	}
	atomic_store(&c.stop, true);
	pthread_join(thread, NULL);
	close(p[0]);
	close(p[1]);
	drop(&c.m);
}

/* ---- where it may not ---------------------------------------------------------------------- */

static int open_as_nobody(void)
{
	struct os_page_refs *r;
	uint64_t live = os_alloc_live();

	if (refs)
		os_page_refs_close(refs);
	live = refs ? os_alloc_live() : live;
	if (setresuid(65534, 65534, 65534))
		return 2;
	if (os_page_refs_open(&r) >= 0)
		return 3;
	return os_alloc_live() == live && os_fd_next(0) < 0 ? 0 : 4;
}

static void without_the_right_it_says_so_and_leaves_nothing(void **state)
{
	if (getuid())
		skip();
	assert_true(exited_with(in_child(open_as_nobody), 0));
}

static void the_kernels_types_are_found_by_name(void **state)
{
	uint32_t value;
	struct os_btf b;

	if (os_btf_open(&b))
		skip();
	assert_int_equal(os_btf_offset(&b, "list_head", "prev", &value), 0);
	assert_int_equal(value, sizeof(void *));
	/* In a structure without a name, in a union without a name. */
	assert_int_equal(os_btf_offset(&b, "folio", "_refcount", &value), 0);
	assert_in_range(value, 1, 60);
	assert_int_equal(os_btf_offset(&b, "folio", "_large_mapcount", &value), 0);
	assert_in_range(value, 64, 127);
	assert_int_equal(os_btf_offset(&b, "folio", "nothing_like_it", &value), -ENOENT);
	assert_int_equal(os_btf_offset(&b, "nothing_like_it", "prev", &value), -ENOENT);
	assert_int_equal(os_btf_enumerator(&b, "pid_type", "PIDTYPE_TGID", &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(os_btf_enumerator(&b, "pid_type", "PIDTYPE_X", &value), -ENOENT);
	os_btf_close(&b);
}

static void costs(void **state)
{
	struct mapped m;
	uint64_t begin, one, many;

	NEED();
	m = make(512 * PAGE);
	touch(&m, 0, 512);
	extra(&m);
	begin = os_clock_ns();
	for (int i = 0; i < 1000; i++)
		extra_in(&m, 5, 1);
	one = (os_clock_ns() - begin) / 1000;
	begin = os_clock_ns();
	for (int i = 0; i < 100; i++)
		extra(&m);
	many = (os_clock_ns() - begin) / 100;
	print_message("1 page: %llu ns, 512 pages: %llu ns\n", (unsigned long long)one,
		      (unsigned long long)many);
	drop(&m);
}

static void ignore(int signo)
{
}

struct caller {
	pthread_t who;
	_Atomic bool over;
};

static void *call_often(void *arg)
{
	struct caller *c = arg;

	for (unsigned int i = 0; !atomic_load(&c->over); i++) {
		pthread_kill(c->who, SIGUSR1);
		usleep(200 + i * 37 % 800);
	}
	return NULL;
}

/* The kernel does not check a program to the end while something waits for the thread. */
static void signals_beside_it_do_not_keep_it_from_being_opened(void **state)
{
	struct sigaction sa = { .sa_handler = ignore, .sa_flags = SA_RESTART };
	struct caller c = { .who = pthread_self() };
	pthread_t thread;

	NEED();
	assert_int_equal(sigaction(SIGUSR1, &sa, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, call_often, &c), 0);
	for (int i = 0; i < 100; i++) {
		struct os_page_refs *other;

		assert_int_equal(os_page_refs_open(&other), 0);
		os_page_refs_close(other);
	}
	atomic_store(&c.over, true);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_in_a_pipe_is_told_until_it_is_read),
		cmocka_unit_test(mappings_and_pages_that_are_not_there_are_none),
		cmocka_unit_test(a_large_sparse_file_is_looked_at_quickly_and_rightly),
		cmocka_unit_test(a_page_that_waits_for_the_kernels_lists_is_not_told),
		cmocka_unit_test(a_page_of_a_large_folio_is_told_for_all_of_it),
		cmocka_unit_test(a_page_of_a_folio_of_a_few_pages_is_told_for_all_of_it),
		cmocka_unit_test(buffers_registered_with_a_ring_are_told),
		cmocka_unit_test(a_pinned_page_is_told_whatever_happens_beside_it),
		cmocka_unit_test(signals_beside_it_do_not_keep_it_from_being_opened),
		cmocka_unit_test(without_the_right_it_says_so_and_leaves_nothing),
		cmocka_unit_test(the_kernels_types_are_found_by_name),
		cmocka_unit_test(costs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
