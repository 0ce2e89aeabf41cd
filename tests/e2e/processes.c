/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * One guest_memfd in several processes that know the uAPI alone: forked, of another program that was sent the
 * descriptor, of one that inherited it over exec, of one that took it; and of one outside gmem.
 */
#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define FLAGS (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

static bool in_place;
static int vm;

static int make(uint64_t flags)
{
	struct kvm_create_guest_memfd args = { .size = SIZE, .flags = flags };

	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
	return fd < 0 ? -1 : 0;
}

static int setup(void **state)
{
	if (make(FLAGS) || map_it(PROT_READ | PROT_WRITE, MAP_SHARED))
		return -1;
	for (unsigned long i = 0; i < PAGES; i++)
		map[i * PAGE] = (uint8_t)(i + 1);
	return 0;
}

static int teardown(void **state)
{
	munmap((void *)map, SIZE);
	close(fd);
	return 0;
}

/* ---- any guest_memfd ----------------------------------------------------------------------------- */

/* The whole of it, by every way there is for a descriptor. */
static void is_a_guest_memfd(const struct helper *h)
{
	assert_int_equal(tell(h, SIZE_OF, 0, 0, 0), SIZE);
	assert_int_equal(tell(h, MAP, PROT_READ, MAP_PRIVATE, 0), -EINVAL);
	assert_int_equal(tell(h, ALLOCATE, 0, 0, PAGE), -EOPNOTSUPP);
	assert_int_equal(tell(h, ALLOCATE, FALLOC_FL_KEEP_SIZE, SIZE, PAGE), -EINVAL);
	assert_int_equal(tell(h, ALLOCATE, FALLOC_FL_KEEP_SIZE, 0, PAGE), 0);
	assert_int_equal(tell(h, MAP, PROT_READ | PROT_WRITE, MAP_SHARED, 0), 0);
	assert_int_equal(tell(h, PEEK, 3, 0, 0), 4);
	assert_int_equal(tell(h, POKE, 3, 77, 0), 0);
	assert_int_equal(map[3 * PAGE], 77);
	assert_int_equal(tell(h, PUNCH_PAGE, 3, 0, 0), 0);
	assert_int_equal(map[3 * PAGE], 0);
	assert_int_equal(poke(3, 4), 0);
	assert_int_equal(tell(h, PEEK, 3, 0, 0), 4);
}

static void sent_to_another_program(void **state)
{
	struct helper h = start_with_descriptor();

	is_a_guest_memfd(&h);
	end(&h);
}

static void inherited_over_exec(void **state)
{
	struct helper h = start(EXECUTED, true);

	is_a_guest_memfd(&h);
	end(&h);
}

static void taken_by_another_program(void **state)
{
	struct helper h = start(EXECUTED, false);

	assert_int_equal(tell(&h, TAKE_FROM, getpid(), fd, 0), 0);
	is_a_guest_memfd(&h);
	end(&h);
}

/* b is ordered to take it by a, and the answer to that comes to us: b's socket is ours. */
static void passed_on_by_another_program(void **state)
{
	struct helper a = start_with_descriptor(), b = start(EXECUTED, false);

	assert_int_equal(tell_with(&a, b.sock, PASS_ON, 0, 0, 0), 0);
	end(&a);
	assert_int_equal(answer(&b), 0);
	is_a_guest_memfd(&b);
	end(&b);
}

static void opened_by_its_name_it_is_no_file(void **state)
{
	struct helper h = start(EXECUTED, false);

	assert_int_equal(tell(&h, OPEN_OF, getpid(), fd, 0), -ENXIO);
	end(&h);
}

static void forked_by_another_program(void **state)
{
	struct helper h = start_with_descriptor(), c = child_of(&h, FORK);

	is_a_guest_memfd(&c);
	end(&h);
	is_a_guest_memfd(&c);
	end(&c);
}

/* Nothing of it can be had there, and no harm done. */
static bool has_new_times(struct stat *last)
{
	struct timespec before = last->st_mtim;

	assert_int_equal(fstat(fd, last), 0);
	assert_memory_equal(&last->st_mtim, &last->st_ctim, sizeof(before));
	return memcmp(&last->st_mtim, &before, sizeof(before)) != 0;
}

