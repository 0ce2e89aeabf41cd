/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The last close of a guest_memfd against what is done with a memslot of it: both set out at the same time, over and
 * over, each round a little later or earlier than the other.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "os/os.h"

#define RUN_NS 700000000ull

struct race {
	int vm, gmem;
	void (*slot)(struct race *r); /* against the close */
	_Atomic uint32_t here, there; /* rounds that each has begun */
	_Atomic bool stop;
};

static void meet(_Atomic uint32_t *mine, _Atomic uint32_t *theirs, uint32_t round)
{
	atomic_store(mine, round);
	for (uint32_t turn = 0; atomic_load(theirs) < round; turn++)
		if (turn % 64 == 63)
			os_yield();
		else
			os_relax();
}

static void dawdle(uint32_t turns)
{
	for (uint32_t i = 0; i < turns; i++)
		__asm__ volatile("" ::: "memory");
}

static void *closer(void *arg)
{
	struct race *r = arg;

	for (uint32_t round = 1;; round += 2) {
		meet(&r->there, &r->here, round);
		if (atomic_load(&r->stop))
			return NULL;
		dawdle(round * 7 % 500);
		fixture_close(r->gmem);
		meet(&r->there, &r->here, round + 1);
	}
}

static void make(struct race *r)
{
	long err = set_slot(r->vm, 0, KVM_MEM_GUEST_MEMFD, GB, PAGE, NULL, r->gmem, 0);

	if (err && err != -EBADF && err != -EINVAL)
		abort();
}

static void delete (struct race *r)
{
	set_slot(r->vm, 0, 0, 0, 0, NULL, -1, 0);
}

static void run(void (*slot)(struct race *r), bool made_before)
{
	struct race r = { .vm = make_vm(KVM_X86_SW_PROTECTED_VM), .slot = slot };
	uint64_t start = os_clock_ns();
	pthread_t thread;
	uint32_t round;

	assert_int_equal(pthread_create(&thread, NULL, closer, &r), 0);
	for (round = 1; os_clock_ns() - start < RUN_NS; round += 2) {
		r.gmem = make_gmem(r.vm, PAGE, 0);
		if (made_before)
			make(&r);
		meet(&r.here, &r.there, round);
		dawdle(round * 11 % 500);
		slot(&r);
		meet(&r.here, &r.there, round + 1);
		delete (&r);
	}
	atomic_store(&r.stop, true);
	meet(&r.here, &r.there, round);
	assert_int_equal(pthread_join(thread, NULL), 0);
	fixture_close(r.vm);
	fixture_end();
}

static void a_close_and_a_slot_that_is_deleted(void **state)
{
	run(delete, true);
}

static void a_close_and_a_slot_that_is_made(void **state)
{
	run(make, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_close_and_a_slot_that_is_deleted),
		cmocka_unit_test(a_close_and_a_slot_that_is_made),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
