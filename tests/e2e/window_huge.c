/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest_memfd of huge pages that the host maps: what is private all through 2 MiB is
 * in a huge page, and one page that becomes shared moves its neighbours to pages of 4 KiB, where the host sees it. So it is with what is
 * shared all through, with --pages 2m-shared and where the process may let system calls wait and count references.
 */
#include "window_huge.h"

#include <stdlib.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* What is shared can be huge here. */
static bool shares;

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

static void no_write_beside_the_page_is_lost(void **state)
{
	struct kvm_regs regs;
	struct inplace t;
	pthread_t thread;
	void *wrong;
	uint32_t count;

	make(&t, PRIVATE_FIRST);
	guest_counts(&t);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_inside_a_huge_page_is_shared_and_private_again),
		cmocka_unit_test(what_the_host_has_filled_goes_and_comes_back),
		cmocka_unit_test(a_page_that_is_held_is_named_and_its_block_stays_as_it_is),
		cmocka_unit_test(another_process_sees_the_same),
		cmocka_unit_test(no_write_beside_the_page_is_lost),
	};

	shares = may_share();
	signal(SIGUSR1, nothing);
	alarm(100);
	return pool_run(NR_BLOCKS, tests);
}
