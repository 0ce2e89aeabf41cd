/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest_memfd of huge pages that the host maps, under gmem run --profile in-place --pages 2m: what is private all through 2 MiB is
 * in a huge page, and one page that becomes shared moves its neighbours to pages of 4 KiB, where the host sees it. So it is with what is
 * shared all through, where the process may let system calls wait and count references, and maps it as a huge page.
 * With --pages 1g (HUGE says so) the same of 1 GiB: what is of huge pages in a window alone, and few moves, each of which is a copy of all.
 */
#include "inplace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
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

/* What is shared can be huge here. */
static bool shares;

/* Bytes of huge pages of the pool that this process has mapped in the range. */
static uint64_t huge_in(uint64_t from, uint64_t to)
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

static uint64_t huge_bytes(void)
{
	return huge_in(0, UINT64_MAX);
}

static uint64_t huge_shown(const struct inplace *t)
{
	return huge_in((uintptr_t)t->host, (uintptr_t)t->host + SIZE);
}

static bool may_share(void)
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

static void make(struct inplace *t, uint64_t flags)
{
	guest_make(&t->g, KVM_X86_SW_PROTECTED_VM);
	t->fd = guest_gmem(&t->g, SIZE, flags);
	t->host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	assert_ptr_not_equal(t->host, MAP_FAILED);
	guest_set_gmem(&t->g, 1, BASE, SIZE, t->host, t->fd);
}

static void unmake(struct inplace *t)
{
	munmap(t->host, SIZE);
	close(t->fd);
	guest_free(&t->g);
	assert_int_equal(huge_bytes(), 0);
}

/* Real mode reaches 64 KiB of the file from here. */
static void look_at(struct guest *g, uint64_t offset)
{
	struct kvm_sregs s;

	assert_int_equal(ioctl(g->vcpu, KVM_GET_SREGS, &s), 0);
	s.ds.base = BASE + offset;
	assert_int_equal(ioctl(g->vcpu, KVM_SET_SREGS, &s), 0);
}

static uint8_t exchange(struct inplace *t, uint64_t offset, uint8_t value)
{
	look_at(&t->g, offset & ~0xffffull);
	return guest_exchange(&t->g, offset & 0xffff, value);
}

static void expect_hidden(struct inplace *t, uint64_t offset)
{
	uint8_t value;

	assert_int_equal(host_read(t->host + offset, &value), SIGBUS);
}

static void set(struct inplace *t, uint64_t offset, uint64_t size, uint64_t attributes)
{
	assert_int_equal(inplace_convert(t->fd, offset, size, attributes, NULL), 0);
}

/* ---- the tests ----------------------------------------------------------------------------------- */

static void a_page_inside_a_huge_page_is_shared_and_private_again(void **state)
{
	const uint64_t page = HUGE + 77 * PAGE;
	struct inplace t;

	make(&t, PRIVATE_FIRST);
	assert_int_equal(exchange(&t, page, 1), 0);
	assert_int_equal(exchange(&t, page - PAGE, 2), 0);
	assert_int_equal(exchange(&t, 2 * HUGE - 1, 3), 0);
	assert_int_equal(huge_bytes(), HUGE);
	for (int i = 0; i < 3; i++) {
		set(&t, page, PAGE, 0);
		assert_int_equal(huge_bytes(), 0);
		assert_int_equal(t.host[page], 1);
		expect_hidden(&t, page - PAGE);
		expect_hidden(&t, 2 * HUGE - 1);
		t.host[page] = 9;
		assert_int_equal(exchange(&t, page, 4), 9);
		assert_int_equal(t.host[page], 4);
		assert_int_equal(exchange(&t, page - PAGE, 2), 2);
		set(&t, page, PAGE, PRIVATE);
		assert_int_equal(huge_bytes(), HUGE);
		expect_hidden(&t, page);
		assert_int_equal(exchange(&t, page, 1), 4);
		assert_int_equal(exchange(&t, page - PAGE, 2), 2);
		assert_int_equal(exchange(&t, 2 * HUGE - 1, 3), 3);
	}
	unmake(&t);
}

static uint32_t word_at(uint64_t offset)
{
	return (uint32_t)(offset * 2654435761u >> 3);
}

