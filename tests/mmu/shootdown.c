/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Who is waited for in a shootdown, who is not, and how long it takes. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"
#include "mmu/mmu_private.h"

#define BASE GB
#define SLOT_PAGES ((uint64_t)512)

struct fixture {
	struct world w;
	uint8_t *memory;
	_Atomic bool began;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	world_make(&f.w, false);
	f.memory = memory_make(SLOT_PAGES * PAGE, PAGE);
	slot_make(&f.w, 0, BASE / PAGE, SLOT_PAGES, f.memory, 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	world_unmake(&f->w);
	memory_unmake(f->memory, SLOT_PAGES * PAGE);
	return 0;
}

static void invalidate(void *arg)
{
	struct fixture *f = arg;

	mmu_invalidate_begin(f->w.mmu, BASE / PAGE, BASE / PAGE + RUN_PAGES);
	atomic_store(&f->began, true);
	mmu_invalidate_end(f->w.mmu, BASE / PAGE, BASE / PAGE + RUN_PAGES);
}

static struct os_thread *invalidate_beside(struct fixture *f)
{
	struct os_thread *thread;

	touch_ok(f->w.v, BASE, MMU_READ);
	mmu_vcpu_enter(f->w.v);
	assert_int_equal(os_thread_create(invalidate, f, "invalidate", &thread), 0);
	while (!(mmu_vcpu_requests(f->w.v) & MMU_REQ_FLUSH))
		os_yield();
	usleep(20000);
	assert_false(atomic_load(&f->began));
	return thread;
}

static void a_vcpu_outside_is_not_waited_for_and_flushes_when_it_enters(void **state)
{
	struct fixture *f = *state;

	touch_ok(f->w.v, BASE, MMU_READ);
	invalidate(f);
	assert_true(mmu_vcpu_requests(f->w.v) & MMU_REQ_FLUSH);
	mmu_vcpu_enter(f->w.v);
	assert_true(mmu_vcpu_requests(f->w.v) & MMU_REQ_FLUSH);
	mmu_vcpu_flush_begin(f->w.v);
	mmu_vcpu_flush_end(f->w.v);
	assert_false(mmu_vcpu_requests(f->w.v) & MMU_REQ_FLUSH);
	mmu_vcpu_leave(f->w.v);
}

static void a_vcpu_inside_is_waited_for_until_it_leaves(void **state)
{
	struct fixture *f = *state;
	struct os_thread *thread = invalidate_beside(f);

	mmu_vcpu_leave(f->w.v);
	os_thread_join(thread);
	assert_true(atomic_load(&f->began));
}

static void a_vcpu_inside_is_waited_for_until_it_has_flushed(void **state)
{
	struct fixture *f = *state;
	struct os_thread *thread = invalidate_beside(f);

	mmu_vcpu_flush_begin(f->w.v);
	/* Whoever waits shall look again. */
	atomic_fetch_add(&f->w.v->progress, 1);
	os_wake_all(&f->w.v->progress);
	usleep(20000);
	assert_false(atomic_load(&f->began));
	mmu_vcpu_flush_end(f->w.v);
	os_thread_join(thread);
	assert_true(atomic_load(&f->began));
	mmu_vcpu_leave(f->w.v);
}

/* The second zap finds nothing, but what it covers may still be in use. */
static void a_second_shootdown_waits_for_the_first_ones_vcpu(void **state)
{
	struct fixture *f = *state;
	struct os_thread *first = invalidate_beside(f), *second;

	assert_int_equal(os_thread_create(invalidate, f, "invalidate", &second), 0);
	usleep(20000);
	assert_false(atomic_load(&f->began));
	mmu_vcpu_leave(f->w.v);
	os_thread_join(first);
	os_thread_join(second);
}

/* What is unlinked must not be handed out again while a vCPU may be reading it. */
static void a_table_page_is_kept_until_nobody_can_read_it(void **state)
{
	struct fixture *f = *state;
	struct os_thread *thread = invalidate_beside(f);
	uint64_t nr_free = f->w.mmu->pool.nr_free;

	mmu_vcpu_leave(f->w.v);
	os_thread_join(thread);
	/* What the fault mapped was all there was under its tables of levels 0, 1 and 2. */
	assert_int_equal(f->w.mmu->pool.nr_free, nr_free + 3);
	mmu_check(f->w.mmu);
}

static void a_vcpus_own_thread_may_invalidate(void **state)
{
	struct fixture *f = *state;

	touch_ok(f->w.v, BASE, MMU_READ);
	invalidate(f);
	touch_ok(f->w.v, BASE, MMU_READ);
	assert_true(mmu_vcpu_requests(f->w.v) == 0);
}

static void nothing_mapped_asks_nobody(void **state)
{
	struct fixture *f = *state;

	invalidate(f);
	assert_false(mmu_vcpu_requests(f->w.v) & MMU_REQ_FLUSH);
}

static void requests_stay_until_they_are_cleared(void **state)
{
	struct fixture *f = *state;

	mmu_vcpu_request(f->w.v, MMU_REQ_KICK | MMU_REQ_EVENT);
	assert_int_equal(mmu_vcpu_requests(f->w.v), MMU_REQ_KICK | MMU_REQ_EVENT);
	mmu_vcpu_clear(f->w.v, MMU_REQ_EVENT);
	assert_int_equal(mmu_vcpu_requests(f->w.v), MMU_REQ_KICK);
	mmu_vcpu_clear(f->w.v, MMU_REQ_KICK);
}

static void kick_soon(void *arg)
{
	usleep(10000);
	mmu_vcpu_request(arg, MMU_REQ_KICK);
}

static void a_kick_wakes_who_sleeps_on_the_requests(void **state)
{
	struct fixture *f = *state;
	struct os_thread *thread;

	assert_int_equal(os_thread_create(kick_soon, f->w.v, "kick", &thread), 0);
	while (!mmu_vcpu_requests(f->w.v))
		assert_int_not_equal(
			os_wait(&((struct mmu_vcpu_head *)f->w.v)->requests, 0, 5000000000), -110);
	os_thread_join(thread);
	mmu_vcpu_clear(f->w.v, MMU_REQ_KICK);
}

static struct mmu_vcpu *kicked;

static void kick_handler(int signo)
{
	mmu_vcpu_request(kicked, MMU_REQ_KICK);
}

static void a_signal_handler_may_kick_its_own_vcpu(void **state)
{
	struct fixture *f = *state;

	kicked = f->w.v;
	signal(SIGUSR1, kick_handler);
	mmu_vcpu_enter(f->w.v);
	raise(SIGUSR1);
	assert_int_equal(mmu_vcpu_requests(f->w.v), MMU_REQ_KICK);
	mmu_vcpu_leave(f->w.v);
	mmu_vcpu_clear(f->w.v, MMU_REQ_KICK);
	signal(SIGUSR1, SIG_DFL);
}

static void vcpus_come_and_go_beside_shootdowns(void **state)
{
	struct fixture *f = *state;
	struct guest steady = { .base = BASE, .nr_pages = SLOT_PAGES };

	guest_start(&steady, f->w.mmu, 3);
	for (uint64_t turn = 0; turn < 30; turn++) {
		struct guest g = { .base = BASE, .nr_pages = SLOT_PAGES };
		struct os_thread *thread;

		guest_start(&g, f->w.mmu, turn + 10);
		assert_int_equal(os_thread_create(invalidate, f, "invalidate", &thread), 0);
		invalidate(f);
		guest_stop(&g);
		os_thread_join(thread);
	}
	guest_stop(&steady);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Printed, not judged: how busy the machine is says most about it. */
static void latency(void **state)
{
	enum { NR = 2000 };
	static uint64_t ns[NR];
	struct fixture *f = *state;
	struct guest g = { .base = BASE, .nr_pages = SLOT_PAGES };
	uint64_t start, accesses, end = os_clock_ns() + 1000000000;
	size_t nr = 0;

	guest_start(&g, f->w.mmu, 5);
	for (; nr < NR && os_clock_ns() < end; nr++) {
		uint64_t gfn = BASE / PAGE + nr % SLOT_PAGES;

		accesses = os_racy_load(&g.accesses);
		while (os_racy_load(&g.accesses) < accesses + 100)
			os_relax();
		start = os_clock_ns();
		mmu_invalidate_begin(f->w.mmu, gfn, gfn + 1);
		ns[nr] = os_clock_ns() - start;
		mmu_invalidate_end(f->w.mmu, gfn, gfn + 1);
	}
	guest_stop(&g);
	qsort(ns, nr, sizeof(ns[0]), compare);
	print_message("shootdown of a page under a running vCPU: median %.1f us, 99 %% %.1f us\n",
		      (double)ns[nr / 2] / 1e3, (double)ns[nr * 99 / 100] / 1e3);
}

static void cost_of_a_fault(void **state)
{
	struct fixture *f = *state;
	struct mmu_fault_info info;
	uint64_t start, best = UINT64_MAX;

	for (int turn = 0; turn < 50; turn++) {
		start = os_clock_ns();
		for (uint64_t page = 0; page < SLOT_PAGES; page++)
			assert_int_equal(mmu_fault(f->w.v, BASE + page * PAGE, MMU_WRITE, false,
						   &info),
					 MMU_FAULT_OK);
		start = os_clock_ns() - start;
		best = start < best ? start : best;
		mmu_invalidate_begin(f->w.mmu, BASE / PAGE, BASE / PAGE + SLOT_PAGES);
		mmu_invalidate_end(f->w.mmu, BASE / PAGE, BASE / PAGE + SLOT_PAGES);
	}
	print_message("a guest fault on present memory: %.0f ns\n", (double)best / SLOT_PAGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_vcpu_outside_is_not_waited_for_and_flushes_when_it_enters),
		T(a_vcpu_inside_is_waited_for_until_it_leaves),
		T(a_vcpu_inside_is_waited_for_until_it_has_flushed),
		T(a_second_shootdown_waits_for_the_first_ones_vcpu),
		T(a_table_page_is_kept_until_nobody_can_read_it),
		T(a_vcpus_own_thread_may_invalidate),
		T(nothing_mapped_asks_nobody),
		T(requests_stay_until_they_are_cleared),
		T(a_kick_wakes_who_sleeps_on_the_requests),
		T(a_signal_handler_may_kick_its_own_vcpu),
		T(vcpus_come_and_go_beside_shootdowns),
		T(latency),
		T(cost_of_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
