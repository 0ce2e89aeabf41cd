/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What is shared all through a huge page is in one, and windows have it so: under gmem run --pages 2m-shared, where the process may let
 * system calls wait and count references. A page of it that becomes private moves the others while whoever uses them waits.
 * With 1g-shared the same of 1 GiB: few moves, each of which is a copy of all.
 */
#include "window_huge.h"

#include <sys/uio.h>
#include <sys/wait.h>

static void make_shared(struct inplace *t)
{
	make(t, PRIVATE_FIRST);
	assert_int_equal(exchange(t, 7 * PAGE, 1), 0);
	set(t, 0, HUGE, 0);
	memset(t->host + PAGE, 2, PAGE);
	assert_int_equal(t->host[7 * PAGE], 1);
	assert_int_equal(huge_shown(t), HUGE);
}

static void a_block_that_is_shared_is_huge_in_the_window(void **state)
{
	struct inplace t;

	make_shared(&t);
	for (uint8_t i = 1; i < (IS_LARGE ? 2 : 5); i++) {
		set(&t, 7 * PAGE, PAGE, PRIVATE);
		assert_int_equal(huge_shown(&t), 0);
		assert_int_equal(huge_bytes(), 0);
		expect_hidden(&t, 7 * PAGE);
		assert_int_equal(t.host[2 * PAGE - 1], 2);
		t.host[8 * PAGE] = i;
		assert_int_equal(exchange(&t, 7 * PAGE, (uint8_t)(i + 1)), i);
		set(&t, 7 * PAGE, PAGE, 0);
		assert_int_equal(t.host[7 * PAGE], i + 1);
		assert_int_equal(t.host[8 * PAGE], i);
		assert_int_equal(t.host[2 * PAGE - 1], 2);
		assert_int_equal(exchange(&t, 8 * PAGE, 9), i);
		assert_int_equal(t.host[8 * PAGE], 9);
		assert_int_equal(huge_shown(&t), HUGE);
		/* All of it: nothing moves. */
		set(&t, 0, HUGE, PRIVATE);
		expect_hidden(&t, 8 * PAGE);
		assert_int_equal(exchange(&t, 8 * PAGE, 10), 9);
		set(&t, 0, HUGE, 0);
		assert_int_equal(t.host[8 * PAGE], 10);
		assert_int_equal(huge_shown(&t), HUGE);
	}
	unmake(&t);
}

static void a_page_that_is_held_keeps_its_block(void **state)
{
	struct iovec v = { .iov_len = 8 };
	uint64_t where = UNTOLD;
	struct inplace t;
	char data[8];
	int ends[2];

	make_shared(&t);
	v.iov_base = t.host + 20 * PAGE;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(vmsplice(ends[1], &v, 1, 0), 8);
	assert_int_equal(inplace_convert(t.fd, 50 * PAGE, PAGE, PRIVATE, &where), -EAGAIN);
	/* The held one is outside of what was asked for. */
	assert_int_equal(where, 50 * PAGE);
	t.host[50 * PAGE] = 3;
	assert_int_equal(huge_shown(&t), HUGE);
	assert_int_equal(read(ends[0], data, 8), 8);
	set(&t, 50 * PAGE, PAGE, PRIVATE);
	assert_int_equal(exchange(&t, 50 * PAGE, 0), 3);
	close(ends[0]);
	close(ends[1]);
	unmake(&t);
}

static void *read_a_while_later(void *arg)
{
	char data[8];

	usleep(20000);
	return read(*(int *)arg, data, 8) == 8 ? NULL : arg;
}

/* mprotect() has no way to say that it must be asked again. */
static void a_call_that_wants_small_pages_waits_for_one_that_is_held(void **state)
{
	struct iovec v = { .iov_len = 8 };
	struct inplace t;
	pthread_t reader;
	int ends[2];
	void *ret;

	make_shared(&t);
	v.iov_base = t.host + 20 * PAGE;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(vmsplice(ends[1], &v, 1, 0), 8);
	assert_int_equal(pthread_create(&reader, NULL, read_a_while_later, &ends[0]), 0);
	assert_int_equal(mprotect(t.host + 30 * PAGE, PAGE, PROT_READ), 0);
	assert_int_equal(pthread_join(reader, &ret), 0);
	assert_null(ret);
	assert_int_equal(huge_shown(&t), 0);
	assert_int_equal(t.host[7 * PAGE], 1);
	close(ends[0]);
	close(ends[1]);
	unmake(&t);
}