static void what_the_host_has_filled_goes_and_comes_back(void **state)
{
	struct inplace t;

	make(&t, SHARED_FIRST);
	for (uint64_t i = 0; i < SIZE; i += 4)
		*(uint32_t *)(void *)(t.host + i) = word_at(i);
	assert_int_equal(huge_bytes(), 0);
	set(&t, 0, SIZE, PRIVATE);
	assert_int_equal(huge_bytes(), NR_BLOCKS * HUGE);
	assert_int_equal(exchange(&t, HUGE + 4, 0xee), (uint8_t)word_at(HUGE + 4));
	/* Some of one, all of the other and the rest. */
	set(&t, HUGE - PAGE, SIZE - HUGE + PAGE, 0);
	assert_int_equal(huge_bytes(), shares ? HUGE : 0);
	assert_int_equal(t.host[HUGE + 4], 0xee);
	*(uint32_t *)(void *)(t.host + HUGE + 4) = word_at(HUGE + 4);
	set(&t, 0, HUGE - PAGE, 0);
	for (uint64_t i = 0; i < SIZE; i += 4)
		if (*(uint32_t *)(void *)(t.host + i) != word_at(i))
			fail_msg("at %lx", i);
	unmake(&t);
}

/* ---- what is shared all through ------------------------------------------------------------------ */

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

	if (!shares)
		skip();
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

	if (!shares)
		skip();
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

	if (!shares)
		skip();
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

		if (!shares)
			skip();
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

	if (!shares)
		skip();
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

	if (!shares)
		skip();
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

static void a_page_that_is_held_is_named_and_its_block_stays_as_it_is(void **state)
{
	struct iovec v = { .iov_len = 8 };
	struct inplace t;
	uint64_t where = UNTOLD;
	char data[8];
	int ends[2];

	make(&t, SHARED_FIRST);
	memset(t.host, 5, HUGE);
	set(&t, 0, 9 * PAGE, PRIVATE);
	v.iov_base = t.host + 20 * PAGE;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(vmsplice(ends[1], &v, 1, 0), 8);
	assert_int_equal(inplace_convert(t.fd, 0, HUGE, PRIVATE, &where), -EAGAIN);
	assert_int_equal(where, 20 * PAGE);
	assert_int_equal(huge_bytes(), 0);
	assert_int_equal(t.host[30 * PAGE], 5);
	expect_hidden(&t, 0);
	/* Others of the block are free to change. */
	set(&t, 9 * PAGE, PAGE, PRIVATE);
	assert_int_equal(read(ends[0], data, 8), 8);
	set(&t, 0, HUGE, PRIVATE);
	assert_int_equal(huge_bytes(), HUGE);
	assert_int_equal(exchange(&t, 20 * PAGE, 6), 5);
	close(ends[0]);
	close(ends[1]);
	unmake(&t);
}

/* Sees as much as this process, through windows of its own. */
static void other_process(struct inplace *t, int in, int out)
{
	uint64_t offset;

	while (read(in, &offset, sizeof(offset)) == sizeof(offset)) {
		uint8_t value = 0xff;

		if (host_read(t->host + offset, &value))
			value = 0xff;
		if (write(out, &value, 1) != 1)
			break;
	}
	_exit(0);
}

