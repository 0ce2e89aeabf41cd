/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Catches: whose fault it is, and that the thread is as before. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "os/fault.h"
#include "os/os.h"

#define PAGE OS_PAGE_SIZE

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static volatile uint8_t *no_access; /* SIGSEGV */
static volatile uint8_t *no_file;   /* SIGBUS from its second page on */

struct body {
	void (*fn)(void **state);
};

/* Not cmocka's setup: it puts its own handlers in once more between that and the test. */
static void run(void **state)
{
	const struct body *body = *state;
	void *map;
	int fd;

	assert_int_equal(os_fault_init(), 0);
	no_access = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(os_memfd_create("test", PAGE, &fd), 0);
	assert_int_equal(os_map_file(fd, 0, 2 * PAGE, 0, OS_MAP_READ | OS_MAP_WRITE, &map), 0);
	os_fd_close(fd);
	no_file = map;
	body->fn(state);
	munmap((void *)(uintptr_t)no_access, PAGE);
	os_unmap(map, 2 * PAGE);
}

/* True when touching faulted; then *c says how. */
static __attribute__((noinline)) bool faults(volatile uint8_t *p, struct os_catch *c)
{
	switch (os_catch(c)) {
	case 0:
		*p = 1;
		os_catch_end(c);
		return false;
	case OS_CATCH_FAULT:
		return true;
	}
	fail();
	return false;
}

static void a_fault_is_caught_with_its_place(void **state)
{
	struct os_catch c;

	assert_true(faults(no_access + 123, &c));
	assert_int_equal(c.signo, SIGSEGV);
	assert_ptr_equal((void *)c.addr, (void *)(uintptr_t)(no_access + 123));
	assert_true(faults(no_file + PAGE + 5, &c));
	assert_int_equal(c.signo, SIGBUS);
	assert_ptr_equal((void *)c.addr, (void *)(uintptr_t)(no_file + PAGE + 5));
	assert_false(faults(no_file, &c));
}

static void catches_nest(void **state)
{
	struct os_catch outer;
	struct os_catch inner;
	volatile int inner_seen = 0;

	switch (os_catch(&outer)) {
	case 0:
		assert_true(faults(no_access, &inner));
		inner_seen = 1;
		assert_false(faults(no_file, &inner));
		inner_seen = 2;
		*no_access = 1;
		fail();
		break;
	case OS_CATCH_FAULT:
		break;
	}
	assert_int_equal(inner_seen, 2);
	assert_ptr_equal((void *)outer.addr, (void *)(uintptr_t)no_access);
}

static void many_faults_leave_no_trace(void **state)
{
	struct os_catch c;
	int i;

	for (i = 0; i < 20000; i++)
		assert_true(faults(i & 1 ? no_access : no_file + PAGE, &c));
}

static __attribute__((noinline)) void throw_from_below(struct os_catch *to)
{
	struct os_catch inner;

	if (os_catch(&inner) == 0)
		os_catch_throw(to, 7);
	fail();
}

static void a_throw_leaves_the_catch_active(void **state)
{
	struct os_catch c;
	volatile int thrown = 0;

	switch (os_catch(&c)) {
	case 0:
		throw_from_below(&c);
		break;
	case 7:
		/* Once more, now by a fault: the inner catch is gone, this one still there. */
		thrown++;
		*no_access = 1;
		break;
	case OS_CATCH_FAULT:
		thrown++;
		break;
	}
	assert_int_equal(thrown, 2);
}

/* ---- masks ----------------------------------------------------------------------------------- */

static void block(int how, int a, int b)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, a);
	sigaddset(&set, b);
	assert_int_equal(pthread_sigmask(how, &set, NULL), 0);
	os_signal_mask_changed();
}

static bool blocked(int signo)
{
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	return sigismember(&set, signo);
}

