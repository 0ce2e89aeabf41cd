/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Pages of a guest_memfd that pipes hold cannot become private: in whichever pipe they are by now, from before
 * the call that puts them there, until the last byte of them is out.
 */
#include "inplace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR 8u

static struct inplace t;

static int setup(void **state)
{
	inplace_make(&t, NR, SHARED_FIRST);
	for (unsigned int i = 0; i < NR; i++)
		t.host[i * PAGE] = (uint8_t)('a' + i);
	return 0;
}

static int teardown(void **state)
{
	inplace_free(&t);
	return 0;
}

static void make_pipe(int ends[2])
{
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

static void close_pipe(int ends[2])
{
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(close(ends[1]), 0);
}

static void give(int fd, unsigned int page, unsigned int nr)
{
	struct iovec v = { t.host + page * PAGE, nr * PAGE };

	assert_int_equal(vmsplice(fd, &v, 1, 0), nr * PAGE);
}

static void drain(int fd, size_t size)
{
	static char bytes[2 * PAGE];

	while (size) {
		ssize_t n = read(fd, bytes, size < sizeof(bytes) ? size : sizeof(bytes));

		assert_true(n > 0);
		size -= (size_t)n;
	}
}

/* Which pages cannot become private, as a mask; those that can are made shared again. */
static unsigned int held(void)
{
	unsigned int mask = 0;

	for (unsigned int i = 0; i < NR; i++) {
		uint64_t where;
		int r = inplace_convert(t.fd, i * PAGE, PAGE, PRIVATE, &where);

		if (r) {
			assert_int_equal(r, -EAGAIN);
			assert_int_equal(where, i * PAGE);
			mask |= 1u << i;
		} else {
			inplace_set(&t, i, 1, 0);
		}
		assert_int_equal(t.host[i * PAGE], 'a' + i);
	}
	return mask;
}

/* ---- what is in a pipe --------------------------------------------------------------------- */

static void pages_are_let_go_one_by_one(void **state)
{
	int p[2];

	make_pipe(p);
	give(p[1], 2, 3);
	assert_int_equal(held(), 0x1c);
	drain(p[0], PAGE + 1);
	assert_int_equal(held(), 0x18);
	drain(p[0], PAGE - 1);
	assert_int_equal(held(), 0x10);
	drain(p[0], PAGE);
	assert_int_equal(held(), 0);
	close_pipe(p);
}

static void a_pipe_that_is_closed_holds_nothing(void **state)
{
	int p[2];

	make_pipe(p);
	give(p[1], 2, 1);
	close(p[1]);
	assert_int_equal(held(), 4);
	close(p[0]);
	assert_int_equal(held(), 0);
}

static void the_lowest_held_page_is_told(void **state)
{
	int p[2];
	uint64_t where;

	make_pipe(p);
	give(p[1], 6, 1);
	give(p[1], 3, 2);
	assert_int_equal(inplace_convert(t.fd, 0, NR * PAGE, PRIVATE, &where), -EAGAIN);
	assert_int_equal(where, 3 * PAGE);
	assert_int_equal(inplace_convert(t.fd, 4 * PAGE, 4 * PAGE, PRIVATE, &where), -EAGAIN);
	assert_int_equal(where, 4 * PAGE);
	assert_int_equal(inplace_convert(t.fd, 5 * PAGE, 3 * PAGE, PRIVATE, &where), -EAGAIN);
	assert_int_equal(where, 6 * PAGE);
	close_pipe(p);
	inplace_set(&t, 0, NR, PRIVATE);
}

static void a_part_of_a_page_holds_it(void **state)
{
	struct iovec v = { t.host + 2 * PAGE + 100, 10 };
	int p[2];

	make_pipe(p);
	assert_int_equal(vmsplice(p[1], &v, 1, SPLICE_F_GIFT), 10);
	v.iov_base = t.host + 5 * PAGE - 1;
	v.iov_len = 2;
	assert_int_equal(vmsplice(p[1], &v, 1, SPLICE_F_NONBLOCK), 2);
	assert_int_equal(held(), 0x34);
	drain(p[0], 11);
	assert_int_equal(held(), 0x20);
	close_pipe(p);
}

/* Two windows, a hole between them that is no window, and memory of the program. */
static void a_vector_may_span_windows_and_other_memory(void **state)
{
	uint8_t *area =
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static uint8_t own[PAGE];
	struct iovec v[] = { { own, PAGE }, { area, 4 * PAGE }, { t.host + 7 * PAGE, PAGE } };
	int p[2];

	assert_ptr_not_equal(area, MAP_FAILED);
	assert_ptr_equal(mmap(area, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, t.fd, 5 * PAGE), area);
	assert_ptr_equal(mmap(area + 2 * PAGE, 2 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, t.fd,
			      1 * PAGE),
			 area + 2 * PAGE);
	make_pipe(p);
	assert_int_equal(vmsplice(p[1], v, 3, 0), 6 * PAGE);
	assert_int_equal(held(), 0xa6);
	drain(p[0], 2 * PAGE); /* own and page 5 */
	assert_int_equal(held(), 0x86);
	drain(p[0], PAGE); /* anonymous */
	assert_int_equal(held(), 0x86);
	drain(p[0], PAGE);
	assert_int_equal(held(), 0x84);
	/* The window goes, the page stays where it is. */
	assert_int_equal(munmap(area, 4 * PAGE), 0);
	assert_int_equal(held(), 0x84);
	drain(p[0], 2 * PAGE);
	assert_int_equal(held(), 0);
	close_pipe(p);
}

static void a_private_page_does_not_get_into_a_pipe(void **state)
{
	struct iovec v = { t.host + 2 * PAGE, PAGE }, two = { t.host + PAGE, 2 * PAGE };
	int p[2];

	make_pipe(p);
	inplace_set(&t, 2, 1, PRIVATE);
	assert_int_equal(vmsplice(p[1], &v, 1, 0), -1);
	assert_int_equal(errno, EFAULT);
	inplace_set(&t, 1, 1, PRIVATE);
	inplace_set(&t, 1, 1, 0);
	assert_int_equal(vmsplice(p[1], &two, 1, 0), PAGE);
	inplace_set(&t, 2, 1, 0);
	assert_int_equal(held(), 2);
	close_pipe(p);
	assert_int_equal(held(), 0);
}

static void a_vector_that_cannot_be_read_is_refused(void **state)
{
	struct iovec v = { t.host, PAGE }, too_long = { t.host, (size_t)-1 };
	int p[2];

	make_pipe(p);
	inplace_set(&t, 3, 1, PRIVATE);
	assert_int_equal(vmsplice(p[1], (struct iovec *)(void *)(t.host + 3 * PAGE), 1, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(vmsplice(p[1], &too_long, 1, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(vmsplice(p[1], &v, 1025, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(vmsplice(p[1], &v, 1, 0x100), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(vmsplice(p[1], &v, 0, 0), 0);
	assert_int_equal(vmsplice(-1, &v, 1, 0), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(vmsplice(open("/dev/null", O_RDWR | O_CLOEXEC), &v, 1, 0), -1);
	assert_int_equal(errno, EBADF);
	inplace_set(&t, 3, 1, 0);
	assert_int_equal(held(), 0);
	close_pipe(p);
}

/* From a pipe to memory: nothing is held by it. */
static void out_of_a_pipe_into_a_window_holds_nothing(void **state)
{
	struct iovec v = { t.host + 2 * PAGE, PAGE };
	static char bytes[PAGE] = "c";
	int p[2];

	make_pipe(p);
	assert_int_equal(write(p[1], bytes, PAGE), PAGE);
	assert_int_equal(write(p[1], bytes, PAGE), PAGE);
	assert_int_equal(vmsplice(p[0], &v, 1, 0), PAGE);
	assert_int_equal(held(), 0);
	close_pipe(p);
}

/* ---- from pipe to pipe --------------------------------------------------------------------- */

static void a_page_is_held_by_the_pipe_it_went_to(void **state)
{
	int a[2], b[2], c[2];

	make_pipe(a);
	make_pipe(b);
	make_pipe(c);
	give(a[1], 2, 1);
	assert_int_equal(splice(a[0], NULL, b[1], NULL, PAGE, 0), PAGE);
	close_pipe(a);
	assert_int_equal(held(), 4);
	assert_int_equal(tee(b[0], c[1], PAGE, 0), PAGE);
	drain(b[0], PAGE);
	assert_int_equal(held(), 4);
	drain(c[0], PAGE - 1);
	assert_int_equal(held(), 4);
	drain(c[0], 1);
	assert_int_equal(held(), 0);
	close_pipe(b);
	close_pipe(c);
}

static void the_raw_calls_are_followed_too(void **state)
{
	struct iovec v = { t.host + 2 * PAGE, PAGE };
	int a[2], b[2], c[2];

	make_pipe(a);
	make_pipe(b);
	make_pipe(c);
	assert_int_equal(syscall(SYS_vmsplice, a[1], &v, 1ul, 0), PAGE);
	assert_int_equal(held(), 4);
	assert_int_equal(syscall(SYS_splice, a[0], NULL, b[1], NULL, PAGE, 0), PAGE);
	assert_int_equal(syscall(SYS_tee, b[0], c[1], PAGE, 0), PAGE);
	close_pipe(a);
	close_pipe(b);
	assert_int_equal(held(), 4);
	close_pipe(c);
	assert_int_equal(held(), 0);
}

static void what_went_into_a_file_is_free(void **state)
{
	int a[2], out = memfd_create("out", MFD_CLOEXEC);

	make_pipe(a);
	give(a[1], 2, 1);
	assert_int_equal(splice(a[0], NULL, out, NULL, PAGE, 0), PAGE);
	assert_int_equal(held(), 0);
	close(out);
	close_pipe(a);
}

/* ---- calls that wait ----------------------------------------------------------------------- */

struct waiting {
	pthread_t thread;
	int p[2]; /* full of page 2 */
	unsigned int page;
	ssize_t ret;
};

static void *wait_for_room(void *arg)
{
	struct waiting *w = arg;
	struct iovec v = { t.host + w->page * PAGE, PAGE };

	w->ret = vmsplice(w->p[1], &v, 1, 0);
	return NULL;
}

static void fill_pipe(struct waiting *w)
{
	make_pipe(w->p);
	assert_int_equal(fcntl(w->p[1], F_SETPIPE_SZ, PAGE), PAGE);
	give(w->p[1], 2, 1);
}

static void start_waiting(struct waiting *w)
{
	assert_int_equal(pthread_create(&w->thread, NULL, wait_for_room, w), 0);
	guest_sleep_us(50000);
}

static void a_call_that_waits_for_room_holds_its_pages_and_nothing_else(void **state)
{
	struct waiting w = { .page = 5 };

	fill_pipe(&w);
	start_waiting(&w);
	assert_int_equal(held(), 0x24);
	drain(w.p[0], PAGE);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.ret, PAGE);
	assert_int_equal(held(), 0x20);
	drain(w.p[0], PAGE);
	assert_int_equal(held(), 0);
	close_pipe(w.p);
}

static void what_is_private_already_may_be_wanted_by_a_call_that_waits(void **state)
{
	struct waiting w = { .page = 5 };

	fill_pipe(&w);
	inplace_set(&t, 5, 1, PRIVATE);
	start_waiting(&w);
	inplace_set(&t, 4, 3, PRIVATE);
	drain(w.p[0], PAGE);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.ret, -1);
	inplace_set(&t, 0, NR, PRIVATE);
	close_pipe(w.p);
}

/* Nobody knows how far it got. */
static void a_call_that_is_cancelled_holds_until_the_pipe_is_empty(void **state)
{
	struct waiting w = { .page = 5 };

	fill_pipe(&w);
	start_waiting(&w);
	pthread_cancel(w.thread);
	pthread_join(w.thread, NULL);
	assert_int_equal(held(), 0x24);
	drain(w.p[0], PAGE);
	assert_int_equal(held(), 0);
	close_pipe(w.p);
}

struct moving {
	int in, out;
	ssize_t ret;
};

static void *wait_for_data(void *arg)
{
	struct moving *m = arg;

	m->ret = splice(m->in, NULL, m->out, NULL, PAGE, 0);
	return NULL;
}

static void a_page_that_comes_to_a_splice_that_waits_is_held(void **state)
{
	struct moving m;
	pthread_t thread;
	int a[2], b[2];

	make_pipe(a);
	make_pipe(b);
	m = (struct moving){ .in = a[0], .out = b[1] };
	assert_int_equal(pthread_create(&thread, NULL, wait_for_data, &m), 0);
	guest_sleep_us(50000);
	assert_int_equal(held(), 0);
	give(a[1], 2, 1);
	pthread_join(thread, NULL);
	assert_int_equal(m.ret, PAGE);
	close_pipe(a);
	assert_int_equal(held(), 4);
	drain(b[0], PAGE);
	assert_int_equal(held(), 0);
	close_pipe(b);
}

/* ---- other processes ----------------------------------------------------------------------- */

static void a_childs_pipe_holds_a_page(void **state)
{
	int p[2], go[2], status;
	pid_t child;
	char c;

	make_pipe(p);
	make_pipe(go);
	child = fork();
	if (!child) {
		struct iovec v = { t.host + 3 * PAGE, PAGE };
		bool right = vmsplice(p[1], &v, 1, 0) == (ssize_t)PAGE && write(go[1], "x", 1) == 1;

		while (right)
			pause();
		_exit(1);
	}
	close(p[1]);
	assert_int_equal(read(go[0], &c, 1), 1);
	assert_int_equal(held(), 8);
	drain(p[0], PAGE);
	assert_int_equal(held(), 0);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(p[0]);
	close_pipe(go);
}

static void a_child_that_has_the_pipe_holds_the_parents_page(void **state)
{
	int p[2], go[2], status;
	pid_t child;

	make_pipe(p);
	make_pipe(go);
	give(p[1], 3, 1);
	child = fork();
	if (!child) {
		char c;

		_exit(read(go[0], &c, 1) == 1 ? 0 : 1);
	}
	close_pipe(p);
	assert_int_equal(held(), 8);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(held(), 0);
	close_pipe(go);
}

/* ---- a refusal ----------------------------------------------------------------------------- */

static long faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_minflt;
}

static void touch_all(void)
{
	for (unsigned int i = 0; i < NR; i++)
		t.host[i * PAGE] = (uint8_t)('a' + i);
}

/* The kernel's own conversion has unmapped the range by then. */
static void a_refusal_leaves_the_mapping_as_it_is(void **state)
{
	int p[2];
	long before;

	make_pipe(p);
	give(p[1], 7, 1);
	touch_all();
	before = faults();
	touch_all();
	if (faults() != before)
		skip();
	assert_int_equal(inplace_convert(t.fd, 0, NR * PAGE, PRIVATE, NULL), -EAGAIN);
	before = faults();
	touch_all();
	assert_int_equal(faults(), before);
	close_pipe(p);
	/* That it can be seen. */
	inplace_set(&t, 0, NR, PRIVATE);
	inplace_set(&t, 0, NR, 0);
	before = faults();
	touch_all();
	assert_int_not_equal(faults(), before);
}

static void a_file_that_is_closed_is_gone_though_a_pipe_has_a_page(void **state)
{
	struct inplace other;
	struct iovec v;
	uint8_t byte;
	int p[2];

	make_pipe(p);
	inplace_make(&other, 1, SHARED_FIRST);
	other.host[0] = 'z';
	v = (struct iovec){ other.host, PAGE };
	assert_int_equal(vmsplice(p[1], &v, 1, 0), PAGE);
	inplace_free(&other);
	assert_int_equal(held(), 0);
	assert_int_equal(read(p[0], &byte, 1), 1);
	assert_int_equal(byte, 'z');
	close_pipe(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(pages_are_let_go_one_by_one),
		TEST(a_pipe_that_is_closed_holds_nothing),
		TEST(the_lowest_held_page_is_told),
		TEST(a_part_of_a_page_holds_it),
		TEST(a_vector_may_span_windows_and_other_memory),
		TEST(a_private_page_does_not_get_into_a_pipe),
		TEST(a_vector_that_cannot_be_read_is_refused),
		TEST(out_of_a_pipe_into_a_window_holds_nothing),
		TEST(a_page_is_held_by_the_pipe_it_went_to),
		TEST(the_raw_calls_are_followed_too),
		TEST(what_went_into_a_file_is_free),
		TEST(a_call_that_waits_for_room_holds_its_pages_and_nothing_else),
		TEST(what_is_private_already_may_be_wanted_by_a_call_that_waits),
		TEST(a_call_that_is_cancelled_holds_until_the_pipe_is_empty),
		TEST(a_page_that_comes_to_a_splice_that_waits_is_held),
		TEST(a_childs_pipe_holds_a_page),
		TEST(a_child_that_has_the_pipe_holds_the_parents_page),
		TEST(a_refusal_leaves_the_mapping_as_it_is),
		TEST(a_file_that_is_closed_is_gone_though_a_pipe_has_a_page),
	};

	inplace_need();
	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