static void another_process_sees_the_same(void **state)
{
	int ask[2], answer[2];
	struct inplace t;
	uint8_t seen;
	uint64_t at;
	pid_t pid;

	make(&t, PRIVATE_FIRST);
	assert_int_equal(exchange(&t, 5 * PAGE, 1), 0);
	assert_false(pipe(ask) || pipe(answer));
	pid = fork();
	if (!pid) {
		close(ask[1]);
		other_process(&t, ask[0], answer[1]);
	}
	for (uint8_t i = 1; i < 6; i++) {
		set(&t, 5 * PAGE, PAGE, 0);
		for (at = 4 * PAGE; at < 6 * PAGE; at += PAGE) {
			assert_int_equal(write(ask[1], &at, sizeof(at)), sizeof(at));
			assert_int_equal(read(answer[0], &seen, 1), 1);
			assert_int_equal(seen, at == 5 * PAGE ? i : 0xff);
		}
		set(&t, 5 * PAGE, PAGE, PRIVATE);
		assert_int_equal(huge_bytes(), HUGE);
		at = 5 * PAGE;
		assert_int_equal(write(ask[1], &at, sizeof(at)), sizeof(at));
		assert_int_equal(read(answer[0], &seen, 1), 1);
		assert_int_equal(seen, 0xff);
		assert_int_equal(exchange(&t, 5 * PAGE, (uint8_t)(i + 1)), i);
	}
	close(ask[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(ask[0]);
	close(answer[0]);
	close(answer[1]);
	unmake(&t);
}

/* ---- guests that run meanwhile -------------------------------------------------------------------- */

static _Atomic int done;

static void nothing(int sig)
{
}

static void *run_guest(void *arg)
{
	struct guest *g = arg;
	int r = 0;

	while (!done && (!r || r == -EINTR))
		r = guest_run(g);
	return (void *)(intptr_t)(r == -EINTR ? 0 : r);
}

static void no_write_beside_the_page_is_lost(void **state)
{
	struct kvm_regs regs;
	struct inplace t;
	pthread_t thread;
	void *wrong;
	uint32_t count;

	make(&t, PRIVATE_FIRST);
	look_at(&t.g, 0);
	/* again: inc dword [0x8000]; inc ecx; jmp again */
	GUEST_CODE(&t.g, INC_DATA, 0x66, 0x41, 0xeb, 0xf7);
	guest_regs(&t.g, &regs);
	regs.rcx = 0;
	assert_int_equal(ioctl(t.g.vcpu, KVM_SET_REGS, &regs), 0);
	done = 0;
	assert_int_equal(pthread_create(&thread, NULL, run_guest, &t.g), 0);
	for (int i = 0; i < NR_FLIPS; i++) {
		set(&t, 100 * PAGE, PAGE, 0);
		t.host[100 * PAGE]++;
		guest_sleep_us(20);
		set(&t, 100 * PAGE, PAGE, PRIVATE);
		guest_sleep_us(20);
	}
	done = 1;
	__atomic_store_n(&t.g.run->immediate_exit, 1, __ATOMIC_RELEASE);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, &wrong);
	assert_null(wrong);
	t.g.run->immediate_exit = 0;
	guest_regs(&t.g, &regs);
	set(&t, 0, HUGE, 0);
	count = *(uint32_t *)(void *)(t.host + 0x8000);
	assert_true(count > 0);
	/* It may have stopped between the two. */
	assert_true(count == (uint32_t)regs.rcx || count == (uint32_t)regs.rcx + 1);
	assert_int_equal(t.host[100 * PAGE], NR_FLIPS);
	unmake(&t);
}

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

static void no_write_beside_a_page_of_a_window_is_lost(void **state)
{
	struct neighbour own = { .at = 30 * PAGE }, system = { .at = 40 * PAGE };
	pthread_t threads[3];
	struct kvm_regs regs;
	struct inplace t;
	uint32_t count;
	void *wrong;

	if (!shares)
		skip();
	make_shared(&t);
	own.t = system.t = &t;
	look_at(&t.g, 0);
	GUEST_CODE(&t.g, INC_DATA, 0x66, 0x41, 0xeb, 0xf7);
	guest_regs(&t.g, &regs);
	regs.rcx = 0;
	assert_int_equal(ioctl(t.g.vcpu, KVM_SET_REGS, &regs), 0);
	*(uint32_t *)(void *)(t.host + 0x8000) = 0;
	done = 0;
	assert_int_equal(pthread_create(&threads[0], NULL, run_guest, &t.g), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, write_beside, &own), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, read_into, &system), 0);
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
	assert_null(wrong);
	t.g.run->immediate_exit = 0;
	guest_regs(&t.g, &regs);
	count = *(uint32_t *)(void *)(t.host + 0x8000);
	assert_true(count == (uint32_t)regs.rcx || count == (uint32_t)regs.rcx + 1);
	assert_true(count && own.count && system.count);
	assert_int_equal(*(uint64_t *)(void *)(t.host + own.at), own.count);
	assert_int_equal(system.failed, 0);
	assert_int_equal(t.host[100 * PAGE], NR_FLIPS);
	unmake(&t);
}

/* At a place of the kernel's choice the file begins at the start of a huge page; at another, all of it is small. */
static void a_window_lies_as_the_file_does(void **state)
{
	struct inplace t;
	uint8_t *again;

	if (!shares)
		skip();
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
		cmocka_unit_test(a_page_inside_a_huge_page_is_shared_and_private_again),
		cmocka_unit_test(what_the_host_has_filled_goes_and_comes_back),
		cmocka_unit_test(a_page_that_is_held_is_named_and_its_block_stays_as_it_is),
		cmocka_unit_test(another_process_sees_the_same),
		cmocka_unit_test(no_write_beside_the_page_is_lost),
		cmocka_unit_test(a_block_that_is_shared_is_huge_in_the_window),
		cmocka_unit_test(a_page_that_is_held_keeps_its_block),
		cmocka_unit_test(a_call_that_wants_small_pages_waits_for_one_that_is_held),
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

	shares = may_share();
	signal(SIGUSR1, nothing);
	alarm(100);
	if (IS_LARGE && !shares) {
		puts("skipped: no userfaultfd for the kernel's faults, or no counting of references");
		return 77;
	}
	return IS_LARGE ? pool_run(NR_BLOCKS, large) : pool_run(NR_BLOCKS, tests);
}