static void what_another_process_does_changes_the_times(void **state)
{
	struct helper h = start_with_descriptor();
	struct stat last;

	assert_int_equal(fstat(fd, &last), 0);
	usleep(1000);
	assert_int_equal(tell(&h, PUNCH_PAGE, 3, 0, 0), 0);
	assert_true(has_new_times(&last));
	usleep(1000);
	assert_int_equal(tell(&h, ALLOCATE, FALLOC_FL_KEEP_SIZE, 0, (long)PAGE), 0);
	assert_true(has_new_times(&last));
	end(&h);
}

static void outside_gmem_it_is_empty(void **state)
{
	struct helper h = start(OUTSIDE, false);

	assert_int_equal(tell_with(&h, fd, TAKE, 0, 0, 0), 0);
	assert_int_equal(tell(&h, SIZE_OF, 0, 0, 0), 0);
	assert_int_equal(tell(&h, ALLOCATE, FALLOC_FL_KEEP_SIZE, 0, PAGE), -EPERM);
	assert_int_equal(tell(&h, MAP, PROT_READ | PROT_WRITE, MAP_SHARED, 0), -EPERM);
	assert_int_equal(tell(&h, MAP, PROT_READ, MAP_SHARED, 0), 0);
	assert_int_equal(tell(&h, PEEK, 3, 0, 0), BUS);
	assert_int_equal(map[3 * PAGE], 4);
	end(&h);
}

static void without_init_shared_it_is_hidden_everywhere(void **state)
{
	struct helper h;
	int shared = fd;

	assert_int_equal(make(GUEST_MEMFD_FLAG_MMAP), 0);
	h = start_mapped();
	assert_int_equal(tell(&h, PEEK, 0, 0, 0), BUS);
	end(&h);
	close(fd);
	fd = shared;
}

/* ---- conversions ------------------------------------------------------------------------------- */

static void hidden_from(const struct helper *h, long page)
{
	assert_int_equal(tell(h, PEEK, page, 0, 0), BUS);
	assert_int_equal(tell(h, POKE, page, 1, 0), BUS);
	assert_int_equal(tell(h, PEEK_BY_SYSCALL, page, 0, 0), -EFAULT);
}

/* Every process converts once, and every one sees it. */
static void each_converts_for_all(struct helper *h, size_t nr)
{
	for (size_t who = 0; who <= nr; who++) {
		long page = (long)who * 2;
		int ret;

		ret = (int)(who == nr ? convert(page, 1, true)
				      : tell(&h[who], CONVERT, page, 1, 1));
		assert_int_equal(ret, 0);
		assert_int_equal(peek(page), BUS);
		assert_int_equal(peek(page + 1), page + 2);
		for (size_t i = 0; i < nr; i++) {
			hidden_from(&h[i], page);
			assert_int_equal(tell(&h[i], PEEK, page + 1, 0, 0), page + 2);
		}
		ret = (int)(who == nr ? tell(&h[0], CONVERT, page, 1, 0) : convert(page, 1, false));
		assert_int_equal(ret, 0);
		assert_int_equal(peek(page), page + 1);
		for (size_t i = 0; i < nr; i++)
			assert_int_equal(tell(&h[i], PEEK, page, 0, 0), page + 1);
	}
}

static void conversions_are_seen_in_every_process(void **state)
{
	struct helper h[6];

	h[0] = start(FORKED, true);
	h[1] = child_of(&h[0], FORK);
	h[2] = start_mapped();
	h[3] = child_of(&h[2], FORK);
	h[4] = start(EXECUTED, true);
	assert_int_equal(tell(&h[4], MAP, PROT_READ | PROT_WRITE, MAP_SHARED, 0), 0);
	h[5] = start(FORKED, true);
	each_converts_for_all(h, 6);
	end(&h[0]);
	h[0] = h[5];
	each_converts_for_all(h, 5);
	for (int i = 0; i < 5; i++)
		end(&h[i]);
}

