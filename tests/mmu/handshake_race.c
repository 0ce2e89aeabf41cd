/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A vCPU and a shootdown, step against step and very often, with nothing else around: of two steps that cross, one has
 * to see the other. Between rounds both wait for each other, so that they set out at the same time.
 */
#include "mmu/mmu_private.h"

#include "fixture.h"

#define ROUNDS 200000
#define RUN_NS 600000000ull
#define MEET_NS 5000000000ull

struct race {
	struct world w;
	void (*other)(struct race *r, uint32_t round);
	_Atomic uint32_t here, there; /* how many rounds each has begun */
	_Atomic bool stop;
	uint32_t inside, requests;
	uint64_t start;
	struct os_thread *thread;
	_Atomic uint32_t through;
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

static void run_other(void *arg)
{
	struct race *r = arg;

	for (uint32_t round = 1; !atomic_load(&r->stop); round += 2) {
		meet(&r->there, &r->here, round);
		if (!atomic_load(&r->stop))
			r->other(r, round);
		meet(&r->there, &r->here, round + 1);
	}
}

/* All rounds of both; done judges when both are through one. */
static void race(struct race *r, void (*mine)(struct race *r, uint32_t round),
		 void (*other)(struct race *r, uint32_t round), void (*judge)(struct race *r))
{
	uint32_t round;

	r->other = other;
	r->start = os_clock_ns();
	assert_int_equal(os_thread_create(run_other, r, "other", &r->thread), 0);
	for (round = 1; round < ROUNDS && os_clock_ns() - r->start < RUN_NS; round += 2) {
		meet(&r->here, &r->there, round);
		mine(r, round);
		meet(&r->here, &r->there, round + 1);
		judge(r);
	}
	atomic_store(&r->stop, true);
	atomic_store(&r->here, UINT32_MAX);
	os_thread_join(r->thread);
}

/* Each at another moment of what the other does, from round to round. */
static void dawdle(uint32_t turns)
{
	for (uint32_t i = 0; i < turns; i++)
		__asm__ volatile("" ::: "memory");
}

/* ---- entering against a request --------------------------------------------------------------- */

static void enter(struct race *r, uint32_t round)
{
	dawdle(round / 2 % 61);
	mmu_vcpu_enter(r->w.v);
	r->requests = mmu_vcpu_requests(r->w.v);
}

static void ask(struct race *r, uint32_t round)
{
	dawdle(round / 2 % 67);
	mmu_vcpu_request(r->w.v, MMU_REQ_FLUSH);
	r->inside = atomic_load(&r->w.v->head.inside);
}

static void one_saw_the_other(struct race *r)
{
	assert_true(r->inside || r->requests & MMU_REQ_FLUSH);
	mmu_vcpu_flush_begin(r->w.v);
	mmu_vcpu_flush_end(r->w.v);
	mmu_vcpu_leave(r->w.v);
}

static void a_vcpu_that_enters_and_a_request(void **state)
{
	struct race r = { 0 };

	world_make(&r.w, false);
	race(&r, enter, ask, one_saw_the_other);
	world_unmake(&r.w);
}

/* ---- a flush against the next request ---------------------------------------------------------- */

static void flush(struct race *r, uint32_t round)
{
	mmu_vcpu_flush_begin(r->w.v);
	mmu_vcpu_flush_end(r->w.v);
}

static void want_another(struct race *r, uint32_t round)
{
	dawdle(round / 2 % 16);
	atomic_fetch_add(&r->w.mmu->flush_wanted, 1);
	mmu_vcpu_request(r->w.v, MMU_REQ_FLUSH);
}

/* What was wanted is done, or still asked for. */
static void it_was_not_lost(struct race *r)
{
	assert_true(mmu_vcpu_requests(r->w.v) & MMU_REQ_FLUSH ||
		    atomic_load(&r->w.v->flushed) >= atomic_load(&r->w.mmu->flush_wanted));
}

static void a_flush_and_the_next_request(void **state)
{
	struct race r = { 0 };

	world_make(&r.w, false);
	mmu_vcpu_enter(r.w.v);
	race(&r, flush, want_another, it_was_not_lost);
	mmu_vcpu_leave(r.w.v);
	world_unmake(&r.w);
}

/* ---- leaving against going to sleep -------------------------------------------------------------- */

#define BASE GB

static void invalidate(struct race *r, uint32_t round)
{
	mmu_invalidate_begin(r->w.mmu, BASE / PAGE, BASE / PAGE + 1);
	mmu_invalidate_end(r->w.mmu, BASE / PAGE, BASE / PAGE + 1);
	atomic_store(&r->through, round);
}

/* Spread over the time in which who waits gives up spinning and goes to sleep. It leaves once, and nobody else ever
 * wakes who sleeps. */
static void leave_once(struct race *r, uint32_t round)
{
	uint64_t now = os_clock_ns(), end = now + 5500 + (round * 2654435761u >> 8) % 3000;
	uint64_t limit;

	while (os_clock_ns() < end)
		os_relax();
	mmu_vcpu_leave(r->w.v);
	limit = os_clock_ns() + MEET_NS;
	while (atomic_load(&r->through) < round && os_clock_ns() < limit)
		os_yield();
	assert_int_equal(atomic_load(&r->through), round);
}

static void enter_again(struct race *r)
{
	touch_ok(r->w.v, BASE, MMU_READ);
	mmu_vcpu_enter(r->w.v);
	if (mmu_vcpu_requests(r->w.v) & MMU_REQ_FLUSH) {
		mmu_vcpu_flush_begin(r->w.v);
		mmu_vcpu_flush_end(r->w.v);
	}
}

static void a_vcpu_that_leaves_and_who_goes_to_sleep(void **state)
{
	uint8_t *memory = memory_make(PAGE, 0);
	struct race r = { 0 };

	world_make(&r.w, false);
	slot_make(&r.w, 0, BASE / PAGE, 1, memory, 0);
	enter_again(&r);
	race(&r, leave_once, invalidate, enter_again);
	mmu_vcpu_leave(r.w.v);
	world_unmake(&r.w);
	memory_unmake(memory, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vcpu_that_enters_and_a_request),
		cmocka_unit_test(a_flush_and_the_next_request),
		cmocka_unit_test(a_vcpu_that_leaves_and_who_goes_to_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