/* What a mapping of huge pages would refuse. */
static void what_the_program_does_to_a_window_works_as_ever(void **state)
{
	for (int i = 0; i < 5; i++) {
		struct inplace t;
		uint8_t *p, *moved = NULL;

		make_shared(&t);
		p = t.host + 3 * PAGE;
		p[PAGE] = 4;
		if (i == 0)
			assert_int_equal(mprotect(p, PAGE, PROT_READ), 0);
		else if (i == 1)
			assert_int_equal(munmap(p, PAGE), 0);
		else if (i == 2)
			assert_int_equal(madvise(p, PAGE, MADV_DONTDUMP), 0);
		else if (i == 3)
			moved = mremap(t.host, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
		else
			moved = mmap(NULL, 9 * PAGE, PROT_READ, MAP_SHARED, t.fd, 0);
		assert_ptr_not_equal(moved, MAP_FAILED);
		assert_int_equal(huge_shown(&t), 0);
		assert_int_equal(p[PAGE], 4);
		assert_int_equal(t.host[7 * PAGE], 1);
		if (moved)
			munmap(moved, i == 3 ? PAGE : 9 * PAGE);
		set(&t, 7 * PAGE, PAGE, PRIVATE);
		set(&t, 7 * PAGE, PAGE, 0);
		assert_int_equal(t.host[7 * PAGE], 1);
		assert_int_equal(huge_shown(&t), 0);
		unmake(&t);
	}
}

static void a_window_of_huge_pages_goes_in_part_and_comes_again(void **state)
{
	struct inplace t;
	uint8_t *again;

	make_shared(&t);
	again = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	assert_ptr_not_equal(again, MAP_FAILED);
	assert_int_equal(munmap(t.host + HUGE, HUGE), 0);
	assert_int_equal(again[7 * PAGE], 1);
	again[7 * PAGE] = 5;
	assert_int_equal(t.host[7 * PAGE], 5);
	assert_int_equal(huge_shown(&t), HUGE);
	set(&t, 9 * PAGE, PAGE, PRIVATE);
	assert_int_equal(huge_bytes(), 0);
	again[7 * PAGE] = 6;
	assert_int_equal(t.host[7 * PAGE], 6);
	set(&t, 9 * PAGE, PAGE, 0);
	again[7 * PAGE] = 7;
	assert_int_equal(t.host[7 * PAGE], 7);
	assert_int_equal(huge_shown(&t), HUGE);
	munmap(again, SIZE);
	unmake(&t);
}

static void a_child_finds_what_was_in_a_huge_page(void **state)
{
	struct inplace t;
	int status;
	pid_t pid;

	make_shared(&t);
	pid = fork();
	if (!pid) {
		t.host[9 * PAGE] = 8;
		_exit(t.host[7 * PAGE] == 1 && t.host[2 * PAGE - 1] == 2 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(t.host[9 * PAGE], 8);
	assert_int_equal(huge_shown(&t), 0);
	unmake(&t);
}

/* What is held keeps its own huge page, and no other. */
static void what_is_held_is_in_nobodys_way(void **state)
{
	struct iovec v = { .iov_len = 8 };
	struct inplace t;
	int ends[2], status;
	pid_t pid;

	make_shared(&t);
	set(&t, HUGE, HUGE, 0);
	memset(t.host + HUGE, 3, PAGE);
	set(&t, HUGE, HUGE, PRIVATE);
	set(&t, HUGE, HUGE, 0);
	assert_int_equal(huge_shown(&t), HUGE);
	assert_int_equal(t.host[HUGE], 3);
	assert_int_equal(huge_shown(&t), 2 * HUGE);
	v.iov_base = t.host + 20 * PAGE;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(vmsplice(ends[1], &v, 1, 0), 8);
	assert_int_equal(munmap(t.host + HUGE + 9 * PAGE, PAGE), 0);
	assert_int_equal(t.host[7 * PAGE], 1);
	assert_int_equal(huge_shown(&t), HUGE);
	pid = fork();
	if (!pid) {
		uint8_t value;
		bool hidden = host_read(t.host + 7 * PAGE, &value);

		_exit(t.host[HUGE] == 3 && hidden ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(t.host[7 * PAGE], 1);
	close(ends[0]);
	close(ends[1]);
	unmake(&t);
}

/* A conversion takes no memory. */
static void what_nobody_has_touched_stays_nothing(void **state)
{
	struct inplace t;

	make(&t, PRIVATE_FIRST);
	set(&t, 0, SIZE, 0);
	for (uint64_t at = 0; at < SIZE; at += 64 * PAGE)
		assert_int_equal(t.host[at], 0);
	assert_int_equal(huge_bytes(), 0);
	unmake(&t);
}

/* ---- who uses it meanwhile -------------------------------------------------------------------------- */

/* A thread's own writes, and those of system calls, beside a page that flips. */
struct neighbour {
	struct inplace *t;
	uint64_t at;
	uint64_t count, failed;
};

static void *write_beside(void *arg)
{
	struct neighbour *n = arg;

	while (!done)
		n->count += ++*(volatile uint64_t *)(void *)(n->t->host + n->at) != 0;
	return NULL;
}

static void *read_into(void *arg)
{
	struct neighbour *n = arg;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	while (!done) {
		uint64_t value = ++n->count;

		if (write(ends[1], &value, 8) != 8 || read(ends[0], n->t->host + n->at, 8) != 8 ||
		    *(uint64_t *)(void *)(n->t->host + n->at) != value)
			n->failed++;
	}
	close(ends[0]);
	close(ends[1]);
	return NULL;
}

/* A pipe's lock is held in the kernel while a page of the window is waited for, and a conversion looks at pipes. */
static void *splice_out(void *arg)
{
	struct neighbour *n = arg;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	while (!done) {
		volatile uint64_t *at = (uint64_t *)(void *)(n->t->host + n->at);
		struct iovec v = { (void *)at, 8 };
		uint64_t value;

		*at = ++n->count;
		if (vmsplice(ends[1], &v, 1, 0) != 8 || read(ends[0], &value, 8) != 8 ||
		    value != n->count)
			n->failed++;
	}
	close(ends[0]);
	close(ends[1]);
	return NULL;
}

/* Another process, which has nothing of the file, and says nothing to this one. Ends with it. */
static void write_from_outside(pid_t pid, uint64_t *where, int go)
{
	char mine[16 * PAGE], seen[16 * PAGE];
	struct iovec local = { mine, sizeof(mine) }, back = { seen, sizeof(seen) };
	struct iovec remote = { .iov_len = sizeof(mine) };
	bool lost = false;
	char byte;

	if (read(go, &remote.iov_base, sizeof(remote.iov_base)) != sizeof(remote.iov_base))
		_exit(2);
	fcntl(go, F_SETFL, O_NONBLOCK);
	for (int i = 0; !lost && read(go, &byte, 1) < 0; i++) {
		memset(mine, i, sizeof(mine));
		if (process_vm_writev(pid, &local, 1, &remote, 1, 0) != sizeof(mine) ||
		    process_vm_readv(pid, &back, 1, &remote, 1, 0) != sizeof(mine))
			_exit(3);
		lost = memcmp(mine, seen, sizeof(mine));
		++*where;
	}
	_exit(lost);
}

struct outside {
	pid_t pid;
	int go;
	volatile uint64_t *count;
};

static void outside_start(struct outside *o)
{
	pid_t parent = getpid();
	int ends[2];

	o->count = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true((void *)o->count != MAP_FAILED);
	assert_int_equal(pipe(ends), 0);
	o->pid = fork();
	if (!o->pid) {
		close(ends[1]);
		write_from_outside(parent, (uint64_t *)o->count, ends[0]);
	}
	close(ends[0]);
	o->go = ends[1];
}

static void no_write_beside_a_page_of_a_window_is_lost(void **state)
{
	struct neighbour own = { .at = 30 * PAGE }, system = { .at = 40 * PAGE },
			 pipes = { .at = 50 * PAGE };
	pthread_t threads[4];
	struct outside outside;
	void *first;
	int status;
	struct kvm_regs regs;
	struct inplace t;
	uint32_t count;
	void *wrong;

	outside_start(&outside);
	make_shared(&t);
	own.t = system.t = pipes.t = &t;
	first = t.host + 60 * PAGE;
	assert_int_equal(write(outside.go, &first, sizeof(first)), sizeof(first));
	guest_counts(&t);
	*(uint32_t *)(void *)(t.host + 0x8000) = 0;
	done = 0;
	assert_int_equal(pthread_create(&threads[0], NULL, run_guest, &t.g), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, write_beside, &own), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, read_into, &system), 0);
	assert_int_equal(pthread_create(&threads[3], NULL, splice_out, &pipes), 0);
	for (int i = 0; i < NR_FLIPS; i++) {
		while (inplace_convert(t.fd, 100 * PAGE, PAGE, PRIVATE, NULL) == -EAGAIN)
			;
		guest_sleep_us(20);
		set(&t, 100 * PAGE, PAGE, 0);
		t.host[100 * PAGE]++;
		guest_sleep_us(20);
	}
	done = 1;
	__atomic_store_n(&t.g.run->immediate_exit, 1, __ATOMIC_RELEASE);
	pthread_kill(threads[0], SIGUSR1);
	pthread_join(threads[0], &wrong);
	pthread_join(threads[1], NULL);
	pthread_join(threads[2], NULL);
	pthread_join(threads[3], NULL);
	close(outside.go);
	assert_int_equal(waitpid(outside.pid, &status, 0), outside.pid);
	assert_int_equal(status, 0);
	assert_null(wrong);
	t.g.run->immediate_exit = 0;
	guest_regs(&t.g, &regs);
	count = *(uint32_t *)(void *)(t.host + 0x8000);
	assert_true(count == (uint32_t)regs.rcx || count == (uint32_t)regs.rcx + 1);
	assert_true(count && own.count && system.count);
	assert_int_equal(*(uint64_t *)(void *)(t.host + own.at), own.count);
	assert_int_equal(system.failed, 0);
	assert_true(pipes.count && !pipes.failed);
	assert_true(*outside.count);
	assert_int_equal(t.host[100 * PAGE], NR_FLIPS);
	unmake(&t);
}

/* At a place of the kernel's choice the file begins at the start of a huge page; at another, all of it is small. */
static void a_window_lies_as_the_file_does(void **state)
{
	struct inplace t;
	uint8_t *again;

	make_shared(&t);
	assert_int_equal((uintptr_t)t.host % HUGE, 0);
	again = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	assert_ptr_not_equal(again, MAP_FAILED);
	assert_int_equal((uintptr_t)again % HUGE, 0);
	assert_int_equal(huge_in((uintptr_t)again, (uintptr_t)again + HUGE), 0);
	assert_int_equal(again[7 * PAGE], 1);
	assert_int_equal(huge_in((uintptr_t)again, (uintptr_t)again + HUGE), HUGE);
	assert_int_equal(munmap(again, HUGE), 0);
	assert_int_equal(huge_shown(&t), HUGE);
	assert_int_equal(munmap(t.host + HUGE - PAGE, PAGE), 0);
	assert_int_equal(huge_shown(&t), 0);
	assert_int_equal(t.host[7 * PAGE], 1);
	assert_int_equal(t.host[2 * PAGE - 1], 2);
	unmake(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_that_is_shared_is_huge_in_the_window),
		cmocka_unit_test(a_page_that_is_held_keeps_its_block),
		cmocka_unit_test(a_call_that_wants_small_pages_waits_for_one_that_is_held),
		cmocka_unit_test(what_is_held_is_in_nobodys_way),
		cmocka_unit_test(what_nobody_has_touched_stays_nothing),
		cmocka_unit_test(what_the_program_does_to_a_window_works_as_ever),
		cmocka_unit_test(a_window_of_huge_pages_goes_in_part_and_comes_again),
		cmocka_unit_test(a_child_finds_what_was_in_a_huge_page),
		cmocka_unit_test(no_write_beside_a_page_of_a_window_is_lost),
		cmocka_unit_test(a_window_lies_as_the_file_does),
	};
	const struct CMUnitTest large[] = {
		cmocka_unit_test(a_block_that_is_shared_is_huge_in_the_window),
		cmocka_unit_test(a_page_that_is_held_keeps_its_block),
		cmocka_unit_test(no_write_beside_a_page_of_a_window_is_lost),
		cmocka_unit_test(a_window_lies_as_the_file_does),
	};

	signal(SIGUSR1, nothing);
	alarm(100);
	if (!may_share()) {
		puts("skipped: no userfaultfd for the kernel's faults, or no counting of references");
		return 77;
	}
	return IS_LARGE ? pool_run(NR_BLOCKS, large) : pool_run(NR_BLOCKS, tests);
}