static void a_fault_is_caught_with_the_signals_blocked(void **state)
{
	struct os_catch c;
	int i;

	block(SIG_BLOCK, SIGSEGV, SIGBUS);
	for (i = 0; i < 3; i++) {
		assert_true(faults(no_access, &c));
		assert_true(blocked(SIGSEGV) && blocked(SIGBUS));
		assert_true(faults(no_file + PAGE, &c));
		assert_true(blocked(SIGSEGV) && blocked(SIGBUS));
		assert_false(faults(no_file, &c));
		assert_true(blocked(SIGSEGV) && blocked(SIGBUS));
	}
	block(SIG_UNBLOCK, SIGSEGV, SIGSEGV);
	assert_true(faults(no_file + PAGE, &c));
	assert_true(!blocked(SIGSEGV) && blocked(SIGBUS));
	block(SIG_UNBLOCK, SIGBUS, SIGBUS);
	assert_true(faults(no_file + PAGE, &c));
	assert_true(!blocked(SIGSEGV) && !blocked(SIGBUS));
}

static void a_fault_leaves_the_mask_alone(void **state)
{
	struct os_catch c;

	block(SIG_BLOCK, SIGUSR1, SIGUSR1);
	assert_true(faults(no_access, &c));
	assert_true(blocked(SIGUSR1) && !blocked(SIGUSR2) && !blocked(SIGSEGV));
	block(SIG_UNBLOCK, SIGUSR1, SIGUSR1);
	assert_true(faults(no_access, &c));
	assert_false(blocked(SIGUSR1));
}

/* ---- alternate stacks ------------------------------------------------------------------------ */

static void use_alternate_stack(stack_t *ss, unsigned int flags)
{
	*ss = (stack_t){ .ss_size = 65536, .ss_flags = (int)flags };
	ss->ss_sp = malloc(ss->ss_size);
	assert_int_equal(sigaltstack(ss, NULL), 0);
}

static void drop_alternate_stack(stack_t *ss)
{
	stack_t off = { .ss_flags = SS_DISABLE };

	assert_int_equal(sigaltstack(&off, NULL), 0);
	free(ss->ss_sp);
}

static void check_alternate_stack(unsigned int flags)
{
	struct os_catch c;
	stack_t ss, now;
	int i;

	use_alternate_stack(&ss, flags);
	for (i = 0; i < 3; i++) {
		assert_true(faults(no_access, &c));
		assert_int_equal(sigaltstack(NULL, &now), 0);
		assert_ptr_equal(now.ss_sp, ss.ss_sp);
		assert_int_equal((unsigned int)now.ss_flags, flags);
	}
	drop_alternate_stack(&ss);
}

static void the_alternate_stack_is_free_again(void **state)
{
	check_alternate_stack(0);
	check_alternate_stack(SS_AUTODISARM);
}

static volatile int handler_result;

static void copying_handler(int signo)
{
	uint64_t word;

	os_signal_mask_changed();
	handler_result = os_copy_in(&word, (uintptr_t)no_access, sizeof(word));
}

static void a_handler_on_the_alternate_stack_may_catch(void **state)
{
	struct sigaction sa = { .sa_handler = copying_handler, .sa_flags = SA_ONSTACK };
	struct sigaction old;
	stack_t ss;

	use_alternate_stack(&ss, 0);
	sigaction(SIGUSR1, &sa, &old);
	handler_result = 1;
	raise(SIGUSR1);
	os_signal_mask_changed();
	assert_int_equal(handler_result, -EFAULT);
	sigaction(SIGUSR1, &old, NULL);
	drop_alternate_stack(&ss);
}

/* ---- not ours -------------------------------------------------------------------------------- */

static sigjmp_buf back;
static volatile int nr_theirs;

static void their_handler(int signo, siginfo_t *info, void *uc)
{
	nr_theirs++;
	if (info->si_code > 0)
		siglongjmp(back, 1);
}

static void a_fault_leaves_the_arithmetic_modes_alone(void **state)
{
	const uint32_t flush_to_zero = 0x9fc0, usual = 0x1f80;
	const uint16_t round_down = 0x77f, usual_x87 = 0x37f;
	struct os_catch c;
	uint32_t mxcsr;
	uint16_t fcw;

	__asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(flush_to_zero), "m"(round_down));
	assert_true(faults(no_access, &c));
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(fcw));
	__asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(usual), "m"(usual_x87));
	assert_int_equal(mxcsr & 0xffc0, flush_to_zero);
	assert_int_equal(fcw, round_down);
}

