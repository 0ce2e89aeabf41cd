/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A number is copied by one thread while another closes it. A copy that was made is a descriptor as any: who
 * closes first must not let go what it stands for, and closing it must not let go twice.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "t.h"

#define NR_ROUNDS 20000

static _Atomic int number, turn, nr_done;
static _Atomic unsigned long nr_copies, nr_answers;

static void wait_for(_Atomic int *what, int value)
{
	while (atomic_load(what) != value)
		__builtin_ia32_pause();
}

static void *close_it(void *arg)
{
	for (int i = 1; i <= NR_ROUNDS; i++) {
		wait_for(&turn, i);
		close(number);
		atomic_fetch_add(&nr_done, 1);
	}
	return NULL;
}

static void copy_it(void)
{
	int copy = dup(number);

	atomic_fetch_add(&nr_done, 1);
	if (copy < 0)
		return;
	nr_copies++;
	/* Behind the close by now, or it may be that nobody has told the library in time whose copy it is. */
	wait_for(&nr_done, 2);
	nr_answers += ioctl(copy, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) == 1;
	CHECK(close(copy) == 0);
}

int main(void)
{
	pthread_t closer;

	CHECK(pthread_create(&closer, NULL, close_it, NULL) == 0);
	for (int i = 1; i <= NR_ROUNDS; i++) {
		number = make_vm(0);
		nr_done = 0;
		turn = i;
		copy_it();
		wait_for(&nr_done, 2);
	}
	CHECK(pthread_join(closer, NULL) == 0);
	printf("%lu copies, of which %lu answered\n", nr_copies, nr_answers);
	CHECK(nr_copies && nr_answers);
	return 0;
}
