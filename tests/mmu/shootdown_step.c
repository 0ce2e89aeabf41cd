/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A vCPU and a shootdown, each overtaken by the other at every point where that matters.
 *
 * Shootdowns are compiled in here, with every atomic access calling step() first. One side runs again and again; before
 * its first access, its second, and so on, the other does its part whole. Nothing may be lost: no request to flush, and
 * no wake. One thread; so what sleeps when all has been done that could wake it sleeps for good.
 */
#include "fixture.h"
#include "mmu/mmu_private.h"
#include "obs/obs.h"

static void step(void);
static int sleeps(_Atomic uint32_t *word, uint32_t value);
static uint64_t late_clock(void);

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_fetch_add
#undef atomic_fetch_sub
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#define atomic_load(p) (step(), *(p))
#define atomic_load_explicit(p, order) (step(), *(p))
#define atomic_store(p, v) (step(), (void)(*(p) = (v)))
#define atomic_store_explicit(p, v, order) (step(), (void)(*(p) = (v)))
#define atomic_fetch_add(p, v)       \
	__extension__({              \
		step();              \
		(*(p) += (v)) - (v); \
	})
#define atomic_fetch_sub(p, v)       \
	__extension__({              \
		step();              \
		(*(p) -= (v)) + (v); \
	})
#define atomic_fetch_or_explicit(p, v, order) (step(), (void)(*(p) |= (v)))
#define atomic_fetch_and_explicit(p, v, order) (step(), (void)(*(p) &= (v)))
#define os_wait(word, value, timeout) sleeps(word, value)
#define os_clock_ns() late_clock()

#include "mmu/shootdown.c"

#define BASE GB

static struct world w;
static uint8_t *memory;
static long steps_until_other; /* < 0: the other has been, or does not come */
static void (*other)(void);
static bool came;

static void step(void)
{
	if (steps_until_other < 0 || steps_until_other-- > 0)
		return;
	came = true;
	other();
}

/* Who waits has spun for long enough each time it looks. */
static uint64_t late_clock(void)
{
	static uint64_t now;

	return now += 1000000000;
}

static int sleeps(_Atomic uint32_t *word, uint32_t value)
{
	if (*word != value)
		return 0;
	/* Asleep: the other may still come, and has to wake. */
	assert_false(came);
	steps_until_other = -1;
	came = true;
	other();
	assert_int_not_equal(*word, value);
	return 0;
}

/* False when all is over before the nr-th step. */
static bool overtaken_at(long nr, void (*one)(void), void (*by)(void))
{
	came = false;
	other = by;
	steps_until_other = nr;
	one();
	steps_until_other = -1;
	return came;
}

static int setup(void **state)
{
	steps_until_other = -1;
	world_make(&w, false);
	memory = memory_make(PAGE, 0);
	slot_make(&w, 0, BASE / PAGE, 1, memory, 0);
	return 0;
}

static int teardown(void **state)
{
	world_unmake(&w);
	memory_unmake(memory, PAGE);
	return 0;
}

/* ---- a flush, and the next request -------------------------------------------------------------- */

static bool stale; /* the vCPU has cached what has been zapped */

static void drop_what_is_cached(void)
{
	step();
	stale = false;
	step();
}

static void flushes(void)
{
	mmu_vcpu_flush_begin(w.v);
	drop_what_is_cached();
	mmu_vcpu_flush_end(w.v);
}

static void wants_another(void)
{
	stale = true;
	w.mmu->flush_wanted++;
	mmu_vcpu_request(w.v, MMU_REQ_FLUSH);
}

static void a_request_that_overtakes_a_flush_is_not_lost(void **state)
{
	long nr = 0;

	mmu_vcpu_enter(w.v);
	while (overtaken_at(nr, flushes, wants_another)) {
		assert_true(!stale || mmu_vcpu_requests(w.v) & MMU_REQ_FLUSH);
		assert_true(w.v->flushed < w.mmu->flush_wanted || !stale);
		assert_true(w.v->flushed == w.mmu->flush_wanted ||
			    mmu_vcpu_requests(w.v) & MMU_REQ_FLUSH);
		flushes();
		assert_int_equal(w.v->flushed, w.mmu->flush_wanted);
		nr++;
	}
	assert_true(nr >= 5);
	mmu_vcpu_leave(w.v);
}

/* ---- entering, and a request -------------------------------------------------------------------- */

static bool seen_inside;

static void enters(void)
{
	mmu_vcpu_enter(w.v);
}

static void asks(void)
{
	mmu_vcpu_request(w.v, MMU_REQ_FLUSH);
	seen_inside = w.v->head.inside;
}

static void who_enters_is_seen_or_sees_the_request(void **state)
{
	long nr = 0;

	while (overtaken_at(nr, enters, asks)) {
		assert_true(seen_inside || mmu_vcpu_requests(w.v) & MMU_REQ_FLUSH);
		flushes();
		mmu_vcpu_leave(w.v);
		nr++;
	}
	mmu_vcpu_leave(w.v);
	assert_true(nr >= 2);
}

/* ---- a shootdown, and the vCPU it is for -------------------------------------------------------- */

static void shoots(void)
{
	mmu_invalidate_begin(w.mmu, BASE / PAGE, BASE / PAGE + 1);
	/* Not before it may. */
	assert_true(!w.v->head.inside || w.v->flushed == w.mmu->flush_wanted);
	mmu_invalidate_end(w.mmu, BASE / PAGE, BASE / PAGE + 1);
}

static void leaves(void)
{
	mmu_vcpu_leave(w.v);
}

static void goes_inside(void)
{
	touch_ok(w.v, BASE, MMU_READ);
	mmu_vcpu_enter(w.v);
	flushes();
}

/* Once it has been asked. */
static void flushes_when_asked(void)
{
	if (mmu_vcpu_requests(w.v) & MMU_REQ_FLUSH) {
		flushes();
		return;
	}
	came = false;
	steps_until_other = 0;
}

/* A shootdown waits for what comes, so that it always does: it makes more steps the later that is, to an end. */
static void overtake_shootdowns(void (*by)(void), bool leaves_it_inside)
{
	for (long nr = 0; nr < 60; nr++) {
		goes_inside();
		assert_true(overtaken_at(nr, shoots, by));
		assert_int_equal(w.v->waiters, 0);
		assert_int_equal(w.v->head.inside, leaves_it_inside);
		if (leaves_it_inside)
			mmu_vcpu_leave(w.v);
	}
}

static void whoever_sleeps_is_woken_by_a_vcpu_that_leaves(void **state)
{
	overtake_shootdowns(leaves, false);
}

static void whoever_sleeps_is_woken_by_a_vcpu_that_flushes(void **state)
{
	overtake_shootdowns(flushes_when_asked, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_request_that_overtakes_a_flush_is_not_lost),
		T(who_enters_is_seen_or_sees_the_request),
		T(whoever_sleeps_is_woken_by_a_vcpu_that_leaves),
		T(whoever_sleeps_is_woken_by_a_vcpu_that_flushes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