static int others_faults_and_sent_signals(void)
{
	struct sigaction sa = { .sa_sigaction = their_handler, .sa_flags = SA_SIGINFO };
	struct os_catch c;

	sigaction(SIGSEGV, &sa, NULL);
	if (os_fault_init())
		return 1;
	if (!sigsetjmp(back, 1))
		*no_access = 1;
	if (nr_theirs != 1)
		return 2;
	/* Sent, not caused: no catch takes it. */
	if (os_catch(&c))
		return 3;
	raise(SIGSEGV);
	os_catch_end(&c);
	if (nr_theirs != 2)
		return 4;
	return faults(no_access, &c) && nr_theirs == 2 ? 0 : 5;
}

static int a_plain_fault(void)
{
	os_fault_init();
	*no_access = 1;
	return 0;
}

static int a_plain_sent_signal(void)
{
	os_fault_init();
	kill(getpid(), SIGBUS);
	return 0;
}

static void what_is_not_ours_goes_to_who_was_there(void **state)
{
	assert_true(exited_with(in_child(others_faults_and_sent_signals), 0));
}

static void without_a_catch_a_fault_kills(void **state)
{
	assert_true(died_of(in_child(a_plain_fault), SIGSEGV));
	assert_true(died_of(in_child(a_plain_sent_signal), SIGBUS));
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void copies_end_at_the_page_that_is_not_there(void **state)
{
	uint8_t *map =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t edge = (uintptr_t)map + PAGE;
	char buf[64];

	mprotect(map + PAGE, PAGE, PROT_NONE);
	memset(map, 'a', PAGE);
	assert_int_equal(os_copy_in(buf, edge - 64, 64), 0);
	assert_int_equal(buf[0] + buf[63], 2 * 'a');
	assert_int_equal(os_copy_in(buf, edge - 63, 64), -EFAULT);
	assert_int_equal(os_copy_in(buf, edge, 1), -EFAULT);
	assert_int_equal(os_copy_in(buf, edge, 0), 0);
	memset(buf, 'b', sizeof(buf));
	assert_int_equal(os_copy_out(edge - 64, buf, 64), 0);
	assert_int_equal(map[PAGE - 1], 'b');
	assert_int_equal(os_copy_out(edge - 1, buf, 2), -EFAULT);
	assert_int_equal(os_copy_out(0, buf, 1), -EFAULT);
	assert_int_equal(os_copy_in(buf, 0xffff800000000000ull, 1), -EFAULT);
	assert_int_equal(os_copy_in(buf, 0x8000000000000000ull, 1), -EFAULT);
	assert_int_equal(os_copy_in(buf, UINT64_MAX, 1), -EFAULT);
	munmap(map, 2 * PAGE);
}

static void thread_main(void *arg)
{
	struct os_catch c;
	int i;

	for (i = 0; i < 2000; i++) {
		os_assert(faults(no_access + (uintptr_t)arg, &c));
		os_assert(c.addr == (uintptr_t)no_access + (uintptr_t)arg);
	}
}

static void every_thread_catches_its_own(void **state)
{
	struct os_thread *t[4];
	int i;

	for (i = 0; i < 4; i++)
		assert_int_equal(os_thread_create(thread_main, (void *)(uintptr_t)i, "c", &t[i]),
				 0);
	for (i = 0; i < 4; i++)
		os_thread_join(t[i]);
}

#define TEST(name)                                     \
	{                                              \
#name, run, NULL, NULL, &(struct body) \
		{                                      \
			name                           \
		}                                      \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fault_is_caught_with_its_place),
		TEST(catches_nest),
		TEST(many_faults_leave_no_trace),
		TEST(a_throw_leaves_the_catch_active),
		TEST(a_fault_is_caught_with_the_signals_blocked),
		TEST(a_fault_leaves_the_mask_alone),
		TEST(a_fault_leaves_the_arithmetic_modes_alone),
		TEST(the_alternate_stack_is_free_again),
		TEST(a_handler_on_the_alternate_stack_may_catch),
		TEST(what_is_not_ours_goes_to_who_was_there),
		TEST(without_a_catch_a_fault_kills),
		TEST(copies_end_at_the_page_that_is_not_there),
		TEST(every_thread_catches_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