static void arguments_are_checked_there_too(void **state)
{
	struct helper h = start_with_descriptor();

	assert_int_equal(tell(&h, CONVERT, 0, 0, 1), -EINVAL);
	assert_int_equal(tell(&h, CONVERT, (long)PAGES, 1, 1), -EINVAL);
	assert_int_equal(tell(&h, CONVERT, 0, 1, 1), 0);
	assert_int_equal(peek(0), BUS);
	end(&h);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* A second, and all is as before. */
static void a_stopped_process_ends_in_eagain(void **state)
{
	struct helper h = start_mapped(), other = start_mapped();
	uint64_t start_ms;

	kill(h.pid, SIGSTOP);
	waitpid(h.pid, NULL, WUNTRACED);
	start_ms = now_ms();
	assert_int_equal(convert(5, 2, true), -EAGAIN);
	assert_in_range(now_ms() - start_ms, 900, 1600);
	assert_int_equal(peek(5), 6);
	assert_int_equal(tell(&other, PEEK, 6, 0, 0), 7);
	kill(h.pid, SIGCONT);
	assert_int_equal(tell(&h, PEEK, 5, 0, 0), 6);
	assert_int_equal(convert(5, 2, true), 0);
	hidden_from(&h, 5);
	end(&h);
	end(&other);
}

/* The one that made the file goes; nothing changes any more. */
static void when_the_home_is_gone(void **state)
{
	struct helper home, left;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	home.pid = fork();
	if (!home.pid) {
		close(pair[0]);
		vm = ioctl(open("/dev/kvm", O_RDWR), KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
		if (make(FLAGS) || map_it(PROT_READ | PROT_WRITE, MAP_SHARED) || poke(1, 2) ||
		    poke(0, 1) || convert(0, 1, true))
			_exit(1);
		if (fork_to(pair[1]) > 0)
			_exit(0);
	}
	close(pair[1]);
	assert_int_equal(waitpid(home.pid, NULL, 0), home.pid);
	left.sock = pair[0];
	assert_int_equal(tell(&left, PEEK, 0, 0, 0), BUS);
	assert_int_equal(tell(&left, PEEK, 1, 0, 0), 2);
	assert_int_equal(tell(&left, CONVERT, 0, 1, 0), -EIO);
	assert_int_equal(tell(&left, CONVERT, 1, 1, 1), -EIO);
	assert_int_equal(tell(&left, PEEK, 0, 0, 0), BUS);
	assert_int_equal(tell(&left, POKE, 1, 9, 0), 0);
	assert_int_equal(tell(&left, PUNCH_PAGE, 1, 0, 0), 0);
	assert_int_equal(tell(&left, PEEK, 1, 0, 0), 0);
	close(left.sock);
}

/* ---- main --------------------------------------------------------------------------------------- */

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int run_any(void)
{
	const struct CMUnitTest tests[] = {
		T(sent_to_another_program),
		T(inherited_over_exec),
		T(taken_by_another_program),
		T(passed_on_by_another_program),
		T(opened_by_its_name_it_is_no_file),
		T(forked_by_another_program),
		T(what_another_process_does_changes_the_times),
		T(outside_gmem_it_is_empty),
		T(without_init_shared_it_is_hidden_everywhere),
	};

	return cmocka_run_group_tests_name("any guest_memfd", tests, NULL, NULL);
}

static int run_in_place(void)
{
	const struct CMUnitTest tests[] = {
		T(conversions_are_seen_in_every_process),
		T(arguments_are_checked_there_too),
		T(a_stopped_process_ends_in_eagain),
		T(when_the_home_is_gone),
	};

	return cmocka_run_group_tests_name("conversion in place", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	int kvm, failed;

	if (argc > 3 && strcmp(argv[1], "serve") == 0) {
		fd = atoi(argv[3]);
		serve(atoi(argv[2]));
	}
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0) {
		perror("KVM_CREATE_VM");
		return 1;
	}
	in_place = argc > 1 && strcmp(argv[1], "in-place") == 0;
	failed = run_any();
	if (in_place) {
		vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
		failed += run_in_place();
	}
	return failed ? 1 : 0;
}
