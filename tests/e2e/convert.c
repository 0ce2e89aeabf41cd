/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Conversion beside running guests: when KVM_SET_MEMORY_ATTRIBUTES, a punch or a slot's end has returned,
 * no vCPU touches the old memory any more. The guests increment a counter in the page without pause; the host
 * looks whether it moves where it must not.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static volatile uint32_t *counter_at(uint8_t *mem)
{
	return (volatile uint32_t *)(void *)mem;
}

static _Atomic int done;

/* Runs until told to stop; a page that is nobody's right now is tried again. */
static void *increment(void *arg)
{
	struct guest *g = arg;

	while (!done) {
		int r = guest_run(g);

		if (r == -EINTR || r == -EFAULT)
			continue;
		if (r == 0 && g->run->exit_reason == KVM_EXIT_MMIO)
			continue;
		return (void *)(intptr_t)(r ? r : 1);
	}
	return NULL;
}

static void stop_guest(struct guest *g, pthread_t thread)
{
	void *r;

	done = 1;
	__atomic_store_n(&g->run->immediate_exit, 1, __ATOMIC_RELEASE);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, &r);
	assert_null(r);
	g->run->immediate_exit = 0;
	done = 0;
}

static void nothing(int signo)
{
}

static pthread_t start_guest(struct guest *g)
{
	pthread_t thread;

	/* again: inc dword [0x8000]; jmp again */
	GUEST_CODE(g, INC_DATA, 0xeb, 0xf9);
	assert_int_equal(pthread_create(&thread, NULL, increment, g), 0);
	return thread;
}

/* The counter stands still, looked at for some microseconds. */
static void expect_still(volatile uint32_t *counter)
{
	uint32_t before = *counter;

	for (int i = 0; i < 200; i++)
		__builtin_ia32_pause();
	assert_int_equal(*counter, before);
}

static void wait_until_moves(volatile uint32_t *counter)
{
	uint32_t before = *counter;

	while (*counter == before)
		__builtin_ia32_pause();
}

static void conversion_ends_access_to_the_shared_copy(void **state)
{
	uint8_t *mem = guest_memory(PAGE);
	struct guest g;
	pthread_t thread;
	int fd;

	guest_make(&g, KVM_X86_SW_PROTECTED_VM);
	fd = guest_gmem(&g, PAGE, 0);
	guest_set_gmem(&g, 1, DATA, PAGE, mem, fd);
	thread = start_guest(&g);
	for (int i = 0; i < 2000; i++) {
		wait_until_moves(counter_at(mem));
		assert_int_equal(guest_set_private(&g, DATA, PAGE, 1), 0);
		expect_still(counter_at(mem));
		assert_int_equal(guest_set_private(&g, DATA, PAGE, 0), 0);
	}
	stop_guest(&g, thread);
	guest_free(&g);
	close(fd);
	munmap(mem, PAGE);
}

static void a_punch_zeroes_under_a_running_guest(void **state)
{
	struct guest g;
	pthread_t thread;
	uint8_t *mem;
	int fd;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	fd = guest_gmem(&g, PAGE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	guest_set_gmem(&g, 1, DATA, PAGE, mem, fd);
	thread = start_guest(&g);
	for (int i = 0; i < 500; i++) {
		wait_until_moves(counter_at(mem));
		mem[PAGE - 1] = 1;
		assert_int_equal(fallocate(fd, PUNCH, 0, PAGE), 0);
		assert_int_equal(mem[PAGE - 1], 0);
		wait_until_moves(counter_at(mem));
	}
	stop_guest(&g, thread);
	guest_free(&g);
	munmap(mem, PAGE);
	close(fd);
}

static void a_deleted_slot_is_left_alone(void **state)
{
	uint8_t *mem = guest_memory(PAGE);
	struct guest g;
	pthread_t thread;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	guest_set_slot(&g, 1, DATA, PAGE, mem);
	thread = start_guest(&g);
	for (int i = 0; i < 500; i++) {
		wait_until_moves(counter_at(mem));
		guest_set_slot(&g, 1, DATA, 0, NULL);
		expect_still(counter_at(mem));
		guest_set_slot(&g, 1, DATA, PAGE, mem);
	}
	stop_guest(&g, thread);
	guest_free(&g);
	munmap(mem, PAGE);
}

static void contents_of_both_kinds_stay_apart(void **state)
{
	uint8_t *mem = guest_memory(PAGE);
	struct guest g;
	int fd, i;

	guest_make(&g, KVM_X86_SW_PROTECTED_VM);
	fd = guest_gmem(&g, PAGE, 0);
	guest_set_gmem(&g, 1, DATA, PAGE, mem, fd);
	for (i = 1; i < 100; i++) {
		*counter_at(mem) = 1000;
		assert_int_equal(guest_set_private(&g, DATA, PAGE, 1), 0);
		/* inc dword [0x8000]; mov al, [0x8000]; out PORT, al */
		GUEST_CODE(&g, INC_DATA, LOAD_AL, OUT_AL);
		assert_int_equal(guest_run(&g), 0);
		assert_int_equal(*((uint8_t *)g.run + g.run->io.data_offset), i);
		assert_int_equal(*counter_at(mem), 1000);
		assert_int_equal(guest_set_private(&g, DATA, PAGE, 0), 0);
		GUEST_CODE(&g, INC_DATA, LOAD_AL, OUT_AL);
		assert_int_equal(guest_run(&g), 0);
		assert_int_equal(*counter_at(mem), 1001);
	}
	guest_free(&g);
	close(fd);
	munmap(mem, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conversion_ends_access_to_the_shared_copy),
		cmocka_unit_test(a_punch_zeroes_under_a_running_guest),
		cmocka_unit_test(a_deleted_slot_is_left_alone),
		cmocka_unit_test(contents_of_both_kinds_stay_apart),
	};

	signal(SIGUSR1, nothing);
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
